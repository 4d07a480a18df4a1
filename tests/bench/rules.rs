// SPDX-License-Identifier: Apache-2.0
//! Each rule of the protocol broken in turn: it is caught and named, and only it.

use std::process::Command;

use aimeter::benchmark::record::{Level, Rule};
use nvml_standin::{Level as Power, Trace};
use powercap_standin::Fault;

use crate::rig::eventually;
use crate::support::{Bench, found, places, said};

/// A command of the work that does something to the machine first.
fn shell(script: &str) -> String {
    format!("command = [\"sh\", \"-c\", \"{script}\"]")
}

const SLEEP: &str = "command = [\"sleep\", \"0.3\"]";

#[test]
fn what_is_kept_is_not_named() {
    let bench = Bench::new();
    let _daemon = bench.daemon("actual,123");
    bench.spec(&[]);
    let record = bench.run(&[]);
    let rules: Vec<Rule> = record.exceptions.iter().map(|one| one.rule).collect();
    // What a test of seconds cannot keep: the times.
    assert!(
        rules.iter().all(|rule| matches!(rule, Rule::Idle | Rule::Window | Rule::Settling)),
        "{:#?}",
        record.exceptions
    );
    let intensity = record.repetitions[2].intensity.as_ref().unwrap();
    assert_eq!((intensity.grams_per_kwh, intensity.parts[0].source.as_str()), (123.0, "file"));
}

#[test]
fn times_that_are_too_short_are_named_and_cost_the_level() {
    let bench = Bench::new();
    bench.spec(&[("idle = \"500ms\"", "idle = \"0s\""), ("\"100ms\"", "\"0s\"")]);
    let record = bench.run(&[]);
    assert_eq!(places(&record, Rule::Idle), [0]);
    assert_eq!(places(&record, Rule::WarmUp), [0]);
    assert_eq!(places(&record, Rule::Window), [1, 2, 3]);
    assert_eq!(places(&record, Rule::Settling), [0]);
    assert_eq!((record.idle, record.warm_up), (None, None));
    assert_eq!(record.derived.level.level, Level::D);
    assert!(record.derived.level.unmet.iter().any(|one| one.condition == "window"));
}

#[test]
fn too_few_repetitions_are_named() {
    let bench = Bench::new();
    bench.spec(&[("repetitions = 3", "repetitions = 2")]);
    let record = bench.run(&[]);
    assert_eq!(places(&record, Rule::Repetitions), [0]);
}

#[test]
fn a_machine_that_does_not_calm_down_is_named() {
    let bench = Bench::new();
    bench
        .rig
        .nvml
        .as_ref()
        .unwrap()
        .update(|script| {
            script.gpus[0].power = Trace::Constant { mw: 50_000 };
        })
        .unwrap();
    bench.spec(&[("settle = \"0s\"", "settle = \"1s\"")]);
    let run = bench.start(&[]);
    bench.wait_for("idle.json");
    let at_ms = (nvml_standin::now_ns() - bench.rig.script.epoch_ns) / 1_000_000;
    let levels = vec![Power { at_ms: 0, mw: 50_000 }, Power { at_ms, mw: 500_000 }];
    let nvml = bench.rig.nvml.as_ref().unwrap();
    nvml.update(|script| script.gpus[0].power = Trace::Levels(levels)).unwrap();
    let output = run.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let all = found(&bench.record(), Rule::Settling);
    let noisy: Vec<u32> = all.iter().filter_map(|(repetition, _)| *repetition).collect();
    assert_eq!(noisy, [2, 3], "{all:?}");
    assert!(all.iter().any(|(_, found)| found.contains("W when idle")), "{all:?}");
}

