// SPDX-License-Identifier: Apache-2.0
//! The engine's domains: each with its meter, its health and its totals.
//!
//! A domain keeps its place for the engine's life, also when its sensor goes and
//! comes back; places are what jobs and books are indexed by.

use std::sync::Arc;
use std::time::Duration;

use crate::attribution::cpu::{CpuUse, NodeUse};
use crate::ledger::DomainKey;
use crate::meter::domain::{Delta, Meter, Metered};
use crate::sensors::{Domain, Kind, ReadError, Reading, Source};
use crate::units::{BootTime, Energy, Power};

use super::snapshot::SensorState;

/// One domain.
#[derive(Debug)]
pub(super) struct DomainState {
    pub domain: Arc<Domain>,
    pub key: DomainKey,
    pub epoch: String,
    pub meter: Meter,
    /// All energy booked since the ledger began.
    pub total: Energy,
    /// Of that, what no job used.
    pub unattributed: Energy,
    pub power: Option<Power>,
    /// Energy and time of the deltas since power was last looked at.
    pub since_power: Option<(Energy, Duration)>,
    pub state: SensorState,
    pub read_errors: [u64; 4],
    pub refused: u64,
    pub resets: u64,
    pub last_read: Option<BootTime>,
    pub observed_update: Option<Duration>,
    /// For domains split by CPU time: what was used since the last good reading.
    pub pending: Pending,
}

/// CPU time since a domain's last good reading, by job slot: a read that fails
/// must not lose the shares of its time.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    pub node: NodeUse,
    pub jobs: Vec<CpuUse>,
}

impl Pending {
    pub fn add(&mut self, node: NodeUse, jobs: &[CpuUse]) {
        self.node.busy_microseconds += node.busy_microseconds;
        self.node.capacity_microseconds += node.capacity_microseconds;
        self.node.cores = node.cores;
        self.jobs.resize(jobs.len(), CpuUse::default());
        for (sum, more) in self.jobs.iter_mut().zip(jobs) {
            sum.used_microseconds += more.used_microseconds;
            sum.reserved_cores = more.reserved_cores;
        }
    }

    pub fn clear(&mut self) {
        self.node = NodeUse::default();
        self.jobs.fill(CpuUse::default());
    }
}

/// A source that is read on the engine's thread, and the places of its domains.
pub(super) struct LocalSource {
    pub source: Box<dyn Source>,
    pub places: Vec<usize>,
    pub slots: Vec<Result<Reading, ReadError>>,
}

impl DomainState {
    pub fn new(domain: Domain, key: DomainKey, epoch: String, period: Duration) -> Self {
        DomainState {
            meter: Meter::new(&domain, period),
            domain: Arc::new(domain),
            key,
            epoch,
            total: Energy::ZERO,
            unattributed: Energy::ZERO,
            power: None,
            since_power: None,
            state: SensorState::NoData,
            read_errors: [0; 4],
            refused: 0,
            resets: 0,
            last_read: None,
            observed_update: None,
            pending: Pending::default(),
        }
    }

    /// Takes a reading or a failure; gives the delta, if any, and keeps the health.
    pub fn take(&mut self, result: Result<Reading, ReadError>, period: Duration) -> Option<Delta> {
        let reading = match result {
            Ok(reading) => reading,
            Err(error) => {
                self.fail(error);
                return None;
            }
        };
        match self.meter.feed(reading, period) {
            Metered::First => {
                self.good(reading.at);
                // Nothing is booked for the time before it.
                self.pending.clear();
                None
            }
            Metered::Delta(delta) => {
                self.good(reading.at);
                self.resets += u64::from(delta.reset);
                let (energy, time) = self.since_power.unwrap_or_default();
                let time = time.saturating_add(delta.to.since(delta.from));
                self.since_power = Some((energy.saturating_add(delta.energy), time));
                Some(delta)
            }
            Metered::Dead(delta) => {
                self.good(reading.at);
                self.state = SensorState::Dead;
                tracing::error!(
                    domain = %self.domain.id,
                    "the counter stays at 0: it is dead, not idle; nothing is booked for it"
                );
                Some(delta)
            }
            Metered::Refused(why) => {
                if self.refused == 0 {
                    tracing::warn!(domain = %self.domain.id, why, "refused an absurd value");
                }
                self.refused += 1;
                self.power = None;
                None
            }
        }
    }

    fn good(&mut self, at: BootTime) {
        let dead = matches!(&self.meter, Meter::Counter(tracker) if tracker.is_dead());
        if self.state != SensorState::Ok && self.last_read.is_some() && !dead {
            tracing::info!(domain = %self.domain.id, "reads again");
        }
        self.state = if dead { SensorState::Dead } else { SensorState::Ok };
        self.last_read = Some(at);
    }

    fn fail(&mut self, error: ReadError) {
        let (place, state) = match error {
            ReadError::NoData(_) => (0, SensorState::NoData),
            ReadError::Failed(_) => (1, SensorState::Failed),
            ReadError::NotPermitted(_) => (2, SensorState::NotPermitted),
            ReadError::Lost(_) => (3, SensorState::Lost),
        };
        self.read_errors[place] += 1;
        if self.state != state {
            if state == SensorState::NoData {
                tracing::debug!(domain = %self.domain.id, %error, "no data");
            } else {
                tracing::warn!(domain = %self.domain.id, %error, "cannot be read");
            }
        }
        self.state = state;
        self.power = None;
    }

    /// Whether its energy goes by CPU time (all but GPUs).
    pub fn split_by_cpu(&self) -> bool {
        self.domain.kind != Kind::Gpu
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensors::{DomainId, Method, Value};

    fn package() -> DomainState {
        let domain = Domain {
            id: DomainId::new("test:0"),
            kind: Kind::Cpu,
            source: "test".into(),
            method: Method::Counter,
            resolution: Energy::from_microjoules(1),
            range: None,
            update_period: Duration::from_millis(1),
            max_power: Power::from_watts(100),
            overlap: None,
            gain_percent: None,
            model_percent: None,
            device: "test".into(),
            driver: None,
            power_limit: None,
        };
        DomainState::new(domain, DomainKey(1), String::new(), Duration::from_secs(1))
    }

    #[test]
    fn cpu_time_of_before_the_first_reading_splits_nothing() {
        let mut package = package();
        let second = NodeUse { busy_microseconds: 9, capacity_microseconds: 10, cores: 1 };
        let used = [CpuUse { used_microseconds: 9, reserved_cores: 1 }];
        let mut read = |seconds: u64, result: Result<Value, ReadError>| {
            package.pending.add(second, &used);
            let at = BootTime::from_nanoseconds(seconds * 1_000_000_000);
            let result = result.map(|value| Reading { at, value });
            let delta = package.take(result, Duration::from_secs(1)).is_some();
            (delta, package.pending.node.busy_microseconds)
        };
        let counter = |value| Ok(Value::Counter(Energy::from_microjoules(value)));
        assert_eq!(read(1, Err(ReadError::NotPermitted("no"))), (false, 9));
        assert_eq!(read(2, counter(5)), (false, 0));
        // A read that fails after it loses nothing.
        assert_eq!(read(3, Err(ReadError::NoData("no"))), (false, 9));
        assert_eq!(read(4, counter(7)), (true, 18));
    }
}
