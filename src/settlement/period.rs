// SPDX-License-Identifier: Apache-2.0
//! What was booked in a period, by account and by the days or weeks in it.
//!
//! Each line of the books counts once, for its own account: what runs nested in a job is
//! the nested job's. A line that crosses an edge, of the period or of a day, is divided
//! by time, as for constant power, in integers: the parts of neighbouring periods add up
//! to the whole line, to the microjoule. Embodied emissions have no line: of what a job
//! held it bears the part of its time that is in the period.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Figure, known_in};
use crate::carbon::embodied::{Embodied, EmbodiedSettings};
use crate::carbon::operational;
use crate::carbon::pue::PueByTime;
use crate::ledger::query::{Reader, Sum};
use crate::ledger::schema::LedgerError;
use crate::ledger::{Amount, Booking, DomainKey, IntervalEnergy, JobKey, JobRow, Uncertainty};
use crate::sensors::{Domain, Kind, Method};
use crate::units::Energy;

/// Which jobs, of which time.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Only this user's.
    pub user: Option<String>,
    /// Only this project's.
    pub project: Option<String>,
    /// The start of the period, the ends of its days or weeks, its end: two at least.
    pub edges: Vec<Timestamp>,
    /// The moment of which emissions are told.
    pub at: Timestamp,
}

impl Wanted {
    fn selects(&self, row: &JobRow) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| match wanted {
            Some(wanted) => found == Some(wanted),
            None => true,
        };
        is(&self.user, Some(&row.spec.user)) && is(&self.project, row.spec.project.as_deref())
    }

    fn span(&self) -> (Timestamp, Timestamp) {
        let first = self.edges.first().copied().unwrap_or(self.at);
        (first, self.edges.last().copied().unwrap_or(first))
    }
}

/// What was booked on an account within one day or week.
#[derive(Clone, Debug, Default)]
pub struct Booked {
    /// Of counted domains.
    pub sums: BTreeMap<DomainKey, Sum>,
    /// The part of it from lines that cross an edge of the period.
    pub cut: Energy,
    /// The part of it that a model gave.
    pub estimated: Energy,
    /// With the building's part, where a PUE is known, in joules.
    pub facility_joules: f64,
    /// The part for which none is.
    pub without_pue: Energy,
    /// Emissions; of an account that is no job's, none.
    pub figure: Figure,
}

impl Booked {
    /// Energy of counted domains.
    pub fn energy(&self) -> Energy {
        let energies = self.sums.values().map(|sum| sum.amount().energy);
        energies.fold(Energy::ZERO, Energy::saturating_add)
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Booked) {
        for (key, sum) in &other.sums {
            self.sums.entry(*key).or_default().merge(sum);
        }
        self.cut = self.cut.saturating_add(other.cut);
        self.estimated = self.estimated.saturating_add(other.estimated);
        self.facility_joules += other.facility_joules;
        self.without_pue = self.without_pue.saturating_add(other.without_pue);
        self.figure.add(&other.figure);
    }
}

/// By the place of the day or week.
pub type ByTime = BTreeMap<usize, Booked>;

/// A job in a period.
#[derive(Clone, Debug)]
pub struct JobInPeriod {
    /// The job.
    pub row: JobRow,
    /// The models of the GPUs that it used.
    pub gpus: BTreeSet<String>,
    /// What was booked on it.
    pub booked: ByTime,
    /// The days or weeks in which it ran.
    pub ran: BTreeSet<usize>,
    /// Grams CO2e of the hardware that it held; `None`: not computed.
    pub embodied_grams: Option<BTreeMap<usize, f64>>,
}

/// What was booked in a period.
#[derive(Clone, Debug, Default)]
pub struct Period {
    /// The jobs that were wanted.
    pub jobs: Vec<JobInPeriod>,
    /// Of all others.
    pub others: ByTime,
    /// Of nobody.
    pub unattributed: ByTime,
    /// The domains ever seen.
    pub domains: BTreeMap<DomainKey, Domain>,
}

