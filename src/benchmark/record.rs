// SPDX-License-Identifier: Apache-2.0
//! The benchmark record: a campaign's measured parts and what follows from them.
//!
//! Field names and units are a public contract (`aimeter-benchmark/1`,
//! `docs/benchmark.md`). What was measured stands in `campaign` to `repetitions`; all
//! of [`Derived`] follows from these by [`derive`](super::derive::derive), so that
//! anyone can compute it again. An unknown figure is null, never invented.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::{Form, HostPart, IntensityUse, Version};

/// The name and version of the form.
pub const SCHEMA: &str = "aimeter-benchmark/1";

/// The form, for reading it by version.
pub const BENCHMARK: Form = Form {
    name: "aimeter-benchmark",
    current: Version { major: 1, minor: 0 },
    what: "benchmark record",
};

/// A campaign's record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BenchmarkRecord {
    /// [`SCHEMA`].
    #[schemars(
        description = "Name and version of this form",
        regex(pattern = r"^aimeter-benchmark/1(\.[0-9]+)?$")
    )]
    pub schema: String,
    /// Which campaign.
    pub campaign: CampaignPart,
    /// What is counted.
    pub unit: UnitPart,
    /// What was run.
    pub workload: WorkloadPart,
    /// On what machine, with what software.
    pub machine: MachinePart,
    /// Protocol as it was set.
    pub protocol: ProtocolPart,
    /// The machine without the work; null: not measured.
    pub idle: Option<IdlePart>,
    /// Work before the first repetition; null: none.
    pub warm_up: Option<WarmUpPart>,
    /// Every repetition, in order; none is left out.
    pub repetitions: Vec<RepetitionPart>,
    /// Power usage effectiveness; null: not stated.
    pub pue: Option<PueStatement>,
    /// Embodied carbon by SCI's terms; null: not known.
    pub embodied: Option<SciEmbodied>,
    /// Every rule of the protocol that was not kept.
    pub exceptions: Vec<ExceptionPart>,
    /// What follows from all this.
    pub derived: Derived,
    /// `sha256:` and 64 hexadecimal digits: of this record without this field, as
    /// canonical JSON (RFC 8785).
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub hash: String,
}

/// Which campaign.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CampaignPart {
    /// ULID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// In the words of who ran it.
    pub description: Option<String>,
    /// Who answers for it: a name, an address; as far as they gave it.
    pub contact: Option<String>,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// RFC 3339, UTC.
    pub ended_at: String,
    /// Of aimeter.
    pub aimeter_version: String,
    /// `measured` here by the protocol, or `literature` where it was put together from a
    /// publication, which holds it at level D.
    pub origin: Origin,
    /// The publication, where its origin is one.
    pub source: Option<String>,
}

/// How a record came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// By the protocol.
    Measured,
    /// Reconstructed from a publication.
    Literature,
}

/// The functional unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnitPart {
    /// What kind of unit.
    pub kind: UnitKind,
    /// The name under which it is counted, such as `tokens`.
    pub name: String,
    /// Whether the work makes a model or uses one.
    pub role: Role,
    /// How it is counted.
    pub counted_by: CountedBy,
    /// For [`UnitKind::Quality`]: what is reached.
    pub quality: Option<QualityTarget>,
}

/// Kinds of functional units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnitKind {
    /// A token.
    Token,
    /// A sample.
    Sample,
    /// An optimiser's step.
    Step,
    /// A run of the command to its end with exit code 0.
    Run,
    /// A run's first reach of a stated quality.
    Quality,
}

/// SCI for AI keeps these two apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Training.
    Provider,
    /// Inference.
    Consumer,
}

/// How units are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CountedBy {
    /// The work marks them (`docs/marks.md`).
    Mark,
    /// A pattern finds them in the work's output.
    Pattern,
    /// The end of the command with exit code 0.
    Exit,
}

/// A quality that a run is to reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QualityTarget {
    /// Its name, such as `accuracy`.
    pub metric: String,
    /// The threshold.
    pub threshold: f64,
    /// Whether larger is better: reached at `threshold` or above, else at or below.
    pub larger_is_better: bool,
}

/// What was run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadPart {
    /// The built-in workload; null: a command.
    pub builtin: Option<String>,
    /// The command line; null where only its hash is told.
    pub command: Option<Vec<String>>,
    /// `sha256:` of the command line, arguments separated by NUL.
    pub command_hash: String,
    /// `sha256:` of the spec's file.
    pub spec_hash: Option<String>,
    /// What they say of it: framework, model, data set, batch size, precision, ….
    pub disclosures: BTreeMap<String, String>,
}

/// The machine and its software.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MachinePart {
    /// As in a job's record.
    pub host: HostPart,
    /// Nodes that did the work.
    pub nodes: u32,
    /// Memory of the node; null: unknown.
    pub memory_bytes: Option<u64>,
    /// Release of the kernel.
    pub kernel: Option<String>,
    /// The CPUs' frequency governor; null: the kernel has none here.
    pub cpu_governor: Option<String>,
    /// By accelerator.
    pub accelerators: Vec<AcceleratorPart>,
}

