// SPDX-License-Identifier: Apache-2.0
//! Joules of each repetition against the stand-ins' exact integral over its window.

use aimeter::benchmark::record::{BenchmarkDomain, RepetitionPart};
use jiff::Timestamp;

use crate::support::{Bench, DRAM_WATTS, PACKAGE_WATTS, said};

/// When a repetition ran, `CLOCK_BOOTTIME` in nanoseconds.
fn interval(one: &RepetitionPart) -> (u64, u64) {
    let started: Timestamp = one.started_at.parse().unwrap();
    // Cut to a millisecond: half of one is lost on average.
    let start = aimeter::clock::moment_of(started).nanoseconds() + 500_000;
    (start, start + (one.seconds * 1e9) as u64)
}

fn domain<'a>(one: &'a RepetitionPart, kind: &str) -> &'a BenchmarkDomain {
    one.domains.iter().find(|domain| domain.kind == kind).expect("the domain")
}

#[test]
fn joules_of_a_repetition_are_those_that_the_machine_drew_in_its_window() {
    let bench = Bench::new();
    bench.spec(&[]);
    let record = bench.run(&[]);
    assert_eq!(record.repetitions.len(), 3);
    for one in &record.repetitions {
        let (from, to) = interval(one);
        let gpu = domain(one, "gpu");
        let truth = bench.rig.gpu_joules(0, from, to);
        let off = (gpu.joules - truth).abs();
        println!("gpu {} J, truth {truth} J, ± {}", gpu.joules, gpu.uncertainty_joules);
        assert!(off <= gpu.uncertainty_joules, "{} is not {truth}", gpu.joules);
        assert!(off < truth * 0.2, "{} is not near {truth}", gpu.joules);
        for (kind, watts) in [("cpu", PACKAGE_WATTS), ("dram", DRAM_WATTS)] {
            let domain = domain(one, kind);
            let truth = watts as f64 * one.seconds;
            // A millisecond of the clock's digits beside what the meter says of itself.
            let slack = domain.uncertainty_joules + watts as f64 * 1e-3;
            let off = (domain.joules - truth).abs();
            assert!(off <= slack, "{kind}: {} is not {truth} ± {slack}", domain.joules);
        }
        let sum: f64 = one.domains.iter().filter(|one| one.summed).map(|one| one.joules).sum();
        assert_eq!(one.joules, sum);
        assert_eq!((one.units, one.runs as f64), (one.runs as f64, one.units));
    }
    let first = &record.repetitions[0];
    assert_eq!(record.derived.values[0], first.joules / first.units);
    assert_eq!(domain(first, "gpu").update_period_seconds, Some(0.1));
}

#[test]
fn the_record_is_valid_and_discloses_the_machine() {
    let bench = Bench::new();
    let nvml = bench.rig.nvml.as_ref().unwrap();
    nvml.update(|script| {
        let gpu = &mut script.gpus[0];
        (gpu.power_limit_mw, gpu.default_power_limit_mw) = (400_000, 700_000);
        (gpu.celsius, gpu.clock_mhz, gpu.throttle_reasons) = (61, 1_305, 0x4);
    })
    .unwrap();
    bench.spec(&[]);
    let record = bench.run(&["--zone", "FR", "--pue", "1.25"]);
    let path = bench.part("record.json");
    let output = bench.command(&["validate", path.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));

    let accelerator = &record.machine.accelerators[0];
    assert_eq!(accelerator.uuid, bench.rig.script.gpus[0].uuid);
    assert_eq!(accelerator.power_limit_watts, Some(400.0));
    assert_eq!(accelerator.default_power_limit_watts, Some(700.0));
    assert_eq!(accelerator.memory_bytes, Some(80 << 30));
    assert!(record.machine.kernel.is_some() && record.machine.memory_bytes.is_some());
    let state = &record.repetitions[1].after.accelerators[0];
    assert_eq!((state.celsius, state.clock_mhz), (Some(61.0), Some(1_305.0)));
    // Held to its limit on purpose: a disclosure and not a fault.
    assert_eq!(state.throttle_reasons, ["sw_power_cap"]);
    let pue = record.pue.unwrap();
    assert_eq!((pue.value, pue.source.as_str()), (1.25, "aimeter's configuration: flag"));
    let intensity = record.repetitions[0].intensity.as_ref().unwrap();
    assert_eq!(intensity.zone, "FR");
    assert!(record.derived.score.sci_grams_per_unit.is_some());
    assert_eq!(record.embodied.unwrap().te_grams, 2_650_000.0);
    let idle = record.idle.unwrap();
    let watts = (PACKAGE_WATTS + DRAM_WATTS) as f64 + 200.0;
    assert!((idle.watts - watts).abs() < watts * 0.3, "{} W idle, {watts} W drawn", idle.watts);
}
