// SPDX-License-Identifier: Apache-2.0
//! A workload that knows its truth: it burns a given CPU time and says how much
//! it burnt, by its own `CLOCK_PROCESS_CPUTIME_ID`, so that tests are exact on a
//! machine of any speed. It never sleeps to burn, and never says less than it used
//! but for the few hundred microseconds of ending.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Parser;
use nix::sys::signal::{SigHandler, Signal, raise, signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe, setsid};
use rustix::time::{ClockId, clock_gettime};

/// Burns a known CPU time and says how much that was.
///
/// The order is: become a wrapper (--subreaper), wait for --start-file, change
/// shape (--double-fork, --setsid), stamp the start, run --children, burn --cpu,
/// stamp the end, --sleep, wait for --until-file, then end as --signal-self or
/// --exit say. Times are written 1.5s, 20ms, 300us.
#[derive(Debug, Parser)]
struct Options {
    /// CPU time that this process burns, what it used before included
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "0s")]
    cpu: Duration,
    /// Children to run, one after the other
    #[arg(long, value_name = "N", default_value_t = 0)]
    children: u32,
    /// CPU time that each child burns
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "20ms")]
    each: Duration,
    /// Each child is forked by a process that ends at once, and nobody of ours waits for it
    #[arg(long)]
    orphan_children: bool,
    /// Fork twice as a daemon does; the first process ends at once
    #[arg(long)]
    double_fork: bool,
    /// Work in a session of one's own
    #[arg(long)]
    setsid: bool,
    /// Burn half of --cpu, then replace the program by itself for the rest
    #[arg(long)]
    exec: bool,
    /// Ignore SIGCHLD, so that the kernel reaps the children and forgets their time
    #[arg(long)]
    ignore_sigchld: bool,
    /// Be a wrapper: print the pid of a child that does the rest, adopt its
    /// orphans, and end when the last of them has ended
    #[arg(long)]
    subreaper: bool,
    /// Wait until this file exists, before anything is burnt
    #[arg(long, value_name = "PATH")]
    start_file: Option<PathBuf>,
    /// Write pid, times on CLOCK_BOOTTIME, and CPU time: used before the start,
    /// and burnt in all; as JSON, once at the start (with nulls), once when all is burnt
    #[arg(long, value_name = "FILE")]
    stamp: Option<PathBuf>,
    /// Sleep after burning
    #[arg(long, value_name = "TIME", value_parser = time)]
    sleep: Option<Duration>,
    /// After burning, wait until this file exists
    #[arg(long, value_name = "PATH")]
    until_file: Option<PathBuf>,
    /// End with this exit code
    #[arg(long, value_name = "N", default_value_t = 0)]
    exit: i32,
    /// End by this signal
    #[arg(long, value_name = "N")]
    signal_self: Option<i32>,
    /// What --exec hands on to itself
    #[arg(long, hide = true, value_parser = begin)]
    begun: Option<Begin>,
}

/// The start of the work: nanoseconds since boot, and of CPU time used before.
#[derive(Clone, Copy, Debug)]
struct Begin {
    at: u64,
    cpu: u64,
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let options = Options::parse();
    if options.subreaper && become_wrapper()? {
        return Ok(());
    }
    if options.ignore_sigchld {
        // SAFETY: SIG_IGN runs no code of ours.
        unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }?;
    }
    if let Some(path) = &options.start_file {
        wait_for(path);
    }
    change_shape(&options)?;
    let start = options.begun.unwrap_or(Begin { at: now(), cpu: cpu_time().as_nanos() as u64 });
    stamp(&options, start, None)?;
    let mut burnt = Duration::ZERO;
    for _ in 0..options.children {
        burnt += run_child(options.each, options.orphan_children, options.ignore_sigchld)?;
    }
    if options.exec {
        burn(options.cpu / 2);
        return Err(again(start).into());
    }
    burn(options.cpu);
    stamp(&options, start, Some(burnt + cpu_time()))?;
    if let Some(time) = options.sleep {
        std::thread::sleep(time);
    }
    if let Some(path) = &options.until_file {
        wait_for(path);
    }
    if options.sleep.is_some() || options.until_file.is_some() {
        stamp(&options, start, Some(burnt + cpu_time()))?;
    }
    if let Some(number) = options.signal_self {
        raise(Signal::try_from(number)?)?;
    }
    std::process::exit(options.exit)
}

/// True in the wrapper, after its last descendant has ended; false in the child.
fn become_wrapper() -> Outcome<bool> {
    // Any `Some` means "on" to the kernel.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let ForkResult::Parent { child } = branch()? else { return Ok(false) };
    println!("{child}");
    while let Ok(status) = waitpid(None, None) {
        if let WaitStatus::Exited(pid, code) = status
            && pid == child
            && code != 0
        {
            eprintln!("burn: process {pid} ended with {code}");
        }
    }
    Ok(true)
}

