// SPDX-License-Identifier: Apache-2.0
//! Choices of time and place by the user: `aimeter run --when` and `aimeter whatif`,
//! the real binary on stand-ins, its feeds on the replay server.

#[path = "../common/pty.rs"]
mod pty;
#[path = "../feeds/replay.rs"]
#[expect(dead_code, reason = "of the replay's and the terminal's tools some are of other tests")]
mod replay;
#[path = "../common/rig.rs"]
mod rig;

mod day;
mod whatif;
mod when;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use powercap_standin::{PowercapTree, Trace};
use replay::Replay;
use rig::Rig;

/// A machine with a CPU package of 100 W.
fn machine() -> Rig {
    Rig::new(PowercapTree::builder().package(0, Trace::constant(100)), Vec::new())
}

/// A configuration for Great Britain whose one feed is the replay server.
fn config(folder: &Path, replay: &Replay) -> PathBuf {
    let path = folder.join("aimeter.toml");
    let text = format!(
        "[carbon]\nzone = \"GB\"\n[grid]\nca = \"{}\"\n\
         [[grid.feeds]]\nfeed = \"uk-carbon-intensity\"\nurl = \"{}\"\n",
        replay.ca().display(),
        replay.url("/uk")
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// `aimeter ARGUMENTS` of a configuration, without a machine.
fn aimeter(config: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aimeter"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("XDG_RUNTIME_DIR", config.parent().unwrap());
    command.env("AIMETER_SOCKET", config.with_file_name("no.sock"));
    command.env("AIMETER_STATE_DIR", config.with_file_name("state"));
    command.arg("--config").arg(config).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
