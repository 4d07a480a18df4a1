// SPDX-License-Identifier: Apache-2.0
//! The leaderboard of many benchmark records.
//!
//! Records are grouped by functional unit and by what is counted, and never ranked
//! across groups. Energy per unit ranks, not emissions. Ranks are shared where no
//! difference is shown; levels that allow no comparison have none. Pure; the forms are
//! in the files beside this one.

mod csv;
mod html;
mod markdown;
mod text;

use serde::Serialize;

use super::checked::Checked;
use super::compare::{EnergyRatio, counted, other_unit, place, sensors};
use super::record::{Level, UnitKind, UnitPart};
use super::reference::{self, Reference};
use super::statistics::{Difference, Ratio, Sensors, confidence, ratio_of};
use super::words;
use crate::record::text as figures;

pub use csv::csv;
pub use html::html;
pub use markdown::markdown;
pub use text::text;

/// Characters of a foreign name that are shown at most where a row is one line.
const LONGEST: usize = 28;

/// A checked record with what is known of its file.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The record.
    pub checked: Checked,
    /// Its signature.
    pub signed: Signed,
}

/// A record's signature; nobody was asked whose key it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signed {
    /// There is none.
    No,
    /// Of these bytes, by the key of this fingerprint.
    By(String),
    /// It could not be looked at.
    Unknown,
}

/// A file that calls itself a benchmark record and is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Invalid {
    /// The file.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// The whole table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Board {
    /// By functional unit and by what is counted.
    pub groups: Vec<Group>,
    /// From the literature; never ranked with the others.
    pub references: Vec<Reference>,
    /// Not ranked.
    pub invalid: Vec<Invalid>,
}

/// Records of one functional unit that count the same kinds of domains.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// The unit.
    pub unit: UnitPart,
    /// Kinds of domains in the energy.
    pub counted: Vec<String>,
    /// The level of each ratio's interval, percent: 95 for all pairs together.
    pub confidence_percent: f64,
    /// The ranked ones, least energy first, then the others.
    pub rows: Vec<Row>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its rank; null: not ranked.
    pub rank: Option<usize>,
    /// Whether others have the same.
    pub shared: bool,
    /// Why it has none.
    pub unranked: Option<String>,
    /// The campaign's name.
    pub name: String,
    /// What was run: the built-in workload, the disclosed model, or the program.
    pub work: Option<String>,
    /// Its level.
    pub level: Level,
    /// E / R of the machines, without PUE.
    pub joules_per_unit: f64,
    /// Low end of its 95 % interval.
    pub low: f64,
    /// High end.
    pub high: f64,
    /// Over the best of the group, where both are ranked.
    pub to_best: Option<EnergyRatio>,
    /// Where its electricity came from.
    pub zone: Option<String>,
    /// I; null: unknown.
    pub grams_per_kwh: Option<f64>,
    /// `average` or `marginal`; `mixed`.
    pub signal: Option<String>,
    /// `direct` or `lifecycle`; `mixed`.
    pub boundary: Option<String>,
    /// E × I / R, with PUE where one is stated.
    pub operational_grams_per_unit: Option<f64>,
    /// M / R.
    pub embodied_grams_per_unit: Option<f64>,
    /// The PUE that is stated.
    pub pue: Option<f64>,
    /// The machine's name.
    pub machine: Option<String>,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// `none`; `unchecked`: nobody was asked whose key it is.
    pub signature: &'static str,
    /// The fingerprint of the key that made it; null: none, or it could not be looked at.
    pub signature_key: Option<String>,
    /// The campaign's id.
    pub campaign: String,
    /// Its file.
    pub file: String,
}

/// Which rows.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Only units of these kinds or names; empty: all.
    pub units: Vec<String>,
    /// Whether rows from the literature are left out.
    pub no_reference: bool,
}

