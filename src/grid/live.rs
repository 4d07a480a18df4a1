// SPDX-License-Identifier: Apache-2.0
//! The poller's thread: the wall clock, the network and nothing else.
//!
//! One thread with its own small runtime, for the daemon and for a job that is metered
//! without one. It takes the zones in use from whoever meters and gives facts back;
//! neither end ever waits for the other. A client of HTTP lives only as long as a
//! request: it is larger than all that it brings.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::oneshot;

use super::chain::GridSettings;
use super::poller::Poller;
use crate::clock;
use crate::ledger::{IntensityFact, ZoneUse};

/// Zones in use are looked at this often: a job may name a new one.
const LOOK: Duration = Duration::from_secs(2);

/// The zones in use.
pub type InUse = Box<dyn Fn() -> Vec<ZoneUse> + Send>;
/// Takes new facts; whether it could.
pub type Take = Box<dyn Fn(&[IntensityFact]) -> bool + Send>;

/// Steps that are due at once are not taken faster.
const SHORTEST_WAIT: Duration = Duration::from_millis(200);

/// What the thread needs of whoever meters.
pub struct Ends {
    /// Asked before every step.
    pub in_use: InUse,
    /// Told what a step brought.
    pub take: Take,
}

/// The running poller; it ends when this is dropped.
pub struct Live {
    settings: Arc<ArcSwapOption<GridSettings>>,
    _stop: oneshot::Sender<()>,
}

impl Live {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system gives no thread or no event queue.
    pub fn start(poller: Poller, ends: Ends) -> io::Result<Live> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let settings = Arc::new(ArcSwapOption::empty());
        let changed = Arc::clone(&settings);
        let (stop, stopped) = oneshot::channel();
        std::thread::Builder::new().name("grid".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = run(poller, ends, &changed) => {}
                    // Never sent, only dropped: that is the sign.
                    _ = stopped => {}
                }
            });
            // Look-ups of names may hang in the name service; nobody waits for them.
            runtime.shutdown_background();
        })?;
        Ok(Live { settings, _stop: stop })
    }

    /// Goes on by other settings.
    pub fn set(&self, settings: GridSettings) {
        self.settings.store(Some(Arc::new(settings)));
    }
}

async fn run(mut poller: Poller, ends: Ends, changed: &ArcSwapOption<GridSettings>) {
    let mut untold = Vec::new();
    loop {
        if let Some(settings) = changed.swap(None) {
            poller.set(clock::wall(), GridSettings::clone(&settings));
        }
        let step = poller.step(clock::wall(), &(ends.in_use)()).await;
        untold.extend(step.facts);
        // Whoever is too busy to take them is asked again.
        if !untold.is_empty() && (ends.take)(&untold) {
            untold.clear();
        }
        let next = Duration::try_from(step.next.duration_since(clock::wall()));
        tokio::time::sleep(next.unwrap_or(Duration::ZERO).clamp(SHORTEST_WAIT, LOOK)).await;
    }
}

/// A seed for the chances of one process among many.
pub fn seed() -> u64 {
    let time = clock::wall().as_nanosecond() as u64;
    time ^ (u64::from(std::process::id()) << 32) ^ clock::now().nanoseconds()
}
