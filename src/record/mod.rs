// SPDX-License-Identifier: Apache-2.0
//! The record: the finished, portable description of a job's energy and
//! emissions, and the unit of comparison.
//!
//! Field names and units are a public contract (`aimeter-record/1`,
//! `docs/record.md`). A field that is unknown is null, never invented. Nothing
//! here reads a sensor, a clock or the network.

mod account;
mod build;
pub mod curve;
pub mod host;
pub mod import;
pub mod report;
pub mod schema;
pub mod summary;
pub mod text;
mod timing;
pub mod uncertainty;
mod version;
mod work;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use account::account;
pub use build::build;
pub use version::{Form, RECORD, ReadRecordError, SCHEMA, Version, VersionError, read};

/// A finished job's energy and emissions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// [`SCHEMA`].
    #[schemars(
        description = "Name and version of this form",
        regex(pattern = r"^aimeter-record/1(\.[0-9]+)?$")
    )]
    pub schema: String,
    /// Who and what.
    pub job: JobPart,
    /// Where.
    pub host: HostPart,
    /// How much energy.
    pub energy: EnergyPart,
    /// How much CO2e.
    pub emissions: EmissionsPart,
    /// How much water; null: not configured.
    pub water: Option<WaterPart>,
    /// How much money; null: not configured.
    pub cost: Option<CostPart>,
    /// Energy by phase, where the job marked any; what is outside any phase comes last.
    #[serde(default)]
    pub phases: Vec<PhasePart>,
    /// Units of work that the job counted.
    #[serde(default)]
    pub work: Vec<WorkPart>,
    /// How good the figures are.
    pub quality: QualityPart,
}

/// A phase of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhasePart {
    /// Its name; null: outside any phase.
    pub name: Option<String>,
    /// How often it began; null for what is outside.
    pub times: Option<u64>,
    /// How long the job was in it; null for what is outside, while the job runs.
    pub seconds: Option<f64>,
    /// Energy of counted domains: all phases and what is outside make up the total.
    pub joules: f64,
    /// Grams CO2e of its electricity: derived, at the job's own mean per joule.
    pub grams: Option<f64>,
}

/// Units of work of one name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkPart {
    /// The name: `tokens`, `samples`, ….
    pub unit: String,
    /// How many.
    pub count: f64,
    /// The job's joules for each; null where none was counted.
    pub joules_per_unit: Option<f64>,
    /// The job's operational grams CO2e for each.
    pub grams_per_unit: Option<f64>,
    /// Those counted in a phase, by phase.
    pub phases: Vec<WorkPhase>,
}

/// Units of work counted in one phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkPhase {
    /// The phase.
    pub name: String,
    /// How many.
    pub count: f64,
    /// The phase's joules for each.
    pub joules_per_unit: Option<f64>,
}

/// The job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobPart {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Who ran it.
    pub user: String,
    /// `--project`.
    pub project: Option<String>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// How it came to aimeter: `run`, later `slurm`, `container`, …; of other tools'
    /// figures `codecarbon`, `sacct`.
    pub origin: String,
    /// The command line.
    pub command: Vec<String>,
    /// 0 to 255; 128 + n where signal n killed it; null where nobody saw its end.
    #[schemars(range(min = 0, max = 255))]
    pub exit_code: Option<i32>,
    /// `finished`, `running`, `lost`.
    pub state: String,
    /// RFC 3339, UTC, milliseconds.
    pub started_at: String,
    /// The same; null while it runs.
    pub ended_at: Option<String>,
    /// Seconds.
    pub duration_seconds: Option<f64>,
}

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostPart {
    /// Host name.
    pub name: Option<String>,
    /// A hash of the machine id (the id itself should not be published).
    pub machine_id_hash: Option<String>,
    /// `Linux 6.8`.
    pub os: Option<String>,
    /// CPUs.
    pub cpus: Vec<CpuPart>,
    /// GPUs that the job's energy comes from.
    pub gpus: Vec<GpuPart>,
}

/// CPUs of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CpuPart {
    /// Model name.
    pub model: String,
    /// How many sockets.
    pub sockets: Option<u32>,
    /// Physical cores in all.
    pub cores: Option<u32>,
}

