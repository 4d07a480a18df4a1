// SPDX-License-Identifier: Apache-2.0
//! A full and valid benchmark record of level A, made by program from round figures:
//! eight accelerators, two packages with their memory, the node's own power, five
//! windows of 600 s.
//!
//! Change what a test is about, then [`again`] makes what follows and the hash anew.

#![allow(dead_code, reason = "each test crate uses a part of it")]

use std::collections::BTreeMap;

use aimeter::benchmark::derive::derive;
use aimeter::benchmark::hash;
use aimeter::benchmark::record::*;
use aimeter::record::{CpuPart, GpuPart, HostPart, IntensityUse};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

/// Length of a window.
pub const SECONDS: f64 = 600.0;
/// Watts of each accelerator, package and memory; of the node's own meter.
pub const GPU_WATTS: f64 = 300.0;
pub const CPU_WATTS: f64 = 200.0;
pub const DRAM_WATTS: f64 = 25.0;
pub const NODE_WATTS: f64 = 3_200.0;
/// Units of each window: joules per unit are about 2.85.
pub const TOKENS: [f64; 5] = [600_000.0, 601_000.0, 599_000.0, 600_500.0, 599_500.0];
/// Joules of the domains that are summed: 8 × 300 W, 2 × 200 W, 2 × 25 W in 600 s.
pub const JOULES: f64 = 1_710_000.0;
/// gCO2e per kWh of the two hours that the campaign is in.
pub const GRAMS_PER_KWH: [f64; 2] = [200.0, 230.0];

/// The record.
pub fn record() -> BenchmarkRecord {
    let command: Vec<String> =
        ["python3", "train.py", "--steps", "500"].map(str::to_owned).to_vec();
    again(BenchmarkRecord {
        schema: SCHEMA.into(),
        campaign: CampaignPart {
            id: "01JDFQ8W3E6V0N5T2K7YB4XHMC".into(),
            name: "resnet-finetune".into(),
            description: Some("Fine-tuning on eight accelerators".into()),
            contact: Some("lab@example.org".into()),
            started_at: time(-300.0),
            ended_at: time(4.0 * 660.0 + SECONDS + 5.0),
            aimeter_version: "0.1.0".into(),
            origin: Origin::Measured,
            source: None,
        },
        unit: UnitPart {
            kind: UnitKind::Token,
            name: "tokens".into(),
            role: Role::Provider,
            counted_by: CountedBy::Mark,
            quality: None,
        },
        workload: WorkloadPart {
            builtin: None,
            command_hash: sha256(command.join("\0").as_bytes()),
            command: Some(command),
            spec_hash: Some(sha256(b"spec")),
            disclosures: BTreeMap::from(
                [("framework", "PyTorch 2.9"), ("model", "ResNet-50"), ("precision", "bf16")]
                    .map(|(name, text)| (name.to_owned(), text.to_owned())),
            ),
        },
        machine: machine(),
        protocol: ProtocolPart {
            specification: "aimeter-benchmark/1".into(),
            idle_seconds: 60.0,
            warm_up_seconds: 60.0,
            window_seconds: SECONDS,
            repetitions: 5,
            max_repetitions: 5,
            confidence_percent: None,
            max_joules: None,
            max_seconds: None,
            stopped_by: StoppedBy::Repetitions,
        },
        idle: Some(idle()),
        warm_up: Some(WarmUpPart { seconds: 75.0, runs: 1, units: 60_000.0 }),
        repetitions: (0..5).map(repetition).collect(),
        pue: Some(PueStatement {
            value: 1.2,
            source: "operator's annual report 2025".into(),
            kind: PueKind::Annual,
        }),
        embodied: Some(SciEmbodied {
            te_grams: 3_500_000.0,
            te_source: "manufacturer's life-cycle assessment".into(),
            el_seconds: 6.0 * 365.0 * 86_400.0,
            el_source: "depreciation of the site".into(),
            rr: 1.0,
            tor: 1.0,
            reserved_source: "the whole node".into(),
        }),
        exceptions: Vec::new(),
        derived: nothing(),
        hash: String::new(),
    })
}

