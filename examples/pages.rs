// SPDX-License-Identifier: Apache-2.0
//! Writes the manual pages and the shells' completions into a folder, for
//! packagers: `cargo run --example pages -- FOLDER`.

use std::io;
use std::path::PathBuf;

use clap_complete::Shell;

fn main() -> io::Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| "target/pages".into()));
    std::fs::create_dir_all(&folder)?;
    let mut command = aimeter::commands::cli::command();
    clap_mangen::generate_to(command.clone(), &folder)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut command, "aimeter", &folder)?;
    }
    println!("{}", folder.display());
    Ok(())
}
