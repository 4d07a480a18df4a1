// SPDX-License-Identifier: Apache-2.0
//! Marks: the real binary, real Python and real shells on stand-ins, against the truth.

#[path = "../common/rig.rs"]
mod rig;

mod bounds;
mod callbacks;
mod phases;
mod support;
