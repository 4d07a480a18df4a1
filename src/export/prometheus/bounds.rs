// SPDX-License-Identifier: Apache-2.0
//! How many series a page may have: the jobs, users and projects beyond a
//! configured number stand together as [`OTHER`], so that no number of jobs can
//! drown a Prometheus server and sums over a page still hold to the microjoule.
//!
//! Of the jobs, those with the most energy are shown. Of users and projects, those
//! that were there first: their counters are for good, and which of them is shown
//! must not change, or `other` would fall.

use std::cmp::Reverse;

use crate::engine::snapshot::{AccountView, ByKind, JobMeta, JobView};
use crate::jobs::JobId;
use crate::units::{Energy, Power};

/// The name under which the rest stands. A job, user or project of that name
/// belongs to the rest wherever there is one.
pub const OTHER: &str = "other";

/// How many jobs, users and projects have series of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Jobs, running and finished.
    pub jobs: usize,
    /// Users.
    pub users: usize,
    /// Projects.
    pub projects: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { jobs: 1_000, users: 1_000, projects: 1_000 }
    }
}

/// What is shown of a list.
#[derive(Debug)]
pub struct Split<'a, View> {
    /// Those with series of their own.
    pub shown: Vec<&'a View>,
    /// The sum of the others.
    pub rest: Option<View>,
    /// How many those are.
    pub hidden: usize,
}

impl<View> Split<'_, View> {
    /// All that goes on the page.
    pub fn views(&self) -> impl Iterator<Item = &View> {
        self.shown.iter().copied().chain(&self.rest)
    }
}

/// The `limit` jobs with the most energy, the newer of two alike, and the rest.
pub fn jobs(all: &[JobView], limit: usize) -> Split<'_, JobView> {
    let mut ranked: Vec<&JobView> = all.iter().collect();
    if all.len() > limit {
        ranked.sort_by_key(|job| (Reverse(total(&job.energy)), Reverse(job.started)));
    }
    split(
        ranked,
        limit,
        |job| job.meta.id.as_str(),
        add_job,
        |job| {
            let id = OTHER.parse::<JobId>().unwrap_or_else(|_| job.meta.id.clone());
            let meta =
                JobMeta { id, uid: 0, name: OTHER.into(), user: String::new(), project: None };
            JobView { meta: meta.into(), ended: None, duration: None, work: None, ..job.clone() }
        },
    )
}

/// The first `limit` users or projects, and the rest.
pub fn accounts(all: &[AccountView], limit: usize) -> Split<'_, AccountView> {
    let rest = |account: &AccountView| AccountView { name: OTHER.into(), ..account.clone() };
    split(all.iter().collect(), limit, |account| &account.name, add_account, rest)
}

fn split<'a, View>(
    mut ranked: Vec<&'a View>,
    limit: usize,
    name: impl Fn(&View) -> &str,
    add: impl Fn(&mut View, &View),
    begin: impl Fn(&View) -> View,
) -> Split<'a, View> {
    if ranked.len() <= limit {
        return Split { shown: ranked, rest: None, hidden: 0 };
    }
    let mut hidden = ranked.split_off(limit);
    // One of that very name would be the same series twice.
    let (same, shown) = ranked.into_iter().partition(|view| name(view) == OTHER);
    hidden.extend::<Vec<_>>(same);
    let mut views = hidden.iter();
    let rest = views.next().map(|first| {
        views.fold(begin(first), |mut sum, view| {
            add(&mut sum, view);
            sum
        })
    });
    Split { shown, rest, hidden: hidden.len() }
}

/// Taken apart field by field: a field that comes must be summed here too.
fn add_job(sum: &mut JobView, job: &JobView) {
    // The rest as a whole ends with nobody.
    let JobView {
        meta: _,
        running,
        started,
        ended: _,
        duration: _,
        energy,
        node,
        emissions,
        embodied,
        power,
        work: _,
    } = job;
    add_energy(&mut sum.energy, energy);
    sum.node = sum.node.saturating_add(*node);
    sum.emissions = sum.emissions.saturating_add(*emissions);
    sum.embodied = sum.embodied.saturating_add(*embodied);
    let power = sum.power.microwatts().saturating_add(power.microwatts());
    sum.power = Power::from_microwatts(power);
    sum.running |= running;
    sum.started = sum.started.min(*started);
}

fn add_account(sum: &mut AccountView, account: &AccountView) {
    let AccountView { name: _, energy, emissions, embodied } = account;
    add_energy(&mut sum.energy, energy);
    sum.emissions = sum.emissions.saturating_add(*emissions);
    sum.embodied = sum.embodied.saturating_add(*embodied);
}

fn add_energy(sum: &mut ByKind, energy: &ByKind) {
    for (sum, part) in sum.iter_mut().zip(energy) {
        *sum = sum.saturating_add(*part);
    }
}

fn total(energy: &ByKind) -> Energy {
    energy.iter().fold(Energy::ZERO, |sum, part| sum.saturating_add(*part))
}
