// SPDX-License-Identifier: Apache-2.0
//! Booking: one delta, split, written to every account it concerns.
//!
//! The books get each joule once: to the innermost job that used it, or to
//! `unattributed`. The figures that people see of a job include its nested jobs,
//! so a booking also adds to the ancestors' inclusive figures, never to their
//! lines in the books.

use crate::attribution::{cpu, gpu};
use crate::ledger::books::{Slot, add, quadrature};
use crate::ledger::{Amount, IntervalEnergy, Uncertainty};
use crate::meter::domain::Delta;
use crate::sensors::Kind;
use crate::units::{Emissions, Energy};

use super::core::Engine;

/// What a split leaves beside the jobs' shares.
#[derive(Clone, Copy)]
struct Split {
    /// What no job used.
    rest: Energy,
    /// Uncertainty of the delta's ends, of which each share bears its part.
    edge: Energy,
    /// Whose a gap is of which nothing is certain.
    sole: Slot,
}

impl Engine {
    /// Books a delta of a domain that goes by CPU time, and starts its time anew.
    pub(super) fn book_by_cpu(&mut self, place: usize, delta: Delta) {
        let mut shares = std::mem::take(&mut self.shares);
        let domain = &mut self.domains[place];
        shares.clear();
        shares.resize(domain.pending.jobs.len(), Energy::ZERO);
        let pending = &domain.pending;
        let policy = self.settings.idle_policy;
        let rest = cpu::split(delta.energy, policy, pending.node, &pending.jobs, &mut shares);
        domain.pending.clear();
        let mut running = self.jobs.iter().flatten();
        let sole = match (running.next(), running.next()) {
            (Some(job), None) => job.slot,
            _ => Slot::UNATTRIBUTED,
        };
        self.book_shares(place, delta, &shares, Split { rest, edge: Energy::ZERO, sole });
        self.shares = shares;
    }

    /// Books a delta of a GPU to those who claim it now. `edge` is the uncertainty
    /// of the counter's value at the delta's end.
    pub(super) fn book_by_gpu(&mut self, gpu: usize, delta: Delta, edge: Energy) {
        let mut claimants = std::mem::take(&mut self.claimants);
        self.fill_claimants(gpu, &mut claimants);
        let mut shares = std::mem::take(&mut self.shares);
        shares.clear();
        shares.resize(self.jobs.len(), Energy::ZERO);
        self.parts.clear();
        self.parts.resize(claimants.list.len(), Energy::ZERO);
        let slices = self.gpus[gpu].all_slices;
        let mut rest = gpu::split(delta.energy, slices, &claimants.list, &mut self.parts);
        for (owner, &part) in claimants.owners.iter().zip(&self.parts) {
            match owner {
                Some(slot) => shares[slot.0] = shares[slot.0].saturating_add(part),
                None => rest = rest.saturating_add(part),
            }
        }
        let sole = match claimants.owners.as_slice() {
            [Some(slot)] => *slot,
            _ => Slot::UNATTRIBUTED,
        };
        self.book_shares(self.gpus[gpu].place, delta, &shares, Split { rest, edge, sole });
        self.shares = shares;
        self.claimants = claimants;
    }

    fn book_shares(&mut self, place: usize, delta: Delta, shares: &[Energy], split: Split) {
        let Split { rest, edge, sole } = split;
        let edge = quadrature(edge, delta.error);
        let amount = |energy: Energy, resolution: Energy| {
            let part =
                |whole: Energy| whole.portion(energy.microjoules(), delta.energy.microjoules());
            let gap = if delta.gap { delta.to.since(delta.from) } else { Default::default() };
            Amount {
                energy,
                uncertainty: Uncertainty {
                    edge: part(edge),
                    split: Energy::ZERO,
                    gap: part(delta.more),
                    resolution,
                },
                gap_nanoseconds: u64::try_from(gap.as_nanos()).unwrap_or(u64::MAX),
            }
        };
        let resolution = self.domains[place].domain.resolution;
        for (slot, &share) in shares.iter().enumerate().skip(1) {
            if share > Energy::ZERO {
                self.book(Slot(slot), place, delta, amount(share, resolution));
            }
        }
        if rest > Energy::ZERO {
            self.book(Slot::UNATTRIBUTED, place, delta, amount(rest, resolution));
        } else if delta.more > Energy::ZERO && delta.energy == Energy::ZERO {
            // A gap of which nothing is certain still has to be seen: at the only
            // job there is, else at nobody's.
            let bracket = Amount {
                uncertainty: Uncertainty { gap: delta.more, ..Uncertainty::default() },
                gap_nanoseconds: u64::try_from(delta.to.since(delta.from).as_nanos())
                    .unwrap_or(u64::MAX),
                ..Amount::default()
            };
            self.book(sole, place, delta, bracket);
        }
    }

    /// One booking: the line, the domain's totals, the inclusive figures of the job
    /// and its ancestors, the user's and the project's totals.
    pub(super) fn book(&mut self, slot: Slot, place: usize, delta: Delta, amount: Amount) {
        let from = self.wall_microseconds(delta.from);
        let to = self.wall_microseconds(delta.to).max(from);
        self.books.book(slot, place, from, to, amount);
        let state = &mut self.domains[place];
        state.total = state.total.saturating_add(amount.energy);
        let (kind, counted) = (state.domain.kind, state.domain.counted());
        if slot == Slot::UNATTRIBUTED {
            state.unattributed = state.unattributed.saturating_add(amount.energy);
            return;
        }
        let mut emissions = Emissions::ZERO;
        if counted && let Some(job) = self.job_mut(slot) {
            emissions = Emissions::of(amount.energy, job.intensity, job.pue_thousandths);
            extend(&mut job.piece, from, to, amount.energy);
            let (user, project) = (job.user, job.project);
            self.users[user].add(kind, amount.energy, emissions);
            if let Some(project) = project {
                self.projects[project].add(kind, amount.energy, emissions);
            }
        }
        let mut next = Some(slot);
        while let Some(slot) = next {
            let Some(job) = self.job_mut(slot) else { break };
            add(&mut job.inclusive[place], amount);
            if counted {
                let sum = &mut job.energy[kind as usize];
                *sum = sum.saturating_add(amount.energy);
                let since = &mut job.since_power[place];
                *since = since.saturating_add(amount.energy);
                job.emissions = job.emissions.saturating_add(emissions);
                if let Some(work) = &mut job.work {
                    work.book(delta.from, delta.to, amount.energy);
                }
            } else if kind == Kind::Node {
                job.node = job.node.saturating_add(amount.energy);
            }
            next = job.parent;
        }
    }
}

fn extend(piece: &mut Option<IntervalEnergy>, from: i64, to: i64, energy: Energy) {
    let piece = piece.get_or_insert(IntervalEnergy {
        from_microseconds: from,
        to_microseconds: to,
        energy: Energy::ZERO,
    });
    piece.from_microseconds = piece.from_microseconds.min(from);
    piece.to_microseconds = piece.to_microseconds.max(to);
    piece.energy = piece.energy.saturating_add(energy);
}
