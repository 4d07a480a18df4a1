// SPDX-License-Identifier: Apache-2.0
//! Equivalents: emissions and energy in things that people know.
//!
//! The values are in `equivalents.csv` beside this file, each with source, year and
//! unit, in metric kilograms. For people only: no record and no export has them.

use std::sync::LazyLock;

use serde::Deserialize;

const TABLE: &str = include_str!("equivalents.csv");

static EQUIVALENTS: LazyLock<Vec<Equivalent>> = LazyLock::new(|| {
    csv::Reader::from_reader(TABLE.as_bytes()).deserialize().filter_map(Result::ok).collect()
});

/// Those that the one line of a summary takes, by rising size.
const READABLE: [&str; 4] = ["car_km", "flight", "human_year", "car_life"];

/// One thing to compare with.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Equivalent {
    /// Its name.
    pub id: String,
    /// What stands behind a number of them.
    pub text: String,
    /// How much one is.
    pub value: f64,
    /// `kg` (CO2e) or `kWh`.
    pub unit: String,
    /// Who says so.
    pub source: String,
    /// Of the source.
    pub year: u16,
    /// How it came about.
    pub note: String,
}

impl Equivalent {
    /// How many of them these emissions, or this energy, are; `None` where that
    /// quantity is not known.
    pub fn count(&self, grams: Option<f64>, kwh: Option<f64>) -> Option<f64> {
        let amount = if self.unit == "kWh" { kwh } else { grams.map(|grams| grams / 1e3) };
        amount.map(|amount| amount / self.value)
    }
}

/// All, in the order of the file.
pub fn all() -> &'static [Equivalent] {
    &EQUIVALENTS
}

/// The one that gives the most readable number: the largest that emissions hold at
/// least once; below a kilometre by car still that. `None` below a metre.
pub fn readable(grams: f64) -> Option<(&'static Equivalent, f64)> {
    let counted = |id: &&str| {
        let one = all().iter().find(|one| one.id == **id)?;
        Some((one, one.count(Some(grams), None)?))
    };
    let mut known = READABLE.iter().filter_map(counted);
    let smallest = known.next().filter(|(_, count)| *count >= 1e-3)?;
    Some(known.take_while(|(_, count)| *count >= 1.0).last().unwrap_or(smallest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_read_and_says_where_it_comes_from() {
        assert_eq!(all().len(), TABLE.lines().count() - 1);
        for (i, one) in all().iter().enumerate() {
            assert!(["kg", "kWh"].contains(&one.unit.as_str()), "{one:?}");
            assert!(one.value > 0.0 && !one.source.is_empty(), "{one:?}");
            assert!((2019..=2026).contains(&one.year), "{one:?}");
            assert!(all()[i + 1..].iter().all(|other| other.id != one.id));
        }
    }

    #[test]
    fn pounds_are_metric_kilograms_here_and_not_short_tons() {
        let check = |id: &str, pounds: f64, printed: f64| {
            let value = all().iter().find(|one| one.id == id).unwrap().value;
            assert!((value - pounds * 0.453_592_37).abs() < value * 5e-4, "{id}");
            // What the AI Index prints are pounds ÷ 2000.
            assert!((pounds / 2_000.0 - printed).abs() < 0.006, "{id}");
        };
        check("flight", 1_984.0, 0.99);
        check("human_year", 11_023.0, 5.51);
        check("american_year", 36_156.0, 18.08);
        check("car_life", 126_000.0, 63.0);
    }

    #[test]
    fn the_one_line_has_a_readable_number() {
        let check = |grams: f64, expected: Option<(&str, f64)>| {
            let found = readable(grams).map(|(one, count)| (one.id.as_str(), count));
            assert_eq!(found.map(|(id, _)| id), expected.map(|(id, _)| id), "{grams}");
            if let (Some((_, found)), Some((_, expected))) = (found, expected) {
                assert!((found - expected).abs() < expected * 1e-3, "{grams}: {found}");
            }
        };
        check(0.2, None);
        check(2.442, Some(("car_km", 0.01)));
        check(24_420.0, Some(("car_km", 100.0)));
        check(1_800e3, Some(("flight", 2.0)));
        check(25e6, Some(("human_year", 5.0)));
        check(552e6, Some(("car_life", 9.659)));
    }

    #[test]
    fn homes_are_counted_by_energy() {
        let home = all().iter().find(|one| one.id == "home_year").unwrap();
        assert_eq!(home.count(Some(1.0), Some(21_264.0)), Some(2.0));
        assert_eq!(home.count(Some(1.0), None), None);
    }
}
