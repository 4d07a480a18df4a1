// SPDX-License-Identifier: Apache-2.0
//! Files of one number, kept open and read again and again.
//!
//! For sysfs and procfs, whose files give a fresh value at each read from their
//! start. Reading allocates nothing and never turns an error into a number.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::ReadError;
use crate::clock;
use crate::units::BootTime;

/// A file of one unsigned integer.
#[derive(Debug)]
pub(crate) struct ValueFile {
    path: PathBuf,
    /// `None`: the file went away; opened anew at the next read.
    file: Option<OwnedFd>,
}

impl ValueFile {
    /// Opens the file.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Errno> {
        let file = Some(open(&path)?);
        Ok(ValueFile { path, file })
    }

    /// The value and the middle of the time the read took.
    ///
    /// A file that went away and came back is said to be lost once: what it
    /// counts is a new counter.
    pub(crate) fn read(&mut self) -> Result<(BootTime, u64), ReadError> {
        let Some(file) = &self.file else {
            self.file = Some(open(&self.path).map_err(read_error)?);
            return Err(ReadError::Lost("it went away and came back as a new counter"));
        };
        let mut buffer = [0; 32];
        let before = clock::now();
        let length = match rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut buffer, 0)) {
            Ok(length) => length,
            Err(errno) => {
                let error = read_error(errno);
                if matches!(error, ReadError::Lost(_)) {
                    self.file = None;
                }
                return Err(error);
            }
        };
        let took = clock::now().since(before);
        let value = parse_integer(&buffer[..length])
            .ok_or(ReadError::Failed("the file holds no unsigned integer"))?;
        Ok((before.plus(took / 2), value))
    }
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// The state that an error of the kernel stands for.
pub(crate) fn read_error(errno: Errno) -> ReadError {
    match errno {
        Errno::ACCESS | Errno::PERM => {
            ReadError::NotPermitted("the kernel lets only others read it")
        }
        Errno::NODEV | Errno::NXIO | Errno::NOENT | Errno::STALE => {
            ReadError::Lost("the kernel shows it no more")
        }
        Errno::NODATA | Errno::AGAIN | Errno::BUSY => {
            ReadError::NoData("the device has no value now")
        }
        Errno::IO => ReadError::Failed("input/output error"),
        Errno::TIMEDOUT => ReadError::Failed("the device did not answer in time"),
        _ => ReadError::Failed("the read returned an error"),
    }
}

/// An unsigned decimal integer with white space around it; `None` for anything
/// else, also where it does not fit 64 bits.
pub fn parse_integer(text: &[u8]) -> Option<u64> {
    let digits = text.trim_ascii();
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, byte| match byte {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

/// The text of a small file without the white space around it, if it can be read.
pub(crate) fn text(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The number in a small file, if it can be read.
pub(crate) fn number(path: &Path) -> Option<u64> {
    std::fs::read(path).ok().and_then(|text| parse_integer(&text))
}

/// The names in a folder, sorted; none if it cannot be read.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unsigned_integer_is_a_number() {
        assert_eq!(parse_integer(b"262143328850\n"), Some(262_143_328_850));
        assert_eq!(parse_integer(b" 0 "), Some(0));
        assert_eq!(parse_integer(b"18446744073709551615"), Some(u64::MAX));
        for text in ["", "\n", "-1", "1.5", "0x10", "18446744073709551616", "12 13", "nan"] {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn a_file_that_came_back_is_lost_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("energy_uj");
        std::fs::write(&path, "5\n").unwrap();
        let mut file = ValueFile::open(path).unwrap();
        assert_eq!(file.read().unwrap().1, 5);
        file.file = None;
        assert!(matches!(file.read(), Err(ReadError::Lost(_))));
        assert_eq!(file.read().unwrap().1, 5);
    }
}
