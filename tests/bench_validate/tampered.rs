// SPDX-License-Identifier: Apache-2.0
//! Every number of a record changed: what catches it, and what does not.

use std::collections::BTreeSet;
use std::process::Command;

use aimeter::benchmark::hash;
use aimeter::benchmark::read::read;
use aimeter::benchmark::validate::{Check, Violation, validate};
use serde_json::Value;

use crate::{bench_record, python};

/// Figures that nothing else in a record follows from or must agree with: whoever changes
/// one and makes the hash anew is caught by a signature alone. `docs/benchmark.md` lists
/// them.
const FREE: [&str; 30] = [
    "/idle/domains/*",
    "/idle/seconds",
    "/machine/accelerators/*/default_power_limit_watts",
    "/machine/accelerators/*/memory_bytes",
    "/machine/host/cpus/*/cores",
    "/machine/host/cpus/*/sockets",
    "/machine/host/gpus/*/power_limit_watts",
    "/machine/memory_bytes",
    "/machine/nodes",
    "/protocol/idle_seconds",
    "/protocol/max_repetitions",
    "/protocol/repetitions",
    "/protocol/warm_up_seconds",
    "/protocol/window_seconds",
    "/repetitions/*/after/accelerators/*/celsius",
    "/repetitions/*/after/accelerators/*/clock_mhz",
    "/repetitions/*/after/cpu_celsius",
    "/repetitions/*/after/cpu_mhz",
    "/repetitions/*/before/accelerators/*/celsius",
    "/repetitions/*/before/accelerators/*/clock_mhz",
    "/repetitions/*/before/cpu_celsius",
    "/repetitions/*/before/cpu_mhz",
    "/repetitions/*/domains/*/share",
    "/repetitions/*/domains/*/update_period_seconds",
    "/repetitions/*/intensity/parts/*/grams_per_kwh",
    "/repetitions/*/other_cpu_share",
    "/repetitions/*/runs",
    "/warm_up/runs",
    "/warm_up/seconds",
    "/warm_up/units",
];

/// Every number of a JSON value, by its pointer.
fn numbers(at: &str, value: &Value, all: &mut Vec<String>) {
    match value {
        Value::Number(_) => all.push(at.to_owned()),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, one)| numbers(&format!("{at}/{i}"), one, all));
        }
        Value::Object(fields) => fields.iter().for_each(|(name, one)| {
            let name = name.replace('~', "~0").replace('/', "~1");
            numbers(&format!("{at}/{name}"), one, all);
        }),
        _ => {}
    }
}

/// The value with another digit in its place of that index; `None`: it has no such digit.
fn other_digit(number: &Value, index: usize) -> Option<Value> {
    let text = number.to_string();
    let digits: Vec<(usize, char)> =
        text.char_indices().filter(|(_, c)| c.is_ascii_digit()).collect();
    let (place, digit) = *digits.get(index)?;
    let other = char::from_digit((digit.to_digit(10)? + 1) % 10, 10)?;
    let mut changed = text.clone();
    changed.replace_range(place..=place, &other.to_string());
    // `10` becomes `00`, which is no number: then nothing reads it.
    serde_json::from_str(&changed).ok().or(Some(Value::from(0))).filter(|new| new != number)
}

fn violations(value: &Value) -> Vec<Violation> {
    match read(value.to_string().as_bytes()) {
        Ok(read) => validate(&read).violations,
        Err(error) => vec![Violation {
            check: Check::Form,
            at: String::new(),
            said: String::new(),
            found: error.to_string(),
        }],
    }
}

#[test]
fn whatever_digit_is_changed_the_hash_catches_it() {
    let record = serde_json::to_value(bench_record::small()).unwrap();
    assert_eq!(violations(&record), []);
    let mut all = Vec::new();
    numbers("", &record, &mut all);
    assert!(all.len() > 100, "{}", all.len());
    for at in &all {
        let number = record.pointer(at).unwrap().clone();
        for index in (0..).map_while(|index| other_digit(&number, index).map(|_| index)) {
            let mut tampered = record.clone();
            *tampered.pointer_mut(at).unwrap() = other_digit(&number, index).unwrap();
            let found = violations(&tampered);
            let caught = found.iter().any(|one| one.check == Check::Hash || one.at.is_empty());
            assert!(caught, "{at}: {found:?}");
        }
    }
}

/// A little more and a little less, so that no bound of what can be is the reason.
fn near(number: &Value) -> [Option<Value>; 2] {
    match number.as_u64() {
        Some(whole) => [Some((whole + 1).into()), whole.checked_sub(1).map(Value::from)],
        None => {
            let value = number.as_f64().unwrap();
            let less = value * 0.999 - 1e-6;
            [Some((value * 1.001 + 1e-6).into()), Some(less.into())]
        }
    }
}

#[test]
fn with_the_hash_made_anew_arithmetic_catches_all_but_the_figures_that_are_free() {
    let record = serde_json::to_value(bench_record::small()).unwrap();
    let mut all = Vec::new();
    numbers("", &record, &mut all);
    let (mut free, mut beside) = (BTreeSet::new(), BTreeSet::new());
    for at in &all {
        for other in near(record.pointer(at).unwrap()).into_iter().flatten() {
            let mut tampered = record.clone();
            *tampered.pointer_mut(at).unwrap() = other;
            tampered["hash"] = hash::of(tampered.clone()).unwrap().into();
            if violations(&tampered).is_empty() {
                let domain = at.rsplit_once('/').and_then(|(domain, _)| record.pointer(domain));
                let summed = domain.and_then(|domain| domain.get("summed"));
                let set = if summed == Some(&Value::Bool(false)) { &mut beside } else { &mut free };
                set.insert(pattern(at));
            }
        }
    }
    let known: BTreeSet<String> = FREE.iter().map(|at| (*at).to_owned()).collect();
    assert_eq!(free, known);
    let beside_the_sum = ["joules", "share", "uncertainty_joules", "update_period_seconds"];
    let of_domain = |name| format!("/repetitions/*/domains/*/{name}");
    assert_eq!(beside, BTreeSet::from(beside_the_sum.map(of_domain)));
    let page = include_str!("../../docs/benchmark.md");
    for at in FREE {
        assert!(page.contains(&format!("`{at}`")), "docs/benchmark.md does not list {at}");
    }
}

/// A pointer with `*` for each index and each domain's id.
fn pattern(at: &str) -> String {
    let part = |part: &str| {
        let any = part.parse::<usize>().is_ok() || part.contains(':');
        if any { "*".to_owned() } else { part.to_owned() }
    };
    at.split('/').map(part).collect::<Vec<String>>().join("/")
}

#[test]
fn the_hash_is_that_of_somebody_elses_canonical_json() {
    const PROGRAM: &str = "\
import hashlib, json, rfc8785, sys
record = json.load(sys.stdin)
claimed = record.pop('hash')
print(claimed == 'sha256:' + hashlib.sha256(rfc8785.dumps(record)).hexdigest())
";
    let python = python::with_package("rfc8785", ">=0.1,<1", "rfc8785");
    let text = bench_record::text(&bench_record::record());
    let (ok, said) = python::fed(Command::new(python).args(["-c", PROGRAM]), &text);
    assert!(ok && said == "True\n", "{said}");
}
