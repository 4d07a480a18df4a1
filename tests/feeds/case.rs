// SPDX-License-Identifier: Apache-2.0
//! The real binary with a configuration of its own, and nothing else of ours.

use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::Value;

/// A folder with a configuration, and how the binary is called with it.
pub struct Case {
    pub folder: tempfile::TempDir,
    pub mode: u32,
}

impl Case {
    pub fn new(config: &str) -> Case {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("aimeter.toml"), config).unwrap();
        Case { folder, mode: 0o600 }
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(&[], arguments)
    }

    pub fn run_with(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
        let config = self.folder.path().join("aimeter.toml");
        std::fs::set_permissions(&config, std::fs::Permissions::from_mode(self.mode)).unwrap();
        assert_cmd::Command::cargo_bin("aimeter")
            .unwrap()
            .env_clear()
            .env("GRID_KEY", "s3cr3t")
            .envs(environment.iter().copied())
            .arg("--config")
            .arg(config)
            .args(arguments)
            .output()
            .unwrap()
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}