/// Reads the period.
///
/// # Errors
/// [`LedgerError::Database`].
pub fn read(
    reader: &Reader,
    wanted: &Wanted,
    embodied: &EmbodiedSettings,
) -> Result<Period, LedgerError> {
    let (since, until) = wanted.span();
    let domains = reader.domains()?;
    let mut period = Period::default();
    for row in reader.ran_within(since, until)? {
        let (mut booked, intervals) = lines(reader, row.key, wanted, &domains)?;
        if !wanted.selects(&row) {
            for (place, other) in &booked {
                period.others.entry(*place).or_default().add(other);
            }
            continue;
        }
        let ran = places(&wanted.edges, row.started, row.ended.unwrap_or(wanted.at));
        if ran.is_empty() && booked.is_empty() {
            continue;
        }
        emissions(reader, &row, wanted.at, &intervals, &mut booked)?;
        let embodied_grams = hardware(reader, &row, wanted, &ran, embodied)?;
        period.jobs.push(JobInPeriod {
            gpus: gpus(&booked, &domains),
            booked,
            ran,
            embodied_grams,
            row,
        });
    }
    period.unattributed = lines(reader, JobKey::UNATTRIBUTED, wanted, &domains)?.0;
    period.domains = domains;
    Ok(period)
}

type Intervals = BTreeMap<usize, Vec<IntervalEnergy>>;

/// An account's lines, cut at the edges.
fn lines(
    reader: &Reader,
    job: JobKey,
    wanted: &Wanted,
    domains: &BTreeMap<DomainKey, Domain>,
) -> Result<(ByTime, Intervals), LedgerError> {
    let (since, until) = wanted.span();
    let edges: Vec<i64> = wanted.edges.iter().map(|edge| edge.as_microsecond()).collect();
    let (mut booked, mut intervals) = (ByTime::new(), Intervals::new());
    reader.lines_within(job, since, until, &mut |line| {
        let Some(domain) = domains.get(&line.domain).filter(|domain| domain.counted()) else {
            return;
        };
        let crosses =
            line.from_microseconds < edges[0] || line.to_microseconds > edges[edges.len() - 1];
        for (place, part) in cut(line, &edges) {
            let energy = part.amount.energy;
            let sum = booked.entry(place).or_default();
            sum.sums.entry(line.domain).or_default().add(&part.amount);
            if crosses {
                sum.cut = sum.cut.saturating_add(energy);
            }
            if domain.method == Method::Estimate {
                sum.estimated = sum.estimated.saturating_add(energy);
            }
            if job != JobKey::UNATTRIBUTED {
                intervals.entry(place).or_default().push(IntervalEnergy {
                    from_microseconds: part.from_microseconds,
                    to_microseconds: part.to_microseconds,
                    energy,
                });
            }
        }
    })?;
    Ok((booked, intervals))
}

/// The parts of a line between edges, each with the place of the edge before it. Edges
/// and resolutions of counters are whole in each part; all else is divided by time.
pub fn cut(line: &Booking, edges: &[i64]) -> Vec<(usize, Booking)> {
    let (from, to) = (line.from_microseconds, line.to_microseconds.max(line.from_microseconds));
    let mut place = edges.partition_point(|edge| *edge <= from).saturating_sub(1);
    let mut parts = Vec::new();
    while let (Some(&start), Some(&end)) = (edges.get(place), edges.get(place + 1)) {
        let (begins, ends) = (from.max(start), to.min(end));
        let touches = if from == to { start <= from && from < end } else { begins < ends };
        if touches {
            let part = Booking {
                from_microseconds: begins,
                to_microseconds: ends,
                amount: portion(line, begins, ends),
                ..*line
            };
            parts.push((place, part));
        }
        if end >= to {
            break;
        }
        place += 1;
    }
    parts
}

