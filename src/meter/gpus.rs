// SPDX-License-Identifier: Apache-2.0
//! The GPU threads: one that opens NVML and lets go of it, and one for each GPU,
//! so that a call that hangs on a sick GPU stalls nobody else.
//!
//! Counters are read at the period, on absolute time, never faster than 10 Hz but
//! for short bursts: at a job's edge, and once after opening to learn the
//! counter's refresh. Events of one GPU come in order of time. No thread here
//! ever waits for whoever takes the events.

mod manager;
mod outbox;
mod worker;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::meter::Point;
use crate::sensors::nvml::{GpuIdentity, GpuUser};
use crate::sensors::{Domain, Missing, ReadError, Reading, Roots};
use crate::units::BootTime;
use outbox::Outbox;

/// NVML's calls take locks of the whole driver: never more often than this.
pub const SHORTEST_PERIOD: Duration = Duration::from_millis(100);

/// How to read the GPUs.
#[derive(Clone, Debug)]
pub struct GpuOptions {
    /// NVML's library; `None`: `libnvidia-ml.so.1` as the loader finds it.
    pub library: Option<PathBuf>,
    /// Between two readings; at least [`SHORTEST_PERIOD`].
    pub period: Duration,
    /// Where sysfs is.
    pub roots: Roots,
}

/// What the GPU threads tell. `gpu` counts in the `devices` of the last `Opened`.
#[derive(Clone, Debug)]
pub enum GpuEvent {
    /// NVML is open, for the first time or anew; events of the GPUs follow. What
    /// was asked before and is not answered yet never will be.
    Opened {
        /// The GPUs that answer.
        devices: Vec<(GpuIdentity, Domain)>,
        /// Those that do not.
        missing: Vec<Missing>,
        /// The driver's load: while it is the same, counters ran on.
        epoch: String,
    },
    /// NVML is not open, or no longer; told once for each cause. What was asked
    /// before and is not answered yet never will be.
    Closed {
        /// Why, in words, with what to do.
        why: Missing,
    },
    /// A reading at the period, or why there is none. Where a GPU has no counter,
    /// each of the driver's power samples is one.
    Reading {
        /// Which GPU.
        gpu: usize,
        /// What it said.
        result: Result<Reading, ReadError>,
    },
    /// The answer to [`GpuMonitor::edge`].
    Edge {
        /// Which GPU.
        gpu: usize,
        /// The moment as asked.
        asked: BootTime,
        /// The counter there. The point's own moment is later than asked where a
        /// later reading was given out before. `NoData` where the GPU has no
        /// counter (its power was read at the edge) or the counter restarted.
        result: Result<Point, ReadError>,
    },
    /// The answer to [`GpuMonitor::refresh_users`].
    Users {
        /// Which GPU.
        gpu: usize,
        /// Its processes.
        result: Result<Vec<GpuUser>, ReadError>,
    },
}

/// What a GPU's thread is asked to do.
enum Command {
    Edge(BootTime),
    Users { utilization: bool },
    PeriodChanged,
    Stop,
}

/// What the managing thread is asked to do.
enum Order {
    Release,
    Reclaim,
    /// Seen by a GPU's thread of that life of NVML.
    DriverGone {
        life: u64,
    },
    Stop,
}

/// One GPU's thread as seen from outside.
struct Line {
    commands: Sender<Command>,
    /// `CLOCK_BOOTTIME` of the end of its last call, in nanoseconds.
    last_call: Arc<AtomicU64>,
}

/// What the threads share.
struct Shared {
    period: AtomicU64,
    lines: Mutex<Vec<Line>>,
    /// Whether NVML was opened, or found absent, at least once.
    ready: Mutex<bool>,
    ready_changed: Condvar,
    dropped: Arc<AtomicU64>,
}

