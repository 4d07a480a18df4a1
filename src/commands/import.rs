// SPDX-License-Identifier: Apache-2.0
//! `aimeter import`: what other tools have counted, as records for reports.
//!
//! The ledger's books are not touched: what aimeter did not meter is never booked as
//! if it had. What cannot be read is named with its place, and loses nothing else; the
//! exit code tells that there was some.

mod table;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use crate::clock;
use crate::config::Options;
use crate::ledger::IntensityFact;
use crate::record::Record;
use crate::record::import::{self, Clock, Import, Unreadable, codecarbon, slurm};

use super::cli::{CodecarbonArgs, ImportAction, OutputArgs, SlurmArgs};
use super::complain;
use super::exit::{Code, Failure};
use super::whatif::facts::Sources;

/// The largest file that is read.
const MOST_BYTES: u64 = 256 * 1024 * 1024;

/// So long a time feeds are asked for at once.
const STEP: SignedDuration = SignedDuration::from_hours(31 * 24);

/// Reads, and writes what was asked for. The code tells whether all was read.
///
/// # Errors
/// Where the file cannot be read or is another tool's, or the output fails.
pub fn run(action: &ImportAction, options: &Options, out: &mut dyn Write) -> Result<Code, Failure> {
    match action {
        ImportAction::Codecarbon(CodecarbonArgs { file, output }) => {
            let found = codecarbon::read(&bytes(file)?, &Clock::of(output.timezone.clone()));
            finish(file, understood(file, found)?, output, &[], out)
        }
        ImportAction::Slurm(args) => {
            let SlurmArgs { file, output, .. } = args;
            let site = slurm::Site {
                clock: Clock::of(output.timezone.clone()),
                cpus_per_node: args.cpus_per_node,
            };
            let mut found = understood(file, slurm::read(&bytes(file)?, &site))?;
            let remarks = add_emissions(&mut found.records, args, options)?;
            finish(file, found, output, &remarks, out)
        }
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed =
        |what: String| Failure::new(Code::Failed, format!("cannot read {}: {what}", name(path)));
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(|error| failed(error.to_string()))?)
    };
    let mut bytes = Vec::new();
    let read = source.take(MOST_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| failed(error.to_string()))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(failed(format!("it has more than {} MiB; split it", MOST_BYTES >> 20)));
    }
    Ok(bytes)
}

fn understood(path: &Path, found: Result<Import, Unreadable>) -> Result<Import, Failure> {
    found.map_err(|error| Failure::new(Code::Failed, format!("cannot use {}: {error}", name(path))))
}

fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// Adds emissions where a zone is known; what is to be told of it.
fn add_emissions(
    records: &mut [Record],
    args: &SlurmArgs,
    options: &Options,
) -> Result<Vec<String>, Failure> {
    let Some(zone) = args.zone.as_deref().or(options.zone.as_deref()) else {
        let note = "no zone is set, so emissions are not computed: --zone".to_owned();
        for record in records {
            record.quality.notes.push(note.clone());
        }
        return Ok(vec![note]);
    };
    let now = clock::wall();
    let mut sources = Sources::new(options, now);
    let spans: Vec<(i64, i64)> = records.iter().filter_map(import::span).collect();
    let facts = facts(&mut sources, zone, &spans, now)?;
    for record in records {
        import::add_emissions(record, &facts, args.pue, now);
    }
    let credits = sources.attribution.iter().map(|credit| format!("credit: {credit}"));
    Ok(sources.notes.iter().cloned().chain(credits).collect())
}

/// Facts for all of these times: the feeds are asked once for each month that has jobs.
fn facts(
    sources: &mut Sources,
    zone: &str,
    spans: &[(i64, i64)],
    now: Timestamp,
) -> Result<Vec<IntensityFact>, Failure> {
    let mut facts: Vec<IntensityFact> = Vec::new();
    let first = spans.iter().map(|(from, _)| *from).min();
    let last = spans.iter().map(|(_, to)| *to).max();
    let Some((first, last)) = first.zip(last) else { return Ok(facts) };
    let step = i64::try_from(STEP.as_micros()).unwrap_or(i64::MAX);
    let last = last.max(first.saturating_add(1)).min(now.as_microsecond());
    let mut from = first;
    while from < last {
        let to = from.saturating_add(step).min(last);
        if spans.iter().any(|span| span.0 <= to && span.1 >= from) {
            let moment = |microseconds| {
                Timestamp::from_microsecond(microseconds).map_err(anyhow::Error::from)
            };
            facts.extend_from_slice(sources.facts(Some(zone), moment(from)?, moment(to)?)?);
        }
        from = to;
    }
    Ok(facts)
}

fn finish(
    path: &Path,
    found: Import,
    output: &OutputArgs,
    remarks: &[String],
    out: &mut dyn Write,
) -> Result<Code, Failure> {
    let file = name(path);
    let kept = match &output.output {
        Some(folder) => keep(&found.records, folder)?,
        None => Vec::new(),
    };
    if output.json {
        let mut text = serde_json::to_vec_pretty(&found.records).map_err(anyhow::Error::from)?;
        text.push(b'\n');
        out.write_all(&text).map_err(Failure::of_output)?;
        for remark in found.remarks.iter().filter(|remark| remark.refused) {
            complain(&table::remark(&file, remark));
        }
        remarks.iter().for_each(|remark| complain(remark));
    } else {
        let text = table::text(&file, &found, remarks);
        out.write_all(text.as_bytes()).map_err(Failure::of_output)?;
    }
    kept.iter().for_each(|problem| complain(problem));
    let refused = found.remarks.iter().any(|remark| remark.refused) || !kept.is_empty();
    Ok(match refused {
        false => Code::Success,
        true if found.records.is_empty() => Code::Failed,
        true => Code::Warned,
    })
}

/// Writes each record to a file of its own; what is not written, and why.
fn keep(records: &[Record], folder: &Path) -> Result<Vec<String>, Failure> {
    let failed = |error: io::Error| {
        Failure::new(Code::Failed, format!("cannot write to {}: {error}", folder.display()))
    };
    fs::create_dir_all(folder).map_err(failed)?;
    let mut problems = Vec::new();
    for record in records {
        let mut text = serde_json::to_vec_pretty(record).map_err(anyhow::Error::from)?;
        text.push(b'\n');
        let path = folder.join(format!("{}.json", record.job.id));
        match put(&path, &text) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                problems.push(format!("{} is there already and stays as it is", path.display()));
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(problems)
}

/// A whole file or none, and never in the place of another; one of the same content is
/// as good as written.
fn put(path: &Path, text: &[u8]) -> io::Result<()> {
    let draft = path.with_extension(format!("json.{}", std::process::id()));
    let written = File::create_new(&draft).and_then(|mut file| {
        file.write_all(text)?;
        file.sync_data()
    });
    // A link, unlike a renaming, fails where the name is taken.
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    let removed = fs::remove_file(&draft);
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::read(path).is_ok_and(|there| there == text) { Ok(()) } else { Err(error) }
        }
        other => other.and(removed),
    }
}
