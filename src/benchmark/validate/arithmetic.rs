// SPDX-License-Identifier: Apache-2.0
//! All that follows from the measured parts, computed again and compared.

use serde_json::Value;

use super::{Check, Findings};
use crate::benchmark::derive::derive;
use crate::benchmark::record::{BenchmarkRecord, Level, LevelPart, UnmetPart};

/// Relative difference up to which two computations of a figure are the same one.
const SAME: f64 = 1e-9;
/// The same for a difference of values, relative to their mean: what is left of digits
/// that cancel.
const CANCELLED: f64 = 1e-12;

/// Compares, and says which level follows.
pub(super) fn check(record: &BenchmarkRecord, findings: &mut Findings) -> Option<Level> {
    let derived = match derive(record) {
        Ok(derived) => derived,
        Err(error) => {
            findings.add(Check::Arithmetic, "/derived", "figures", format!("{error}"));
            return None;
        }
    };
    level(&record.derived.level, &derived.level, findings);
    let slack = derived.statistics.mean * CANCELLED;
    let pairs = [
        (
            "/derived/values",
            serde_json::to_value(&record.derived.values),
            serde_json::to_value(&derived.values),
        ),
        (
            "/derived/statistics",
            serde_json::to_value(&record.derived.statistics),
            serde_json::to_value(&derived.statistics),
        ),
        (
            "/derived/score",
            serde_json::to_value(&record.derived.score),
            serde_json::to_value(&derived.score),
        ),
    ];
    for (at, said, follows) in pairs {
        if let (Ok(said), Ok(follows)) = (said, follows) {
            let slack = if at == "/derived/statistics" { slack } else { 0.0 };
            compare(at, &said, &follows, slack, findings);
        }
    }
    Some(derived.level.level)
}

/// Whether two figures are the same to the last digits.
pub(super) fn same(one: f64, other: f64, slack: f64) -> bool {
    (one - other).abs() <= (SAME * one.abs().max(other.abs())).max(slack)
}

fn compare(at: &str, said: &Value, follows: &Value, slack: f64, findings: &mut Findings) {
    match (said, follows) {
        (Value::Object(said), Value::Object(follows)) => {
            for (name, follows) in follows {
                let said = said.get(name).unwrap_or(&Value::Null);
                compare(&format!("{at}/{name}"), said, follows, slack, findings);
            }
        }
        (Value::Array(said), Value::Array(follows)) if said.len() == follows.len() => {
            for (index, (said, follows)) in said.iter().zip(follows).enumerate() {
                compare(&format!("{at}/{index}"), said, follows, slack, findings);
            }
        }
        (Value::Array(said), Value::Array(follows)) => {
            let found = format!("{} follow", follows.len());
            findings.add(Check::Arithmetic, at, format!("{} values", said.len()), found);
        }
        _ => {
            let numbers = said.as_f64().zip(follows.as_f64());
            let holds = numbers.map_or(said == follows, |(one, other)| same(one, other, slack));
            let found = format!("{follows} follows");
            findings.expect(holds, Check::Arithmetic, at, said, &found);
        }
    }
}

fn level(said: &LevelPart, follows: &LevelPart, findings: &mut Findings) {
    let conditions = |part: &LevelPart| {
        let one = |unmet: &UnmetPart| format!("{} ({:?})", unmet.condition, unmet.allows);
        part.unmet.iter().map(one).collect::<Vec<String>>().join(", ")
    };
    if said.level != follows.level {
        let at = "/derived/level/level";
        let way = if said.level < follows.level { "too high" } else { "too low" };
        let deciding = follows.unmet.iter().filter(|unmet| unmet.allows == follows.level);
        let why: Vec<String> =
            deciding.map(|unmet| format!("{}: {}", unmet.condition, unmet.found)).collect();
        let why = if why.is_empty() { "every condition holds".into() } else { why.join("; ") };
        let found = format!("claimed {way}: {:?} follows ({why})", follows.level);
        findings.add(Check::Level, at, format!("{:?}", said.level), found);
    }
    let (said, follows) = (conditions(said), conditions(follows));
    if said != follows {
        let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
        let found = format!("what does not hold for A is {}", or_none(follows));
        findings.add(Check::Level, "/derived/level/unmet", or_none(said), found);
    }
}
