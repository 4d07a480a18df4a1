// SPDX-License-Identifier: Apache-2.0
//! What a run says at its end: the summary on standard error, the record where
//! it was asked for. A file that cannot be written is said and changes nothing.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use crate::commands::complain;
use crate::record::Record;
use crate::record::summary::{Style, summary};

use super::RunOptions;
use super::meter::Finished;

/// Says it.
pub fn show(run: &RunOptions, finished: Finished) {
    let mut finished = finished;
    if let Some(record) = &mut finished.record {
        let known = &record.quality.notes;
        let new: Vec<String> =
            finished.remarks.iter().filter(|remark| !known.contains(remark)).cloned().collect();
        record.quality.notes.extend(new);
    }
    if !run.args.quiet {
        match &finished.record {
            Some(record) => say(record),
            None => finished.remarks.iter().for_each(|remark| complain(remark)),
        }
    }
    if let (Some(path), Some(record)) = (&run.args.json, &finished.record)
        && let Err(error) = write_record(path, record)
    {
        complain(&format!("cannot write the record to {}: {error}", path.display()));
    }
}

fn say(record: &Record) {
    let colour = io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let text = summary(record, Style { colour });
    // A closed standard error is nobody's failure.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn write_record(path: &Path, record: &Record) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(record)?;
    text.push(b'\n');
    if path == Path::new("-") {
        let mut out = io::stdout().lock();
        return out.write_all(&text).and_then(|()| out.flush());
    }
    std::fs::write(path, text)
}
