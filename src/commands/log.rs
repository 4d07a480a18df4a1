// SPDX-License-Identifier: Apache-2.0
//! Where the daemon's log goes: to the journal with its fields under systemd,
//! else to standard error. The level can change while it runs.

use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

/// Changes the level of the log.
pub struct Level(reload::Handle<Targets, Registry>);

impl Level {
    /// From now on, `level`.
    pub fn set(&self, level: LevelFilter) {
        // Fails only where the log has ended.
        _ = self.0.reload(targets(level));
    }
}

/// Starts the log of this process.
///
/// # Errors
/// Where it was started already.
pub fn start(level: LevelFilter) -> anyhow::Result<Level> {
    let (filter, handle) = reload::Layer::new(targets(level));
    let journal = is_journal().then(|| tracing_journald::layer().ok()).flatten();
    let output: Box<dyn Layer<_> + Send + Sync> = match journal {
        Some(journal) => Box::new(journal),
        None => {
            Box::new(fmt::layer().with_writer(io::stderr).with_ansi(colour()).with_target(false))
        }
    };
    tracing_subscriber::registry().with(filter).with(output).try_init()?;
    Ok(Level(handle))
}

/// Our own messages at the level asked for, the libraries' only when they warn.
fn targets(level: LevelFilter) -> Targets {
    Targets::new().with_target("aimeter", level).with_default(level.min(LevelFilter::WARN))
}

/// Whether standard error is colourful (<https://no-color.org>).
fn colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether standard error is the journal's stream: `JOURNAL_STREAM` names its
/// device and inode (systemd.exec(5)), which a redirected one does not have.
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(metadata) = std::fs::metadata("/proc/self/fd/2") else { return false };
    stream == format!("{}:{}", metadata.dev(), metadata.ino())
}
