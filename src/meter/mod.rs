// SPDX-License-Identifier: Apache-2.0
//! The meter: from readings to deltas, and never a joule from nowhere.

pub mod counter;
pub mod edge;
pub mod integrate;
