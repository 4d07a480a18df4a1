// SPDX-License-Identifier: Apache-2.0
//! `aimeter doctor` on each broken set-up that the stand-ins can make: what is
//! wrong is named, with its remedy, and nothing that is right is blamed.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use nvml_standin::{Fault, FaultKind};
use powercap_standin::{Fault as SysfsFault, PowercapTree};
use serde_json::Value;

use crate::rig::{Rig, eventually};
use crate::{as_nobody, call, machine, metric, said, wait_for_gpu};

/// A zone that the table knows and no feed without a key covers: no network.
const ZONE: &str = "BR";

/// What `aimeter doctor ARGS --json` finds; its exit code follows from it.
fn doctor(rig: &Rig, args: &[&str]) -> Vec<Value> {
    let mut words = vec!["doctor", "--json"];
    words.extend(args);
    findings(call(rig, &words))
}

fn findings((code, out, err): (Option<i32>, String, String)) -> Vec<Value> {
    assert_eq!(err, "");
    let listing: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}"));
    let findings = listing["findings"].as_array().expect("findings").clone();
    let has = |severity: &str| findings.iter().any(|finding| finding["severity"] == severity);
    let (worst, expected) = match (has("error"), has("warning"), has("note")) {
        (true, ..) => ("error", 1),
        (_, true, _) => ("warning", 6),
        (.., true) => ("note", 0),
        _ => ("ok", 0),
    };
    assert_eq!((code, &listing["worst"]), (Some(expected), &Value::from(worst)), "{out}");
    findings
}

/// The finding of a check whose text contains `part`.
#[track_caller]
fn the<'a>(findings: &'a [Value], check: &str, part: &str) -> &'a Value {
    let is = |finding: &&Value| {
        finding["check"] == check && finding["what"].as_str().expect("a text").contains(part)
    };
    findings.iter().find(is).unwrap_or_else(|| panic!("no {check} `{part}` in {findings:#?}"))
}

/// It is an error with a remedy that contains `remedy`.
#[track_caller]
fn is(finding: &Value, severity: &str, remedy: &str) {
    assert_eq!(finding["severity"], severity, "{finding}");
    let found = finding["remedy"].as_str().unwrap_or_default();
    assert!(found.contains(remedy), "{finding}");
}

/// Everything but the clock, which is this machine's own.
fn bad(findings: &[Value]) -> Vec<&Value> {
    let bad = |finding: &&Value| {
        finding["check"] != "clock"
            && (finding["severity"] == "error" || finding["severity"] == "warning")
    };
    findings.iter().filter(bad).collect()
}

#[test]
fn a_machine_that_is_well_has_nothing_to_mend() {
    let rig = machine();
    let daemon = rig.daemon(&["--period", "100ms", "--zone", ZONE]);
    wait_for_gpu(&daemon);
    eventually("a row of the ledger", || rig.path("state/ledger.db").exists().then_some(()));
    let mut findings = Vec::new();
    eventually("power of every domain", || {
        findings = doctor(&rig, &["--zone", ZONE, "--listen", &daemon.address]);
        bad(&findings).is_empty().then_some(())
    });
    let sensors = the(&findings, "sensors", "read");
    let gpu = format!("nvml:{}", rig.script.gpus[0].uuid);
    for id in [&gpu, "rapl:package-0", "rapl:package-0/dram", "NVIDIA driver"] {
        assert!(sensors["what"].as_str().unwrap().contains(id), "{sensors}");
    }
    the(&findings, "cgroup", "each job gets one");
    the(&findings, "socket", "the daemon answers");
    the(&findings, "ledger", "is sound");
    the(&findings, "port", "answers");
    the(&findings, "grid", "the yearly mean is used");
    // For people: the same, and the summary.
    let (_, out, _) = call(&rig, &["doctor", "--zone", ZONE, "--listen", &daemon.address]);
    assert!(out.lines().any(|line| line.starts_with("ok       cgroup")), "{out}");
    assert!(!out.contains('\x1b'), "colour where nobody sees it: {out}");
}

#[test]
fn without_a_daemon_it_looks_for_itself() {
    let rig = machine();
    let findings = doctor(&rig, &["--zone", ZONE, "--listen", "127.0.0.1:0"]);
    let bad = bad(&findings);
    assert_eq!(bad.len(), 1, "{bad:#?}");
    is(the(&findings, "port", "takes a free port"), "note", "");
    is(the(&findings, "socket", "no daemon answers"), "warning", "aimeter daemon");
    is(the(&findings, "ledger", "none yet"), "note", "");
    the(&findings, "sensors", "rapl:package-0");
}

