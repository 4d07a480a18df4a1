// SPDX-License-Identifier: Apache-2.0
//! The configuration's file as it is found: its text, and who else can read it.

use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::file::FileSettings;
use super::keys::position;
use super::{ConfigError, DEFAULT_FILE, FileChoice};
use crate::grid::secret::SecretSource;

impl FileSettings {
    /// Whether the file itself holds something that others must not know.
    pub(super) fn holds_secret(&self) -> bool {
        let proxy = position("grid", "proxy");
        let password = self.entries.iter().any(|entry| {
            Some(entry.key) == proxy && entry.values.iter().any(|text| text.contains('@'))
        });
        let token = self
            .feeds
            .iter()
            .flatten()
            .any(|feed| matches!(feed.token, Some(SecretSource::Inline(_))));
        password || token
    }
}

/// The file as it was found.
pub(super) struct Source {
    /// Where.
    pub(super) path: PathBuf,
    /// What it says.
    pub(super) text: String,
    /// Its permissions when it was opened.
    pub(super) mode: u32,
}

/// Reads the file that was chosen, if there is one.
pub(super) fn read(choice: &FileChoice) -> Result<Option<Source>, ConfigError> {
    let (path, must_exist) = match choice {
        FileChoice::Search => (PathBuf::from(DEFAULT_FILE), false),
        FileChoice::Named(path) => (path.clone(), true),
        FileChoice::None => return Ok(None),
    };
    let mut text = String::new();
    let opened = std::fs::File::open(&path).and_then(|mut file| {
        file.read_to_string(&mut text)?;
        Ok(file.metadata()?.permissions().mode() & 0o7777)
    });
    match opened {
        Ok(mode) => Ok(Some(Source { path, text, mode })),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => Ok(None),
        Err(source) => Err(ConfigError::Read { path, source }),
    }
}
