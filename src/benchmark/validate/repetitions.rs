// SPDX-License-Identifier: Apache-2.0
//! Figures of each repetition: its number, its time, its units, its domains.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::arithmetic::same;
use super::campaign::{not_negative, positive};
use super::{Check, Findings};
use crate::benchmark::record::{
    BenchmarkDomain, BenchmarkRecord, RepetitionPart, StatePart, UnitKind,
};

/// A window's length by a clock that nobody sets, and its edges by one that is kept in
/// time: they differ by what the latter is slewed (0.05 % at most) and by the edges' digits.
const SLEWED: f64 = 1e-3;
const EDGES_SECONDS: f64 = 0.5;

pub(super) fn check(record: &BenchmarkRecord, findings: &mut Findings) {
    let time = |text: &str| text.parse::<Timestamp>().ok();
    let mut before = ("/campaign/started_at".to_owned(), time(&record.campaign.started_at));
    for (i, one) in record.repetitions.iter().enumerate() {
        let at = format!("/repetitions/{i}");
        let number = u32::try_from(i + 1).unwrap_or(u32::MAX);
        let found = format!("it is the {number}. in order");
        let is = one.number == number;
        findings.expect(is, Check::Arithmetic, format!("{at}/number"), one.number, &found);
        in_order(&before, &format!("{at}/started_at"), &one.started_at, findings);
        let started = (format!("{at}/started_at"), time(&one.started_at));
        in_order(&started, &format!("{at}/ended_at"), &one.ended_at, findings);
        before = (format!("{at}/ended_at"), time(&one.ended_at));
        length(&at, one, started.1, before.1, findings);
        units(&at, record.unit.kind, one, findings);
        domains(&at, one, findings);
        state(&format!("{at}/before"), &one.before, findings);
        state(&format!("{at}/after"), &one.after, findings);
    }
    in_order(&before, "/campaign/ended_at", &record.campaign.ended_at, findings);
}

/// A time is not before the one that must come first.
fn in_order(first: &(String, Option<Timestamp>), at: &str, said: &str, findings: &mut Findings) {
    // What is no time at all has been said by its form.
    if let Some((first_time, time)) = first.1.zip(said.parse::<Timestamp>().ok()) {
        let found = format!("{} is later: {first_time}", first.0);
        findings.expect(first_time <= time, Check::Arithmetic, at, said, &found);
    }
}

fn length(
    at: &str,
    one: &RepetitionPart,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    findings: &mut Findings,
) {
    positive(format!("{at}/seconds"), one.seconds, findings);
    if let Some((started, ended)) = started.zip(ended) {
        let seconds = ended.duration_since(started).as_secs_f64();
        let slack = (SLEWED * one.seconds.abs()).max(EDGES_SECONDS);
        let found = format!("from its start to its end are {seconds} s");
        let is = (one.seconds - seconds).abs() <= slack;
        findings.expect(is, Check::Arithmetic, format!("{at}/seconds"), one.seconds, &found);
    }
    let is = (0.0..=one.seconds).contains(&one.gaps_seconds);
    let found = format!("the window has {} s", one.seconds);
    findings.expect(is, Check::Plausible, format!("{at}/gaps_seconds"), one.gaps_seconds, &found);
}

fn units(at: &str, kind: UnitKind, one: &RepetitionPart, findings: &mut Findings) {
    positive(format!("{at}/units"), one.units, findings);
    findings.expect(one.runs >= 1, Check::Plausible, format!("{at}/runs"), one.runs, "none");
    let runs = one.runs as f64;
    let (holds, found) = match kind {
        UnitKind::Run => (one.units == runs, "a run is a unit"),
        UnitKind::Quality => (one.units <= runs, "a run reaches it once at most"),
        UnitKind::Token | UnitKind::Sample | UnitKind::Step => (true, ""),
    };
    let found = format!("there were {runs} runs, and {found}");
    findings.expect(holds, Check::Arithmetic, format!("{at}/units"), one.units, &found);
}

fn domains(at: &str, one: &RepetitionPart, findings: &mut Findings) {
    let mut ids = BTreeSet::new();
    for (j, domain) in one.domains.iter().enumerate() {
        let at = format!("{at}/domains/{j}");
        let is = ids.insert(domain.id.as_str());
        let found = "a domain stands once";
        findings.expect(is, Check::Arithmetic, format!("{at}/id"), &domain.id, found);
        figures(&at, domain, findings);
    }
    let summed = || one.domains.iter().filter(|domain| domain.summed);
    let joules: f64 = summed().map(|domain| domain.joules).sum();
    let found = format!("the summed domains make {joules}");
    let is = same(joules, one.joules, 0.0);
    findings.expect(is, Check::Arithmetic, format!("{at}/joules"), one.joules, &found);
    // What contains another is not added to it.
    let kinds: BTreeSet<&str> = summed().map(|domain| domain.kind.as_str()).collect();
    let twice = (kinds.contains("node") && kinds.len() > 1)
        || (kinds.contains("cpu") && (kinds.contains("core") || kinds.contains("uncore")));
    let said = kinds.into_iter().collect::<Vec<_>>().join(", ");
    let found = "they contain one another: joules count twice";
    findings.expect(!twice, Check::Arithmetic, format!("{at}/domains"), said, found);
    if let Some(share) = one.other_cpu_share {
        portion(format!("{at}/other_cpu_share"), share, findings);
    }
}

fn figures(at: &str, domain: &BenchmarkDomain, findings: &mut Findings) {
    not_negative(format!("{at}/joules"), domain.joules, findings);
    not_negative(format!("{at}/uncertainty_joules"), domain.uncertainty_joules, findings);
    if let Some(percent) = domain.common_percent {
        not_negative(format!("{at}/common_percent"), percent, findings);
    }
    if let Some(period) = domain.update_period_seconds {
        positive(format!("{at}/update_period_seconds"), period, findings);
    }
    if let Some(share) = domain.share {
        portion(format!("{at}/share"), share, findings);
    }
    let is = domain.method != "estimate" || domain.uncertainty_joules == 0.0;
    let found = "an estimate's error is common to all windows";
    let at = format!("{at}/uncertainty_joules");
    findings.expect(is, Check::Arithmetic, at, domain.uncertainty_joules, found);
}

fn portion(at: String, value: f64, findings: &mut Findings) {
    let is = (0.0..=1.0).contains(&value);
    findings.expect(is, Check::Plausible, at, value, "a share is from 0 to 1");
}

fn state(at: &str, state: &StatePart, findings: &mut Findings) {
    let mut figure = |at: String, value: Option<f64>| {
        if let Some(value) = value {
            not_negative(at, value, findings);
        }
    };
    figure(format!("{at}/cpu_mhz"), state.cpu_mhz);
    for (i, one) in state.accelerators.iter().enumerate() {
        figure(format!("{at}/accelerators/{i}/clock_mhz"), one.clock_mhz);
        figure(format!("{at}/accelerators/{i}/power_limit_watts"), one.power_limit_watts);
    }
}
