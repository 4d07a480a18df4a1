// SPDX-License-Identifier: Apache-2.0
//! What is seen of the machine while a window runs: its state at both edges, reasons for a
//! lower clock in between, CPU time of others, others on the accelerators.

use nix::sys::resource::{UsageWho, getrusage};

use super::machine::Machine;
use crate::benchmark::measured::Seen;
use crate::benchmark::record::StatePart;
use crate::config::Options;
use crate::jobs::JobId;
use crate::jobs::cpu::{NodeCpu, NodeReading};
use crate::server::client::Client;

/// Looks between two looks at the accelerators' processes, whose list is slow.
const LOOKS: u32 = 4;

/// The eyes on one window.
pub struct Watch {
    before: StatePart,
    /// The last look while the work ran, with every reason for a lower clock until then.
    last: Option<StatePart>,
    node: Option<(NodeCpu, NodeReading)>,
    children_microseconds: u64,
    others: Vec<String>,
    looks: u32,
}

impl Watch {
    /// From now on.
    pub fn start(machine: &Machine, options: &Options) -> Watch {
        let node = NodeCpu::open(&options.roots).ok().and_then(|mut node| {
            let reading = node.read().ok()?;
            Some((node, reading))
        });
        let before = machine.state();
        let children_microseconds = children_microseconds();
        Watch { before, last: None, node, children_microseconds, others: Vec::new(), looks: 0 }
    }

    /// A look while the job of this process runs.
    pub fn look(&mut self, machine: &mut Machine, job: i32) {
        let mut now = machine.state();
        for (state, earlier) in
            now.accelerators.iter_mut().zip(self.last.iter().flat_map(|last| &last.accelerators))
        {
            for reason in &earlier.throttle_reasons {
                if !state.throttle_reasons.contains(reason) {
                    state.throttle_reasons.push(reason.clone());
                }
            }
        }
        self.last = Some(now);
        if self.looks.is_multiple_of(LOOKS) {
            let others = machine.others(job);
            self.add(others);
        }
        self.looks += 1;
    }

    /// Others that were found elsewhere.
    pub fn add(&mut self, others: Vec<String>) {
        for other in others {
            if !self.others.contains(&other) {
                self.others.push(other);
            }
        }
    }

    /// The window has ended and its processes are reaped.
    pub fn end(mut self, machine: &Machine) -> Seen {
        let other_cpu_share = self.other_cpu_share();
        let after = self.last.take().unwrap_or_else(|| machine.state());
        Seen { before: self.before, after, other_cpu_share, other_jobs: self.others }
    }

    /// What ran on the node and was not below this process, as a part of all CPU time.
    fn other_cpu_share(&mut self) -> Option<f64> {
        let (node, first) = self.node.as_mut()?;
        let last = node.read().ok()?;
        let busy = last.busy_microseconds.checked_sub(first.busy_microseconds)?;
        let ours = children_microseconds().saturating_sub(self.children_microseconds);
        let capacity = last.capacity_microseconds(last.at.since(first.at));
        // A node on which nothing ran, not even the work, does not count.
        (capacity > 0 && busy > 0)
            .then(|| busy.saturating_sub(ours) as f64 / capacity as f64)
            .map(|share| share.min(1.0))
    }
}

/// CPU time of all that ended and was reaped below this process, and its own.
fn children_microseconds() -> u64 {
    let of = |who| {
        let Ok(usage) = getrusage(who) else { return 0 };
        let time = |time: nix::sys::time::TimeVal| {
            u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or(0)
        };
        time(usage.user_time()) + time(usage.system_time())
    };
    of(UsageWho::RUSAGE_CHILDREN) + of(UsageWho::RUSAGE_SELF)
}

/// Jobs that the daemon knows to hold one of these domains now, but for those named.
pub fn jobs_on(client: Option<&Client>, domains: &[&str], but: &[&str]) -> Vec<String> {
    let Some(mut client) = client.map(Client::another) else { return Vec::new() };
    if domains.is_empty() {
        return Vec::new();
    }
    let Ok(now) = client.now(None) else { return Vec::new() };
    let running = now.jobs.into_iter().filter(|job| job.runs() && !but.contains(&job.id.as_str()));
    let holds = |id: &str| {
        let id: JobId = id.parse().ok()?;
        let (report, _) = client.another().show(&id).ok()?;
        report
            .domains
            .iter()
            .map(|one| one.domain.id.as_str().to_owned())
            .find(|domain| domains.contains(&domain.as_str()))
    };
    running
        .filter_map(|job| {
            let domain = holds(&job.id)?;
            Some(format!("job {} ({}) on {domain}", job.id, crate::record::text::line(&job.name)))
        })
        .collect()
}
