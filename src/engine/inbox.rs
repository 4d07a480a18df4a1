// SPDX-License-Identifier: Apache-2.0
//! Marks on their way from the server to the engine.
//!
//! Whoever serves jobs puts marks here with their moment; the engine takes them before
//! each tick and command. Counts are summed here, and phases that change faster than the
//! engine looks are merged, so that a flood of marks costs the engine what a few do.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::jobs::JobId;
use crate::jobs::marks::{Mark, MarkName};
use crate::units::BootTime;

/// Marks of a job that wait, at most; what is more is merged with these.
const MOST: usize = 64;
/// The engine is woken for a phase at most this often; others wait for its next look.
const WAKE_PERIOD: Duration = Duration::from_millis(50);

/// A job's marks that wait.
#[derive(Debug)]
pub(super) struct Waiting {
    pub job: JobId,
    /// In the order in which they came.
    pub marks: Vec<(BootTime, Mark)>,
    /// Whether phases were left out, or units became `other`.
    pub merged: bool,
}

/// The inbox.
#[derive(Debug, Default)]
pub(super) struct Inbox(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    jobs: Vec<Waiting>,
    woken: BootTime,
}

impl Inbox {
    /// Puts a mark; true: the engine should look now.
    pub fn put(&self, job: &JobId, at: BootTime, mark: Mark) -> bool {
        let mut state = self.lock();
        let place = match state.jobs.iter().position(|waiting| waiting.job == *job) {
            Some(place) => place,
            None => {
                let marks = Vec::new();
                state.jobs.push(Waiting { job: job.clone(), marks, merged: false });
                state.jobs.len() - 1
            }
        };
        let is_count = matches!(mark, Mark::Count(..));
        state.jobs[place].put(at, mark);
        if is_count || at.since(state.woken) < WAKE_PERIOD {
            return false;
        }
        state.woken = at;
        true
    }

    /// Swaps what waits with an empty list.
    pub fn take(&self, empty: &mut Vec<Waiting>) {
        std::mem::swap(&mut self.lock().jobs, empty);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn put(&mut self, at: BootTime, mark: Mark) {
        match mark {
            Mark::Count(..) => self.put_count(at, mark),
            phase if self.marks.len() < MOST => self.marks.push((at, phase)),
            phase => {
                self.merged = true;
                let last = self.marks.iter_mut().rev();
                match last.map(|(_, mark)| mark).find(|mark| !matches!(mark, Mark::Count(..))) {
                    Some(last) => *last = phase,
                    None => self.marks.push((at, phase)),
                }
            }
        }
    }

    /// Adds a count to one of the same unit and phase; where too much waits, of any phase.
    fn put_count(&mut self, at: BootTime, mark: Mark) {
        let Mark::Count(mut unit, more) = mark else { return };
        let full = self.marks.len() >= MOST;
        for _ in 0..2 {
            for (_, waiting) in self.marks.iter_mut().rev() {
                match waiting {
                    Mark::Count(known, sum) if *known == unit => {
                        *sum = sum.saturating_add(more);
                        return;
                    }
                    Mark::Phase(_) | Mark::End if !full => break,
                    _ => {}
                }
            }
            if !full {
                break;
            }
            self.merged = true;
            unit = MarkName::other();
        }
        self.marks.push((at, Mark::Count(unit, more)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::marks::Count;

    fn phase(name: &str) -> Mark {
        Mark::Phase(name.parse().unwrap())
    }

    fn count(unit: &str, units: u64) -> Mark {
        Mark::Count(unit.parse().unwrap(), Count::from_thousandths(units * 1_000))
    }

    fn taken(inbox: &Inbox) -> Vec<Waiting> {
        let mut taken = Vec::new();
        inbox.take(&mut taken);
        taken
    }

    #[test]
    fn counts_of_a_phase_are_summed_and_the_engine_is_woken_for_phases_only() {
        let inbox = Inbox::default();
        let job: JobId = "a".parse().unwrap();
        let at = |milliseconds: u64| BootTime::from_nanoseconds(milliseconds * 1_000_000);
        assert!(!inbox.put(&job, at(100), count("tokens", 1)));
        assert!(inbox.put(&job, at(101), phase("epoch")));
        assert!(!inbox.put(&job, at(102), count("tokens", 2)));
        assert!(!inbox.put(&job, at(103), count("tokens", 3)));
        assert!(!inbox.put(&job, at(104), phase("eval")));
        assert!(inbox.put(&job, at(151), Mark::End));
        let marks: Vec<Mark> =
            taken(&inbox).remove(0).marks.into_iter().map(|(_, mark)| mark).collect();
        let expected = [count("tokens", 1), phase("epoch"), count("tokens", 5), phase("eval")];
        assert_eq!(marks[..4], expected);
        assert_eq!(marks[4], Mark::End);
        assert!(taken(&inbox).is_empty());
    }

    #[test]
    fn a_flood_takes_little_room_and_loses_no_unit() {
        let inbox = Inbox::default();
        let job: JobId = "a".parse().unwrap();
        for n in 0..100_000u64 {
            inbox.put(&job, BootTime::from_nanoseconds(n), phase(&format!("p{n}")));
            inbox.put(&job, BootTime::from_nanoseconds(n), count(&format!("u{}", n % 500), 1));
        }
        let waiting = taken(&inbox).remove(0);
        assert!(waiting.merged);
        assert!(waiting.marks.len() <= MOST + 2, "{}", waiting.marks.len());
        let units = waiting.marks.iter().map(|(_, mark)| match mark {
            Mark::Count(_, count) => count.thousandths() / 1_000,
            _ => 0,
        });
        assert_eq!(units.sum::<u64>(), 100_000);
        let last = waiting.marks.iter().rev().find_map(|(_, mark)| match mark {
            Mark::Phase(name) => Some(name.as_str()),
            _ => None,
        });
        assert_eq!(last, Some("p99999"));
    }
}
