// SPDX-License-Identifier: Apache-2.0
//! `aimeter top` and `aimeter run --progress`: frames and keys without a terminal, then
//! the real binary in a real one.

#[path = "../common/pty.rs"]
mod pty;
#[path = "../common/rig.rs"]
mod rig;

mod frames;
mod keys;
mod live;
mod progress;
