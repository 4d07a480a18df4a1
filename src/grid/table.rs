// SPDX-License-Identifier: Apache-2.0
//! The shipped table of yearly mean carbon intensity by country and region.
//!
//! `zones.csv` beside this file holds 317 rows in gCO2e per kWh: countries, the
//! EU and the world from Our World in Data (Ember, Energy Institute; CC BY 4.0),
//! US states from EPA eGRID2023, Chinese provinces from MEE/NBS, Australian states
//! from the NGA factors, Canadian provinces derived from their mix. Licences,
//! years and limits: `docs/carbon.md` and `NOTICE`. Codes are ISO 3166-1 alpha-2
//! (with `XK`), ISO 3166-2 for subdivisions, `EU` and `WORLD`.

use std::cmp::Ordering;
use std::sync::LazyLock;

use serde::Deserialize;

use super::WORLD;
use crate::units::Intensity;

const ZONES: &str = include_str!("zones.csv");

static TABLE: LazyLock<Vec<TableEntry>> = LazyLock::new(|| {
    let mut entries = parse(ZONES);
    entries.sort_by(|one, other| compare(&one.zone, &other.zone));
    entries
});

/// The world mean of 2024 as in the table: what is left if the table were unreadable.
static WORLD_MEAN: LazyLock<TableEntry> = LazyLock::new(|| TableEntry {
    zone: WORLD.to_owned(),
    name: "World".to_owned(),
    intensity: Intensity::from_milligrams_per_kwh(473_000),
    year: 2024,
    source: "OWID/Ember".to_owned(),
    boundary: "lifecycle".to_owned(),
});

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// ISO 3166 code in capitals, `EU` or `WORLD`.
    pub zone: String,
    /// Its English name.
    pub name: String,
    /// Yearly mean.
    pub intensity: Intensity,
    /// The year of the mean.
    pub year: u16,
    /// Who says so.
    pub source: String,
    /// `lifecycle` or `direct` (for China CO2 alone: other gases are not in it).
    pub boundary: String,
}

/// A zone that the table does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown zone `{zone}`{}", match .suggestion {
    Some(known) => format!("; did you mean `{known}`?"),
    None => "; it takes an ISO 3166 code such as `DE` or `US-CA`".to_owned(),
})]
pub struct UnknownZone {
    /// What was asked for.
    pub zone: String,
    /// A zone that may have been meant; never used without being asked for.
    pub suggestion: Option<String>,
}

#[derive(Deserialize)]
struct Row {
    zone: String,
    name: String,
    #[serde(rename = "gCO2e_per_kWh")]
    grams_per_kwh: f64,
    year: u16,
    source: String,
    boundary: String,
}

/// The row of a zone, whatever its case; `None`: not in the table.
pub fn lookup(zone: &str) -> Option<&'static TableEntry> {
    let index = TABLE.binary_search_by(|entry| compare(&entry.zone, zone)).ok()?;
    TABLE.get(index)
}

/// The row of a zone, for what a user wrote.
///
/// # Errors
/// [`UnknownZone`], with a suggestion where one is near.
pub fn find(zone: &str) -> Result<&'static TableEntry, UnknownZone> {
    lookup(zone).ok_or_else(|| UnknownZone { zone: zone.to_owned(), suggestion: suggest(zone) })
}

/// The world mean.
pub fn world() -> &'static TableEntry {
    lookup(WORLD).unwrap_or(&WORLD_MEAN)
}

/// All rows, sorted by zone.
pub fn entries() -> &'static [TableEntry] {
    &TABLE
}

/// The rows of a table in the form of `zones.csv`; those that are no rows are
/// left out.
pub fn parse(text: &str) -> Vec<TableEntry> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().filter_map(|row| entry(row.ok()?)).collect()
}

fn entry(row: Row) -> Option<TableEntry> {
    // The record knows two boundaries; CO2 alone is a direct figure.
    let boundary = if row.boundary.starts_with("direct") { "direct" } else { "lifecycle" };
    Some(TableEntry {
        zone: row.zone,
        name: row.name,
        intensity: Intensity::from_grams_per_kwh(row.grams_per_kwh)?,
        year: row.year,
        source: row.source,
        boundary: boundary.to_owned(),
    })
}

