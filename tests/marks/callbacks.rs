// SPDX-License-Identifier: Apache-2.0
//! The callbacks of the Python module, driven as the trainers drive them. The base classes
//! are stand-ins: the frameworks are gigabytes. `frameworks/run` is for the real ones.

use crate::support::examples;

#[test]
fn callbacks_mark_what_the_trainers_do() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/marks/callbacks.py");
    let output = std::process::Command::new("python3")
        .arg(script)
        .env("PYTHONPATH", examples())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python3: install it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
