// SPDX-License-Identifier: Apache-2.0
//! Exporters: the snapshot in other systems' formats.
//!
//! An exporter reads [`crate::engine::snapshot::Snapshot`] and nothing else; it
//! asks no sensor, no job and no ledger. To add one: one file here and one line
//! below.

pub mod prometheus;
