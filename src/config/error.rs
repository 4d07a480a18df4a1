// SPDX-License-Identifier: Apache-2.0
//! What is wrong with the configuration, and where a value of it comes from.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}{}", path.display(), remedy(source))]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line of the file is wrong.
    #[error("{}:{line}: {what}", path.display())]
    InFile {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What, and what would be right.
        what: String,
    },
    /// Others can read a secret in the file.
    #[error(
        "{} holds a secret and others can read it (mode {mode:04o}): chmod 600 it, or keep \
         the secret elsewhere (docs/grid.md)", path.display()
    )]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A flag or a variable is wrong.
    #[error("{origin}: {what}")]
    Given {
        /// Which.
        origin: Origin,
        /// What, and what would be right.
        what: String,
    },
}

impl ConfigError {
    /// Whether the file is to blame, not this call's flags or environment.
    pub fn is_of_file(&self) -> bool {
        !matches!(self, ConfigError::Given { .. })
    }

    /// Whether the file is only closed to who asks.
    pub fn is_closed(&self) -> bool {
        matches!(self, ConfigError::Read { source, .. } if is_denied(source))
    }
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

fn remedy(error: &io::Error) -> &'static str {
    match is_denied(error) {
        true => {
            "; ask as its owner, or keep its secrets elsewhere (docs/grid.md) and open it to all"
        }
        false => "",
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Nothing was set.
    #[default]
    Default,
    /// This line of the file.
    File(PathBuf, usize),
    /// This variable.
    Environment(&'static str),
    /// This flag, without dashes.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => write!(f, "default"),
            Origin::File(path, line) => write!(f, "{}:{line}", path.display()),
            Origin::Environment(name) => write!(f, "environment variable {name}"),
            Origin::Flag(name) => write!(f, "--{name}"),
        }
    }
}
