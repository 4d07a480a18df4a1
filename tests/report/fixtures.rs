// SPDX-License-Identifier: Apache-2.0
//! Reports as the books would give them, with figures known by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use aimeter::carbon::Known;
use aimeter::carbon::embodied::EmbodiedSettings;
use aimeter::carbon::resources::Accounting;
use aimeter::jobs::marks::Count;
use aimeter::jobs::{Exit, GpuRequest, JobSpec, JobState};
use aimeter::ledger::{
    Amount, DomainReport, Held, HeldGpu, IntervalEnergy, JobKey, JobReport, JobRow, PhaseReport,
    Uncertainty, UnitReport,
};
use aimeter::record::{CpuPart, HostPart};
use aimeter::sensors::{Domain, DomainId, Kind, Method, Missing};
use aimeter::units::{BootTime, Energy, Power};
use jiff::Timestamp;

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn joules(joules: f64) -> Energy {
    Energy::from_microjoules((joules * 1e6) as u64)
}

/// A job of 751.25 s in GB with nothing measured.
pub fn report() -> JobReport {
    JobReport {
        job: JobRow {
            key: JobKey(1),
            spec: spec(),
            origin: "run".into(),
            state: JobState::Finished,
            exit: Some(Exit::Code(0)),
            started: at("2026-11-24T09:00:00Z"),
            started_at: BootTime::from_nanoseconds(5),
            ended: Some(at("2026-11-24T09:12:31.25Z")),
            duration: Some(Duration::from_millis(751_250)),
            boot_id: "boot".into(),
            claim: None,
            zone: Some("GB".into()),
            pue_thousandths: None,
        },
        domains: vec![],
        intervals: vec![],
        missing: vec![],
        notes: vec![],
        pue: vec![],
        held: Held::default(),
        phases: vec![],
        units: vec![],
    }
}

fn spec() -> JobSpec {
    JobSpec {
        id: "01JDFQ8W3E6V0N5T2K7YB4XHMC".parse().unwrap(),
        name: "resnet-finetune".into(),
        user: "alice".into(),
        uid: 1000,
        project: Some("vision".into()),
        labels: BTreeMap::from([("model".to_owned(), "resnet50".to_owned())]),
        command: vec!["python".into(), "train.py".into()],
        pid: 10,
        wrapper_pid: 9,
        gpus: GpuRequest::All,
        zone: None,
        pue_thousandths: None,
        parent: None,
        reserved_cores: 8,
        timing: None,
    }
}

pub fn domain(id: &str, kind: Kind, energy: f64) -> DomainReport {
    DomainReport {
        domain: Domain {
            id: DomainId::new(id),
            kind,
            source: id.split(':').next().unwrap().into(),
            method: Method::Counter,
            resolution: Energy::from_microjoules(61),
            range: None,
            update_period: Duration::from_millis(1),
            max_power: Power::from_watts(1_000),
            overlap: None,
            gain_percent: None,
            model_percent: None,
            driver: None,
            power_limit: None,
            device: "device".into(),
        },
        amount: Amount { energy: joules(energy), ..Amount::default() },
        moved: Some(joules(energy)),
        exclusive: true,
    }
}

/// A GPU that the job held, ±7.5 % gain as published, with an edge error.
pub fn gpu(uuid: &str, energy: f64, edge: f64) -> DomainReport {
    let mut gpu = domain(&format!("nvml:{uuid}"), Kind::Gpu, energy);
    gpu.domain.gain_percent = Some(7.5);
    gpu.domain.device = "NVIDIA H100 80GB HBM3".into();
    gpu.domain.driver = Some("580.159.04".into());
    gpu.domain.power_limit = Some(Power::from_watts(700));
    gpu.amount.uncertainty.edge = joules(edge);
    gpu
}

/// A domain of which the job had a share by CPU time.
pub fn shared(id: &str, kind: Kind, energy: f64, split: f64, share: f64) -> DomainReport {
    let mut shared = domain(id, kind, energy);
    shared.amount.uncertainty = Uncertainty { split: joules(split), ..Uncertainty::default() };
    shared.moved = Some(joules(energy / share));
    shared.exclusive = false;
    shared
}

