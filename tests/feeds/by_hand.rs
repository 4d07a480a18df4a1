// SPDX-License-Identifier: Apache-2.0
//! Runs a command against the replay server with every feed configured, to try them
//! without a network or a key: `cargo run --example feeds -- COMMAND ARG…`, such as
//! `cargo run --example feeds -- target/debug/aimeter grid check`.
//!
//! The command finds the feeds by `$AIMETER_CONFIG`, and keys in `$GRID_KEY`. The
//! folder with the configuration goes when the command ends.

#[expect(dead_code, reason = "the tests of the feeds use the whole of it")]
mod replay;
mod world;

use std::error::Error;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("feeds: {error}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).skip_while(|word| word == "--");
    let program = arguments.next().ok_or("no command; write `feeds COMMAND ARG…`")?;
    let folder = tempfile::tempdir()?;
    let (feeds, own) = (replay::Replay::tls(world::world()), replay::Replay::plain(world::world()));
    let config = folder.path().join("aimeter.toml");
    std::fs::write(&config, world::every_feed(&feeds, &own, folder.path()))?;
    let status = Command::new(&program)
        .args(arguments)
        .env("AIMETER_CONFIG", &config)
        .env("GRID_KEY", "s3cr3t")
        .status()
        .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