/// One GPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpuPart {
    /// NVML's UUID.
    pub uuid: String,
    /// Model name.
    pub model: Option<String>,
    /// Driver version.
    pub driver: Option<String>,
    /// Enforced power limit in watts.
    pub power_limit_watts: Option<f64>,
}

/// Energy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EnergyPart {
    /// Joules of all counted domains; null where nothing could be counted.
    pub total_joules: Option<f64>,
    /// ± joules at 95 %.
    pub uncertainty_joules: Option<f64>,
    /// The sensors' published gain error, ± percent at 95 %, of the energy whose
    /// sensors have one; null where none has.
    pub sensor_gain_percent: Option<f64>,
    /// `measured`, `estimated`, or `mixed` where a part is estimated.
    pub provenance: Option<String>,
    /// By domain. A domain is part of the total exactly where its kind is in
    /// `quality.coverage`; others (a node's own meter, cores) overlap it.
    pub domains: Vec<DomainPart>,
    /// Power usage effectiveness.
    pub pue: Option<PuePart>,
    /// Total × PUE; null without a PUE.
    pub facility_joules: Option<f64>,
}

/// Energy of one domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DomainPart {
    /// The domain's id.
    pub id: String,
    /// `gpu`, `cpu`, `dram`, `node`, `core`, `uncore`; `other` where an imported file
    /// does not tell.
    pub kind: String,
    /// `nvml`, `rapl`, `hwmon`, `estimate`; `codecarbon`, `slurm` of imported figures.
    pub source: String,
    /// `counter`, `power`, `estimate`; `unknown` where an imported file does not tell.
    pub method: String,
    /// `measured`, `derived` (a shared domain's split), `estimated`.
    pub provenance: String,
    /// Joules.
    pub joules: f64,
    /// ± joules at 95 %; null of imported figures.
    pub uncertainty_joules: Option<f64>,
    /// ± percent at 95 %, where published.
    pub sensor_gain_percent: Option<f64>,
    /// The job's part of what the domain used while it ran, 0 to 1.
    pub share: Option<f64>,
    /// Joules that the whole domain used while the job ran; null: not known.
    #[serde(default)]
    pub domain_joules: Option<f64>,
}

/// Power usage effectiveness and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PuePart {
    /// At least 1; the mean by energy where it changed.
    pub value: f64,
    /// `flag`, `config`, `schedule`, `file`, `http`; joined by `+` where they took turns;
    /// `codecarbon` where it is of that file.
    pub source: String,
}

/// Emissions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EmissionsPart {
    /// Grams CO2e: operational + embodied where known. Null where the energy or
    /// the intensity of any part of it is unknown.
    pub total_grams: Option<f64>,
    /// Grams CO2e of the electricity.
    pub operational_grams: Option<f64>,
    /// Grams CO2e of making the hardware; null: not computed.
    pub embodied_grams: Option<f64>,
    /// The part of `operational_grams` that rests on facts which are not final.
    pub unsettled_grams: Option<f64>,
    /// How they come about.
    pub embodied: Option<EmbodiedPart>,
    /// The electricity by contract; null: not configured. Part of no total.
    pub market_based: Option<MarketBasedPart>,
    /// The grid.
    pub intensity: Option<IntensityPart>,
    /// How its start was chosen; null: it began when it was told to.
    #[serde(default)]
    pub timing: Option<TimingPart>,
    /// What was first told; null in what was told first.
    pub first_told: Option<FirstTold>,
}

/// The choice of a job's start, what was expected of it and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimingPart {
    /// `greenest`.
    pub policy: String,
    /// When the user asked, RFC 3339, UTC.
    pub asked_at: String,
    /// How long it waited, seconds.
    pub waited_seconds: f64,
    /// The chosen window, RFC 3339, UTC.
    pub window_from: String,
    /// Its end.
    pub window_to: String,
    /// Mean of a window as long from `asked_at` on, as then forecast.
    pub expected_at_once_grams_per_kwh: f64,
    /// Mean of the chosen window, as forecast.
    pub expected_window_grams_per_kwh: f64,
    /// How much less that is, in percent; negative: more.
    pub expected_saving_percent: f64,
    /// The zone of the forecast.
    pub zone: String,
    /// `average` or `marginal`.
    pub signal: String,
    /// `direct` or `lifecycle`.
    pub boundary: String,
    /// Whose forecast.
    pub source: String,
    /// When the forecast of the chosen window was fetched, RFC 3339, UTC.
    pub forecast_fetched_at: String,
    /// Mean of the same energy begun at `asked_at`, by facts that are no forecast;
    /// null where there are none (yet).
    pub at_once_grams_per_kwh: Option<f64>,
    /// How much less the job's own mean is than that, in percent; negative: more.
    pub realised_saving_percent: Option<f64>,
}

