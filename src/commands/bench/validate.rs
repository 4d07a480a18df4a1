// SPDX-License-Identifier: Apache-2.0
//! `aimeter bench validate RECORD…`: a line for each violation, and one for each record.
//!
//! Files and signatures are this file's; what is checked of a record is
//! [`crate::benchmark::validate`]'s.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::signature::{self, Signature, Trust};
use crate::benchmark::read::{self, Read, ReadError};
use crate::benchmark::record::Level;
use crate::benchmark::validate::{Check, Violation, validate};
use crate::commands::cli::ValidateArgs;
use crate::commands::exit::{Code, Failure};
use crate::commands::without_error_numbers;
use crate::record::text;

/// A record of a hundred repetitions on sixteen accelerators has about two million bytes.
const MOST_BYTES: u64 = 32 << 20;

/// What is shown of a text of the record's.
const MOST_CHARACTERS: usize = 400;

/// What came of a file.
#[derive(Debug, Serialize)]
struct Report {
    file: String,
    /// Whether it is valid; false too where it could not be read.
    valid: bool,
    /// Why it could not be read.
    error: Option<String>,
    level: Option<Level>,
    claimed_level: Option<Level>,
    joules_per_unit: Option<f64>,
    unit: Option<String>,
    hash: Option<String>,
    signature: SignaturePart,
    violations: Vec<Violation>,
}

#[derive(Debug, Default, Serialize)]
struct SignaturePart {
    /// `none`, `unchecked`, `allowed`, `bad`; null where the record could not be read.
    state: Option<&'static str>,
    key: Option<String>,
    identity: Option<String>,
}

/// Checks records.
///
/// # Errors
/// A signature that cannot be checked, or output that fails.
pub fn run(args: &ValidateArgs) -> Result<ExitCode, Failure> {
    let out = &mut io::stdout().lock();
    let mut reports = Vec::new();
    for file in &args.record {
        let report = report(file, args)?;
        if !args.json {
            told(&report, out).map_err(Failure::of_output)?;
        }
        reports.push(report);
    }
    if args.json {
        let json = serde_json::to_string_pretty(&reports).map_err(anyhow::Error::from)?;
        writeln!(out, "{json}").map_err(Failure::of_output)?;
    }
    out.flush().map_err(Failure::of_output)?;
    let code = match () {
        () if reports.iter().any(|report| report.error.is_some()) => Code::Unreadable,
        () if reports.iter().any(|report| !report.valid) => Code::NotValid,
        () => Code::Success,
    };
    Ok(code.into())
}

/// A record's file, whole.
///
/// # Errors
/// What is wrong with it.
pub fn bytes_of(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let failed =
        |what: &str, error: io::Error| without_error_numbers(&format!("cannot {what} it: {error}"));
    let file = File::open(path).map_err(|error| failed("open", error))?;
    let read = file.take(MOST_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| failed("read", error))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("it has more than {} MiB, which no record has", MOST_BYTES >> 20));
    }
    Ok(bytes)
}

/// Anybody's text on a line of bounded length.
pub fn line(text: &str) -> String {
    let mut line = text::line(text);
    if let Some((end, _)) = line.char_indices().nth(MOST_CHARACTERS) {
        line.truncate(end);
        line.push('…');
    }
    line
}

fn report(file: &Path, args: &ValidateArgs) -> Result<Report, Failure> {
    let mut report = Report {
        file: file.display().to_string(),
        valid: false,
        error: None,
        level: None,
        claimed_level: None,
        joules_per_unit: None,
        unit: None,
        hash: None,
        signature: SignaturePart::default(),
        violations: Vec::new(),
    };
    let bytes = match bytes_of(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            report.error = Some(error);
            return Ok(report);
        }
    };
    match read::read(&bytes) {
        Ok(read) => checked(&read, &mut report),
        Err(ReadError::Form { at, what }) => {
            let said = "something else".to_owned();
            report.violations.push(Violation { check: Check::Form, at, said, found: what });
        }
        Err(error) => {
            report.error = Some(error.to_string());
            return Ok(report);
        }
    }
    let trust = args
        .allowed_signers
        .as_deref()
        .map(|allowed| Trust { allowed, identity: args.identity.as_deref() });
    let signature = signature::check(file, &bytes, trust)?;
    signed(signature, args.require_signature, &mut report);
    report.valid = report.violations.is_empty();
    Ok(report)
}

fn checked(read: &Read, report: &mut Report) {
    let outcome = validate(read);
    report.level = outcome.level;
    report.violations = outcome.violations;
    report.claimed_level = Some(read.record.derived.level.level);
    report.joules_per_unit = Some(read.record.derived.score.joules_per_unit);
    report.unit = Some(read.record.unit.name.clone());
    report.hash = Some(read.record.hash.clone());
}

fn signed(signature: Signature, required: bool, report: &mut Report) {
    let part = &mut report.signature;
    let at = signature::beside(Path::new(&report.file)).display().to_string();
    let mut violation = |said: String, found: String| {
        report.violations.push(Violation { check: Check::Signature, at: at.clone(), said, found });
    };
    match signature {
        Signature::None => {
            part.state = Some("none");
            if required {
                violation("nothing".to_owned(), "a signature is required".to_owned());
            }
        }
        Signature::By { key } => {
            part.state = Some("unchecked");
            part.key = Some(key);
        }
        Signature::Allowed { key, identity } => {
            part.state = Some("allowed");
            (part.key, part.identity) = (Some(key), Some(identity));
        }
        Signature::Bad { said, found } => {
            part.state = Some("bad");
            violation(said, found);
        }
    }
}

fn told(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let name = line(&report.file);
    if let Some(error) = &report.error {
        return writeln!(out, "{name}: cannot be read: {}", line(error));
    }
    for violation in &report.violations {
        writeln!(out, "{name}: {}", line(&violation.to_string()))?;
    }
    let signature = words(&report.signature);
    if !report.valid {
        let count = report.violations.len();
        let s = if count == 1 { "" } else { "s" };
        return writeln!(out, "{name}: not valid: {count} violation{s}; {signature}");
    }
    let level = report.level.map_or_else(String::new, |level| format!(", level {level:?}"));
    let each = report.joules_per_unit.zip(report.unit.as_deref());
    let each = each.map_or_else(String::new, |(joules, unit)| {
        format!(", {} a unit of {}", text::energy(joules), line(unit))
    });
    let hash = report.hash.as_deref().unwrap_or_default();
    writeln!(out, "{name}: valid{level}{each}; {hash}; {signature}")
}

fn words(signature: &SignaturePart) -> String {
    let key = signature.key.as_deref().unwrap_or_default();
    match signature.state {
        Some("unchecked") => format!("signed by key {key}, not checked against anybody"),
        Some("allowed") => {
            let identity = signature.identity.as_deref().unwrap_or_default();
            format!("signed by {} with key {key}", line(identity))
        }
        Some("bad") => "its signature does not count".to_owned(),
        _ => "not signed".to_owned(),
    }
}
