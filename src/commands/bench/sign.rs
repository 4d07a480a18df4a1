// SPDX-License-Identifier: Apache-2.0
//! `aimeter bench sign RECORD --key FILE`: an SSH signature beside the record.

use std::io::Write;
use std::process::ExitCode;

use super::signature;
use super::validate::{bytes_of, line};
use crate::benchmark::read;
use crate::benchmark::validate::validate;
use crate::commands::cli::SignArgs;
use crate::commands::complain;
use crate::commands::exit::{Code, Failure};

/// Signs a record that is valid.
///
/// # Errors
/// It is not valid or cannot be read, is signed already, or the key does not sign.
pub fn run(args: &SignArgs) -> Result<ExitCode, Failure> {
    let name = args.record.display();
    let unreadable = |what: String| Failure::new(Code::Unreadable, format!("{name}: {what}"));
    let bytes = bytes_of(&args.record).map_err(unreadable)?;
    let read = match read::read(&bytes) {
        Ok(read) => read,
        Err(error @ read::ReadError::Form { .. }) => {
            return Err(Failure::new(Code::NotValid, line(&format!("{name}: {error}"))));
        }
        Err(error) => return Err(unreadable(line(&error.to_string()))),
    };
    let violations = validate(&read).violations;
    if let Some(first) = violations.first() {
        let message = format!(
            "{name} is not valid and was not signed ({} violations; the first: {first}); see `aimeter bench validate`",
            violations.len()
        );
        return Err(Failure::new(Code::NotValid, line(&message)));
    }
    let file = signature::beside(&args.record);
    let failed = |error: std::io::Error| {
        Failure::new(Code::Failed, format!("cannot write {}: {error}", file.display()))
    };
    if file.try_exists().map_err(failed)? {
        let message = format!("{} is there already; remove it to sign anew", file.display());
        return Err(Failure::new(Code::Failed, message));
    }
    let signature = signature::sign(&bytes, &args.key)?;
    let mut new = std::fs::File::create_new(&file).map_err(failed)?;
    new.write_all(&signature).and_then(|()| new.sync_all()).map_err(failed)?;
    complain(&format!("signed {name} in {}", file.display()));
    Ok(Code::Success.into())
}
