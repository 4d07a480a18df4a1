// SPDX-License-Identifier: Apache-2.0
//! A Python with a package of somebody else's, so that a test is not shaped after
//! our own code.

#![allow(dead_code, reason = "each test crate uses a part of it")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A Python that has `package` (whose module is `module`): a virtual environment
/// under the target folder, made on first use.
pub fn with_package(package: &str, versions: &str, module: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let target = test.ancestors().find(|folder| folder.ends_with("target"));
    let folder = target.expect("the target folder above the test").join(package);
    let python = folder.join("bin/python3");
    // Tests run side by side; one of them makes the environment.
    let lock = std::fs::File::create(folder.with_extension("lock")).expect("a lock");
    lock.lock().expect("the lock");
    if !has(&python, module) {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder), "python3 with venv");
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet", &format!("{package}{versions}")]);
        run(&mut install, &format!("the package {package} from a Python package index"));
    }
    python
}

fn has(python: &Path, module: &str) -> bool {
    let output = Command::new(python).args(["-c", &format!("import {module}")]).output();
    output.is_ok_and(|output| output.status.success())
}

fn run(command: &mut Command, need: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("this test needs {need}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "this test needs {need}: {command:?} failed: {errors}");
}

/// What a program says of a text on its standard input, and whether it went well.
pub fn fed(command: &mut Command, text: &str) -> (bool, String) {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child =
        child.unwrap_or_else(|error| panic!("{command:?} (tests/run installs it): {error}"));
    let mut input = child.stdin.take().expect("its standard input");
    let output = std::thread::scope(|scope| {
        // A program that ends early has seen enough.
        scope.spawn(move || _ = input.write_all(text.as_bytes()));
        child.wait_with_output().expect("its end")
    });
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// An OpenMetrics page as the strict parser of Prometheus's own Python client reads
/// it: a line for each sample with its family, type, unit and name; or its complaint.
pub fn open_metrics(page: &str) -> Result<String, String> {
    const PROGRAM: &str = "\
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
for family in list(parse(sys.stdin.buffer.read().decode())):
    for sample in family.samples:
        print(family.name, family.type, family.unit or '-', sample.name)
";
    let python = with_package("prometheus-client", ">=0.20,<1", "prometheus_client");
    let (ok, said) = fed(Command::new(python).args(["-c", PROGRAM]), page);
    if ok { Ok(said) } else { Err(said) }
}
