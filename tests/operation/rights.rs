// SPDX-License-Identifier: Apache-2.0
//! A daemon without rights, as the packages run it: what it meters all the same, and
//! what a group's right to RAPL's counters changes.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::rig::{Daemon, Rig, burn, domain, eventually, interval};
use crate::{NOBODY, call, copy_program, machine, metric, program_for_all, wait_for_gpu};

/// The daemon's own group, which no account has.
const METER: u32 = 65_432;
/// A user beside the daemon's; its group is the socket's, `nogroup`.
const ADA: u32 = 65_433;
const USERS: u32 = NOBODY;

/// `aimeter SUBCOMMAND` of the rig as somebody else.
fn command_as(rig: &Rig, uid: u32, group: u32, subcommand: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &uid.to_string(), "--regid", &group.to_string()]);
    command.args(["--groups", &USERS.to_string()]);
    command.arg(program_for_all(rig)).arg(subcommand);
    for (name, value) in rig.aimeter(subcommand).get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// The daemon as `nobody`, whose group is [`METER`], the socket for [`USERS`].
fn daemon(rig: &Rig) -> Daemon {
    let state = rig.path("state");
    std::fs::create_dir_all(&state).expect("a folder");
    for folder in [rig.folder.path(), &state] {
        chown(folder, Some(NOBODY), Some(METER)).expect("chown");
    }
    let command = command_as(rig, NOBODY, METER, "daemon");
    rig.daemon_from(command, &["--socket-group", "nogroup"])
}

/// The record of a job that burns CPU for a second, run by that command.
fn job(rig: &Rig, mut run: Command) -> Value {
    let folder = rig.path("ada");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o777)).expect("chmod");
    let program = folder.join("burn");
    copy_program(&burn(), &program);
    let json = folder.join("record.json");
    run.arg("--json").arg(&json).args(["--gpus", "0", "--"]);
    let output = run.arg(&program).args(["--cpu", "1s"]).output().expect("setpriv");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let record = serde_json::from_slice(&std::fs::read(&json).expect("a record"));
    std::fs::remove_file(&json).expect("the record");
    record.expect("JSON")
}

/// The truth lies within what the record says; a record's times are to the millisecond.
fn assert_gpu_is_true(rig: &Rig, record: &Value) {
    let (from, to) = interval(record);
    let gpu = domain(record, &format!("nvml:{}", rig.script.gpus[0].uuid));
    let figure = |name: &str| gpu[name].as_f64().expect("a figure");
    let (joules, uncertainty) = (figure("joules"), figure("uncertainty_joules"));
    let truth = rig.gpu_joules(0, from, to);
    let apart = (joules - truth).abs();
    assert!(apart <= uncertainty + 0.5, "{joules} ± {uncertainty} J, in truth {truth} J");
}

/// The cgroups of a job, wherever.
fn cgroups_of(record: &Value) -> Vec<PathBuf> {
    let name = format!("aimeter-{}", record["job"]["id"].as_str().expect("an id"));
    let output = Command::new("find")
        .args(["/sys/fs/cgroup", "-type", "d", "-name", &name])
        .output()
        .expect("find");
    String::from_utf8_lossy(&output.stdout).lines().map(PathBuf::from).collect()
}

fn notes(record: &Value) -> String {
    record["quality"]["notes"].to_string()
}

#[test]
fn a_daemon_without_rights_meters_the_jobs_of_others() {
    let rig = machine();
    let daemon = daemon(&rig);
    wait_for_gpu(&daemon);

    let of_ada = job(&rig, command_as(&rig, ADA, USERS, "run"));
    assert_gpu_is_true(&rig, &of_ada);
    assert!(notes(&of_ada).contains("CPU time is from the process tree"), "{of_ada:#}");

    // Root's command makes a cgroup for its job, which this daemon reads and may not
    // remove: `aimeter run` does, so that they do not pile up in root's session.
    let of_root = job(&rig, rig.aimeter("run"));
    assert_gpu_is_true(&rig, &of_root);
    assert!(!notes(&of_root).contains("process tree"), "{of_root:#}");
    assert_eq!(cgroups_of(&of_root), Vec::<PathBuf>::new());
}

