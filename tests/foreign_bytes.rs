// SPDX-License-Identifier: Apache-2.0
//! Parsers of foreign bytes on bytes that nobody wrote: the checks of `fuzz/`,
//! driven by its samples, cut, spliced and changed, and by bytes at random.
//! `fuzz/run` drives the same checks for as long as one likes.

#[path = "../fuzz/checks.rs"]
mod checks;

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no seeds for {name}");
    paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Bytes that parsers look at, rather than any.
fn byte() -> impl Strategy<Value = u8> {
    let telling =
        prop::sample::select(b"0123456789-+.,:;=\"\\'{}[]() \n\t\0eE_/#\xff\xc3".to_vec());
    prop_oneof![3 => telling, 1 => any::<u8>()]
}

/// A sample with some of its bytes replaced by others (fewer or more).
fn changed(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec(
        (any::<prop::sample::Index>(), 0..6_usize, prop::collection::vec(byte(), 0..6)),
        1..5,
    );
    (prop::sample::select(seeds), changes).prop_map(|(mut text, changes)| {
        for (place, cut, new) in changes {
            let start = place.index(text.len() + 1);
            let end = (start + cut).min(text.len());
            text.splice(start..end, new);
        }
        text
    })
}

fn drive(name: &str, strategy: impl Strategy<Value = Vec<u8>>, check: checks::Check) {
    let config = Config { cases: 512, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&strategy, |data| {
        check(&data);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{name}: {error}");
    }
}

#[test]
fn every_parser_of_foreign_bytes_takes_its_samples() {
    for (name, check) in checks::ALL {
        seeds(name).iter().for_each(|seed| check(seed));
    }
}

#[test]
fn no_change_of_a_sample_breaks_a_parser() {
    for (name, check) in checks::ALL {
        drive(name, changed(seeds(name)), check);
    }
}

#[test]
fn no_bytes_at_random_break_a_parser() {
    for (name, check) in checks::ALL {
        drive(name, prop::collection::vec(byte(), 0..300), check);
    }
}
