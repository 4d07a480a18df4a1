// SPDX-License-Identifier: Apache-2.0
//! `aimeter bench run`: a campaign by the protocol of `docs/benchmark.md`.
//!
//! What makes a campaign senseless is refused before it begins; a rule that is not kept is
//! an exception of the record. Each part is kept as soon as it is complete, so that the
//! same command takes an interrupted campaign up again. What follows from the measured
//! parts is computed by `crate::benchmark` alone.

mod folder;
mod job;
mod machine;
mod parts;
mod progress;
mod ready;
mod signals;
mod watch;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use crate::benchmark::campaign::{Closing, record};
use crate::benchmark::measured;
use crate::benchmark::protocol::{Next, next};
use crate::benchmark::record::{BenchmarkRecord, SciEmbodied, StoppedBy};
use crate::benchmark::summary::summary;
use crate::benchmark::{campaign, hash};
use crate::commands::cli::BenchRunArgs;
use crate::commands::exit::{Code, Failure};
use crate::config::Options;
use crate::jobs::{Exit, JobId};
use crate::record::{build, host};
use crate::wrapper::exit_like;

use folder::{Folder, RECORD};
use parts::{Ended, Session};
use progress::Progress;
use ready::Ready;

/// Runs or takes up the campaign of a spec and writes its record.
///
/// # Errors
/// A wrong spec, a machine or a work that allows no campaign, a failed repetition.
pub fn run(
    args: &BenchRunArgs,
    options: &Options,
    passed: &[(String, String)],
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let ready = Ready::look(args, passed)?;
    let folder = Folder::open(&ready.folder)?;
    let found = folder.read()?;
    if let Some(found) = &found {
        ready.check_same(&found.campaign)?;
    }
    let next_of =
        |done: &campaign::Progress| next(&ready.spec.protocol, &ready.spec.stop, &done.done());
    let (mut measured, stopped_by) = match found {
        Some(found) if matches!(next_of(&found), Next::Stop(_)) => {
            let Next::Stop(by) = next_of(&found) else { unreachable!("it was just seen") };
            (found, by)
        }
        found => {
            signals::note_from_now_on();
            let progress = Progress::new(args.quiet);
            let mut session = Session::begin(&ready, &folder, options, found, progress)?;
            match session.measure() {
                Ok(by) => (session.measured, by),
                Err(Ended::Interrupted) => (session.measured, StoppedBy::Interrupt),
                Err(Ended::Failed(failure)) => return Err(failure),
            }
        }
    };
    let interrupted = stopped_by == StoppedBy::Interrupt;
    if interrupted {
        let command: Vec<String> = std::env::args().skip(1).collect();
        let command = format!("aimeter {}", command.join(" "));
        let count = measured.repetitions.len();
        crate::commands::complain(&format!(
            "interrupted; {count} repetitions are kept in {}: the same command goes on: {command}",
            folder.path().display()
        ));
    }
    if !measured.repetitions.is_empty() {
        settle(&mut measured, options);
        let closing = Closing { stopped_by, embodied: embodied(&measured.campaign, options) };
        let record = record(&ready.spec, &measured, &closing)
            .map_err(|error| Failure::new(Code::Refused, format!("no score: {error}")))?;
        let record = hash::sealed(record).map_err(anyhow::Error::from)?;
        let output = args.output.clone().unwrap_or_else(|| folder.path().join(RECORD));
        folder::write(&output, &record)?;
        show(&record, args.json, &output, out)?;
    }
    if interrupted {
        out.flush().map_err(Failure::of_output)?;
        exit_like(signals::came().map_or(Exit::Code(1), Exit::Signal));
    }
    Ok(Code::Success.into())
}

fn show(
    record: &BenchmarkRecord,
    json: bool,
    output: &Path,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let text = if json {
        serde_json::to_string_pretty(record).map_err(anyhow::Error::from)? + "\n"
    } else {
        format!("{}  {:<12} {}\n", summary(record), "record", output.display())
    };
    out.write_all(text.as_bytes()).map_err(Failure::of_output)
}

/// Takes the intensity of each window as it is known now: the daemon's or the ledger's,
/// where they know the job, settles later than the campaign.
fn settle(measured: &mut campaign::Progress, options: &Options) {
    let host = host::gather(&options.roots);
    for one in &mut measured.repetitions {
        let Ok(id) = one.part.job_id.parse::<JobId>() else { continue };
        let Ok((report, known)) = crate::commands::load_job(&id, options) else { continue };
        if let Some(intensity) = &build(&report, &host, &known).emissions.intensity {
            one.part.intensity = Some(measured::intensity(intensity));
        }
    }
}

/// Embodied carbon of the server and the accelerators that are reserved, by aimeter's
/// table of published figures or its configuration.
fn embodied(campaign: &campaign::Campaign, options: &Options) -> Option<SciEmbodied> {
    let gpus = &campaign.machine.host.gpus;
    let models: Vec<&str> = gpus.iter().filter_map(|gpu| gpu.model.as_deref()).collect();
    let made = options.accounting.embodied.made(&models)?;
    let source = made.sources.join("; ");
    Some(SciEmbodied {
        te_grams: made.grams,
        te_source: source.clone(),
        el_seconds: made.lifetime_seconds,
        el_source: source,
        rr: 1.0,
        tor: 1.0,
        reserved_source: "the whole node with these accelerators is reserved: exclusive use"
            .to_owned(),
    })
}
