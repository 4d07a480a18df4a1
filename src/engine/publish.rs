// SPDX-License-Identifier: Apache-2.0
//! Snapshots: the picture that exporters see, and the accounts in it.
//!
//! Two snapshots take turns, so that a tick allocates nothing as long as readers
//! let go of the older one in time.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::attribution::gpu::Tie;
use crate::clock;
use crate::jobs::JobId;
use crate::ledger::JobReport;
use crate::sensors::Kind;
use crate::units::{BootTime, Emissions, Energy, Power};

use super::core::Engine;
use super::job::Job;
use super::snapshot::{
    AccountView, ByKind, ClaimView, DomainView, JobMeta, JobView, LedgerView, Snapshot, SourceView,
    WorkView,
};

/// A user's or a project's totals.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub name: Arc<str>,
    pub energy: ByKind,
    pub emissions: Emissions,
    pub embodied: Emissions,
}

impl Account {
    pub fn new(name: &str) -> Self {
        Account {
            name: name.into(),
            energy: ByKind::default(),
            emissions: Emissions::ZERO,
            embodied: Emissions::ZERO,
        }
    }

    pub fn add(&mut self, kind: Kind, energy: Energy, emissions: Emissions) {
        let sum = &mut self.energy[kind as usize];
        *sum = sum.saturating_add(energy);
        self.emissions = self.emissions.saturating_add(emissions);
    }

    pub fn add_embodied(&mut self, emissions: Emissions) {
        self.embodied = self.embodied.saturating_add(emissions);
    }
}

/// A job that has ended and is still shown.
#[derive(Debug)]
pub(super) struct Finished {
    pub at: BootTime,
    pub meta: Arc<JobMeta>,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
    pub duration: Option<Duration>,
    pub energy: ByKind,
    pub node: Energy,
    pub emissions: Emissions,
    pub embodied: Emissions,
    pub work: Option<Arc<WorkView>>,
    /// For the wrapper that asks again, and for `aimeter show` without the ledger.
    /// `None` for one that ended before this daemon started.
    pub report: Option<Box<JobReport>>,
}

impl Engine {
    /// Keeps a finished job for [`super::Settings::keep_finished`].
    pub(super) fn keep_finished(&mut self, job: Job) {
        let report = Box::new(self.report(&job));
        self.finished.push(Finished {
            at: clock::now(),
            started: job.row.started,
            ended: job.row.ended,
            duration: job.row.duration,
            energy: job.energy,
            node: job.node,
            emissions: job.emissions,
            embodied: job.embodied,
            work: job.work.as_ref().map(|work| work.view(clock::now())),
            report: Some(report),
            meta: job.meta,
        });
    }

    /// Drops finished jobs whose time is over.
    pub(super) fn drop_old(&mut self, now: BootTime) {
        let keep = self.settings.keep_finished;
        self.finished.retain(|finished| now.since(finished.at) < keep);
    }

    /// Whether a job of that id ended a while ago.
    pub(super) fn was_finished(&self, id: &JobId) -> bool {
        self.finished.iter().any(|finished| finished.meta.id == *id)
    }

    /// Power over the last reading of each domain, and the jobs' parts of it. Read from
    /// energy, never the reverse. A GPU is read by a thread of its own, so that a tick
    /// may see no reading of it, or two: a domain without a new one keeps its power.
    pub(super) fn update_power(&mut self) {
        for (place, domain) in self.domains.iter_mut().enumerate() {
            let read = domain.since_power.take();
            if let Some((energy, time)) = read {
                domain.power = Some(energy.over(time));
            }
            for job in self.jobs.iter_mut().flatten() {
                if let Some((_, time)) = read {
                    job.powers[place] = std::mem::take(&mut job.since_power[place]).over(time);
                } else if domain.power.is_none() {
                    job.powers[place] = Power::ZERO;
                }
            }
        }
        for job in self.jobs.iter_mut().flatten() {
            let sum = job.powers.iter().map(|power| power.microwatts());
            job.power = Power::from_microwatts(sum.fold(0, u64::saturating_add));
        }
    }

