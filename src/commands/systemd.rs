// SPDX-License-Identifier: Apache-2.0
//! What the service manager is told (sd_notify(3)): ready, status, watchdog.
//!
//! Without a service manager every call does nothing. A message that cannot be
//! sent is no reason to stop metering.

use std::time::Duration;

use sd_notify::{NotifyState, notify};

use crate::engine::snapshot::Snapshot;

/// The service manager, if there is one.
pub struct Systemd {
    watchdog: Option<Duration>,
    said: Option<String>,
}

impl Systemd {
    /// From the environment of this process.
    pub fn new() -> Systemd {
        Systemd { watchdog: sd_notify::watchdog_enabled(), said: None }
    }

    /// How often to look at the heartbeat, so that the watchdog is fed in time.
    pub fn look(&self) -> Duration {
        self.watchdog.map_or(Duration::MAX, |watchdog| watchdog / 3)
    }

    /// Metering runs, or a reload has ended.
    pub fn ready(&self) {
        _ = notify(&[NotifyState::Ready]);
    }

    /// A reload begins.
    pub fn reloading(&self) {
        let now = NotifyState::monotonic_usec_now();
        _ = now.and_then(|now| notify(&[NotifyState::Reloading, now]));
    }

    /// The end begins.
    pub fn stopping(&self) {
        _ = notify(&[NotifyState::Stopping]);
    }

    /// A tick came. Called for nothing else, so that a sampler that stands still
    /// is noticed.
    pub fn feed_watchdog(&self) {
        if self.watchdog.is_some() {
            _ = notify(&[NotifyState::Watchdog]);
        }
    }

    /// One line on how it goes, said when it changes.
    pub fn status(&mut self, snapshot: &Snapshot, trouble: Option<String>) {
        let text = trouble.unwrap_or_else(|| {
            let running = snapshot.jobs.iter().filter(|job| job.running).count();
            let ledger = if snapshot.ledger.up { "" } else { "; the ledger cannot be written" };
            format!("metering {} domains, {running} jobs{ledger}", snapshot.domains.len())
        });
        if self.said.as_ref() != Some(&text) {
            _ = notify(&[NotifyState::Status(&text)]);
            self.said = Some(text);
        }
    }
}

impl Default for Systemd {
    fn default() -> Self {
        Systemd::new()
    }
}
