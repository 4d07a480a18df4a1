// SPDX-License-Identifier: Apache-2.0
//! Benchmark records from files and folders.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::benchmark::checked::{Checked, Refused, read};
use crate::commands::exit::{Code, Failure};
use crate::record::text::line;

/// A larger file is no benchmark record.
const LARGEST: u64 = 64 << 20;

/// Why a file gives no record.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] io::Error),
    /// It is no benchmark record, or not a valid one.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Reads a file, which is called `name` in what is said of it.
///
/// # Errors
/// [`Unread`].
pub fn load(path: &Path, name: &str) -> Result<Checked, Unread> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Err(Refused::Foreign.into());
    }
    let text = String::from_utf8(fs::read(path)?).map_err(|_| Refused::Foreign)?;
    Ok(read(name, &text)?)
}

/// A record that is named on the command line.
///
/// # Errors
/// With what to do next.
pub fn named(path: &Path) -> Result<Checked, Failure> {
    let name = line(&path.to_string_lossy());
    load(path, &name).map_err(|error| {
        let hint = match &error {
            Unread::File(_) | Unread::Refused(Refused::Foreign | Refused::Version(_)) => "",
            Unread::Refused(_) => "; `aimeter bench validate` names each violation",
        };
        let error = line(&error.to_string());
        Failure::new(Code::Failed, format!("cannot use {name}: {error}{hint}"))
    })
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
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Whether a signature lies beside a file, as `ssh-keygen -Y sign` puts it.
pub fn has_signature(path: &Path) -> bool {
    let mut name = path.as_os_str().to_owned();
    name.push(".sig");
    Path::new(&name).is_file()
}
