// SPDX-License-Identifier: Apache-2.0
//! What a campaign has measured so far, and the record that it comes to.
//!
//! These forms lie as JSON in the campaign's folder, one file a repetition, so that it can
//! be taken up again after an interruption. Nothing measured is left out of the record.
//! Pure: the folder is `commands::bench::run`'s.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::derive::{derive, summed_up};
use super::exceptions;
use super::measured::idle_of;
use super::protocol::{self, Done, SETTLE_SECONDS};
use super::record::{
    BenchmarkRecord, CampaignPart, Derived, ExceptionPart, IdlePart, Level, LevelPart, MachinePart,
    Origin, PueKind, PueStatement, RepetitionPart, Rule, SCHEMA, SciEmbodied, ScorePart,
    StatisticsPart, StoppedBy, WarmUpPart, WorkloadPart,
};
use super::spec::{Spec, WorkRun};
use super::statistics::Unusable;
use super::workload::Kind;
use crate::record::PuePart;

/// A campaign as it was begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Campaign {
    /// ULID.
    pub id: String,
    /// `sha256:` of the spec.
    pub spec_hash: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// The machine.
    pub machine: MachinePart,
    /// Seconds that it has taken, until the last part that is complete.
    pub seconds: f64,
}

/// A warm-up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WarmUp {
    /// What the record tells of it.
    pub part: WarmUpPart,
    /// Joules of the domains that a repetition sums up.
    pub joules: f64,
}

/// A repetition that is complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What the record tells of it.
    pub part: RepetitionPart,
    /// The building's PUE in it, as aimeter is configured.
    pub pue: Option<PuePart>,
    /// Rules that were not kept and that only the campaign could see.
    pub exceptions: Vec<ExceptionPart>,
}

/// All that is in a campaign's folder.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The campaign.
    pub campaign: Campaign,
    /// The idle baseline, once it was measured.
    pub idle: Option<IdlePart>,
    /// Every warm-up: one more after each interruption.
    pub warm_ups: Vec<WarmUp>,
    /// The repetitions, in order.
    pub repetitions: Vec<Measured>,
}

impl Progress {
    /// What it has so far, for the decision of what comes next.
    pub fn done(&self) -> Done {
        let windows = self.repetitions.iter().map(|one| one.part.joules);
        let warm_ups = self.warm_ups.iter().map(|one| one.joules);
        Done {
            repetitions: u32::try_from(self.repetitions.len()).unwrap_or(u32::MAX),
            half_width_percent: self.half_width_percent(),
            joules: windows.chain(warm_ups).sum(),
            seconds: self.campaign.seconds,
        }
    }

    /// The combined half-width, in percent of the mean.
    fn half_width_percent(&self) -> Option<f64> {
        self.value().map(|(mean, half_width)| half_width / mean * 100.0)
    }

    /// Mean joules per unit so far, with their combined half-width.
    pub fn value(&self) -> Option<(f64, f64)> {
        let summary = summed_up(&blank(self.parts())).ok()?;
        Some((summary.mean, summary.combined.half_width))
    }

    fn parts(&self) -> Vec<RepetitionPart> {
        self.repetitions.iter().map(|one| one.part.clone()).collect()
    }
}

/// What a record needs beside what was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Closing {
    /// What ended it.
    pub stopped_by: StoppedBy,
    /// Embodied carbon, where the spec says nothing of it.
    pub embodied: Option<SciEmbodied>,
}

/// The record of a campaign, with all that follows from it; not sealed yet.
///
/// # Errors
/// Where it has no repetition, or a figure that cannot be computed with.
pub fn record(
    spec: &Spec,
    progress: &Progress,
    closing: &Closing,
) -> Result<BenchmarkRecord, Unusable> {
    let Progress { campaign, idle, warm_ups, repetitions } = progress;
    let parts = progress.parts();
    let mut record = BenchmarkRecord {
        campaign: CampaignPart {
            id: campaign.id.clone(),
            name: spec.name.clone(),
            description: spec.description.clone(),
            contact: spec.contact.clone(),
            started_at: campaign.started_at.clone(),
            ended_at: parts.last().map(|one| one.ended_at.clone()).unwrap_or_default(),
            aimeter_version: env!("CARGO_PKG_VERSION").to_owned(),
            origin: Origin::Measured,
            source: None,
        },
        unit: spec.unit.clone(),
        workload: workload(spec, &campaign.spec_hash),
        machine: campaign.machine.clone(),
        protocol: protocol::part(spec, closing.stopped_by),
        idle: idle.clone().map(|idle| idle_of(idle, &parts)),
        warm_up: warm_ups.first().map(|one| one.part.clone()),
        pue: spec.pue.clone().or_else(|| configured_pue(repetitions)),
        embodied: spec.embodied.clone().or_else(|| closing.embodied.clone()),
        ..blank(parts)
    };
    record.exceptions = exceptions(spec, &record, repetitions);
    record.derived = derive(&record)?;
    Ok(record)
}

