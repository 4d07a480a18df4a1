// SPDX-License-Identifier: Apache-2.0
//! What `aimeter bench init` writes.

/// A spec with comments that can be run as it is.
pub const TEMPLATE: &str = include_str!("template.toml");
