// SPDX-License-Identifier: Apache-2.0
//! The building's PUE as it is in force: looked at before each reading, told to the
//! ledger as a fact where it changed.
//!
//! Nothing is read here: a file or a feed is read by `grid::pue` on a thread of its
//! own, which leaves its last good reading in `grid::pue::Live`.

use jiff::{SignedDuration, Timestamp};

use crate::carbon::pue::PueNow;
use crate::ledger::{Event, JobRow, PueFact};
use crate::units::BootTime;

use super::core::Engine;

/// How long an absence may be for its schedule to be filled in.
const LONGEST_ABSENCE: SignedDuration = SignedDuration::from_hours(31 * 24);
/// A schedule changes at whole minutes.
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

impl Engine {
    /// Takes up what holds now.
    pub(super) fn look_at_pue(&mut self, now: BootTime) {
        let wall = self.wall(now);
        let found = self.settings.pue.at(wall, now);
        if found == self.pue {
            return;
        }
        let planned = |pue: Option<PueNow>| pue.is_some_and(|pue| pue.source == "schedule");
        let exact = planned(self.pue) || planned(found);
        let from = if exact { whole_minute(wall) } else { wall };
        self.take_pue(found, from, wall);
    }

    /// Fills in the schedule of a time in which nobody looked; then takes up what
    /// holds now. Once, after the jobs were taken up.
    pub(super) fn begin_pue(&mut self, now: BootTime) {
        let away = self.away_since.unwrap_or(now);
        let wall = self.wall(now);
        let mut at = self.wall(away).max(wall - LONGEST_ABSENCE);
        if self.settings.pue.live.is_none() && self.settings.pue.schedule.is_some() {
            while at < wall {
                let found = self.settings.pue.at(at, now);
                if found != self.pue {
                    self.take_pue(found, at, at);
                }
                at = whole_minute(at) + MINUTE;
            }
        }
        let found = self.settings.pue.at(wall, now);
        self.take_pue(found, wall, wall);
    }

    /// From `from` on, but not before the fact in force; else from `now` on.
    fn take_pue(&mut self, found: Option<PueNow>, from: Timestamp, now: Timestamp) {
        // So that no line of the books lies on both sides of a change.
        self.close_intervals();
        self.pue = found;
        self.spread_pue();
        let last = self.pue_facts.last();
        // Facts come in order, also where the wall clock was set back.
        let from = match last {
            Some(last) if from <= last.from => now.max(last.from + SignedDuration::from_micros(1)),
            _ => from,
        };
        let thousandths = found.map(|pue| pue.thousandths);
        let source = found.map_or("config", |pue| pue.source).to_owned();
        // After a restart the fact in force may be the same.
        let same = |last: &PueFact| {
            last.thousandths == thousandths && (thousandths.is_none() || last.source == source)
        };
        if last.map_or(thousandths.is_none(), same) {
            return;
        }
        let fact = PueFact { from, thousandths, source };
        self.batch.events.push(Event::Pue(fact.clone()));
        self.forget_old_facts();
        self.pue_facts.push(fact);
    }

    /// The present PUE for all jobs that have none of their own.
    fn spread_pue(&mut self) {
        let pue = self.pue.map_or(1_000, |pue| pue.thousandths);
        for job in self.jobs.iter_mut().flatten() {
            job.pue_thousandths = job.row.spec.pue_thousandths.unwrap_or(pue);
        }
    }

    /// Forgets what held before the oldest running job began.
    fn forget_old_facts(&mut self) {
        let now = self.wall(crate::clock::now());
        let oldest = self.running().map(|job| job.row.started).min().unwrap_or(now);
        let old = self.pue_facts.partition_point(|fact| fact.from <= oldest);
        self.pue_facts.drain(..old.saturating_sub(1));
    }

    /// The facts of a job's time.
    pub(super) fn pue_of(&self, row: &JobRow) -> Vec<PueFact> {
        let first = self.pue_facts.partition_point(|fact| fact.from <= row.started);
        let facts = self.pue_facts[first.saturating_sub(1)..].iter();
        facts.filter(|fact| row.ended.is_none_or(|ended| fact.from < ended)).cloned().collect()
    }
}

fn whole_minute(moment: Timestamp) -> Timestamp {
    let seconds = moment.as_second();
    Timestamp::from_second(seconds - seconds.rem_euclid(60)).unwrap_or(moment)
}