/// What is set on an accelerator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AcceleratorPart {
    /// NVML's UUID.
    pub uuid: String,
    /// Its memory.
    pub memory_bytes: Option<u64>,
    /// Watts, as enforced.
    pub power_limit_watts: Option<f64>,
    /// Watts, as it comes from the factory.
    pub default_power_limit_watts: Option<f64>,
}

/// The protocol as it was set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProtocolPart {
    /// The specification that it follows.
    pub specification: String,
    /// Seconds of idling before the work.
    pub idle_seconds: f64,
    /// Seconds of warm-up at least.
    pub warm_up_seconds: f64,
    /// Seconds of a window at least.
    pub window_seconds: f64,
    /// Repetitions at least.
    pub repetitions: u32,
    /// Repetitions at most.
    pub max_repetitions: u32,
    /// Stop once the combined half-width is at most so many percent; null: at `repetitions`.
    pub confidence_percent: Option<f64>,
    /// Stop at so many joules.
    pub max_joules: Option<f64>,
    /// Stop after so many seconds.
    pub max_seconds: Option<f64>,
    /// What ended it.
    pub stopped_by: StoppedBy,
}

/// What ended a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoppedBy {
    /// All repetitions were run.
    Repetitions,
    /// The wanted confidence was reached.
    Confidence,
    /// The budget of energy was used up.
    Energy,
    /// The budget of time was used up.
    Time,
    /// Somebody ended it.
    Interrupt,
}

/// The machine without the work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IdlePart {
    /// How long it was watched.
    pub seconds: f64,
    /// Watts of all domains of a repetition's sum.
    pub watts: f64,
    /// Watts by domain id.
    pub domains: BTreeMap<String, f64>,
}

/// Work before the first repetition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WarmUpPart {
    /// How long.
    pub seconds: f64,
    /// Whole runs of the command.
    pub runs: u64,
    /// Units of work; they count for nothing.
    pub units: f64,
}

/// One repetition: one measured window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RepetitionPart {
    /// From 1.
    pub number: u32,
    /// The id of its job in the ledger of the machine.
    pub job_id: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// RFC 3339, UTC.
    pub ended_at: String,
    /// Length of the window.
    pub seconds: f64,
    /// Whole runs of the command in it.
    pub runs: u64,
    /// Units of work done in it.
    pub units: f64,
    /// Joules of the summed domains: their whole energy in the window, idle energy too.
    pub joules: f64,
    /// By domain. Summed are those whose `summed` is true.
    pub domains: Vec<BenchmarkDomain>,
    /// Seconds without readings.
    pub gaps_seconds: f64,
    /// Carbon intensity in the window; null: unknown.
    pub intensity: Option<WindowIntensity>,
    /// At its start.
    pub before: StatePart,
    /// At its end.
    pub after: StatePart,
    /// Share of the node's CPU time in the window that others used, 0 to 1; null: unknown.
    pub other_cpu_share: Option<f64>,
    /// Jobs of others that ran in the window on the accelerators of the work.
    pub other_jobs: Vec<String>,
}

/// One domain's energy in a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BenchmarkDomain {
    /// Its id.
    pub id: String,
    /// `gpu`, `cpu`, `dram`, `node`, ….
    pub kind: String,
    /// `nvml`, `rapl`, `hwmon`, `estimate`.
    pub source: String,
    /// `counter`, `power`, `estimate`.
    pub method: String,
    /// Whether it is part of the repetition's joules. Others overlap it.
    pub summed: bool,
    /// Joules of the whole domain in the window.
    pub joules: f64,
    /// ± joules at 95 % that the meter added in this window, independent of other
    /// windows: edges, steps, gaps. 0 for an estimate, whose error is common.
    pub uncertainty_joules: f64,
    /// ± percent at 95 % that all windows have in common: the sensor's published gain
    /// error, or the estimate's model. Null: not published.
    pub common_percent: Option<f64>,
    /// Seconds between two new values of the sensor.
    pub update_period_seconds: Option<f64>,
    /// The work's own part of it, 0 to 1; null: unknown.
    pub share: Option<f64>,
}

/// Carbon intensity in a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WindowIntensity {
    /// The zone.
    pub zone: String,
    /// Energy-weighted mean, grams CO2e per kWh.
    pub grams_per_kwh: f64,
    /// `average` or `marginal`.
    pub signal: String,
    /// `direct`, `lifecycle` or `mixed`.
    pub boundary: String,
    /// Whether no better figure is expected.
    pub settled: bool,
    /// The facts used.
    pub parts: Vec<IntensityUse>,
}

/// The machine's state at an edge of a window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatePart {
    /// By accelerator.
    pub accelerators: Vec<AcceleratorState>,
    /// Mean frequency of the CPUs; null: unknown.
    pub cpu_mhz: Option<f64>,
    /// Temperature of the CPU package; null: unknown.
    pub cpu_celsius: Option<f64>,
}

