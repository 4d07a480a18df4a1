// SPDX-License-Identifier: Apache-2.0
//! Whatever a feed sends: an error or plausible, sorted facts, and no figure that
//! the answer does not hold.

use aimeter::grid::feeds::{MOST_GRAMS, facts};
use aimeter::ledger::IntensityFact;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use crate::fixtures::{Fixture, body, fixtures};

/// Half-open, sorted, without overlaps, within the bounds, and of the zone asked for.
fn sound(fixture: &Fixture, facts: &[IntensityFact]) {
    assert!(!facts.is_empty());
    for fact in facts {
        assert!(fact.from < fact.to);
        assert!(fact.intensity.grams_per_kwh() <= MOST_GRAMS);
        assert_eq!(fact.zone, fixture.ask.zone);
    }
    for pair in facts.windows(2) {
        assert!(pair[0].to <= pair[1].from);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_wrong_byte_gives_an_error_or_the_same_shape(which: Index, place: Index, byte: u8) {
        let fixtures = fixtures();
        let fixture = &fixtures[which.index(fixtures.len())];
        let whole = fixture.facts().unwrap().len();
        let mut body = body(fixture.file);
        let place = place.index(body.len());
        body[place] = byte;
        if let Ok(found) = facts(&fixture.feed, &fixture.ask, &body) {
            sound(fixture, &found);
            prop_assert!(found.len() <= whole, "{} figures from {whole}", found.len());
        }
    }

    #[test]
    fn no_bytes_at_all_are_too_wrong(bytes: Vec<u8>, which: Index) {
        let fixtures = fixtures();
        let fixture = &fixtures[which.index(fixtures.len())];
        prop_assert!(facts(&fixture.feed, &fixture.ask, &bytes).is_err());
    }
}

#[test]
fn an_answer_that_ends_early_is_an_error() {
    for fixture in fixtures() {
        let body = body(fixture.file);
        let end = body.trim_ascii_end().len();
        for cut in (0..end).step_by(7).chain([end - 1]) {
            assert!(facts(&fixture.feed, &fixture.ask, &body[..cut]).is_err(), "{}", fixture.file);
        }
    }
}

#[test]
fn no_value_ever_comes_from_null() {
    let mut nulled = 0;
    // (What is computed from numbers has a test of its own beside its oracle.)
    for fixture in fixtures().into_iter().filter(|fixture| !fixture.file.ends_with(".xml")) {
        let usual = fixture.facts().unwrap();
        let document: Value = serde_json::from_slice(&body(fixture.file)).unwrap();
        for place in 0..numbers(&document).len() {
            let mut changed = document.clone();
            set_null(&mut changed, &mut { place });
            let left = numbers(&changed);
            assert_eq!(left.len() + 1, numbers(&document).len());
            nulled += 1;
            let text = serde_json::to_vec(&changed).unwrap();
            let Ok(found) = facts(&fixture.feed, &fixture.ask, &text) else { continue };
            sound(&fixture, &found);
            for fact in found {
                let grams = fact.intensity.grams_per_kwh();
                // Also converted or computed, it is what it was with the number there.
                let as_before = usual.contains(&fact);
                assert!(left.contains(&grams) || as_before, "{}: {grams}", fixture.file);
            }
        }
    }
    assert!(nulled > 150, "only {nulled} numbers seen");
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Number(number) => number.as_f64().into_iter().collect(),
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        Value::Object(fields) => fields.values().flat_map(numbers).collect(),
        _ => Vec::new(),
    }
}

/// Makes the number at this place (in the order of [`numbers`]) null.
fn set_null(value: &mut Value, place: &mut usize) -> bool {
    match value {
        Value::Number(_) if *place == 0 => {
            *value = Value::Null;
            true
        }
        Value::Number(_) => {
            *place -= 1;
            false
        }
        Value::Array(items) => items.iter_mut().any(|item| set_null(item, place)),
        Value::Object(fields) => fields.values_mut().any(|field| set_null(field, place)),
        _ => false,
    }
}