impl Choice {
    fn holds(&self, kind: UnitKind, name: &str) -> bool {
        let is = |wanted: &String| wanted == words::unit_kind(kind) || wanted == name;
        self.units.is_empty() || self.units.iter().any(is)
    }
}

/// Groups, ranks and adds the rows of reference.
pub fn board(entries: Vec<Entry>, invalid: Vec<Invalid>, choice: &Choice) -> Board {
    let mut grouped: Vec<(UnitPart, Vec<String>, Vec<Entry>)> = Vec::new();
    for entry in entries {
        let unit = entry.checked.record.unit.clone();
        if !choice.holds(unit.kind, &unit.name) {
            continue;
        }
        let counted = counted(&entry.checked);
        let belongs = |(of, kinds, _): &&mut (UnitPart, Vec<String>, Vec<Entry>)| {
            other_unit(of, &unit).is_none() && *kinds == counted
        };
        match grouped.iter_mut().find(belongs) {
            Some((_, _, group)) => group.push(entry),
            None => grouped.push((unit, counted, vec![entry])),
        }
    }
    let mut groups: Vec<Group> =
        grouped.into_iter().map(|(unit, counted, entries)| group(unit, counted, entries)).collect();
    groups.sort_by_key(|group| (words::heading(&group.unit), group.counted.clone()));
    let references = !choice.no_reference && choice.holds(UnitKind::Run, "runs");
    Board { groups, references: if references { reference::rows() } else { Vec::new() }, invalid }
}

fn group(unit: UnitPart, counted: Vec<String>, mut entries: Vec<Entry>) -> Group {
    let energy = |entry: &Entry| entry.checked.derived.score.joules_per_unit;
    entries.sort_by(|one, other| energy(one).total_cmp(&energy(other)));
    let level = |entry: &Entry| entry.checked.derived.level.level;
    let one_set = same_sensors(entries.iter().filter(|entry| level(entry) <= Level::C));
    let (ranked, others): (Vec<Entry>, Vec<Entry>) = entries
        .into_iter()
        .partition(|entry| level(entry) <= Level::B || (level(entry) == Level::C && one_set));
    // The order is that of the values, so each of all pairs may be the one looked at.
    let pairs = ranked.len() * ranked.len().saturating_sub(1) / 2;
    let mut rows = rank(&ranked, pairs);
    rows.extend(others.iter().map(|entry| {
        let why = match level(entry) {
            Level::C => "level C: ranked only where all are read by the same sensors",
            _ => "level D: no comparison may be claimed",
        };
        Row { unranked: Some(why.to_owned()), ..row(entry) }
    }));
    Group { unit, counted, confidence_percent: confidence(pairs) * 100.0, rows }
}

fn same_sensors<'a>(mut entries: impl Iterator<Item = &'a Entry>) -> bool {
    let Some(first) = entries.next() else { return true };
    entries.all(|entry| sensors(&first.checked, &entry.checked) == Sensors::Same)
}

/// In the order of their energy. The first of a rank leads it: who is shown to use more
/// than it leads the next.
fn rank(entries: &[Entry], pairs: usize) -> Vec<Row> {
    let against = |one: &Entry, other: &Entry| {
        let sensors = sensors(&one.checked, &other.checked);
        let ratio = ratio_of(&one.checked.summary, &other.checked.summary, sensors, pairs);
        ratio.map(|ratio| (ratio, sensors == Sensors::Same))
    };
    let mut rows: Vec<Row> = Vec::new();
    let (mut leader, mut current) = (0, 1);
    for (index, entry) in entries.iter().enumerate() {
        let higher = index > 0
            && against(entry, &entries[leader])
                .is_some_and(|(ratio, _)| ratio.difference() == Difference::Higher);
        if higher {
            (leader, current) = (index, index + 1);
        }
        let to_best = against(entry, &entries[0]).filter(|_| index > 0);
        let to_best = to_best.map(|(Ratio { ratio, low, high }, same_sensors)| EnergyRatio {
            ratio,
            low,
            high,
            same_sensors,
        });
        rows.push(Row { rank: Some(current), to_best, ..row(entry) });
    }
    let ranks: Vec<Option<usize>> = rows.iter().map(|row| row.rank).collect();
    for row in &mut rows {
        row.shared = ranks.iter().filter(|rank| **rank == row.rank).count() > 1;
    }
    rows
}

