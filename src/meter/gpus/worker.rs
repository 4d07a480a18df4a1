// SPDX-License-Identifier: Apache-2.0
//! One GPU's thread: ticks, edges, process lists, and finding a lost GPU again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use super::outbox::Outbox;
use super::{Command, GpuEvent, Order, SHORTEST_PERIOD, Shared};
use crate::clock;
use crate::meter::Point;
use crate::meter::edge::EdgeFinder;
use crate::sensors::nvml::{NvmlGpu, driver_gone};
use crate::sensors::{Method, ReadError, Reading, Value};
use crate::units::{BootTime, Energy, Power};

/// After a failed read, and while events wait to be sent.
const PAUSE: Duration = Duration::from_millis(10);

/// Between two look-ups of a lost GPU: at first, and at most.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// A call that takes longer makes the moment of its value uncertain.
const SLOW: Duration = Duration::from_millis(10);

/// Room for the power samples of one answer.
const SAMPLES: usize = 512;

/// A GPU that was lost.
struct Lost {
    error: ReadError,
    next_try: BootTime,
    wait: Duration,
}

/// One GPU and all that its thread keeps.
pub(super) struct Worker {
    number: usize,
    gpu: NvmlGpu,
    shared: Arc<Shared>,
    outbox: Outbox,
    orders: Sender<Order>,
    life: u64,
    stopped: Arc<AtomicBool>,
    last_call: Arc<AtomicU64>,
    finder: EdgeFinder,
    samples: Vec<(BootTime, Power)>,
    next_tick: BootTime,
    /// The next read of a burst.
    next_burst: Option<BootTime>,
    /// The last reading or point given out: nothing earlier or lower follows.
    given_out: BootTime,
    given_value: Energy,
    users_wanted: Option<bool>,
    lost: Option<Lost>,
    /// The longest call of the readings that the next edge is found by.
    slowest: Duration,
}

/// Of a GPU's thread, from -20 (before all others) to 19.
const NICENESS: i32 = -10;

/// Puts this thread before the job's on a busy machine, where that is permitted: it
/// works for some microseconds a second, and a read that comes late makes the
/// energy at a job's edges uncertain.
fn hurry() {
    // Without the right to it (CAP_SYS_NICE) reads are as late as the machine is busy.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
}

/// What a worker needs from its manager.
pub(super) struct Links {
    pub(super) shared: Arc<Shared>,
    pub(super) outbox: Outbox,
    pub(super) orders: Sender<Order>,
    pub(super) life: u64,
    /// Set: this life of NVML is over, and nothing more is to be told of it.
    pub(super) stopped: Arc<AtomicBool>,
    pub(super) last_call: Arc<AtomicU64>,
}

impl Worker {
    pub(super) fn new(number: usize, gpu: NvmlGpu, links: Links) -> Self {
        let domain = gpu.domain();
        let finder = EdgeFinder::new(domain.update_period, domain.max_power);
        let Links { shared, outbox, orders, life, stopped, last_call } = links;
        Worker {
            number,
            gpu,
            shared,
            outbox,
            orders,
            life,
            stopped,
            last_call,
            finder,
            samples: Vec::with_capacity(SAMPLES),
            next_tick: clock::now(),
            next_burst: None,
            given_out: clock::now(),
            given_value: Energy::ZERO,
            users_wanted: None,
            lost: None,
            slowest: Duration::ZERO,
        }
    }

    /// Works until told to stop.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        hurry();
        while !self.stopped.load(Ordering::Relaxed) {
            let now = clock::now();
            match commands.recv_timeout(self.next_work(now).since(now)) {
                Ok(Command::Edge(at)) => self.ask(at),
                Ok(Command::Users { utilization }) => {
                    self.users_wanted = Some(utilization || self.users_wanted.unwrap_or(false));
                }
                Ok(Command::PeriodChanged) => self.plan_tick(clock::now()),
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.work();
        }
    }

    fn has_counter(&self) -> bool {
        self.gpu.domain().method == Method::Counter
    }

