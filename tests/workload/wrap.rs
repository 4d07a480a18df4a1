// SPDX-License-Identifier: Apache-2.0
//! The wrapper alone, without metering: `wrap [--hold] [--report FILE] -- COMMAND`.
//!
//! The command is born in a cgroup of its own, as under `aimeter run` by root.
//! `--hold` prints the held command's pid on standard output and releases it at
//! the end of standard input; `--report` writes the outcome to a file.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::AsFd;

use aimeter::jobs::JobId;
use aimeter::jobs::cgroup::Cradle;
use aimeter::sensors::Roots;
use aimeter::wrapper::{Launch, WrapperError, exit_like, spawn};

fn run(mut arguments: impl Iterator<Item = OsString>) -> Result<aimeter::jobs::Exit, WrapperError> {
    let (mut hold, mut report) = (false, None);
    while let Some(argument) = arguments.next().filter(|argument| argument != "--") {
        match argument.to_str() {
            Some("--hold") => hold = true,
            Some("--report") => report = arguments.next(),
            _ => panic!("no such option: {argument:?}"),
        }
    }
    let launch = Launch {
        command: arguments.collect(),
        environment: vec![("AIMETER_JOB_ID".into(), "the-job".into())],
    };
    let cradle = Cradle::make(&Roots::default(), &JobId::generate()).ok();
    let paused = spawn(&launch, cradle.as_ref().map(Cradle::as_fd))?;
    if hold {
        println!("{}", paused.pid());
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    }
    let mut running = paused.release()?;
    let outcome = running.wait(&|_| {})?;
    if let Some(report) = report {
        std::fs::write(report, format!("{outcome:?}")).unwrap();
    }
    if let Some(cradle) = cradle {
        cradle.remove();
    }
    Ok(outcome.exit)
}

fn main() {
    match run(std::env::args_os().skip(1)) {
        Ok(exit) => exit_like(exit),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "aimeter: {error}");
            std::process::exit(error.exit_code())
        }
    }
}
