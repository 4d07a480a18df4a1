// SPDX-License-Identifier: Apache-2.0
//! Campaigns of a known truth, as the records that they would leave.

use std::path::{Path, PathBuf};

use aimeter::benchmark::record::{
    BenchmarkRecord, CountedBy, Level, QualityTarget, RepetitionPart, Role, UnitKind, UnitPart,
};

use crate::bench_record;

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
        let record = bench_record::again(record);
        // By chance alone a drift is shown in one campaign of twenty.
        let unmet = record.derived.level.unmet.iter().filter(|one| one.condition != "drift");
        let level = unmet.map(|one| one.allows).max().unwrap_or(Level::A);
        assert_eq!(level, self.level, "{:?}", record.derived.level.unmet);
        record
    }

    fn measured(&self) -> BenchmarkRecord {
        let mut record = bench_record::record();
        record.campaign.id = format!("01JDFQ8W3E6V0N5T2K{:0>8}", self.seed);
        record.campaign.name = self.name.to_owned();
        // One accelerator stands for the eight.
        let first = bench_record::uuid(0);
        let host = &mut record.machine.host;
        host.name = Some(self.machine.to_owned());
        let hash = bench_record::sha256(self.machine.as_bytes());
        host.machine_id_hash = hash.get(7..23).map(str::to_owned);
        host.gpus.retain(|gpu| gpu.uuid == first);
        record.machine.accelerators.retain(|one| one.uuid == first);
        if let Some(idle) = &mut record.idle {
            idle.domains.retain(|id, _| !id.starts_with("nvml") || id.ends_with(&first));
            idle.watts -= 7.0 * 70.0;
        }
        let mut chance = Chance(self.seed);
        for one in &mut record.repetitions {
            self.measure(one, 1.0 + self.noise / 100.0 * chance.normal());
        }
        record
    }

    /// The noise is the work's; all sensors of a machine share the gain error.
    fn measure(&self, one: &mut RepetitionPart, noise: f64) {
        let first = bench_record::uuid(0);
        one.domains.retain(|domain| domain.kind != "gpu" || domain.id.ends_with(&first));
        for domain in one.domains.iter_mut().filter(|domain| domain.kind == "gpu") {
            domain.joules *= 8.0;
            domain.uncertainty_joules *= 8.0;
        }
        one.joules = summed(one);
        for state in [&mut one.before, &mut one.after] {
            state.accelerators.retain(|one| one.uuid == first);
        }
        let factor = self.joules * one.units * self.gain * noise / one.joules;
        one.domains.retain(|domain| self.level == Level::A || domain.kind != "node");
        for domain in &mut one.domains {
            domain.joules *= factor;
            domain.uncertainty_joules *= factor;
            if domain.kind == "gpu" {
                domain.common_percent = Some(2.0);
            }
            let estimated = match self.level {
                Level::A | Level::B => false,
                Level::C => domain.kind == "cpu",
                Level::D => true,
            };
            if estimated {
                domain.source = "estimate".to_owned();
                domain.method = "estimate".to_owned();
                domain.uncertainty_joules = 0.0;
                domain.common_percent = Some(50.0);
                domain.update_period_seconds = None;
            }
        }
        one.joules = summed(one);
        if let Some(intensity) = &mut one.intensity {
            intensity.zone = self.zone.to_owned();
            intensity.boundary = self.boundary.to_owned();
            intensity.grams_per_kwh = self.grams_per_kwh;
            for part in &mut intensity.parts {
                part.grams_per_kwh = self.grams_per_kwh;
            }
        }
    }
}

fn summed(one: &RepetitionPart) -> f64 {
    one.domains.iter().filter(|domain| domain.summed).map(|domain| domain.joules).sum()
}

/// Makes a record one of runs to a quality.
pub fn to_accuracy(record: &mut BenchmarkRecord, threshold: f64, larger_is_better: bool) {
    record.unit = UnitPart {
        kind: UnitKind::Quality,
        name: "runs".to_owned(),
        role: Role::Provider,
        counted_by: CountedBy::Pattern,
        quality: Some(QualityTarget { metric: "accuracy".to_owned(), threshold, larger_is_better }),
    };
    for one in &mut record.repetitions {
        one.runs = 1_000_000;
    }
}

/// Takes the memory out of what is counted.
pub fn without_memory(record: &mut BenchmarkRecord) {
    for one in &mut record.repetitions {
        for domain in one.domains.iter_mut().filter(|domain| domain.kind == "dram") {
            domain.summed = false;
            one.joules -= domain.joules;
        }
    }
    if let Some(idle) = &mut record.idle {
        let memory = idle.domains.iter().filter(|(id, _)| id.ends_with("dram"));
        idle.watts -= memory.map(|(_, watts)| watts).sum::<f64>();
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
