// SPDX-License-Identifier: Apache-2.0
//! Commands: one file a subcommand. They only wire rooms together.

pub mod jobs;
