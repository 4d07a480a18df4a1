// SPDX-License-Identifier: Apache-2.0
//! From facts of intensity in a real ledger to settled figures: what comes late is
//! followed, what was told stays told, and no energy changes.

mod accounts;
mod clocks;
mod daemon;
mod day;
mod late;
mod oracle;
mod shown;
mod support;

#[path = "../feeds/replay.rs"]
#[allow(dead_code, reason = "the feeds' tests use more of it")]
mod replay;
#[path = "../common/rig.rs"]
mod rig;
