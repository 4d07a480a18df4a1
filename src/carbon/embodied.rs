// SPDX-License-Identifier: Apache-2.0
//! Embodied carbon: what making the hardware emitted, spread over the hours in which
//! it is used.
//!
//! A job bears, for each hour that it holds a device alone, mass ÷ (lifetime ×
//! utilisation): idle life is spread over used hours, as Luccioni et al. do (JMLR
//! 24:253, arXiv 2211.02001); the SCI does not divide by utilisation. How long a job
//! held what is a fact of the ledger ([`Held`]); the masses are in `embodied.csv`
//! beside this file, each with its source, or in the configuration. Always a figure
//! of its own beside that of the electricity: published masses of one GPU differ by
//! a factor of three, so the range is given with it.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::ledger::Held;
use crate::units::Emissions;

const TABLE: &str = include_str!("embodied.csv");

static FIGURES: LazyLock<Vec<Figure>> = LazyLock::new(|| {
    csv::Reader::from_reader(TABLE.as_bytes()).deserialize().filter_map(Result::ok).collect()
});

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Figure {
    /// `server` or `gpu`.
    pub what: String,
    /// NVML's name without `NVIDIA`; empty: any.
    pub model: String,
    /// kg CO2e of making one.
    pub kg: f64,
    /// Lowest published figure.
    pub low_kg: f64,
    /// Highest published figure.
    pub high_kg: f64,
    /// Years.
    pub lifetime_years: f64,
    /// The part of its life in which it is used, 0 to 1.
    pub utilisation: f64,
    /// Of the source.
    pub year: u16,
    /// Who says so.
    pub source: String,
    /// What it counts, and who says otherwise.
    pub note: String,
}

/// All rows, those for any model first.
pub fn figures() -> &'static [Figure] {
    &FIGURES
}

/// What the configuration says: each replaces the table's value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmbodiedSettings {
    /// Not computed at all.
    pub off: bool,
    /// kg CO2e of a server without its GPUs.
    pub server_kg: Option<f64>,
    /// kg CO2e of a GPU, whatever its model.
    pub gpu_kg: Option<f64>,
    /// Years.
    pub lifetime_years: Option<f64>,
    /// 0 to 1.
    pub utilisation: Option<f64>,
}

/// What an hour of holding a device emits.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    /// Nanograms CO2e per hour.
    pub nanograms_per_hour: u64,
    /// The same by the lowest published mass.
    pub low: u64,
    /// The same by the highest.
    pub high: u64,
    /// Who says so; `config` where the configuration gives the mass.
    pub source: String,
}

impl EmbodiedSettings {
    /// Of the machine without its GPUs; `None` where switched off.
    pub fn server(&self) -> Option<Rate> {
        self.rate(figure("server", "")?, self.server_kg)
    }

    /// Of one GPU by NVML's name; `None` where switched off.
    pub fn gpu(&self, model: &str) -> Option<Rate> {
        let model = model.strip_prefix("NVIDIA ").unwrap_or(model);
        self.rate(figure("gpu", model).or_else(|| figure("gpu", ""))?, self.gpu_kg)
    }

    /// What making a server with these GPUs emitted; `None` where switched off.
    pub fn made(&self, gpus: &[&str]) -> Option<Made> {
        if self.off {
            return None;
        }
        let mut made = Made { grams: 0.0, lifetime_seconds: 0.0, sources: Vec::new() };
        let mut grams_per_second = 0.0;
        let server = figure("server", "").map(|figure| ("server", figure, self.server_kg));
        let gpus = gpus.iter().filter_map(|model| {
            let name = model.strip_prefix("NVIDIA ").unwrap_or(model);
            let figure = figure("gpu", name).or_else(|| figure("gpu", ""))?;
            Some((*model, figure, self.gpu_kg))
        });
        for (what, figure, kg) in server.into_iter().chain(gpus) {
            let grams = kg.unwrap_or(figure.kg) * 1e3;
            let years = self.lifetime_years.unwrap_or(figure.lifetime_years);
            made.grams += grams;
            grams_per_second += grams / (years * SECONDS_PER_YEAR);
            let source = if kg.is_some() { "config" } else { figure.source.as_str() };
            let source = format!("{what}: {source}");
            if !made.sources.contains(&source) {
                made.sources.push(source);
            }
        }
        made.lifetime_seconds = made.grams / grams_per_second;
        made.lifetime_seconds.is_finite().then_some(made)
    }

    fn rate(&self, figure: &Figure, kg: Option<f64>) -> Option<Rate> {
        let years = self.lifetime_years.unwrap_or(figure.lifetime_years);
        // 365 days a year: 6 years at 85 % are the 44,676 hours of Luccioni et al.
        let hours = years * 8_760.0 * self.utilisation.unwrap_or(figure.utilisation);
        let rate = |mass: f64| (kg.unwrap_or(mass) * 1e12 / hours).round() as u64;
        let source = if kg.is_some() { "config".to_owned() } else { figure.source.clone() };
        (!self.off).then(|| Rate {
            nanograms_per_hour: rate(figure.kg),
            low: rate(figure.low_kg),
            high: rate(figure.high_kg),
            source,
        })
    }
}

/// The making of a whole machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// Grams CO2e.
    pub grams: f64,
    /// Seconds over which they are spread: of all parts together, where those differ.
    pub lifetime_seconds: f64,
    /// Who says so, for each kind of hardware.
    pub sources: Vec<String>,
}

/// 365 days a year, as [`EmbodiedSettings`] has it.
const SECONDS_PER_YEAR: f64 = 365.0 * 86_400.0;