/// The record with all that follows from its parts, and its hash.
pub fn again(mut record: BenchmarkRecord) -> BenchmarkRecord {
    record.derived = derive(&record).expect("parts that can be computed with");
    hash::sealed(record).expect("figures that JSON has")
}

/// A smaller record that is valid too, for tests that go through all of it: two windows,
/// the second over the hour, and one accelerator.
pub fn small() -> BenchmarkRecord {
    let mut record = record();
    let keeps = |id: &str| !id.starts_with("nvml:") || id.ends_with(&uuid(0));
    record.repetitions = record.repetitions.drain(1..3).collect();
    for (index, one) in record.repetitions.iter_mut().enumerate() {
        one.number = u32::try_from(index + 1).expect("a small number");
        one.domains.retain(|domain| keeps(&domain.id));
        one.before.accelerators.truncate(1);
        one.after.accelerators.truncate(1);
        let summed = one.domains.iter().filter(|domain| domain.summed);
        one.joules = summed.map(|domain| domain.joules).sum();
    }
    record.machine.host.gpus.truncate(1);
    record.machine.accelerators.truncate(1);
    if let Some(idle) = &mut record.idle {
        idle.domains.retain(|id, _| keeps(id));
        idle.watts = idle.domains.iter().filter(|one| *one.0 != "rapl:psys").map(|one| one.1).sum();
    }
    record.protocol.stopped_by = StoppedBy::Interrupt;
    record.exceptions.push(ExceptionPart {
        rule: Rule::Repetitions,
        repetition: None,
        found: "2 of 3".into(),
    });
    again(record)
}

/// The text of its file.
pub fn text(record: &BenchmarkRecord) -> String {
    let text = serde_json::to_string_pretty(record).expect("a record can be written");
    text + "\n"
}

fn nothing() -> Derived {
    let statistics = StatisticsPart {
        repetitions: 0,
        mean: 0.0,
        deviation: None,
        repetition_half_width: None,
        meter_half_width: 0.0,
        common_half_width: 0.0,
        common_percent: 0.0,
        combined_half_width: 0.0,
        degrees_of_freedom: None,
        low: 0.0,
        high: 0.0,
        outlier: None,
        drift_per_repetition: None,
        drift_shown: false,
    };
    let score = ScorePart {
        joules_per_unit: 0.0,
        facility_joules_per_unit: None,
        grams_per_kwh: None,
        operational_grams_per_unit: None,
        embodied_grams_per_unit: None,
        sci_grams_per_unit: None,
    };
    let level = LevelPart { level: Level::D, unmet: Vec::new() };
    Derived { values: Vec::new(), statistics, score, level }
}

/// So many seconds after the first window began, at 9:30 UTC.
pub fn time(seconds: f64) -> String {
    let start: Timestamp = "2026-11-24T09:30:00Z".parse().expect("a time");
    let at = start.checked_add(SignedDuration::from_secs_f64(seconds)).expect("a time");
    format!("{at:.3}")
}

pub fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// NVML's UUID of an accelerator.
pub fn uuid(index: usize) -> String {
    format!("GPU-{index}c0ffee0-0000-4000-8000-000000000000")
}

fn machine() -> MachinePart {
    let gpu = |index| GpuPart {
        uuid: uuid(index),
        model: Some("NVIDIA H100 80GB HBM3".into()),
        driver: Some("580.159.04".into()),
        power_limit_watts: Some(700.0),
    };
    let accelerator = |index| AcceleratorPart {
        uuid: uuid(index),
        memory_bytes: Some(85_899_345_920),
        power_limit_watts: Some(700.0),
        default_power_limit_watts: Some(700.0),
    };
    let cpus = CpuPart { model: "AMD EPYC 9654".into(), sockets: Some(2), cores: Some(192) };
    MachinePart {
        host: HostPart {
            name: Some("train-07".into()),
            machine_id_hash: Some("0123456789abcdef".into()),
            os: Some("Linux 6.8".into()),
            cpus: vec![cpus],
            gpus: (0..8).map(gpu).collect(),
        },
        nodes: 1,
        memory_bytes: Some(1_649_267_441_664),
        kernel: Some("6.8.0-51-generic".into()),
        cpu_governor: Some("performance".into()),
        accelerators: (0..8).map(accelerator).collect(),
    }
}

