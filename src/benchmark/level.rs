// SPDX-License-Identifier: Apache-2.0
//! The quality level of a campaign, by the table of `docs/benchmark.md`.
//!
//! Each row of the table is one function here that says up to which level its condition
//! holds and what was found; the level is the worst of them. Pure, and never claimed by
//! hand.

use super::record::{
    BenchmarkDomain, BenchmarkRecord, Level, LevelPart, Origin, PueKind, RepetitionPart, Rule,
    StatisticsPart, UnmetPart,
};

/// Update periods of the slowest sensor that a window holds at least.
pub const PERIODS: f64 = 100.0;

type Found = (Level, String);
type Condition = fn(&BenchmarkRecord, &StatisticsPart) -> Found;

/// The table's rows.
const CONDITIONS: [(&str, Condition); 14] = [
    ("origin", origin),
    ("accelerators", accelerators),
    ("CPU packages", packages),
    ("memory", memory),
    ("node power", node_power),
    ("estimated share", estimated_share),
    ("time in gaps", gaps),
    ("window", window),
    ("repetitions", repetitions),
    ("combined half-width", half_width),
    ("drift", drift),
    ("exclusive use, no throttling", kept),
    ("intensity", intensity),
    ("PUE and embodied", building_and_hardware),
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

/// Every domain of a kind in every repetition.
fn domains<'a>(
    record: &'a BenchmarkRecord,
    kind: &'a str,
) -> impl Iterator<Item = &'a BenchmarkDomain> + 'a {
    record.repetitions.iter().flat_map(|one| &one.domains).filter(move |one| one.kind == kind)
}

fn accelerators(record: &BenchmarkRecord, _: &StatisticsPart) -> Found {
    let all = record.machine.host.gpus.len();
    let read = |one: &RepetitionPart| {
        one.domains.iter().filter(|domain| domain.kind == "gpu" && domain.summed).count()
    };
    let least = record.repetitions.iter().map(read).min().unwrap_or(0);
    let methods: Vec<&str> = domains(record, "gpu").map(|one| one.method.as_str()).collect();
    if least < all {
        return (Level::D, format!("{least} of {all} were read"));
    }
    match () {
        () if methods.iter().all(|method| *method == "counter") => (Level::A, String::new()),
        () if methods.contains(&"estimate") => (Level::D, "estimated".to_owned()),
        () => (Level::B, "power integrated".to_owned()),
    }
}

fn packages(record: &BenchmarkRecord, _: &StatisticsPart) -> Found {
    let methods: Vec<&str> = domains(record, "cpu").map(|one| one.method.as_str()).collect();
    match () {
        () if methods.is_empty() => (Level::D, "not read".to_owned()),
        () if methods.iter().all(|method| *method == "counter") => (Level::A, String::new()),
        () => (Level::C, "not all by counters".to_owned()),
    }
}

fn memory(record: &BenchmarkRecord, _: &StatisticsPart) -> Found {
    let counted = domains(record, "dram").next().is_some()
        && domains(record, "dram").all(|one| one.method == "counter");
    let inside = domains(record, "node").next().is_some();
    let found = if counted || inside { "" } else { "not read" };
    (if counted || inside { Level::A } else { Level::B }, found.to_owned())
}

fn node_power(record: &BenchmarkRecord, _: &StatisticsPart) -> Found {
    let measured = |one: &RepetitionPart| {
        one.domains.iter().any(|domain| domain.kind == "node" && domain.method != "estimate")
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
        summed().filter(|one| one.method == "estimate").map(|one| one.joules).sum();
    let percent = if all > 0.0 { estimated / all * 100.0 } else { 100.0 };
    (by_limits(percent, [0.0, 5.0, 30.0]), format!("{percent:.1} % of the energy"))
}

fn gaps(record: &BenchmarkRecord, _: &StatisticsPart) -> Found {
    let percent = |one: &RepetitionPart| one.gaps_seconds / one.seconds * 100.0;
    let percent = record.repetitions.iter().map(percent).fold(0.0, f64::max);
    (by_limits(percent, [0.0, 1.0, 5.0]), format!("up to {percent:.2} % of a window"))
}

/// The window that the sensors of a repetition ask for, seconds.
pub fn least_window(one: &RepetitionPart) -> f64 {
    let periods = one.domains.iter().filter_map(|domain| domain.update_period_seconds);
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
    let broken = record.exceptions.iter().filter(|one| RULES.contains(&one.rule)).count();
    let known = record.repetitions.iter().all(|one| one.other_cpu_share.is_some());
    match (broken, known) {
        (0, true) => (Level::A, String::new()),
        (0, false) => (Level::C, "nobody looked at the CPU time of others".to_owned()),
        (broken, _) => (Level::C, format!("{broken} exceptions")),
    }
}

fn intensity(record: &BenchmarkRecord, _: &StatisticsPart) -> Found {
    let of_window = |one: &RepetitionPart| match &one.intensity {
        None => (Level::D, "unknown".to_owned()),
        Some(intensity) if intensity.zone == "WORLD" => (Level::D, "the world's mean".to_owned()),
        Some(intensity) if intensity.parts.iter().any(|part| !is_live(&part.kind)) => {
            (Level::C, "not live".to_owned())
        }
        Some(intensity) if intensity.parts.is_empty() => (Level::C, "without its facts".to_owned()),
        Some(intensity) if !intensity.settled => (Level::B, "not settled".to_owned()),
        Some(_) => (Level::A, String::new()),
    };
    let worst = record.repetitions.iter().map(of_window).max_by_key(|(level, _)| *level);
    worst.unwrap_or((Level::D, "unknown".to_owned()))
}

/// Whether a fact of intensity is of its time, and neither a forecast nor a yearly mean.
pub fn is_live(kind: &str) -> bool {
    matches!(kind, "actual" | "provisional" | "estimated")
}

fn building_and_hardware(record: &BenchmarkRecord, _: &StatisticsPart) -> Found {
    let pue = match record.pue.as_ref().map(|pue| pue.kind) {
        Some(PueKind::Measured | PueKind::Annual) => Level::A,
        Some(PueKind::Stated) => Level::B,
        Some(PueKind::Assumed) | None => Level::C,
    };
    let embodied = if record.embodied.is_some() { Level::A } else { Level::C };
    let found = match (pue, embodied) {
        (pue, Level::A) if pue < Level::C => "the PUE is only stated",
        (_, Level::A) => "the PUE is assumed",
        (pue, _) if pue < Level::C => "embodied carbon is not known",
        _ => "the PUE is assumed and embodied carbon is not known",
    };
    (pue.max(embodied), found.to_owned())
}

fn by_limits(value: f64, [a, b, c]: [f64; 3]) -> Level {
    match () {
        () if value <= a => Level::A,
        () if value <= b => Level::B,
        () if value <= c => Level::C,
        () => Level::D,
    }
}
