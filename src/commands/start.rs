// SPDX-License-Identifier: Apache-2.0
//! Starting the engine: the one place where the daemon's rooms are put together.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::carbon::pue::Live;
use crate::carbon::resources::Accounting;
use crate::clock;
use crate::config::Options;
use crate::engine::{self, Command, Handle, Parts, Settings};
use crate::grid;
use crate::ledger::query::JobSummary;
use crate::ledger::recover::Recovered;
use crate::ledger::schema::LedgerError;
use crate::ledger::writer::Writer;
use crate::ledger::{IntensityFact, JobReport};
use crate::record::{Record, account, build, host};
use crate::sensors::Roots;
use crate::server::RecordOf;
use crate::server::protocol::SensorList;
use crate::units::Emissions;

/// How long `aimeter sensors` without a daemon waits for NVML.
const NVML_WAIT: Duration = Duration::from_secs(5);

/// The engine and what the daemon needs beside it.
pub struct Running {
    /// The engine.
    pub engine: Handle,
    /// Makes a job's record.
    pub record: RecordOf,
    /// Reads the building's PUE.
    pub pue: Option<Arc<Live>>,
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
    let settings = settings(options, None);
    let pue = settings.pue.live.clone();
    let engine = engine::start(Parts {
        roots: options.roots.clone(),
        nvml_library: options.nvml_library.clone(),
        settings,
        ledger,
        wait_for_gpus: Duration::ZERO,
        observe: true,
    })?;
    let roots = options.roots.clone();
    let accounting = Arc::new(ArcSwap::from_pointee(options.accounting.clone()));
    let present = Arc::clone(&accounting);
    let record: RecordOf = Arc::new(move |report| record_of(report, &roots, &present.load()));
    Ok(Running { engine, record, pue, accounting })
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

/// The record of a report: with this host, and the intensity of the job's zone.
pub fn record_of(report: &JobReport, roots: &Roots, accounting: &Accounting) -> Record {
    let host = host::gather(roots);
    let mut record = build(report, &host, &[intensity_fact(report.job.zone.as_deref())]);
    account(&mut record, report, accounting);
    record
}

/// The engine's settings by these options; the building's PUE is read from now on,
/// where they say so. `earlier` is who read it before.
pub fn settings(options: &Options, earlier: Option<&Live>) -> Settings {
    let mut settings = options.settings(intensity_fact);
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

/// A job's operational emissions in grams CO2e, by its zone's intensity.
pub fn grams(job: &JobSummary) -> Option<f64> {
    let fact = intensity_fact(job.row.zone.as_deref());
    let pue = job.row.pue_thousandths.unwrap_or(1_000);
    Some(Emissions::of(job.total()?, fact.intensity, pue).grams())
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
        settings: options.settings(intensity_fact),
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
