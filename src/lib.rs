// SPDX-License-Identifier: Apache-2.0
//! aimeter books every joule of a training server to the job that used it.
//!
//! The rooms stand here in the order in which data goes through them. Nothing on
//! the right (below) is imported by anything on the left (above); see
//! `docs/architecture.md`.

// A test's own module names the crate as other crates do.
#[cfg(test)]
extern crate self as aimeter;

pub mod clock;
pub mod units;

pub mod sensors;

pub mod meter;

pub mod jobs;

pub mod attribution;

pub mod ledger;

pub mod grid;

pub mod carbon;

pub mod settlement;

pub mod html;

pub mod record;

pub mod benchmark;

pub mod engine;

pub mod export;

pub mod server;

pub mod top;

pub mod wrapper;

pub mod config;

pub mod commands;
