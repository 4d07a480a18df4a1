// SPDX-License-Identifier: Apache-2.0
//! No sensor, or no right to read it: an answer all the same, and the remedy.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use powercap_standin::{PowercapTree, Trace};

use crate::rig::{Rig, burn};
use crate::support::*;

#[test]
fn without_any_sensor_there_is_an_estimate_marked_everywhere() {
    // Kepler#2280, Scaphandre#131 end in a crash; CodeCarbon#629, #477: estimates unmarked.
    let rig = Rig::new(PowercapTree::builder(), Vec::new());
    let run = rig.run(&["--standalone"], &[burn().to_str().unwrap(), "--cpu", "500ms"]);
    let energy = &run.record["energy"];
    assert_eq!(energy["provenance"], "estimated");
    let [only] = energy["domains"].as_array().unwrap().as_slice() else {
        panic!("one domain: {energy:#}");
    };
    assert_eq!(only["provenance"], "estimated");
    assert_eq!(only["method"], "estimate");
    let (joules, wide) = (number(&energy["total_joules"]), number(&energy["uncertainty_joules"]));
    println!("| no sensor | {joules:.2} J | unknown | | ± {:.0} % |", 100.0 * wide / joules);
    assert!(joules > 0.0 && wide >= 0.5 * joules, "{energy:#}");
    assert!(run.stderr.lines().filter(|line| line.contains("estimated")).count() >= 2);
    assert_tells(&run, "not measured");
    let daemon = rig.daemon(&[]);
    let run = rig.run(&[], &["true"]);
    assert_eq!(run.record["energy"]["provenance"], "estimated");
    assert!(metric(&daemon, "aimeter_domain_energy_joules_total", &["source=\"estimate\""]) >= 0.0);
}

#[test]
fn without_the_right_to_read_the_remedy_is_told_and_the_exit_code_kept() {
    // CodeCarbon#244, Scaphandre#214, Zeus#110: open for years; CVE-2020-8694 made it 0400.
    let rig = Rig::new(PowercapTree::builder().package(0, Trace::constant(100)), Vec::new());
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(rig.folder.path(), open).unwrap();
    let json = rig.path("record.json");
    let mut run = Command::new("setpriv");
    run.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]);
    let aimeter = rig.aimeter("run");
    run.arg(aimeter.get_program()).args(aimeter.get_args());
    for (name, value) in aimeter.get_envs() {
        match value {
            Some(value) => run.env(name, value),
            None => run.env_remove(name),
        };
    }
    run.args(["--standalone", "--json"]).arg(&json).args(["--", "sh", "-c", "exit 7"]);
    let output = run.output().expect("setpriv, of util-linux, must be installed");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(said.contains("energy_uj is readable by root only"), "{said}");
    assert!(said.contains("systemctl enable --now aimeter"), "{said}");
    let text = std::fs::read_to_string(json).unwrap();
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(tells(&record, "energy_uj is readable by root only"));
    assert_eq!(record["energy"]["provenance"], "estimated");
    assert_eq!(record["job"]["exit_code"], 7);
}
