// SPDX-License-Identifier: Apache-2.0
//! RAPL: wraps with failed reads between, zones that go, counters shown twice.

use powercap_standin::{Fault, Mounted, PowercapTree, Scale, Trace, Zone, now};
use rustix::process::{Pid, Signal, kill_process};

use crate::rig::{Rig, burn};
use crate::support::*;

/// A package of 100 W that wraps every 8 s, with memory of 20 W.
fn machine() -> Rig {
    let package = Zone::new(Trace::square(50, 150, 3)).scale(Scale::wrapping_after(800));
    let tree = PowercapTree::builder().zone("package-0", package).dram(0, Trace::constant(20));
    Rig::new(tree, Vec::new())
}

/// Waits until a zone was read so many times more.
fn ticks(sysfs: &Mounted, zone: &str, count: u64) {
    let target = sysfs.meter(zone).reads() + count;
    crate::rig::eventually("reads", || (sysfs.meter(zone).reads() >= target).then_some(()));
}

/// Ends the daemon so that its books are closed.
fn close(daemon: crate::rig::Daemon) {
    assert!(daemon.terminate().success(), "the daemon ends clean");
}

#[test]
fn failed_reads_around_a_wrap_are_neither_a_range_nor_zero() {
    // CodeCarbon core/rapl.py: a failed read is 0, then a wrap: one counter range too much.
    let faults = [
        ("EIO", Fault::Io),
        ("EACCES", Fault::NotPermitted),
        ("an empty file", Fault::Empty),
        ("no number", Fault::Text("0x12\n".into())),
    ];
    let names = ["package-0", "package-1", "package-2", "package-3", "package-4"];
    let tree = names.iter().fold(PowercapTree::builder(), |tree, name| {
        let wave = Trace::square(50, 150, 3);
        tree.zone(name, Zone::new(wave).scale(Scale::wrapping_after(8_000)))
    });
    let rig = Rig::new(tree, Vec::new());
    let zones = names.map(|name| rig.sysfs.meter(name));
    zones.iter().for_each(|zone| zone.wrap_after(400_000_000));
    let daemon = rig.daemon(&[]);
    ticks(&rig.sysfs, "package-4", 1);
    // Each fails from before its wrap until after it; the last one is well.
    let before: Vec<u64> = zones.iter().map(|zone| zone.shown_at(now())).collect();
    for (zone, (_, fault)) in zones.iter().zip(&faults) {
        zone.fail(fault.clone());
    }
    for (zone, before) in zones.iter().zip(before) {
        crate::rig::eventually("a wrap", || (zone.shown_at(now()) < before).then_some(()));
    }
    ticks(&rig.sysfs, "package-4", 1);
    zones.iter().for_each(|zone| zone.heal());
    ticks(&rig.sysfs, "package-4", 2);
    let failed = metric(&daemon, "aimeter_sensor_read_errors_total", &["package-0"]);
    assert!(failed >= 1.0, "no read failed");
    close(daemon);
    let words = faults.iter().map(|(word, _)| *word).chain(["no fault"]);
    for (name, word) in names.into_iter().zip(words) {
        let package = zone_books(&rig, name).print(&format!("wrap during failed reads: {word}"));
        assert!(package.error() < 0.01, "{package:?}");
    }
}

#[test]
fn a_wrap_loses_nothing() {
    // Scaphandre#280 (open), likwid#646, powerjoular#45, Zeus#91: the wrap is lost or invented.
    let rig = machine();
    let daemon = rig.daemon(&[]);
    ticks(&rig.sysfs, "package-0", 10);
    close(daemon);
    let package = zone_books(&rig, "package-0").print("a wrap every 8 s");
    assert!(package.error() < 0.01, "{package:?}");
}

#[test]
fn a_zone_that_goes_and_comes_back_is_taken_up_and_told() {
    // node_exporter: the first unreadable zone hides the rest (collector/rapl_linux.go).
    let rig = machine();
    let daemon = rig.daemon(&[]);
    let job = Job::start(&rig, "vanish", &[]);
    ticks(&rig.sysfs, "package-0", 2);
    rig.sysfs.meter("package-0").vanish();
    wait_for_state(&daemon, "rapl:package-0", "lost");
    rig.sysfs.meter("package-0").reappear();
    wait_for_state(&daemon, "rapl:package-0", "ok");
    ticks(&rig.sysfs, "package-0", 1);
    let run = job.finish();
    assert!(has_domain(&run.record, "rapl:package-0"));
    close(daemon);
    let package = zone_books(&rig, "package-0").print("zone vanishes and comes back");
    assert!(package.error() < 0.01, "{package:?}");
    let dram = zone_books(&rig, "package-0/dram");
    assert!(dram.error() < 0.01, "{dram:?}");
}

