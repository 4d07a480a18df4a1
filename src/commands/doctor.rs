// SPDX-License-Identifier: Apache-2.0
//! `aimeter doctor`: what keeps this machine from being metered well, and what to
//! do about each of it.
//!
//! One finding a line, worst last in the summary, each with its exact remedy. It
//! only looks: the one thing that it makes is an empty cgroup, which it removes at
//! once. The daemon is asked where it answers, since it knows how the sensors do.

mod checks;

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::config::{ConfigError, Options};

use super::exit::{Code, Failure};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing; nothing to do.
    Note,
    /// It works, with less than could be had.
    Warning,
    /// Something is not metered, not kept or not shown that should be.
    Error,
}

impl Severity {
    const fn word(self) -> &'static str {
        match self {
            Severity::Ok => "ok",
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }

    /// The terminal's colour of it (SGR).
    const fn colour(self) -> &'static str {
        match self {
            Severity::Ok => "32",
            Severity::Note => "36",
            Severity::Warning => "33",
            Severity::Error => "31",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check: `config`, `clock`, `sensors`, `counters`, `cgroup`, `socket`,
    /// `ledger`, `port`, `web`, `grid`.
    pub check: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was found, and of what.
    pub what: String,
    /// What to do; a command where there is one.
    pub remedy: Option<String>,
}

impl Finding {
    fn new(check: &'static str, severity: Severity, what: impl Into<String>) -> Finding {
        Finding { check, severity, what: what.into(), remedy: None }
    }

    fn with(self, remedy: impl Into<String>) -> Finding {
        Finding { remedy: Some(remedy.into()), ..self }
    }
}

/// Checks everything and shows it. `problem` is what is wrong with the
/// configuration, in whose place `options` are the defaults.
///
/// # Errors
/// [`Code::Failed`] where a finding is an error, [`Code::Warned`] where one is a
/// warning; or `out` fails.
pub fn run(
    json: bool,
    options: &Options,
    problem: Option<&ConfigError>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let colour = io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut findings = Vec::new();
    let mut failed = Ok(());
    checks::all(options, problem, &mut |finding| {
        // As they come: a feed that does not answer takes its time.
        if !json && failed.is_ok() {
            failed = out.write_all(line(&finding, colour).as_bytes()).and_then(|()| out.flush());
        }
        findings.push(finding);
    });
    failed.map_err(Failure::of_output)?;
    let end = if json { listing(&findings)? } else { summary(&findings) };
    out.write_all(end.as_bytes()).and_then(|()| out.flush()).map_err(Failure::of_output)?;
    match worst(&findings) {
        Severity::Ok | Severity::Note => Ok(()),
        Severity::Warning => Err(Failure::new(Code::Warned, "")),
        Severity::Error => Err(Failure::new(Code::Failed, "")),
    }
}

fn worst(findings: &[Finding]) -> Severity {
    findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok)
}

/// The public shape (`docs/json-output.md`).
#[derive(Serialize)]
struct Listing<'a> {
    worst: Severity,
    findings: &'a [Finding],
}

fn listing(findings: &[Finding]) -> Result<String, Failure> {
    let listing = Listing { worst: worst(findings), findings };
    Ok(serde_json::to_string_pretty(&listing).map_err(anyhow::Error::from)? + "\n")
}

fn line(finding: &Finding, colour: bool) -> String {
    let word = format!("{:<8}", finding.severity.word());
    let word =
        if colour { format!("\x1b[{}m{word}\x1b[0m", finding.severity.colour()) } else { word };
    let mut text = format!("{word} {:<9} {}\n", finding.check, finding.what);
    if let Some(remedy) = &finding.remedy {
        _ = writeln!(text, "{:18} → {remedy}", "");
    }
    text
}

fn summary(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|one| one.severity == severity).count();
    let (warnings, errors) = (count(Severity::Warning), count(Severity::Error));
    let many = |number: usize, what: &str| {
        format!("{number} {what}{}", if number == 1 { "" } else { "s" })
    };
    match (errors, warnings) {
        (0, 0) => "\nall is well\n".to_owned(),
        _ => format!("\n{}, {}\n", many(errors, "error"), many(warnings, "warning")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_and_its_remedy_the_next() {
        let finding = Finding::new("socket", Severity::Warning, "no daemon").with("start it");
        assert_eq!(
            line(&finding, false),
            "warning  socket    no daemon\n                   → start it\n"
        );
        assert!(line(&finding, true).starts_with("\x1b[33mwarning \x1b[0m socket"));
        assert_eq!(summary(&[finding.clone(), finding]), "\n0 errors, 2 warnings\n");
        assert_eq!(summary(&[Finding::new("clock", Severity::Note, "x")]), "\nall is well\n");
    }

    #[test]
    fn the_worst_finding_is_the_listings() {
        let findings = [
            Finding::new("ledger", Severity::Error, "gone"),
            Finding::new("clock", Severity::Ok, "set"),
        ];
        assert_eq!(worst(&findings), Severity::Error);
        assert_eq!(worst(&[]), Severity::Ok);
        assert!(listing(&findings).unwrap().contains("\"worst\": \"error\""));
    }
}
