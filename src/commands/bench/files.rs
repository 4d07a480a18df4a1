// SPDX-License-Identifier: Apache-2.0
//! Benchmark records from files and folders.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::signature::{self, Signature};
use super::validate::{bytes_of, line};
use crate::benchmark::checked::{Checked, Refused, read};
use crate::benchmark::read::ReadError;
use crate::benchmark::table::{Entry, Signed};
use crate::commands::exit::{Code, Failure};

/// A record that is named on the command line.
///
/// # Errors
/// With what to do next.
pub fn named(path: &Path) -> Result<Checked, Failure> {
    let name = line(&path.to_string_lossy());
    let failed = |code, what: &str| Failure::new(code, format!("cannot use {name}: {what}"));
    let bytes = bytes_of(path).map_err(|error| failed(Code::Unreadable, &error))?;
    read(&name, &bytes).map_err(|error| {
        let told = line(&error.to_string());
        match error {
            Refused::Foreign | Refused::Unreadable(ReadError::Version(_)) => {
                failed(Code::Unreadable, &told)
            }
            _ => failed(
                Code::NotValid,
                &format!("{told}; `aimeter bench validate` names each violation"),
            ),
        }
    })
}

/// Why a file of a folder gives no row.
#[derive(Debug)]
pub enum Left {
    /// It is no benchmark record.
    Skipped(String),
    /// It is one, and not valid.
    Invalid(String),
}

/// A record of a folder, with its signature; `name` is what it is called.
///
/// # Errors
/// [`Left`].
pub fn found(path: &Path, name: &str) -> Result<Entry, Left> {
    let bytes = bytes_of(path).map_err(Left::Skipped)?;
    let checked = read(name, &bytes).map_err(|error| match error {
        Refused::Foreign => Left::Skipped(error.to_string()),
        error => Left::Invalid(error.to_string()),
    })?;
    let signed = match signature::check(path, &bytes, None) {
        Ok(Signature::None) => Signed::No,
        Ok(Signature::By { key } | Signature::Allowed { key, .. }) => Signed::By(key),
        Ok(Signature::Bad { found, .. }) => {
            return Err(Left::Invalid(format!("its signature does not count: {found}")));
        }
        // Without ssh-keygen nothing is known of it.
        Err(_) => Signed::Unknown,
    };
    Ok(Entry { checked, signed })
}

/// Every `*.json` in a folder and below, in order. Links to folders are not followed.
///
/// # Errors
/// Where a folder cannot be read.
pub fn below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries: Vec<fs::DirEntry> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            found.extend(below(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "json") && path.is_file() {
            found.push(path);
        }
    }
    Ok(found)
}
