// SPDX-License-Identifier: Apache-2.0
//! `aimeter bench table DIR`: a leaderboard of any folder of records.
//!
//! What is no benchmark record is skipped and said on standard error; one that is not
//! valid stands apart in the table. Nothing here computes a figure.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use super::files::{Left, below, found};
use super::validate::line;
use crate::benchmark::table::{Board, Choice, Entry, Invalid, board, csv, html, markdown, text};
use crate::commands::cli::{TableArgs, TableFormat};
use crate::commands::exit::{Code, Failure};
use crate::commands::{complain, output_style};
use crate::record::summary::Style;

/// Writes the table.
///
/// # Errors
/// Where the folder cannot be read or the output fails.
pub fn run(args: &TableArgs) -> Result<ExitCode, Failure> {
    let (entries, invalid) = gather(args)?;
    if entries.is_empty() && invalid.is_empty() {
        complain(&format!("no benchmark record in {}", line(&args.dir.to_string_lossy())));
    }
    let choice = Choice { units: args.unit.clone(), no_reference: args.no_reference };
    let some = !entries.is_empty();
    let board = board(entries, invalid, &choice);
    if some && board.groups.is_empty() {
        complain(&format!("no valid record is of the unit {}", line(&args.unit.join(", "))));
    }
    let written = form(args, &board, output_style())?;
    let mut out = io::stdout().lock();
    out.write_all(&written).and_then(|()| out.flush()).map_err(Failure::of_output)?;
    Ok(Code::Success.into())
}

fn form(args: &TableArgs, board: &Board, style: Style) -> Result<Vec<u8>, Failure> {
    let failed = |error: anyhow::Error| Failure::from(error);
    if args.json {
        let mut json = serde_json::to_vec_pretty(board).map_err(|error| failed(error.into()))?;
        json.push(b'\n');
        return Ok(json);
    }
    match args.format {
        TableFormat::Text => Ok(text(board, style).into_bytes()),
        TableFormat::Markdown => Ok(markdown(board).into_bytes()),
        TableFormat::Csv => csv(board).map_err(|error| failed(error.into())),
        TableFormat::Html => {
            html(board).map(String::into_bytes).map_err(|error| failed(error.into()))
        }
    }
}

/// The folder's records, and those that are not valid.
fn gather(args: &TableArgs) -> Result<(Vec<Entry>, Vec<Invalid>), Failure> {
    let folder = line(&args.dir.to_string_lossy());
    let unreadable =
        |error| Failure::new(Code::Failed, format!("cannot read the folder {folder}: {error}"));
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    let (mut entries, mut invalid) = (Vec::new(), Vec::new());
    for path in below(&args.dir).map_err(unreadable)? {
        let name = path.strip_prefix(&args.dir).unwrap_or(&path).to_string_lossy().into_owned();
        match found(&path, &name) {
            Ok(entry) => {
                let campaign = entry.checked.record.campaign.id.clone();
                if let Some(other) = first.get(&campaign) {
                    skip(&name, &format!("it is of the same campaign as {other}"));
                    continue;
                }
                first.insert(campaign, name);
                entries.push(entry);
            }
            Err(Left::Skipped(why)) => skip(&name, &why),
            Err(Left::Invalid(reason)) => {
                invalid.push(Invalid { file: name, reason: line(&reason) });
            }
        }
    }
    Ok((entries, invalid))
}

fn skip(name: &str, why: &str) {
    complain(&format!("skipped {}: {}", line(name), line(why)));
}