    /// Publishes the books as they stand.
    pub(super) fn publish(&mut self) {
        self.follow_intensity();
        let mut next = self.spare.take().unwrap_or_default();
        if Arc::get_mut(&mut next).is_none() {
            next = Arc::new(Snapshot::default());
        }
        if let Some(snapshot) = Arc::get_mut(&mut next) {
            self.fill(snapshot);
        }
        self.spare = Some(self.snapshot.swap(next));
    }

    fn fill(&self, snapshot: &mut Snapshot) {
        snapshot.at = Some(clock::wall());
        snapshot.ticks = self.ticks;
        snapshot.missed_ticks = self.missed_ticks;
        self.fill_domains(&mut snapshot.domains);
        self.fill_jobs(&mut snapshot.jobs);
        self.fill_claims(&mut snapshot.claims);
        fill_accounts(&self.users, &mut snapshot.users);
        fill_accounts(&self.projects, &mut snapshot.projects);
        self.fill_sources(&mut snapshot.sources);
        snapshot.ledger =
            self.writer.as_ref().map_or(LedgerView::default(), |writer| writer.health());
        snapshot.pue = self.pue;
        snapshot.zones = Arc::clone(&self.followed.views);
        snapshot.feeds = self.settings.facts.feeds();
    }

    fn fill_domains(&self, out: &mut Vec<DomainView>) {
        out.clear();
        out.extend(self.domains.iter().map(|state| DomainView {
            domain: Arc::clone(&state.domain),
            total: state.total,
            unattributed: state.unattributed,
            power: state.power,
            state: state.state,
            read_errors: state.read_errors,
            refused: state.refused,
            resets: state.resets,
            last_read: state.last_read.map(|at| self.wall(at)),
        }));
    }

    fn fill_jobs(&self, out: &mut Vec<JobView>) {
        out.clear();
        out.extend(self.jobs.iter().flatten().map(|job| JobView {
            meta: Arc::clone(&job.meta),
            running: true,
            started: job.row.started,
            ended: None,
            duration: None,
            energy: job.energy,
            node: job.node,
            emissions: job.emissions,
            embodied: job.embodied,
            power: job.power,
            work: job.work.as_ref().map(|work| work.view(clock::now())),
        }));
        out.extend(self.finished.iter().map(|job| JobView {
            meta: Arc::clone(&job.meta),
            running: false,
            started: job.started,
            ended: job.ended,
            duration: job.duration,
            energy: job.energy,
            node: job.node,
            emissions: job.emissions,
            embodied: job.embodied,
            power: Power::ZERO,
            work: job.work.clone(),
        }));
    }

    fn fill_claims(&self, out: &mut Vec<ClaimView>) {
        out.clear();
        for gpu in &self.gpus {
            let held = || gpu.claims.iter().filter(|claim| claim.tie == Tie::Held);
            for claim in held() {
                // The innermost job pays for it.
                if held().any(|inner| self.is_inside(inner.slot, claim.slot)) {
                    continue;
                }
                if let Some(job) = self.job(claim.slot) {
                    let domain = Arc::clone(&self.domains[gpu.place].domain);
                    out.push(ClaimView { domain, job: Arc::clone(&job.meta) });
                }
            }
        }
    }

    fn fill_sources(&self, out: &mut Vec<SourceView>) {
        out.clear();
        for name in ["nvml", "rapl", "hwmon", "estimate"] {
            let mut view = SourceView { name, up: false, domains: 0, missing: 0 };
            for state in self.domains.iter().filter(|state| state.domain.source == name) {
                view.domains += 1;
                view.up |= state.state == super::snapshot::SensorState::Ok;
            }
            let missing = self.gpu_missing.iter().chain(&self.local_missing);
            view.missing = missing.filter(|missing| missing.source == name).count() as u32;
            if view.domains > 0 || view.missing > 0 {
                out.push(view);
            }
        }
    }

    /// A moment on the wall clock.
    pub(super) fn wall(&self, at: BootTime) -> Timestamp {
        Timestamp::from_microsecond(self.wall_microseconds(at)).unwrap_or_default()
    }
}

fn fill_accounts(accounts: &[Account], out: &mut Vec<AccountView>) {
    out.clear();
    out.extend(accounts.iter().map(|account| AccountView {
        name: Arc::clone(&account.name),
        energy: account.energy,
        emissions: account.emissions,
        embodied: account.embodied,
    }));
}
