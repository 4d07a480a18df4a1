// SPDX-License-Identifier: Apache-2.0
//! Starting the engine: the one place where the daemon's rooms are put together.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};

use arc_swap::ArcSwap;

use crate::clock;
use crate::config::Options;
use crate::engine::snapshot::Snapshot;
use crate::engine::{Command, EngineError, Handle, Settings};
use crate::server::RecordOf;
use crate::server::protocol::SensorList;
use crate::units::Intensity;

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
/// Where it cannot be started at all; a missing sensor or a broken ledger is no
/// reason.
pub fn engine(options: &Options) -> anyhow::Result<Running> {
    let (commands, receiver) = sync_channel(256);
    let snapshot = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
    let (published, settings) = (snapshot.clone(), settings(options));
    std::thread::Builder::new()
        .name("engine".into())
        .spawn(move || tick(&receiver, &published, settings))?;
    let record: RecordOf = Arc::new(|_| unreachable!("this build ends no job"));
    Ok(Running { engine: Handle::new(commands, snapshot), record })
}

/// The engine's settings by these options.
pub fn settings(options: &Options) -> Settings {
    options.settings(intensity_of)
}

/// What this process finds by itself, without a daemon.
pub fn sensor_list(_options: &Options) -> SensorList {
    SensorList::default()
}

fn intensity_of(_zone: &str) -> Option<Intensity> {
    None
}

fn tick(receiver: &Receiver<Command>, published: &ArcSwap<Snapshot>, mut settings: Settings) {
    let mut snapshot = Snapshot::default();
    loop {
        match receiver.recv_timeout(settings.period) {
            Err(RecvTimeoutError::Timeout) => {
                snapshot.ticks += 1;
                snapshot.at = Some(clock::wall());
                published.store(Arc::new(snapshot.clone()));
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Ok(Command::Stop(reply)) => {
                _ = reply.send(());
                return;
            }
            Ok(Command::Reload(new)) => settings = *new,
            Ok(Command::Sensors(reply)) => _ = reply.send(SensorList::default()),
            Ok(Command::Show(job, reply)) => _ = reply.send(Err(EngineError::UnknownJob(job))),
            Ok(Command::GpuRelease(reply) | Command::GpuReclaim(reply)) => _ = reply.send(()),
            Ok(_) => {}
        }
    }
}
