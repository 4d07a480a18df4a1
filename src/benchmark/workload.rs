// SPDX-License-Identifier: Apache-2.0
//! The built-in workloads, by which any two machines can be compared without installing
//! anything: plain Rust on all cores, the same work to the last bit everywhere.
//!
//! A name's number ([`Kind::name`]) is raised by whatever changes the work, so that
//! records of one name are of one work. Only additions and multiplications of IEEE 754
//! numbers in a fixed order (Rust neither reorders nor contracts them), no function of a
//! mathematical library: the result is known beforehand and checked. No clock, no file.

mod matrix;
mod random;
mod training;

/// A built-in workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Products of large matrices.
    Matrix,
    /// A small network learns by gradient descent.
    Training,
}

impl Kind {
    /// Every one.
    pub const ALL: [Kind; 2] = [Kind::Matrix, Kind::Training];

    /// The word by which it is called.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Matrix => "matrix",
            Kind::Training => "training",
        }
    }

    /// Its name with the version of its work.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Matrix => "matrix/1",
            Kind::Training => "training/1",
        }
    }

    /// What it counts: products of two matrices, or samples learnt from.
    pub const fn unit(self) -> &'static str {
        match self {
            Kind::Matrix => "products",
            Kind::Training => "samples",
        }
    }

    /// The size that makes runs comparable: rows of a matrix, or samples of an epoch.
    pub const fn standard_size(self) -> usize {
        match self {
            Kind::Matrix => matrix::SIZE,
            Kind::Training => training::SIZE,
        }
    }

    /// Whether it can be run at this size, else which sizes there are.
    ///
    /// # Errors
    /// The sizes that it can be run at.
    pub fn check_size(self, size: usize) -> Result<(), &'static str> {
        match self {
            Kind::Matrix if (8..=8_192).contains(&size) && size.is_multiple_of(8) => Ok(()),
            Kind::Matrix => Err("a multiple of 8 up to 8192"),
            Kind::Training if (64..=1 << 20).contains(&size) && size.is_power_of_two() => Ok(()),
            Kind::Training => Err("a power of two from 64 to 1048576"),
        }
    }

    /// Does the whole work once, on so many threads; `news` hears of each step of it.
    /// Gives the result's digest, which is the same on any number of threads.
    ///
    /// # Errors
    /// A result that is not the right one.
    pub fn run(
        self,
        size: usize,
        threads: usize,
        news: &mut dyn FnMut(News),
    ) -> Result<u64, WrongResult> {
        let digest = match self {
            Kind::Matrix => matrix::run(size, threads.max(1), news)?,
            Kind::Training => training::run(size, threads.max(1), news)?,
        };
        let expected = match self {
            Kind::Matrix => matrix::DIGEST,
            Kind::Training => training::DIGEST,
        };
        if size == self.standard_size() && digest != expected {
            return Err(WrongResult(format!(
                "its digest is {digest:016x} and not {expected:016x}"
            )));
        }
        Ok(digest)
    }
}

/// What a workload says while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Units done since the last time.
    pub units: u64,
    /// A line about it.
    pub line: Option<String>,
}

/// A workload whose result is wrong: the machine cannot be trusted, or the program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the workload's result is wrong: {0}; this machine or this program makes errors")]
pub struct WrongResult(pub String);

/// FNV-1a of 64 bits (Fowler, Noll, Vo), over numbers of 32 bits.
fn digest(numbers: impl Iterator<Item = u32>) -> u64 {
    numbers.flat_map(u32::to_le_bytes).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