/// A line's amount from one moment of it to another: what is due up to the later one,
/// less what is due up to the earlier, so that no rounding is lost.
fn portion(line: &Booking, begins: i64, ends: i64) -> Amount {
    let Booking { from_microseconds: from, to_microseconds: to, amount, .. } = line;
    if to <= from {
        return *amount;
    }
    let whole = to.abs_diff(*from);
    let of = |energy: Energy| {
        let due = |moment: i64| energy.portion(moment.abs_diff(*from), whole);
        due(ends).saturating_sub(due(begins))
    };
    let gap = Energy::from_microjoules(amount.gap_nanoseconds);
    Amount {
        energy: of(amount.energy),
        uncertainty: Uncertainty {
            split: of(amount.uncertainty.split),
            gap: of(amount.uncertainty.gap),
            ..amount.uncertainty
        },
        gap_nanoseconds: of(gap).microjoules(),
    }
}

/// Adds a job's emissions and its building's energy.
fn emissions(
    reader: &Reader,
    row: &JobRow,
    at: Timestamp,
    intervals: &Intervals,
    booked: &mut ByTime,
) -> Result<(), LedgerError> {
    let known = known_in(reader, row.zone.as_deref(), row.started, row.ended, at)?;
    let pue = PueByTime::of_job(row, &reader.pue(row.started, row.ended)?);
    for (place, booked) in booked {
        let Some(intervals) = intervals.get(place) else { continue };
        let energy = booked.energy();
        let carbon = operational(intervals, &known.facts, pue.clone());
        booked.figure = Figure::of(&carbon, at);
        let mean = pue.mean(intervals);
        booked.without_pue = if mean.is_none() { energy } else { Energy::ZERO };
        booked.facility_joules = energy.joules() * mean.map_or(1.0, |mean| mean.value);
    }
    Ok(())
}

/// The places of the days or weeks in which a time lies, in part at least.
fn places(edges: &[Timestamp], from: Timestamp, to: Timestamp) -> BTreeSet<usize> {
    let touches = |pair: &[Timestamp]| from < pair[1] && to >= pair[0];
    edges.windows(2).enumerate().filter(|(_, pair)| touches(pair)).map(|(place, _)| place).collect()
}

/// Grams CO2e of the hardware that a job held, by the part of its time in each of the
/// days or weeks in which it ran.
fn hardware(
    reader: &Reader,
    row: &JobRow,
    wanted: &Wanted,
    ran: &BTreeSet<usize>,
    settings: &EmbodiedSettings,
) -> Result<Option<BTreeMap<usize, f64>>, LedgerError> {
    let held = reader.own_held(row.key)?;
    // Of a job of which nobody noted what it held, nothing is known.
    if held.machine_microseconds == 0 && held.gpus.is_empty() {
        return Ok(None);
    }
    let (from, to) = (row.started, row.ended.unwrap_or(wanted.at).max(row.started));
    let length = |from: Timestamp, to: Timestamp| {
        u64::try_from(to.as_microsecond().saturating_sub(from.as_microsecond())).unwrap_or(0)
    };
    let grams = |place: &usize| {
        let (start, end) = (*wanted.edges.get(*place)?, *wanted.edges.get(place + 1)?);
        let (inside, whole) = match length(from, to) {
            // A job without length is where it starts.
            0 => (u64::from(start <= from && from < end), 1),
            whole => (length(from.max(start), to.min(end)), whole),
        };
        let embodied = Embodied::of(&held.portion(inside, whole), settings)?;
        Some((*place, embodied.total().grams()))
    };
    Ok(ran.iter().map(grams).collect())
}

fn gpus(booked: &ByTime, domains: &BTreeMap<DomainKey, Domain>) -> BTreeSet<String> {
    let used = booked.values().flat_map(|booked| &booked.sums);
    let used = used.filter(|(_, sum)| sum.amount().energy > Energy::ZERO);
    let domains = used.filter_map(|(key, _)| domains.get(key));
    let gpus = domains.filter(|domain| domain.kind == Kind::Gpu);
    gpus.map(|domain| domain.device.clone()).collect()
}

#[cfg(test)]
mod tests;