fn idle() -> IdlePart {
    let all = domains(0).into_iter().map(|domain| {
        let watts = if domain.kind == "gpu" { 70.0 } else { 50.0 };
        (domain.id, domain.summed, watts)
    });
    let all: Vec<(String, bool, f64)> = all.collect();
    IdlePart {
        seconds: 60.0,
        watts: all.iter().filter(|(_, summed, _)| *summed).map(|(_, _, watts)| watts).sum(),
        domains: all.into_iter().map(|(id, _, watts)| (id, watts)).collect(),
    }
}

fn domains(index: usize) -> Vec<BenchmarkDomain> {
    let domain = |id: String, kind: &str, watts: f64| BenchmarkDomain {
        source: id.split(':').next().unwrap_or_default().into(),
        id,
        kind: kind.into(),
        method: "counter".into(),
        summed: kind != "node",
        joules: watts * SECONDS,
        uncertainty_joules: 60.0 + index as f64,
        common_percent: (kind == "gpu").then_some(7.5),
        update_period_seconds: Some(if kind == "gpu" { 0.1 } else { 0.001 }),
        share: Some(1.0),
    };
    let gpus = (0..8).map(|index| domain(format!("nvml:{}", uuid(index)), "gpu", GPU_WATTS));
    let packages = (0..2).flat_map(|index| {
        let package = format!("rapl:package-{index}");
        let dram = format!("{package}/dram");
        [domain(package, "cpu", CPU_WATTS), domain(dram, "dram", DRAM_WATTS)]
    });
    let node = domain("rapl:psys".into(), "node", NODE_WATTS);
    gpus.chain(packages).chain([node]).collect()
}

fn repetition(index: usize) -> RepetitionPart {
    let start = index as f64 * 660.0;
    let state = |celsius: f64| StatePart {
        accelerators: (0..8)
            .map(|index| AcceleratorState {
                uuid: uuid(index),
                celsius: Some(celsius),
                clock_mhz: Some(1_980.0),
                power_limit_watts: Some(700.0),
                throttle_reasons: vec!["sw_power_cap".into()],
            })
            .collect(),
        cpu_mhz: Some(3_700.0),
        cpu_celsius: Some(61.0),
    };
    RepetitionPart {
        number: u32::try_from(index + 1).expect("a small number"),
        job_id: format!("01JDFQ8W3E6V0N5T2K7YB4XHM{index}"),
        started_at: time(start),
        ended_at: time(start + SECONDS),
        seconds: SECONDS,
        runs: 10,
        units: TOKENS[index],
        joules: JOULES,
        domains: domains(index),
        gaps_seconds: 0.0,
        intensity: Some(intensity(start)),
        before: state(41.0),
        after: state(67.0),
        other_cpu_share: Some(0.01),
        other_jobs: Vec::new(),
    }
}

/// The hour ends at 10:00, in the third window, at 480 s of its 600 s.
fn intensity(start: f64) -> WindowIntensity {
    let end = start + SECONDS;
    let hour = 1_800.0;
    let fact = |from: f64, to: f64, grams_per_kwh: f64| IntensityUse {
        from: time(from),
        to: time(to),
        grams_per_kwh,
        source: "uk-carbon-intensity".into(),
        kind: "actual".into(),
        fetched_at: time(7_200.0),
    };
    let [first, second] = GRAMS_PER_KWH;
    let parts = match () {
        () if end <= hour => vec![fact(start, end, first)],
        () if start >= hour => vec![fact(start, end, second)],
        () => vec![fact(start, hour, first), fact(hour, end, second)],
    };
    let weighted = |part: &IntensityUse| {
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        let span = time(&part.to).duration_since(time(&part.from));
        part.grams_per_kwh * span.as_secs_f64() / SECONDS
    };
    WindowIntensity {
        zone: "GB".into(),
        grams_per_kwh: parts.iter().map(weighted).sum(),
        signal: "average".into(),
        boundary: "direct".into(),
        settled: true,
        parts,
    }
}