impl Shared {
    fn lines(&self) -> std::sync::MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The GPU threads.
pub struct GpuMonitor {
    shared: Arc<Shared>,
    orders: Sender<Order>,
    ended: Receiver<()>,
}

impl GpuMonitor {
    /// Starts the threads. `wake` is called after every event but readings, which
    /// the taker fetches at its own tick. Where `events` is full, readings are
    /// dropped and counted; the others are kept and sent later.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(
        options: GpuOptions,
        events: SyncSender<GpuEvent>,
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> std::io::Result<GpuMonitor> {
        let dropped = Arc::new(AtomicU64::new(0));
        let shared = Arc::new(Shared {
            period: AtomicU64::new(nanoseconds(options.period)),
            lines: Mutex::new(Vec::new()),
            ready: Mutex::new(false),
            ready_changed: Condvar::new(),
            dropped: dropped.clone(),
        });
        let (orders, taken) = channel();
        let (end, ended) = channel();
        let outbox = Outbox::new(events, wake.into(), dropped);
        let manager = manager::Manager::new(options, shared.clone(), orders.clone(), outbox);
        manager.spawn(taken, end)?;
        Ok(GpuMonitor { shared, orders, ended })
    }

    /// Waits until NVML was opened or found absent; `false`: not within `timeout`.
    pub fn wait_ready(&self, timeout: Duration) -> bool {
        let ready = self.shared.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.shared.ready_changed.wait_timeout_while(ready, timeout, |ready| !*ready);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Asks for a GPU's counter at a moment of just now: a job's start or end. It
    /// is answered by [`GpuEvent::Edge`], about one refresh of the counter later.
    /// `false`: there is no such GPU now, and no answer comes.
    pub fn edge(&self, gpu: usize, at: BootTime) -> bool {
        self.command(gpu, Command::Edge(at))
    }

    /// Asks for a GPU's processes, with their utilisation (50 to 100 ms under a
    /// driver-wide lock) only where several jobs share it. As [`GpuMonitor::edge`].
    pub fn refresh_users(&self, gpu: usize, utilization: bool) -> bool {
        self.command(gpu, Command::Users { utilization })
    }

    /// Lets go of NVML, so that a GPU can be reset or the driver unloaded. `Closed`
    /// says when that is so.
    pub fn release(&self) {
        self.order(Order::Release);
    }

    /// Takes NVML up again after [`GpuMonitor::release`].
    pub fn reclaim(&self) {
        self.order(Order::Reclaim);
    }

    /// Changes the period.
    pub fn set_period(&self, period: Duration) {
        self.shared.period.store(nanoseconds(period), Ordering::Relaxed);
        for line in self.shared.lines().iter() {
            // An ended thread has no period to change.
            let _ = line.commands.send(Command::PeriodChanged);
        }
    }

    /// How long ago a GPU's last call into the driver ended; far more than the
    /// period: it is stalled. `None`: there is no such GPU now.
    pub fn since_last_call(&self, gpu: usize, now: BootTime) -> Option<Duration> {
        let lines = self.shared.lines();
        let last = lines.get(gpu)?.last_call.load(Ordering::Relaxed);
        Some(now.since(BootTime::from_nanoseconds(last)))
    }

    /// How many readings were dropped because nobody took them.
    pub fn dropped_readings(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Ends the threads and lets go of NVML. A call that hangs in the driver is
    /// left behind after a second.
    pub fn stop(self) {
        self.order(Order::Stop);
        // The manager ended already, or hangs: there is nothing to wait for.
        let _ = self.ended.recv_timeout(Duration::from_secs(1));
    }

    fn command(&self, gpu: usize, command: Command) -> bool {
        let lines = self.shared.lines();
        lines.get(gpu).is_some_and(|line| line.commands.send(command).is_ok())
    }

    fn order(&self, order: Order) {
        // The manager ends only by `stop`, which takes the monitor with it.
        let _ = self.orders.send(order);
    }
}

impl Drop for GpuMonitor {
    fn drop(&mut self) {
        self.order(Order::Stop);
    }
}

fn nanoseconds(period: Duration) -> u64 {
    u64::try_from(period.max(SHORTEST_PERIOD).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