#[test]
fn a_broken_configuration_is_a_finding_with_its_line() {
    let rig = machine();
    let file = rig.path("aimeter.toml");
    std::fs::write(&file, "[sensors]\nperiod = \"1 parsec\"\n").unwrap();
    let file = file.to_str().unwrap();
    let findings = doctor(&rig, &["--config", file]);
    is(the(&findings, "config", "aimeter.toml:2"), "error", "mend it");
    // The rest is looked at all the same.
    the(&findings, "sensors", "rapl:package-0");
    is(the(&findings, "grid", "no zone is set"), "warning", "carbon.zone");
    std::fs::write(file, "[carbon]\nzone = \"GB\"\n[daemon]\nlisten = [\"nowhere\"]\n").unwrap();
    is(the(&doctor(&rig, &["--config", file]), "config", "aimeter.toml:4"), "error", "");
}

#[test]
fn counters_that_may_not_be_read_or_do_not_move_are_named() {
    let rig = machine();
    let package = rig.sysfs.meter("package-0");
    package.fail(SysfsFault::NotPermitted);
    let findings = doctor(&rig, &["--zone", ZONE]);
    is(the(&findings, "sensors", "readable by root only"), "error", "");
    package.heal();
    package.freeze();
    let findings = doctor(&rig, &["--zone", ZONE, "--period", "100ms"]);
    is(the(&findings, "counters", "rapl:package-0 did not move"), "warning", "under load");
}

#[test]
fn gpus_that_are_lost_dead_or_not_to_be_had_are_named() {
    let rig = machine();
    let nvml = rig.nvml.as_ref().unwrap();
    let daemon = rig.daemon(&["--period", "100ms"]);
    wait_for_gpu(&daemon);
    let lost = FaultKind::Error(15);
    nvml.update(|script| {
        script.faults.push(Fault::standing("nvmlDeviceGetTotalEnergyConsumption", Some(0), lost));
    })
    .unwrap();
    eventually("the loss", || {
        (metric(&daemon, "aimeter_sensor_up{source=\"nvml\"}") == Some(0.0)).then_some(())
    });
    is(the(&doctor(&rig, &[]), "counters", "nvml:"), "error", "");
    drop(daemon);

    let mut dead = nvml_standin::Gpu::numbered(0, nvml_standin::Trace::Constant { mw: 0 });
    dead.power = nvml_standin::Trace::Constant { mw: 0 };
    let rig = Rig::new(PowercapTree::builder(), vec![dead]);
    is(the(&doctor(&rig, &[]), "counters", "nvml:"), "warning", "under load");

    // The library that was named is not there.
    let rig = Rig::new(PowercapTree::builder(), Vec::new());
    is(the(&doctor(&rig, &[]), "sensors", "nvml all GPUs"), "warning", "driver");
}

#[test]
fn a_socket_that_is_closed_to_a_user_names_who_may() {
    let rig = machine();
    let _daemon = rig.daemon(&["--period", "100ms"]);
    let findings = findings(said(&as_nobody(&rig, &["doctor", "--json", "--zone", ZONE])));
    is(the(&findings, "socket", "you may not use"), "error", "daemon.socket_group");
    is(the(&findings, "cgroup", "not permitted"), "warning", "systemd-run");
}

#[test]
fn a_ledger_that_is_damaged_closed_or_full_is_told() {
    let rig = machine();
    let daemon = rig.daemon(&["--period", "100ms", "--zone", ZONE]);
    wait_for_gpu(&daemon);
    assert!(daemon.terminate().success());
    let file = rig.path("state/ledger.db");
    is(the(&doctor(&rig, &["--zone", ZONE]), "ledger", "is sound"), "ok", "");

    let whole = std::fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[4_096..middle].fill(0x5a);
    std::fs::write(&file, &damaged).unwrap();
    let findings = doctor(&rig, &["--zone", ZONE]);
    let finding = the(&findings, "ledger", "ledger.db");
    assert_eq!(finding["severity"], "error", "{finding}");

    std::fs::write(&file, &whole).unwrap();
    let open = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(&file, open(0o600)).unwrap();
    let found = findings_of_nobody(&rig);
    is(the(&found, "ledger", "cannot open"), "warning", "ask as root");

    let small = rig.path("small");
    std::fs::create_dir(&small).unwrap();
    let mounted = Mounted::tmpfs(&small, "8m");
    std::fs::write(small.join("ledger.db"), &whole).unwrap();
    let args = ["--zone", ZONE, "--state-dir", small.to_str().unwrap()];
    is(the(&doctor(&rig, &args), "ledger", "left on its disk"), "warning", "free some room");
    drop(mounted);
}

fn findings_of_nobody(rig: &Rig) -> Vec<Value> {
    findings(said(&as_nobody(rig, &["doctor", "--json", "--zone", ZONE])))
}

