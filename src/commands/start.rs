// SPDX-License-Identifier: Apache-2.0
//! Starting the engine: the one place where the daemon's rooms are put together.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::config::Options;
use crate::engine::{self, Command, Handle, Parts, Settings};
use crate::grid;
use crate::ledger::query::JobSummary;
use crate::ledger::recover::Recovered;
use crate::ledger::schema::LedgerError;
use crate::ledger::writer::Writer;
use crate::ledger::{IntensityFact, JobReport};
use crate::record::{Record, build, host};
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
    let engine = engine::start(Parts {
        roots: options.roots.clone(),
        nvml_library: options.nvml_library.clone(),
        settings: settings(options),
        ledger,
        wait_for_gpus: Duration::ZERO,
        observe: true,
    })?;
    let roots = options.roots.clone();
    let record: RecordOf = Arc::new(move |report| record_of(report, &roots));
    Ok(Running { engine, record })
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
pub fn record_of(report: &JobReport, roots: &Roots) -> Record {
    let host = host::gather(roots);
    build(report, &host, &[intensity_fact(report.job.zone.as_deref())])
}

/// The engine's settings by these options.
pub fn settings(options: &Options) -> Settings {
    options.settings(intensity_fact)
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
        settings: settings(options),
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
