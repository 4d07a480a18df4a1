// SPDX-License-Identifier: Apache-2.0
//! What waits to be written: batches merged by key, within bounds.
//!
//! In good times it holds one batch. While the ledger fails it grows by new
//! lines only (a line that grows replaces itself), up to [`MOST_LINES`] and
//! [`MOST_EVENTS`]; beyond that the oldest lines and the newest events go, and
//! are counted.

use std::collections::HashMap;
use std::sync::Arc;

use super::{
    Batch, Booking, CounterMark, CpuMark, DomainKey, Event, HeldMark, JobKey, PhaseMark, UnitMark,
};
use crate::units::Energy;

/// Lines held at most: about 10 MB, some 48 hours of 20 jobs on 5 domains each
/// in intervals of 5 minutes.
pub const MOST_LINES: usize = 65_536;

/// Events held at most: about 10 MB of job rows.
pub const MOST_EVENTS: usize = 8_192;

/// What was given up because the ledger failed for too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Lines.
    pub lines: u64,
    /// Their energy.
    pub energy: Energy,
    /// Events.
    pub events: u64,
}

/// The key of a line.
type LineKey = (JobKey, DomainKey, i64);
/// The key of units: job, unit, phase.
type UnitKey = (JobKey, Arc<str>, Arc<str>);

/// Everything that the next transaction is to hold.
#[derive(Debug, Default)]
pub struct Pending {
    /// In the order in which they happened, each job's and domain's row once.
    pub events: Vec<Event>,
    /// Lines by key.
    pub bookings: HashMap<LineKey, Booking>,
    /// Last readings.
    pub counters: HashMap<DomainKey, CounterMark>,
    /// CPU times.
    pub cpu: HashMap<JobKey, CpuMark>,
    /// What jobs have held.
    pub held: HashMap<(JobKey, DomainKey), HeldMark>,
    /// Phases, by job and place.
    pub phases: HashMap<(JobKey, u32), PhaseMark>,
    /// Units, by job, name and phase.
    pub units: HashMap<UnitKey, UnitMark>,
    /// What is missing here.
    pub dropped: Dropped,
}

impl Pending {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.bookings.is_empty()
            && self.counters.is_empty()
            && self.cpu.is_empty()
            && self.held.is_empty()
            && self.phases.is_empty()
            && self.units.is_empty()
    }

    /// Forgets all, keeps the room.
    pub fn clear(&mut self) {
        self.events.clear();
        self.bookings.clear();
        self.counters.clear();
        self.cpu.clear();
        self.held.clear();
        self.phases.clear();
        self.units.clear();
        self.dropped = Dropped::default();
    }

    /// Takes over a batch, which is left empty with its room kept. Allocates
    /// only while this holds more than it ever held.
    pub fn absorb(&mut self, batch: &mut Batch) {
        for event in batch.events.drain(..) {
            self.add_event(event);
        }
        for booking in batch.bookings.drain(..) {
            self.add_booking(booking);
        }
        for mark in batch.counters.drain(..) {
            self.counters.insert(mark.domain, mark);
        }
        for mark in batch.cpu.drain(..) {
            self.cpu.insert(mark.job, mark);
        }
        for mark in batch.held.drain(..) {
            self.held.insert((mark.job, mark.domain), mark);
        }
        for mark in batch.phases.drain(..) {
            self.phases.insert((mark.job, mark.place), mark);
        }
        for mark in batch.units.drain(..) {
            let key = (mark.job, Arc::clone(&mark.unit), Arc::clone(&mark.phase));
            self.units.insert(key, mark);
        }
        self.bound();
    }

    /// Takes over what came later, which is left empty with its room kept.
    pub fn absorb_later(&mut self, later: &mut Pending) {
        for event in later.events.drain(..) {
            self.add_event(event);
        }
        for (_, booking) in later.bookings.drain() {
            self.add_booking(booking);
        }
        self.counters.extend(later.counters.drain());
        self.cpu.extend(later.cpu.drain());
        self.held.extend(later.held.drain());
        self.phases.extend(later.phases.drain());
        self.units.extend(later.units.drain());
        self.dropped.lines += later.dropped.lines;
        self.dropped.energy = self.dropped.energy.saturating_add(later.dropped.energy);
        self.dropped.events += later.dropped.events;
        later.clear();
        self.bound();
    }

    fn add_booking(&mut self, booking: Booking) {
        let key = (booking.job, booking.domain, booking.from_microseconds);
        self.bookings.insert(key, booking);
    }

    fn add_event(&mut self, event: Event) {
        if let Event::Domain { key, epoch, .. } = &event {
            let earlier = self.events.iter().rev().find_map(|event| match event {
                Event::Domain { key: other, epoch, .. } if other == key => Some(epoch),
                _ => None,
            });
            // A mark of another life of the counter must not pass for one of this.
            if earlier != Some(epoch) {
                self.counters.remove(key);
            }
        }
        // A later whole row takes the place of an earlier one, so that what refers
        // to it still comes after it.
        let same = self.events.iter().position(|known| replaces(&event, known));
        match same {
            Some(index) => self.events[index] = event,
            None if self.events.len() >= MOST_EVENTS => self.dropped.events += 1,
            None => self.events.push(event),
        }
    }

    /// Gives up the oldest lines (an eighth at a time) where there are too many.
    fn bound(&mut self) {
        if self.bookings.len() <= MOST_LINES {
            return;
        }
        let mut ages: Vec<i64> = self.bookings.keys().map(|key| key.2).collect();
        let oldest_kept = ages.len() - MOST_LINES + MOST_LINES / 8;
        let (_, &mut limit, _) = ages.select_nth_unstable(oldest_kept);
        let dropped = &mut self.dropped;
        self.bookings.retain(|key, booking| {
            let keep = key.2 >= limit;
            if !keep {
                dropped.lines += 1;
                dropped.energy = dropped.energy.saturating_add(booking.amount.energy);
            }
            keep
        });
    }
}

