// SPDX-License-Identifier: Apache-2.0
//! `aimeter report --since …`: the statement of a period, from the books.

use std::io::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::commands::cli::{ReportArgs, ReportBy, ReportFormat};
use crate::commands::exit::{Code, Failure};
use crate::config::Options;
use crate::ledger::query::Reader;
use crate::record::host;
use crate::record::report::period::{Asked, By, csv, edges, html, markdown, statement, text};
use crate::record::summary::Style;
use crate::settlement::period::{Wanted, read};

/// Writes the statement of the period from `since` on; `now` is the clock's.
///
/// # Errors
/// Where the options do not fit, the ledger cannot be read, or `out` fails.
pub fn run(
    args: &ReportArgs,
    since: Timestamp,
    now: Timestamp,
    options: &Options,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let usage = |message: String| Failure::new(Code::Usage, message);
    if matches!(args.format, ReportFormat::ModelCard | ReportFormat::Citation) {
        let message = "--since makes a period's statement: text, json, csv, markdown or html";
        return Err(usage(message.to_owned()));
    }
    let until = args.until.map_or(now, |until| until.resolve(now));
    let by = match args.by {
        ReportBy::User => By::User,
        ReportBy::Project => By::Project,
        ReportBy::Model => By::Model,
        ReportBy::Gpu => By::Gpu,
        ReportBy::Day => By::Day,
    };
    let zone = TimeZone::system();
    let weeks = by != By::Day && edges::is_long(since, until);
    let wanted = Wanted {
        user: args.user.clone(),
        project: args.project.clone(),
        edges: edges::edges(since, until, &zone, weeks).map_err(usage)?,
        at: now,
    };
    let unexpected = |error: anyhow::Error| Failure::from(error);
    let reader =
        Reader::open(&options.ledger_to_read()).map_err(|error| unexpected(error.into()))?;
    let period = read(&reader, &wanted, &options.accounting.embodied)
        .map_err(|error| unexpected(error.into()))?;
    let host = host::gather(&options.roots).name;
    let asked = Asked { by, zone: zone.clone(), weeks, host };
    let statement = statement(&asked, &wanted, &period);
    let text = match args.format {
        ReportFormat::Json => {
            let json = serde_json::to_string_pretty(&statement);
            (json.map_err(|error| unexpected(error.into()))? + "\n").into_bytes()
        }
        ReportFormat::Csv => csv::csv(&statement).map_err(|error| unexpected(error.into()))?,
        ReportFormat::Markdown => markdown::markdown(&statement).into_bytes(),
        ReportFormat::Html => {
            let file = html::file(&statement, &zone);
            file.map_err(|error| unexpected(error.into()))?.into_bytes()
        }
        // The others are refused above.
        _ => text::text(&statement, style).into_bytes(),
    };
    out.write_all(&text).map_err(Failure::of_output)
}
