// SPDX-License-Identifier: Apache-2.0
//! The thread that opens NVML, starts a thread for each GPU, and closes it again.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::outbox::Outbox;
use super::worker::{Links, Worker};
use super::{Command, GpuEvent, GpuOptions, Line, Order, Shared};
use crate::clock;
use crate::sensors::Missing;
use crate::sensors::nvml::{Library, OpenError};
use crate::units::BootTime;

/// Between two tries to open NVML: at first, and at most.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// How often GPUs that did not answer are looked for.
const RECOUNT: Duration = Duration::from_secs(60);

/// How long the GPU threads may take to end before one counts as stuck.
const ENDING: Duration = Duration::from_millis(500);

/// Stacks: only touched pages cost memory, and NVML's own use is not documented.
const MANAGER_STACK: usize = 1 << 20;
const WORKER_STACK: usize = 512 << 10;

/// An open NVML and its threads.
struct Open {
    library: Library,
    workers: Vec<(String, JoinHandle<()>)>,
    stopped: Arc<AtomicBool>,
    /// GPUs are missing: when to look for them.
    recount: Option<BootTime>,
}

enum State {
    Open(Open),
    Closed { next_try: BootTime, wait: Duration },
    Released,
}

pub(super) struct Manager {
    options: GpuOptions,
    shared: Arc<Shared>,
    orders: Sender<Order>,
    outbox: Outbox,
    /// Why NVML is not open, as told.
    told: Option<OpenError>,
    /// How often NVML was opened.
    life: u64,
}

impl Manager {
    pub(super) fn new(
        options: GpuOptions,
        shared: Arc<Shared>,
        orders: Sender<Order>,
        outbox: Outbox,
    ) -> Self {
        Manager { options, shared, orders, outbox, told: None, life: 0 }
    }

    /// Starts the thread; it sends on `end` when it ends.
    pub(super) fn spawn(mut self, taken: Receiver<Order>, end: Sender<()>) -> std::io::Result<()> {
        let thread = std::thread::Builder::new().name("nvml".into()).stack_size(MANAGER_STACK);
        thread.spawn(move || {
            self.run(&taken);
            // Nobody waits any more: then nobody is to be told.
            let _ = end.send(());
        })?;
        Ok(())
    }

    fn run(&mut self, taken: &Receiver<Order>) {
        let mut state = self.open(FIRST_RETRY);
        loop {
            let order = match self.wait(&state) {
                Some(time) => taken.recv_timeout(time),
                None => taken.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            self.outbox.flush();
            state = match (order, state) {
                (Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected), state) => {
                    self.close(state);
                    return;
                }
                (Ok(Order::Release), state) => {
                    let stuck = self.close(state);
                    self.tell_closed(released(&stuck));
                    // What is wrong after a reclaim is news, the same as before or not.
                    self.told = None;
                    State::Released
                }
                (Ok(Order::Reclaim), State::Released) => self.open(FIRST_RETRY),
                (Ok(Order::DriverGone { life }), State::Open(open)) if life == self.life => {
                    self.close(State::Open(open));
                    self.open(FIRST_RETRY)
                }
                (Ok(Order::Reclaim | Order::DriverGone { .. }), state) => state,
                (Err(RecvTimeoutError::Timeout), state) => self.on_time(state),
            };
        }
    }

    /// How long to wait for an order; `None`: for ever.
    fn wait(&self, state: &State) -> Option<Duration> {
        let now = clock::now();
        let next = match state {
            State::Open(open) => open.recount.map(|moment| moment.since(now)),
            State::Closed { next_try, .. } => Some(next_try.since(now)),
            State::Released => None,
        };
        let unsent = self.outbox.is_waiting().then_some(Duration::from_millis(10));
        next.into_iter().chain(unsent).min()
    }

    fn on_time(&mut self, state: State) -> State {
        let now = clock::now();
        match state {
            State::Closed { next_try, wait } if now >= next_try => {
                self.open((wait * 2).min(LAST_RETRY))
            }
            State::Open(mut open) if open.recount.is_some_and(|moment| now >= moment) => {
                open.recount = Some(now.plus(RECOUNT));
                if open.library.gpus().0.len() <= open.workers.len() {
                    return State::Open(open);
                }
                self.close(State::Open(open));
                self.open(FIRST_RETRY)
            }
            state => state,
        }
    }