#[test]
fn a_process_of_others_on_the_accelerator_is_refused_or_named() {
    let bench = Bench::new();
    let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
    let pids = bench.rig.path("pids");
    std::fs::write(&pids, format!("{}\n", other.id())).unwrap();
    let nvml = bench.rig.nvml.as_ref().unwrap();
    nvml.update(|script| script.gpus[0].processes_file = Some(pids)).unwrap();
    bench.spec(&[]);
    let refused = bench.end(&[]);
    assert_eq!(refused.status.code(), Some(10), "{}", said(&refused));
    let named = format!("process {} (sleep)", other.id());
    assert!(said(&refused).contains(&named), "{}", said(&refused));

    let record = bench.run(&["--allow-shared"]);
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(places(&record, Rule::ExclusiveAccelerators), [1, 2, 3]);
    assert!(found(&record, Rule::ExclusiveAccelerators)[0].1.contains(&named));
    assert!(record.derived.level.level >= Level::C);
}

#[test]
fn a_job_of_others_that_holds_the_accelerator_is_refused() {
    let bench = Bench::new();
    let daemon = bench.daemon("actual,123");
    let stop = bench.rig.path("stop");
    let burn = crate::rig::burn();
    let stamp = bench.rig.path("stamp");
    let command = [
        burn.to_str().unwrap(),
        "--stamp",
        stamp.to_str().unwrap(),
        "--until-file",
        stop.to_str().unwrap(),
    ];
    let other = bench.rig.start(&["--name", "theirs", "--gpus", "all"], &command);
    eventually("the other job", || stamp.exists().then_some(()));
    eventually("its energy of the GPU", || {
        let page = daemon.get("/metrics");
        let of_gpu = |line: &&str| {
            line.starts_with("aimeter_job_energy_joules_total{") && line.contains("gpu")
        };
        let joules: f64 = page.lines().find(of_gpu)?.rsplit(' ').next()?.parse().ok()?;
        (joules > 0.0).then_some(())
    });
    bench.spec(&[]);
    let refused = bench.end(&[]);
    assert_eq!(refused.status.code(), Some(10), "{}", said(&refused));
    assert!(said(&refused).contains("(theirs)"), "{}", said(&refused));
    std::fs::write(&stop, "").unwrap();
    other.finish();
    bench.run(&[]);
}

#[test]
fn the_works_own_processes_are_no_others() {
    let bench = Bench::new();
    let pids = bench.rig.path("pids");
    let nvml = bench.rig.nvml.as_ref().unwrap();
    nvml.update(|script| script.gpus[0].processes_file = Some(pids.clone())).unwrap();
    let work = shell(&format!("echo $$ > {}; sleep 1.2", pids.display()));
    bench.spec(&[(SLEEP, &work)]);
    let record = bench.run(&["--allow-shared"]);
    assert_eq!(found(&record, Rule::ExclusiveAccelerators), []);
}

#[test]
fn cpu_time_of_others_is_named() {
    let bench = Bench::new();
    let busy = bench.rig.path("busy");
    // The first window sees 100,000 ticks more than the work has used.
    let text = crate::support::STILL.replace("cpu  1000", "cpu  101000");
    std::fs::write(&busy, text).unwrap();
    let work = shell(&format!("cat {} > {}; sleep 0.3", busy.display(), bench.stat().display()));
    bench.spec(&[(SLEEP, &work), ("\"100ms\"", "\"0s\"")]);
    let record = bench.run(&[]);
    assert_eq!(places(&record, Rule::ExclusiveCpu), [1]);
    assert_eq!(record.repetitions[0].other_cpu_share, Some(1.0));
    assert_eq!(record.repetitions[1].other_cpu_share, None);
    let kept = "exclusive use, no throttling";
    assert!(record.derived.level.unmet.iter().any(|one| one.condition.starts_with(kept)));
}