/// A small disk.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn tmpfs(folder: &std::path::Path, size: &str) -> Mounted {
        let option = format!("size={size}");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &option, "tmpfs"])
            .arg(folder)
            .status()
            .expect("mount (Debian package mount)");
        assert!(status.success(), "mounting needs root");
        Mounted(folder.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_port_that_another_has_is_told_with_how_to_find_out_who() {
    let rig = machine();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let findings = doctor(&rig, &["--zone", ZONE, "--listen", &address]);
    is(the(&findings, "port", &address), "error", "ss -ltnp");
    drop(other);
    // A daemon that serves elsewhere than it is looked for.
    let _daemon = rig.daemon(&[]);
    let findings = doctor(&rig, &["--zone", ZONE, "--listen", &address]);
    is(the(&findings, "port", "nothing answers"), "warning", "daemon.listen");
}

#[test]
fn a_wrong_web_file_and_a_socket_that_another_has_are_told() {
    let rig = machine();
    let web = rig.path("web.yml").display().to_string();
    std::fs::write(&web, "basic_auth_users: {alice: plain}\n").unwrap();
    let socket = rig.path("http.sock");
    let place = format!("unix:{}", socket.display());
    let args = ["--zone", ZONE, "--listen", &place, "--web-config-file", &web];
    let findings = doctor(&rig, &args);
    is(the(&findings, "web", "the password of `alice`"), "error", "mend it");
    the(&findings, "port", "is the daemon's to make");
    std::fs::write(&web, "").unwrap();
    let _other = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let findings = doctor(&rig, &args);
    is(the(&findings, "port", "somebody answers"), "error", "daemon.listen");
    assert_eq!(the(&findings, "web", "web.yml")["severity"], "ok");
}

#[test]
fn what_is_only_closed_to_who_asks_is_no_mistake() {
    let rig = machine();
    let folder = rig.path("served");
    std::fs::create_dir(&folder).unwrap();
    let (web, socket) = (folder.join("web.yml"), folder.join("http.sock"));
    std::fs::write(&web, "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n").unwrap();
    let place = format!("unix:{}", socket.display());
    let web = web.to_str().unwrap();
    let args = ["doctor", "--json", "--zone", ZONE, "--listen", &place, "--web-config-file", web];
    let nobody = || findings(said(&as_nobody(&rig, &args)));
    // A certificate that is not there is a mistake for everybody, a closed one is none.
    is(the(&nobody(), "web", "No such file"), "error", "mend it");
    std::fs::write(folder.join("cert.pem"), "").unwrap();
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(&folder.join("cert.pem"), 0o600);
    is(the(&nobody(), "web", "Permission denied"), "note", "");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    open(&socket, 0o600);
    is(the(&nobody(), "port", "is closed to you"), "note", "");
    open(std::path::Path::new(web), 0o600);
    is(the(&nobody(), "web", "Permission denied"), "note", "");
    drop(listener);
    std::fs::remove_file(&socket).unwrap();
    std::fs::write(&socket, "").unwrap();
    is(the(&nobody(), "port", "is no socket"), "error", "remove it");
}

#[test]
fn a_daemon_that_does_not_tell_of_its_sensors_is_named() {
    use std::io::{BufRead, BufReader, Write};
    let rig = machine();
    let socket = std::os::unix::net::UnixListener::bind(rig.socket()).unwrap();
    let daemon = std::thread::spawn(move || {
        let (mut stream, _) = socket.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        lines.next().unwrap().unwrap();
        writeln!(stream, r#"{{"hello":{{"version":1,"release":"0"}}}}"#).unwrap();
        lines.next().unwrap().unwrap();
        writeln!(stream, r#"{{"error":{{"code":"failed","message":"the engine sleeps"}}}}"#)
            .unwrap();
    });
    let findings = doctor(&rig, &["--zone", ZONE]);
    daemon.join().unwrap();
    is(the(&findings, "sensors", "the engine sleeps"), "error", "journalctl");
    the(&findings, "sensors", "rapl:package-0");
}

#[test]
fn a_feed_that_does_not_answer_and_a_zone_that_is_none_are_told() {
    let rig = machine();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/grid.json", nobody.local_addr().unwrap());
    drop(nobody);
    let file = rig.path("aimeter.toml");
    let text = format!(
        "[carbon]\nzone = \"{ZONE}\"\n[[grid.feeds]]\nfeed = \"json\"\nzone = \"{ZONE}\"\n\
         url = \"{url}\"\npointer = \"/now\"\nunit = \"g/kWh\"\n"
    );
    std::fs::write(&file, text).unwrap();
    let findings = doctor(&rig, &["--config", file.to_str().unwrap()]);
    the(&findings, "config", "aimeter.toml");
    is(the(&findings, "grid", "json"), "warning", "aimeter grid check");
    std::fs::write(&file, "[carbon]\nzone = \"UK\"\n").unwrap();
    let findings = doctor(&rig, &["--config", file.to_str().unwrap()]);
    is(the(&findings, "config", "did you mean `GB`"), "error", "mend it");
}
