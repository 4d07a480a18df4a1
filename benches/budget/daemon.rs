// SPDX-License-Identifier: Apache-2.0
//! What the daemon costs while it meters: CPU time, memory, system calls.

use std::collections::BTreeMap;
use std::time::Duration;

use aimeter::clock;

use crate::jobs::{JOBS, Jobs};
use crate::machine::{GPUS, Machine, ZONES};
use crate::process::Daemon;
use crate::table::{Table, Unit};

/// After the jobs' start: buffers grow, counters' periods are learned.
const SETTLE: Duration = Duration::from_secs(8);
/// Long enough for two rounds of process lists and four forced writes of the ledger.
const OVER: Duration = Duration::from_secs(40);
/// Under strace everything is slower; counts are not.
const TRACED: Duration = Duration::from_secs(10);

const MIB: f64 = 1024.0 * 1024.0;

/// At the default rate, and at 10 Hz.
pub fn measure(table: &mut Table) {
    at_rate(table, 1, 0.1);
    at_rate(table, 10, 0.5);
}

fn at_rate(table: &mut Table, hertz: u32, percent: f64) {
    let rate = &format!("{hertz} Hz");
    let machine = Machine::new(GPUS);
    let daemon = Daemon::start(&machine, &["--period", &format!("{}ms", 1_000 / hertz)]);
    let _jobs = Jobs::start(&machine);
    while daemon.metric("aimeter_jobs_running") < JOBS as f64 {
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(SETTLE);
    cpu(table, &daemon, rate, percent);
    let (resident, anonymous) = daemon.memory();
    let how = "/proc/PID/smaps_rollup";
    table.judge(&format!("{rate}: resident memory"), resident, 16.0 * MIB, Unit::Bytes, how);
    table.judge(&format!("{rate}: of it anonymous"), anonymous, 6.0 * MIB, Unit::Bytes, how);
    let missed = daemon.metric("aimeter_missed_ticks_total");
    table.tell(&format!("{rate}: ticks missed"), format!("{missed}"), "/metrics");
    calls(table, &daemon, &machine, hertz);
}

fn cpu(table: &mut Table, daemon: &Daemon, rate: &str, percent: f64) {
    let (before, start) = (daemon.cpu(), clock::now());
    std::thread::sleep(OVER);
    let (after, time) = (daemon.cpu(), clock::now().since(start).as_nanos() as f64);
    let spent: BTreeMap<&str, u64> = after
        .iter()
        .map(|(name, spent)| (name.as_str(), spent - before.get(name).unwrap_or(&0)))
        .collect();
    let part = |nanoseconds: u64| 100.0 * nanoseconds as f64 / time;
    let total = part(spent.values().sum());
    let how = format!("schedstat of all threads over {} s", OVER.as_secs());
    table.judge(&format!("{rate}: CPU time of a core"), total, percent, Unit::Percent, &how);
    for (name, nanoseconds) in spent {
        let measured = format!("{:.3} %", part(nanoseconds));
        table.tell(&format!("{rate}: … thread {name}"), measured, "schedstat");
    }
}

/// The system calls of a tick. The budget is one for each domain, one for the node's
/// CPU time, one for each job's and one a second to see whether it has ended, and a
/// fifth of that again for waiting.
fn calls(table: &mut Table, daemon: &Daemon, machine: &Machine, hertz: u32) {
    let rate = format!("{hertz} Hz");
    let calls = daemon.calls(TRACED, &machine.state().with_file_name("strace"));
    let of_thread = |name: &'static str| {
        calls.iter().filter(move |(thread, call)| {
            // The stand-in's own look at its script; a real driver takes an ioctl.
            thread == name && !call.contains("nvml-standin.json")
        })
    };
    // The engine reads the node's CPU time once a tick.
    let stat = format!("pread64({},", daemon.descriptor("/proc/stat").expect("/proc/stat"));
    let ticks = of_thread("engine").filter(|(_, call)| call.starts_with(&stat)).count() as f64;
    assert!(ticks > 0.0, "no tick was seen under strace");
    let engine = of_thread("engine").count() as f64 / ticks;
    let gpus = of_thread("nvml-gpu").count() as f64 / ticks;
    let total = engine + gpus;
    let of_jobs = JOBS as f64 * (1.0 + 1.0 / f64::from(hertz));
    let budget = 1.2 * ((GPUS + ZONES) as f64 + 1.0 + of_jobs);
    let how = format!("strace over {} s: engine and GPU threads", TRACED.as_secs());
    table.judge(&format!("{rate}: system calls a tick"), total, budget, Unit::Count, &how);
    let mut kinds: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (thread, call) in &calls {
        let name = call.split('(').next().unwrap_or_default();
        if !call.contains("nvml-standin.json") {
            *kinds.entry((thread, name)).or_default() += 1;
        }
    }
    for ((thread, name), count) in kinds {
        let each = count as f64 / ticks;
        if each >= 0.05 {
            table.tell(&format!("{rate}: … {thread}: {name}"), format!("{each:.1}"), "a tick");
        }
    }
}
