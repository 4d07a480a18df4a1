// SPDX-License-Identifier: Apache-2.0
//! The benchmark of carbon intensity: what `docs/benchmark.md` specifies.
//!
//! Begun: so far only the statistics of a campaign stand here. Everything is pure,
//! values in and values out; nothing here reads a sensor, a clock or a file, and
//! nothing here leaves out a repetition.

pub mod statistics;
