// SPDX-License-Identifier: Apache-2.0
//! Starting the engine: the one place where the daemon's rooms are put together.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::carbon::resources::Accounting;
use crate::clock;
use crate::config::Options;
use crate::engine::{self, Command, Handle, Parts, Settings};
use crate::grid;
use crate::grid::facts::FactBook;
use crate::grid::live::{self, Ends, Live};
use crate::grid::poller::Poller;
use crate::ledger::recover::Recovered;
use crate::ledger::schema::LedgerError;
use crate::ledger::writer::Writer;
use crate::ledger::{IntensityFact, ZoneUse};
use crate::server::protocol::SensorList;

/// How long `aimeter sensors` without a daemon waits for NVML.
const NVML_WAIT: Duration = Duration::from_secs(5);

/// The engine and what the daemon needs beside it.
pub struct Running {
    /// The engine.
    pub engine: Handle,
    /// The facts of intensity at hand.
    pub facts: Arc<FactBook>,
    /// Keeps them up to date; `None`: it could not be started.
    pub live: Option<Live>,
    /// Whether the books are kept on disk.
    pub keeps_ledger: bool,
    /// Reads the building's PUE.
    pub pue: Option<Arc<grid::pue::Live>>,
    /// What records are accounted by.
    pub accounting: Arc<ArcSwap<Accounting>>,
}

/// Starts the engine with its sensors and its ledger.
///
/// # Errors
/// Where it cannot be started at all, or another daemon writes the ledger: two would
/// meter one machine, and one of them for nothing. A missing sensor or a broken
/// ledger is no reason.
pub fn engine(options: &Options) -> anyhow::Result<Running> {
    let ledger = match open_ledger(options) {
        Ok(ledger) => Some(ledger),
        Err(error) if matches!(error.downcast_ref(), Some(LedgerError::Locked { .. })) => {
            return Err(error);
        }
        Err(error) => {
            tracing::error!("{error:#}; metering goes on in memory, nothing is kept");
            None
        }
    };
    let keeps_ledger = ledger.is_some();
    let mut ledger = ledger;
    let (known, zones) = ledger.as_mut().map_or_else(Default::default, |(_, recovered)| {
        (std::mem::take(&mut recovered.facts), std::mem::take(&mut recovered.zones))
    });
    let facts = Arc::new(FactBook::of_facts(known));
    let settings = settings(options, &facts, None);
    let pue = settings.pue.live.clone();
    let engine = engine::start(Parts {
        roots: options.roots.clone(),
        nvml_library: options.nvml_library.clone(),
        settings,
        ledger,
        wait_for_gpus: Duration::ZERO,
        observe: true,
    })?;
    let live = live(options, &engine, &facts, &zones);
    let accounting = Arc::new(ArcSwap::from_pointee(options.accounting.clone()));
    Ok(Running { engine, facts, live, keeps_ledger, pue, accounting })
}

/// Starts asking feeds about the zones in use. Metering goes on without.
pub fn live(
    options: &Options,
    engine: &Handle,
    facts: &Arc<FactBook>,
    zones: &[ZoneUse],
) -> Option<Live> {
    let environment = Box::new(|name: &str| std::env::var(name).ok());
    let mut poller =
        Poller::new(options.grid.clone(), Arc::clone(facts), environment, live::seed());
    poller.remember(clock::wall(), zones);
    let (seen, told) = (engine.clone(), engine.clone());
    let ends = Ends {
        in_use: Box::new(move || zones_in_use(&seen)),
        take: Box::new(move |facts| told.try_send(Command::Intensity(facts.to_vec())).is_ok()),
    };
    Live::start(poller, ends)
        .inspect_err(|error| tracing::error!(%error, "no feed of intensity is asked"))
        .ok()
}

/// Zones in which energy is used now. A job may name anything: what is no zone is not
/// asked about.
fn zones_in_use(engine: &Handle) -> Vec<ZoneUse> {
    let snapshot = engine.snapshot();
    let to = clock::wall();
    let zones = snapshot.zones.iter().filter_map(|view| {
        let zone = view.asked.as_deref().filter(|zone| grid::intensity_of(zone).is_some())?;
        Some(ZoneUse { zone: zone.to_owned(), from: view.since.min(to), to })
    });
    zones.collect()
}

fn open_ledger(options: &Options) -> anyhow::Result<(Writer, Recovered)> {
    use anyhow::Context as _;
    let directory = &options.state_dir;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory)
        .with_context(|| format!("cannot make the state directory {}", directory.display()))?;
    let ended_since = clock::wall() - options.keep_finished;
    let boot_id = engine::boot_id(&options.roots);
    Ok(Writer::open(directory, &boot_id, ended_since)?)
}

/// The engine's settings by these options; the building's PUE is read from now on,
/// where they say so. `earlier` is who read it before.
pub fn settings(
    options: &Options,
    facts: &Arc<FactBook>,
    earlier: Option<&grid::pue::Live>,
) -> Settings {
    let mut settings = options.settings(Arc::clone(facts));
    if let Some(meter) = options.pue_meter() {
        match grid::pue::start(meter, earlier) {
            Ok(live) => settings.pue.live = Some(live),
            Err(error) => tracing::error!("the PUE is not read: {error}"),
        }
    }
    settings
}

/// The shipped table's fact for a zone; the world's where none is set or known.
pub fn intensity_fact(zone: Option<&str>) -> IntensityFact {
    grid::fact_for(zone, clock::wall()).fact
}

/// What this process finds by itself, without a daemon.
pub fn sensor_list(options: &Options) -> SensorList {
    sensors_after(options, Duration::ZERO)
}

/// The same after some readings, so that counters have had the time to move.
pub fn sensors_in_motion(options: &Options) -> SensorList {
    sensors_after(options, options.period * 2 + options.period / 2)
}

fn sensors_after(options: &Options, time: Duration) -> SensorList {
    let engine = engine::start(Parts {
        roots: options.roots.clone(),
        nvml_library: options.nvml_library.clone(),
        settings: options.settings(Arc::default()),
        ledger: None,
        wait_for_gpus: NVML_WAIT,
        observe: true,
    });
    let Ok(engine) = engine else { return SensorList::default() };
    std::thread::sleep(time);
    let (reply, answer) = tokio::sync::oneshot::channel();
    match engine.send(Command::Sensors(reply)) {
        Ok(()) => answer.blocking_recv().unwrap_or_default(),
        Err(_) => SensorList::default(),
    }
}
