// SPDX-License-Identifier: Apache-2.0
//! A period's statement from real ledgers: every joule once, at edges by time; the forms
//! as others read them.

mod command;
mod sums;
mod support;