/// What was first told of a job's emissions, at its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FirstTold {
    /// RFC 3339, UTC.
    pub at: String,
    /// Grams CO2e of the electricity.
    pub operational_grams: f64,
    /// Energy-weighted mean, grams per kWh.
    pub mean_grams_per_kwh: f64,
    /// The facts that were known then, as they would be used.
    pub parts: Vec<IntensityUse>,
}

/// Embodied emissions: of making the hardware, by the time in which the job held it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EmbodiedPart {
    /// `time-held`: hours held alone × mass ÷ (lifetime × utilisation).
    pub method: String,
    /// Who published the masses, for each kind of hardware; `config`.
    pub source: String,
    /// Seconds of the machine, the job's share of it.
    pub server_seconds: f64,
    /// Seconds of its GPUs.
    pub gpu_seconds: f64,
    /// Grams CO2e of the machine without its GPUs.
    pub server_grams: f64,
    /// Grams CO2e of the GPUs.
    pub gpu_grams: f64,
    /// Grams CO2e of all by the lowest published masses.
    pub lowest_grams: f64,
    /// Grams CO2e of all by the highest.
    pub highest_grams: f64,
}

/// Emissions of the electricity by contract (GHG Protocol, Scope 2, market-based).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MarketBasedPart {
    /// Grams CO2e, with PUE; null where the energy is unknown.
    pub grams: Option<f64>,
    /// The factor.
    pub grams_per_kwh: f64,
    /// What it rests on, in the words of the configuration.
    pub source: String,
}

/// Water, in litres.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WaterPart {
    /// What is known of it in all; null where the energy is unknown.
    pub litres: Option<f64>,
    /// On site, by the cooling; null: not configured.
    pub site_litres: Option<f64>,
    /// At the power stations; null: not configured.
    pub grid_litres: Option<f64>,
    /// Litres on site per kWh of the IT equipment.
    pub site_litres_per_kwh: Option<f64>,
    /// Litres at the power stations per kWh of the facility.
    pub grid_litres_per_kwh: Option<f64>,
}

/// Money.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CostPart {
    /// Facility energy × price; null where the energy is unknown.
    pub amount: Option<f64>,
    /// Per kWh.
    pub price_per_kwh: f64,
    /// Of both.
    pub currency: String,
}

/// Carbon intensity over the job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IntensityPart {
    /// The zone.
    pub zone: String,
    /// Energy-weighted mean, grams per kWh.
    pub mean_grams_per_kwh: f64,
    /// `average` or `marginal`.
    pub signal: String,
    /// `direct`, `lifecycle`, or `mixed`; `unknown` where an imported file does not tell.
    pub boundary: String,
    /// Whether no better figure is expected.
    pub settled: bool,
    /// The facts used.
    pub parts: Vec<IntensityUse>,
}

/// One intensity fact as it was used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IntensityUse {
    /// RFC 3339, UTC.
    pub from: String,
    /// RFC 3339, UTC.
    pub to: String,
    /// Grams per kWh.
    pub grams_per_kwh: f64,
    /// Who says so.
    pub source: String,
    /// `actual`, `provisional`, `estimated`, `forecast`, `table`.
    pub kind: String,
    /// RFC 3339, UTC.
    pub fetched_at: String,
}

/// Quality.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QualityPart {
    /// Seconds of the job without readings: the longest of its domains.
    pub gaps_seconds: f64,
    /// Kinds that were counted.
    pub coverage: Vec<String>,
    /// Remarks: what was not measured and why, gaps, policies.
    pub notes: Vec<String>,
}
