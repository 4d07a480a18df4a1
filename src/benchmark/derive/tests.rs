// SPDX-License-Identifier: Apache-2.0
//! What is derived, against figures worked by hand.

use proptest::prelude::*;

use super::*;
use crate::benchmark::fixture::{self, again};
use crate::benchmark::record::{PueKind, PueStatement};

#[track_caller]
fn near(value: f64, oracle: f64) {
    let tolerance = oracle.abs() * 1e-6;
    assert!((value - oracle).abs() <= tolerance, "{value} is not {oracle}");
}

/// Three windows of 60 s and 10 units; 100, 102 and 98 J by a GPU (60 J, gain ± 5 %), a
/// package and its memory (both ± 2 %); at 100, 200 and 300 g/kWh.
fn small() -> BenchmarkRecord {
    let mut record = fixture::record();
    record.repetitions.truncate(3);
    let figures = [(30.0, 100.0), (32.0, 200.0), (28.0, 300.0)];
    for (one, (package, grams)) in record.repetitions.iter_mut().zip(figures) {
        (one.seconds, one.units, one.joules) = (60.0, 10.0, 70.0 + package);
        one.domains.retain(|domain| {
            [format!("nvml:{}", fixture::uuid(0)).as_str(), "rapl:package-0", "rapl:package-0/dram"]
                .contains(&domain.id.as_str())
        });
        let parts = [(60.0, 3.0, 5.0), (package, 4.0, 2.0), (10.0, 0.0, 2.0)];
        for (domain, (joules, uncertainty, percent)) in one.domains.iter_mut().zip(parts) {
            domain.joules = joules;
            domain.uncertainty_joules = uncertainty;
            domain.common_percent = Some(percent);
        }
        if let Some(intensity) = &mut one.intensity {
            intensity.grams_per_kwh = grams;
        }
    }
    record.pue = Some(PueStatement { value: 1.5, source: "s".into(), kind: PueKind::Stated });
    if let Some(embodied) = &mut record.embodied {
        (embodied.te_grams, embodied.el_seconds, embodied.tor) = (3.6e6, 1e8, 2.0);
    }
    record
}

#[test]
fn the_statistics_are_those_by_hand() {
    let derived = derive(&small()).unwrap();
    assert_eq!(derived.values, [10.0, 10.2, 9.8]);
    let statistics = derived.statistics;
    assert_eq!(statistics.repetitions, 3);
    near(statistics.mean, 10.0);
    // s = 0.2; t(2) × 0.2 / √3.
    near(statistics.deviation.unwrap(), 0.2);
    near(statistics.repetition_half_width.unwrap(), 4.302_653 * 0.2 / 3f64.sqrt());
    // √(3² + 4²) J on 10 units, three times: √(3 × 0.5²) / 3.
    near(statistics.meter_half_width, 0.75f64.sqrt() / 3.0);
    // 180 J × 5 % of the GPU; (90 + 30) J × 2 % of the package with its memory; of 300 J.
    near(statistics.common_percent, (900f64.powi(2) + 240f64.powi(2)).sqrt() / 300.0);
    near(statistics.common_half_width, 0.310_483_494);
    // u = √(0.115470² + 0.158413²) = 0.196031, ν = 16.613, t = 2.113566.
    near(statistics.degrees_of_freedom.unwrap(), 16.612_972);
    near(statistics.combined_half_width, 0.414_323_45);
    near(statistics.low, 10.0 - 0.414_323_45);
    near(statistics.high, 10.0 + 0.414_323_45);
    // Slope −0.1, residuals −0.1, 0.2, −0.1: far within t(1) = 12.7.
    near(statistics.drift_per_repetition.unwrap(), -0.1);
    assert!(!statistics.drift_shown);
    assert_eq!(statistics.outlier, None);
}

#[test]
fn the_score_is_that_by_hand() {
    let score = derive(&small()).unwrap().score;
    near(score.joules_per_unit, 10.0);
    near(score.facility_joules_per_unit.unwrap(), 15.0);
    // (100 J × 100 + 102 J × 200 + 98 J × 300) / 300 J.
    near(score.grams_per_kwh.unwrap(), 59_800.0 / 300.0);
    near(score.operational_grams_per_unit.unwrap(), 15.0 * 59_800.0 / 300.0 / 3.6e6);
    // 3.6e6 g × 180 s / 1e8 s × 1 / 2 on 30 units.
    near(score.embodied_grams_per_unit.unwrap(), 0.108);
    near(score.sci_grams_per_unit.unwrap(), 0.108 + 15.0 * 59_800.0 / 300.0 / 3.6e6);
}

