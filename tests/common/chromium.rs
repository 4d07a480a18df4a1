// SPDX-License-Identifier: Apache-2.0
//! Scripts that drive a real Chromium.
//!
//! Needs chromium and npm (Debian: `chromium`, `npm`) and, the first time, npm's registry
//! for what `tests/page/package-lock.json` names; it is put under the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

const LOCK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page");

/// `node SCRIPT ARGUMENTS` of a script in the repository, with the folder of the modules as the last.
pub fn node(script: &str, arguments: &[&str]) -> Command {
    let browser = std::env::var_os("AIMETER_TEST_CHROMIUM");
    let browser = browser.map_or_else(|| PathBuf::from("/usr/bin/chromium"), PathBuf::from);
    assert!(
        browser.exists(),
        "this test needs Chromium: install chromium, or name one in AIMETER_TEST_CHROMIUM"
    );
    let mut command = Command::new("node");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    command.arg(script).args(arguments).arg(modules());
    command
}

/// The modules that the lock file names, under the target folder; made on first use.
fn modules() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let target = test.ancestors().find(|folder| folder.ends_with("target"));
    let folder = target.expect("the target folder above the test").join("page-test");
    std::fs::create_dir_all(&folder).expect("a folder");
    // Tests run side by side; one of them installs.
    let lock = std::fs::File::create(folder.join("lock")).expect("a lock");
    lock.lock().expect("the lock");
    let wanted = Path::new(LOCK).join("package-lock.json");
    let wanted = std::fs::read(wanted).expect("the lock file");
    let installed = folder.join("installed.json");
    if std::fs::read(&installed).is_ok_and(|found| found == wanted) {
        return folder;
    }
    for name in ["package.json", "package-lock.json"] {
        std::fs::copy(Path::new(LOCK).join(name), folder.join(name)).expect("a copy");
    }
    let install = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"])
        .arg(&folder)
        .output()
        .unwrap_or_else(|error| panic!("this test needs npm: install npm ({error})"));
    let errors = String::from_utf8_lossy(&install.stderr);
    assert!(install.status.success(), "this test needs npm's registry: {errors}");
    std::fs::write(installed, wanted).expect("a note");
    folder
}
