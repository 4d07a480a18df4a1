// SPDX-License-Identifier: Apache-2.0
//! A counter's refresh period and phase, learned from the steps that were seen.

use std::time::Duration;

use super::middle;
use crate::units::BootTime;

/// Enough gaps to know the period and how even it is.
const WELL: usize = 4;

/// The period, from the gaps between neighbouring steps.
pub(super) struct Period {
    assumed: Duration,
    gaps: [Duration; WELL],
    /// How many gaps were seen; the oldest is overwritten.
    seen: usize,
    /// The last sharp step: its time and half the time between the readings around it.
    last_step: Option<(BootTime, Duration)>,
    /// Whether the counter was read closely since that step.
    unbroken: bool,
    /// The widest half of the time between the readings around a sharp step.
    reading_error: Duration,
}

impl Period {
    pub(super) fn assumed(period: Duration) -> Self {
        Period {
            assumed: period,
            gaps: [Duration::ZERO; WELL],
            seen: 0,
            last_step: None,
            unbroken: false,
            reading_error: Duration::ZERO,
        }
    }

    fn gaps(&self) -> &[Duration] {
        &self.gaps[..self.seen.min(WELL)]
    }

    /// The mean period; what was assumed until one gap was seen.
    pub(super) fn mean(&self) -> Duration {
        let gaps = self.gaps();
        match u32::try_from(gaps.len()) {
            Ok(count) if count > 0 => gaps.iter().sum::<Duration>() / count,
            _ => self.assumed,
        }
    }

    /// How far a single gap may be from the mean (95 %): four fifths of the range of
    /// those seen, which holds both jitter and reading error (for even jitter `J`
    /// a gap is within 0.78 `J`), at least 1 % of it and the reading error of one
    /// step, which equal gaps may hide; a fifth where the period is assumed.
    pub(super) fn error(&self) -> Duration {
        let gaps = self.gaps();
        match (gaps.iter().min(), gaps.iter().max()) {
            (Some(least), Some(most)) => {
                ((*most - *least) * 4 / 5).max(self.mean() / 100).max(self.reading_error)
            }
            _ => self.assumed / 5,
        }
    }

    pub(super) fn is_learned(&self) -> bool {
        self.seen > 0
    }

    pub(super) fn is_well_learned(&self) -> bool {
        self.seen >= WELL
    }

    /// How close two readings must be for the step between them to have a time:
    /// an eighth of a period.
    pub(super) fn sharp(&self) -> Duration {
        self.mean() / 8
    }

    pub(super) fn is_sharp(&self, earliest: BootTime, latest: BootTime) -> bool {
        latest.since(earliest) <= self.sharp()
    }

    /// Takes a step between two readings.
    pub(super) fn step(&mut self, earliest: BootTime, latest: BootTime) {
        if !self.is_sharp(earliest, latest) {
            self.unbroken = false;
            if latest.since(earliest) < self.mean() {
                // It came while we waited for its time: the phase is wrong.
                self.last_step = None;
            }
            return;
        }
        let at = middle(earliest, latest);
        if let Some((before, _)) = self.last_step {
            let gap = at.since(before);
            // A gap is one period where no step can have been missed in between.
            let single = if self.is_learned() { gap * 2 < self.mean() * 3 } else { self.unbroken };
            if single {
                self.gaps[self.seen % WELL] = gap;
                self.seen += 1;
            }
        }
        self.reading_error = self.reading_error.max(latest.since(earliest) / 2);
        self.last_step = Some((at, latest.since(earliest) / 2));
        self.unbroken = true;
    }

    pub(super) fn forget_phase(&mut self) {
        self.last_step = None;
        self.unbroken = false;
    }

    /// When to look for the step after `now`: before it by as much as it may err.
    /// `None` where the phase is not known to a quarter of a period.
    pub(super) fn next_step(&self, now: BootTime) -> Option<BootTime> {
        let (last, half_bracket) = self.last_step?;
        let period = self.mean();
        let steps = u32::try_from(now.since(last).as_nanos() / period.as_nanos().max(1)).ok()?;
        // The sum of gaps in a row errs by their first and their last step alone.
        let drift = self.error() * 2 * (steps + 1) / WELL as u32;
        let error = half_bracket + self.error() + drift;
        if !self.is_well_learned() || error * 4 >= period {
            return None;
        }
        let due = last.plus(period * steps);
        // The step that was due just now may still be coming.
        let next = if steps > 0 && now < due.plus(error) { due } else { due.plus(period) };
        Some(next.minus(error))
    }
}
