// SPDX-License-Identifier: Apache-2.0
//! SSH signatures of benchmark records, by `ssh-keygen -Y`.
//!
//! OpenSSH's own program does it: what it means that a signer is allowed (patterns,
//! namespaces, times, certificates, revocation), agents and security keys are its business,
//! and whoever checks a record without aimeter asks the same program. What is signed is
//! the file's bytes, read once: they are given on standard input.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::commands::exit::{Code, Failure};

/// A signature counts for benchmark records and for nothing else.
pub const NAMESPACE: &str = "aimeter-benchmark";

const PROGRAM: &str = "ssh-keygen";

/// Whose signatures count.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    /// A file of the form ALLOWED SIGNERS, ssh-keygen(1).
    pub allowed: &'a Path,
    /// Only this one of them.
    pub identity: Option<&'a str>,
}

/// What is known of a record's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// There is none.
    None,
    /// It is of these bytes, by a key that nobody was asked about.
    By {
        /// Its fingerprint.
        key: String,
    },
    /// It is of these bytes, by an allowed signer.
    Allowed {
        /// The key's fingerprint.
        key: String,
        /// Who.
        identity: String,
    },
    /// It does not count.
    Bad {
        /// What it says: whose it is, as far as that can be told.
        said: String,
        /// Why not.
        found: String,
    },
}

/// Where the signature of a record stands.
pub fn beside(record: &Path) -> PathBuf {
    let mut name = record.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

/// Looks for a record's signature and checks it.
///
/// # Errors
/// Where it cannot be checked at all: no `ssh-keygen`, no file of allowed signers.
pub fn check(record: &Path, bytes: &[u8], trust: Option<Trust>) -> Result<Signature, Failure> {
    let file = beside(record);
    if !file.try_exists().unwrap_or(true) {
        return Ok(Signature::None);
    }
    let of_file = [OsStr::new("-s"), file.as_os_str()];
    let mut novalidate = arguments(&["-Y", "check-novalidate", "-n", NAMESPACE]);
    novalidate.extend(of_file.map(OsStr::to_owned));
    let output = keygen(&novalidate, bytes)?;
    let Some(key) = fingerprint(&output) else {
        return Ok(Signature::Bad { said: "a signature".to_owned(), found: complaint(&output) });
    };
    let Some(Trust { allowed, identity }) = trust else { return Ok(Signature::By { key }) };
    std::fs::metadata(allowed).map_err(|error| {
        let message = format!("cannot read the allowed signers {}: {error}", allowed.display());
        Failure::new(Code::Usage, message)
    })?;
    let of_allowed = [OsStr::new("-f"), allowed.as_os_str()];
    let said = format!("signed by key {key}");
    let identity = match identity {
        Some(identity) => identity.to_owned(),
        None => {
            let mut find = arguments(&["-Y", "find-principals"]);
            find.extend(of_file.iter().chain(&of_allowed).map(|word| (*word).to_owned()));
            let output = keygen(&find, bytes)?;
            let text = String::from_utf8_lossy(&output.stdout);
            // A line has the patterns of one entry.
            let first = text.lines().next().and_then(|line| line.split(',').next());
            match first.filter(|_| output.status.success()) {
                Some(identity) => identity.to_owned(),
                None => {
                    let found = "its key is not among the allowed signers".to_owned();
                    return Ok(Signature::Bad { said, found });
                }
            }
        }
    };
    let mut verify = arguments(&["-Y", "verify", "-n", NAMESPACE, "-I", &identity]);
    verify.extend(of_file.iter().chain(&of_allowed).map(|word| (*word).to_owned()));
    let output = keygen(&verify, bytes)?;
    if output.status.success() {
        Ok(Signature::Allowed { key, identity })
    } else {
        let found = format!("not as {identity}: {}", complaint(&output));
        Ok(Signature::Bad { said, found })
    }
}

/// The signature of these bytes, armored.
///
/// # Errors
/// No `ssh-keygen`, or it does not sign with this key; it has then said why.
pub fn sign(bytes: &[u8], key: &Path) -> Result<Vec<u8>, Failure> {
    let mut command = Command::new(PROGRAM);
    command.args(["-q", "-Y", "sign", "-n", NAMESPACE, "-f"]).arg(key);
    // Its questions (a passphrase, a touch of the key) are the user's to see.
    command.stderr(Stdio::inherit());
    let output = fed(&mut command, bytes)?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        let message = format!("{PROGRAM} does not sign with {}; see above", key.display());
        Err(Failure::new(Code::Failed, message))
    }
}

fn arguments(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn keygen(arguments: &[OsString], bytes: &[u8]) -> Result<Output, Failure> {
    fed(Command::new(PROGRAM).args(arguments).stderr(Stdio::piped()), bytes)
}

fn fed(command: &mut Command, bytes: &[u8]) -> Result<Output, Failure> {
    let failed = |error: io::Error| {
        let message = match error.kind() {
            io::ErrorKind::NotFound => {
                format!(
                    "{PROGRAM} is not there, which makes and checks signatures; install OpenSSH's client"
                )
            }
            _ => format!("cannot run {PROGRAM}: {error}"),
        };
        Failure::new(Code::Failed, message)
    };
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        // One that ends early has said why, and its words are few.
        _ = input.write_all(bytes);
    }
    child.wait_with_output().map_err(failed)
}

/// `SHA256:…` of a signature that was found good.
fn fingerprint(output: &Output) -> Option<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    let word = text.split_whitespace().find(|word| word.starts_with("SHA256:"))?;
    output.status.success().then(|| word.to_owned())
}

/// What `ssh-keygen` has against it, in one line.
fn complaint(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or("it does not say why").to_owned()
}
