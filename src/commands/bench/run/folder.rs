// SPDX-License-Identifier: Apache-2.0
//! The folder of a campaign: what is complete lies there, a file each.
//!
//! Files are written whole or not at all, so that a campaign that was ended anyhow can be
//! taken up again. One process at a time works on a folder.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::benchmark::campaign::{Campaign, Measured, Progress, WarmUp};
use crate::benchmark::record::IdlePart;
use crate::commands::exit::{Code, Failure};

/// A campaign's folder, held by this process.
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

const CAMPAIGN: &str = "campaign.json";
const IDLE: &str = "idle.json";
/// What a campaign's last record is called.
pub const RECORD: &str = "record.json";

impl Folder {
    /// Makes it, where it is not there, and holds it.
    ///
    /// # Errors
    /// Where it cannot be made, or another process works on it.
    pub fn open(path: &Path) -> Result<Folder, Failure> {
        std::fs::create_dir_all(path).map_err(|error| failed("make", path, &error))?;
        let name = path.join("lock");
        let lock = File::create(&name).map_err(|error| failed("write", &name, &error))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Folder { path: path.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let message = format!(
                    "another `aimeter bench run` works on {}; wait for it, or give another --dir",
                    path.display()
                );
                Err(Failure::new(Code::Refused, message))
            }
            Err(errno) => Err(failed("lock", &name, &errno.into())),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file of a part: `repetition-003.log`.
    pub fn file(&self, part: &str, number: usize, ending: &str) -> PathBuf {
        self.path.join(format!("{part}-{number:03}.{ending}"))
    }

    /// What the folder holds; `None`: no campaign yet.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(&self) -> Result<Option<Progress>, Failure> {
        let Some(campaign) = read::<Campaign>(&self.path.join(CAMPAIGN))? else {
            return Ok(None);
        };
        let idle = read::<IdlePart>(&self.path.join(IDLE))?;
        let warm_ups = self.all::<WarmUp>("warm-up")?;
        let repetitions = self.all::<Measured>("repetition")?;
        Ok(Some(Progress { campaign, idle, warm_ups, repetitions }))
    }

    /// The parts of one kind, from 1 until one is missing.
    fn all<T: DeserializeOwned>(&self, part: &str) -> Result<Vec<T>, Failure> {
        let mut all = Vec::new();
        while let Some(one) = read(&self.file(part, all.len() + 1, "json"))? {
            all.push(one);
        }
        Ok(all)
    }

    /// Keeps the campaign.
    ///
    /// # Errors
    /// Where it cannot be written; of the others, too.
    pub fn keep_campaign(&self, campaign: &Campaign) -> Result<(), Failure> {
        write(&self.path.join(CAMPAIGN), campaign)
    }

    /// Keeps the idle baseline.
    pub fn keep_idle(&self, idle: &IdlePart) -> Result<(), Failure> {
        write(&self.path.join(IDLE), idle)
    }

    /// Keeps a warm-up.
    pub fn keep_warm_up(&self, number: usize, warm_up: &WarmUp) -> Result<(), Failure> {
        write(&self.file("warm-up", number, "json"), warm_up)
    }

    /// Keeps a repetition.
    pub fn keep_repetition(&self, measured: &Measured) -> Result<(), Failure> {
        write(&self.file("repetition", measured.part.number as usize, "json"), measured)
    }
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(Code::Failed, format!("cannot {what} {}: {error}", path.display()))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path, &error)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        let message = format!(
            "{} is no part of a campaign of this release: {error}; give another --dir",
            path.display()
        );
        Failure::new(Code::Failed, message)
    })
}

/// Writes JSON in one step: a reader sees the old or the new one whole, also after a
/// power cut.
///
/// # Errors
/// Where it cannot be written.
pub fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), Failure> {
    let mut text = serde_json::to_vec_pretty(value).map_err(anyhow::Error::from)?;
    text.push(b'\n');
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = path.with_file_name(name);
    let done = || -> io::Result<()> {
        let mut file = File::create(&partial)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)
    };
    done().map_err(|error| failed("write", path, &error))
}
