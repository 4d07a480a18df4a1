// SPDX-License-Identifier: Apache-2.0
//! The comparison table of Luccioni, Viguier and Ligozat, "Estimating the carbon
//! footprint of BLOOM, a 176B parameter language model" (JMLR 24:253, arXiv
//! 2211.02001), recomputed by aimeter's own functions from energy, intensity and PUE,
//! and compared with what is printed, and with `docs/carbon.md`.
//! `AIMETER_UPDATE=1` writes the table there anew.

use std::fmt::Write;
use std::path::Path;

use aimeter::benchmark::reference;
use aimeter::carbon::embodied::{Embodied, EmbodiedSettings, figures};
use aimeter::carbon::operational;
use aimeter::ledger::{Held, HeldGpu, IntensityFact, IntensityKind, IntervalEnergy};
use aimeter::units::{Energy, Intensity, MICROJOULES_PER_KWH};
use jiff::Timestamp;

const BEGIN: &str = "<!-- generated: begin -->\n";
const END: &str = "<!-- generated: end -->\n";

/// A row as printed.
struct Row {
    model: &'static str,
    megawatt_hours: f64,
    pue: f64,
    grams_per_kwh: f64,
    tonnes: f64,
    tonnes_with_pue: f64,
    /// Whether the printed energy contains the PUE.
    is_facility: bool,
    remark: &'static str,
}

const ROWS: [Row; 4] = [
    Row {
        model: "GPT-3",
        megawatt_hours: 1_287.0,
        pue: 1.1,
        grams_per_kwh: 429.0,
        tonnes: 502.0,
        tonnes_with_pue: 552.0,
        is_facility: true,
        remark: "exception: the 1,287 MWh contain the PUE, so they are divided by it first",
    },
    Row {
        model: "Gopher",
        megawatt_hours: 1_066.0,
        pue: 1.08,
        grams_per_kwh: 330.0,
        tonnes: 352.0,
        tonnes_with_pue: 380.0,
        is_facility: false,
        remark: "",
    },
    Row {
        model: "OPT-175B",
        megawatt_hours: 324.0,
        pue: 1.09,
        grams_per_kwh: 231.0,
        tonnes: 70.0,
        tonnes_with_pue: 76.3,
        is_facility: false,
        remark: "exception: 324 MWh (inferred, not published) at 231 g/kWh are not 70 t; 70 × 1.09 is 76.3",
    },
    Row {
        model: "BLOOM",
        megawatt_hours: 433.0,
        pue: 1.2,
        grams_per_kwh: 57.0,
        tonnes: 25.0,
        tonnes_with_pue: 30.0,
        is_facility: false,
        remark: "",
    },
];

/// Tonnes CO2e of so many kWh at an intensity and a PUE, by the function that records
/// are made with.
fn tonnes(kwh: f64, grams_per_kwh: f64, pue: f64) -> f64 {
    let energy = Energy::from_microjoules((kwh * MICROJOULES_PER_KWH as f64).round() as u64);
    let (from, to) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
    let fact = IntensityFact {
        zone: "FR".into(),
        from,
        to,
        intensity: Intensity::from_grams_per_kwh(grams_per_kwh).unwrap(),
        signal: "average".into(),
        boundary: "lifecycle".into(),
        source: "Luccioni et al.".into(),
        kind: IntensityKind::Actual,
        fetched_at: from,
        provider_updated_at: None,
    };
    let month = 30 * 86_400_000_000;
    let intervals = [IntervalEnergy { from_microseconds: 0, to_microseconds: month, energy }];
    operational(&intervals, &[fact], (pue * 1_000.0).round() as u32).emissions.grams() / 1e6
}

impl Row {
    /// Without and with PUE.
    fn recomputed(&self) -> (f64, f64) {
        let it =
            if self.is_facility { self.megawatt_hours / self.pue } else { self.megawatt_hours };
        let of = |pue| tonnes(it * 1e3, self.grams_per_kwh, pue);
        (of(1.0), of(self.pue))
    }
}

fn row(model: &str) -> &'static Row {
    ROWS.iter().find(|row| row.model == model).unwrap()
}

#[test]
fn gopher_and_bloom_come_out_within_the_rounding_of_the_print() {
    for model in ["Gopher", "BLOOM"] {
        let (bare, with_pue) = row(model).recomputed();
        assert_eq!(bare.round(), row(model).tonnes, "{model}: {bare}");
        assert_eq!(with_pue.round(), row(model).tonnes_with_pue, "{model}: {with_pue}");
    }
}

#[test]
fn gpt_3s_energy_contains_the_pue_already() {
    let gpt = row("GPT-3");
    let (bare, with_pue) = gpt.recomputed();
    assert_eq!((bare.round(), with_pue.round()), (gpt.tonnes, gpt.tonnes_with_pue));
    // Taken as energy of the IT equipment it would be counted twice.
    let twice = tonnes(gpt.megawatt_hours * 1e3, gpt.grams_per_kwh, gpt.pue);
    assert!((twice - 607.3).abs() < 0.05, "{twice}");
}

#[test]
fn opts_own_figures_do_not_give_its_70_tonnes() {
    let (bare, with_pue) = row("OPT-175B").recomputed();
    assert!((bare - 74.8).abs() < 0.05 && (with_pue - 81.6).abs() < 0.05, "{bare} {with_pue}");
    assert!((row("OPT-175B").tonnes * row("OPT-175B").pue - 76.3).abs() < 0.05);
}