#[test]
fn throttling_by_heat_or_the_power_supply_is_named() {
    for (bits, name) in [
        (0x8, "hw_slowdown"),
        (0x20, "sw_thermal_slowdown"),
        (0x40, "hw_thermal_slowdown"),
        (0x80, "hw_power_brake_slowdown"),
    ] {
        let bench = Bench::new();
        let nvml = bench.rig.nvml.as_ref().unwrap();
        nvml.update(|script| script.gpus[0].throttle_reasons = bits | 0x4).unwrap();
        bench.spec(&[("repetitions = 3", "repetitions = 1"), ("\"1s\"", "\"100ms\"")]);
        let record = bench.run(&[]);
        let all = found(&record, Rule::Throttling);
        assert_eq!(all.len(), 1, "{all:?}");
        assert!(all[0].1.contains(name) && !all[0].1.contains("sw_power_cap"), "{all:?}");
        assert!(record.derived.level.level >= Level::C);
    }
}

#[test]
fn a_power_limit_that_changes_is_named() {
    let bench = Bench::new();
    let nvml = bench.rig.nvml.as_ref().unwrap();
    bench.spec(&[]);
    let run = bench.start(&[]);
    bench.wait_for("repetition-001.json");
    nvml.update(|script| script.gpus[0].power_limit_mw = 300_000).unwrap();
    let output = run.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let record = bench.record();
    let all = found(&record, Rule::PowerLimit);
    assert!(all.iter().any(|(repetition, _)| *repetition == Some(3)), "{all:?}");
    assert!(all.iter().all(|(repetition, _)| *repetition != Some(1)), "{all:?}");
    assert!(all[0].1.contains("700 W") && all[0].1.contains("300 W"), "{all:?}");
}

#[test]
fn time_without_readings_is_named() {
    let bench = Bench::new();
    let until = bench.rig.path("until");
    let burn = crate::rig::burn();
    let work = format!(
        "command = [\"{}\", \"--stamp\", \"{}\", \"--until-file\", \"{}\"]",
        burn.display(),
        bench.rig.path("stamp").display(),
        until.display()
    );
    bench.spec(&[(SLEEP, &work), ("\"100ms\"", "\"0s\""), ("repetitions = 3", "repetitions = 1")]);
    let run = bench.start(&[]);
    let meter = bench.rig.sysfs.meter("package-0");
    eventually("the work", || bench.rig.path("stamp").exists().then_some(()));
    meter.fail(Fault::Io);
    // Some ticks of 200 ms: more than three are a gap.
    let reads = meter.reads();
    eventually("ticks in vain", || (meter.reads() >= reads + 8).then_some(()));
    meter.heal();
    let healed = meter.reads();
    eventually("ticks again", || (meter.reads() >= healed + 3).then_some(()));
    std::fs::write(&until, "").unwrap();
    let output = run.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let record = bench.record();
    assert_eq!(places(&record, Rule::Gaps), [1], "{:#?}", record.repetitions[0]);
    assert!(record.derived.level.unmet.iter().any(|one| one.condition == "time in gaps"));
}

#[test]
fn an_intensity_that_is_not_live_is_named() {
    let bench = Bench::new();
    bench.spec(&[("repetitions = 3", "repetitions = 1")]);
    let record = bench.run(&[]);
    assert_eq!(found(&record, Rule::Intensity).len(), 1);
    assert!(found(&record, Rule::Intensity)[0].1.contains("table"));
}

#[test]
fn units_that_were_marked_beside_those_counted_are_named() {
    let bench = Bench::new();
    let work = shell(&format!("{} mark runs=7", env!("CARGO_BIN_EXE_aimeter")));
    bench.spec(&[
        (SLEEP, &work),
        ("\"1s\"", "\"100ms\""),
        ("repetitions = 3", "repetitions = 1"),
        ("kind = \"run\"", "kind = \"step\""),
        ("counted_by = \"exit\"", "counted_by = \"pattern\"\npattern = \"never\""),
    ]);
    let record = bench.run(&[]);
    let all = found(&record, Rule::Units);
    assert!(all[0].1.starts_with("0 were counted and "), "{all:?}");
}
