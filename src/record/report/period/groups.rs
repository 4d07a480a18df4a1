// SPDX-License-Identifier: Apache-2.0
//! Jobs of a period put together by a key. Each job is in one group; by day, with the
//! part that is of that day.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Asked, By, Figures, Group, day};
use crate::ledger::{DomainKey, DomainReport};
use crate::record::uncertainty::of_sum;
use crate::sensors::Domain;
use crate::settlement::period::{Booked, JobInPeriod, Period, Wanted};
use crate::units::Energy;

/// The label by which a job says which model it is about.
const MODEL: &str = "model";

/// What jobs come to.
#[derive(Clone, Debug)]
pub struct Sums {
    pub jobs: u64,
    pub booked: Booked,
    embodied_grams: Option<f64>,
}

impl Default for Sums {
    fn default() -> Sums {
        Sums { jobs: 0, booked: Booked::default(), embodied_grams: Some(0.0) }
    }
}

impl Sums {
    /// All of these jobs.
    pub fn of_all(jobs: &[JobInPeriod]) -> Sums {
        let mut sums = Sums::default();
        jobs.iter().for_each(|job| sums.add(job));
        sums
    }

    /// What of these jobs is of one day or week.
    pub fn at(jobs: &[JobInPeriod], place: usize) -> Sums {
        let mut sums = Sums::default();
        for job in jobs {
            let booked = job.booked.get(&place);
            if !job.ran.contains(&place) && booked.is_none() {
                continue;
            }
            sums.jobs += 1;
            if let Some(booked) = booked {
                sums.booked.add(booked);
            }
            let grams = job.embodied_grams.as_ref();
            sums.add_embodied(grams.map(|by| by.get(&place).copied().unwrap_or(0.0)));
        }
        sums
    }

    fn add(&mut self, job: &JobInPeriod) {
        self.jobs += 1;
        job.booked.values().for_each(|booked| self.booked.add(booked));
        self.add_embodied(job.embodied_grams.as_ref().map(|by| by.values().sum()));
    }

    fn add_embodied(&mut self, grams: Option<f64>) {
        self.embodied_grams = self.embodied_grams.zip(grams).map(|(sum, grams)| sum + grams);
    }

    /// As the statement tells them.
    pub fn figures(&self, domains: &BTreeMap<DomainKey, Domain>) -> Figures {
        let booked = &self.booked;
        let reports: Vec<DomainReport> = booked
            .sums
            .iter()
            .filter_map(|(key, sum)| {
                let domain = domains.get(key)?.clone();
                // Over several jobs none has a domain for itself.
                Some(DomainReport { domain, amount: sum.amount(), moved: None, exclusive: false })
            })
            .collect();
        let energy = booked.energy();
        let known = booked.figure.uncovered == Energy::ZERO;
        let grams = |grams: f64| known.then_some(grams);
        Figures {
            jobs: self.jobs,
            joules: energy.joules(),
            uncertainty_joules: of_sum(&reports.iter().collect::<Vec<_>>()),
            provenance: match booked.estimated {
                _ if energy == Energy::ZERO => None,
                Energy::ZERO => Some("measured"),
                estimated if estimated == energy => Some("estimated"),
                _ => Some("mixed"),
            },
            facility_joules: booked.facility_joules,
            operational_grams: grams(booked.figure.emissions.grams()),
            settled_grams: grams(booked.figure.settled_grams()),
            unsettled_grams: grams(booked.figure.unsettled.grams()),
            embodied_grams: self.embodied_grams,
        }
    }
}

/// The groups.
pub fn groups(asked: &Asked, wanted: &Wanted, period: &Period) -> Vec<Group> {
    if asked.by == By::Day {
        return by_day(asked, &wanted.edges, period);
    }
    let mut sums: BTreeMap<Option<String>, Sums> = BTreeMap::new();
    for job in &period.jobs {
        sums.entry(key(asked.by, job)).or_default().add(job);
    }
    let group =
        |(key, sums): (Option<String>, Sums)| Group { key, figures: sums.figures(&period.domains) };
    let mut groups: Vec<Group> = sums.into_iter().map(group).collect();
    groups.sort_by(|one, other| other.figures.joules.total_cmp(&one.figures.joules));
    groups
}

fn by_day(asked: &Asked, edges: &[Timestamp], period: &Period) -> Vec<Group> {
    let group = |(place, pair): (usize, &[Timestamp])| {
        let sums = Sums::at(&period.jobs, place);
        let key = Some(day(pair[0], &asked.zone));
        (sums.jobs > 0).then(|| Group { key, figures: sums.figures(&period.domains) })
    };
    edges.windows(2).enumerate().filter_map(group).collect()
}

fn key(by: By, job: &JobInPeriod) -> Option<String> {
    let spec = &job.row.spec;
    match by {
        By::User => Some(spec.user.clone()),
        By::Project => spec.project.clone(),
        By::Model => spec.labels.get(MODEL).cloned(),
        By::Gpu => {
            let models: Vec<&str> = job.gpus.iter().map(String::as_str).collect();
            (!models.is_empty()).then(|| models.join(" + "))
        }
        By::Day => None,
    }
}
