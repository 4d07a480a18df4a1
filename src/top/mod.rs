// SPDX-License-Identifier: Apache-2.0
//! The live view of a terminal (`aimeter top`): what it knows, what keys do to it, and
//! how it looks. Pure: no terminal, no clock, no socket; those are `commands::top`'s.

pub mod draw;
pub mod lines;
mod pages;
mod progress;
pub mod state;

pub use draw::{Look, draw, plain};
pub use progress::progress;
pub use state::{Effect, Event, Top};