/// An accelerator's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AcceleratorState {
    /// NVML's UUID.
    pub uuid: String,
    /// Degrees Celsius.
    pub celsius: Option<f64>,
    /// Of the SMs.
    pub clock_mhz: Option<f64>,
    /// Watts, as enforced.
    pub power_limit_watts: Option<f64>,
    /// NVML's reasons for a lower clock, such as `hw_thermal_slowdown`.
    pub throttle_reasons: Vec<String>,
}

/// Power usage effectiveness as it is stated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PueStatement {
    /// At least 1.
    pub value: f64,
    /// Where it comes from.
    pub source: String,
    /// How well it is known.
    pub kind: PueKind,
}

/// How well a PUE is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PueKind {
    /// Measured in the time of the campaign.
    Measured,
    /// The annual mean of this building.
    Annual,
    /// Stated, without saying by what.
    Stated,
    /// Assumed.
    Assumed,
}

/// Embodied carbon by SCI: M = TE × TiR / EL × RR / ToR.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SciEmbodied {
    /// TE: grams CO2e of making the hardware.
    pub te_grams: f64,
    /// Who says so.
    pub te_source: String,
    /// EL: seconds that it is expected to live.
    pub el_seconds: f64,
    /// Who says so.
    pub el_source: String,
    /// RR: resources reserved for the work.
    pub rr: f64,
    /// ToR: resources in all.
    pub tor: f64,
    /// What they are and who says so.
    pub reserved_source: String,
}

/// A rule of the protocol that was not kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExceptionPart {
    /// Which.
    pub rule: Rule,
    /// In which repetition; null: in the campaign.
    pub repetition: Option<u32>,
    /// What was found.
    pub found: String,
}

/// The rules of the protocol.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The idle baseline.
    Idle,
    /// The warm-up.
    WarmUp,
    /// The window's length by time and by the sensors' update periods.
    Window,
    /// Their number.
    Repetitions,
    /// The time between two of them.
    Settling,
    /// No other job on the accelerators.
    ExclusiveAccelerators,
    /// Little CPU time of others.
    ExclusiveCpu,
    /// No thermal or power-brake throttling.
    Throttling,
    /// The same power limit all the time.
    PowerLimit,
    /// Readings without gaps.
    Gaps,
    /// A live figure of the grid, and no stale one.
    Intensity,
    /// Units counted, whole runs only.
    Units,
}

/// What follows from the measured parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Derived {
    /// Joules per unit of each repetition, in order.
    pub values: Vec<f64>,
    /// Of these.
    pub statistics: StatisticsPart,
    /// The score with its parts.
    pub score: ScorePart,
    /// The level with its reasons.
    pub level: LevelPart,
}

/// Statistics of joules per unit; all half-widths at 95 %.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatisticsPart {
    /// How many.
    pub repetitions: u32,
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation; null with one repetition.
    pub deviation: Option<f64>,
    /// By the scatter alone; null with one repetition.
    pub repetition_half_width: Option<f64>,
    /// By what the meter added in each.
    pub meter_half_width: f64,
    /// By what all have in common.
    pub common_half_width: f64,
    /// The same in percent of the mean.
    pub common_percent: f64,
    /// Of all together.
    pub combined_half_width: f64,
    /// Its effective degrees of freedom; null: infinite.
    pub degrees_of_freedom: Option<f64>,
    /// Low end of the interval.
    pub low: f64,
    /// High end.
    pub high: f64,
    /// The repetition that is far from the others (Grubbs, 5 %), from 1; null: none.
    pub outlier: Option<u32>,
    /// Change from one repetition to the next; null with fewer than 3.
    pub drift_per_repetition: Option<f64>,
    /// Whether the drift's interval leaves out 0.
    pub drift_shown: bool,
}

/// SCI with its parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScorePart {
    /// E / R without PUE.
    pub joules_per_unit: f64,
    /// E / R with PUE; null where none is stated.
    pub facility_joules_per_unit: Option<f64>,
    /// I: energy-weighted over all repetitions; null: unknown in one of them.
    pub grams_per_kwh: Option<f64>,
    /// E × I / R, with PUE where one is stated.
    pub operational_grams_per_unit: Option<f64>,
    /// M / R.
    pub embodied_grams_per_unit: Option<f64>,
    /// SCI: the sum; null where a part of it is not known.
    pub sci_grams_per_unit: Option<f64>,
}

/// The quality level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LevelPart {
    /// A to D.
    pub level: Level,
    /// Each condition that does not hold for level A.
    pub unmet: Vec<UnmetPart>,
}

/// Quality levels, best first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Level {
    /// All by counters and node power, live and settled.
    A,
    /// All processors by counters.
    B,
    /// Partly estimated.
    C,
    /// Estimated.
    D,
}

/// A condition that does not hold for level A.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnmetPart {
    /// The best level that it allows.
    pub allows: Level,
    /// The row of the table in `docs/benchmark.md`.
    pub condition: String,
    /// What was found.
    pub found: String,
}