/// CPU energy by the model.
pub fn estimate(energy: f64, percent: f64) -> DomainReport {
    let mut estimate = domain("estimate:cpu", Kind::Cpu, energy);
    estimate.domain.method = Method::Estimate;
    estimate.domain.model_percent = Some(percent);
    estimate.moved = None;
    estimate.exclusive = false;
    estimate
}

/// A domain that overlaps the others.
pub fn overlapping(id: &str, kind: Kind, energy: f64) -> DomainReport {
    let mut node = shared(id, kind, energy, 0.0, 0.5);
    node.domain.overlap = Some("contains package-0".into());
    node
}

pub fn missing(source: &str, what: &str, state: &str, why: &str, remedy: Option<&str>) -> Missing {
    Missing {
        source: source.into(),
        what: what.into(),
        state: state.into(),
        why: why.into(),
        remedy: remedy.map(str::to_owned),
    }
}

/// The report with these domains, their energy used evenly over its time.
pub fn with(domains: Vec<DomainReport>) -> JobReport {
    let counted = domains.iter().filter(|one| one.domain.counted());
    let energy = counted.fold(Energy::ZERO, |sum, one| sum.checked_add(one.amount.energy).unwrap());
    let job = report();
    let from = job.job.started.as_microsecond();
    let interval =
        IntervalEnergy { from_microseconds: from, to_microseconds: from + 751_250_000, energy };
    let intervals = if domains.is_empty() { vec![] } else { vec![interval] };
    JobReport { domains, intervals, ..job }
}

/// The training server of `docs/record-example.json`.
pub fn server() -> JobReport {
    let mut report = with(vec![
        gpu("GPU-6f0c", 1_407_600.0, 4_100.0),
        shared("rapl:package-0", Kind::Cpu, 280_800.0, 3_100.0, 0.41),
        shared("rapl:package-0/dram", Kind::Dram, 46_800.0, 800.0, 0.41),
        overlapping("rapl:psys", Kind::Node, 2_100_000.0),
    ]);
    report.job.pue_thousandths = Some(1_200);
    report
}

/// The same, which held its one GPU, and with it half of a machine of two.
pub fn holding() -> JobReport {
    let mut report = server();
    let gpu = HeldGpu { model: "NVIDIA H100 80GB HBM3".into(), microseconds: 751_250_000 };
    report.held = Held { machine_microseconds: 375_625_000, gpus: vec![gpu] };
    report
}

/// Two phases of 1.5 MJ and 0.1 MJ, and samples counted in the first, and in none.
pub fn marked() -> (Vec<PhaseReport>, Vec<UnitReport>) {
    let phase = |name: &str, times, seconds, energy| PhaseReport {
        name: name.into(),
        times,
        time: Duration::from_secs(seconds),
        energy: joules(energy),
    };
    let unit = |phase: Option<&str>, count| UnitReport {
        unit: "samples".into(),
        phase: phase.map(str::to_owned),
        count: Count::from_thousandths(count),
    };
    let phases = vec![phase("epoch", 3, 630, 1_500_000.0), phase("eval", 3, 90, 100_000.0)];
    (phases, vec![unit(Some("epoch"), 30_000_500), unit(None, 9_999_500)])
}

/// The account of `docs/record-example.json`.
pub fn accounting() -> Accounting {
    Accounting {
        embodied: EmbodiedSettings::default(),
        wue: Some(0.18),
        grid_wue: Some(3.9),
        market_based_grams_per_kwh: Some(50.0),
        market_based_source: Some("wind power agreement 2026".into()),
        price_per_kwh: Some(0.25),
        currency: Some("EUR".into()),
    }
}

pub fn host() -> HostPart {
    HostPart {
        name: Some("train-07".into()),
        machine_id_hash: Some("c0ffee00c0ffee00".into()),
        os: Some("Linux 6.8".into()),
        cpus: vec![CpuPart { model: "AMD EPYC 9654".into(), sockets: Some(2), cores: Some(192) }],
        gpus: Vec::new(),
    }
}

/// The shipped figures of GB and the world.
pub fn facts() -> Known {
    let fetched = at("2026-11-24T09:12:31Z");
    let facts = ["GB", "WORLD"].map(|zone| aimeter::grid::fact_for(Some(zone), fetched).fact);
    Known { facts: facts.into(), told: None, at: fetched }
}
