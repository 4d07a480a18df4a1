// SPDX-License-Identifier: Apache-2.0
//! An estimate of CPU energy for a machine that shows no counter.
//!
//! Energy since boot = idle power × time of all threads + (full - idle) power ×
//! busy time of all threads, both times from `/proc/stat`, powers from a sourced
//! table (the formula is Cloud Carbon Footprint's). It is a pure function of
//! what the kernel counts since boot, so that a restart loses nothing. It must
//! never pass for a measurement: its method is [`Method::Estimate`].

mod table;

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use super::cpuinfo::CpuInfo;
use super::{
    Discovery, Domain, DomainId, Kind, Method, Missing, ReadError, Reading, Roots, Source, Value,
    files,
};
use crate::clock;
use crate::units::{Energy, Power};
use table::ThreadPower;

/// `USER_HZ`: `/proc/stat` counts hundredths of a second on x86 and Arm (proc(5)).
const TICK: Duration = Duration::from_millis(10);

/// Whether the estimate is needed: no domain of a CPU that is counted.
pub fn is_needed<'a>(mut domains: impl Iterator<Item = &'a Domain>) -> bool {
    !domains.any(|domain| {
        domain.kind == Kind::Cpu && domain.counted() && domain.method != Method::Estimate
    })
}

/// Estimates the energy of all CPUs that this machine sees.
#[derive(Debug)]
pub struct Estimate {
    roots: Roots,
    power: ThreadPower,
    stat: Option<OwnedFd>,
    /// The kernel's idle times go back by a tick now and then; this must not.
    highest: u64,
}

impl Estimate {
    /// A source that looks under `roots`.
    pub fn new(roots: &Roots) -> Self {
        Estimate { roots: roots.clone(), power: table::UNKNOWN, stat: None, highest: 0 }
    }
}

impl Source for Estimate {
    fn name(&self) -> &'static str {
        "estimate"
    }

    fn discover(&mut self) -> Discovery {
        let cpu = CpuInfo::of(&self.roots);
        self.power = table::lookup(&cpu);
        let path = self.roots.procfs.join("stat");
        let opened = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let mut found = Discovery::default();
        match opened {
            Ok(stat) => {
                self.stat = Some(stat);
                let threads = threads(&files::text(&path).unwrap_or_default());
                found.domains.push(domain(&cpu, self.power, threads));
            }
            Err(errno) => {
                self.stat = None;
                found.missing.push(Missing {
                    source: "estimate".into(),
                    what: "cpu".into(),
                    state: files::read_error(errno).reason().into(),
                    why: format!("opening {}: {}", path.display(), files::read_error(errno)),
                    remedy: None,
                });
            }
        }
        found
    }

    fn read(&mut self, slots: &mut [Result<Reading, ReadError>]) {
        let [slot] = slots else { return };
        *slot = self.now();
    }

    /// The powers: with other figures in a later version it is another counter.
    fn epoch(&self) -> String {
        format!("{}/{} mW", self.power.idle_milliwatts, self.power.full_milliwatts)
    }
}

impl Estimate {
    fn now(&mut self) -> Result<Reading, ReadError> {
        let stat = self.stat.as_ref().ok_or(ReadError::Lost("/proc/stat is not open"))?;
        // The first line, which sums all CPUs, has 11 numbers at most.
        let mut buffer = [0; 256];
        let before = clock::now();
        let length = rustix::io::retry_on_intr(|| rustix::io::pread(stat, &mut buffer, 0))
            .map_err(files::read_error)?;
        let took = clock::now().since(before);
        let times = Times::parse(&buffer[..length])
            .ok_or(ReadError::Failed("/proc/stat does not start with the CPUs' times"))?;
        self.highest = self.highest.max(times.energy(self.power));
        let value = Value::Counter(Energy::from_microjoules(self.highest));
        Ok(Reading { at: before.plus(took / 2), value })
    }
}

/// Time of all threads since boot, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Working for anything in this machine.
    pub busy: u64,
    /// Idle or waiting for a disk.
    pub idle: u64,
}

impl Times {
    /// From `cpu  user nice system idle iowait irq softirq steal guest guest_nice`.
    /// Guests are within user; stolen time was not ours, busy or idle. `None` where
    /// the text starts otherwise.
    pub fn parse(stat: &[u8]) -> Option<Times> {
        let line = stat.split(|byte| *byte == b'\n').next()?;
        let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        if words.next()? != b"cpu" {
            return None;
        }
        let mut next = || words.next().and_then(files::parse_integer);
        let (user, nice, system, idle) = (next()?, next()?, next()?, next()?);
        let (iowait, irq, softirq) = (next()?, next()?, next()?);
        let busy = user.checked_add(nice)?.checked_add(system)?;
        Some(Times {
            busy: busy.checked_add(irq)?.checked_add(softirq)?,
            idle: idle.checked_add(iowait)?,
        })
    }

    /// The energy in µJ: mW × 10 ms ticks × 10.
    fn energy(self, power: ThreadPower) -> u64 {
        let of = |ticks: u64, milliwatts: u32| {
            u128::from(ticks) * u128::from(milliwatts) * TICK.as_millis()
        };
        let sum = of(self.idle, power.idle_milliwatts) + of(self.busy, power.full_milliwatts);
        u64::try_from(sum).unwrap_or(u64::MAX)
    }
}

/// How many CPUs `/proc/stat` lists.
fn threads(stat: &str) -> u64 {
    let cpu = |line: &&str| line.starts_with("cpu") && !line.starts_with("cpu ");
    (stat.lines().filter(cpu).count() as u64).max(1)
}

fn domain(cpu: &CpuInfo, power: ThreadPower, threads: u64) -> Domain {
    let full = Power::from_milliwatts(u64::from(power.full_milliwatts) * threads);
    let name = if cpu.name.is_empty() { "unknown CPU" } else { &cpu.name };
    Domain {
        id: DomainId::new("estimate:cpu"),
        kind: Kind::Cpu,
        source: "estimate".into(),
        method: Method::Estimate,
        // One thread's tick from idle to busy.
        resolution: Power::from_milliwatts(u64::from(power.full_milliwatts)).during(TICK),
        range: None,
        update_period: TICK,
        // Twice, as ticks of many threads may be accounted late.
        max_power: Power::from_microwatts(full.microwatts().saturating_mul(2)),
        overlap: None,
        gain_percent: None,
        model_percent: Some(power.percent),
        driver: None,
        power_limit: None,
        device: format!("{name}, {threads} threads, as {}", power.name),
    }
}

#[cfg(test)]
mod tests;
