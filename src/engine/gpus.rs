// SPDX-License-Identifier: Apache-2.0
//! Who holds which GPU, and since when.
//!
//! A GPU's readings come later than the moments at which claims change, because
//! its counter steps only every 0.1 s. So changes wait until the counter's value
//! at their moment is known (an edge, found by the GPU's own thread); only where
//! that fails is the energy between two readings cut by time.

use std::time::Duration;

use crate::attribution::gpu::{Claimant, Tie};
use crate::clock;
use crate::jobs::gpus::{self, MigInstance, Strength};
use crate::ledger::books::{Slot, quadrature};
use crate::meter::Point;
use crate::meter::domain::Delta;
use crate::meter::gpus::GpuEvent;
use crate::sensors::nvml::{GpuIdentity, GpuUser};
use crate::sensors::{Domain, Missing, ReadError, Reading, Value};
use crate::units::{BootTime, Energy};

use super::EngineError;
use super::core::Engine;
use super::life::holds;
use super::snapshot::SensorState;

/// How far back a GPU's thread still knows the steps of its counter.
pub(super) const KNOWN_STEPS: Duration = Duration::from_millis(500);

/// One GPU as the engine knows it.
#[derive(Debug)]
pub(super) struct GpuState {
    /// Its domain's place.
    pub place: usize,
    pub identity: gpus::GpuIdentity,
    /// Sum of the slices of its MIG instances; 0 without MIG.
    pub all_slices: u32,
    pub claims: Vec<Claim>,
    /// Changes whose moment's reading has not come yet, by time.
    pub changes: Vec<Change>,
    /// The change of a phase whose moment's reading has not come yet.
    pub phase_edge: Option<BootTime>,
    /// Whose processes are on it, with their utilisation; `None`: no job's.
    pub users: Vec<(Option<Slot>, u32)>,
    /// Uncertainty of the last edge, which the next delta begins with.
    pub edge_carried: Energy,
    /// Its number with the monitor; `None`: not open now.
    pub line: Option<usize>,
    /// Nanograms CO2e of making it, for each hour that it is held.
    pub embodied_rate: u64,
}

/// A job's claim on a GPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub slot: Slot,
    pub tie: Tie,
    pub slices: u32,
}

/// A claim that begins or ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub at: BootTime,
    pub claim: Claim,
    pub begins: bool,
    /// Whether the counter's value at this moment is being looked for.
    pub edge_asked: bool,
}

/// Buffers for [`Engine::fill_claimants`].
#[derive(Debug, Default)]
pub(super) struct Claimants {
    pub list: Vec<Claimant>,
    pub owners: Vec<Option<Slot>>,
}

impl Claimants {
    fn clear(&mut self) {
        self.list.clear();
        self.owners.clear();
    }

    fn push(&mut self, claim: &Claim) {
        let Claim { slot, tie, slices } = *claim;
        self.list.push(Claimant { tie, utilisation: 0, slices });
        self.owners.push(Some(slot));
    }
}

impl GpuState {
    /// Whether more than one may have to pay, so that it matters who is active.
    pub fn is_shared(&self) -> bool {
        let foreign = self.users.iter().any(|(owner, _)| owner.is_none());
        self.claims.len() + usize::from(foreign) > 1
    }
}

impl Engine {
    /// Takes all that the GPU threads have sent.
    pub(super) fn drain_gpus(&mut self) {
        while let Ok(event) = self.gpu_events.try_recv() {
            match event {
                GpuEvent::Opened { devices, missing, epoch } => {
                    self.gpu_missing = missing;
                    self.gpus.iter_mut().for_each(|gpu| gpu.line = None);
                    self.lines = devices
                        .into_iter()
                        .enumerate()
                        .map(|(line, device)| self.open_gpu(line, device, &epoch))
                        .collect();
                    self.claim_opened();
                }
                GpuEvent::Closed { why } => self.close_gpus(why),
                GpuEvent::Reading { gpu, result } => {
                    if let Some(gpu) = self.lines.get(gpu).copied() {
                        self.gpu_reading(gpu, result);
                    }
                }
                GpuEvent::Edge { gpu, asked, result } => {
                    if let Some(gpu) = self.lines.get(gpu).copied() {
                        self.gpu_edge(gpu, asked, result);
                    }
                }
                GpuEvent::Users { gpu, result } => {
                    if let (Some(gpu), Ok(users)) = (self.lines.get(gpu).copied(), result) {
                        self.gpu_users(gpu, &users);
                    }
                }
            }
        }
    }

