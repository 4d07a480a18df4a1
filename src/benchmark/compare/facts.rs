// SPDX-License-Identifier: Apache-2.0
//! What differs between two records beside their figures, field by field.
//!
//! Each record gives the same list of fields as people read them; those that are not
//! equal are differences. Ids and times are not looked at.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::checked::Checked;
use super::super::record::BenchmarkRecord;
use super::super::words;
use super::{counted, place, summed};
use crate::record::text;

/// A field that is not the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `work`, `hardware`, `software`, `sensors`, `protocol`, `place`, `embodied`,
    /// `disclosures`, `exceptions`.
    pub part: &'static str,
    /// The field.
    pub what: String,
    /// The baseline's; null: not told.
    pub baseline: Option<String>,
    /// The record's.
    pub other: Option<String>,
}

/// Fields of one record: part, name, value.
struct Facts(Vec<(&'static str, String, Option<String>)>);

impl Facts {
    fn put(&mut self, part: &'static str, what: &str, value: Option<String>) {
        self.0.push((part, text::line(what), value.map(|value| text::line(&value))));
    }
}

pub(super) fn differences(baseline: &Checked, other: &Checked) -> Vec<Difference> {
    let (one, two) = (facts(baseline), facts(other));
    let find = |facts: &Facts, part: &str, what: &str| {
        let found = facts.0.iter().find(|fact| fact.0 == part && fact.1 == what);
        found.and_then(|fact| fact.2.clone())
    };
    let mut found: Vec<Difference> = Vec::new();
    for (part, what, _) in one.0.iter().chain(&two.0) {
        let known = found.iter().any(|known| known.part == *part && known.what == *what);
        let (baseline, other) = (find(&one, part, what), find(&two, part, what));
        if !known && baseline != other {
            found.push(Difference { part, what: what.clone(), baseline, other });
        }
    }
    let place = |one: &Difference| PARTS.iter().position(|part| *part == one.part);
    found.sort_by_key(place);
    found
}

/// The parts, in the order in which they are shown.
const PARTS: [&str; 9] = [
    "work",
    "hardware",
    "software",
    "sensors",
    "protocol",
    "place",
    "embodied",
    "disclosures",
    "exceptions",
];

fn facts(one: &Checked) -> Facts {
    let mut facts = Facts(Vec::new());
    let record = &one.record;
    work(&mut facts, record);
    hardware(&mut facts, record);
    software(&mut facts, record);
    sensors(&mut facts, one);
    protocol(&mut facts, record);
    site(&mut facts, one);
    embodied(&mut facts, record);
    for (key, value) in &record.workload.disclosures {
        facts.put("disclosures", key, Some(value.clone()));
    }
    let mut rules: BTreeMap<String, usize> = BTreeMap::new();
    for exception in &record.exceptions {
        let rule = serde_json::to_value(exception.rule).ok();
        let rule = rule.and_then(|rule| rule.as_str().map(str::to_owned)).unwrap_or_default();
        *rules.entry(rule).or_default() += 1;
    }
    for (rule, times) in rules {
        facts.put("exceptions", &rule, Some(format!("{times} times")));
    }
    facts
}

fn work(facts: &mut Facts, record: &BenchmarkRecord) {
    let work = &record.workload;
    facts.put("work", "built-in workload", work.builtin.clone());
    facts.put("work", "command", work.command.as_ref().map(|words| words.join(" ")));
    facts.put("work", "command's hash", Some(work.command_hash.clone()));
    facts.put("work", "spec's hash", work.spec_hash.clone());
    facts.put("work", "counted by", Some(words::counted_by(record.unit.counted_by).to_owned()));
}

fn hardware(facts: &mut Facts, record: &BenchmarkRecord) {
    let (machine, host) = (&record.machine, &record.machine.host);
    let mut models: BTreeMap<String, usize> = BTreeMap::new();
    for gpu in &host.gpus {
        let model = gpu.model.clone().unwrap_or_else(|| "unknown model".to_owned());
        *models.entry(model).or_default() += 1;
    }
    let gpus = models.into_iter().map(|(model, count)| format!("{count} x {model}"));
    let cpus = host.cpus.iter().map(|cpu| {
        let count = |what: &str, count: Option<u32>| {
            count.map_or_else(String::new, |count| format!(", {count} {what}"))
        };
        format!("{}{}{}", cpu.model, count("sockets", cpu.sockets), count("cores", cpu.cores))
    });
    let set = |watts: fn(&super::super::record::AcceleratorPart) -> Option<f64>| {
        distinct(machine.accelerators.iter().map(|one| unknown(watts(one), "W")))
    };
    let gib =
        |bytes: Option<u64>| unknown(bytes.map(|bytes| bytes as f64 / 1024_f64.powi(3)), "GiB");
    facts.put("hardware", "machine", host.name.clone());
    facts.put("hardware", "machine's id", host.machine_id_hash.clone());
    facts.put("hardware", "accelerators", joined(gpus));
    let memory = distinct(machine.accelerators.iter().map(|one| gib(one.memory_bytes)));
    facts.put("hardware", "memory of each", memory);
    facts.put("hardware", "power limit", set(|one| one.power_limit_watts));
    facts.put("hardware", "default power limit", set(|one| one.default_power_limit_watts));
    facts.put("hardware", "CPUs", joined(cpus));
    facts.put("hardware", "memory", machine.memory_bytes.map(|bytes| gib(Some(bytes))));
    facts.put("hardware", "nodes", Some(machine.nodes.to_string()));
}

fn software(facts: &mut Facts, record: &BenchmarkRecord) {
    let machine = &record.machine;
    let driver = |gpu: &crate::record::GpuPart| gpu.driver.clone().unwrap_or("unknown".to_owned());
    facts.put("software", "operating system", machine.host.os.clone());
    facts.put("software", "kernel", machine.kernel.clone());
    facts.put("software", "driver", distinct(machine.host.gpus.iter().map(driver)));
    facts.put("software", "CPU governor", machine.cpu_governor.clone());
    facts.put("software", "aimeter", Some(record.campaign.aimeter_version.clone()));
}

fn sensors(facts: &mut Facts, one: &Checked) {
    facts.put("sensors", "counted", Some(words::kinds(&counted(one))));
    let methods = summed(one).map(|domain| {
        format!("{} by {} ({})", text::kind(&domain.kind), domain.source, domain.method)
    });
    facts.put("sensors", "read", distinct(methods));
    let gains = summed(one).map(|domain| {
        let gain = domain.common_percent.map_or("not published".to_owned(), text::percent);
        format!("{} ± {gain}", text::kind(&domain.kind))
    });
    facts.put("sensors", "common error", distinct(gains));
}

fn protocol(facts: &mut Facts, record: &BenchmarkRecord) {
    let protocol = &record.protocol;
    let time = |seconds: f64| Some(text::duration(seconds));
    let mut put = |what: &str, value| facts.put("protocol", what, value);
    put("specification", Some(protocol.specification.clone()));
    put("idle baseline", time(protocol.idle_seconds));
    put("warm-up", time(protocol.warm_up_seconds));
    put("window", time(protocol.window_seconds));
    put("repetitions", Some(record.repetitions.len().to_string()));
    let confidence = protocol.confidence_percent;
    put("wanted confidence", confidence.map(|percent| format!("± {}", text::percent(percent))));
    put("budget of energy", protocol.max_joules.map(text::energy));
    put("budget of time", protocol.max_seconds.and_then(time));
}

fn site(facts: &mut Facts, one: &Checked) {
    let record = &one.record;
    let place = place(one);
    let part =
        |word: fn(&super::grid::Place) -> &String| place.as_ref().map(|one| word(one).clone());
    let parts = record.repetitions.iter().filter_map(|window| window.intensity.as_ref());
    let sources = parts.clone().flat_map(|intensity| &intensity.parts);
    let sources = sources.map(|one| format!("{} ({})", one.source, one.kind));
    let settled = parts.map(|intensity| if intensity.settled { "settled" } else { "provisional" });
    let pue = record.pue.as_ref();
    let mut put = |what: &str, value| facts.put("place", what, value);
    put("zone", part(|place| &place.zone));
    put("intensity's signal", part(|place| &place.signal));
    put("intensity's boundary", part(|place| &place.boundary));
    put("intensity's sources", distinct(sources));
    put("intensity is", distinct(settled.map(str::to_owned)));
    put("PUE", pue.map(|pue| format!("{} ({})", pue.value, words::pue_kind(pue.kind))));
    put("PUE's source", pue.map(|pue| pue.source.clone()));
}

fn embodied(facts: &mut Facts, record: &BenchmarkRecord) {
    let embodied = record.embodied.as_ref();
    let mut put = |what: &str, value| facts.put("embodied", what, value);
    put("TE", embodied.map(|one| text::emissions(one.te_grams)));
    put("TE's source", embodied.map(|one| one.te_source.clone()));
    put("EL", embodied.map(|one| text::duration(one.el_seconds)));
    put("EL's source", embodied.map(|one| one.el_source.clone()));
    put("RR of ToR", embodied.map(|one| format!("{} of {}", one.rr, one.tor)));
    put("RR's source", embodied.map(|one| one.reserved_source.clone()));
}

fn unknown(value: Option<f64>, unit: &str) -> String {
    value.map_or("unknown".to_owned(), |value| format!("{} {unit}", text::number(value)))
}

fn joined(words: impl Iterator<Item = String>) -> Option<String> {
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// Different words in their first order.
fn distinct(words: impl Iterator<Item = String>) -> Option<String> {
    let mut found: Vec<String> = Vec::new();
    for word in words {
        if !found.contains(&word) {
            found.push(word);
        }
    }
    joined(found.into_iter())
}
