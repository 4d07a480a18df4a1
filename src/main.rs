// SPDX-License-Identifier: Apache-2.0
//! The program `aimeter`. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    aimeter::commands::main()
}
