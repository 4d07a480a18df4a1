// SPDX-License-Identifier: Apache-2.0
//! What changed of a job's emissions since they were first told: the figures, and the
//! facts before and after by interval.
//!
//! Made of the record alone. Where every fact is what it was, nothing is said.

use comfy_table::Table;
use jiff::Timestamp;

use crate::record::{IntensityUse, Record, text};

use super::show::{section, table};

/// The longest table; of a longer one the rest is counted.
const MOST_ROWS: usize = 24;

/// A time in which another fact holds than was told.
#[derive(Debug, PartialEq)]
struct Change<'a> {
    from: Timestamp,
    to: Timestamp,
    /// `None`: no fact was known.
    then: Option<&'a IntensityUse>,
    now: Option<&'a IntensityUse>,
}

/// The section; empty where nothing changed.
pub fn text(record: &Record) -> String {
    let (Some(told), Some(now), Some(intensity)) = (
        &record.emissions.first_told,
        record.emissions.operational_grams,
        &record.emissions.intensity,
    ) else {
        return String::new();
    };
    let changes = changes(&told.parts, &intensity.parts);
    if changes.is_empty() {
        return String::new();
    }
    let percent = match told.operational_grams {
        0.0 => String::new(),
        then => format!(", {:+.1} %", (now / then - 1.0) * 100.0),
    };
    let mut out = format!(
        "\nfirst told {} at {} ({}), now {} ({}){percent}\n",
        text::emissions(told.operational_grams),
        told.at,
        kinds(&told.parts),
        text::emissions(now),
        kinds(&intensity.parts),
    );
    out.push_str(&section("changed since", rows(&changes)));
    if changes.len() > MOST_ROWS {
        out.push_str(&format!("  and {} more\n", changes.len() - MOST_ROWS));
    }
    out
}

/// The kinds of these facts, each once, in the order of their first use.
fn kinds(parts: &[IntensityUse]) -> String {
    let mut kinds: Vec<&str> = Vec::new();
    for part in parts {
        if !kinds.contains(&part.kind.as_str()) {
            kinds.push(&part.kind);
        }
    }
    kinds.join(", ")
}

/// The times in which figure, source or kind differ.
fn changes<'a>(then: &'a [IntensityUse], now: &'a [IntensityUse]) -> Vec<Change<'a>> {
    let (then, now) = (timed(then), timed(now));
    let mut cuts: Vec<Timestamp> =
        then.iter().chain(&now).flat_map(|(from, to, _)| [*from, *to]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let mut changes: Vec<Change> = Vec::new();
    for pair in cuts.windows(2) {
        let (before, after) = (at(&then, pair[0]), at(&now, pair[0]));
        if before.map(said) == after.map(said) {
            continue;
        }
        let same = |last: &&mut Change| {
            last.to == pair[0]
                && last.then.map(said) == before.map(said)
                && last.now.map(said) == after.map(said)
        };
        match changes.last_mut().filter(same) {
            Some(last) => last.to = pair[1],
            None => {
                changes.push(Change { from: pair[0], to: pair[1], then: before, now: after });
            }
        }
    }
    changes
}

type Timed<'a> = (Timestamp, Timestamp, &'a IntensityUse);

fn timed<'a>(parts: &'a [IntensityUse]) -> Vec<Timed<'a>> {
    let time =
        |part: &'a IntensityUse| Some((part.from.parse().ok()?, part.to.parse().ok()?, part));
    parts.iter().filter_map(time).collect()
}

fn at<'a>(parts: &[Timed<'a>], moment: Timestamp) -> Option<&'a IntensityUse> {
    // They are in order of time; a gap between two lines of the books may lie between.
    let next = parts.partition_point(|(from, _, _)| *from <= moment);
    let (_, to, part) = parts.get(next.checked_sub(1)?)?;
    (moment < *to).then_some(part)
}

fn said(part: &IntensityUse) -> (f64, &str, &str) {
    (part.grams_per_kwh, &part.source, &part.kind)
}

fn rows(changes: &[Change]) -> Table {
    let word = |part: Option<&IntensityUse>| match part {
        Some(part) => [
            text::number(part.grams_per_kwh),
            format!("{}, {}", text::line(&part.source), part.kind),
        ],
        None => ["-".to_owned(), "not known".to_owned()],
    };
    let row = |change: &Change| {
        let ([then, then_source], [now, now_source]) = (word(change.then), word(change.now));
        vec![change.from.to_string(), change.to.to_string(), then, then_source, now, now_source]
    };
    let header = ["from", "to", "g/kWh told", "by", "g/kWh now", "by"];
    table(&header, &[2, 4], changes.iter().take(MOST_ROWS).map(row).collect())
}
