// SPDX-License-Identifier: Apache-2.0
//! A tick allocates nothing: counted by thread, in an engine in this process.
//!
//! The engine is the daemon's, with ledger and GPU threads, at 10 Hz. The
//! stand-in library has an allocator of its own, which is not counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use aimeter::carbon::embodied::EmbodiedSettings;
use aimeter::carbon::pue::PuePlan;
use aimeter::clock;
use aimeter::engine::{self, Command as Order, Handle, Parts, Settings};
use aimeter::jobs::{Exit, GpuRequest, JobId, JobSpec};
use aimeter::ledger::writer::Writer;
use aimeter::sensors::Roots;
use tokio::sync::oneshot;

use crate::jobs::{JOBS, WORK};
use crate::machine::{GPUS, Machine};
use crate::table::{Table, Unit};

/// Until buffers have their size and counters' periods are learned.
const SETTLE: Duration = Duration::from_secs(12);
/// Ticks that are counted.
const TICKS: u64 = 100;

/// The system's allocator, counting the calls of each thread.
struct Counting;

/// Threads that are told apart; this program has fewer.
const THREADS: usize = 256;

static CALLS: [AtomicU64; THREADS] = [const { AtomicU64::new(0) }; THREADS];
static TIDS: [AtomicU32; THREADS] = [const { AtomicU32::new(0) }; THREADS];
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn count() {
    PLACE.with(|place| {
        if place.get() == usize::MAX {
            place.set(NEXT.fetch_add(1, Ordering::Relaxed).min(THREADS - 1));
            let tid = rustix::thread::gettid().as_raw_nonzero().get() as u32;
            TIDS[place.get()].store(tid, Ordering::Relaxed);
        }
        CALLS[place.get()].fetch_add(1, Ordering::Relaxed);
    });
}

// SAFETY: every call is passed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `GlobalAlloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc`, which is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: `pointer` came from `alloc`, which is the system's.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of the engine's threads over some ticks.
pub fn measure(table: &mut Table) {
    let machine = Machine::new(GPUS);
    let engine = start(&machine);
    let jobs: Vec<Worker> = (0..JOBS).map(|number| Worker::start(&engine, number)).collect();
    std::thread::sleep(SETTLE);
    let (before, first) = (by_thread(), engine.snapshot().ticks);
    while engine.snapshot().ticks < first + TICKS {
        std::thread::sleep(Duration::from_millis(20));
    }
    let (after, last) = (by_thread(), engine.snapshot().ticks);
    let ticks = (last - first) as f64;
    let how = format!("counting allocator over {ticks} ticks at 10 Hz");
    for (name, budget) in [("engine", Some(0.0)), ("nvml-gpu", Some(0.0)), ("ledger", None)] {
        let made = after[name] - before[name];
        let what = format!("allocations a tick: thread {name}");
        match budget {
            Some(budget) => {
                table.judge(&what, made as f64 / ticks, budget, Unit::Count, &how);
            }
            None => table.tell(&what, format!("{:.1}", made as f64 / ticks), &how),
        }
    }
    for job in jobs {
        job.end(&engine);
    }
    let (reply, stopped) = oneshot::channel();
    engine.send(Order::Stop(reply)).expect("a running engine");
    stopped.blocking_recv().expect("its end");
}

fn start(machine: &Machine) -> Handle {
    std::fs::create_dir(machine.state()).expect("a folder");
    let roots = Roots { sysfs: machine.sysfs(), ..Roots::default() };
    let boot = engine::boot_id(&roots);
    let ledger = Writer::open(&machine.state(), &boot, clock::wall()).expect("a ledger");
    let settings = Settings {
        period: Duration::from_millis(100),
        interval: Duration::from_secs(300),
        keep_finished: Duration::from_secs(900),
        idle_policy: Default::default(),
        zone: Some("GB".into()),
        pue: PuePlan { fixed: Some(1_200), ..PuePlan::default() },
        embodied: EmbodiedSettings::default(),
        facts: Default::default(),
        stale_after: Duration::from_secs(7_200),
        calibration: Vec::new(),
    };
    let parts = Parts {
        roots,
        nvml_library: Some(machine.library()),
        settings,
        ledger: Some(ledger),
        wait_for_gpus: Duration::from_secs(10),
        observe: true,
    };
    engine::start(parts).expect("the engine")
}

/// A job's process.
struct Worker {
    child: Child,
    id: JobId,
}

impl Worker {
    fn start(engine: &Handle, number: usize) -> Worker {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        let child = command.arg(WORK).stdin(Stdio::piped()).spawn().expect("a process");
        let id = JobId::generate();
        let spec = JobSpec {
            id: id.clone(),
            name: "work".into(),
            user: "bench".into(),
            uid: 0,
            project: Some("bench".into()),
            labels: BTreeMap::new(),
            command: vec!["work".into()],
            pid: child.id() as i32,
            wrapper_pid: std::process::id() as i32,
            gpus: GpuRequest::List(vec![(number % GPUS).to_string()]),
            zone: None,
            pue_thousandths: None,
            parent: None,
            reserved_cores: 1,
            timing: None,
        };
        let (reply, started) = oneshot::channel();
        engine.send(Order::Start(Box::new(spec), reply)).expect("a running engine");
        started.blocking_recv().expect("an answer").expect("a started job");
        Worker { child, id }
    }

    fn end(mut self, engine: &Handle) {
        drop(self.child.stdin.take());
        self.child.wait().expect("its end");
        let (reply, ended) = oneshot::channel();
        let order = Order::End {
            job: self.id,
            pid: self.child.id() as i32,
            exit: Exit::Code(0),
            at: clock::now(),
            reply: Some(reply),
        };
        engine.send(order).expect("a running engine");
        ended.blocking_recv().expect("an answer").expect("a report");
    }
}

/// Allocations so far by the thread's name.
fn by_thread() -> BTreeMap<String, u64> {
    let mut threads = BTreeMap::new();
    for (calls, tid) in CALLS.iter().zip(&TIDS).take(NEXT.load(Ordering::Relaxed)) {
        let path = format!("/proc/self/task/{}/comm", tid.load(Ordering::Relaxed));
        // A thread that has ended allocates no more.
        let name = std::fs::read_to_string(path).unwrap_or_default();
        *threads.entry(name.trim().to_owned()).or_insert(0) += calls.load(Ordering::Relaxed);
    }
    threads
}
