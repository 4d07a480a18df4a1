// SPDX-License-Identifier: Apache-2.0
//! Live intensity: the poller on a clock of the test's own, the daemon and a job of its
//! own on the real one; feeds are replayed over real TLS.

#[path = "../feeds/replay.rs"]
mod replay;
#[path = "../common/rig.rs"]
mod rig;

mod daemon;
mod hostile;
mod polling;
mod world;
