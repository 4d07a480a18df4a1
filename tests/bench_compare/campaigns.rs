// SPDX-License-Identifier: Apache-2.0
//! Campaigns of a known truth, as the records that they would leave.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aimeter::benchmark::derive::derive;
use aimeter::benchmark::hash::sealed;
use aimeter::benchmark::record::{
    BenchmarkDomain, BenchmarkRecord, CampaignPart, CountedBy, Derived, Level, LevelPart,
    MachinePart, Origin, ProtocolPart, PueKind, PueStatement, QualityTarget, RepetitionPart, Role,
    SCHEMA, SciEmbodied, ScorePart, StatePart, StatisticsPart, StoppedBy, UnitKind, UnitPart,
    WindowIntensity, WorkloadPart,
};
use aimeter::record::{CpuPart, GpuPart, HostPart, IntensityUse};

/// Units that one window counts.
const UNITS: f64 = 100_000.0;

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
pub struct Chance(pub u64);

impl Chance {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller, 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// What is true of a campaign.
#[derive(Clone, Debug)]
pub struct Truth {
    pub name: &'static str,
    /// Joules per unit.
    pub joules: f64,
    /// Standard deviation of a repetition, percent.
    pub noise: f64,
    /// Factor of its sensors' gain error.
    pub gain: f64,
    pub repetitions: u32,
    pub level: Level,
    pub machine: &'static str,
    pub zone: &'static str,
    pub grams_per_kwh: f64,
    pub boundary: &'static str,
    pub seed: u64,
}

impl Default for Truth {
    fn default() -> Truth {
        Truth {
            name: "llama",
            joules: 0.37,
            noise: 2.0,
            gain: 1.0,
            repetitions: 5,
            level: Level::B,
            machine: "node-1",
            zone: "FR",
            grams_per_kwh: 57.0,
            boundary: "lifecycle",
            seed: 1,
        }
    }
}

impl Truth {
    /// The record, sealed.
    pub fn record(&self) -> BenchmarkRecord {
        self.changed(|_| {})
    }

    /// The record with a change in what was measured, sealed after it.
    pub fn changed(&self, change: impl FnOnce(&mut BenchmarkRecord)) -> BenchmarkRecord {
        let mut record = self.measured();
        change(&mut record);
        record.derived = derive(&record).expect("a record that can be computed with");
        // By chance alone a drift is shown in one campaign of twenty.
        let unmet = record.derived.level.unmet.iter().filter(|one| one.condition != "drift");
        let level = unmet.map(|one| one.allows).max().unwrap_or(Level::A);
        assert_eq!(level, self.level, "{:?}", record.derived.level.unmet);
        sealed(record).expect("a hash")
    }

    fn measured(&self) -> BenchmarkRecord {
        let mut chance = Chance(self.seed);
        let repetitions = (1..=self.repetitions).map(|number| self.window(number, &mut chance));
        BenchmarkRecord {
            schema: SCHEMA.to_owned(),
            campaign: CampaignPart {
                id: format!("01M{:0>23}", format!("{:X}", self.seed)),
                name: self.name.to_owned(),
                description: None,
                contact: None,
                started_at: "2026-11-24T09:00:00.000Z".to_owned(),
                ended_at: "2026-11-24T10:00:00.000Z".to_owned(),
                aimeter_version: "0.1.0".to_owned(),
                origin: Origin::Measured,
                source: None,
            },
            unit: UnitPart {
                kind: UnitKind::Token,
                name: "tokens".to_owned(),
                role: Role::Provider,
                counted_by: CountedBy::Mark,
                quality: None,
            },
            workload: WorkloadPart {
                builtin: None,
                command: Some(vec!["/usr/bin/python3".to_owned(), "train.py".to_owned()]),
                command_hash: format!("sha256:{}", "0".repeat(64)),
                spec_hash: None,
                disclosures: BTreeMap::from([("framework".to_owned(), "PyTorch 2.9".to_owned())]),
            },
            machine: self.machine(),
            protocol: ProtocolPart {
                specification: "aimeter-benchmark/1".to_owned(),
                idle_seconds: 60.0,
                warm_up_seconds: 60.0,
                window_seconds: 600.0,
                repetitions: self.repetitions,
                max_repetitions: self.repetitions,
                confidence_percent: None,
                max_joules: None,
                max_seconds: None,
                stopped_by: StoppedBy::Repetitions,
            },
            idle: None,
            warm_up: None,
            repetitions: repetitions.collect(),
            pue: Some(PueStatement {
                value: 1.2,
                source: "the operator".to_owned(),
                kind: PueKind::Annual,
            }),
            embodied: Some(SciEmbodied {
                te_grams: 3.7e6,
                te_source: "Luccioni et al. 2022".to_owned(),
                el_seconds: 6.0 * 365.0 * 86_400.0,
                el_source: "Luccioni et al. 2022".to_owned(),
                rr: 1.0,
                tor: 1.0,
                reserved_source: "the whole node".to_owned(),
            }),
            exceptions: Vec::new(),
            derived: nothing(),
            hash: String::new(),
        }
    }

