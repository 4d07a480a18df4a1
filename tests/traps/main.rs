// SPDX-License-Identifier: Apache-2.0
//! The traps that energy meters fall into, each shown on the real binary with its
//! error against the stand-in's exact truth.
//!
//! A test's name says the trap, its first comment where a peer fell into it. The
//! rows that the tests print make the table of `docs/accuracy.md`:
//! `cargo test --test traps -- --nocapture | grep '^|'`.

#[path = "../common/rig.rs"]
mod rig;
mod support;

mod absent;
mod counters;
mod lost;
mod power;
mod rapl;
mod shared;
mod short;
