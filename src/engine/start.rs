// SPDX-License-Identifier: Apache-2.0
//! Putting the engine together and starting its thread.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::clock;
use crate::jobs::cpu::NodeCpu;
use crate::jobs::processes::ProcessTable;
use crate::ledger::Batch;
use crate::ledger::books::Books;
use crate::ledger::recover::Recovered;
use crate::ledger::writer::Writer;
use crate::meter::gpus::{GpuMonitor, GpuOptions};
use crate::sensors::estimate::{self, Estimate};
use crate::sensors::{self, Roots, Source};
use crate::units::BootTime;

use super::core::Engine;
use super::domains::LocalSource;
use super::gpus::Claimants;
use super::intensity::Followed;
use super::snapshot::Snapshot;
use super::{Command, Handle, Settings};

/// Commands that may wait; clients beyond wait in turn.
const COMMANDS: usize = 256;
/// Readings of GPU threads that may wait for a tick: 64 GPUs for some seconds.
const GPU_EVENTS: usize = 1024;
/// How long jobs that are taken up wait for their GPUs. The driver is open, as they
/// use it: it does not take the seconds of a first start.
const RESUME_WAIT: Duration = Duration::from_secs(2);
/// The engine's stack: no recursion, no large values on it.
const STACK: usize = 256 * 1024;

/// What an engine is made of.
pub struct Parts {
    /// Where the kernel's file systems are.
    pub roots: Roots,
    /// `--nvml-library`; `None`: the system's.
    pub nvml_library: Option<PathBuf>,
    /// How it behaves.
    pub settings: Settings,
    /// The ledger's writer and what the ledger knew; `None`: memory only.
    pub ledger: Option<(Writer, Recovered)>,
    /// How long the start waits for NVML to be opened: a job that starts at once
    /// needs its first reading. Zero: not at all.
    pub wait_for_gpus: Duration,
    /// Whether the update periods of local counters are observed first (20 ms).
    pub observe: bool,
}

/// Starts the engine's thread.
///
/// # Errors
/// Where no thread can be made.
pub fn start(parts: Parts) -> std::io::Result<Handle> {
    let (commands, receiver) = sync_channel(COMMANDS);
    let (gpu_sender, gpu_events) = sync_channel(GPU_EVENTS);
    let snapshot = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
    let options = GpuOptions {
        library: parts.nvml_library,
        period: parts.settings.period,
        roots: parts.roots.clone(),
    };
    let waker = commands.clone();
    // A full queue needs no wake-up: the engine is awake then.
    let wake = Box::new(move || drop(waker.try_send(Command::Wake)));
    let monitor = GpuMonitor::start(options, gpu_sender, wake)?;
    let (writer, mut recovered) = match parts.ledger {
        Some((writer, recovered)) => (Some(writer), recovered),
        None => (None, Recovered { next_domain: 1, next_job: 1, ..Recovered::default() }),
    };
    let resume_wait = if recovered.running.is_empty() { Duration::ZERO } else { RESUME_WAIT };
    monitor.wait_ready(parts.wait_for_gpus.max(resume_wait));
    let boot_id = boot_id(&parts.roots);
    let server_rate = super::held::server_rate(&parts.settings.embodied);
    let mut engine = Engine {
        settings: parts.settings,
        boot_id,
        commands: receiver,
        gpu_events,
        monitor: Some(monitor),
        snapshot: Arc::clone(&snapshot),
        spare: None,
        local: Vec::new(),
        local_missing: Vec::new(),
        domains: Vec::new(),
        domain_keys: HashMap::new(),
        next_domain_key: 1,
        gpus: Vec::new(),
        lines: Vec::new(),
        gpu_missing: Vec::new(),
        releases: Vec::new(),
        node: NodeCpu::open(&parts.roots).ok(),
        node_last: None,
        processes: ProcessTable::open(&parts.roots).ok(),
        roots: parts.roots,
        jobs: vec![None],
        finished: Vec::new(),
        users: Vec::new(),
        projects: Vec::new(),
        next_job_key: 1,
        recovered: Recovered::default(),
        away_since: None,
        books: Books::new(),
        writer,
        batch: Batch::default(),
        pue: None,
        pue_facts: Vec::new(),
        held_until: clock::now(),
        server_rate,
        unsaid_end: false,
        last_submit: BootTime::default(),
        users_due: clock::now(),
        ended_due: clock::now(),
        interval_end: 0,
        told_zones: Vec::new(),
        followed: Followed::default(),
        wall_minus_boot: clock::wall_minus_boot_microseconds(),
        ticks: 0,
        missed_ticks: 0,
        uses: Vec::new(),
        shares: Vec::new(),
        parts: Vec::new(),
        claimants: Claimants::default(),
        inbox: Arc::default(),
        marks: Vec::new(),
        read_for_phase: BootTime::default(),
        work_due: None,
        work_told: BootTime::default(),
    };
    engine.node_last = engine.node.as_mut().and_then(|node| node.read().ok());
    engine.recover(&mut recovered);
    let running = std::mem::take(&mut recovered.running);
    engine.recovered = recovered;
    engine.add_local_sources();
    if parts.observe {
        engine.observe_updates();
    }
    engine.resume_jobs(running);
    engine.begin_pue(clock::now());
    engine.drain_gpus();
    let inbox = Arc::clone(&engine.inbox);
    std::thread::Builder::new()
        .name("engine".to_owned())
        .stack_size(STACK)
        .spawn(move || engine.run())?;
    Ok(Handle { commands, snapshot, inbox })
}

