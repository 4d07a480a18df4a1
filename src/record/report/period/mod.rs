// SPDX-License-Identifier: Apache-2.0
//! The statement of a period: what its jobs used and emitted, by user, project, model,
//! GPU or day, what was nobody's, and how it went over time.
//!
//! Sums of what the books hold of the period ([`crate::settlement::period`]); how lines
//! and jobs at its edges count is told in the notes. The groups, other jobs and what was
//! nobody's make up the machine's energy.

pub mod csv;
pub mod edges;
mod groups;
pub mod html;
pub mod markdown;
mod notes;
mod rows;
pub mod text;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::settlement::period::{Booked, ByTime, Period, Wanted};
use groups::Sums;

/// Name and version of this form.
pub const SCHEMA: &str = "aimeter-statement/1";

/// What the jobs of a period are put together by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Who ran them.
    User,
    /// `--project`.
    Project,
    /// Their label `model`.
    Model,
    /// The models of the GPUs that they used.
    Gpu,
    /// The days in which they ran.
    Day,
}

/// The statement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Statement {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The machine's name.
    pub host: Option<String>,
    /// RFC 3339, UTC.
    pub since: String,
    /// RFC 3339, UTC; not in it.
    pub until: String,
    /// The moment of which emissions are told.
    pub known_at: String,
    /// In whose days it counts.
    pub time_zone: String,
    /// Only this user's jobs; null: all.
    pub user: Option<String>,
    /// Only this project's; null: all.
    pub project: Option<String>,
    /// The jobs that were asked for.
    pub total: Figures,
    /// All that the machine's counted domains used.
    pub machine_joules: f64,
    /// Of that, by jobs that were not asked for.
    pub other_jobs_joules: f64,
    /// Of that, by no job.
    pub unattributed_joules: f64,
    /// The same as a part of the machine's, 0 to 1; null where it used nothing.
    pub unattributed_share: Option<f64>,
    /// What the groups are.
    pub by: By,
    /// In the order of energy; days in that of time.
    pub groups: Vec<Group>,
    /// `day` or `week`.
    pub trend_by: &'static str,
    /// Without the empty ones at both ends.
    pub trend: Vec<Stretch>,
    /// How it was counted.
    pub notes: Vec<String>,
}

/// Figures of jobs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// How many ran.
    pub jobs: u64,
    /// Joules of counted domains.
    pub joules: f64,
    /// ± joules at 95 %, at most.
    pub uncertainty_joules: f64,
    /// `measured`, `estimated`, `mixed`; null where nothing was used.
    pub provenance: Option<&'static str>,
    /// With the PUE, where one is known.
    pub facility_joules: f64,
    /// Grams CO2e of the electricity; null where the intensity of any part is unknown.
    pub operational_grams: Option<f64>,
    /// The part of it that is final.
    pub settled_grams: Option<f64>,
    /// The part that is not.
    pub unsettled_grams: Option<f64>,
    /// Grams CO2e of the hardware; null where it is not computed for any job.
    pub embodied_grams: Option<f64>,
}

/// Jobs with the same key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// The key; null: they have none.
    pub key: Option<String>,
    /// Of these jobs.
    pub figures: Figures,
}

/// A day or a week, or what of it is in the period.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stretch {
    /// Its first day, in the statement's time zone.
    pub day: String,
    /// RFC 3339, UTC.
    pub from: String,
    /// RFC 3339, UTC; not in it.
    pub to: String,
    /// Of the jobs that were asked for.
    pub figures: Figures,
    /// By other jobs.
    pub other_jobs_joules: f64,
    /// By no job.
    pub unattributed_joules: f64,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What the jobs are put together by.
    pub by: By,
    /// Whose days.
    pub zone: TimeZone,
    /// Whether the edges are those of weeks.
    pub weeks: bool,
    /// The machine's name.
    pub host: Option<String>,
}

/// The statement on what was read.
pub fn statement(asked: &Asked, wanted: &Wanted, period: &Period) -> Statement {
    let total = Sums::of_all(&period.jobs);
    let (others, nobody) = (whole(&period.others), whole(&period.unattributed));
    let joules = |booked: &Booked| booked.energy().joules();
    let mine = total.booked.energy();
    let machine = mine.saturating_add(others.energy()).saturating_add(nobody.energy()).joules();
    let edge = |edge: Option<&Timestamp>| edge.map_or_else(String::new, |time| rfc3339(*time));
    Statement {
        schema: SCHEMA,
        host: asked.host.clone(),
        since: edge(wanted.edges.first()),
        until: edge(wanted.edges.last()),
        known_at: rfc3339(wanted.at),
        time_zone: zone_name(&asked.zone),
        user: wanted.user.clone(),
        project: wanted.project.clone(),
        total: total.figures(&period.domains),
        machine_joules: machine,
        other_jobs_joules: joules(&others),
        unattributed_joules: joules(&nobody),
        unattributed_share: (machine > 0.0).then(|| joules(&nobody) / machine),
        by: asked.by,
        groups: groups::groups(asked, wanted, period),
        trend_by: if asked.weeks { "week" } else { "day" },
        trend: trend(asked, wanted, period),
        notes: notes::notes(asked, wanted, period, &total),
    }
}

fn trend(asked: &Asked, wanted: &Wanted, period: &Period) -> Vec<Stretch> {
    let at = |by_time: &ByTime, place: usize| {
        by_time.get(&place).map_or(0.0, |booked| booked.energy().joules())
    };
    let stretch = |(place, pair): (usize, &[Timestamp])| Stretch {
        day: day(pair[0], &asked.zone),
        from: rfc3339(pair[0]),
        to: rfc3339(pair[1]),
        figures: Sums::at(&period.jobs, place).figures(&period.domains),
        other_jobs_joules: at(&period.others, place),
        unattributed_joules: at(&period.unattributed, place),
    };
    let trend: Vec<Stretch> = wanted.edges.windows(2).enumerate().map(stretch).collect();
    let empty = |one: &Stretch| {
        one.figures.jobs == 0
            && one.figures.joules + one.other_jobs_joules + one.unattributed_joules == 0.0
    };
    let first = trend.iter().position(|one| !empty(one)).unwrap_or(trend.len());
    let last = trend.iter().rposition(|one| !empty(one)).map_or(first, |last| last + 1);
    trend[first..last].to_vec()
}

fn whole(by_time: &ByTime) -> Booked {
    let mut sum = Booked::default();
    by_time.values().for_each(|booked| sum.add(booked));
    sum
}

fn rfc3339(moment: Timestamp) -> String {
    format!("{moment:.3}")
}

fn day(moment: Timestamp, zone: &TimeZone) -> String {
    zone.to_datetime(moment).date().to_string()
}

fn zone_name(zone: &TimeZone) -> String {
    zone.iana_name().unwrap_or("the machine's local time").to_owned()
}
