// SPDX-License-Identifier: Apache-2.0
//! The statistics against worked examples and tables of the literature.

use proptest::prelude::*;

use super::student::{Component, expanded, quantile};
use super::*;

pub(super) fn exact(values: &[f64]) -> Vec<Repetition> {
    values.iter().map(|value| Repetition { value: *value, uncertainty: 0.0 }).collect()
}

fn summed(values: &[f64], common_percent: f64) -> Summary {
    summary(&exact(values), common_percent).expect("usable values")
}

#[track_caller]
fn near(value: f64, oracle: f64, tolerance: f64) {
    assert!((value - oracle).abs() <= tolerance, "{value} is not {oracle} ± {tolerance}");
}

#[test]
fn quantiles_are_those_of_the_printed_tables() {
    // NIST/SEMATECH e-Handbook 1.3.6.7.2, more digits by R's qt.
    for (freedom, oracle) in
        [(1.0, 12.706_205), (2.0, 4.302_653), (4.0, 2.776_445), (9.0, 2.262_157), (30.0, 2.042_272)]
    {
        near(quantile(0.95, freedom), oracle, 1e-6);
    }
    // Where the exact quantile hands over to its series.
    near(quantile(0.95, 9_999.0), quantile(0.95, 10_001.0), 1e-6);
    near(quantile(0.95, 1e9), student::NORMAL_95, 1e-8);
    near(quantile(0.95, f64::INFINITY), student::NORMAL_95, 1e-9);
}

#[test]
fn mean_and_scatter_are_those_of_the_gum() {
    // JCGM 100:2008 table H.2: five readings of a voltage and of a current.
    let volts = summed(&[5.007, 4.994, 5.005, 4.990, 4.999], 0.0);
    near(volts.mean, 4.9990, 1e-9);
    near(volts.deviation.expect("five") / 5f64.sqrt(), 0.0032, 5e-5);
    let milliamperes = summed(&[19.663, 19.639, 19.640, 19.685, 19.678], 0.0);
    near(milliamperes.mean, 19.6610, 1e-9);
    near(milliamperes.deviation.expect("five") / 5f64.sqrt(), 0.0095, 5e-5);
}

#[test]
fn freedom_is_that_of_the_gum() {
    // JCGM 100:2008 G.4.2: 0.25 %, 0.57 %, 0.82 % of 10, 5, 15 readings.
    let component = |standard, freedom| Component { standard, freedom };
    let whole = expanded(&[component(0.25, 9.0), component(0.57, 4.0), component(0.82, 14.0)]);
    near(whole.freedom, 19.0, 0.2);
    near(whole.half_width, 2.2, 0.05);
}

#[test]
fn repetition_and_measurement_stay_apart_and_add_in_quadrature() {
    // By hand: s = 1, u_rep = 1/√3; u_gain = 3.92/1.96 = 2; ν = 2 × (1 + 4×3)² = 338.
    let whole = summed(&[99.0, 100.0, 101.0], 3.919_927_969);
    near(whole.repetition.expect("three"), 4.302_653 / 3f64.sqrt(), 1e-6);
    near(whole.common, 3.919_927_969, 1e-9);
    near(whole.combined.freedom, 338.0, 1e-3);
    near(whole.combined.half_width, 1.967_007 * (4.0 + 1.0 / 3.0f64).sqrt(), 1e-3);
}

#[test]
fn one_repetition_has_the_measurement_only() {
    let one = [Repetition { value: 50.0, uncertainty: 3.0 }];
    let whole = summary(&one, 8.0).expect("usable");
    assert_eq!((whole.deviation, whole.repetition), (None, None));
    near(whole.combined.half_width, 5.0, 1e-12); // 3 and 8 % of 50 in quadrature
}

#[test]
fn equal_values_are_no_surer_than_the_meter() {
    let stuck = [Repetition { value: 50.0, uncertainty: 3.0 }; 9];
    let whole = summary(&stuck, 0.0).expect("usable");
    assert_eq!(whole.repetition, Some(0.0));
    near(whole.combined.half_width, 1.0, 1e-12); // 3/√9
}

#[test]
fn the_outlier_of_the_handbook_is_noted_and_stays_in_the_mean() {
    // NIST/SEMATECH e-Handbook 1.3.5.17.1: G = 2.4687.
    let values = [199.31, 199.53, 200.19, 200.82, 201.92, 201.95, 202.18, 245.57];
    let whole = summed(&values, 0.0);
    let noted = outlier(&exact(&values), &whole).expect("an outlier");
    assert_eq!(noted.index, 7);
    near(noted.distance, 2.4687, 1e-4);
    near(whole.mean, values.iter().sum::<f64>() / 8.0, 1e-9);
    assert_eq!(outlier(&exact(&values[..7]), &summed(&values[..7], 0.0)), None);
}

#[test]
fn outlier_limits_are_those_of_the_printed_table() {
    // Grubbs and Beck, Technometrics 14 (1972), 5 % two-sided (2.5 % one-sided).
    for (count, oracle) in [(3, 1.155), (5, 1.715), (8, 2.126), (10, 2.290)] {
        near(outlier::limit(count).expect("enough"), oracle, 1e-3);
    }
    assert_eq!(outlier::limit(2), None);
}

