// SPDX-License-Identifier: Apache-2.0
//! What makes a campaign senseless is refused, with the reason and the code.

use std::process::Output;

use powercap_standin::{PowercapTree, Trace};

use crate::support::{Bench, said};

fn check(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.status.code(), Some(code), "{}", said(output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    for word in words {
        assert!(stderr.contains(word), "no `{word}` in {stderr}");
    }
    assert!(output.stdout.is_empty(), "{}", said(output));
}

fn small() -> Bench {
    Bench::of(PowercapTree::builder().package(0, Trace::constant(50)), Vec::new())
}

#[test]
fn a_wrong_spec_is_refused_with_line_and_field() {
    let bench = small();
    bench.spec(&[("window = \"1s\"", "windw = \"1s\"")]);
    check(&bench.end(&[]), 2, &["bench.toml", "line 12", "windw"]);
    bench.spec(&[("kind = \"run\"", "kind = \"sample\"")]);
    check(&bench.end(&[]), 2, &["line 6", "unit.counted_by"]);
    bench.spec(&[("framework = \"none\"", "")]);
    check(&bench.end(&[]), 2, &["disclosures.framework"]);
    bench.spec(&[("[protocol]", "directory = \"nowhere\"\n[protocol]")]);
    check(&bench.end(&[]), 2, &["nowhere"]);
    assert!(!bench.part("").exists(), "nothing was begun");
    let missing = bench.command(&["run", "no.toml"]).output().unwrap();
    check(&missing, 2, &["no.toml", "No such file"]);
}

#[test]
fn a_command_that_is_not_there_is_refused() {
    let bench = small();
    bench.spec(&[("\"sleep\", \"0.3\"", "\"no-such-command\"")]);
    check(&bench.end(&[]), 127, &["no-such-command"]);
    bench.spec(&[("\"sleep\", \"0.3\"", "\"./bench.toml\"")]);
    check(&bench.end(&[]), 126, &["bench.toml"]);
}

#[test]
fn an_accelerator_that_is_not_there_is_refused() {
    let bench = small();
    bench.spec(&[("[protocol]", "gpus = \"3\"\n[protocol]")]);
    check(&bench.end(&[]), 2, &["work.gpus", "`3`"]);
}

#[test]
fn work_that_counts_nothing_is_refused() {
    let bench = small();
    bench.spec(&[
        ("kind = \"run\"", "kind = \"token\""),
        ("name = \"runs\"", "name = \"tokens\""),
        ("counted_by = \"exit\"", "counted_by = \"mark\""),
    ]);
    check(&bench.end(&[]), 10, &["repetition 1", "counted no `tokens`", "repetition-001.log"]);
}

#[test]
fn work_that_fails_ends_the_campaign_with_its_last_words() {
    let bench = small();
    let failing = "\"sh\", \"-c\", \"echo out of memory >&2; exit 3\"";
    bench.spec(&[("\"sleep\", \"0.3\"", failing)]);
    check(&bench.end(&[]), 1, &["warm-up", "out of memory", "warm-up-001.log"]);
}

#[test]
fn a_spec_that_changed_is_refused_with_the_remedy() {
    let bench = small();
    bench.spec(&[("repetitions = 3", "repetitions = 1")]);
    bench.run(&[]);
    bench.spec(&[("repetitions = 3", "repetitions = 2")]);
    check(&bench.end(&[]), 10, &["the spec has changed", "--dir"]);
    let output = bench.end(&["--dir", "another"]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn init_writes_a_spec_and_never_over_a_file() {
    let bench = small();
    let init = || bench.command(&["init", "new.toml"]).output().unwrap();
    assert!(init().status.success());
    let text = std::fs::read_to_string(bench.rig.path("new.toml")).unwrap();
    aimeter::benchmark::spec::parse(&text).unwrap();
    std::fs::write(bench.rig.path("new.toml"), "mine").unwrap();
    check(&init(), 2, &["new.toml", "there already"]);
    assert_eq!(std::fs::read_to_string(bench.rig.path("new.toml")).unwrap(), "mine");
}
