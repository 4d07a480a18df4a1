// SPDX-License-Identifier: Apache-2.0
//! A folder of records in which the real binary is run.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use aimeter::benchmark::record::BenchmarkRecord;
use tempfile::TempDir;

use crate::bench_record;

pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    pub fn record(&self, name: &str, change: impl FnOnce(&mut BenchmarkRecord)) -> PathBuf {
        let mut record = bench_record::record();
        change(&mut record);
        self.file(name, bench_record::text(&record))
    }

    /// `aimeter bench …` in this folder.
    pub fn bench(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aimeter"));
        command.arg("bench").args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        Said::of(&mut command)
    }

    /// A key without a passphrase.
    pub fn key(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let mut command = keygen();
        command.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&path);
        let said = Said::of(&mut command);
        assert_eq!(said.code, 0, "{said:?}");
        path
    }

    /// A file that allows the key to this identity.
    pub fn allow(&self, name: &str, identity: &str, key: &Path) -> String {
        let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
        self.file(name, format!("{identity} {public}"));
        name.to_owned()
    }
}

pub fn keygen() -> Command {
    Command::new("ssh-keygen")
}

#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn of(command: &mut Command) -> Said {
        let Output { status, stdout, stderr } = command
            .output()
            .unwrap_or_else(|error| panic!("{command:?} (openssh-client has ssh-keygen): {error}"));
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
    }

    #[track_caller]
    pub fn is(&self, code: i32, has: &str) {
        assert_eq!(self.code, code, "{self:#?}");
        assert!(self.out.contains(has), "{has:?} is not in {self:#?}");
    }
}
