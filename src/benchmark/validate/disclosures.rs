// SPDX-License-Identifier: Apache-2.0
//! Required disclosures. An answer may be "unknown", which is null or costs a level; a
//! text that is empty is no answer.

use std::collections::BTreeSet;

use super::{Check, Findings};
use crate::benchmark::exceptions;
use crate::benchmark::record::{BenchmarkRecord, Origin};

/// The framework that a command's work uses; `none` is an answer.
const FRAMEWORK: &str = "framework";

pub(super) fn check(record: &BenchmarkRecord, findings: &mut Findings) {
    let mut told = |at: &str, text: &str| {
        let is = !text.trim().is_empty();
        findings.expect(is, Check::Disclosure, at, "nothing", "it must be told");
    };
    told("/campaign/name", &record.campaign.name);
    told("/campaign/aimeter_version", &record.campaign.aimeter_version);
    told("/unit/name", &record.unit.name);
    told("/protocol/specification", &record.protocol.specification);
    if let Some(pue) = &record.pue {
        told("/pue/source", &pue.source);
    }
    if let Some(embodied) = &record.embodied {
        told("/embodied/te_source", &embodied.te_source);
        told("/embodied/el_source", &embodied.el_source);
        told("/embodied/reserved_source", &embodied.reserved_source);
    }
    for (i, one) in record.repetitions.iter().enumerate() {
        let Some(intensity) = &one.intensity else { continue };
        told(&format!("/repetitions/{i}/intensity/zone"), &intensity.zone);
        for (j, part) in intensity.parts.iter().enumerate() {
            told(&format!("/repetitions/{i}/intensity/parts/{j}/source"), &part.source);
        }
    }
    for (i, exception) in record.exceptions.iter().enumerate() {
        told(&format!("/exceptions/{i}/found"), &exception.found);
    }
    if record.campaign.origin == Origin::Literature {
        told("/campaign/source", record.campaign.source.as_deref().unwrap_or_default());
        return;
    }
    told("/machine/host/os", record.machine.host.os.as_deref().unwrap_or_default());
    if record.workload.builtin.is_none() {
        let framework = record.workload.disclosures.get(FRAMEWORK);
        let at = format!("/workload/disclosures/{FRAMEWORK}");
        told(&at, framework.map_or("", String::as_str));
    }
    accelerators(record, findings);
}

/// Each accelerator stands in both lists: its model and driver in one, its limits in the
/// other; and there is none that nobody disclosed.
fn accelerators(record: &BenchmarkRecord, findings: &mut Findings) {
    let host: BTreeSet<&str> =
        record.machine.host.gpus.iter().map(|gpu| gpu.uuid.as_str()).collect();
    let machine: BTreeSet<&str> =
        record.machine.accelerators.iter().map(|one| one.uuid.as_str()).collect();
    for (at, those, others) in
        [("/machine/host/gpus", &host, &machine), ("/machine/accelerators", &machine, &host)]
    {
        for missing in others.difference(those) {
            let found = "it stands in the machine's other list";
            findings.add(Check::Disclosure, at, format!("nothing of {missing:?}"), found);
        }
        let found = "an accelerator has a UUID";
        findings.expect(!those.contains(""), Check::Disclosure, at, "an empty name", found);
    }
    for (i, one) in record.repetitions.iter().enumerate() {
        for (j, domain) in one.domains.iter().enumerate().filter(|(_, one)| one.kind == "gpu") {
            let known = exceptions::accelerator(domain).is_some_and(|uuid| host.contains(uuid));
            let at = format!("/repetitions/{i}/domains/{j}/id");
            let found = "no accelerator of the machine is this one";
            findings.expect(known, Check::Disclosure, at, &domain.id, found);
        }
    }
}
