// SPDX-License-Identifier: Apache-2.0
//! The parts of a record that a row of CodeCarbon's tells, and the remarks on them.
//!
//! What CodeCarbon estimates is called estimated, and so is what may be: the row does
//! not say whether a CPU was read by RAPL or taken from a table of TDPs.

use super::super::table::Row;
use super::super::{JobPart, Record, Wrong, micro};
use super::KWH;
use crate::grid::feeds::MOST_GRAMS;
use crate::grid::table;
use crate::record::{
    CpuPart, DomainPart, EmissionsPart, EnergyPart, GpuPart, HostPart, IntensityPart, IntensityUse,
    PuePart, WaterPart,
};

/// The columns of energy and the kinds that they are of.
const KINDS: [(&str, &str); 3] =
    [("gpu_energy", "gpu"), ("cpu_energy", "cpu"), ("ram_energy", "dram")];

/// How far the parts' sum may be from the whole by rounding, relative to it.
const ROUNDING: f64 = 1e-6;

/// GPUs that a row may name; more are not believed.
const MOST_GPUS: u32 = 64;

/// A PUE that was set; CodeCarbon writes 1 where none was.
pub fn pue(row: &Row) -> Result<Option<f64>, Wrong> {
    match row.number("pue")? {
        Some(pue) if !(1.0..=10.0).contains(&pue) => {
            Err(Wrong::new("pue", format!("{pue} is no PUE, which is from 1 to 10")))
        }
        pue => Ok(pue.filter(|pue| *pue > 1.0)),
    }
}

/// Energy by kind, without the PUE; what the parts leave of the whole is of no known kind.
pub fn energy(row: &Row, total: f64, pue: Option<f64>) -> Result<EnergyPart, Wrong> {
    let mut domains = Vec::new();
    for (column, kind) in KINDS {
        // CodeCarbon writes 0 for what it does not count.
        let Some(kwh) = row.number(column)?.filter(|kwh| *kwh > 0.0) else { continue };
        domains.push(domain(row, kind, micro(kwh * KWH / pue.unwrap_or(1.0))));
    }
    let sum: f64 = domains.iter().map(|domain| domain.joules).sum();
    // The parts and the whole are each rounded to a microjoule.
    let rounding = total * ROUNDING + 2e-6;
    if sum > total + rounding {
        let why = "it is less than the sum of its parts: cells may have been shifted";
        return Err(Wrong::new("energy_consumed", why));
    }
    if total - sum > rounding || (domains.is_empty() && total > 0.0) {
        domains.push(domain(row, "other", micro(total - sum)));
    }
    Ok(EnergyPart {
        total_joules: Some(total),
        uncertainty_joules: None,
        sensor_gain_percent: None,
        provenance: Some(provenance(row, &domains)),
        domains,
        pue: pue.map(|value| PuePart { value, source: "codecarbon".to_owned() }),
        facility_joules: pue.map(|pue| micro(total * pue)),
    })
}

fn domain(row: &Row, kind: &str, joules: f64) -> DomainPart {
    let provenance = match aimeters_word(row) {
        Some(word @ ("measured" | "derived")) => word,
        Some(_) => "estimated",
        None if kind == "gpu" && gpus_were_read(row) => "measured",
        None => "estimated",
    };
    DomainPart {
        id: format!("codecarbon:{kind}"),
        kind: kind.to_owned(),
        source: "codecarbon".to_owned(),
        method: if provenance == "estimated" { "estimate" } else { "unknown" }.to_owned(),
        provenance: provenance.to_owned(),
        joules,
        uncertainty_joules: None,
        sensor_gain_percent: None,
        share: None,
        domain_joules: None,
    }
}

fn provenance(row: &Row, domains: &[DomainPart]) -> String {
    if let Some(word) = aimeters_word(row) {
        return word.to_owned();
    }
    let estimated = domains.iter().filter(|one| one.provenance == "estimated").count();
    let word = match estimated {
        0 if !domains.is_empty() => "measured",
        all if all == domains.len() => "estimated",
        _ => "mixed",
    };
    word.to_owned()
}

/// What aimeter said of its energy where it wrote the row (`report --format csv`).
fn aimeters_word(row: &Row) -> Option<&'static str> {
    let said = row.text("codecarbon_version").strip_prefix("aimeter ")?;
    let word = said.split_once('(')?.1.split([',', ')']).next()?;
    ["measured", "derived", "estimated", "mixed"].into_iter().find(|known| *known == word)
}

/// CodeCarbon names boards as `2 x NAME` where it reads them by NVML or AMD SMI; Apple's
/// GPUs, which are a model's figures, by their name alone.
fn gpus_were_read(row: &Row) -> bool {
    devices(row.text("gpu_model")).next().is_some_and(|(count, _)| count.is_some())
}

/// `2 x NAME, NAME`: names with how many each is.
fn devices(text: &str) -> impl Iterator<Item = (Option<u32>, &str)> {
    text.split(", ").filter(|part| !part.is_empty()).map(|part| {
        let counted = part.split_once(" x ").and_then(|(n, name)| Some((n.parse().ok()?, name)));
        counted.map_or((None, part), |(count, name): (u32, &str)| (Some(count), name))
    })
}

