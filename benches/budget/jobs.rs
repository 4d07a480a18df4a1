// SPDX-License-Identifier: Apache-2.0
//! The jobs: 20 commands under `aimeter run`, each with one GPU and 0.2 % of a core.
//!
//! A job is this program itself: it burns 0.2 ms and sleeps 0.1 s, so that every
//! tick has CPU time to split and every domain has a line for every job, while the
//! two cores are left to what is measured.

use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};

use crate::machine::{GPUS, Machine};

/// Of the budget.
pub const JOBS: usize = 20;

/// The argument that makes this program a job.
pub const WORK: &str = "--work";

const BURST: Duration = Duration::from_micros(200);
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Works until standard input is closed: with the process that started it.
pub fn work() {
    let input = std::io::stdin();
    let spent = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
    };
    loop {
        let until = spent() + BURST;
        while spent() < until {
            std::hint::black_box((0..1_000u64).fold(0, |sum: u64, i| sum.wrapping_mul(31) ^ i));
        }
        match poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&PAUSE)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            _ => return,
        }
    }
}

/// Running jobs; they end when this is dropped.
pub struct Jobs(Vec<Child>);

impl Jobs {
    /// Starts them through the machine's daemon.
    pub fn start(machine: &Machine) -> Jobs {
        let itself = std::env::current_exe().expect("the path of this program");
        let start = |number: usize| {
            let mut run = machine.aimeter("run");
            run.args(["--quiet", "--project", "bench", "--gpus"])
                .arg((number % GPUS).to_string())
                .arg("--")
                .arg(&itself)
                .arg(WORK)
                .stdin(Stdio::piped());
            run.spawn().expect("the release binary")
        };
        Jobs((0..JOBS).map(start).collect())
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        for job in &mut self.0 {
            drop(job.stdin.take());
        }
        for job in &mut self.0 {
            let ended = job.wait();
            debug_assert!(ended.is_ok_and(|status| status.success()));
        }
    }
}