fn compare(one: &str, other: &str) -> Ordering {
    one.bytes()
        .map(|byte| byte.to_ascii_uppercase())
        .cmp(other.bytes().map(|byte| byte.to_ascii_uppercase()))
}

/// Codes that people write for another, official one.
const ALIASES: [(&str, &str); 6] = [
    ("UK", "GB"),
    ("EL", "GR"),
    ("USA", "US"),
    ("UAE", "AE"),
    ("GLOBAL", "WORLD"),
    ("EARTH", "WORLD"),
];

fn suggest(zone: &str) -> Option<String> {
    let alias = ALIASES.iter().find(|(written, _)| written.eq_ignore_ascii_case(zone));
    if let Some((_, official)) = alias {
        return Some((*official).to_owned());
    }
    let plain = letters(zone);
    let same = |entry: &&TableEntry| letters(&entry.zone) == plain || letters(&entry.name) == plain;
    let parent = || zone.split_once(['-', '_']).and_then(|(country, _)| lookup(country));
    TABLE.iter().find(same).or_else(|| near(&plain)).or_else(parent).map(|entry| entry.zone.clone())
}

/// The row whose code or name is nearest, where it differs by a typing error:
/// one letter in four. Shorter texts are all near to one another.
fn near(plain: &str) -> Option<&'static TableEntry> {
    let length = plain.chars().count();
    let most = length / 4;
    let distance_of = |text: &str| {
        let text = letters(text);
        // At least as far as their lengths: a long text is compared with nothing.
        let apart = text.chars().count().abs_diff(length);
        if apart > most { usize::MAX } else { distance(&text, plain) }
    };
    let either = |entry: &TableEntry| distance_of(&entry.zone).min(distance_of(&entry.name));
    let nearest = TABLE.iter().min_by_key(|entry| either(entry))?;
    (either(nearest) <= most && most > 0).then_some(nearest)
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect()
}

/// Levenshtein's distance: insertions, deletions and replacements of one letter.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &against) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != against);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_row_is_read_and_plausible() {
        assert_eq!(entries().len(), ZONES.lines().count() - 1);
        assert_eq!(entries().len(), 317);
        for entry in entries() {
            // Above 1200 only where heat is allocated oddly (docs/carbon.md).
            assert!(entry.intensity.grams_per_kwh() <= 1_500.0, "{entry:?}");
            assert!((2022..=2024).contains(&entry.year), "{entry:?}");
            assert!(["lifecycle", "direct"].contains(&entry.boundary.as_str()), "{entry:?}");
            assert_eq!(lookup(&entry.zone), Some(entry));
        }
        assert_eq!(lookup(WORLD), Some(&*WORLD_MEAN));
    }

    #[test]
    fn zones_are_found_whatever_their_case_and_subdivisions_are_their_own() {
        assert_eq!(lookup("us-ca").unwrap().name, "California");
        assert_eq!(lookup("us-ca").unwrap().boundary, "direct");
        assert_eq!(lookup("World").unwrap().zone, "WORLD");
        assert_eq!(lookup("CN-BJ").unwrap().boundary, "direct");
        assert_eq!(lookup("XK").unwrap().boundary, "lifecycle");
        for nothing in ["", "U", "US-", "DE-BY", "ZZ", "GB "] {
            assert_eq!(lookup(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn an_unknown_zone_is_named_with_the_one_that_was_meant() {
        let check = |written: &str, meant: Option<&str>| {
            assert_eq!(find(written).unwrap_err().suggestion.as_deref(), meant, "{written}");
        };
        check("UK", Some("GB"));
        check("Germany", Some("DE"));
        check("germny", Some("DE"));
        check("US_CA", Some("US-CA"));
        check("California", Some("US-CA"));
        check("DE-BY", Some("DE"));
        check("WOLD", Some("WORLD"));
        check("ZZ", None);
        check("", None);
        assert_eq!(find("UK").unwrap_err().to_string(), "unknown zone `UK`; did you mean `GB`?");
        assert_eq!(
            find("ZZ").unwrap_err().to_string(),
            "unknown zone `ZZ`; it takes an ISO 3166 code such as `DE` or `US-CA`"
        );
    }
}
