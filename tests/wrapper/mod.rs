// SPDX-License-Identifier: Apache-2.0
//! The tests of a wrapper, whichever program it is: `crate::program` says.

pub mod support;

mod ends;
mod given;
mod orphans;
mod signals;
mod terminal;
