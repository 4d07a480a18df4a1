// SPDX-License-Identifier: Apache-2.0
//! The ledger on real SQLite files: what is written is read back to the
//! microjoule, after restarts, kills, power cuts, full disks and upgrades.

mod books;
mod faults;
mod jobs_command;
mod recalled;
mod support;
