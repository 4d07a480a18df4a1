// SPDX-License-Identifier: Apache-2.0
//! SIGHUP, SIGTERM, and what the log says of a problem.

use nvml_standin::{Fault, FaultKind};
use powercap_standin::Fault as PowercapFault;
use rustix::process::{Pid, Signal, kill_process};

use crate::rig::{Daemon, Rig, burn, eventually};
use crate::{machine, metric, wait_for_gpu};

const TICKS: &str = "aimeter_ticks_total";

fn configure(rig: &Rig, text: &str) -> String {
    let path = rig.path("aimeter.toml");
    std::fs::write(&path, text).expect("a configuration file");
    path.to_str().expect("a path of text").to_owned()
}

fn ticks(daemon: &Daemon) -> f64 {
    metric(daemon, TICKS).expect("ticks")
}

/// Waits for so many more ticks.
fn wait_for_ticks(daemon: &Daemon, more: f64) {
    let before = ticks(daemon);
    eventually("ticks", || (ticks(daemon) >= before + more).then_some(()));
}

#[test]
fn a_reload_changes_zone_pue_period_and_how_long_jobs_stay() {
    let rig = machine();
    let config = configure(
        &rig,
        "[sensors]\nperiod = \"10s\"\n[carbon]\nzone = \"GB\"\npue = 1.1\n\
         [ledger]\nkeep_finished = \"24h\"\n",
    );
    let daemon = rig.daemon(&["--config", &config]);
    wait_for_gpu(&daemon);
    let intensity = |zone| {
        metric(&daemon, &format!("aimeter_grid_intensity_grams_per_kwh{{grid_zone=\"{zone}\""))
    };
    assert!(intensity("GB").is_some() && intensity("DE").is_none());
    let before = rig.run(&["--gpus", "none"], &["true"]).record;
    assert_eq!(before["energy"]["pue"]["value"], 1.1);
    assert_eq!(before["emissions"]["intensity"]["zone"], "GB");
    assert!(metric(&daemon, "aimeter_job_running").is_some());

    configure(
        &rig,
        "[sensors]\nperiod = \"100ms\"\n[carbon]\nzone = \"DE\"\npue = 1.3\n\
         [ledger]\nkeep_finished = \"0s\"\n",
    );
    kill_process(Pid::from_child(&daemon.child), Signal::HUP).unwrap();
    daemon.wait_for("configuration taken up");
    // With the earlier period so many ticks would outlast this test's patience.
    wait_for_ticks(&daemon, 20.0);
    assert!(intensity("DE").is_some() && intensity("GB").is_none());
    assert_eq!(metric(&daemon, "aimeter_job_running"), None);
    let after = rig.run(&["--gpus", "none"], &["true"]).record;
    assert_eq!(after["energy"]["pue"]["value"], 1.3);
    assert_eq!(after["emissions"]["intensity"]["zone"], "DE");
    eventually("the job to go", || metric(&daemon, "aimeter_job_running").is_none().then_some(()));
}

/// Per domain, what is booked in all and the counter's last reading, in µJ.
fn books(rig: &Rig) -> Vec<(String, i64, i64, i64)> {
    let ledger = rig.ledger();
    let sql = "SELECT domain.id, (SELECT sum(energy_uj) FROM line WHERE line.domain = domain.key),
                      counter.value_uj, counter.at_ns
               FROM domain JOIN counter ON counter.domain = domain.key ORDER BY domain.id";
    let mut statement = ledger.prepare(sql).unwrap();
    let row = |row: &rusqlite::Row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    statement.query_map([], row).unwrap().map(Result::unwrap).collect()
}

#[test]
fn an_end_by_sigterm_leaves_a_closed_ledger_with_the_last_joule_and_a_restart_reads_on() {
    let rig = machine();
    let mut ends = Vec::new();
    for _ in 0..2 {
        let daemon = rig.daemon(&["--period", "10s"]);
        wait_for_gpu(&daemon);
        rig.run(&["--gpus", "0"], &[burn().to_str().unwrap(), "--cpu", "50ms"]);
        let asked = i64::try_from(nvml_standin::now_ns()).unwrap();
        assert!(daemon.terminate().success());
        let took = i64::try_from(nvml_standin::now_ns()).unwrap() - asked;
        println!("ended in {} ms", took / 1_000_000);
        for left in ["ledger.db-wal", "ledger.db-shm"] {
            assert!(!rig.path("state").join(left).exists(), "{left} is left behind");
        }
        let check: String =
            rig.ledger().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        let books = books(&rig);
        assert_eq!(books.len(), 3, "{books:?}");
        for (domain, _, _, read) in &books {
            // The package and its memory are read once more when the daemon ends.
            assert!(domain.starts_with("nvml") || *read > asked, "{domain} at {read}, not {asked}");
        }
        ends.push(books);
    }
    for (first, second) in ends[0].iter().zip(&ends[1]) {
        let (booked, moved) = (second.1 - first.1, second.2 - first.2);
        println!("{}: {booked} µJ booked, {moved} µJ counted", first.0);
        assert!(moved > 0);
        // RAPL's counter shows steps of 61.035 µJ cut to a microjoule.
        assert_eq!(booked, moved, "{}", first.0);
    }
}

#[test]
fn the_log_names_each_problem_once() {
    let rig = machine();
    let daemon = rig.daemon(&["--period", "100ms"]);
    wait_for_gpu(&daemon);
    let nvml = rig.nvml.as_ref().unwrap();
    let lost = Fault::standing("nvmlDeviceGetTotalEnergyConsumption", None, FaultKind::Error(15));
    nvml.update(|script| script.faults.push(lost)).unwrap();
    rig.sysfs.meter("package-0").fail(PowercapFault::Io);
    let gpu = rig.script.gpus[0].uuid.clone();
    let errors = |daemon: &Daemon, domain: &str, reason: &str| {
        let series = "aimeter_sensor_read_errors_total";
        metric(daemon, &format!("{series}{{domain=\"{domain}\",reason=\"{reason}\"}}"))
    };
    eventually("many failures", || {
        let package = errors(&daemon, "rapl:package-0", "failed")?;
        let lost = errors(&daemon, &format!("nvml:{gpu}"), "lost")?;
        (package >= 20.0 && lost >= 2.0).then_some(())
    });
    rig.sysfs.meter("package-0").heal();
    nvml.update(|script| script.faults.clear()).unwrap();
    wait_for_gpu(&daemon);
    wait_for_ticks(&daemon, 5.0);
    let (status, log) = daemon.log_to_end();
    assert!(status.success());
    let times = |domain: &str, what: &str| {
        log.iter().filter(|line| line.contains(domain) && line.contains(what)).count()
    };
    for domain in ["domain=rapl:package-0", &gpu] {
        assert_eq!(times(domain, "cannot be read"), 1, "{domain} in {log:#?}");
        assert_eq!(times(domain, "reads again"), 1, "{domain} in {log:#?}");
    }
}