    /// The GPUs cannot be read now: their counters run on, and what they move
    /// meanwhile is booked when they are read again.
    fn close_gpus(&mut self, why: Missing) {
        for gpu in 0..self.gpus.len() {
            self.gpus[gpu].line = None;
            self.expect_no_edge(gpu);
            let domain = &mut self.domains[self.gpus[gpu].place];
            domain.state = SensorState::NoData;
            domain.power = None;
            // Ends that wait for a reading get none.
            self.settle_unread(gpu);
        }
        self.lines.clear();
        let released = match why.state.as_str() {
            "failed" => Err(EngineError::GpusHeld(why.why.clone())),
            _ => Ok(()),
        };
        for reply in self.releases.drain(..) {
            // Whoever asked may have gone meanwhile.
            let _ = reply.send(released.clone());
        }
        self.gpu_missing = vec![why];
    }

    /// No edge that was asked for will come any more.
    fn expect_no_edge(&mut self, gpu: usize) {
        self.gpus[gpu].phase_edge = None;
        for change in &mut self.gpus[gpu].changes {
            change.edge_asked = false;
        }
    }

    /// Takes a GPU that the monitor has opened as its `line`; gives its place here.
    fn open_gpu(&mut self, line: usize, device: (GpuIdentity, Domain), epoch: &str) -> usize {
        let (device, domain) = device;
        let id = domain.id.clone();
        let known = self.gpus.iter().position(|gpu| self.domains[gpu.place].domain.id == id);
        let place = self.place_of(domain, epoch);
        let identity = claimable(&device);
        let embodied_rate = self.gpu_rate(place);
        let all_slices = identity.mig.iter().map(|instance| instance.slices).sum();
        match known {
            Some(gpu) => {
                let gpu = &mut self.gpus[gpu];
                (gpu.identity, gpu.all_slices, gpu.line) = (identity, all_slices, Some(line));
            }
            None => self.gpus.push(GpuState {
                place,
                identity,
                all_slices,
                claims: Vec::new(),
                changes: Vec::new(),
                phase_edge: None,
                users: Vec::new(),
                edge_carried: Energy::ZERO,
                line: Some(line),
                embodied_rate,
            }),
        }
        known.unwrap_or(self.gpus.len() - 1)
    }

    pub(super) fn gpu_reading(&mut self, gpu: usize, result: Result<Reading, ReadError>) {
        let Some(state) = self.gpus.get(gpu) else { return };
        let place = state.place;
        if self.awaits_end(gpu) || self.awaits_edge(gpu, &result) {
            return;
        }
        if let Some(delta) = self.domains[place].take(result, self.settings.period) {
            self.gpu_delta(gpu, delta, Energy::ZERO);
        }
    }

    fn gpu_edge(&mut self, gpu: usize, asked: BootTime, result: Result<Point, ReadError>) {
        let Some(state) = self.gpus.get(gpu) else { return };
        let place = state.place;
        if self.take_phase_edge(gpu, asked, &result) {
            return;
        }
        match result {
            Ok(point) => {
                let reading = Reading { at: point.at, value: Value::Counter(point.value) };
                let delta = self.domains[place].take(Ok(reading), self.settings.period);
                let earlier = self.gpus[gpu].changes.first().is_some_and(|first| first.at < asked);
                if let Some(delta) = delta {
                    if earlier {
                        // They found no edge of their own.
                        self.gpu_delta(gpu, delta, point.uncertainty);
                    } else {
                        let carried = self.gpus[gpu].edge_carried;
                        self.book_by_gpu(gpu, delta, quadrature(point.uncertainty, carried));
                    }
                }
                // The same error, with the other sign, is in what comes next.
                self.gpus[gpu].edge_carried = point.uncertainty;
            }
            // No counter: its power was read at the edge, and the energy is cut by time.
            Err(ReadError::NoData(_)) => {}
            Err(error) => {
                self.domains[place].take(Err(error), self.settings.period);
                // A claim that begins waits for the next reading, whose energy is cut by
                // time: else it would be given what was used before.
                self.expect_no_edge(gpu);
                return self.settle_unread(gpu);
            }
        }
        self.apply_changes(gpu, asked);
    }

