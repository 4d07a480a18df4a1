// SPDX-License-Identifier: Apache-2.0
//! What the sensors of each known chip measure, and what contains what.
//!
//! To add a chip: one function here, one arm in [`sensors`], one test in
//! `tests/hwmon.rs`, one row in `docs/sensors.md`.

use std::path::PathBuf;
use std::time::Duration;

use super::Chip;
use crate::sensors::{Domain, DomainId, Kind, Method, Missing};
use crate::units::{Energy, Power};

/// Above any CPU socket.
const HIGHEST_SOCKET: Power = Power::from_watts(1_500);
/// Above any GPU board that names no limit: an MI300X is rated at 750 W (AMD).
const HIGHEST_GPU: Power = Power::from_watts(2_000);
/// Above any node: a DGX H100 is rated at 10.2 kW (NVIDIA).
const HIGHEST_NODE: Power = Power::from_watts(12_000);

/// A sensor to be opened.
#[derive(Debug)]
pub(super) struct Sensor {
    pub(super) file: PathBuf,
    pub(super) domain: Domain,
}

/// The sensors of a chip, and what of it is left out.
pub(super) fn sensors(chip: &Chip) -> (Vec<Sensor>, Vec<Missing>) {
    match chip.name.as_str() {
        "amd_energy" => amd_energy(chip),
        "power_meter" => (power_meter(chip).into_iter().collect(), Vec::new()),
        "amdgpu" => (amdgpu(chip).into_iter().collect(), Vec::new()),
        "i915" | "xe" => (intel_gpu(chip), Vec::new()),
        _ => (Vec::new(), unknown(chip).into_iter().collect()),
    }
}

/// A counted domain of a chip's sensor such as `energy1`, with its label for people.
fn domain(chip: &Chip, sensor: &str, label: &str, kind: Kind, method: Method) -> Domain {
    Domain {
        id: DomainId::new(&format!("hwmon:{}@{}/{sensor}", chip.name, chip.device)),
        kind,
        source: "hwmon".into(),
        method,
        resolution: Energy::from_microjoules(1),
        // The drivers extend their registers to 64 bits.
        range: None,
        update_period: Duration::from_millis(1),
        max_power: HIGHEST_SOCKET,
        overlap: None,
        // No figure is published for any of them; see docs/sensors.md.
        gain_percent: None,
        model_percent: None,
        driver: None,
        power_limit: None,
        device: format!("{} on {}, {label}", chip.name, chip.device),
    }
}

/// AMD server sockets in steps of 15.3 µJ (the driver's documentation). The
/// cores are parts of the sockets, up to hundreds of them: not read at all.
fn amd_energy(chip: &Chip) -> (Vec<Sensor>, Vec<Missing>) {
    let mut sockets = Vec::new();
    let mut cores = 0;
    for sensor in chip.energies() {
        let label = chip.text(&format!("{sensor}_label")).unwrap_or_default();
        if !label.starts_with("Esocket") {
            cores += 1;
            continue;
        }
        let mut domain = domain(chip, &sensor, &label, Kind::Cpu, Method::Counter);
        domain.resolution = Energy::from_microjoules(15);
        sockets.push(Sensor { file: chip.folder.join(format!("{sensor}_input")), domain });
    }
    let why = format!("{cores} cores, which are parts of the sockets");
    let missing = (cores > 0).then(|| chip.missing(", cores", "overlap", &why));
    (sockets, missing.into_iter().collect())
}

/// ACPI's power meter: a rail of NVIDIA Grace by its `power1_oem_info`, else the
/// node. Averages over `power1_average_interval`.
fn power_meter(chip: &Chip) -> Option<Sensor> {
    let file = chip.file("power1_average").or_else(|| chip.file("power1_input"))?;
    let rail = chip.text("power1_oem_info").unwrap_or_default();
    let label = if rail.is_empty() { "node" } else { &rail };
    let mut domain = domain(chip, "power1", label, Kind::Cpu, Method::Power);
    let interval = chip.number("power1_average_interval").filter(|milliseconds| *milliseconds > 0);
    domain.update_period = interval.map_or(Duration::from_secs(1), Duration::from_millis);
    let (kind, overlap) = rail_of_grace(&rail);
    domain.kind = kind;
    domain.overlap = overlap.map(Into::into);
    if kind == Kind::Node {
        domain.max_power = HIGHEST_NODE;
    }
    Some(Sensor { file, domain })
}

/// module (of Grace Hopper: the GPU too) contains grace (the socket), which
/// contains cpu and sysio: only grace is added (Alumet's user book; `jpwr`).
fn rail_of_grace(rail: &str) -> (Kind, Option<&'static str>) {
    match rail.split(' ').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "grace" => (Kind::Cpu, None),
        "cpu" => (Kind::Core, Some("part of the grace rail of its socket")),
        "sysio" => (Kind::Uncore, Some("part of the grace rail of its socket")),
        "module" => (Kind::Node, Some("contains the grace rail and the GPU")),
        _ => (Kind::Node, Some("contains the whole node")),
    }
}

/// An AMD GPU's power. One without a power limit is part of a CPU: its sensor
/// shows the whole chip, which RAPL counts.
fn amdgpu(chip: &Chip) -> Option<Sensor> {
    let file = chip.file("power1_average").or_else(|| chip.file("power1_input"))?;
    let label = chip.text("power1_label").unwrap_or_else(|| "GPU".into());
    let mut domain = domain(chip, "power1", &label, Kind::Gpu, Method::Power);
    domain.update_period = Duration::from_millis(100);
    let cap = chip.limit(&["power1_cap_max", "power1_cap"]);
    domain.max_power = twice(cap);
    if cap.is_none() {
        domain.overlap = Some("no power limit of its own: a GPU inside a CPU package".into());
    }
    Some(Sensor { file, domain })
}

/// An Intel GPU's energy: the card where it has one, else the package. The
/// driver extends a 32-bit register only when it is read, at the latest every
/// two minutes (4.4 min at 1 kW, says the driver): the default period does.
fn intel_gpu(chip: &Chip) -> Vec<Sensor> {
    let limit = chip.limit(&["power1_max"]);
    let labelled = |sensor: String| {
        let label = chip.text(&format!("{sensor}_label")).unwrap_or_else(|| "card".into());
        (sensor, label)
    };
    let all: Vec<_> = chip.energies().into_iter().map(labelled).collect();
    let has_card = all.iter().any(|(_, label)| label == "card");
    let sensor = |(sensor, label): (String, String)| {
        let mut domain = domain(chip, &sensor, &label, Kind::Gpu, Method::Counter);
        domain.max_power = twice(limit);
        if has_card && label != "card" {
            domain.overlap = Some("part of the card".into());
        }
        Sensor { file: chip.folder.join(format!("{sensor}_input")), domain }
    };
    all.into_iter().map(sensor).collect()
}

/// A chip with an energy or power sensor of which nobody told us what it measures.
fn unknown(chip: &Chip) -> Option<Missing> {
    let has = |name: &str| chip.file(name).is_some();
    let any = has("energy1_input") || has("power1_input") || has("power1_average");
    let why = "what this chip measures is not known to aimeter: it is not added";
    any.then(|| chip.missing("", "overlap", why))
}

fn twice(limit_microwatts: Option<u64>) -> Power {
    let limit = limit_microwatts.filter(|microwatts| *microwatts > 0);
    limit.map_or(HIGHEST_GPU, |microwatts| {
        Power::from_microwatts(microwatts.saturating_mul(2)).min(HIGHEST_GPU)
    })
}
