// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::benchmark::record::{CountedBy, PueKind, UnitKind};

const SMALL: &str = r#"name = "x"
[unit]
kind = "sample"
name = "samples"
role = "provider"
counted_by = "mark"
[work]
command = ["true"]
[disclosures]
framework = "none"
"#;

#[test]
fn the_template_can_be_run_as_it_is_and_with_every_comment_taken_away() {
    let spec = parse(TEMPLATE).unwrap();
    assert_eq!(spec.work.run, WorkRun::Builtin("matrix".into()));
    assert_eq!(spec.protocol, Protocol::default());
    assert_eq!(spec.stop, Stop::default());
    // Each `#name = …` or `#[table]` line is a field that exists.
    let all: Vec<&str> = TEMPLATE
        .lines()
        .filter(|line| !line.starts_with("builtin") && !line.starts_with("kind = \"run\""))
        .filter(|line| !line.starts_with("counted_by"))
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => rest,
            _ => line,
        })
        .collect();
    let all =
        all.join("\n").replace("[unit]", "[unit]\nkind = \"quality\"\ncounted_by = \"pattern\"");
    let spec = parse(&all).unwrap();
    assert_eq!((spec.unit.kind, spec.unit.counted_by), (UnitKind::Quality, CountedBy::Pattern));
    assert_eq!(spec.stop.max_joules, Some(7.2e6));
    assert_eq!(spec.pue.unwrap().kind, PueKind::Annual);
    assert_eq!(spec.embodied.unwrap().el_seconds, 6.0 * 365.0 * 86_400.0);
    assert_eq!(spec.disclosures.len(), 5);
}

#[test]
fn what_is_left_out_is_as_the_specification_has_it() {
    let spec = parse(SMALL).unwrap();
    assert_eq!(spec.protocol.window, Duration::from_secs(60));
    assert_eq!((spec.protocol.repetitions, spec.protocol.max_repetitions), (5, 5));
    assert_eq!(spec.work.gpus, Gpus::Auto);
    assert_eq!((spec.pue, spec.embodied), (None, None));
}

#[test]
fn an_error_names_its_line_and_its_field() {
    let check = |change: &str, line: usize, words: &str| {
        let (from, to) = change.split_once(" -> ").unwrap();
        assert!(SMALL.contains(from), "{from}");
        let error = parse(&SMALL.replacen(from, to, 1)).unwrap_err();
        assert!(error.what.contains(words), "{change}: {error}");
        assert_eq!(error.line, line, "{change}: {error}");
    };
    check("name = \"x\" -> name = \"\"", 1, "name: write 1 to 200");
    check("kind = \"sample\" -> kind = \"epoch\"", 3, "unknown variant `epoch`");
    check("role -> roll", 5, "unknown field `roll`");
    check("name = \"samples\" -> name = \"a b\"", 4, "unit.name");
    check("counted_by = \"mark\" -> counted_by = \"pattern\"", 6, "unit.counted_by");
    check("counted_by = \"mark\" -> counted_by = \"exit\"", 6, "unit.counted_by: `exit` counts");
    check("kind = \"sample\" -> kind = \"run\"", 6, "a unit of kind `run`");
    check("kind = \"sample\" -> kind = \"quality\"", 3, "[unit.quality]");
    check("command = [\"true\"] -> command = []", 8, "work.command: write a command");
    check("command = [\"true\"] -> builtin = \"\"", 8, "work.builtin");
    check("command = [\"true\"] -> directory = \"x\"", 7, "work.command: write `command`");
    check("command = -> gpus = \"0,,1\"\ncommand =", 8, "work.gpus");
    check("[work] -> [protocol]\nwindow = \"0s\"\n[work]", 8, "protocol.window");
    check("[work] -> [protocol]\nwindow = \"x\"\n[work]", 8, "");
    check("[work] -> [protocol]\nrepetitions = 0\n[work]", 8, "protocol.repetitions");
    check("[work] -> [protocol]\nmax_repetitions = 4\n[work]", 8, "protocol.max_repetitions");
    check("[work] -> [stop]\nmax_energy = \"2\"\n[work]", 8, "stop.max_energy");
    check("[work] -> [stop]\nconfidence_percent = 0\n[work]", 8, "stop.confidence_percent");
    check(
        "[work] -> [building]\npue = 0.9\nsource=\"x\"\nkind=\"stated\"\n[work]",
        8,
        "building.pue",
    );
}
