// SPDX-License-Identifier: Apache-2.0
//! The quality level of a campaign, by the table of `docs/benchmark.md`.
//!
//! Each row of the table is one function here that says up to which level its condition
//! holds and what was found; the level is the worst of them. Pure, and never claimed by
//! hand.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::exceptions;
use super::record::{
    BenchmarkDomain, BenchmarkRecord, Level, LevelPart, Origin, PueKind, RepetitionPart, Rule,
    StatisticsPart, UnmetPart, WindowIntensity,
};
use crate::record::IntensityUse;

/// Update periods of the slowest sensor that a window holds at least.
pub const PERIODS: f64 = 100.0;

/// Seconds.
const UNSTATED_PERIOD: f64 = 1.0;

/// The longest interval of a live intensity.
const LIVE: SignedDuration = SignedDuration::from_hours(1);

type Found = (Level, String);
type Condition = fn(&BenchmarkRecord, &StatisticsPart) -> Found;

/// The table's rows.
const CONDITIONS: [(&str, Condition); 15] = [
    ("origin", origin),
    ("accelerators", accelerators),
    ("CPU packages", packages),
    ("memory", memory),
    ("node power", node_power),
    ("estimated share of E_measured", estimated_share),
    ("time in gaps", gaps),
    ("window", window),
    ("repetitions", repetitions),
    ("combined half-width of E / R", half_width),
    ("drift", drift),
    ("exclusive use, no throttling, one power limit", kept),
    ("intensity", intensity),
    ("PUE", pue),
    ("embodied", embodied),
];

/// The level of a record, by its measured parts and their statistics.
pub fn of(record: &BenchmarkRecord, statistics: &StatisticsPart) -> LevelPart {
    let found = CONDITIONS.iter().map(|(condition, best)| (*condition, best(record, statistics)));
    let unmet: Vec<UnmetPart> = found
        .filter(|(_, (allows, _))| *allows > Level::A)
        .map(|(condition, (allows, found))| UnmetPart {
            allows,
            condition: condition.to_owned(),
            found,
        })
        .collect();
    let level = unmet.iter().map(|one| one.allows).max().unwrap_or(Level::A);
    LevelPart { level, unmet }
}

fn origin(record: &BenchmarkRecord, _: &StatisticsPart) -> Found {
    match record.campaign.origin {
        Origin::Measured => (Level::A, "measured by the protocol".to_owned()),
        Origin::Literature => (Level::D, "put together from a publication".to_owned()),
    }
}

/// A domain of a kind that counts in a repetition.
fn summed<'a>(
    one: &'a RepetitionPart,
    kind: &'a str,
) -> impl Iterator<Item = &'a BenchmarkDomain> + 'a {
    one.domains.iter().filter(move |domain| domain.summed && domain.kind == kind)
}

/// The least good method by which a kind's domains were read in any repetition, in the
/// order counter, power, anything else; `None`: there are none.
fn methods(record: &BenchmarkRecord, kind: &str) -> Option<Method> {
    record.repetitions.iter().flat_map(|one| summed(one, kind)).map(method).max()
}

/// How a domain was read, the best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Method {
    Counter,
    Power,
    Estimate,
}

fn method(domain: &BenchmarkDomain) -> Method {
    match domain.method.as_str() {
        "counter" => Method::Counter,
        "power" => Method::Power,
        // A word that nobody knows is no measurement.
        _ => Method::Estimate,
    }
}

fn accelerators(record: &BenchmarkRecord, _: &StatisticsPart) -> Found {
    let all = exceptions::accelerators(record);
    let read = |one: &RepetitionPart| {
        let read: BTreeSet<&str> = summed(one, "gpu").filter_map(exceptions::accelerator).collect();
        all.intersection(&read).count()
    };
    let least = record.repetitions.iter().map(read).min().unwrap_or(0);
    if least < all.len() {
        return (Level::D, format!("{least} of {} were read in each window", all.len()));
    }
    match methods(record, "gpu") {
        None | Some(Method::Counter) => (Level::A, String::new()),
        Some(Method::Power) => (Level::B, "power integrated".to_owned()),
        Some(Method::Estimate) => (Level::D, "estimated".to_owned()),
    }
}