    /// Whether a counter's reading lies behind a claim change whose edge is still
    /// looked for: taken now, its energy would be cut by time. The counter's next
    /// reading covers what this one does.
    fn awaits_edge(&self, gpu: usize, result: &Result<Reading, ReadError>) -> bool {
        let Ok(Reading { at, value: Value::Counter(_) }) = result else { return false };
        let gpu = &self.gpus[gpu];
        gpu.phase_edge.is_some_and(|edge| edge < *at)
            || gpu.changes.iter().any(|change| change.edge_asked && change.at < *at)
    }

    /// Books a delta, cut at claim changes that no edge was found for.
    fn gpu_delta(&mut self, gpu: usize, delta: Delta, edge: Energy) {
        let mut edge = quadrature(edge, std::mem::take(&mut self.gpus[gpu].edge_carried));
        let mut rest = delta;
        while let Some(at) = self.gpus[gpu].changes.first().map(|change| change.at) {
            if at >= rest.to {
                break;
            }
            if at > rest.from {
                let whole = rest.to.since(rest.from).as_nanos() as u64;
                let part = at.since(rest.from).as_nanos() as u64;
                let before = Delta {
                    to: at,
                    energy: rest.energy.portion(part, whole),
                    more: rest.more.portion(part, whole),
                    error: rest.error.portion(part, whole),
                    ..rest
                };
                rest.from = at;
                rest.energy = rest.energy.saturating_sub(before.energy);
                rest.more = rest.more.saturating_sub(before.more);
                rest.error = rest.error.saturating_sub(before.error);
                // Cut by time, not by a reading: all of the smaller part may be wrong.
                let unknown = before.energy.min(rest.energy);
                self.book_by_gpu(gpu, before, unknown);
                // And as much of what is after the cut.
                edge = quadrature(edge, unknown);
            }
            self.apply_changes(gpu, at);
        }
        self.book_by_gpu(gpu, rest, edge);
        if delta.reset {
            self.tell_reset(self.gpus[gpu].place);
        }
        self.apply_changes(gpu, delta.to);
    }

    /// Makes every claim change up to a moment.
    fn apply_changes(&mut self, gpu: usize, until: BootTime) {
        let place = self.gpus[gpu].place;
        while let Some(&change) = self.gpus[gpu].changes.first() {
            if change.at > until {
                break;
            }
            self.gpus[gpu].changes.remove(0);
            let slot = change.claim.slot;
            let total = self.domains[place].total;
            if change.begins {
                self.gpus[gpu].claims.push(change.claim);
                self.begin_share(slot, place, total);
            } else {
                self.gpus[gpu].claims.retain(|claim| claim.slot != slot);
                self.gpus[gpu].users.retain(|(owner, _)| *owner != Some(slot));
                if let Some(job) = self.job_mut(slot) {
                    job.moved[place] = job.before[place].map(|before| total.saturating_sub(before));
                }
                self.gpu_settled(slot, gpu);
            }
        }
    }

    /// Queues a claim change and asks for the counter's value at its moment.
    pub(super) fn change_claim(&mut self, gpu: usize, mut change: Change) {
        let line = self.gpus[gpu].line.filter(|_| change.at > BootTime::default());
        if let (Some(monitor), Some(line)) = (&self.monitor, line) {
            // Of a moment long past no step is known any more: a value of now is, and
            // the energy up to it is cut by time.
            let now = clock::now();
            let recent = now.since(change.at) < KNOWN_STEPS;
            change.edge_asked = monitor.edge(line, if recent { change.at } else { now });
        }
        let changes = &mut self.gpus[gpu].changes;
        let place = changes.partition_point(|other| other.at <= change.at);
        changes.insert(place, change);
        if change.at == BootTime::default() {
            self.apply_changes(gpu, change.at);
        }
    }

    /// Everyone who may have to pay for a GPU now. An ancestor of a claimant is none:
    /// the innermost job pays, and its figures are part of the ancestor's.
    pub(super) fn fill_claimants(&self, gpu: usize, claimants: &mut Claimants) {
        claimants.clear();
        for claim in &self.gpus[gpu].claims {
            claimants.push(claim);
        }
        self.add_users(gpu, claimants);
    }

