// SPDX-License-Identifier: Apache-2.0
//! The feeds: what they are asked, what their answers mean, and that no answer,
//! however wrong or hostile, becomes a figure that it should not.

mod case;
mod chains;
mod commands;
mod computed;
mod fixtures;
mod hostile;
mod login;
mod parsers;
mod places;
mod properties;
mod replay;
mod requests;
mod world;
