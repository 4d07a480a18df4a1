// SPDX-License-Identifier: Apache-2.0
//! What the machine drew in the last hour, in a slot every five seconds.
//!
//! Read from the published books, and computed from energy, never the reverse: a slot's
//! power is what was booked in it over the time between two readings, so that the area
//! under the curve is the energy of the books. Bounded: [`SLOTS`] slots of [`DOMAINS`]
//! domains and [`JOBS`] jobs, four bytes each.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;

use crate::engine::snapshot::{DomainView, JobMeta, JobView, Snapshot};
use crate::sensors::Domain;
use crate::units::Energy;

/// Seconds of a slot; longer where readings are further apart.
pub const STEP: f64 = 5.0;
/// Slots in an hour.
pub const SLOTS: usize = 720;
/// Domains that are remembered.
const DOMAINS: usize = 64;
/// Jobs that are remembered, of those that run or ended lately.
const JOBS: usize = 64;
/// Ticks come when they come: a slot may end this much before its time.
const SLACK: f64 = 0.5;
/// The shortest time that energy is told of, in seconds.
const SHORTEST: f64 = 1e-3;
/// Seconds that are remembered.
const HOUR: f64 = 3_600.0;

/// The last hour.
#[derive(Debug, Default)]
pub struct History {
    /// Start and end of each slot, seconds since 1970 UTC.
    slots: VecDeque<(f64, f64)>,
    /// Up to when the energy of each slot was read, over all domains in the mean: a GPU's
    /// reading is some of a second old when it is published.
    reads: VecDeque<f64>,
    /// Slots that were dropped at the front.
    dropped: u64,
    /// All as long as `slots`, or new.
    domains: Vec<DomainLine>,
    /// Watts that no job used.
    unattributed: VecDeque<f32>,
    jobs: Vec<JobLine>,
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    ticks: u64,
    at: f64,
}

#[derive(Debug)]
struct DomainLine {
    domain: Arc<Domain>,
    /// Watts; NaN: not read.
    watts: VecDeque<f32>,
    read: Baseline,
}

/// Where a domain's books stood when they were last looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Baseline {
    at: Option<Timestamp>,
    total: Energy,
    unattributed: Energy,
}

impl Baseline {
    /// Where they stand now.
    pub fn of(view: &DomainView) -> Baseline {
        Baseline { at: view.last_read, total: view.total, unattributed: view.unattributed }
    }

    /// Whether nothing was read since.
    pub fn is_of(&self, view: &DomainView) -> bool {
        self.at == view.last_read
    }

    /// The mean power since then, and of it what no job used, in watts; `None` where the
    /// domain was not read in between.
    pub fn watts(&self, view: &DomainView) -> Option<(f64, f64)> {
        let seconds = seconds(view.last_read?) - seconds(self.at?);
        let over = |now: Energy, then: Energy| now.saturating_sub(then).joules() / seconds;
        (seconds > 0.0)
            .then(|| (over(view.total, self.total), over(view.unattributed, self.unattributed)))
    }
}

#[derive(Debug)]
struct JobLine {
    meta: Arc<JobMeta>,
    /// The number of its first slot, counted from the start of the daemon.
    first: u64,
    /// Joules of each slot.
    joules: VecDeque<f32>,
    total: Energy,
    /// Its start, where the first slot has all since then.
    begun: Option<f64>,
}

/// Energy in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece {
    /// Seconds since 1970 UTC.
    pub from: f64,
    /// Seconds since 1970 UTC.
    pub to: f64,
    /// Joules.
    pub joules: f64,
}

/// A slot that has just ended, or the whole of them, for the page.
#[derive(Clone, Debug, PartialEq)]
pub struct Lines {
    /// Start and end of each slot, seconds since 1970 UTC.
    pub slots: Vec<(f64, f64)>,
    /// Watts of each domain by slot; NaN: not read.
    pub domains: Vec<(Arc<Domain>, Vec<f32>)>,
    /// Watts that no job used.
    pub unattributed: Vec<f32>,
}

impl History {
    /// Takes up the books as they were published; true where a slot has ended.
    pub fn observe(&mut self, snapshot: &Snapshot) -> bool {
        let Some(at) = snapshot.at.map(seconds) else { return false };
        if snapshot.ticks == 0 {
            return false;
        }
        let Some(last) = &self.last else {
            self.begin(snapshot, at);
            return false;
        };
        if snapshot.ticks == last.ticks {
            return false;
        }
        let (from, step) = (last.at, at - last.at);
        // The clock was set: what was before has no place on the new one.
        if !(0.0..=HOUR).contains(&step) {
            *self = History::default();
            self.begin(snapshot, at);
            return false;
        }
        if step < STEP - SLACK {
            return false;
        }
        self.slots.push_back((from, at));
        self.take_domains(snapshot);
        self.take_jobs(&snapshot.jobs, from);
        self.last = Some(Last { ticks: snapshot.ticks, at });
        self.forget(at);
        true
    }

    fn begin(&mut self, snapshot: &Snapshot, at: f64) {
        self.last = Some(Last { ticks: snapshot.ticks, at });
        for view in snapshot.domains.iter().take(DOMAINS) {
            self.add_domain(view);
        }
        for view in snapshot.jobs.iter().filter(|view| view.running).take(JOBS) {
            self.add_job(view, energy(view));
        }
    }

