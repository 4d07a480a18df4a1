// SPDX-License-Identifier: Apache-2.0
//! The benchmark of carbon intensity: what `docs/benchmark.md` specifies.
//!
//! What is measured and what follows from it are kept apart: [`mod@derive`] computes every
//! derived figure of a record, for the program that runs a campaign and for the one that
//! checks a record. Statistics, levels and comparison are pure, values in and values
//! out; nothing here ever leaves out a repetition.

pub mod campaign;
pub mod checked;
pub mod compare;
pub mod derive;
pub mod exceptions;
pub mod hash;
pub mod level;
pub mod measured;
pub mod protocol;
pub mod read;
pub mod record;
pub mod reference;
pub mod spec;
pub mod statistics;
pub mod summary;
pub mod table;
pub mod validate;
pub mod window;
pub mod words;
pub mod workload;

#[cfg(test)]
#[path = "../../tests/bench_record/mod.rs"]
pub(crate) mod fixture;
