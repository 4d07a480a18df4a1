// SPDX-License-Identifier: Apache-2.0
//! Which rules of the protocol a record's measured parts do not keep.
//!
//! One function a rule, each by the record alone, so that who checks a record finds the
//! same. What only the running campaign can see (a machine that did not calm down, an
//! interruption) is added by it. Pure.

use super::level::{is_live, least_window};
use super::protocol::{
    IDLE_SECONDS, LEAST_REPETITIONS, MOST_OTHER_CPU, SETTLE_SECONDS, WARM_UP_SECONDS,
};
use super::record::{
    AcceleratorState, BenchmarkRecord, ExceptionPart, RepetitionPart, Rule, UnitKind,
};

/// NVML's reasons for a lower clock that are heat or the power supply.
pub const THROTTLING: [&str; 4] =
    ["hw_slowdown", "sw_thermal_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown"];

/// Every rule that is not kept, in the order of the rules; those of a repetition by its
/// number. `exceptions` and `derived` of the record are not looked at.
pub fn broken(record: &BenchmarkRecord) -> Vec<ExceptionPart> {
    let of_campaign = [
        (Rule::Idle, idle(record)),
        (Rule::WarmUp, warm_up(record)),
        (Rule::Repetitions, repetitions(record)),
    ];
    let of_window: [(Rule, OfWindow); 7] = [
        (Rule::Window, window),
        (Rule::ExclusiveAccelerators, accelerators),
        (Rule::ExclusiveCpu, cpu),
        (Rule::Throttling, throttling),
        (Rule::PowerLimit, power_limit),
        (Rule::Gaps, gaps),
        (Rule::Intensity, intensity),
    ];
    let campaign = of_campaign.into_iter().filter_map(|(rule, found)| {
        found.map(|found| ExceptionPart { rule, repetition: None, found })
    });
    let windows = of_window.into_iter().flat_map(|(rule, look)| {
        record.repetitions.iter().filter_map(move |one| {
            let found = look(record, one)?;
            Some(ExceptionPart { rule, repetition: Some(one.number), found })
        })
    });
    let mut all: Vec<ExceptionPart> = campaign.chain(windows).collect();
    all.sort_by_key(|one| (one.rule, one.repetition));
    all
}

type OfWindow = fn(&BenchmarkRecord, &RepetitionPart) -> Option<String>;

fn idle(record: &BenchmarkRecord) -> Option<String> {
    let seconds = record.idle.as_ref().map_or(0.0, |idle| idle.seconds);
    too_short("idle", seconds, IDLE_SECONDS)
}

fn warm_up(record: &BenchmarkRecord) -> Option<String> {
    let (seconds, runs, units) = record
        .warm_up
        .as_ref()
        .map_or((0.0, 0, 0.0), |warm_up| (warm_up.seconds, warm_up.runs, warm_up.units));
    if matches!(record.unit.kind, UnitKind::Run | UnitKind::Quality) {
        return (runs == 0).then(|| "no whole run".to_owned());
    }
    let no_unit = || (units < 1.0).then(|| "no whole unit of work".to_owned());
    too_short("warmed up", seconds, WARM_UP_SECONDS).or_else(no_unit)
}

fn repetitions(record: &BenchmarkRecord) -> Option<String> {
    let count = record.repetitions.len();
    (count < LEAST_REPETITIONS as usize)
        .then(|| format!("{count}; at least {LEAST_REPETITIONS} are asked for, 5 for level B"))
}

/// What is wrong with the settle time where it is set to less than the protocol's. A record
/// does not hold it: the campaign asks.
pub fn short_settle(seconds: f64) -> Option<String> {
    too_short("set to", seconds, SETTLE_SECONDS)
}

fn too_short(what: &str, seconds: f64, least: f64) -> Option<String> {
    (seconds < least).then(|| format!("{what} {seconds:.1} s of {least:.0} s"))
}

fn window(_: &BenchmarkRecord, one: &RepetitionPart) -> Option<String> {
    let least = least_window(one);
    (one.seconds < least)
        .then(|| format!("{:.1} s of {least:.0} s that the sensors ask for", one.seconds))
}

fn accelerators(_: &BenchmarkRecord, one: &RepetitionPart) -> Option<String> {
    (!one.other_jobs.is_empty()).then(|| one.other_jobs.join(", "))
}

fn cpu(_: &BenchmarkRecord, one: &RepetitionPart) -> Option<String> {
    let share = one.other_cpu_share.filter(|share| *share >= MOST_OTHER_CPU)?;
    Some(format!("others used {:.1} % of the node's CPU time", share * 100.0))
}

fn throttling(_: &BenchmarkRecord, one: &RepetitionPart) -> Option<String> {
    let of = |state: &AcceleratorState| -> Option<String> {
        let reasons = state.throttle_reasons.iter().map(String::as_str);
        let bad: Vec<&str> = reasons.filter(|reason| THROTTLING.contains(reason)).collect();
        (!bad.is_empty()).then(|| format!("{}: {}", state.uuid, bad.join(", ")))
    };
    joined(states(one).filter_map(of))
}

fn power_limit(record: &BenchmarkRecord, one: &RepetitionPart) -> Option<String> {
    let changed = |state: &AcceleratorState| -> Option<String> {
        let set = record.machine.accelerators.iter().find(|set| set.uuid == state.uuid)?;
        let (then, now) = (set.power_limit_watts?, state.power_limit_watts?);
        (then != now).then(|| format!("{}: {then:.0} W, then {now:.0} W", state.uuid))
    };
    joined(states(one).filter_map(changed))
}

fn states(one: &RepetitionPart) -> impl Iterator<Item = &AcceleratorState> {
    one.before.accelerators.iter().chain(&one.after.accelerators)
}

fn joined(found: impl Iterator<Item = String>) -> Option<String> {
    let mut all: Vec<String> = Vec::new();
    for one in found {
        if !all.contains(&one) {
            all.push(one);
        }
    }
    (!all.is_empty()).then(|| all.join("; "))
}

fn gaps(_: &BenchmarkRecord, one: &RepetitionPart) -> Option<String> {
    (one.gaps_seconds > 0.0).then(|| format!("{:.1} s without readings", one.gaps_seconds))
}

fn intensity(_: &BenchmarkRecord, one: &RepetitionPart) -> Option<String> {
    let Some(intensity) = &one.intensity else {
        return Some("unknown".to_owned());
    };
    let zone = &intensity.zone;
    if intensity.parts.is_empty() {
        return Some(format!("{zone}: without its facts"));
    }
    let stale = intensity.parts.iter().filter(|part| !is_live(&part.kind));
    let all = joined(stale.map(|part| format!("{} of {}", part.kind, part.source)));
    all.map(|found| format!("{zone}: not live: {found}"))
}