/// A job that is followed by its tree was remarked on anew by each daemon that took it up.
#[test]
fn a_job_that_two_daemons_followed_is_remarked_on_once() {
    let rig = machine();
    let first = daemon(&rig);
    wait_for_gpu(&first);
    let stop = rig.path("stop");
    let wait = format!("until [ -e {} ]; do sleep 0.02; done", stop.display());
    let mut run = command_as(&rig, ADA, USERS, "run");
    run.env("AIMETER_JOB_ID", "followed").args(["--quiet", "--", "sh", "-c", &wait]);
    let mut job = run.spawn().expect("setpriv");
    let running = "aimeter_job_running{job_id=\"followed\"";
    eventually("the job", || metric(&first, running).filter(|running| *running == 1.0));
    first.terminate();

    let second = daemon(&rig);
    std::fs::write(&stop, "").expect("the file");
    assert!(job.wait().expect("its end").success());
    eventually("its end", || metric(&second, running).filter(|running| *running == 0.0));
    second.terminate();
    // From the ledger.
    let (code, out, err) = call(&rig, &["show", "followed", "--json"]);
    assert_eq!(code, Some(0), "{err}");
    let record: Value = serde_json::from_str(&out).expect("JSON");
    let notes = record["quality"]["notes"].as_array().expect("notes");
    let of_tree = |note: &&Value| note.to_string().contains("from the process tree");
    assert_eq!(notes.iter().filter(of_tree).count(), 1, "{notes:#?}");
}

#[test]
fn rapl_is_read_by_the_right_of_a_group() {
    let rig = machine();
    let package = "aimeter_domain_energy_joules_total{domain=\"rapl:package-0\"";
    let energy = |zone: &str| rig.sysfs.root().join("class/powercap").join(zone).join("energy_uj");

    let first = daemon(&rig);
    assert_eq!(metric(&first, package), None);
    assert_eq!(metric(&first, "aimeter_sensor_up{source=\"rapl\"}"), Some(0.0));
    first.terminate();

    for zone in ["intel-rapl:0", "intel-rapl:0:0"] {
        run_the_rule(&energy(zone));
    }
    let second = daemon(&rig);
    wait_for_gpu(&second);
    assert_eq!(metric(&second, "aimeter_sensor_up{source=\"rapl\"}"), Some(1.0));
    let of_ada = job(&rig, command_as(&rig, ADA, USERS, "run"));
    let joules = domain(&of_ada, "rapl:package-0")["joules"].as_f64().expect("joules");
    let (from, to) = interval(&of_ada);
    assert!(joules > 0.0 && joules < rig.zone_joules("package-0", from, to), "{joules} J");

    // And nobody else: a user who can read the counter can spy on others by it.
    let mut spy = Command::new("setpriv");
    spy.args(["--reuid", &ADA.to_string(), "--regid", &USERS.to_string(), "--clear-groups"]);
    let spied = spy.arg("cat").arg(energy("intel-rapl:0")).output().expect("setpriv");
    assert_eq!((spied.status.code(), spied.stdout.len()), (Some(1), 0));
}

/// What `packaging/udev/60-aimeter.rules` has udev run for a file, with our group.
fn run_the_rule(file: &Path) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/udev/60-aimeter.rules");
    let rules = std::fs::read_to_string(path).expect("the rule");
    let rule = rules.split("ACTION==").find(|rule| rule.contains("SUBSYSTEM==\"powercap\""));
    let commands: Vec<String> = rule
        .expect("a rule for powercap")
        .split("RUN+=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().expect("its end").to_owned())
        .collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    for command in commands {
        let command = command
            .replace("$sys$devpath/energy_uj", &file.display().to_string())
            .replace(" aimeter ", &format!(" {METER} "));
        let mut words = command.split(' ');
        let program = words.next().expect("a program");
        assert!(Command::new(program).args(words).status().expect(program).success(), "{command}");
    }
}
