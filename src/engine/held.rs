// SPDX-License-Identifier: Apache-2.0
//! How long each job holds hardware: what embodied carbon goes by.
//!
//! At each look, the time since the last one is given out. A GPU's goes to the jobs
//! that hold it, evenly where several do (by slices with MIG); to nobody where no job
//! does. The machine's goes by the GPUs held where it has GPUs, else by CPU time.
//! So the parts of all jobs are never more than the whole. In whole microseconds,
//! the rest is carried on: what a restart adds up anew is the same sum.

use std::time::Duration;

use crate::attribution::gpu;
use crate::carbon::embodied::{Embodied, EmbodiedSettings};
use crate::ledger::books::Slot;
use crate::ledger::{DomainKey, Held, HeldMark};
use crate::units::{BootTime, Emissions, Energy};

use super::core::Engine;
use super::job::Job;

/// What a job held, in microseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Hold {
    pub machine: u64,
    /// By domain's place.
    pub gpus: Vec<u64>,
}

impl Hold {
    pub fn add(&mut self, place: Option<usize>, microseconds: u64) {
        match place {
            None => self.machine += microseconds,
            Some(place) => {
                if self.gpus.len() <= place {
                    self.gpus.resize(place + 1, 0);
                }
                self.gpus[place] += microseconds;
            }
        }
    }
}

impl Engine {
    /// Gives out the time since the last look. After the jobs' CPU times were read.
    pub(super) fn give_out_time(&mut self, now: BootTime) {
        let time = now.since(self.held_until).as_micros();
        let time = u64::try_from(time).unwrap_or(u64::MAX);
        self.held_until = self.held_until.plus(Duration::from_micros(time));
        if self.gpus.is_empty() {
            self.give_out_by_cpu(time);
        } else {
            for gpu in 0..self.gpus.len() {
                self.give_out_gpu(gpu, time);
            }
        }
    }

    fn give_out_by_cpu(&mut self, time: u64) {
        let cores = u64::from(self.node_last.map_or(1, |node| node.cores.max(1)));
        let used = |engine: &Engine, slot: usize| engine.uses[slot].used_microseconds;
        let all: u64 = (1..self.uses.len()).map(|slot| used(self, slot)).sum();
        let whole = time.saturating_mul(cores).max(all);
        for slot in 1..self.uses.len() {
            let part = portion(time, used(self, slot), whole);
            self.hold(Slot(slot), None, part);
        }
    }

    fn give_out_gpu(&mut self, gpu: usize, time: u64) {
        let mut claimants = std::mem::take(&mut self.claimants);
        self.fill_holders(gpu, &mut claimants);
        // Whoever holds it keeps others from it, busy or not.
        claimants.list.iter_mut().for_each(|claimant| claimant.utilisation = 0);
        self.parts.clear();
        self.parts.resize(claimants.list.len(), Energy::ZERO);
        let state = &self.gpus[gpu];
        let (place, slices) = (state.place, state.all_slices);
        // A time is split as an energy is.
        gpu::split(Energy::from_microjoules(time), slices, &claimants.list, &mut self.parts);
        let gpus = self.gpus.len() as u64;
        for (part, owner) in claimants.owners.iter().enumerate() {
            let microseconds = self.parts[part].microjoules();
            if let Some(slot) = *owner {
                self.hold(slot, Some(place), microseconds);
                self.hold(slot, None, microseconds / gpus);
            }
        }
        self.claimants = claimants;
    }

    /// Adds a time that a job held a GPU, or (`None`) the machine.
    fn hold(&mut self, slot: Slot, place: Option<usize>, microseconds: u64) {
        if microseconds == 0 {
            return;
        }
        let embodied = Emissions::of_time(microseconds, self.embodied_rate(place));
        let Some(job) = self.job_mut(slot) else { return };
        job.held_own.add(place, microseconds);
        let (user, project) = (job.user, job.project);
        self.users[user].add_embodied(embodied);
        if let Some(project) = project {
            self.projects[project].add_embodied(embodied);
        }
        self.hold_inclusive(slot, place, microseconds, true);
    }

    /// Adds a time to the figures of a job and, if so wanted, of those around it.
    pub(super) fn hold_inclusive(
        &mut self,
        slot: Slot,
        place: Option<usize>,
        microseconds: u64,
        around: bool,
    ) {
        let embodied = Emissions::of_time(microseconds, self.embodied_rate(place));
        let mut next = Some(slot);
        while let Some(job) = next.and_then(|slot| self.job_mut(slot)) {
            job.held.add(place, microseconds);
            job.embodied = job.embodied.saturating_add(embodied);
            next = if around { job.parent } else { None };
        }
    }

    /// Nanograms CO2e an hour of holding a GPU, or (`None`) the machine.
    fn embodied_rate(&self, place: Option<usize>) -> u64 {
        let Some(place) = place else { return self.server_rate };
        let gpu = self.gpus.iter().find(|gpu| gpu.place == place);
        gpu.map_or_else(|| self.gpu_rate(place), |gpu| gpu.embodied_rate)
    }

    /// Takes up what the settings say of the hardware.
    pub(super) fn renew_embodied_rates(&mut self) {
        self.server_rate = server_rate(&self.settings.embodied);
        for gpu in 0..self.gpus.len() {
            self.gpus[gpu].embodied_rate = self.gpu_rate(self.gpus[gpu].place);
        }
    }

    /// The rate of the GPU at a place, looked up by its model.
    pub(super) fn gpu_rate(&self, place: usize) -> u64 {
        let rate = self.settings.embodied.gpu(&self.domains[place].domain.device);
        rate.map_or(0, |rate| rate.nanograms_per_hour)
    }

    /// What the ledger's figures of something held emit.
    pub(super) fn embodied_of(&self, held: &Held) -> Emissions {
        Embodied::of(held, &self.settings.embodied)
            .map_or(Emissions::ZERO, |embodied| embodied.total())
    }

    /// What a job held, nested jobs included, for its report.
    pub(super) fn held_of(&self, job: &Job) -> Held {
        let mut held = Held::default();
        held.add(None, job.held.machine);
        for (place, &microseconds) in job.held.gpus.iter().enumerate() {
            if microseconds > 0 {
                held.add(Some(&self.domains[place].domain.device), microseconds);
            }
        }
        held
    }

    /// Hands what jobs have held to the ledger's batch.
    pub(super) fn tell_held(&mut self) {
        for slot in 1..self.jobs.len() {
            self.tell_held_by(Slot(slot));
        }
    }

    /// The same of one job.
    pub(super) fn tell_held_by(&mut self, slot: Slot) {
        let Some(job) = self.jobs[slot.0].as_ref() else { return };
        let (key, until, marks) = (job.row.key, self.held_until, &mut self.batch.held);
        let mut tell = |domain, microseconds| {
            if microseconds > 0 {
                marks.push(HeldMark { job: key, domain, microseconds, until });
            }
        };
        tell(DomainKey::MACHINE, job.held_own.machine);
        for (place, &microseconds) in job.held_own.gpus.iter().enumerate() {
            tell(self.domains[place].key, microseconds);
        }
    }
}

/// Nanograms CO2e an hour of holding the machine; 0 where switched off.
pub(super) fn server_rate(settings: &EmbodiedSettings) -> u64 {
    settings.server().map_or(0, |rate| rate.nanograms_per_hour)
}

/// `whole × part ÷ all`, rounded down.
fn portion(whole: u64, part: u64, all: u64) -> u64 {
    Energy::from_microjoules(whole).portion(part, all).microjoules()
}
