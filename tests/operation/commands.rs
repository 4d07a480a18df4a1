// SPDX-License-Identifier: Apache-2.0
//! The commands beside a daemon that writes, as root and as a user without rights.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::rig::{Rig, burn, eventually};
use crate::{as_nobody, as_nobody_with, call, machine, metric, said, wait_for_gpu};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn domain_ids(list: &Value) -> Vec<String> {
    let domains = list["domains"].as_array().expect("domains").iter();
    let mut ids: Vec<String> =
        domains.map(|row| row["id"].as_str().expect("an id").to_owned()).collect();
    ids.sort();
    ids
}

#[test]
fn sensors_are_the_same_with_and_without_a_daemon() {
    let rig = machine();
    let gpu = format!("nvml:{}", rig.script.gpus[0].uuid);
    let expected = [gpu.as_str(), "rapl:package-0", "rapl:package-0/dram"];
    let (code, out, err) = call(&rig, &["sensors", "--json"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(domain_ids(&json(&out)), expected);
    let daemon = rig.daemon(&["--period", "100ms"]);
    wait_for_gpu(&daemon);
    let (code, out, err) = call(&rig, &["sensors", "--json"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let list = json(&out);
    assert_eq!(domain_ids(&list), expected);
    let rows = list["domains"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["state"] == "ok"), "{list:#}");
    let documented = documented_fields("## `aimeter sensors --json`");
    for row in rows {
        assert_eq!(fields(row), documented);
    }
    let package = rows.iter().find(|row| row["id"] == "rapl:package-0").unwrap();
    assert_eq!(package["resolution_joules"], 61e-6);
    let range = powercap_standin::Scale::INTEL.range_microjoules();
    assert_eq!(package["wrap_joules"], range as f64 / 1e6);
    let (code, out, err) = call(&rig, &["sensors"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let header: Vec<&str> = out.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header[..4], ["DOMAIN", "KIND", "METHOD", "STATE"]);
    assert!(expected.iter().all(|id| out.lines().any(|line| line.trim().starts_with(id))), "{out}");
}

/// The names of an object's fields, sorted.
fn fields(object: &Value) -> Vec<String> {
    let mut names: Vec<String> = object.as_object().expect("an object").keys().cloned().collect();
    names.sort();
    names
}

/// The first column of the table below a heading of `docs/json-output.md`, sorted.
fn documented_fields(heading: &str) -> Vec<String> {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/json-output.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let (_, section) = page.split_once(&format!("{heading}\n")).expect("the heading");
    let section = section.split("\n## ").next().unwrap_or_default();
    let row = |line: &str| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned());
    let mut names: Vec<String> = section.lines().filter_map(row).collect();
    names.sort();
    names
}

/// Starts a job that runs until the file `stop` is there.
fn endless(rig: &Rig, id: &str) -> std::process::Child {
    let mut run = rig.aimeter("run");
    run.env("AIMETER_JOB_ID", id).arg("--json").arg(rig.path(&format!("{id}.json")));
    run.args(["--gpus", "0", "--"]).arg(burn()).arg("--until-file").arg(rig.path("stop"));
    run.stderr(std::process::Stdio::null()).spawn().expect("the binary")
}

#[test]
fn jobs_and_show_read_while_the_daemon_writes() {
    let rig = machine();
    let daemon = rig.daemon(&["--period", "100ms"]);
    wait_for_gpu(&daemon);
    let mut job = endless(&rig, "watched");
    eventually("the job", || metric(&daemon, "aimeter_jobs_running").filter(|n| *n == 1.0));
    let mut least = 0.0;
    eventually("twenty looks and a rise", || {
        let (code, out, err) = call(&rig, &["jobs", "--json"]);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let list = json(&out);
        // The ledger is a moment behind the daemon.
        let listed = list.as_array().unwrap().first()?;
        assert_eq!(listed["id"], "watched");
        assert_eq!(listed["state"], "running");
        assert_eq!(fields(listed), documented_fields("## `aimeter jobs --json`"));
        let (code, out, err) = call(&rig, &["show", "watched", "--json"]);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let record = json(&out);
        assert_eq!(record["job"]["state"], "running");
        let joules = record["energy"]["total_joules"].as_f64().unwrap_or(0.0);
        assert!(joules >= least, "{joules} J after {least} J");
        least = joules;
        (listed["gpu_joules"].as_f64().unwrap_or(0.0) > 100.0).then_some(())
    });

    // Ended by root: SIGTERM, which the wrapper passes on as its own end.
    let (code, out, err) = call(&rig, &["end", "watched"]);
    assert_eq!((code, out.as_str()), (Some(0), ""));
    assert_eq!(err, "aimeter: job watched: SIGTERM sent to its processes\n");
    assert!(!job.wait().unwrap().success());
    let record = json(&std::fs::read_to_string(rig.path("watched.json")).unwrap());
    assert_eq!(record["job"]["exit_code"], 143);
    assert_eq!(call(&rig, &["end", "watched"]).0, Some(5));
    assert_eq!(call(&rig, &["show", "nobody-knows"]).0, Some(5));

    // The ledger alone tells the same.
    assert!(daemon.terminate().success());
    let (code, out, _) = call(&rig, &["show", "watched", "--json"]);
    assert_eq!(code, Some(0));
    let mut told = json(&out);
    // The moment at which the shipped table was looked up is each program's own.
    let fetched = "/emissions/intensity/parts/0/fetched_at";
    *told.pointer_mut(fetched).unwrap() = record.pointer(fetched).unwrap().clone();
    // What was told at the end is kept once it is told, so in no record of that moment.
    let first = told["emissions"]["first_told"].take();
    let grams = record["emissions"]["operational_grams"].as_f64().unwrap();
    if let Some(first) = first["operational_grams"].as_f64() {
        assert!((first - grams).abs() < 1e-6, "{first} g were told of {grams} g");
    }
    for part in ["job", "energy", "emissions", "quality"] {
        assert_eq!(told[part], record[part], "{part}");
    }
}

#[test]
fn a_user_without_rights_is_told_so_in_one_line() {
    let rig = machine();
    let daemon = rig.daemon(&["--period", "100ms"]);
    wait_for_gpu(&daemon);
    let mut job = endless(&rig, "roots-own");
    eventually("the job", || metric(&daemon, "aimeter_jobs_running").filter(|n| *n == 1.0));
    let socket = rig.socket().display().to_string();
    let refused = format!(
        "aimeter: you may not use {socket}: it is root's alone, until `daemon.socket_group` names \
         a group for it\n"
    );
    for args in [["end", "roots-own"], ["gpu", "release"]] {
        let (code, out, err) = said(&as_nobody(&rig, &args));
        assert_eq!((code, out.as_str(), &err), (Some(4), "", &refused), "{args:?}");
    }
    let ledger = rig.path("state").join("ledger.db").display().to_string();
    for args in [vec!["jobs"], vec!["show", "roots-own"]] {
        let (code, out, err) = said(&as_nobody(&rig, &args));
        assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
        assert!(err.contains(&ledger) && err.contains("ermission denied"), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
    // Sensors can be looked for without the daemon, and those that cannot be read say why.
    let (code, out, err) = said(&as_nobody(&rig, &["sensors"]));
    assert_eq!(code, Some(0));
    assert!(err.starts_with(refused.trim_end()), "{err}");
    assert!(out.contains("missing: rapl"), "{out}");

    // A member of the socket's group runs jobs, and still may not end root's.
    assert!(daemon.terminate().success());
    let daemon = rig.daemon(&["--period", "100ms", "--socket-group", "nogroup"]);
    wait_for_gpu(&daemon);
    let (code, _, err) = said(&as_nobody(&rig, &["end", "roots-own"]));
    assert_eq!((code, err.as_str()), (Some(4), "aimeter: the job is not yours\n"));
    let (code, out, _) = said(&as_nobody(&rig, &["run", "--json", "-", "--", "true"]));
    assert_eq!(code, Some(0));
    assert_eq!(json(&out)["job"]["user"], "nobody");
    std::fs::write(rig.path("stop"), "").unwrap();
    assert!(job.wait().unwrap().success());
}

#[test]
fn a_configuration_that_is_closed_to_a_user_does_not_keep_the_daemon_from_being_asked() {
    let rig = machine();
    let _daemon = rig.daemon(&["--period", "100ms", "--socket-group", "nogroup"]);
    let file = rig.path("closed.toml");
    std::fs::write(&file, "[log]\nlevel = \"off\"\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = [("AIMETER_CONFIG", file.to_str().unwrap())];
    let ask = |args: &[&str]| said(&as_nobody_with(&rig, args, &config));
    for (args, expected) in [(["sensors", "--json"], 0), (["top", "--once"], 0), (["end", "x"], 5)]
    {
        let (code, _, err) = ask(&args);
        assert_eq!(code, Some(expected), "{args:?}: {err}");
        assert!(err.contains("open it to all; the defaults are taken"), "{err}");
    }
    // These would show something else than what is in force.
    for args in [["config", "show"], ["grid", "check"]] {
        let (code, out, err) = ask(&args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}");
        assert!(err.contains("open it to all"), "{err}");
    }
    // One that the command line names was meant.
    let (code, _, err) = ask(&["sensors", "--config", file.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{err}");
}

/// What was missing at a job's start is in its record, from the daemon and, when
/// that has ended, from the ledger.
#[test]
fn the_ledger_tells_which_sensors_were_missing() {
    let tree = powercap_standin::PowercapTree::builder()
        .package(0, powercap_standin::Trace::constant(100));
    let rig = Rig::new(tree, Vec::new());
    let daemon = rig.daemon(&["--period", "100ms"]);
    let run = rig.run(&["--project", "blind"], &["true"]);
    let notes = run.record["quality"]["notes"].clone();
    let missing = |notes: &Value| {
        let notes = notes.as_array().expect("notes").iter().filter_map(Value::as_str);
        notes.filter(|note| note.contains("nvml")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(missing(&notes).len(), 1, "{notes:#}");
    assert!(daemon.terminate().success());
    let id = run.record["job"]["id"].as_str().unwrap();
    let (code, out, err) = call(&rig, &["show", id, "--json"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(missing(&json(&out)["quality"]["notes"]), missing(&notes));
    let rows: i64 = rig
        .ledger()
        .query_row("SELECT count(*) FROM missing WHERE source = 'nvml'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 1);
}