fn row(entry: &Entry) -> Row {
    let (record, derived) = (&entry.checked.record, &entry.checked.derived);
    let place = place(&entry.checked);
    let (zone, signal, boundary) = match place {
        Some(place) => (Some(place.zone), Some(place.signal), Some(place.boundary)),
        None => (None, None, None),
    };
    Row {
        rank: None,
        shared: false,
        unranked: None,
        name: record.campaign.name.clone(),
        work: work(&entry.checked),
        level: derived.level.level,
        joules_per_unit: derived.score.joules_per_unit,
        low: derived.statistics.low,
        high: derived.statistics.high,
        to_best: None,
        zone,
        grams_per_kwh: derived.score.grams_per_kwh,
        signal,
        boundary,
        operational_grams_per_unit: derived.score.operational_grams_per_unit,
        embodied_grams_per_unit: derived.score.embodied_grams_per_unit,
        pue: record.pue.as_ref().map(|pue| pue.value),
        machine: record.machine.host.name.clone(),
        started_at: record.campaign.started_at.clone(),
        signature: if entry.signed == Signed::No { "none" } else { "unchecked" },
        signature_key: match &entry.signed {
            Signed::By(key) => Some(key.clone()),
            Signed::No | Signed::Unknown => None,
        },
        campaign: record.campaign.id.clone(),
        file: entry.checked.file.clone(),
    }
}

fn work(one: &Checked) -> Option<String> {
    let work = &one.record.workload;
    let program = || {
        let program = work.command.as_ref()?.first()?;
        Some(program.rsplit('/').next().unwrap_or(program).to_owned())
    };
    work.builtin.clone().or_else(|| work.disclosures.get("model").cloned()).or_else(program)
}

/// The columns of a table for people, by whether they are figures.
const COLUMNS: [(&str, bool); 13] = [
    ("RANK", true),
    ("NAME", false),
    ("WORK", false),
    ("LEVEL", false),
    ("ENERGY", true),
    ("±", true),
    ("OF BEST", true),
    ("g/kWh", true),
    ("ZONE", false),
    ("OPERATIONAL", true),
    ("EMBODIED", true),
    ("MACHINE", false),
    ("DATE", false),
];

impl Row {
    /// The cells of [`COLUMNS`]; foreign texts as they are.
    fn cells(&self) -> [String; COLUMNS.len()] {
        let nothing = || "-".to_owned();
        let known = |text: &Option<String>| text.clone().unwrap_or_else(nothing);
        let grams = |grams: Option<f64>| grams.map_or_else(nothing, figures::emissions);
        [
            self.told_rank(),
            self.name.clone(),
            known(&self.work),
            words::level(self.level).to_owned(),
            self.told_energy(),
            self.told_width(),
            self.told_ratio(),
            self.grams_per_kwh.map_or_else(nothing, figures::number),
            known(&self.zone),
            grams(self.operational_grams_per_unit),
            grams(self.embodied_grams_per_unit),
            known(&self.machine),
            self.started_at.chars().take(10).collect(),
        ]
    }

    fn is_signed(&self) -> bool {
        self.signature != "none"
    }

    /// `none`, or the key in short.
    fn told_signature(&self) -> String {
        match &self.signature_key {
            Some(key) => format!("key {}…", key.chars().take(16).collect::<String>()),
            None => self.signature.to_owned(),
        }
    }

    fn told_rank(&self) -> String {
        match self.rank {
            Some(rank) if self.shared => format!("={rank}"),
            Some(rank) => rank.to_string(),
            None => "-".to_owned(),
        }
    }