#[test]
fn drift_is_the_slope_with_its_interval() {
    // By hand: slope 6.5/5, residuals 0.2 −0.1 −0.4 0.3, s² = 0.15, t(2) = 4.302653.
    let found = drift(&exact(&[1.0, 2.0, 3.0, 5.0])).expect("four");
    near(found.slope, 1.3, 1e-12);
    near(found.half_width, 4.302_653 * 0.03f64.sqrt(), 1e-6);
    assert!(found.shown);
    assert!(!drift(&exact(&[1.0, 3.0, 2.0, 2.5])).expect("four").shown);
    assert!(!drift(&exact(&[0.1; 7])).expect("seven").shown);
    assert_eq!(drift(&exact(&[1.0, 2.0])), None);
}

#[test]
fn a_ratio_is_held_against_both_scatters() {
    // By hand: relative u 1/(100√3) and 1/(50√3); ν = 2 (1+4)²/(1+16) = 50/17.
    let first = summed(&[99.0, 100.0, 101.0], 7.0);
    let second = summed(&[49.0, 50.0, 51.0], 7.0);
    let found = ratio(&first, &second, Sensors::Same).expect("both repeated");
    let exponent = quantile(0.95, 50.0 / 17.0) * (5.0f64 / 3.0).sqrt() / 100.0;
    near(found.ratio, 2.0, 1e-12);
    near(found.low, 2.0 * (-exponent).exp(), 1e-9);
    near(found.high, 2.0 * exponent.exp(), 1e-9);
    assert_eq!(found.difference(), Difference::Higher);
    let turned = ratio(&second, &first, Sensors::Same).expect("both repeated");
    assert_eq!(turned.difference(), Difference::Lower);
}

#[test]
fn five_percent_is_no_difference_between_two_cards_but_one_on_the_same() {
    let first = summed(&[105.0, 105.1, 104.9, 105.0], 7.3);
    let second = summed(&[100.0, 100.1, 99.9, 100.0], 7.3);
    let says = |sensors| ratio(&first, &second, sensors).expect("both repeated").difference();
    assert_eq!(says(Sensors::Same), Difference::Higher);
    assert_eq!(says(Sensors::Different), Difference::NotShown);
}

#[test]
fn one_run_against_one_run_has_no_ratio() {
    let (one, many) = (summed(&[1.0], 0.0), summed(&[1.0, 1.1], 0.0));
    assert_eq!(ratio(&one, &many, Sensors::Same), None);
    assert_eq!(ratio(&many, &one, Sensors::Same), None);
}

#[test]
fn what_cannot_be_summed_up_is_named() {
    let message = |repetitions: &[Repetition], common| {
        summary(repetitions, common).expect_err("unusable").to_string()
    };
    assert!(message(&[], 0.0).starts_with("there is no repetition"));
    assert!(message(&exact(&[1.0, f64::NAN]), 0.0).starts_with("the value of repetition 2 is NaN"));
    assert!(message(&exact(&[0.0]), 0.0).starts_with("the value of repetition 1 is 0;"));
    let negative = [Repetition { value: 1.0, uncertainty: -1.0 }];
    assert!(message(&negative, 0.0).starts_with("the uncertainty of repetition 1 is -1;"));
    assert!(message(&exact(&[1.0]), -1.0).starts_with("the common uncertainty is -1 percent"));
    assert!(message(&exact(&[1e-300]), 0.0).ends_with("must be from 1e-100 to 1e100"));
}

proptest! {
    /// The unit does not matter, the order only to drift, and every part only widens.
    #[test]
    fn a_summary_holds_together(
        values in prop::collection::vec(1.0f64..2.0, 2..12),
        meter in 0.0f64..1.0,
        common in 0.0f64..20.0,
        unit in 1e-6f64..1e6,
    ) {
        let with = |unit: f64, meter: f64| {
            let one = |value: &f64| Repetition { value: value * unit, uncertainty: meter * unit };
            values.iter().map(one).collect::<Vec<_>>()
        };
        let whole = summary(&with(1.0, meter), common).unwrap();
        let scaled = summary(&with(unit, meter), common).unwrap();
        prop_assert!((scaled.mean / unit - whole.mean).abs() < 1e-9);
        prop_assert!(
            (scaled.combined.half_width / unit - whole.combined.half_width).abs() < 1e-6
        );
        let plain = summary(&with(1.0, 0.0), 0.0).unwrap();
        prop_assert_eq!(Some(plain.combined.half_width), plain.repetition);
        prop_assert!(whole.interval().0 < whole.mean && whole.mean < whole.interval().1);
        let ratio = ratio(&whole, &scaled, Sensors::Different).unwrap();
        prop_assert!(ratio.low <= ratio.ratio && ratio.ratio <= ratio.high);
        let reversed: Vec<_> = with(1.0, meter).into_iter().rev().collect();
        let (there, back) = (drift(&with(1.0, meter)), drift(&reversed));
        prop_assert_eq!(there.map(|drift| drift.shown), back.map(|drift| drift.shown));
        if let (Some(there), Some(back)) = (there, back) {
            prop_assert!((there.slope + back.slope).abs() < 1e-9);
        }
    }
}
