// SPDX-License-Identifier: Apache-2.0
//! A powercap and hwmon tree whose truth is known, for aimeter's tests.
//!
//! Every `energy_uj` is, at each read, the exact integral of a scripted power on
//! `CLOCK_BOOTTIME`, cut to the counter's step and wrapped at its range, in the
//! kernel's real layout of folders and links. Faults are set live. It is mounted
//! by FUSE as root without libfuse; it never stands in for aimeter's own code.

mod builder;
mod meter;
mod mount;
mod trace;
mod tree;

pub use builder::{Chip, PowercapTree, Zone};
pub use meter::{Fault, Meter, Scale, now};
pub use mount::Mounted;
pub use trace::Trace;