/// The rows of reference in `aimeter bench table` are these, and come to the same tonnes.
#[test]
fn the_shipped_rows_of_reference_are_the_printed_ones() {
    assert_eq!(reference::published().len(), ROWS.len());
    for (model, row) in reference::published().iter().zip(&ROWS) {
        let found = (model.megawatt_hours, model.pue, model.grams_per_kwh, model.tonnes);
        assert_eq!(found, (row.megawatt_hours, row.pue, row.grams_per_kwh, row.tonnes));
        let found = (model.name.as_str(), model.energy_contains_pue, model.tonnes_with_pue);
        assert_eq!(found, (row.model, row.is_facility, row.tonnes_with_pue));
        let rows = reference::rows();
        let shown = rows.iter().find(|shown| shown.name == row.model).expect("a row");
        let (_, with_pue) = row.recomputed();
        assert!((shown.operational_grams_per_run / 1e6 / with_pue - 1.0).abs() < 1e-6);
    }
    let bloom = reference::published().iter().find(|model| model.name == "BLOOM").expect("a row");
    let [.., embodied] = bloom_in_parts();
    assert!((bloom.embodied_tonnes.expect("known") - embodied).abs() < 0.05);
}

/// BLOOM's dynamic, idle and embodied tonnes.
fn bloom_in_parts() -> [f64; 3] {
    let gpu_hours = 1_082_990;
    let hour = 3_600_000_000;
    // Nodes of 8 GPUs: each GPU's job holds an eighth of its server.
    let held = Held {
        machine_microseconds: gpu_hours * hour / 8,
        gpus: vec![HeldGpu {
            model: "NVIDIA A100-SXM4-80GB".into(),
            microseconds: gpu_hours * hour,
        }],
    };
    let embodied = Embodied::of(&held, &EmbodiedSettings::default()).unwrap();
    assert!((embodied.server.grams() / 1e6 - 7.57).abs() < 0.01);
    assert!((embodied.gpus.grams() / 1e6 - 3.64).abs() < 0.01);
    let [dynamic, idle] = [433_196.0, 256_646.0].map(|kwh| tonnes(kwh, 57.0, 1.0));
    [dynamic, idle, embodied.total().grams() / 1e6]
}

#[test]
fn bloom_is_50_and_a_half_tonnes_from_its_parts() {
    let parts = bloom_in_parts();
    for (part, printed) in parts.iter().zip([24.7, 14.6, 11.2]) {
        assert!((part - printed).abs() < 0.05, "{part} is not {printed}");
    }
    let sum: f64 = parts.iter().sum();
    assert!((sum - 50.5).abs() < 0.05, "{sum}");
}

/// The table of masses for people has a row for each of the program's.
#[test]
fn the_documents_masses_are_the_programs() {
    let page = include_str!("../docs/carbon.md");
    let digits = |text: &str| text.replace(',', "");
    for figure in figures() {
        let model = match (figure.what.as_str(), figure.model.as_str()) {
            ("server", _) => "server without its GPUs",
            (_, "") => "any other GPU",
            (_, model) => model,
        };
        let row = page.lines().find(|line| line.starts_with(&format!("| {model}")));
        let row = digits(row.unwrap_or_else(|| panic!("no row of {model}")));
        let hours = figure.lifetime_years * 8_760.0 * figure.utilisation;
        let hour = figure.kg * 1e3 / hours;
        let hour = if hour < 10.0 { format!("{hour:.3} g") } else { format!("{hour:.2} g") };
        let range = format!("{} to {}", figure.low_kg, figure.high_kg);
        for part in [format!("| {} |", figure.kg), range, hour] {
            assert!(row.contains(&part), "{model}: {part} is not in {row}");
        }
    }
}

fn table() -> String {
    let mut text = String::from(
        "| model | MWh | PUE | g/kWh | t, printed | t, recomputed | t with PUE, printed | t with PUE, recomputed | |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in &ROWS {
        let (bare, with_pue) = row.recomputed();
        let Row { model, megawatt_hours, pue, grams_per_kwh, tonnes, tonnes_with_pue, .. } = row;
        _ = writeln!(
            text,
            "| {model} | {megawatt_hours} | {pue} | {grams_per_kwh} | {tonnes} | {bare:.1} | \
             {tonnes_with_pue} | {with_pue:.1} | {} |",
            row.remark
        );
    }
    let [dynamic, idle, embodied] = bloom_in_parts();
    let sum = dynamic + idle + embodied;
    _ = write!(
        text,
        "\nBLOOM from its parts: {dynamic:.1} t (433,196 kWh while computing) + {idle:.1} t \
         (256,646 kWh idle) + {embodied:.1} t (1,082,990 GPU-hours of hardware) = {sum:.1} t.\n"
    );
    text
}

#[test]
fn the_documents_table_is_the_recomputed_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/carbon.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page marks its generated part");
    let (_, after) = rest.split_once(END).expect("the page marks the part's end");
    let expected = format!("{before}{BEGIN}\n{}\n{END}{after}", table());
    if std::env::var_os("AIMETER_UPDATE").is_some() {
        std::fs::write(&path, expected).unwrap();
    } else {
        assert_eq!(page, expected, "AIMETER_UPDATE=1 cargo test --test luccioni writes it");
    }
}