    /// When there is something to do next.
    fn next_work(&self, now: BootTime) -> BootTime {
        let mut next = self.next_tick;
        if self.users_wanted.is_some() && !self.finder.is_asked() {
            return now;
        }
        if self.outbox.is_waiting() {
            next = next.min(now.plus(PAUSE));
        }
        next.min(self.next_burst.unwrap_or(next))
    }

    /// Plans the next read of a burst, if one is under way, not before `earliest`.
    fn plan_burst(&mut self, now: BootTime, earliest: BootTime) {
        let wanted = self.lost.is_none() && self.has_counter();
        let next = if wanted { self.finder.next_read(now) } else { None };
        self.next_burst = next.map(|read| read.max(earliest));
    }

    fn ask(&mut self, at: BootTime) {
        let now = clock::now();
        if let Some(lost) = &self.lost {
            let error = lost.error;
            self.answer(at, Err(error));
        } else if self.has_counter() {
            self.finder.ask(at.min(now), now);
            self.plan_burst(now, now);
        } else {
            self.tick_power();
            if self.gpu.has_power_samples() {
                // The driver's newest sample is older than this moment.
                self.read_power();
            }
            self.answer(at, Err(ReadError::NoData("the GPU has no energy counter")));
        }
    }

    fn work(&mut self) {
        self.outbox.flush();
        let now = clock::now();
        let tick = now >= self.next_tick;
        if tick {
            self.plan_tick(now);
        }
        if self.lost.is_some() {
            self.work_lost(now, tick);
        } else if !self.has_counter() {
            if tick {
                self.tick_power();
            }
        } else if tick || self.next_burst.is_some_and(|read| now >= read) {
            self.read_counter(tick);
        }
        if self.users_wanted.is_some() && !self.finder.is_asked() {
            self.tell_users();
        }
    }

    /// Sets the next tick: a multiple of the period, ticks that are late left out.
    fn plan_tick(&mut self, now: BootTime) {
        let mut period = self.shared.period.load(Ordering::Relaxed).max(1);
        if !self.has_counter() && !self.gpu.has_power_samples() {
            // Nothing counts what lies between two readings.
            period = period.min(SHORTEST_PERIOD.as_nanos() as u64);
        }
        let next = (now.nanoseconds() / period + 1).saturating_mul(period);
        self.next_tick = BootTime::from_nanoseconds(next);
    }

    fn read_counter(&mut self, tick: bool) {
        let before = clock::now();
        let result = self.gpu.read_one();
        self.call_ended();
        let took = clock::now().since(before);
        let earlier = if self.finder.is_asked() { self.slowest } else { Duration::ZERO };
        self.slowest = earlier.max(took);
        match result {
            Ok(Reading { at, value: Value::Counter(value) }) => {
                self.finder.observe(at, value);
                // A fall is a restart: what was given out before binds no more.
                self.given_value = self.given_value.min(value);
                // While an edge is looked for, its point takes the reading's place.
                if tick && !self.finder.is_asked() && self.give_out(at, result) {
                    self.given_value = value;
                }
                self.answer_edges();
                self.plan_burst(clock::now(), at);
            }
            Ok(_) => {}
            Err(error) => self.failed(error, tick),
        }
    }

    fn failed(&mut self, error: ReadError, tick: bool) {
        let now = clock::now();
        if tick {
            self.outbox.reading(GpuEvent::Reading { gpu: self.number, result: Err(error) });
        }
        if let ReadError::Failed(_) = error {
            // It may pass while the edge is still looked for.
            self.answer_edges();
            self.plan_burst(now, now.plus(PAUSE));
            return;
        }
        self.next_burst = None;
        let abandoned: Vec<BootTime> = self.finder.abandon().collect();
        for at in abandoned {
            self.answer(at, Err(error));
        }
        if let ReadError::Lost(_) = error {
            self.lost = Some(Lost { error, next_try: now.plus(FIRST_RETRY), wait: FIRST_RETRY });
            if driver_gone(error) {
                // A manager that has ended needs no telling.
                let _ = self.orders.send(Order::DriverGone { life: self.life });
            }
        }
    }