fn packages(record: &BenchmarkRecord, _: &StatisticsPart) -> Found {
    let sockets: u32 = record.machine.host.cpus.iter().filter_map(|cpus| cpus.sockets).sum();
    let wanted = usize::try_from(sockets).unwrap_or(usize::MAX).max(1);
    let read = |one: &RepetitionPart| {
        let measured: BTreeSet<&str> = summed(one, "cpu").map(|cpu| cpu.id.as_str()).collect();
        // An estimate is of all packages together.
        let estimated = summed(one, "cpu").any(|cpu| method(cpu) == Method::Estimate);
        if estimated { wanted } else { measured.len() }
    };
    let least = record.repetitions.iter().map(read).min().unwrap_or(0);
    if least < wanted {
        return (Level::D, format!("{least} of {wanted} were read in each window"));
    }
    match methods(record, "cpu") {
        Some(Method::Counter) => (Level::A, String::new()),
        _ => (Level::C, "not all by counters".to_owned()),
    }
}

fn memory(record: &BenchmarkRecord, statistics: &StatisticsPart) -> Found {
    let each = record.repetitions.iter().all(|one| summed(one, "dram").next().is_some());
    let counted = each && methods(record, "dram") == Some(Method::Counter);
    let (node, _) = node_power(record, statistics);
    match () {
        () if counted || node == Level::A => (Level::A, String::new()),
        () if each => (Level::B, "not by counters, nor inside of a node's power".to_owned()),
        () => (Level::B, "not covered".to_owned()),
    }
}

fn node_power(record: &BenchmarkRecord, _: &StatisticsPart) -> Found {
    let measured = |one: &RepetitionPart| {
        one.domains.iter().any(|domain| domain.kind == "node" && method(domain) < Method::Estimate)
    };
    if record.repetitions.iter().all(measured) {
        (Level::A, String::new())
    } else {
        (Level::B, "not measured".to_owned())
    }
}

fn estimated_share(record: &BenchmarkRecord, _: &StatisticsPart) -> Found {
    let summed =
        || record.repetitions.iter().flat_map(|one| &one.domains).filter(|domain| domain.summed);
    let all: f64 = summed().map(|one| one.joules).sum();
    let estimated: f64 =
        summed().filter(|one| method(one) == Method::Estimate).map(|one| one.joules).sum();
    let percent = if all > 0.0 { estimated / all * 100.0 } else { 100.0 };
    (by_limits(percent, [0.0, 5.0, 30.0]), format!("{percent:.1} % of the energy"))
}

fn gaps(record: &BenchmarkRecord, _: &StatisticsPart) -> Found {
    let percent = |one: &RepetitionPart| one.gaps_seconds / one.seconds * 100.0;
    let percent = record.repetitions.iter().map(percent).fold(0.0, f64::max);
    (by_limits(percent, [0.0, 1.0, 5.0]), format!("up to {percent:.2} % of a window"))
}

/// The window that the sensors of a repetition ask for, seconds. A sensor whose period
/// nobody states is taken for one of 1 s.
pub fn least_window(one: &RepetitionPart) -> f64 {
    let sensors = one.domains.iter().filter(|domain| method(domain) < Method::Estimate);
    let periods = sensors.map(|domain| domain.update_period_seconds.unwrap_or(UNSTATED_PERIOD));
    60_f64.max(periods.fold(0.0, f64::max) * PERIODS)
}

fn window(record: &BenchmarkRecord, _: &StatisticsPart) -> Found {
    let all = || record.repetitions.iter();
    let shortest = all().map(|one| one.seconds).fold(f64::INFINITY, f64::min);
    let needed = all().map(least_window).fold(60.0, f64::max);
    let level = match () {
        () if shortest >= needed.max(600.0) => Level::A,
        () if shortest >= needed => Level::B,
        () if shortest >= 60.0 => Level::C,
        () => Level::D,
    };
    (level, format!("the shortest is {shortest:.1} s; the sensors ask for {needed:.0} s"))
}

fn repetitions(record: &BenchmarkRecord, _: &StatisticsPart) -> Found {
    let count = record.repetitions.len();
    let level = match count {
        5.. => Level::A,
        3..=4 => Level::C,
        _ => Level::D,
    };
    (level, format!("{count}"))
}

fn half_width(_: &BenchmarkRecord, statistics: &StatisticsPart) -> Found {
    let percent = statistics.combined_half_width / statistics.mean * 100.0;
    (by_limits(percent, [5.0, 10.0, 25.0]), format!("± {percent:.1} %"))
}

