// SPDX-License-Identifier: Apache-2.0
//! The meter: from readings to deltas, and never a joule from nowhere.

pub mod counter;
pub mod domain;
pub mod edge;
pub mod gpus;
pub mod integrate;

use crate::units::{BootTime, Energy};

/// A counter's value at a moment at which it did not step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The moment.
    pub at: BootTime,
    /// What the counter would have shown, were it continuous.
    pub value: Energy,
    /// The half-width of the 95 % interval around `value`.
    pub uncertainty: Energy,
}
