// SPDX-License-Identifier: Apache-2.0
//! `aimeter bench init`: a spec with comments, to be changed.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};

use crate::benchmark::spec::TEMPLATE;
use crate::commands::cli::BenchInitArgs;
use crate::commands::complain;
use crate::commands::exit::{Code, Failure};

/// Writes it; never over a file that is there.
///
/// # Errors
/// Where it cannot be written.
pub fn run(args: &BenchInitArgs) -> Result<(), Failure> {
    let path = &args.file;
    let failed =
        |code, what: String| Failure::new(code, format!("cannot write {}: {what}", path.display()));
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| match error
            .kind()
        {
            ErrorKind::AlreadyExists => {
                failed(Code::Usage, "it is there already; name another file".to_owned())
            }
            _ => failed(Code::Failed, error.to_string()),
        })?;
    file.write_all(TEMPLATE.as_bytes()).map_err(|error| failed(Code::Failed, error.to_string()))?;
    let path = path.display();
    complain(&format!("{path} is written: change it, then run `aimeter bench run {path}`"));
    Ok(())
}
