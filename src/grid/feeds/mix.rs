// SPDX-License-Identifier: Apache-2.0
//! The intensity of a generation mix: what each kind of plant gave, times its
//! factor, divided by the sum.
//!
//! The factors are lifecycle figures with their sources in `factors.csv`. A plant of
//! an unknown kind counts as "unknown" (700 g/kWh), never as 0. Stores are left out.
//! Less than nothing counts as nothing. A time that one kind of plant tells nothing
//! of has no figure: the mix would be another one, and look cleaner or dirtier.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

const FACTORS: &str = include_str!("factors.csv");
/// Of a plant that the table does not know: "unknown" of Electricity Maps.
const UNKNOWN: f64 = 700.0;

static TABLE: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(FACTORS.as_bytes());
    reader.deserialize().filter_map(Result::ok).collect()
});

#[derive(Deserialize)]
struct Row {
    feed: String,
    code: String,
    g_per_kwh: Option<f64>,
}

/// g/kWh of a feed's code for a kind of plant; `None`: a store.
pub fn factor(feed: &str, code: &str) -> Option<f64> {
    match TABLE.iter().find(|row| row.feed == feed && row.code == code) {
        Some(row) => row.g_per_kwh,
        None => Some(UNKNOWN),
    }
}

/// What each kind of plant gave, by slot of time.
#[derive(Debug)]
pub struct Mix {
    feed: &'static str,
    plants: BTreeMap<String, BTreeMap<i64, f64>>,
    incomplete: BTreeSet<i64>,
}

impl Mix {
    /// An empty one, with the codes of this feed.
    pub fn of(feed: &'static str) -> Mix {
        Mix { feed, plants: BTreeMap::new(), incomplete: BTreeSet::new() }
    }

    /// What a kind of plant gave in a slot, in any one unit; `None`: not known.
    ///
    /// # Errors
    /// Where the same was told twice.
    pub fn add(&mut self, code: &str, slot: i64, amount: Option<f64>) -> Result<(), String> {
        if factor(self.feed, code).is_none() {
            return Ok(());
        }
        let Some(amount) = amount else {
            self.incomplete.insert(slot);
            return Ok(());
        };
        let plant = match self.plants.get_mut(code) {
            Some(plant) => plant,
            None => self.plants.entry(code.to_owned()).or_default(),
        };
        match plant.insert(slot, amount.max(0.0)) {
            None => Ok(()),
            Some(_) => Err(format!("it tells twice of {code} at one time")),
        }
    }

    /// The intensity of every slot of which all kinds of plant tell, when taken over
    /// `width` slots at once; by the first slot, in g/kWh.
    pub fn intensities(&self, width: i64) -> Vec<(i64, f64)> {
        let plants: Vec<(f64, &BTreeMap<i64, f64>)> = self
            .plants
            .iter()
            .filter_map(|(code, plant)| Some((factor(self.feed, code)?, plant)))
            .collect();
        let Some((_, first)) = plants.first() else { return Vec::new() };
        let starts = first.keys().copied().filter(|slot| slot.rem_euclid(width) == 0);
        starts.filter_map(|start| Some((start, self.whole(&plants, start, width)?))).collect()
    }

    fn whole(&self, plants: &[(f64, &BTreeMap<i64, f64>)], start: i64, width: i64) -> Option<f64> {
        let (mut grams, mut sum) = (0.0, 0.0);
        for slot in start..start + width {
            if self.incomplete.contains(&slot) {
                return None;
            }
            for (factor, plant) in plants {
                let amount = plant.get(&slot)?;
                grams += factor * amount;
                sum += amount;
            }
        }
        (sum > 0.0).then(|| grams / sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_read_and_sourced() {
        let rows = FACTORS.lines().filter(|line| !line.starts_with('#')).count() - 1;
        assert_eq!((TABLE.len(), rows), (rows, 32));
        assert_eq!(factor("entsoe", "B04"), Some(490.0));
        assert_eq!(factor("entsoe", "B10"), None);
        assert_eq!(factor("eia", "BAT"), None);
        // What nobody has heard of is not clean.
        assert_eq!(factor("eia", "XYZ"), Some(700.0));
        assert!(TABLE.iter().all(|row| row.g_per_kwh.is_none_or(|grams| grams > 0.0)));
    }

    #[test]
    fn a_mix_is_weighted_and_a_time_that_is_not_whole_has_none() {
        let mut mix = Mix::of("entsoe");
        for (code, slot, amount) in [
            ("B14", 0, Some(300.0)),
            ("B04", 0, Some(100.0)),
            ("B10", 0, Some(1_000.0)),
            ("B25", 1, None),
            // Gas draws a little: nothing.
            ("B14", 1, Some(300.0)),
            ("B04", 1, Some(-5.0)),
            // Gas is not told.
            ("B14", 2, Some(300.0)),
            ("B14", 3, Some(300.0)),
            ("B04", 3, None),
            ("B14", 4, Some(0.0)),
            ("B04", 4, Some(0.0)),
        ] {
            mix.add(code, slot, amount).unwrap();
        }
        assert_eq!(mix.intensities(1), [(0, 131.5), (1, 12.0)]);
        // Over two slots: by energy, not the mean of both.
        let both = (4.0 * 131.5 + 3.0 * 12.0) / 7.0;
        assert_eq!(mix.intensities(2), [(0, both)]);
        assert!(mix.add("B04", 0, Some(1.0)).is_err());
    }
}
