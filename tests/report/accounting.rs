// SPDX-License-Identifier: Apache-2.0
//! What the configuration adds to a record: each figure apart, by hand.

use aimeter::carbon::Known;
use aimeter::carbon::embodied::EmbodiedSettings;
use aimeter::carbon::resources::Accounting;
use aimeter::ledger::{JobReport, PueFact};
use aimeter::record::summary::{Style, summary};
use aimeter::record::{Record, account, build};

use crate::fixtures::*;

/// The example's energy, 1,735,200 J, in kWh.
const KWH: f64 = 0.482;

fn record(report: &JobReport, accounting: &Accounting) -> Record {
    let mut record = build(report, &host(), &facts());
    account(&mut record, report, accounting);
    record
}

fn near(found: Option<f64>, expected: f64) {
    let found = found.expect("a figure");
    assert!((found - expected).abs() <= 1e-6, "{found} is not {expected}");
}

#[test]
fn embodied_carbon_is_hours_times_rate_and_stands_beside_the_electricity() {
    let record = record(&holding(), &Accounting::default());
    let hours = 751.25 / 3_600.0;
    let (gpu, server) = (hours * 164e3 / 44_676.0, hours / 2.0 * 2_500e3 / 44_676.0);
    let emissions = &record.emissions;
    near(emissions.embodied_grams, gpu + server);
    near(emissions.operational_grams, KWH * 1.2 * 210.9);
    near(emissions.total_grams, KWH * 1.2 * 210.9 + gpu + server);
    let part = emissions.embodied.as_ref().unwrap();
    near(Some(part.gpu_grams), gpu);
    near(Some(part.server_grams), server);
    near(Some(part.gpu_seconds), 751.25);
    near(Some(part.server_seconds), 375.625);
    near(Some(part.highest_grams), gpu * 575.0 / 164.0 + server * 6_800.0 / 2_500.0);
    assert!(part.source.contains("Luccioni et al. 2022") && part.source.contains("NVIDIA HGX"));
}

#[test]
fn nothing_is_added_where_nothing_is_configured_or_known() {
    let off = EmbodiedSettings { off: true, ..EmbodiedSettings::default() };
    let off = Accounting { embodied: off, ..Accounting::default() };
    assert_eq!(record(&holding(), &off), build(&holding(), &host(), &facts()));
    // A job of an older ledger: nobody noted what it held.
    assert_eq!(record(&server(), &Accounting::default()), build(&server(), &host(), &facts()));
}

#[test]
fn without_an_intensity_the_hardware_alone_is_no_total() {
    let mut record = build(&holding(), &host(), &Known::default());
    account(&mut record, &holding(), &Accounting::default());
    assert_eq!(record.emissions.total_grams, None);
    assert!(record.emissions.embodied_grams.is_some());
}

#[test]
fn water_market_and_money_are_figures_apart() {
    let record = record(&holding(), &accounting());
    let water = record.water.unwrap();
    near(water.site_litres, KWH * 0.18);
    near(water.grid_litres, KWH * 1.2 * 3.9);
    near(water.litres, KWH * (0.18 + 1.2 * 3.9));
    let market = record.emissions.market_based.unwrap();
    near(market.grams, KWH * 1.2 * 50.0);
    near(record.cost.unwrap().amount, KWH * 1.2 * 0.25);
    let sum =
        record.emissions.operational_grams.unwrap() + record.emissions.embodied_grams.unwrap();
    near(record.emissions.total_grams, sum);
}

#[test]
fn unknown_energy_makes_no_litre_and_no_money() {
    let record = record(&report(), &accounting());
    assert_eq!(record.water.unwrap().litres, None);
    assert_eq!(record.cost.unwrap().amount, None);
    assert_eq!(record.emissions.market_based.unwrap().grams, None);
}

#[test]
fn water_of_the_site_alone_says_nothing_of_the_grid() {
    let site = Accounting { wue: Some(1.8), ..Accounting::default() };
    let water = record(&holding(), &site).water.unwrap();
    assert_eq!((water.grid_litres, water.grid_litres_per_kwh), (None, None));
    near(water.litres, KWH * 1.8);
}

#[test]
fn an_old_job_has_the_pue_of_its_time() {
    let mut report = holding();
    let fact = |from: &str, thousandths: u32, source: &str| PueFact {
        from: at(from),
        thousandths: Some(thousandths),
        source: source.into(),
    };
    // In force since long before, and changed at a third of the job's time.
    report.pue = vec![
        fact("2026-11-01T00:00:00Z", 1_100, "schedule"),
        fact("2026-11-24T09:04:10.416667Z", 1_400, "http"),
    ];
    let changed = record(&report, &Accounting::default());
    let pue = changed.energy.pue.as_ref().unwrap();
    assert!((pue.value - 1.3).abs() < 1e-6, "{}", pue.value);
    assert_eq!(pue.source, "http+schedule");
    let facility = changed.energy.facility_joules.unwrap();
    assert!((facility - 1_735_200.0 * 1.3).abs() < 2.0, "{facility}");
    let grams = changed.emissions.operational_grams.unwrap();
    assert!((grams - KWH * 1.3 * 210.9).abs() < 1e-3, "{grams}");
    // The job's own word stands above the building's.
    report.job.spec.pue_thousandths = Some(1_500);
    report.job.pue_thousandths = Some(1_500);
    let own = record(&report, &Accounting::default()).energy.pue.unwrap();
    assert_eq!((own.value, own.source.as_str()), (1.5, "flag"));
}

#[test]
fn the_summary_shows_each_with_where_it_comes_from() {
    let text = summary(&record(&holding(), &accounting()), Style { colour: false });
    let expected = "
  CO2e               129 g  of electricity and hardware
    operational      122 g  GB 211 g/kWh (average, lifecycle), yearly mean by OWID/Ember 2024
    embodied        6.60 g  making the hardware held (6.60 g to 18.6 g), server: Luccioni et al. 2022; NVIDIA H100 80GB HBM3: NVIDIA HGX H100 footprint summary
  like           527 m driven by a mean US car (US EPA equivalencies calculator)
  market-based      28.9 g  by contract: 50.0 g/kWh, wind power agreement 2026
  water             2.34 L  0.0868 L on site, 2.26 L by the grid
  cost           0.145 EUR  0.25 EUR a kWh
";
    assert!(text.contains(expected.trim_start_matches('\n')), "it was:\n{text}");
}