    /// Tries to open NVML; after a failure the next try comes after `wait`.
    fn open(&mut self, wait: Duration) -> State {
        let opened = Library::open(self.options.library.as_deref(), &self.options.roots);
        let state = match opened {
            Ok(library) => {
                self.told = None;
                State::Open(self.start_workers(library))
            }
            Err(error) => {
                let why = error.missing();
                if self.told.replace(error.clone()) != Some(error) {
                    self.tell_closed(why);
                }
                State::Closed { next_try: clock::now().plus(wait), wait }
            }
        };
        *self.shared.ready.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.ready_changed.notify_all();
        state
    }

    fn tell_closed(&mut self, why: Missing) {
        self.outbox.important(GpuEvent::Closed { why });
    }

    fn start_workers(&mut self, library: Library) -> Open {
        let (gpus, missing) = library.gpus();
        let recount = (!missing.is_empty()).then(|| clock::now().plus(RECOUNT));
        let devices =
            gpus.iter().map(|gpu| (gpu.identity().clone(), gpu.domain().clone())).collect();
        let stopped = Arc::new(AtomicBool::new(false));
        self.life += 1;
        let mut ready = Vec::new();
        let mut lines = Vec::new();
        for (number, gpu) in gpus.into_iter().enumerate() {
            let (commands, taken) = channel();
            let last_call = Arc::new(AtomicU64::new(clock::now().nanoseconds()));
            lines.push(Line { commands, last_call: last_call.clone() });
            let links = Links {
                shared: self.shared.clone(),
                outbox: self.outbox.another(),
                orders: self.orders.clone(),
                life: self.life,
                stopped: stopped.clone(),
                last_call,
            };
            ready.push((gpu.identity().uuid.clone(), Worker::new(number, gpu, links), taken));
        }
        // Whoever hears of the GPUs can ask them, and hears of no reading before.
        *self.shared.lines() = lines;
        self.tell_opened(GpuEvent::Opened { devices, missing, epoch: library.epoch() });
        let workers = ready.into_iter().filter_map(start_worker).collect();
        Open { library, workers, stopped, recount }
    }

    /// This thread may wait for the taker: no GPU is read yet.
    fn tell_opened(&mut self, opened: GpuEvent) {
        self.outbox.important(opened);
        while !self.outbox.flush() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends the threads, and with the last of them NVML. Gives the GPUs whose
    /// thread does not end: its call hangs, and NVML is let go of when it returns.
    fn close(&mut self, state: State) -> Vec<String> {
        let State::Open(open) = state else { return Vec::new() };
        open.stopped.store(true, Ordering::Relaxed);
        for line in self.shared.lines().drain(..) {
            // An ended thread needs no telling.
            let _ = line.commands.send(Command::Stop);
        }
        let started = clock::now();
        let mut running = open.workers;
        loop {
            running.retain(|(_, thread)| !thread.is_finished());
            if running.is_empty() || clock::now().since(started) >= ENDING {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(open.library);
        running.into_iter().map(|(name, _)| name).collect()
    }
}

/// Starts a GPU's thread. Where the system gives none, that GPU stalls, and shows so.
fn start_worker(
    (name, worker, taken): (String, Worker, Receiver<Command>),
) -> Option<(String, JoinHandle<()>)> {
    let thread = std::thread::Builder::new().name("nvml-gpu".into()).stack_size(WORKER_STACK);
    match thread.spawn(move || worker.run(&taken)) {
        Ok(thread) => Some((name, thread)),
        Err(error) => {
            tracing::error!("no thread for GPU {name}: {error}; lift the limit of threads");
            None
        }
    }
}

fn released(stuck: &[String]) -> Missing {
    let (state, why) = match stuck {
        [] => ("absent", "NVML was let go of on request".to_owned()),
        stuck => ("failed", format!("a call hangs in the driver, which is still held: {stuck:?}")),
    };
    Missing {
        source: "nvml".into(),
        what: "all GPUs".into(),
        state: state.into(),
        why,
        remedy: Some("`aimeter gpu reclaim` takes them up again".into()),
    }
}