    fn machine(&self) -> MachinePart {
        MachinePart {
            host: HostPart {
                name: Some(self.machine.to_owned()),
                machine_id_hash: Some(format!("id-of-{}", self.machine)),
                os: Some("Linux 6.8".to_owned()),
                cpus: vec![CpuPart {
                    model: "AMD EPYC 9654".to_owned(),
                    sockets: Some(1),
                    cores: Some(96),
                }],
                gpus: vec![GpuPart {
                    uuid: format!("GPU-{}", self.machine),
                    model: Some("NVIDIA H100 80GB HBM3".to_owned()),
                    driver: Some("570.86".to_owned()),
                    power_limit_watts: Some(700.0),
                }],
            },
            nodes: 1,
            memory_bytes: Some(768 << 30),
            kernel: Some("6.8.0-51-generic".to_owned()),
            cpu_governor: Some("performance".to_owned()),
            accelerators: Vec::new(),
        }
    }

    /// The noise is the work's; all sensors of a machine share the gain error.
    fn window(&self, number: u32, chance: &mut Chance) -> RepetitionPart {
        let joules = self.joules * UNITS * self.gain * (1.0 + self.noise / 100.0 * chance.normal());
        let mut domains = vec![
            self.domain("gpu", "nvml", joules * 0.8),
            self.domain("cpu", "rapl", joules * 0.15),
            self.domain("dram", "rapl", joules * 0.05),
        ];
        if self.level == Level::A {
            let node = self.domain("node", "hwmon", joules * 1.2);
            domains.push(BenchmarkDomain { method: "power".to_owned(), summed: false, ..node });
        }
        let estimated = match self.level {
            Level::A | Level::B => 0,
            Level::C => 1,
            Level::D => 3,
        };
        let by_model = domains.iter_mut().rev().take(3).filter(|one| one.kind != "node");
        for domain in by_model.filter(|one| one.kind != "dram" || estimated > 1).take(estimated) {
            domain.source = "estimate".to_owned();
            domain.method = "estimate".to_owned();
        }
        RepetitionPart {
            number,
            job_id: format!("01JOB{number:0>21}"),
            started_at: "2026-11-24T09:10:00.000Z".to_owned(),
            ended_at: "2026-11-24T09:20:00.000Z".to_owned(),
            seconds: 600.0,
            runs: 1,
            units: UNITS,
            joules: domains.iter().filter(|one| one.summed).map(|one| one.joules).sum(),
            domains,
            gaps_seconds: 0.0,
            intensity: Some(WindowIntensity {
                zone: self.zone.to_owned(),
                grams_per_kwh: self.grams_per_kwh,
                signal: "average".to_owned(),
                boundary: self.boundary.to_owned(),
                settled: true,
                parts: vec![IntensityUse {
                    from: "2026-11-24T09:00:00.000Z".to_owned(),
                    to: "2026-11-24T09:30:00.000Z".to_owned(),
                    grams_per_kwh: self.grams_per_kwh,
                    source: "a feed".to_owned(),
                    kind: "actual".to_owned(),
                    fetched_at: "2026-11-24T09:31:00.000Z".to_owned(),
                }],
            }),
            before: StatePart::default(),
            after: StatePart::default(),
            other_cpu_share: Some(0.01),
            other_jobs: Vec::new(),
        }
    }

    fn domain(&self, kind: &str, source: &str, joules: f64) -> BenchmarkDomain {
        BenchmarkDomain {
            id: format!("{source}/{kind}-0"),
            kind: kind.to_owned(),
            source: source.to_owned(),
            method: "counter".to_owned(),
            summed: true,
            joules,
            uncertainty_joules: joules * 1e-4,
            common_percent: Some(2.0),
            update_period_seconds: Some(0.1),
            share: Some(1.0),
        }
    }
}

/// A quality that a run is to reach.
pub fn accuracy(threshold: f64) -> UnitPart {
    UnitPart {
        kind: UnitKind::Quality,
        name: "runs".to_owned(),
        role: Role::Provider,
        counted_by: CountedBy::Pattern,
        quality: Some(QualityTarget {
            metric: "accuracy".to_owned(),
            threshold,
            larger_is_better: true,
        }),
    }
}

/// Before it is derived.
fn nothing() -> Derived {
    Derived {
        values: Vec::new(),
        statistics: StatisticsPart {
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
        },
        score: ScorePart {
            joules_per_unit: 0.0,
            facility_joules_per_unit: None,
            grams_per_kwh: None,
            operational_grams_per_unit: None,
            embodied_grams_per_unit: None,
            sci_grams_per_unit: None,
        },
        level: LevelPart { level: Level::D, unmet: Vec::new() },
    }
}

/// A folder of records.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a folder"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn put(&self, name: &str, record: &BenchmarkRecord) -> PathBuf {
        let text = serde_json::to_string_pretty(record).expect("JSON");
        self.write(name, &text)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, text).expect("a file");
        path
    }
}
