// SPDX-License-Identifier: Apache-2.0
//! The units of `systemd/`: understood by systemd without a word, and closed but for
//! what their comments give a reason for.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The most that `systemd-analyze security` may find, of 10.
const EXPOSURE: f64 = 2.0;

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd")
}

fn analyze(arguments: &[&str], unit: &Path) -> Output {
    let mut command = Command::new("systemd-analyze");
    command.arg("--no-pager").args(arguments).arg(unit);
    command.output().expect("systemd-analyze (Debian package systemd; tests/run installs it)")
}

/// The service in a folder of its own, with the program where it was built: it is not
/// installed where the unit says.
fn service(folder: &Path, drop_in: Option<&str>) -> PathBuf {
    let text = std::fs::read_to_string(units().join("aimeter.service")).expect("the unit");
    let text = text.replace("/usr/bin/aimeter", env!("CARGO_BIN_EXE_aimeter"));
    let copy = folder.join("aimeter.service");
    std::fs::write(&copy, text).expect("a copy");
    if let Some(name) = drop_in {
        let drop_ins = folder.join("aimeter.service.d");
        std::fs::create_dir(&drop_ins).expect("a folder");
        std::fs::copy(units().join(name), drop_ins.join("x.conf")).expect("a copy");
    }
    copy
}

#[test]
fn systemd_understands_every_unit() {
    let folder = tempfile::tempdir().unwrap();
    let with = tempfile::tempdir().unwrap();
    let slice = units().join("aimeter-jobs.slice");
    let service_with = service(with.path(), Some("aimeter-cgroups.conf"));
    for unit in [service(folder.path(), None), service_with, slice] {
        // It warns of unknown keys and wrong values, and exits with 0 all the same.
        let output = analyze(&["verify", "--man=no"], &unit);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("aimeter"), "{said}");
    }
}

#[test]
fn the_service_is_closed_but_for_what_it_gives_reasons_for() {
    let output = analyze(&["security", "--offline=true"], &units().join("aimeter.service"));
    let found = String::from_utf8_lossy(&output.stdout).into_owned();
    let exposure = found
        .split_once("exposure level for aimeter.service: ")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse::<f64>().ok())
        .unwrap_or_else(|| panic!("no figure in {found}"));
    assert!(exposure <= EXPOSURE, "{found}");

    let text = std::fs::read_to_string(units().join("aimeter.service")).expect("the unit");
    let reasons = text.split_once("systemd-analyze security counts against it").expect("them").1;
    let open: Vec<&str> = found.lines().filter_map(|line| line.strip_prefix("✗ ")).collect();
    assert!(!open.is_empty(), "{found}");
    for line in open {
        // `RootDirectory=/RootImage=`, `CapabilityBoundingSet=~CAP_KILL`, `UMask=`
        let setting = line.split(' ').next().expect("a setting");
        let name = match setting.split_once("=~") {
            Some(("CapabilityBoundingSet", capability)) => capability,
            Some((_, group)) if group.starts_with('@') => group,
            _ => setting.split('=').next().expect("a name"),
        };
        assert!(reasons.contains(name), "no reason is given for {setting}");
    }
}
