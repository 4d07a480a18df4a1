// SPDX-License-Identifier: Apache-2.0
//! `aimeter bench run` on stand-ins: its figures against the truth, each rule of the
//! protocol broken in turn, refusals, interruption and resumption.

#[path = "../common/procfs.rs"]
mod procfs;
#[path = "../common/rig.rs"]
mod rig;
mod support;

mod course;
mod refusals;
mod rules;
mod truth;
