// SPDX-License-Identifier: Apache-2.0
//! Figures of the campaign: protocol, baseline, warm-up, building, hardware.

use sha2::{Digest, Sha256};

use super::arithmetic::same;
use super::{Check, Findings};
use crate::benchmark::record::{
    BenchmarkRecord, CountedBy, IdlePart, StoppedBy, UnitKind, WorkloadPart,
};
use crate::grid::pue;

pub(super) fn check(record: &BenchmarkRecord, findings: &mut Findings) {
    unit(record, findings);
    workload(&record.workload, findings);
    protocol(record, findings);
    stopped(record, findings);
    if let Some(idle) = &record.idle {
        baseline(record, idle, findings);
    }
    if let Some(warm_up) = &record.warm_up {
        not_negative("/warm_up/seconds", warm_up.seconds, findings);
        not_negative("/warm_up/units", warm_up.units, findings);
    }
    if let Some(statement) = &record.pue {
        let [low, high] =
            [pue::PLAUSIBLE.start(), pue::PLAUSIBLE.end()].map(|one| f64::from(*one) / 1e3);
        let found = format!("a PUE is from {low} to {high}");
        let is = (low..=high).contains(&statement.value);
        findings.expect(is, Check::Plausible, "/pue/value", statement.value, &found);
    }
    if let Some(embodied) = &record.embodied {
        positive("/embodied/te_grams", embodied.te_grams, findings);
        positive("/embodied/el_seconds", embodied.el_seconds, findings);
        positive("/embodied/rr", embodied.rr, findings);
        positive("/embodied/tor", embodied.tor, findings);
        let is = embodied.rr <= embodied.tor;
        let found = format!("of {} no more can be reserved", embodied.tor);
        findings.expect(is, Check::Plausible, "/embodied/rr", embodied.rr, &found);
    }
    let nodes = record.machine.nodes;
    findings.expect(nodes >= 1, Check::Plausible, "/machine/nodes", nodes, "at least one did it");
}

pub(super) fn not_negative(at: impl Into<String>, value: f64, findings: &mut Findings) {
    findings.expect(value >= 0.0, Check::Plausible, at, value, "it cannot be below 0");
}

pub(super) fn positive(at: impl Into<String>, value: f64, findings: &mut Findings) {
    findings.expect(value > 0.0, Check::Plausible, at, value, "it must be above 0");
}

fn unit(record: &BenchmarkRecord, findings: &mut Findings) {
    let unit = &record.unit;
    let is_quality = unit.kind == UnitKind::Quality;
    let said = if unit.quality.is_some() { "a target" } else { "no target" };
    findings.expect(
        is_quality == unit.quality.is_some(),
        Check::Form,
        "/unit/quality",
        said,
        "a unit of kind quality has one, and no other",
    );
    let by_exit = unit.counted_by == CountedBy::Exit;
    findings.expect(
        !by_exit || unit.kind == UnitKind::Run,
        Check::Form,
        "/unit/counted_by",
        "exit",
        "an end of the command counts runs alone",
    );
}

/// The hash of a command line that is told.
fn workload(workload: &WorkloadPart, findings: &mut Findings) {
    let Some(command) = &workload.command else { return };
    let digest = Sha256::digest(command.join("\0"));
    let hash = digest.iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"));
    let is = hash == workload.command_hash;
    let found = format!("the command has {hash}");
    let at = "/workload/command_hash";
    findings.expect(is, Check::Arithmetic, at, &workload.command_hash, &found);
}

fn protocol(record: &BenchmarkRecord, findings: &mut Findings) {
    let protocol = &record.protocol;
    not_negative("/protocol/idle_seconds", protocol.idle_seconds, findings);
    not_negative("/protocol/warm_up_seconds", protocol.warm_up_seconds, findings);
    not_negative("/protocol/window_seconds", protocol.window_seconds, findings);
    let (least, most) = (protocol.repetitions, protocol.max_repetitions);
    let found = format!("it is at least {least}, as `repetitions` says");
    findings.expect(most >= least, Check::Protocol, "/protocol/max_repetitions", most, &found);
    let count = record.repetitions.len();
    let is = usize::try_from(most).is_ok_and(|most| count <= most);
    let found = format!("there are {count} repetitions");
    findings.expect(is, Check::Protocol, "/protocol/max_repetitions", most, &found);
}

/// What ended the campaign can have done so.
fn stopped(record: &BenchmarkRecord, findings: &mut Findings) {
    let protocol = &record.protocol;
    let statistics = &record.derived.statistics;
    let count = record.repetitions.len();
    let (holds, found) = match protocol.stopped_by {
        StoppedBy::Repetitions => (
            usize::try_from(protocol.repetitions).is_ok_and(|least| count >= least),
            format!("{count} of {} were run", protocol.repetitions),
        ),
        // Repeating narrows the repetition's own half-width alone.
        StoppedBy::Confidence => {
            let half_width = statistics.repetition_half_width.unwrap_or(f64::INFINITY);
            let percent = half_width / statistics.mean * 100.0;
            (
                protocol.confidence_percent.is_some_and(|wanted| percent <= wanted),
                format!("the repetitions' half-width is {percent:.2} %"),
            )
        }
        StoppedBy::Energy => {
            (protocol.max_joules.is_some(), "no budget of energy was set".to_owned())
        }
        StoppedBy::Time => (protocol.max_seconds.is_some(), "no budget of time was set".to_owned()),
        StoppedBy::Interrupt => (true, String::new()),
    };
    let said = serde_json::to_value(protocol.stopped_by).unwrap_or_default();
    findings.expect(holds, Check::Protocol, "/protocol/stopped_by", said, &found);
}

/// Idle watts: of the domains that a repetition sums.
fn baseline(record: &BenchmarkRecord, idle: &IdlePart, findings: &mut Findings) {
    positive("/idle/seconds", idle.seconds, findings);
    for (id, watts) in &idle.domains {
        let at = format!("/idle/domains/{}", crate::benchmark::read::escaped(id));
        not_negative(at, *watts, findings);
    }
    let Some(first) = record.repetitions.first() else { return };
    let summed = || first.domains.iter().filter(|domain| domain.summed);
    if summed().all(|domain| idle.domains.contains_key(&domain.id)) {
        let watts: f64 = summed().filter_map(|domain| idle.domains.get(&domain.id)).sum();
        let found = format!("the domains that are summed make {watts}");
        let is = same(watts, idle.watts, 0.0);
        findings.expect(is, Check::Arithmetic, "/idle/watts", idle.watts, &found);
    }
}
