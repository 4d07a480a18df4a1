// SPDX-License-Identifier: Apache-2.0
//! What `aimeter run` adds to a command that does nothing.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::machine::{GPUS, Machine};
use crate::process::{Daemon, median_and_p95, timed};
use crate::table::{Table, Unit};

/// Runs of each kind, one after the other in turn, so that all see the same machine.
const RUNS: usize = 100;
/// Between two runs: a job's start is mostly alone, and finds the kernel at rest.
const PAUSE: Duration = Duration::from_millis(50);

/// Through the daemon and standalone, against the bare command.
pub fn measure(table: &mut Table) {
    let machine = Machine::new(0);
    let gpus = Machine::new(GPUS);
    let _daemons = [Daemon::start(&machine, &[]), Daemon::start(&gpus, &[])];
    let bare = || Command::new("true");
    let through = || wrapped(&machine, &[]);
    let quiet = || wrapped(&gpus, &["--quiet"]);
    let alone = || wrapped(&machine, &["--standalone"]);
    let whole = || wrapped(&gpus, &[]);
    let kinds: [&dyn Fn() -> Command; 5] = [&bare, &through, &quiet, &alone, &whole];
    let mut times = kinds.map(|_| Vec::with_capacity(RUNS));
    for number in 0..RUNS {
        for (kind, times) in kinds.iter().zip(&mut times) {
            // These wait for a step of the GPUs' counters: a few are enough.
            let slow = std::ptr::eq(*kind, kinds[4]);
            if !slow || number % 10 == 0 {
                times.push(time(kind()));
            }
        }
    }
    let [bare, through, quiet, alone, whole] = times.map(median_and_p95);
    let how = |p95: f64| {
        format!("median of {RUNS} (19 of 20: {:.2} ms) less that of `true`", p95 - bare.0)
    };
    let mut judge = |what: &str, (median, p95): (f64, f64), budget: f64| {
        table.judge(what, median - bare.0, budget, Unit::Milliseconds, &how(p95));
    };
    judge("run: through the daemon adds", through, 5.0);
    judge("run: the same with 8 GPUs, --quiet", quiet, 5.0);
    judge("run: standalone without NVML adds", alone, 10.0);
    let step = "waits for the next step of the GPUs' counters, at most 0.1 s";
    let measured = format!("{:.2} ms", whole.0 - bare.0);
    table.tell("run: with 8 GPUs and its summary adds", measured, step);
    table.tell("run: `true` itself", format!("{:.2} ms", bare.0), "fork, exec, wait");
}

fn wrapped(machine: &Machine, options: &[&str]) -> Command {
    let mut run = machine.aimeter("run");
    run.args(options).args(["--", "true"]);
    run
}

fn time(mut command: Command) -> f64 {
    std::thread::sleep(PAUSE);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let (status, time) = timed(|| command.status());
    assert!(status.is_ok_and(|status| status.success()), "{command:?}");
    time
}
