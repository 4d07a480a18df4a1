// SPDX-License-Identifier: Apache-2.0
//! Settlement: the ledger's emissions as they are known now, and how much of them is
//! final.
//!
//! The live counters keep what was known when the energy was used; this is the later
//! view beside them. Derived from the ledger each time, never written into it: only
//! what was *told* of a job is kept there. Where a zone has nothing but its yearly
//! mean, a job's sum is enough; its lines are read only where facts of times are.

pub mod period;
pub mod task;

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use crate::carbon::known::zones_of;
use crate::carbon::pue::PueByTime;
use crate::carbon::settled::LONGEST_HORIZON;
use crate::carbon::{Known, Operational, operational};
use crate::jobs::JobId;
use crate::ledger::facts::{Account, Scope, Span};
use crate::ledger::query::{JobSummary, Reader};
use crate::ledger::schema::LedgerError;
use crate::ledger::{JobKey, JobRow, Told};
use crate::units::{Emissions, Energy, Intensity};

/// Jobs that ended earlier are looked at once a day: their facts are final, as far as
/// time makes them.
const OLD: SignedDuration = LONGEST_HORIZON.saturating_add(SignedDuration::from_hours(24));
/// How long the sums of old jobs are kept.
const RENEW: SignedDuration = SignedDuration::from_hours(24);
/// Facts are looked for so long before a job's start and after its end: its lines may lie
/// there where the wall clock was set meanwhile.
const AROUND: SignedDuration = SignedDuration::from_hours(1);
/// Jobs read at a time.
const CHUNK: u32 = 1_000;

/// Emissions with what is not final of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figure {
    /// CO2e with PUE, as known now; of energy without any fact nothing is in it.
    pub emissions: Emissions,
    /// The part that rests on facts that are not final.
    pub unsettled: Emissions,
    /// Energy for whose time there is no fact.
    pub uncovered: Energy,
    /// The energy-weighted mean intensity.
    pub mean: Option<Intensity>,
}

impl Figure {
    fn of(carbon: &Operational, at: Timestamp) -> Figure {
        Figure {
            emissions: carbon.emissions,
            unsettled: carbon.unsettled(at),
            uncovered: carbon.uncovered,
            mean: carbon.mean_grams_per_kwh().and_then(Intensity::from_grams_per_kwh),
        }
    }

    /// Whether nothing better is expected.
    pub fn settled(&self) -> bool {
        self.unsettled == Emissions::ZERO && self.uncovered == Energy::ZERO
    }

    /// The final part in grams CO2e.
    pub fn settled_grams(&self) -> f64 {
        (self.emissions.grams() - self.unsettled.grams()).max(0.0)
    }

    /// What is to be kept as told; `None` where the figure is not whole.
    pub fn told(&self, at: Timestamp) -> Option<Told> {
        let whole = self.uncovered == Energy::ZERO;
        let micrograms = (self.emissions.grams() * 1e6).round() as u64;
        self.mean.filter(|_| whole).map(|mean| Told { at, micrograms, mean })
    }

    fn add(&mut self, other: &Figure) {
        self.emissions = self.emissions.saturating_add(other.emissions);
        self.unsettled = self.unsettled.saturating_add(other.unsettled);
        self.uncovered = self.uncovered.saturating_add(other.uncovered);
        self.mean = None;
    }
}

/// The view for exporters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// When it was made; `None`: not yet.
    pub at: Option<Timestamp>,
    /// Of the jobs that were asked for, nested jobs included.
    pub jobs: HashMap<JobId, Figure>,
    /// Of users since the ledger began; each joule once.
    pub users: BTreeMap<String, Figure>,
    /// Of projects since the ledger began; each joule once.
    pub projects: BTreeMap<String, Figure>,
}

/// What is known of a job's grid by the ledger.
///
/// # Errors
/// [`LedgerError::Database`].
pub fn known(reader: &Reader, row: &JobRow, at: Timestamp) -> Result<Known, LedgerError> {
    let told = reader.first_told(row.key)?;
    let known = known_in(reader, row.zone.as_deref(), since(row), row.ended, at)?;
    Ok(Known { told, ..known })
}

/// From when on facts matter for a record: one that waited tells of the time when it was
/// asked for, too.
pub fn since(row: &JobRow) -> Timestamp {
    row.spec.timing.as_ref().map_or(row.started, |timing| timing.asked_at.min(row.started))
}

fn known_in(
    reader: &Reader,
    zone: Option<&str>,
    started: Timestamp,
    ended: Option<Timestamp>,
    at: Timestamp,
) -> Result<Known, LedgerError> {
    let since = started.saturating_sub(AROUND).unwrap_or(started);
    let until = ended.unwrap_or(at).max(started).saturating_add(AROUND).unwrap_or(at);
    let mut facts = Vec::new();
    for name in zones_of(zone) {
        facts.extend(reader.intensities(&name, since, until)?);
    }
    Ok(Known::of(zone, ended, facts, at))
}