/// Forks (and opens a session) until the process is as the options want it. A
/// parent that goes on only waits.
fn change_shape(options: &Options) -> Outcome<()> {
    if !options.double_fork && !options.setsid {
        return Ok(());
    }
    if let ForkResult::Parent { child } = branch()? {
        if options.double_fork {
            std::process::exit(0);
        }
        let code = match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, code)) => code,
            _ => 1,
        };
        std::process::exit(code);
    }
    if options.setsid {
        setsid()?;
    }
    if options.double_fork
        && let ForkResult::Parent { .. } = branch()?
    {
        std::process::exit(0);
    }
    Ok(())
}

/// Runs a child that burns `each`; what it says it burnt.
fn run_child(each: Duration, orphan: bool, ignored: bool) -> Outcome<Duration> {
    let (read, write) = pipe()?;
    match branch()? {
        ForkResult::Parent { child } => {
            drop(write);
            let mut said = [0; 8];
            File::from(read).read_exact(&mut said)?;
            if !ignored {
                waitpid(child, None)?;
            }
            Ok(Duration::from_nanos(u64::from_ne_bytes(said)))
        }
        ForkResult::Child => {
            drop(read);
            if orphan && let ForkResult::Parent { .. } = branch()? {
                std::process::exit(0);
            }
            burn(each);
            say(write)
        }
    }
}

fn say(write: OwnedFd) -> Outcome<Duration> {
    let nanoseconds = u64::try_from(cpu_time().as_nanos())?;
    File::from(write).write_all(&nanoseconds.to_ne_bytes())?;
    std::process::exit(0)
}

/// The same program in the same process, without `--exec`. The CPU clock of the
/// process runs on, so that it burns the rest.
fn again(begin: Begin) -> std::io::Error {
    let arguments = std::env::args_os().skip(1);
    let shapes = ["--exec", "--double-fork", "--setsid", "--subreaper"];
    let rest = arguments.filter(|argument| !shapes.iter().any(|shape| argument == shape));
    let begun = format!("{},{}", begin.at, begin.cpu);
    Command::new("/proc/self/exe").args(rest).args(["--begun", &begun]).exec()
}

fn branch() -> Outcome<ForkResult> {
    // SAFETY: this program has one thread, so that the child may run anything.
    Ok(unsafe { fork() }?)
}

fn burn(target: Duration) {
    while cpu_time() < target {
        std::hint::black_box((0..10_000u64).fold(0, |sum: u64, i| sum.wrapping_mul(31) ^ i));
    }
}

fn cpu_time() -> Duration {
    duration(ClockId::ProcessCPUTime)
}

/// Nanoseconds since boot.
fn now() -> u64 {
    duration(ClockId::Boottime).as_nanos() as u64
}

fn duration(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Written aside and moved into place, so that a reader never sees half of it.
fn stamp(options: &Options, begin: Begin, burnt: Option<Duration>) -> Outcome<()> {
    let Some(path) = &options.stamp else { return Ok(()) };
    let json = serde_json::json!({
        "pid": Pid::this().as_raw(),
        "start_ns": begin.at,
        "cpu_before_ns": begin.cpu,
        "end_ns": burnt.map(|_| now()),
        "cpu_ns": burnt.map(|burnt| u64::try_from(burnt.as_nanos())).transpose()?,
    });
    let aside = path.with_extension("new");
    std::fs::write(&aside, json.to_string())?;
    std::fs::rename(&aside, path)?;
    Ok(())
}

/// Waits for a file; ends where its folder is gone, for then so is whoever was
/// to make it.
/// Waits for a file; gives up with its folder, or after minutes: a workload must
/// not outlive the test that forgot it.
fn wait_for(path: &Path) {
    let begin = duration(ClockId::Boottime);
    while !path.exists() {
        let forgotten = duration(ClockId::Boottime) - begin > Duration::from_secs(300);
        if forgotten || !path.parent().is_none_or(Path::exists) {
            std::process::exit(1);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn begin(text: &str) -> Result<Begin, String> {
    let (at, cpu) = text.split_once(',').ok_or("two numbers")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| error.to_string());
    Ok(Begin { at: number(at)?, cpu: number(cpu)? })
}

fn time(text: &str) -> Result<Duration, String> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(number_end);
    let number: f64 = number.parse().map_err(|_| format!("`{text}` is no time"))?;
    let seconds = match unit {
        "s" => number,
        "ms" => number / 1e3,
        "us" => number / 1e6,
        _ => return Err(format!("`{text}` needs a unit: s, ms or us")),
    };
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
