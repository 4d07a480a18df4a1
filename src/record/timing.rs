// SPDX-License-Identifier: Apache-2.0
//! What the choice of a job's start was expected to save, and what came of it.
//!
//! The outcome compares the job as it was with the same energy, in the same course,
//! begun when the user asked, both by facts that are no forecast and no yearly mean,
//! of one zone and one boundary. Where such facts are not there (yet), it is null.

use crate::carbon::{Operational, operational, shifted};
use crate::grid::window::saving_percent;
use crate::ledger::{IntensityFact, IntensityKind, JobReport};
use crate::units::Energy;

use super::TimingPart;
use super::build::{hundredths, rfc3339};

/// The part of a job whose start was chosen. `facts` are those in force, `as_it_was`
/// the emissions by them.
pub(super) fn part(
    report: &JobReport,
    facts: &[IntensityFact],
    as_it_was: &Operational,
) -> Option<TimingPart> {
    let timing = report.job.spec.timing.as_ref()?;
    let waited = timing.asked_at.as_microsecond() - report.job.started.as_microsecond();
    let intervals = shifted(&report.intervals, waited);
    let at_once = operational(&intervals, facts, 1_000);
    let comparable = is_known(as_it_was)
        && is_known(&at_once)
        && as_it_was.boundary() == at_once.boundary()
        && as_it_was.boundary() != Some("mixed")
        && at_once.uses.iter().all(|used| used.fact.zone.eq_ignore_ascii_case(&timing.zone));
    let figures = comparable
        .then(|| at_once.mean_grams_per_kwh().zip(as_it_was.mean_grams_per_kwh()))
        .flatten();
    let saving = |(at_once, chosen)| hundredths(saving_percent(at_once, chosen));
    let expected =
        (timing.expected_at_once.grams_per_kwh(), timing.expected_window.grams_per_kwh());
    Some(TimingPart {
        policy: timing.policy.as_str().to_owned(),
        asked_at: rfc3339(timing.asked_at),
        waited_seconds: timing.waited_milliseconds as f64 / 1e3,
        window_from: rfc3339(timing.window_from),
        window_to: rfc3339(timing.window_to),
        expected_at_once_grams_per_kwh: expected.0,
        expected_window_grams_per_kwh: expected.1,
        expected_saving_percent: saving(expected),
        zone: timing.zone.clone(),
        signal: timing.signal.clone(),
        boundary: timing.boundary.clone(),
        source: timing.source.clone(),
        forecast_fetched_at: rfc3339(timing.fetched_at),
        at_once_grams_per_kwh: figures.map(|(at_once, _)| at_once),
        realised_saving_percent: figures.map(saving),
    })
}

/// Whether facts that are no forecast and no yearly mean cover all of it.
fn is_known(carbon: &Operational) -> bool {
    let known = |kind| !matches!(kind, IntensityKind::Forecast | IntensityKind::Table);
    carbon.uncovered == Energy::ZERO
        && !carbon.uses.is_empty()
        && carbon.uses.iter().all(|used| known(used.fact.kind))
}
