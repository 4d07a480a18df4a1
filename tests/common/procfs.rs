// SPDX-License-Identifier: Apache-2.0
//! The machine's own procfs under another path, with some of its files replaced:
//! another boot's id, CPU times that are known exactly.

#![allow(dead_code, reason = "each test crate uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// A bind mount of `/proc`, until dropped. Mounting needs root.
pub struct Procfs {
    root: PathBuf,
    files: PathBuf,
}

impl Procfs {
    /// Mounts it in a folder.
    pub fn mount(folder: &Path) -> Procfs {
        let (root, files) = (folder.join("proc"), folder.join("proc-files"));
        std::fs::create_dir(&root).expect("the mount point");
        std::fs::create_dir(&files).expect("a folder for the files");
        mount(Path::new("/proc"), &root);
        Procfs { root, files }
    }

    /// Puts this text in the place of a file; gives the path where it can be changed.
    pub fn replace(&self, file: &str, text: &str) -> PathBuf {
        let own = self.files.join(file.replace('/', "-"));
        std::fs::write(&own, text).expect("a file");
        mount(&own, &self.root.join(file));
        own
    }

    /// For `--procfs`.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for Procfs {
    fn drop(&mut self) {
        // Lazily: a daemon that is being ended may still have files open.
        let _ = Command::new("umount").arg("--recursive").arg("--lazy").arg(&self.root).status();
    }
}

fn mount(what: &Path, at: &Path) {
    let status = Command::new("mount").arg("--bind").arg(what).arg(at).status();
    let done = status.expect("mount of util-linux: install it");
    assert!(done.success(), "mounting needs root");
}
