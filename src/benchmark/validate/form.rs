// SPDX-License-Identifier: Apache-2.0
//! Form beyond types: every field is there, none is unknown, words and times are such.

use jiff::Timestamp;
use serde_json::Value;

use super::{Check, Findings};
use crate::benchmark::read::{Read, escaped};
use crate::benchmark::record::{BENCHMARK, BenchmarkRecord};
use crate::ledger::IntensityKind;

const KINDS: [&str; 6] = ["gpu", "cpu", "dram", "node", "core", "uncore"];
const METHODS: [&str; 3] = ["counter", "power", "estimate"];
const SIGNALS: [&str; 2] = ["average", "marginal"];
const BOUNDARIES: [&str; 3] = ["direct", "lifecycle", "mixed"];

pub(super) fn check(read: &Read, findings: &mut Findings) {
    if let Ok(own) = serde_json::to_value(&read.record) {
        // A later minor version may have fields that this program does not know.
        let later = read.version.minor > BENCHMARK.current.minor;
        fields("", &read.value, &own, later, findings);
    }
    words(&read.record, findings);
    times(&read.record, findings);
}

/// Fields that are absent (an optional one is null, never absent) or unknown.
fn fields(at: &str, read: &Value, own: &Value, later: bool, findings: &mut Findings) {
    match (read, own) {
        (Value::Object(read), Value::Object(own)) => {
            for (name, own) in own {
                let at = format!("{at}/{}", escaped(name));
                match read.get(name) {
                    Some(read) => fields(&at, read, own, later, findings),
                    None => findings.add(Check::Form, at, "nothing", "the field is absent"),
                }
            }
            for name in read.keys().filter(|name| !later && !own.contains_key(*name)) {
                let at = format!("{at}/{}", escaped(name));
                findings.add(Check::Form, at, "something", "this version has no such field");
            }
        }
        (Value::Array(read), Value::Array(own)) => {
            for (index, (read, own)) in read.iter().zip(own).enumerate() {
                fields(&format!("{at}/{index}"), read, own, later, findings);
            }
        }
        _ => {}
    }
}

fn words(record: &BenchmarkRecord, findings: &mut Findings) {
    let mut word = |at: String, said: &str, known: &[&str]| {
        let found = format!("it is one of {}", known.join(", "));
        findings.expect(known.contains(&said), Check::Form, at, said, &found);
    };
    for (i, one) in record.repetitions.iter().enumerate() {
        for (j, domain) in one.domains.iter().enumerate() {
            let at = format!("/repetitions/{i}/domains/{j}");
            word(format!("{at}/kind"), &domain.kind, &KINDS);
            word(format!("{at}/method"), &domain.method, &METHODS);
        }
        let Some(intensity) = &one.intensity else { continue };
        let at = format!("/repetitions/{i}/intensity");
        word(format!("{at}/signal"), &intensity.signal, &SIGNALS);
        word(format!("{at}/boundary"), &intensity.boundary, &BOUNDARIES);
        for (j, part) in intensity.parts.iter().enumerate() {
            let kinds = IntensityKind::ALL.map(IntensityKind::as_str);
            word(format!("{at}/parts/{j}/kind"), &part.kind, &kinds);
        }
    }
    let id = &record.campaign.id;
    findings.expect(
        id.parse::<ulid::Ulid>().is_ok(),
        Check::Form,
        "/campaign/id",
        id,
        "it is a ULID",
    );
}

fn times(record: &BenchmarkRecord, findings: &mut Findings) {
    let mut time = |at: String, said: &str| {
        let is = said.parse::<Timestamp>().is_ok();
        findings.expect(is, Check::Form, at, said, "it is a time of RFC 3339");
    };
    time("/campaign/started_at".into(), &record.campaign.started_at);
    time("/campaign/ended_at".into(), &record.campaign.ended_at);
    for (i, one) in record.repetitions.iter().enumerate() {
        time(format!("/repetitions/{i}/started_at"), &one.started_at);
        time(format!("/repetitions/{i}/ended_at"), &one.ended_at);
        for (j, part) in one.intensity.iter().flat_map(|known| &known.parts).enumerate() {
            let at = format!("/repetitions/{i}/intensity/parts/{j}");
            time(format!("{at}/from"), &part.from);
            time(format!("{at}/to"), &part.to);
            time(format!("{at}/fetched_at"), &part.fetched_at);
        }
    }
}
