// SPDX-License-Identifier: Apache-2.0
//! Secrets: the keys that feeds ask for, and where they are kept.
//!
//! A secret is read just before it is sent, goes into one header, and must never
//! reach a log, an error, a record or a page: its `Debug` says nothing, and it has
//! no `Display`.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Longest secret that is read: longer is a wrong file, not a key.
const LONGEST: u64 = 8_192;

/// A key or password.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// From its text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A text without this secret: a server may repeat what it was sent.
    pub fn removed_from(&self, text: &str) -> String {
        if self.0.is_empty() { text.to_owned() } else { text.replace(&self.0, "[secret]") }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// In the configuration itself, which then only its owner may read.
    Inline(Secret),
    /// In a file of its own.
    File(PathBuf),
    /// In this environment variable.
    Environment(String),
    /// In `$CREDENTIALS_DIRECTORY`, under this name (systemd's `LoadCredential=`).
    Credential(String),
}

impl SecretSource {
    /// Reads it; spaces and line ends around it are not part of it.
    ///
    /// # Errors
    /// What is missing and where, never what was found.
    pub fn read(&self, environment: &dyn Fn(&str) -> Option<String>) -> Result<Secret, String> {
        let text = match self {
            SecretSource::Inline(secret) => return Ok(secret.clone()),
            SecretSource::File(path) => read_file(path)?,
            SecretSource::Environment(name) => environment(name)
                .ok_or_else(|| format!("the environment variable {name} is not set"))?,
            SecretSource::Credential(name) => {
                let folder = environment("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                    format!(
                        "$CREDENTIALS_DIRECTORY is not set: give the unit LoadCredential={name}:PATH"
                    )
                })?;
                read_file(&Path::new(&folder).join(name))?
            }
        };
        let text = text.trim();
        if text.is_empty() {
            return Err("the secret is empty".into());
        }
        Ok(Secret::new(text))
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LONGEST).read_to_string(&mut text))
        .map_err(|error| format!("cannot read the secret in {}: {error}", path.display()))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_from_each_place_and_shown_in_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "s3cr3t\n").unwrap();
        let directory = folder.path().display().to_string();
        let environment = |name: &str| match name {
            "KEY" => Some("s3cr3t".to_owned()),
            "CREDENTIALS_DIRECTORY" => Some(directory.clone()),
            _ => None,
        };
        for source in [
            SecretSource::Inline(Secret::new("s3cr3t")),
            SecretSource::File(path),
            SecretSource::Environment("KEY".into()),
            SecretSource::Credential("key".into()),
        ] {
            assert_eq!(source.read(&environment).unwrap().expose(), "s3cr3t");
            assert!(!format!("{source:?}").contains("s3cr3t"));
        }
        let missing = SecretSource::Environment("NONE".into()).read(&environment).unwrap_err();
        assert_eq!(missing, "the environment variable NONE is not set");
        let secret = Secret::new("s3cr3t");
        assert_eq!(secret.removed_from("no user s3cr3t"), "no user [secret]");
    }
}
