// SPDX-License-Identifier: Apache-2.0
//! Rules of the protocol that a record's own parts show to be broken.
//!
//! Each must stand among the record's exceptions, and counts for the level whether it
//! stands there or not. What the parts cannot tell, such as whether the machine settled
//! between two windows, only an exception says. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::level::{is_live, least_window};
use super::record::{
    BenchmarkDomain, BenchmarkRecord, ExceptionPart, RepetitionPart, Rule, StatePart, UnitKind,
    WarmUpPart,
};

/// Seconds of the idle baseline and of the warm-up at least.
const BASELINE_SECONDS: f64 = 60.0;
/// Repetitions at least, for any level above D.
const LEAST_REPETITIONS: usize = 3;
/// Others' share of the CPU time from which on a window is not exclusive.
const OTHERS: f64 = 0.05;

/// Disclosed power limits in watts, by accelerator.
type Limits<'a> = BTreeMap<&'a str, f64>;

/// What the parts show, in the order of the protocol.
pub fn broken(record: &BenchmarkRecord) -> Vec<ExceptionPart> {
    let mut all = of_campaign(record);
    let set = record.machine.accelerators.iter();
    let set = set.filter_map(|one| Some((one.uuid.as_str(), one.power_limit_watts?))).collect();
    for one in &record.repetitions {
        let found = of_repetition(&set, one);
        all.extend(found.into_iter().map(|(rule, found)| ExceptionPart {
            rule,
            repetition: Some(one.number),
            found,
        }));
    }
    all
}

/// The rule's word, as in a record.
pub fn word(rule: Rule) -> String {
    let word = serde_json::to_value(rule).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}

/// The accelerators of the work by what is said of the machine.
pub fn accelerators(record: &BenchmarkRecord) -> BTreeSet<&str> {
    let of_host = record.machine.host.gpus.iter().map(|gpu| gpu.uuid.as_str());
    of_host.chain(record.machine.accelerators.iter().map(|one| one.uuid.as_str())).collect()
}

/// The accelerator that a domain is of: its UUID, by NVML's source.
pub fn accelerator(domain: &BenchmarkDomain) -> Option<&str> {
    let (_, uuid) = domain.id.split_once(':')?;
    (domain.kind == "gpu").then_some(uuid)
}

fn of_campaign(record: &BenchmarkRecord) -> Vec<ExceptionPart> {
    let mut all = Vec::new();
    let mut add = |rule, found| all.push(ExceptionPart { rule, repetition: None, found });
    match &record.idle {
        None => add(Rule::Idle, "not measured".to_owned()),
        Some(idle) if idle.seconds < BASELINE_SECONDS => {
            add(Rule::Idle, format!("{} s", idle.seconds));
        }
        Some(_) => {}
    }
    match &record.warm_up {
        None => add(Rule::WarmUp, "none".to_owned()),
        Some(warm_up) if !is_warm(record.unit.kind, warm_up) => {
            let WarmUpPart { seconds, units, runs } = warm_up;
            add(Rule::WarmUp, format!("{seconds} s, {units} units, {runs} runs"));
        }
        Some(_) => {}
    }
    let count = record.repetitions.len();
    if count < LEAST_REPETITIONS {
        add(Rule::Repetitions, format!("{count} of {LEAST_REPETITIONS}"));
    }
    all
}

fn is_warm(kind: UnitKind, warm_up: &WarmUpPart) -> bool {
    let whole_run = matches!(kind, UnitKind::Run | UnitKind::Quality) && warm_up.runs >= 1;
    whole_run || (warm_up.seconds >= BASELINE_SECONDS && warm_up.units >= 1.0)
}

fn of_repetition(set: &Limits, one: &RepetitionPart) -> Vec<(Rule, String)> {
    let mut all = Vec::new();
    let mut add = |is, rule, found: String| {
        if is {
            all.push((rule, found));
        }
    };
    let least = least_window(one);
    add(one.seconds < least, Rule::Window, format!("{} s of {least} s", one.seconds));
    add(!one.other_jobs.is_empty(), Rule::ExclusiveAccelerators, one.other_jobs.join(", "));
    if let Some(share) = one.other_cpu_share {
        let found = format!("others used {:.1} % of the CPU time", share * 100.0);
        add(share >= OTHERS, Rule::ExclusiveCpu, found);
    }
    let reasons = throttling(one);
    add(!reasons.is_empty(), Rule::Throttling, reasons.join(", "));
    let limits = limits(set, one);
    add(!limits.is_empty(), Rule::PowerLimit, limits.join(", "));
    add(one.gaps_seconds > 0.0, Rule::Gaps, format!("{} s without readings", one.gaps_seconds));
    let live = match &one.intensity {
        None => Some("unknown".to_owned()),
        Some(intensity) if intensity.parts.is_empty() => Some("without its facts".to_owned()),
        Some(intensity) => {
            intensity.parts.iter().find(|part| !is_live(&part.kind)).map(|part| part.kind.clone())
        }
    };
    add(live.is_some(), Rule::Intensity, live.unwrap_or_default());
    all
}

fn states(one: &RepetitionPart) -> [&StatePart; 2] {
    [&one.before, &one.after]
}

/// Thermal and power-brake reasons at the window's edges, each once. A power cap is a
/// disclosure.
fn throttling(one: &RepetitionPart) -> Vec<&str> {
    let accelerators = states(one).into_iter().flat_map(|state| &state.accelerators);
    let reasons = accelerators.flat_map(|accelerator| &accelerator.throttle_reasons);
    let faults: BTreeSet<&str> = reasons.map(String::as_str).filter(|one| is_fault(one)).collect();
    faults.into_iter().collect()
}

fn is_fault(reason: &str) -> bool {
    // NVML's `hw_slowdown` is thermal, power brake or a fast trigger of the board's.
    reason.contains("thermal") || reason.contains("power_brake") || reason == "hw_slowdown"
}

/// Accelerators whose power limit at an edge is not the disclosed one.
fn limits(set: &Limits, one: &RepetitionPart) -> Vec<String> {
    let mut all = BTreeSet::new();
    for state in states(one).into_iter().flat_map(|state| &state.accelerators) {
        let limits = set.get(state.uuid.as_str()).copied().zip(state.power_limit_watts);
        if let Some((then, now)) = limits.filter(|(then, now)| then != now) {
            all.insert(format!("{} from {then} W to {now} W", state.uuid));
        }
    }
    all.into_iter().collect()
}