#[test]
fn embodied_carbon_is_that_of_the_standards_own_example() {
    // SCI 1.1: 1,000 kg over 4 years, an hour of it: about 28 g.
    let mut record = small();
    record.repetitions.truncate(1);
    (record.repetitions[0].seconds, record.repetitions[0].units) = (3_600.0, 1.0);
    if let Some(embodied) = &mut record.embodied {
        embodied.te_grams = 1e6;
        embodied.el_seconds = 4.0 * 365.0 * 86_400.0;
        embodied.tor = 1.0;
    }
    near(derive(&record).unwrap().score.embodied_grams_per_unit.unwrap(), 28.538_813);
}

#[test]
fn what_is_not_known_is_null_and_makes_no_score() {
    let mut record = small();
    record.repetitions[1].intensity = None;
    record.pue = None;
    let score = derive(&record).unwrap().score;
    assert_eq!(score.grams_per_kwh, None);
    assert_eq!(score.operational_grams_per_unit, None);
    assert_eq!(score.sci_grams_per_unit, None);
    assert_eq!(score.facility_joules_per_unit, None);
    assert!(score.embodied_grams_per_unit.is_some());

    let mut record = small();
    record.embodied = None;
    record.pue = None;
    let score = derive(&record).unwrap().score;
    assert_eq!(score.sci_grams_per_unit, None);
    // Of the machine alone.
    near(score.operational_grams_per_unit.unwrap(), 10.0 * 59_800.0 / 300.0 / 3.6e6);
}

#[test]
fn a_gain_error_is_of_the_energy_whose_sensors_state_one() {
    let mut record = small();
    for one in &mut record.repetitions {
        one.domains[1].common_percent = None;
        one.domains[2].common_percent = None;
    }
    near(derive(&record).unwrap().statistics.common_percent, 5.0);
    // All estimates have one error, which is as large as they are where nobody states it.
    for one in &mut record.repetitions {
        one.domains.remove(0);
        one.domains[0].method = "estimate".into();
        one.domains[1].method = "estimate".into();
    }
    near(derive(&record).unwrap().statistics.common_percent, 100.0);
}

#[test]
fn what_is_not_summed_counts_for_nothing() {
    let mut record = small();
    let before = derive(&record).unwrap();
    for one in &mut record.repetitions {
        let mut node = one.domains[0].clone();
        (node.kind, node.summed, node.joules) = ("node".into(), false, 1e9);
        one.domains.push(node);
    }
    let after = derive(&record).unwrap();
    assert_eq!(
        (after.values, after.statistics, after.score),
        (before.values, before.statistics, before.score)
    );
}

#[test]
fn what_cannot_be_computed_with_is_an_error() {
    let mut record = small();
    record.repetitions[1].units = 0.0;
    let error = derive(&record).unwrap_err().to_string();
    assert!(error.contains("the value of repetition 2 is inf"), "{error}");
    record.repetitions.clear();
    assert_eq!(derive(&record), Err(Unusable::None));
}

proptest! {
    #[test]
    fn a_unit_of_another_size_changes_figures_per_unit_alone(
        factor in 1e-6_f64..1e6,
        which in 0.5_f64..2.0,
    ) {
        let mut record = fixture::record();
        record.repetitions[2].units *= which;
        let before = derive(&record).unwrap();
        for one in &mut record.repetitions {
            one.units *= factor;
        }
        let after = derive(&record).unwrap();
        for (after, before) in [
            (after.statistics.mean, before.statistics.mean),
            (after.statistics.combined_half_width, before.statistics.combined_half_width),
            (after.statistics.meter_half_width, before.statistics.meter_half_width),
            (after.score.sci_grams_per_unit.unwrap(), before.score.sci_grams_per_unit.unwrap()),
        ] {
            near(after * factor, before);
        }
        near(after.statistics.common_percent, before.statistics.common_percent);
        prop_assert_eq!(after.statistics.drift_shown, before.statistics.drift_shown);
        prop_assert_eq!(after.statistics.outlier, before.statistics.outlier);
        prop_assert_eq!(after.level, before.level);
    }

    #[test]
    fn what_all_windows_have_in_common_does_not_shrink_with_their_number(
        percent in 0.0_f64..50.0,
        count in 1_usize..5,
    ) {
        let mut record = fixture::record();
        for domain in record.repetitions.iter_mut().flat_map(|one| &mut one.domains) {
            domain.common_percent = Some(percent);
        }
        let all = derive(&record).unwrap().statistics;
        record.repetitions.truncate(count);
        let some = derive(&record).unwrap().statistics;
        near(some.common_percent, all.common_percent);
        near(some.common_half_width / some.mean, all.common_half_width / all.mean);
        prop_assert!(some.combined_half_width >= some.common_half_width * 0.999_999);
    }

    #[test]
    fn the_order_of_the_windows_changes_no_interval(turn in 0_usize..5) {
        let mut record = fixture::record();
        let before = derive(&record).unwrap().statistics;
        record.repetitions.rotate_left(turn);
        let after = derive(&again(record)).unwrap().statistics;
        near(after.combined_half_width, before.combined_half_width);
        near(after.mean, before.mean);
    }
}