fn drift(record: &BenchmarkRecord, statistics: &StatisticsPart) -> Found {
    let slope = statistics.drift_per_repetition.unwrap_or(0.0);
    let steps = record.repetitions.len().saturating_sub(1) as f64;
    let percent = (slope * steps / statistics.mean * 100.0).abs();
    let level = match statistics.drift_shown {
        false => Level::A,
        true if percent < 2.0 => Level::B,
        true => Level::C,
    };
    (level, format!("{percent:.1} % over the campaign"))
}

fn kept(record: &BenchmarkRecord, _: &StatisticsPart) -> Found {
    const RULES: [Rule; 4] =
        [Rule::ExclusiveAccelerators, Rule::ExclusiveCpu, Rule::Throttling, Rule::PowerLimit];
    // What the parts show counts, whether it was told or not.
    let shown = exceptions::broken(record);
    let all = shown.iter().chain(&record.exceptions).map(|one| one.rule);
    let broken: BTreeSet<Rule> = all.filter(|rule| RULES.contains(rule)).collect();
    if !broken.is_empty() {
        let words: Vec<String> = broken.into_iter().map(exceptions::word).collect();
        return (Level::C, format!("not kept: {}", words.join(", ")));
    }
    if record.repetitions.iter().any(|one| one.other_cpu_share.is_none()) {
        return (Level::C, "nobody looked at the CPU time of others".to_owned());
    }
    let all = exceptions::accelerators(record);
    if record.repetitions.iter().all(|one| is_looked_at(&all, one)) {
        (Level::A, String::new())
    } else {
        (Level::C, "nobody looked at each accelerator at a window's edges".to_owned())
    }
}

fn is_looked_at(all: &BTreeSet<&str>, one: &RepetitionPart) -> bool {
    [&one.before, &one.after].into_iter().all(|state| {
        let seen = state.accelerators.iter().map(|seen| seen.uuid.as_str()).collect();
        all.is_subset(&seen)
    })
}

fn intensity(record: &BenchmarkRecord, _: &StatisticsPart) -> Found {
    let of_window = |one: &RepetitionPart| match &one.intensity {
        None => (Level::D, "unknown".to_owned()),
        Some(intensity) if intensity.zone == "WORLD" => (Level::D, "the world's mean".to_owned()),
        Some(intensity) => of_facts(intensity),
    };
    let worst = record.repetitions.iter().map(of_window).max_by_key(|(level, _)| *level);
    worst.unwrap_or((Level::D, "unknown".to_owned()))
}

fn of_facts(intensity: &WindowIntensity) -> Found {
    let parts = &intensity.parts;
    match () {
        () if parts.is_empty() => (Level::C, "without its facts".to_owned()),
        () if !parts.iter().all(|part| is_live(&part.kind)) => (Level::C, "not live".to_owned()),
        () if !parts.iter().all(is_of_an_hour) => (Level::C, "not by the hour".to_owned()),
        () if !intensity.settled => (Level::B, "not settled".to_owned()),
        () => (Level::A, String::new()),
    }
}

/// Whether a fact's kind is of the time itself, and no forecast or yearly mean.
pub fn is_live(kind: &str) -> bool {
    matches!(kind, "actual" | "provisional" | "estimated")
}

fn is_of_an_hour(part: &IntensityUse) -> bool {
    let time = |text: &str| text.parse::<Timestamp>().ok();
    let span = time(&part.from).zip(time(&part.to)).map(|(from, to)| to.duration_since(from));
    span.is_some_and(|span| span <= LIVE)
}

fn pue(record: &BenchmarkRecord, _: &StatisticsPart) -> Found {
    match record.pue.as_ref().map(|pue| pue.kind) {
        Some(PueKind::Measured | PueKind::Annual) => (Level::A, String::new()),
        Some(PueKind::Stated) => (Level::B, "only stated".to_owned()),
        Some(PueKind::Assumed) => (Level::C, "assumed".to_owned()),
        None => (Level::C, "none".to_owned()),
    }
}

fn embodied(record: &BenchmarkRecord, _: &StatisticsPart) -> Found {
    if record.embodied.is_some() {
        (Level::A, String::new())
    } else {
        (Level::C, "not known".to_owned())
    }
}

fn by_limits(value: f64, [a, b, c]: [f64; 3]) -> Level {
    match () {
        () if value <= a => Level::A,
        () if value <= b => Level::B,
        () if value <= c => Level::C,
        () => Level::D,
    }
}

#[cfg(test)]
mod tests;