    fn take_domains(&mut self, snapshot: &Snapshot) {
        let (mut unattributed, mut joules, mut moments) = (0.0, 0.0, 0.0);
        for view in &snapshot.domains {
            let same = |line: &DomainLine| line.domain.id == view.domain.id;
            let place = self.domains.iter().position(same);
            let Some(place) = place.or_else(|| self.add_domain(view)) else { continue };
            let line = &mut self.domains[place];
            let watts = line.read.watts(view);
            if let Some(read) = view.last_read.filter(|_| view.domain.counted()) {
                let weight = view.total.saturating_sub(line.read.total).joules();
                joules += weight;
                moments += weight * seconds(read);
            }
            if !line.read.is_of(view) {
                line.read = Baseline::of(view);
            }
            line.watts.push_back(watts.map_or(f32::NAN, |(total, _)| total as f32));
            if view.domain.counted() {
                unattributed += watts.map_or(0.0, |(_, unattributed)| unattributed);
            }
        }
        self.unattributed.push_back(unattributed as f32);
        let (from, to) = self.slots.back().copied().unwrap_or_default();
        let before = self.reads.back().copied().unwrap_or(from);
        let read = if joules > 0.0 { moments / joules } else { to };
        // Never before the last, nor after it was published.
        self.reads.push_back(read.clamp(before.min(to - SHORTEST) + SHORTEST, to));
        // One that is gone has a gap, so that all lines stay side by side, and is
        // forgotten with its last slot.
        let length = self.slots.len();
        self.domains.retain_mut(|line| {
            let gone = line.watts.len() < length;
            line.watts.resize(length, f32::NAN);
            !gone || line.watts.iter().any(|watts| !watts.is_nan())
        });
    }

    /// A domain that was not known before has no power before this slot.
    fn add_domain(&mut self, view: &DomainView) -> Option<usize> {
        if self.domains.len() == DOMAINS {
            return None;
        }
        let known = self.slots.len().saturating_sub(1);
        self.domains.push(DomainLine {
            domain: Arc::clone(&view.domain),
            watts: std::iter::repeat_n(f32::NAN, known).collect(),
            read: Baseline::of(view),
        });
        Some(self.domains.len() - 1)
    }

    fn take_jobs(&mut self, jobs: &[JobView], slot_start: f64) {
        self.jobs.retain(|line| jobs.iter().any(|job| job.meta.id == line.meta.id));
        for view in jobs {
            let known = self.jobs.iter().position(|line| line.meta.id == view.meta.id);
            // It may have started a moment before the last picture and not be in it.
            let begun = seconds(view.started) >= slot_start - STEP;
            let place = match known {
                Some(place) => place,
                None if self.jobs.len() >= JOBS => continue,
                None if begun => {
                    let place = self.add_job(view, Energy::ZERO);
                    self.jobs[place].begun = Some(seconds(view.started));
                    place
                }
                None if view.running => self.add_job(view, energy(view)),
                None => continue,
            };
            let line = &mut self.jobs[place];
            let now = energy(view);
            let joules = now.saturating_sub(line.total).joules();
            if view.running || joules > 0.0 {
                let place = self.dropped + self.slots.len() as u64 - 1 - line.first;
                line.joules.resize(place as usize, 0.0);
                line.joules.push_back(joules as f32);
            }
            line.total = now;
        }
    }

    fn add_job(&mut self, view: &JobView, total: Energy) -> usize {
        let first = self.dropped + (self.slots.len().max(1) - 1) as u64;
        let meta = Arc::clone(&view.meta);
        self.jobs.push(JobLine { meta, first, joules: VecDeque::new(), total, begun: None });
        self.jobs.len() - 1
    }

    /// Drops what is older than an hour.
    fn forget(&mut self, now: f64) {
        let old = |slot: &(f64, f64)| slot.1 < now - HOUR;
        while self.slots.len() > SLOTS || self.slots.front().is_some_and(old) {
            self.slots.pop_front();
            self.unattributed.pop_front();
            self.reads.pop_front();
            self.dropped += 1;
            for line in &mut self.domains {
                line.watts.pop_front();
            }
            for line in self.jobs.iter_mut().filter(|line| line.first < self.dropped) {
                line.joules.pop_front();
                line.first = self.dropped;
                line.begun = None;
            }
        }
    }

    /// All slots, or only the last.
    pub fn lines(&self, only_last: bool) -> Lines {
        let skip = if only_last { self.slots.len().saturating_sub(1) } else { 0 };
        let line = |line: &DomainLine| {
            (Arc::clone(&line.domain), line.watts.iter().skip(skip).copied().collect())
        };
        Lines {
            slots: self.slots.iter().skip(skip).copied().collect(),
            domains: self.domains.iter().map(line).collect(),
            unattributed: self.unattributed.iter().skip(skip).copied().collect(),
        }
    }

    /// What a job used in each slot of the last hour.
    pub fn of_job(&self, id: &str) -> Vec<Piece> {
        let Some(line) = self.jobs.iter().find(|line| line.meta.id.as_str() == id) else {
            return Vec::new();
        };
        let skip = (line.first - self.dropped) as usize;
        let before = skip.checked_sub(1).and_then(|place| self.reads.get(place)).copied();
        let before = before.or_else(|| self.slots.get(skip).map(|slot| slot.0));
        let mut from = line.begun.or(before).unwrap_or(0.0);
        let pieces = self.reads.iter().skip(skip).zip(&line.joules).map(|(&to, &joules)| {
            let piece = Piece { from, to, joules: f64::from(joules) };
            from = to;
            piece
        });
        pieces.collect()
    }
}

fn energy(view: &JobView) -> Energy {
    view.energy.iter().copied().fold(Energy::ZERO, Energy::saturating_add)
}

fn seconds(at: Timestamp) -> f64 {
    at.as_microsecond() as f64 / 1e6
}

#[cfg(test)]
mod tests;