/// What the record alone shows, and what the campaign has seen.
fn exceptions(
    spec: &Spec,
    record: &BenchmarkRecord,
    repetitions: &[Measured],
) -> Vec<ExceptionPart> {
    let mut all = exceptions::broken(record);
    let settle = short_settle(spec.protocol.settle.as_secs_f64());
    all.extend(settle.map(|found| ExceptionPart { rule: Rule::Settling, repetition: None, found }));
    all.extend(repetitions.iter().flat_map(|one| one.exceptions.iter().cloned()));
    all.sort_by_key(|one| (one.rule, one.repetition));
    all
}

/// What is wrong with the settle time where it is set to less than the protocol's.
fn short_settle(seconds: f64) -> Option<String> {
    (seconds < SETTLE_SECONDS).then(|| format!("set to {seconds} s of {SETTLE_SECONDS} s"))
}

/// `sha256:` and 64 hexadecimal digits.
pub fn hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

fn workload(spec: &Spec, spec_hash: &str) -> WorkloadPart {
    let (builtin, command) = match &spec.work.run {
        WorkRun::Builtin(name) => {
            let line = ["aimeter", "bench", "workload", name];
            (Some(builtin(name)), line.map(str::to_owned).to_vec())
        }
        WorkRun::Command(command) => (None, command.clone()),
    };
    WorkloadPart {
        builtin,
        command_hash: hash(command.join("\0").as_bytes()),
        command: Some(command),
        spec_hash: Some(spec_hash.to_owned()),
        disclosures: spec.disclosures.clone(),
    }
}

/// A built-in workload with the version of its work.
fn builtin(word: &str) -> String {
    let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word);
    kind.map_or(word, |kind| kind.name()).to_owned()
}

/// The PUE of the jobs' records: its mean by energy, known as well as its source is.
fn configured_pue(repetitions: &[Measured]) -> Option<PueStatement> {
    let (mut weighted, mut joules) = (0.0, 0.0);
    let mut sources: Vec<&str> = Vec::new();
    for one in repetitions {
        let pue = one.pue.as_ref()?;
        weighted += pue.value * one.part.joules;
        joules += one.part.joules;
        if !sources.contains(&pue.source.as_str()) {
            sources.push(&pue.source);
        }
    }
    let read = |source: &&str| source.split('+').all(|one| matches!(one, "file" | "http"));
    let kind = if sources.iter().all(read) { PueKind::Measured } else { PueKind::Stated };
    let source = format!("aimeter's configuration: {}", sources.join("+"));
    let first = repetitions.first()?.pue.as_ref()?.value;
    let same = repetitions.iter().all(|one| one.pue.as_ref().is_some_and(|pue| pue.value == first));
    // A mean of equal figures can be off by its last digit.
    let value = if same { first } else { weighted / joules };
    (joules > 0.0).then_some(PueStatement { value, source, kind })
}

/// A record of nothing but these repetitions.
fn blank(repetitions: Vec<RepetitionPart>) -> BenchmarkRecord {
    use super::record::{CountedBy, ProtocolPart, Role, UnitKind, UnitPart};
    use crate::record::HostPart;
    BenchmarkRecord {
        schema: SCHEMA.to_owned(),
        campaign: CampaignPart {
            id: String::new(),
            name: String::new(),
            description: None,
            contact: None,
            started_at: String::new(),
            ended_at: String::new(),
            aimeter_version: String::new(),
            origin: Origin::Measured,
            source: None,
        },
        unit: UnitPart {
            kind: UnitKind::Run,
            name: String::new(),
            role: Role::Provider,
            counted_by: CountedBy::Exit,
            quality: None,
        },
        workload: WorkloadPart {
            builtin: None,
            command: None,
            command_hash: String::new(),
            spec_hash: None,
            disclosures: Default::default(),
        },
        machine: MachinePart {
            host: HostPart::default(),
            nodes: 1,
            memory_bytes: None,
            kernel: None,
            cpu_governor: None,
            accelerators: Vec::new(),
        },
        protocol: ProtocolPart {
            specification: protocol::SPECIFICATION.to_owned(),
            idle_seconds: 0.0,
            warm_up_seconds: 0.0,
            window_seconds: 0.0,
            repetitions: 0,
            max_repetitions: 0,
            confidence_percent: None,
            max_joules: None,
            max_seconds: None,
            stopped_by: StoppedBy::Repetitions,
        },
        idle: None,
        warm_up: None,
        repetitions,
        pue: None,
        embodied: None,
        exceptions: Vec::new(),
        derived: underived(),
        hash: String::new(),
    }
}

/// What stands in `derived` until it was computed.
fn underived() -> Derived {
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