    /// Looks for a lost GPU now and then; says at each tick that it is lost.
    fn work_lost(&mut self, now: BootTime, tick: bool) {
        let Some(lost) = &mut self.lost else { return };
        if now >= lost.next_try {
            let found = self.gpu.look_up_again();
            lost.wait = (lost.wait * 2).min(LAST_RETRY);
            lost.next_try = now.plus(lost.wait);
            if found.is_ok() {
                self.lost = None;
                self.next_tick = now;
            }
            self.call_ended();
        }
        if let (Some(lost), true) = (&self.lost, tick) {
            let result = Err(lost.error);
            // Leaving a lost GPU alone is not being stalled by it.
            self.call_ended();
            self.outbox.reading(GpuEvent::Reading { gpu: self.number, result });
        }
    }

    /// For a GPU without a counter: every new power sample, or the power of now.
    fn tick_power(&mut self) {
        if self.gpu.has_power_samples() {
            self.samples.clear();
            let result = self.gpu.power_samples(self.given_out, &mut self.samples);
            self.call_ended();
            for i in 0..self.samples.len() {
                let (at, power) = self.samples[i];
                self.give_out(at, Ok(Reading { at, value: Value::Power(power) }));
            }
            match result {
                Ok(()) if !self.samples.is_empty() => return,
                Ok(()) => {}
                Err(error) => return self.failed(error, true),
            }
        }
        self.read_power();
    }

    /// Gives out the power of now.
    fn read_power(&mut self) {
        let result = self.gpu.read_one();
        self.call_ended();
        match result {
            Ok(reading) => {
                self.give_out(reading.at, result);
            }
            Err(error) => self.failed(error, true),
        }
    }

    fn answer_edges(&mut self) {
        while self.finder.is_ready(clock::now()) {
            self.samples.clear();
            if let (Some(since), true) = (self.finder.samples_since(), self.gpu.has_power_samples())
            {
                // The samples only sharpen the answer; without them it is wider.
                if self.gpu.power_samples(since, &mut self.samples).is_err() {
                    self.samples.clear();
                }
                self.call_ended();
            }
            let Some(edge) = self.finder.take(clock::now(), &self.samples) else { return };
            let restarted = ReadError::NoData("the counter restarted or could not be read");
            self.answer(edge.asked, edge.point.ok_or(restarted));
        }
    }

    fn answer(&mut self, asked: BootTime, result: Result<Point, ReadError>) {
        if self.stopped.load(Ordering::Relaxed) {
            return;
        }
        let result = result.map(|mut point| {
            // A later reading that was given out before may stand above the point: what
            // is between them is booked already.
            let above = self.given_value.saturating_sub(point.value);
            point.uncertainty = point.uncertainty.saturating_add(above);
            if self.slowest > SLOW {
                // Its value may be of any moment of the call.
                let slow = self.gpu.domain().max_power.during(self.slowest / 2);
                point.uncertainty = point.uncertainty.saturating_add(slow);
            }
            point.value = point.value.max(self.given_value);
            point.at = point.at.max(self.given_out);
            (self.given_out, self.given_value) = (point.at, point.value);
            point
        });
        self.outbox.important(GpuEvent::Edge { gpu: self.number, asked, result });
    }

    /// Gives out a reading unless a later one was; whether it did.
    fn give_out(&mut self, at: BootTime, result: Result<Reading, ReadError>) -> bool {
        let fits = at > self.given_out && !self.stopped.load(Ordering::Relaxed);
        if fits {
            self.given_out = at;
            self.outbox.reading(GpuEvent::Reading { gpu: self.number, result });
        }
        fits
    }

    fn tell_users(&mut self) {
        let Some(utilization) = self.users_wanted.take() else { return };
        let result = match &self.lost {
            Some(lost) => Err(lost.error),
            None => self.gpu.users(utilization),
        };
        self.call_ended();
        if !self.stopped.load(Ordering::Relaxed) {
            self.outbox.important(GpuEvent::Users { gpu: self.number, result });
        }
    }

    fn call_ended(&self) {
        self.last_call.store(clock::now().nanoseconds(), Ordering::Relaxed);
    }
}
