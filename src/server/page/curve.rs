// SPDX-License-Identifier: Apache-2.0
//! A job's power over time, from the energy of its intervals.
//!
//! The books keep intervals of minutes; the last hour is at hand in slots of seconds.
//! Where both tell of a time, the slots are taken. Pure.

use crate::ledger::JobReport;
use crate::record::curve::{Stretch, steps, thinned};

use super::history::Piece;

/// Stretches of a curve at most; where there are more, neighbours become one.
const MOST: usize = 1_500;
/// Shorter pieces, in seconds, are no slots of their own.
const SLIVER: f64 = 1.0;

/// The curve of a job whose last hour is `slots`.
pub fn curve(report: &JobReport, slots: &[Piece]) -> Vec<Stretch> {
    let started = report.job.started.as_microsecond() as f64 / 1e6;
    let ended = report.job.ended.map(|ended| ended.as_microsecond() as f64 / 1e6);
    let slots = within(slots, started, ended.unwrap_or(f64::INFINITY));
    let fine_from = slots.first().map_or(f64::INFINITY, |slot| slot.from);
    let mut curve = steps(&report.intervals, fine_from);
    curve.extend(slots.iter().map(|slot| Stretch {
        from: slot.from,
        to: slot.to,
        watts: slot.joules / (slot.to - slot.from),
    }));
    thinned(curve, MOST)
}

/// Slots cut to the job's time. What was booked after its end was used before it, and
/// what was read before its start by the slower sensors after it.
fn within(slots: &[Piece], started: f64, ended: f64) -> Vec<Piece> {
    let mut cut: Vec<Piece> = Vec::with_capacity(slots.len());
    let mut early = 0.0;
    for slot in slots {
        let (from, to) = (slot.from.max(started), slot.to.min(ended));
        match cut.last_mut() {
            _ if from < to => {
                let joules = slot.joules + std::mem::take(&mut early);
                cut.push(Piece { from, to, joules });
            }
            Some(last) => last.joules += slot.joules,
            None => early += slot.joules,
        }
    }
    // A sliver at an end would show the resolution of its readings, not its power.
    if let [.., before, last] = &mut cut[..]
        && last.to - last.from < SLIVER
    {
        (before.to, before.joules) = (last.to, before.joules + last.joules);
        cut.pop();
    }
    if let [first, next, ..] = &mut cut[..]
        && first.to - first.from < SLIVER
    {
        (next.from, next.joules) = (first.from, next.joules + first.joules);
        cut.remove(0);
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::{GpuRequest, JobSpec, JobState};
    use crate::ledger::{IntervalEnergy, JobKey, JobRow};
    use crate::units::{BootTime, Energy};

    fn report(ended: Option<i64>, intervals: &[(i64, i64, u64)]) -> JobReport {
        let second = |s: i64| jiff::Timestamp::from_second(s).unwrap();
        let spec = JobSpec {
            id: "a".parse().unwrap(),
            name: String::new(),
            user: String::new(),
            uid: 0,
            project: None,
            labels: Default::default(),
            command: vec![],
            pid: 1,
            wrapper_pid: 1,
            gpus: GpuRequest::None,
            zone: None,
            pue_thousandths: None,
            parent: None,
            reserved_cores: 1,
            timing: None,
        };
        let job = JobRow {
            key: JobKey(1),
            spec,
            origin: "run".into(),
            state: JobState::Running,
            exit: None,
            started: second(100),
            started_at: BootTime::default(),
            ended: ended.map(second),
            duration: None,
            boot_id: String::new(),
            claim: None,
            zone: None,
            pue_thousandths: None,
        };
        let interval = |&(from, to, joules): &(i64, i64, u64)| IntervalEnergy {
            from_microseconds: from * 1_000_000,
            to_microseconds: to * 1_000_000,
            energy: Energy::from_microjoules(joules * 1_000_000),
        };
        let intervals = intervals.iter().map(interval).collect();
        JobReport {
            job,
            domains: vec![],
            intervals,
            held: Default::default(),
            pue: Default::default(),
            missing: vec![],
            notes: vec![],
            phases: vec![],
            units: vec![],
        }
    }

    fn joules(curve: &[Stretch]) -> f64 {
        curve.iter().map(|one| one.watts * (one.to - one.from)).sum()
    }

    fn stretch(from: f64, to: f64, watts: f64) -> Stretch {
        Stretch { from, to, watts }
    }

    #[test]
    fn intervals_of_nested_jobs_add_up_and_a_gap_stays_one() {
        let of = |intervals: &[_]| curve(&report(None, intervals), &[]);
        assert_eq!(
            of(&[(100, 200, 1_000), (150, 200, 100), (300, 400, 500)]),
            [stretch(100.0, 150.0, 10.0), stretch(150.0, 200.0, 12.0), stretch(300.0, 400.0, 5.0)]
        );
        // What is booked for its uncertainty only has no time.
        assert_eq!(of(&[(100, 100, 0)]), []);
        assert_eq!(of(&[]), []);
    }

    #[test]
    fn slots_take_over_from_intervals_and_end_with_the_job() {
        let piece = |from, to, joules| Piece { from, to, joules };
        let slots = [
            piece(110.0, 115.0, 50.0),
            piece(115.0, 120.0, 60.0),
            // Read after its end.
            piece(120.0, 125.0, 3.0),
        ];
        let found = curve(&report(Some(117), &[(100, 117, 170)]), &slots);
        assert_eq!(
            found,
            [stretch(100.0, 110.0, 10.0), stretch(110.0, 115.0, 10.0), stretch(115.0, 117.0, 31.5),]
        );
        // A slot that began before the job is the job's from its start on.
        let found = curve(&report(None, &[]), &[piece(98.0, 103.0, 30.0)]);
        assert_eq!(found, [stretch(100.0, 103.0, 10.0)]);
        // Read before it, and its own all the same.
        let found = curve(&report(None, &[]), &[piece(95.0, 99.0, 5.0), piece(99.0, 104.0, 35.0)]);
        assert_eq!(found, [stretch(100.0, 104.0, 10.0)]);
        // Slivers at its ends go to their neighbours.
        let slivers =
            [piece(95.0, 100.5, 9.0), piece(100.5, 105.5, 46.0), piece(105.5, 110.5, 5.0)];
        let found = curve(&report(Some(106), &[]), &slivers);
        assert_eq!(found, [stretch(100.0, 106.0, 10.0)]);
    }

    #[test]
    fn a_long_curve_is_thinned_and_keeps_its_energy() {
        let intervals: Vec<_> = (0..5_001).map(|i| (100 + i * 300, 400 + i * 300, 7)).collect();
        let found = curve(&report(None, &intervals), &[]);
        assert!(found.len() <= MOST);
        assert!((joules(&found) - 5_001.0 * 7.0).abs() < 1e-3, "{}", joules(&found));
    }
}