/// A listed job's emissions, nested jobs included; `None` where nothing was counted or
/// no fact is known of a part of its time.
///
/// # Errors
/// [`LedgerError::Database`].
pub fn of_listed(
    reader: &Reader,
    job: &JobSummary,
    at: Timestamp,
) -> Result<Option<Figure>, LedgerError> {
    let Some(total) = job.total() else { return Ok(None) };
    let row = &job.row;
    let known = known_in(reader, row.zone.as_deref(), row.started, row.ended, at)?;
    let pue = PueByTime::of_job(row, &reader.pue(row.started, row.ended)?);
    let constant = pue.constant(row.started, row.ended.unwrap_or(at));
    let figure = match constant.and_then(|pue| whole(&known, total, pue)) {
        Some(figure) => figure,
        None => by_interval(reader, row.key, Scope::Nested, &known, pue)?,
    };
    Ok(Some(figure).filter(|figure| figure.uncovered == Energy::ZERO))
}

/// A job's part of its user's and its project's emissions.
fn of_account(reader: &Reader, job: &Account, at: Timestamp) -> Result<Figure, LedgerError> {
    let known = known_in(reader, job.zone.as_deref(), job.started, job.ended, at)?;
    let facts = reader.pue(job.started, job.ended)?;
    let pue = PueByTime::of(job.asked_pue_thousandths, job.pue_thousandths, &facts);
    let constant = pue.constant(job.started, job.ended.unwrap_or(at));
    if let Some(pue) = constant.filter(|_| known.only_table().is_some())
        && let Some(figure) = whole(&known, reader.energy(job.key, Scope::Own)?, pue)
    {
        return Ok(figure);
    }
    by_interval(reader, job.key, Scope::Own, &known, pue)
}

/// Under a yearly mean alone the sum is enough: the same to the last digit.
fn whole(known: &Known, energy: Energy, pue: u32) -> Option<Figure> {
    let fact = known.only_table()?;
    let emissions = Emissions::of(energy, fact.intensity, pue);
    let mean = Some(fact.intensity);
    Some(Figure { emissions, unsettled: emissions, uncovered: Energy::ZERO, mean })
}

fn by_interval(
    reader: &Reader,
    job: JobKey,
    scope: Scope,
    known: &Known,
    pue: PueByTime,
) -> Result<Figure, LedgerError> {
    let intervals = reader.intervals(job, scope)?;
    Ok(Figure::of(&operational(&intervals, &known.facts, pue), known.at))
}

/// Sums by user and by project.
#[derive(Clone, Debug, Default)]
struct Sums {
    users: BTreeMap<String, Figure>,
    projects: BTreeMap<String, Figure>,
}

impl Sums {
    fn add(&mut self, job: &Account, figure: &Figure) {
        self.users.entry(job.user.clone()).or_default().add(figure);
        if let Some(project) = &job.project {
            self.projects.entry(project.clone()).or_default().add(figure);
        }
    }

    fn add_span(&mut self, reader: &Reader, span: Span, at: Timestamp) -> Result<(), LedgerError> {
        let mut after = JobKey::UNATTRIBUTED;
        loop {
            let jobs = reader.accounts(span, after, CHUNK)?;
            let Some(last) = jobs.last() else { return Ok(()) };
            after = last.key;
            for job in &jobs {
                self.add(job, &of_account(reader, job, at)?);
            }
        }
    }
}

/// The sums of old jobs, and until when they were taken.
#[derive(Clone, Debug)]
struct Old {
    before: Timestamp,
    taken: Timestamp,
    sums: Sums,
}

/// Makes the view anew, each time at the cost of the jobs of the last days.
#[derive(Debug, Default)]
pub struct Settler {
    old: Option<Old>,
}

impl Settler {
    /// The view of this moment, with the jobs of these ids.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn look<'a>(
        &mut self,
        reader: &Reader,
        shown: impl Iterator<Item = &'a JobId>,
        at: Timestamp,
    ) -> Result<Settlement, LedgerError> {
        let old = match self.old.take() {
            Some(old) if at.duration_since(old.taken) < RENEW && old.taken <= at => old,
            _ => {
                let before = at.saturating_sub(OLD).unwrap_or(Timestamp::MIN);
                let mut sums = Sums::default();
                sums.add_span(reader, Span::EndedBefore(before), at)?;
                Old { before, taken: at, sums }
            }
        };
        let mut sums = old.sums.clone();
        let since = Span::Since(old.before);
        self.old = Some(old);
        sums.add_span(reader, since, at)?;
        let mut jobs = HashMap::new();
        for id in shown {
            if let Some(job) = reader.summary(id)?
                && let Some(figure) = of_listed(reader, &job, at)?
            {
                jobs.insert(id.clone(), figure);
            }
        }
        Ok(Settlement { at: Some(at), jobs, users: sums.users, projects: sums.projects })
    }
}
