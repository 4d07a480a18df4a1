// SPDX-License-Identifier: Apache-2.0
//! Memory does not grow with finished jobs.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::machine::Machine;
use crate::process::Daemon;
use crate::table::{Table, Unit};

/// Until every buffer, SQLite's cache and the allocator's arenas have their size.
const FIRST: usize = 3_000;
/// Jobs after that.
const MORE: usize = 2_000;
/// At a time.
const AT_ONCE: usize = 4;

/// Anonymous memory before and after two thousand short jobs.
pub fn measure(table: &mut Table) {
    let machine = Machine::new(2);
    let config = machine.sysfs().with_file_name("aimeter.toml");
    let mut file = std::fs::File::create(&config).expect("a file");
    writeln!(file, "[ledger]\nkeep_finished = \"1s\"").expect("a write");
    let config = config.to_str().expect("a path in UTF-8");
    let daemon = Daemon::start(&machine, &["--config", config]);
    run_jobs(&machine, FIRST);
    let before = settled(&daemon);
    run_jobs(&machine, MORE);
    let after = settled(&daemon);
    let how = format!(
        "smaps_rollup after {FIRST} and after {} jobs, {:.2} MiB at the end",
        FIRST + MORE,
        after / 1024.0 / 1024.0
    );
    let what = format!("anonymous memory for {MORE} more jobs");
    table.judge(&what, (after - before).max(0.0), 128.0 * 1024.0, Unit::SmallBytes, &how);
}

/// Anonymous memory when no job is shown any more.
fn settled(daemon: &Daemon) -> f64 {
    std::thread::sleep(Duration::from_secs(4));
    daemon.memory().1
}

/// Runs so many jobs that do nothing, some at a time.
pub fn run_jobs(machine: &Machine, count: usize) {
    let run = || -> Command {
        let mut run = machine.aimeter("run");
        run.args(["--quiet", "--", "true"]);
        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        run
    };
    for _ in 0..count.div_ceil(AT_ONCE) {
        let running: Vec<_> =
            (0..AT_ONCE).map(|_| run().spawn().expect("the release binary")).collect();
        for mut job in running {
            let ended = job.wait().expect("its end");
            assert!(ended.success(), "{ended}");
        }
    }
}