/// The machine, of which the row has no name.
pub fn host(row: &Row) -> Result<HostPart, Wrong> {
    let gpu_model = row.name("gpu_model")?.unwrap_or_default();
    let mut gpus = Vec::new();
    for (count, name) in devices(&gpu_model) {
        let count = count.unwrap_or(1).min(MOST_GPUS);
        // The row has no UUID. Rows of one model are taken as of the same boards.
        gpus.extend((0..count).map(|number| GpuPart {
            uuid: format!("codecarbon:{name}:{number}"),
            model: Some(name.to_owned()),
            driver: None,
            power_limit_watts: None,
        }));
    }
    gpus.truncate(MOST_GPUS as usize);
    let cpu_model = row.name("cpu_model")?.unwrap_or_default();
    let cpus = devices(&cpu_model).map(|(sockets, model)| CpuPart {
        model: model.to_owned(),
        sockets,
        cores: None,
    });
    Ok(HostPart { os: row.name("os")?, cpus: cpus.collect(), gpus, ..HostPart::default() })
}

/// Emissions of the electricity, with the PUE; `consumed` is with it too, in kWh.
pub fn emissions(row: &Row, consumed: f64, job: &JobPart) -> Result<EmissionsPart, Wrong> {
    let grams = row.number("emissions")?.map(|kilograms| kilograms * 1e3);
    if let Some(grams) = grams.filter(|grams| *grams > consumed * MOST_GRAMS) {
        let why = format!("{grams} g of {consumed} kWh; at most {MOST_GRAMS} g/kWh are possible");
        return Err(Wrong::new("emissions", why));
    }
    let mean = grams.map(|grams| grams / consumed).filter(|mean| mean.is_finite());
    let ended = job.ended_at.clone().unwrap_or_default();
    let intensity = mean.map(|mean| IntensityPart {
        zone: zone(row),
        mean_grams_per_kwh: mean,
        signal: "average".to_owned(),
        boundary: "unknown".to_owned(),
        settled: false,
        parts: vec![IntensityUse {
            from: job.started_at.clone(),
            to: ended.clone(),
            grams_per_kwh: mean,
            source: "codecarbon".to_owned(),
            kind: "estimated".to_owned(),
            // Not later than this.
            fetched_at: ended,
        }],
    });
    let grams = grams.map(micro);
    Ok(EmissionsPart {
        total_grams: grams,
        operational_grams: grams,
        embodied_grams: None,
        embodied: None,
        market_based: None,
        unsettled_grams: grams,
        intensity,
        timing: None,
        first_told: None,
    })
}

/// The zone in our codes where the country's or region's name is known, else CodeCarbon's
/// own words, else `unknown`.
fn zone(row: &Row) -> String {
    let (country, region) = (row.text("country_name"), row.text("region"));
    let named = |name: &str, of: Option<&str>| {
        table::entries().iter().find(|entry| {
            let inside = of.is_none_or(|country| {
                entry.zone.split_once('-').is_some_and(|(code, _)| code == country)
            });
            inside && entry.name.eq_ignore_ascii_case(name)
        })
    };
    if let Some(country) = named(country, None) {
        let part = named(region, Some(&country.zone)).unwrap_or(country);
        return part.zone.clone();
    }
    let code = row.text("country_iso_code");
    let words = if code.is_empty() { region } else { code };
    match table::lookup(words) {
        Some(entry) => entry.zone.clone(),
        None if words.is_empty() => "unknown".to_owned(),
        None => words.chars().take(64).collect(),
    }
}

/// Water of the cooling; CodeCarbon writes 0 where no WUE was set.
pub fn water(row: &Row, joules: f64) -> Result<Option<WaterPart>, Wrong> {
    let litres = row.number("water_consumed")?.filter(|litres| *litres > 0.0);
    Ok(litres.map(|litres| WaterPart {
        litres: Some(litres),
        site_litres: Some(litres),
        grid_litres: None,
        // Theirs is per kWh with the PUE, ours per kWh of the machines.
        site_litres_per_kwh: Some(litres / (joules / KWH)).filter(|factor| factor.is_finite()),
        grid_litres_per_kwh: None,
    }))
}

/// What the figures are, and what they are not.
pub fn notes(row: &Row, record: &Record, tasks: bool) -> Vec<String> {
    let version = match row.text("codecarbon_version") {
        "" => "CodeCarbon of an unknown version".to_owned(),
        aimeter if aimeter.starts_with("aimeter ") => aimeter.to_owned(),
        version => format!("CodeCarbon {version}"),
    };
    let version: String = version.chars().take(64).collect();
    let mut notes =
        vec![format!("counted by {version}; its file has no uncertainty of any figure")];
    if aimeters_word(row).is_none() {
        let has = |kind: &str| record.quality.coverage.iter().any(|counted| counted == kind);
        notes.extend(has("cpu").then(|| {
            {
                "CPU: the file does not say whether it was read by a sensor or estimated from \
             the model's TDP, so it is called estimated"
            }
            .to_owned()
        }));
        notes.extend(
            has("dram")
                .then(|| "DRAM: estimated by CodeCarbon from the size of the memory".to_owned()),
        );
        notes.extend(
            has("gpu").then(|| "GPU: of whole boards, whoever used them meanwhile".to_owned()),
        );
        if row.text("tracking_mode") == "machine" {
            notes.push(
                "CPU and DRAM are of the whole machine (tracking mode machine), whoever used it"
                    .to_owned(),
            );
        }
    }
    if record.emissions.intensity.is_some() {
        notes.push(
            "carbon intensity: the file's emissions by its energy; it does not say whose it \
             is, of what boundary, or whether of the hour or of a year. None better will come \
             by itself"
                .to_owned(),
        );
    }
    if record.energy.pue.is_none() {
        notes.push(
            "no PUE: the file has none, or 1, which CodeCarbon writes where none was set"
                .to_owned(),
        );
    }
    if tasks {
        notes.push("a task of a run: the run's own row, in another file, contains it".to_owned());
    }
    notes
}
