// SPDX-License-Identifier: Apache-2.0
//! How a statement was counted, and what it does not know.

use jiff::tz::TimeZone;

use super::groups::Sums;
use super::{Asked, By, whole, zone_name};
use crate::jobs::JobState;
use crate::record::text;
use crate::settlement::period::{Period, Wanted};
use crate::units::Energy;

/// All notes.
pub fn notes(asked: &Asked, wanted: &Wanted, period: &Period, total: &Sums) -> Vec<String> {
    let energy = |energy: Energy| text::energy(energy.joules());
    let mut notes = vec![
        "a job counts by what is booked on it in the period; what runs nested in a job counts \
         as the nested job's"
            .to_owned(),
    ];
    let mut cut = total.booked.cut;
    for account in [&period.others, &period.unattributed] {
        cut = cut.saturating_add(whole(account).cut);
    }
    if cut > Energy::ZERO {
        notes.push(format!(
            "{} of the energy is of intervals of the books that cross an edge of the period: \
             they are divided by time",
            energy(cut)
        ));
    }
    let running = period.jobs.iter().filter(|job| job.row.state == JobState::Running).count();
    if running > 0 {
        notes.push(format!("{running} of the jobs still run: what is booked by now counts"));
    }
    notes.push(
        "the uncertainty is at most this: splits of a domain between jobs, which cancel in \
         part, are added up; the sensors' gain is not in it"
            .to_owned(),
    );
    if total.booked.estimated > Energy::ZERO {
        notes.push(format!(
            "{} of the jobs' energy is estimated by a model of CPU power, not measured",
            energy(total.booked.estimated)
        ));
    }
    if total.booked.without_pue > Energy::ZERO {
        notes.push(format!(
            "no PUE is known for {} of the jobs' energy: it is in the facility's and in CO2e \
             without the building",
            energy(total.booked.without_pue)
        ));
    }
    if total.booked.figure.uncovered > Energy::ZERO {
        notes.push(format!(
            "no carbon intensity is known for the time of {}: its emissions are not known",
            energy(total.booked.figure.uncovered)
        ));
    }
    notes.push(
        "a job bears the embodied emissions of what it held by the part of its time in the \
         period; unattributed energy has no emissions here: it is no job's"
            .to_owned(),
    );
    if asked.by == By::Gpu {
        notes.push(
            "a job is with the models of the GPUs that it used, with all of its energy".to_owned(),
        );
    }
    if wanted.edges.len() > 2 && asked.zone != TimeZone::UTC {
        notes.push(format!("days are those of {}", zone_name(&asked.zone)));
    }
    notes
}
