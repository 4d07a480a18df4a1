// SPDX-License-Identifier: Apache-2.0
//! A spec's TOML as it is written, before its values are looked at.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::SignedDuration;
use serde::Deserialize;

use super::super::record::{CountedBy, PueKind, QualityTarget, Role, UnitKind};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpecForm {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) contact: Option<String>,
    pub(super) unit: UnitForm,
    pub(super) work: WorkForm,
    #[serde(default)]
    pub(super) protocol: ProtocolForm,
    #[serde(default)]
    pub(super) stop: StopForm,
    #[serde(default)]
    pub(super) disclosures: BTreeMap<String, String>,
    pub(super) building: Option<BuildingForm>,
    pub(super) embodied: Option<EmbodiedForm>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnitForm {
    pub(super) kind: UnitKind,
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) counted_by: CountedBy,
    pub(super) pattern: Option<String>,
    pub(super) quality: Option<QualityForm>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QualityForm {
    pub(super) metric: String,
    pub(super) threshold: f64,
    #[serde(default = "yes")]
    pub(super) larger_is_better: bool,
}

impl From<QualityForm> for QualityTarget {
    fn from(form: QualityForm) -> QualityTarget {
        let QualityForm { metric, threshold, larger_is_better } = form;
        QualityTarget { metric, threshold, larger_is_better }
    }
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WorkForm {
    pub(super) command: Option<Vec<String>>,
    pub(super) builtin: Option<String>,
    #[serde(default)]
    pub(super) directory: PathBuf,
    #[serde(default)]
    pub(super) environment: BTreeMap<String, String>,
    pub(super) gpus: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProtocolForm {
    pub(super) idle: Option<SignedDuration>,
    pub(super) warm_up: Option<SignedDuration>,
    pub(super) window: Option<SignedDuration>,
    pub(super) repetitions: Option<u32>,
    pub(super) max_repetitions: Option<u32>,
    pub(super) settle: Option<SignedDuration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StopForm {
    pub(super) confidence_percent: Option<f64>,
    pub(super) max_energy: Option<String>,
    pub(super) max_time: Option<SignedDuration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BuildingForm {
    pub(super) pue: f64,
    pub(super) source: String,
    pub(super) kind: PueKind,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EmbodiedForm {
    pub(super) te_kg: f64,
    pub(super) te_source: String,
    pub(super) el_years: f64,
    pub(super) el_source: String,
    pub(super) rr: f64,
    pub(super) tor: f64,
    pub(super) reserved_source: String,
}