/// The boot's id; empty where the kernel does not say.
pub fn boot_id(roots: &Roots) -> String {
    let path = roots.procfs.join("sys/kernel/random/boot_id");
    std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

impl Engine {
    /// Discovers what is read on the engine's own thread; with nothing that counts a
    /// CPU, the estimate takes its place.
    fn add_local_sources(&mut self) {
        let mut sources = sensors::local_sources(&self.roots);
        let mut found: Vec<_> = sources.iter_mut().map(|source| source.discover()).collect();
        if estimate::is_needed(found.iter().flat_map(|discovery| &discovery.domains)) {
            let mut estimate = Box::new(Estimate::new(&self.roots));
            found.push(estimate.discover());
            sources.push(estimate);
        }
        for (source, discovery) in sources.into_iter().zip(found) {
            self.local_missing.extend(discovery.missing);
            self.add_local(source, discovery.domains);
        }
    }

    fn add_local(&mut self, source: Box<dyn Source>, domains: Vec<sensors::Domain>) {
        let epoch = source.epoch();
        let places: Vec<usize> =
            domains.into_iter().map(|domain| self.place_of(domain, &epoch)).collect();
        let slots = vec![Err(sensors::ReadError::NoData("not read yet")); places.len()];
        self.local.push(LocalSource { source, places, slots });
    }

    /// Reads local counters quickly for 20 ms to see how often they move.
    fn observe_updates(&mut self) {
        let end = clock::now().plus(Duration::from_millis(20));
        let mut last = vec![(None, None); self.domains.len()];
        while clock::now() < end {
            for local in &mut self.local {
                local.source.read(&mut local.slots);
                for (&place, slot) in local.places.iter().zip(&local.slots) {
                    let Ok(reading) = slot else { continue };
                    let (value, changed): &mut (Option<_>, Option<BootTime>) = &mut last[place];
                    if *value == Some(reading.value) {
                        continue;
                    }
                    *value = Some(reading.value);
                    if let Some(before) = changed.replace(reading.at) {
                        let period = reading.at.since(before);
                        let seen = &mut self.domains[place].observed_update;
                        *seen = Some(seen.map_or(period, |least| least.min(period)));
                    }
                }
            }
            std::thread::sleep(Duration::from_micros(500));
        }
    }
}