    /// Who holds a GPU at this moment, whether or not its counter's value at the
    /// changes is known yet.
    pub(super) fn fill_holders(&self, gpu: usize, claimants: &mut Claimants) {
        claimants.clear();
        let state = &self.gpus[gpu];
        let begun = state.changes.iter().filter(|change| change.begins).map(|c| &c.claim);
        for claim in state.claims.iter().chain(begun) {
            // Of a job whose end is being read, the claim ends only with the reading.
            if self.job(claim.slot).is_some_and(|job| !job.ending()) {
                claimants.push(claim);
            }
        }
        self.add_users(gpu, claimants);
    }

    /// Adds those whose processes are on a GPU; then only the innermost of nested jobs
    /// are left.
    fn add_users(&self, gpu: usize, claimants: &mut Claimants) {
        let gpu = &self.gpus[gpu];
        let takes_part =
            |(owner, utilisation): &&(Option<Slot>, u32)| owner.is_some() || *utilisation > 0;
        for &(owner, utilisation) in gpu.users.iter().filter(takes_part) {
            match claimants.owners.iter().position(|other| *other == owner) {
                Some(place) => {
                    let claimant = &mut claimants.list[place];
                    claimant.tie = Tie::Held;
                    claimant.utilisation += utilisation;
                }
                None => {
                    claimants.list.push(Claimant { tie: Tie::Held, utilisation, slices: 0 });
                    claimants.owners.push(owner);
                }
            }
        }
        self.drop_ancestors(claimants);
    }

    fn drop_ancestors(&self, claimants: &mut Claimants) {
        let mut place = 0;
        while place < claimants.owners.len() {
            let (owner, tie) = (claimants.owners[place], claimants.list[place].tie);
            let has_inner = owner.is_some_and(|outer| {
                claimants.owners.iter().zip(&claimants.list).any(|(inner, claimant)| {
                    claimant.tie >= tie && inner.is_some_and(|inner| self.is_inside(inner, outer))
                })
            });
            if has_inner {
                claimants.owners.remove(place);
                claimants.list.remove(place);
            } else {
                place += 1;
            }
        }
    }

    /// Whether `inner` runs inside `outer`.
    pub(super) fn is_inside(&self, inner: Slot, outer: Slot) -> bool {
        let mut next = self.job(inner).and_then(|job| job.parent);
        while let Some(slot) = next {
            if slot == outer {
                return true;
            }
            next = self.job(slot).and_then(|job| job.parent);
        }
        false
    }

    fn gpu_users(&mut self, gpu: usize, users: &[GpuUser]) {
        if gpu >= self.gpus.len() {
            return;
        }
        let mut found = std::mem::take(&mut self.gpus[gpu].users);
        found.clear();
        for user in users {
            let owner = self.owner_of(user.pid as i32);
            let utilisation = user.sm_percent.unwrap_or(0);
            match found.iter_mut().find(|(other, _)| *other == owner) {
                Some((_, sum)) => *sum += utilisation,
                None => found.push((owner, utilisation)),
            }
        }
        self.gpus[gpu].users = found;
    }

    /// The innermost running job that a process belongs to.
    fn owner_of(&self, pid: i32) -> Option<Slot> {
        let mut owner = None;
        for job in self.jobs.iter().flatten().filter(|job| holds(job, pid)) {
            if owner.is_none_or(|outer| self.is_inside(job.slot, outer)) {
                owner = Some(job.slot);
            }
        }
        owner
    }
}

/// What a claim can name of a GPU.
fn claimable(gpu: &GpuIdentity) -> gpus::GpuIdentity {
    let instances = gpu.mig.iter().flatten();
    gpus::GpuIdentity {
        index: gpu.index,
        uuid: gpu.uuid.clone(),
        pci_bus_id: gpu.pci_address.clone().unwrap_or_default(),
        name: gpu.name.clone(),
        mig: instances
            .map(|instance| MigInstance { uuid: instance.uuid.clone(), slices: instance.slices })
            .collect(),
    }
}

/// The tie of a resolved claim.
pub(super) fn tie(strength: Strength) -> Tie {
    match strength {
        Strength::Held => Tie::Held,
        Strength::Visible => Tie::Visible,
    }
}
