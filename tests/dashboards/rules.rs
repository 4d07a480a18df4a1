// SPDX-License-Identifier: Apache-2.0
//! The rules by promtool: as they are they pass their tests, and however they are
//! broken they fail them.

use std::path::Path;
use std::process::{Command, Output};

use aimeter::export::prometheus::families;

use crate::model::path;

const FILES: [&str; 2] = ["recording.yml", "alerts.yml"];

fn promtool(args: &[&str], files: &[std::path::PathBuf]) -> Output {
    let mut command = Command::new("promtool");
    command.args(args).args(files);
    command.output().expect("promtool (Debian package prometheus; tests/run installs it)")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

fn rules(file: &str) -> String {
    std::fs::read_to_string(path("dashboards/rules").join(file)).unwrap()
}

/// The names that a file gives, by `record: NAME` or `alert: NAME`.
pub fn names(file: &str, what: &str) -> Vec<String> {
    let start = format!("- {what}: ");
    let text = rules(file);
    text.lines()
        .filter_map(|line| line.trim_start().strip_prefix(&start))
        .map(str::to_owned)
        .collect()
}

#[test]
fn promtool_takes_the_rules() {
    let files = FILES.map(|file| path("dashboards/rules").join(file));
    let output = promtool(&["check", "rules"], &files);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output).matches("SUCCESS").count(), 2, "{}", said(&output));
}

/// The folders as the tests of the rules expect them, with these rules.
fn laid_out(folder: &Path, texts: [&str; 2]) -> Vec<std::path::PathBuf> {
    let (shipped, tests) = (folder.join("dashboards/rules"), folder.join("tests/dashboards/rules"));
    std::fs::create_dir_all(&shipped).unwrap();
    std::fs::create_dir_all(&tests).unwrap();
    for (file, text) in FILES.into_iter().zip(texts) {
        std::fs::write(shipped.join(file), text).unwrap();
    }
    ["recording.test.yml", "alerts.test.yml"]
        .map(|file| {
            std::fs::copy(path("tests/dashboards/rules").join(file), tests.join(file)).unwrap();
            tests.join(file)
        })
        .to_vec()
}

/// Each break of a file: what was done, and the text after it.
fn broken(text: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let swaps: [(&str, &str); 12] = [
        ("counted=\"true\"", "counted!=\"\""),
        (" == 0", " == 1"),
        (" == 1\n", " == 0\n"),
        (" > ", " < "),
        (" < ", " > "),
        ("0.25", "0.5"),
        ("0.25", "0.1"),
        (" and ", " or "),
        ("kind=\"gpu\"", "kind=\"cpu\""),
        ("/ 1000", "/ 3600"),
        (" * on", " + on"),
        ("job=\"aimeter\"", "job=~\".+\""),
    ];
    for (from, to) in swaps {
        for (at, _) in text.match_indices(from) {
            // Words in sentences are no rule.
            let line = text[..at].rsplit('\n').next().unwrap();
            let in_rule = !line.trim_start().starts_with('#') && is_expression(text, at);
            if in_rule {
                let changed = format!("{}{to}{}", &text[..at], &text[at + from.len()..]);
                all.push((format!("{from:?} → {to:?} in `{}`", line.trim()), changed));
            }
        }
    }
    for (at, _) in text.match_indices("        for: ") {
        let end = at + text[at..].find('\n').unwrap();
        let line = &text[at..end];
        for other in ["        for: 0s", "        for: 9h"] {
            all.push((
                format!("{line} → {other}"),
                format!("{}{other}{}", &text[..at], &text[end..]),
            ));
        }
    }
    all
}

/// Whether `promtool test rules FILE` is content.
fn passes(test: &std::path::PathBuf) -> bool {
    promtool(&["test", "rules"], std::slice::from_ref(test)).status.success()
}

/// Whether a place is within an `expr`.
fn is_expression(text: &str, at: usize) -> bool {
    let mut keys = text[..at].rmatch_indices(": ").filter_map(|(colon, _)| {
        let word = text[..colon].rsplit(['\n', ' ']).next().unwrap();
        let known = [
            "record",
            "alert",
            "expr",
            "for",
            "labels",
            "annotations",
            "summary",
            "description",
            "runbook_url",
        ];
        known.contains(&word).then_some(word)
    });
    keys.next() == Some("expr")
}

#[test]
fn the_rules_pass_their_tests_and_no_broken_rule_does() {
    let folder = tempfile::tempdir().unwrap();
    let (recording, alerts) = (rules(FILES[0]), rules(FILES[1]));
    let tests = laid_out(folder.path(), [&recording, &alerts]);
    let output = promtool(&["test", "rules"], &tests);
    assert!(output.status.success(), "{}", said(&output));

    let mut passed = Vec::new();
    let recording_broken =
        broken(&recording).into_iter().map(|(how, text)| (how, [text, alerts.clone()]));
    let alerts_broken =
        broken(&alerts).into_iter().map(|(how, text)| (how, [recording.clone(), text]));
    let mut tried = 0;
    for (how, [recording, alerts]) in recording_broken.chain(alerts_broken) {
        let tests = laid_out(folder.path(), [&recording, &alerts]);
        tried += 1;
        // One after the other: the first that fails is enough.
        if tests.iter().all(passes) {
            passed.push(how);
        }
    }
    println!("{tried} broken rules");
    assert!(tried > 40 && passed.is_empty(), "these pass:\n{}", passed.join("\n"));
}

#[test]
fn every_alert_is_explained_and_every_rule_has_a_test() {
    let (alerts, runbook) =
        (rules("alerts.yml"), std::fs::read_to_string(path("docs/grafana.md")).unwrap());
    let read =
        |name: &str| std::fs::read_to_string(path("tests/dashboards/rules").join(name)).unwrap();
    for name in names("alerts.yml", "alert") {
        let block = alerts.split(&format!("- alert: {name}\n")).nth(1).unwrap();
        let block = block.split("- alert: ").next().unwrap();
        for part in ["for: ", "severity: ", "summary: ", "description: "] {
            assert!(block.contains(part), "{name}: {part}");
        }
        let link = format!("runbook_url: docs/grafana.md#{}\n", name.to_lowercase());
        assert!(block.contains(&link), "{name}: {link}");
        assert!(runbook.contains(&format!("\n### {name}\n")), "docs/grafana.md has no {name}");
        assert!(
            read("alerts.test.yml").contains(&format!("alertname: {name}\n")),
            "{name}: no test"
        );
    }
    for name in names("recording.yml", "record") {
        assert!(read("recording.test.yml").contains(&format!("expr: {name}\n")), "{name}: no test");
        let parts: Vec<&str> = name.split(':').collect();
        assert_eq!(parts.len(), 3, "{name}: level:metric:operations");
    }
}

#[test]
fn the_rules_name_metrics_that_are_there() {
    let recorded = names("recording.yml", "record");
    for file in FILES {
        let text = rules(file);
        for (at, _) in text.match_indices("aimeter_") {
            let before = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':');
            let start = text[..at].rfind(before).map_or(0, |place| place + 1);
            let end = at + text[at..].find(before).unwrap_or(text.len() - at);
            let name = &text[start..end];
            let known = families::ALL.iter().any(|family| family.name == name)
                || recorded.iter().any(|one| one == name);
            assert!(known, "{file}: no metric {name}");
        }
    }
}