    fn told_energy(&self) -> String {
        let sign = if self.level == Level::D { "~ " } else { "" };
        format!("{sign}{}", figures::energy(self.joules_per_unit))
    }

    /// Half of the interval's width over the mean; an order of magnitude has none.
    fn told_width(&self) -> String {
        if self.level == Level::D {
            return "-".to_owned();
        }
        figures::percent((self.high - self.low) / 2.0 / self.joules_per_unit * 100.0)
    }

    fn told_ratio(&self) -> String {
        match (self.rank, self.to_best) {
            (None, _) => "-".to_owned(),
            (Some(_), None) => "1".to_owned(),
            (Some(_), Some(EnergyRatio { ratio, low, high, .. })) => {
                let [ratio, low, high] = [ratio, low, high].map(figures::number);
                format!("{ratio} ({low} to {high})")
            }
        }
    }
}

impl Group {
    fn heading(&self) -> String {
        format!("{}; counted: {}", words::heading(&self.unit), words::kinds(&self.counted))
    }

    /// What a reader of the group must know.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let ranked = self.rows.iter().filter(|row| row.rank.is_some()).count();
        if ranked > 1 {
            remarks.push(format!(
                "ranked by energy per {}; = is a shared rank: no difference is shown to its \
                 first; ratios with their intervals at {} %, so that those of all pairs hold \
                 together at 95 %",
                words::unit(&self.unit),
                figures::number(self.confidence_percent)
            ));
        }
        let mut reasons: Vec<&String> = Vec::new();
        for reason in self.rows.iter().filter_map(|row| row.unranked.as_ref()) {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        remarks.extend(reasons.into_iter().map(|reason| format!("not ranked: {reason}")));
        if self.rows.iter().any(|row| row.level == Level::D) {
            remarks.push("~ estimated: an order of magnitude".to_owned());
        }
        remarks
    }
}

/// What is said of the rows from the literature.
const REFERENCE_HEADING: &str =
    "From the literature: training, joules per run; not measured, not ranked";

/// What must be known of signatures.
const SIGNED: &str = "signed, by a key that nobody was asked about; `aimeter bench validate \
                      --allowed-signers` does";

/// What must be known of the columns.
const REMARK: &str = "Energy is that of the machines per unit, ± its 95 % interval; operational is \
                      its CO2e on the grid of the time, with PUE where one is stated; embodied is \
                      of making the hardware";

/// A foreign text on one line, shortened.
fn shortened(foreign: &str) -> String {
    let line = figures::line(foreign);
    match line.char_indices().nth(LONGEST) {
        None if line.is_empty() => "-".to_owned(),
        None => line,
        Some(_) => line.chars().take(LONGEST - 1).chain(['…']).collect(),
    }
}

/// The cells of a row of reference, under [`REFERENCE_COLUMNS`].
fn reference_cells(one: &Reference) -> [String; REFERENCE_COLUMNS.len()] {
    let energy = figures::watt_hours(one.joules_per_run);
    [
        one.name.clone(),
        one.year.to_string(),
        words::level(one.level).to_owned(),
        format!("~ {}", figures::energy(one.joules_per_run)),
        energy.unwrap_or_default(),
        figures::number(one.pue),
        figures::number(one.grams_per_kwh),
        figures::emissions(one.operational_grams_per_run),
        figures::emissions(one.printed_grams_per_run),
        one.embodied_grams_per_run.map_or_else(|| "-".to_owned(), figures::emissions),
        one.note.clone(),
    ]
}

/// The columns of the rows of reference, by whether they are figures.
const REFERENCE_COLUMNS: [(&str, bool); 11] = [
    ("MODEL", false),
    ("YEAR", false),
    ("LEVEL", false),
    ("ENERGY", true),
    ("", true),
    ("PUE", true),
    ("g/kWh", true),
    ("OPERATIONAL", true),
    ("AS PRINTED", true),
    ("EMBODIED", true),
    ("", false),
];