fn figure(what: &str, model: &str) -> Option<&'static Figure> {
    FIGURES.iter().find(|figure| figure.what == what && figure.model.eq_ignore_ascii_case(model))
}

/// The embodied emissions of what a job held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embodied {
    /// Of the machine without its GPUs.
    pub server: Emissions,
    /// Of the GPUs.
    pub gpus: Emissions,
    /// Both, by the lowest published masses.
    pub low: Emissions,
    /// Both, by the highest.
    pub high: Emissions,
    /// Who says so, for each kind of hardware held.
    pub sources: Vec<String>,
}

impl Embodied {
    /// Of what was held; `None` where switched off.
    pub fn of(held: &Held, settings: &EmbodiedSettings) -> Option<Embodied> {
        let mut sum = Embodied::default();
        let server = settings.server()?;
        sum.server = sum.add("server", held.machine_microseconds, &server);
        for gpu in &held.gpus {
            let rate = settings.gpu(&gpu.model)?;
            let part = sum.add(&gpu.model, gpu.microseconds, &rate);
            sum.gpus = sum.gpus.saturating_add(part);
        }
        Some(sum)
    }

    fn add(&mut self, what: &str, microseconds: u64, rate: &Rate) -> Emissions {
        let part = |rate: u64| Emissions::of_time(microseconds, rate);
        self.low = self.low.saturating_add(part(rate.low));
        self.high = self.high.saturating_add(part(rate.high));
        let source = format!("{what}: {}", rate.source);
        if !self.sources.contains(&source) {
            self.sources.push(source);
        }
        part(rate.nanograms_per_hour)
    }

    /// Of all hardware.
    pub fn total(&self) -> Emissions {
        self.server.saturating_add(self.gpus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::HeldGpu;

    #[test]
    fn every_row_is_read_has_a_source_and_lies_within_its_range() {
        assert_eq!(figures().len(), TABLE.lines().count() - 1);
        for figure in figures() {
            assert!(["server", "gpu"].contains(&figure.what.as_str()), "{figure:?}");
            assert!(figure.low_kg <= figure.kg && figure.kg <= figure.high_kg, "{figure:?}");
            // grid.md 4.3: a service once answered 1,000 t for a server.
            assert!((10.0..=20_000.0).contains(&figure.kg), "{figure:?}");
            assert!(!figure.source.is_empty() && !figure.note.is_empty(), "{figure:?}");
        }
    }

    #[test]
    fn the_default_is_luccionis_and_a_model_with_a_figure_has_its_own() {
        let settings = EmbodiedSettings::default();
        let grams = |rate: Rate| rate.nanograms_per_hour as f64 / 1e9;
        assert!((grams(settings.server().unwrap()) - 55.96).abs() < 0.005);
        assert!((grams(settings.gpu("NVIDIA L40S").unwrap()) - 3.358).abs() < 0.0005);
        let h100 = settings.gpu("NVIDIA H100 80GB HBM3").unwrap();
        assert!((grams(h100.clone()) - 164_000.0 / 44_676.0).abs() < 1e-6);
        assert_eq!(h100.source, "NVIDIA HGX H100 footprint summary");
        // The PCIe card has no baseboard: its figure is not that one.
        assert_eq!(settings.gpu("NVIDIA H100 PCIe").unwrap().source, "Luccioni et al. 2022");
    }

    #[test]
    fn the_configuration_replaces_or_switches_off() {
        let own = EmbodiedSettings {
            gpu_kg: Some(100.0),
            lifetime_years: Some(4.0),
            utilisation: Some(1.0),
            ..EmbodiedSettings::default()
        };
        let rate = own.gpu("NVIDIA B200").unwrap();
        assert_eq!(rate.nanograms_per_hour, (100e12_f64 / (4.0 * 8_760.0)).round() as u64);
        assert_eq!((rate.low, rate.high), (rate.nanograms_per_hour, rate.nanograms_per_hour));
        assert_eq!(rate.source, "config");
        let off = EmbodiedSettings { off: true, ..own };
        assert_eq!(Embodied::of(&Held::default(), &off), None);
    }

    #[test]
    fn a_machine_is_its_server_and_its_gpus() {
        let settings = EmbodiedSettings::default();
        let made = settings.made(&["NVIDIA L40S", "NVIDIA L40S"]).unwrap();
        assert_eq!(made.grams, 2_800_000.0);
        assert!((made.lifetime_seconds - 6.0 * 365.0 * 86_400.0).abs() < 1e-3);
        assert_eq!(made.sources.len(), 2);
        let own = EmbodiedSettings { gpu_kg: Some(100.0), ..EmbodiedSettings::default() };
        assert_eq!(own.made(&["NVIDIA L40S"]).unwrap().grams, 2_600_000.0);
        let off = EmbodiedSettings { off: true, ..own };
        assert_eq!(off.made(&[]), None);
    }

    #[test]
    fn hours_held_times_rates_add_up() {
        let hour = 3_600_000_000;
        let held = Held {
            machine_microseconds: hour / 2,
            gpus: vec![
                HeldGpu { model: "NVIDIA L40S".into(), microseconds: hour },
                HeldGpu { model: "NVIDIA L40S".into(), microseconds: hour },
            ],
        };
        let embodied = Embodied::of(&held, &EmbodiedSettings::default()).unwrap();
        assert!((embodied.server.grams() - 27.98).abs() < 0.005);
        assert!((embodied.gpus.grams() - 6.715).abs() < 0.001);
        assert!(embodied.low < embodied.total() && embodied.total() < embodied.high);
        let sources = ["server: Luccioni et al. 2022", "NVIDIA L40S: Luccioni et al. 2022"];
        assert_eq!(embodied.sources, sources);
    }
}