#[test]
fn permission_lost_in_mid_job_is_told() {
    // CodeCarbon#244, Scaphandre#214: no permission reads as no energy.
    let rig = machine();
    let daemon = rig.daemon(&[]);
    let job = Job::with(rig.aimeter("run"), &rig, "perm", &[], &["--cpu", "500ms"]);
    ticks(&rig.sysfs, "package-0", 1);
    rig.sysfs.meter("package-0").fail(Fault::NotPermitted);
    wait_for_state(&daemon, "rapl:package-0", "not_permitted");
    let_pass(1_500);
    let run = job.finish();
    assert_tells(&run, "rapl:package-0 could not be read at the job's end");
    let part = run.domain("rapl:package-0");
    let (from, to) = crate::rig::interval(&run.record);
    let most = rig.zone_joules("package-0", from, to);
    let (joules, more) = (number(&part["joules"]), number(&part["uncertainty_joules"]));
    println!(
        "| permission lost, package | {joules:.2} J | at most {most:.2} J | | ± {more:.2} J |"
    );
    assert!(joules <= most && joules + more >= most / 2.0, "{part:#}");
    assert!(number(&run.record["quality"]["gaps_seconds"]) > 1.0, "{:#}", run.record);
    rig.sysfs.meter("package-0").heal();
    wait_for_state(&daemon, "rapl:package-0", "ok");
    close(daemon);
    let package = zone_books(&rig, "package-0").print("permission lost and back: the books");
    assert!(package.error() < 0.01, "{package:?}");
}

#[test]
fn psys_core_uncore_and_mmio_are_never_added() {
    // CodeCarbon#950: psys and mmio twice; Kepler metrics.md warns that zones overlap.
    let tree = PowercapTree::builder()
        .psys(Trace::constant(300))
        .package(0, Trace::constant(100))
        .package(1, Trace::square(50, 150, 2))
        .core(0, Trace::constant(60))
        .uncore(0, Trace::constant(5))
        .dram(0, Trace::constant(20))
        .dram(1, Trace::constant(10))
        .mmio_duplicate();
    let rig = Rig::new(tree, Vec::new());
    let counted = ["package-0", "package-1", "package-0/dram", "package-1/dram"];
    let run = rig.run(&["--standalone"], &[burn().to_str().unwrap(), "--cpu", "2s"]);
    let (from, to) = crate::rig::interval(&run.record);
    let sum: f64 =
        counted.iter().map(|zone| number(&run.domain(&format!("rapl:{zone}"))["joules"])).sum();
    let total = number(&run.record["energy"]["total_joules"]);
    assert!((total - sum).abs() < 1e-6, "{total} is not {sum}");
    // What the job's part is part of: all of the four, once.
    let moved: f64 = counted.iter().map(|zone| whole(&run.record, &format!("rapl:{zone}"))).sum();
    let truth: f64 = counted.iter().map(|zone| rig.zone_joules(zone, from, to)).sum();
    let figure = Figure { joules: moved, uncertainty: 0.0, truth };
    figure.print("psys, core, uncore, mmio beside two packages");
    assert!(figure.error() < 0.02, "{figure:?}");
    // The node's meter is shown beside, the parts of a package too.
    assert_eq!(run.domain("rapl:psys")["kind"], "node");
    let coverage = &run.record["quality"]["coverage"];
    assert_eq!(*coverage, serde_json::json!(["cpu", "dram"]));
    let sensors = rig.aimeter("sensors").output().unwrap();
    let sensors = String::from_utf8_lossy(&sensors.stdout).into_owned();
    assert!(sensors.contains("rapl:psys is shown and never added"), "{sensors}");
    assert!(sensors.contains("intel-rapl-mmio"), "{sensors}");
}

#[test]
fn a_daemon_that_slept_over_unknown_wraps_books_a_range() {
    // Prometheus and Kepler: a fall is one wrap, however long nobody looked (energy_zone.go).
    let package = Zone::new(Trace::constant(100)).scale(Scale::wrapping_after(300));
    let rig = Rig::new(PowercapTree::builder().zone("package-0", package), two_gpus());
    let daemon = rig.daemon(&[]);
    let job = Job::with(rig.aimeter("run"), &rig, "asleep", &[], &["--cpu", "300ms"]);
    ticks(&rig.sysfs, "package-0", 1);
    let pid = Pid::from_child(&daemon.child);
    kill_process(pid, Signal::STOP).unwrap();
    let_pass(20_000);
    kill_process(pid, Signal::CONT).unwrap();
    ticks(&rig.sysfs, "package-0", 2);
    let run = job.finish();
    let gaps = number(&run.record["quality"]["gaps_seconds"]);
    assert!(gaps >= 19.0, "the gap is told: {gaps} s");
    for gpu in 0..2 {
        let trap = format!("daemon stopped for 20 s, GPU {gpu}");
        Figure::of_gpu(&rig, &run, gpu).check(&trap, 0.05);
    }
    assert!(metric(&daemon, "aimeter_missed_ticks_total", &[]) >= 15.0);
    close(daemon);
    let package = zone_books(&rig, "package-0").print("package that wrapped 6 times meanwhile");
    package.invents_nothing(0.01);
    assert!(package.joules + package.uncertainty >= package.truth * 0.99, "{package:?}");
    assert!(package.joules < package.truth * 0.5, "the wraps are not known: {package:?}");
}