/// Whether an event makes an earlier one needless.
fn replaces(event: &Event, earlier: &Event) -> bool {
    match (event, earlier) {
        (Event::Domain { key, .. }, Event::Domain { key: other, .. }) => key == other,
        (Event::Job(row), Event::Job(other)) => row.key == other.key,
        (
            Event::Share { job, domain, .. },
            Event::Share { job: other_job, domain: other_domain, .. },
        ) => job == other_job && domain == other_domain,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Amount;

    fn line(from: i64, microjoules: u64) -> Booking {
        let energy = Energy::from_microjoules(microjoules);
        Booking {
            job: JobKey(1),
            domain: DomainKey(1),
            from_microseconds: from,
            to_microseconds: from + 1,
            amount: Amount { energy, ..Amount::default() },
        }
    }

    #[test]
    fn a_line_that_grows_replaces_itself_also_across_a_failed_write() {
        let (mut older, mut newer) = (Pending::default(), Pending::default());
        older.absorb(&mut Batch { bookings: vec![line(1, 5), line(2, 6)], ..Batch::default() });
        newer.absorb(&mut Batch { bookings: vec![line(2, 9)], ..Batch::default() });
        older.absorb_later(&mut newer);
        let sum: u64 = older.bookings.values().map(|b| b.amount.energy.microjoules()).sum();
        assert_eq!((older.bookings.len(), sum), (2, 14));
        assert!(newer.is_empty());
    }

    #[test]
    fn beyond_the_bound_the_oldest_lines_go_and_every_microjoule_is_kept_or_counted() {
        let mut pending = Pending::default();
        let count = MOST_LINES as i64 + 10;
        let mut batch =
            Batch { bookings: (0..count).map(|from| line(from, 3)).collect(), ..Batch::default() };
        pending.absorb(&mut batch);
        let kept = pending.bookings.len() as u64;
        assert!(kept <= MOST_LINES as u64);
        assert_eq!(kept + pending.dropped.lines, count as u64);
        assert_eq!(pending.dropped.energy.microjoules(), pending.dropped.lines * 3);
        assert!(pending.bookings.contains_key(&(JobKey(1), DomainKey(1), count - 1)));
        assert!(!pending.bookings.contains_key(&(JobKey(1), DomainKey(1), 0)));
    }
}
