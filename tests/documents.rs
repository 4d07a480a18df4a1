// SPDX-License-Identifier: Apache-2.0
//! The documents that are written from the code, compared with it.
//! `AIMETER_UPDATE=1` writes them anew.

mod bench_record;

use std::path::Path;
use std::sync::Arc;

use aimeter::config::{FileChoice, Options, Sources, reference};
use aimeter::export::prometheus::families;

const BEGIN: &str = "<!-- generated: begin -->\n";
const END: &str = "<!-- generated: end -->\n";

fn check(name: &str, expected: impl Fn(&str) -> String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let expected = expected(&found);
    if std::env::var_os("AIMETER_UPDATE").is_some() {
        std::fs::write(&path, expected).unwrap();
    } else {
        assert_eq!(found, expected, "AIMETER_UPDATE=1 cargo test --test documents writes {name}");
    }
}

/// The page with its generated part replaced.
fn with_part(page: &str, part: &str) -> String {
    let (before, rest) = page.split_once(BEGIN).expect("the page marks its generated part");
    let (_, after) = rest.split_once(END).expect("the page marks the part's end");
    format!("{before}{BEGIN}\n{part}\n{END}{after}")
}

#[test]
fn the_example_configuration_is_the_programs() {
    check("config/aimeter.toml", |_| reference::example_file());
}

#[test]
fn the_configuration_reference_is_the_programs() {
    check("docs/config.md", |page| with_part(page, &reference::table()));
}

#[test]
fn the_feeds_keys_are_the_programs() {
    check("docs/grid.md", |page| with_part(page, &reference::feed_table()));
}

#[test]
fn the_metrics_reference_is_the_programs() {
    check("docs/metrics.md", |page| with_part(page, &families::table()));
}

#[test]
fn the_command_line_reference_is_the_programs() {
    check("docs/cli.md", |_| aimeter::commands::reference::cli());
}

#[test]
fn the_schema_of_the_record_is_the_programs() {
    check("docs/schema/aimeter-record-1.json", |_| aimeter::record::schema::text());
}

#[test]
fn the_schema_of_the_benchmark_record_is_the_programs() {
    type Form = aimeter::benchmark::record::BenchmarkRecord;
    let text = aimeter::record::schema::text_of::<Form>;
    check("docs/schema/aimeter-benchmark-1.json", |_| text());
}

#[test]
fn the_example_of_a_benchmark_record_is_made_of_round_figures() {
    let text = bench_record::text(&bench_record::record());
    check("docs/benchmark-example.json", |_| text.clone());
    // What the fuzzer starts from is as short as can be.
    let short = serde_json::to_string(&bench_record::small()).unwrap();
    check("fuzz/seeds/benchmark_record/example", |_| short.clone());
}

#[test]
fn the_example_configuration_uncommented_is_the_default() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("aimeter.toml");
    let text: String = reference::example_file()
        .lines()
        .filter(|line| !line.contains("# example") && !line.starts_with("#domain"))
        .filter(|line| !line.starts_with("#gain_percent"))
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    std::fs::write(&file, text).unwrap();
    let resolve = |file| {
        let sources = Sources { flags: Vec::new(), environment: &|_| None, file, root: true };
        Options::resolve(&sources).unwrap()
    };
    let (default, example) = (resolve(FileChoice::None), resolve(FileChoice::Named(file)));
    assert_eq!(example.origin("sensors", "period").to_string().rsplit(':').count(), 2);
    assert_eq!(default.needs_restart(&example), Vec::<String>::new());
    let settings = |options: &Options| format!("{:?}", options.settings(Arc::default()));
    assert_eq!(settings(&default), settings(&example));
    assert_eq!(default.grid, example.grid);
    assert_eq!(default.log_level, example.log_level);
}
