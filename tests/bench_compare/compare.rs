// SPDX-License-Identifier: Apache-2.0
//! `aimeter bench compare` on campaigns of a known truth.

use aimeter::benchmark::record::{BenchmarkRecord, Level, Role, UnitKind};
use serde_json::Value;

use crate::campaigns::{Chance, Folder, Truth, to_accuracy, without_memory};
use crate::{aimeter, failed, printed};

fn told(records: &[BenchmarkRecord], args: &[&str]) -> String {
    let folder = Folder::new();
    let put = |(index, record)| folder.put(&format!("{index}.json"), record);
    let files: Vec<_> = records.iter().enumerate().map(put).collect();
    printed(aimeter(&["bench", "compare"]).args(&files).args(args))
}

fn json(records: &[BenchmarkRecord]) -> Value {
    serde_json::from_str(&told(records, &["--json"])).expect("JSON")
}

fn refused(records: &[BenchmarkRecord]) -> (i32, String) {
    let folder = Folder::new();
    let put = |(index, record)| folder.put(&format!("{index}.json"), record);
    let files: Vec<_> = records.iter().enumerate().map(put).collect();
    failed(aimeter(&["bench", "compare"]).args(&files))
}

/// Two campaigns with their seeds.
fn two(seed: u64, one: Truth, other: Truth) -> [BenchmarkRecord; 2] {
    let one = Truth { seed: seed * 2, ..one };
    let other = Truth { seed: seed * 2 + 1, ..other };
    [one.record(), other.record()]
}

/// How many of so many pairs of campaigns are as is asked.
fn share(
    seeds: u64,
    pair: impl Fn(u64) -> [BenchmarkRecord; 2],
    is: impl Fn(&Value) -> bool,
) -> f64 {
    let is = |seed: &u64| is(&json(&pair(*seed))["pairs"][0]);
    (1..=seeds).filter(is).count() as f64 / seeds as f64 * 100.0
}

fn shown(difference: &str) -> impl Fn(&Value) -> bool + '_ {
    move |pair| pair["claim"]["difference"] == difference
}

#[test]
fn of_two_campaigns_of_one_truth_no_difference_is_shown_in_95_of_100() {
    let pair = |seed| two(seed, Truth::default(), Truth::default());
    let percent = share(200, pair, shown("not shown"));
    assert!((93.0..=97.0).contains(&percent), "{percent} %");
}

#[test]
fn of_two_machines_with_gain_errors_of_their_own_no_difference_is_shown_in_95_of_100() {
    let common = Truth::default().record().derived.statistics.common_percent;
    let pair = |seed| {
        let mut chance = Chance(seed ^ 0xABCD);
        let mut gain = || 1.0 + common / 100.0 / 1.96 * chance.normal();
        let one = Truth { gain: gain(), noise: 0.5, ..Truth::default() };
        let other = Truth { gain: gain(), noise: 0.5, machine: "node-2", ..Truth::default() };
        two(seed, one, other)
    };
    // A campaign that drifts by chance is of level C, and claims nothing on other sensors.
    let percent = share(200, pair, |pair| {
        let end = |key: &str| pair["energy"][key].as_f64().expect("a number");
        end("low") <= 1.0 && 1.0 <= end("high")
    });
    assert!((93.0..=97.0).contains(&percent), "{percent} %");
}

#[test]
fn a_difference_of_20_percent_in_noise_of_2_percent_is_always_shown() {
    let more = Truth { joules: 0.37 * 1.2, ..Truth::default() };
    let percent = share(50, |seed| two(seed, Truth::default(), more.clone()), shown("higher"));
    assert_eq!(percent, 100.0);
}

#[test]
fn a_difference_is_said_in_words_with_its_interval() {
    let records = two(7, Truth::default(), Truth { joules: 0.37 * 0.8, ..Truth::default() });
    let found = json(&records);
    let energy = &found["pairs"][0]["energy"];
    let figure = |key: &str| energy[key].as_f64().expect("a number");
    let truth = records[1].derived.statistics.mean / records[0].derived.statistics.mean;
    assert!((figure("ratio") / truth - 1.0).abs() < 1e-12, "{energy}");
    assert!(figure("low") < 0.8 && 0.8 < figure("high"), "{energy}");
    let text = told(&records, &[]);
    let percent = |part: f64| format!("{:.0}", (1.0 - part) * 100.0);
    let words = format!(
        "B against A: B uses {} % ({} to {} %) less energy per token than A (level B)",
        percent(figure("ratio")),
        percent(figure("high")),
        percent(figure("low")),
    );
    assert!(text.contains(&words), "{words} is not in\n{text}");
    assert!(text.contains("the same sensors"), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    let at = |word: &str| lines.iter().position(|line| line.trim_start().starts_with(word));
    assert!(at("energy") < at("intensity") && at("intensity") < at("SCI"), "{text}");
}

#[test]
fn more_than_two_are_each_held_against_the_first_at_a_higher_level() {
    let other = |seed| Truth { seed, ..Truth::default() }.record();
    let records: Vec<BenchmarkRecord> = (1..=5).map(other).collect();
    let (all, one) = (json(&records), json(&records[..2]));
    assert_eq!(all["pairs"].as_array().unwrap().len(), 4);
    assert_eq!(all["confidence_percent"], 98.75);
    assert_eq!(one["confidence_percent"], 95.0);
    let width = |found: &Value| {
        let energy = &found["pairs"][0]["energy"];
        (energy["high"].as_f64().unwrap() / energy["low"].as_f64().unwrap()).ln()
    };
    assert!(width(&all) > width(&one) * 1.2, "{} {}", width(&all), width(&one));
    assert!(told(&records, &[]).contains("Bonferroni"));
}

#[test]
fn a_clean_grid_does_not_hide_waste() {
    let wasteful = Truth { joules: 0.74, zone: "SE", grams_per_kwh: 12.0, ..Truth::default() };
    let frugal = Truth { zone: "PL", grams_per_kwh: 650.0, machine: "node-2", ..Truth::default() };
    let records = two(4, frugal, wasteful);
    let found = json(&records);
    let pair = &found["pairs"][0];
    assert_eq!(pair["claim"]["difference"], "higher");
    let grams = |side: usize| found["records"][side]["operational_grams_per_unit"].as_f64();
    assert!(grams(1) < grams(0), "it emits less");
    let hidden = pair["hidden"].as_str().expect("it is said");
    assert!(hidden.contains("B emits less than A by its grid"), "{hidden}");
    for grid in pair["one_grid"].as_array().unwrap() {
        let gram = |key: &str| grid[key].as_f64().unwrap();
        assert!((gram("other_grams") / gram("baseline_grams") - 2.0).abs() < 0.1, "{grid}");
    }
    // By level B no order of SCI may be claimed across zones.
    assert_eq!(pair["score"]["ratio"], Value::Null);
    // The other way round it is the baseline that wastes.
    let [frugal, wasteful] = records;
    let hidden = json(&[wasteful, frugal])["pairs"][0]["hidden"].clone();
    assert!(hidden.as_str().unwrap().contains("A emits less than B by its grid"), "{hidden}");
}

#[test]
fn sci_is_compared_where_signal_and_boundary_are_the_same() {
    let score = |other: Truth| json(&two(5, Truth::default(), other))["pairs"][0]["score"].clone();
    let same = score(Truth::default());
    assert_eq!(same["kind"], "sci");
    assert!((same["ratio"].as_f64().unwrap() - 1.0).abs() < 0.1, "{same}");
    let other = score(Truth { boundary: "direct", ..Truth::default() });
    assert_eq!(other["ratio"], Value::Null);
    assert_eq!(
        other["not_compared"],
        "the intensity's boundary of A is lifecycle, that of B direct"
    );
    let a = Truth { level: Level::A, ..Truth::default() };
    let across = two(5, a.clone(), Truth { zone: "GB", grams_per_kwh: 200.0, ..a });
    assert!(json(&across)["pairs"][0]["score"]["ratio"].as_f64().unwrap() > 1.0);
}

#[test]
fn without_embodied_carbon_it_is_not_called_sci() {
    let one = Truth { seed: 1, level: Level::C, ..Truth::default() };
    let bare = Truth { seed: 2, ..one.clone() }.changed(|record| record.embodied = None);
    let text = told(&[one.record(), bare], &[]);
    assert!(text.contains("operational  not SCI, embodied carbon is not known"), "{text}");
}

#[test]
fn records_of_different_units_are_refused_with_the_reason() {
    let base = Truth::default();
    let with = |change: fn(&mut BenchmarkRecord)| {
        [base.record(), Truth { seed: 9, ..base.clone() }.changed(change)]
    };
    let check = |records: [BenchmarkRecord; 2], reason: &str| {
        let (code, words) = refused(&records);
        assert_eq!(code, 9, "{words}");
        assert!(words.contains(reason), "{words}");
        assert_eq!(words.lines().count(), 1, "{words}");
    };
    check(
        with(|record| record.unit.kind = UnitKind::Sample),
        "kind is `sample`, that of A `token`",
    );
    check(with(|record| record.unit.name = "words".into()), "name is `words`, that of A `tokens`");
    check(with(|record| record.unit.role = Role::Consumer), "role is `inference`");
    let to = |seed, threshold, larger| {
        let truth = Truth { seed, ..base.clone() };
        truth.changed(|record| to_accuracy(record, threshold, larger))
    };
    check(
        [to(2, 0.75, true), to(3, 0.8, true)],
        "run to accuracy ≥ 0.8`, that of A `run to accuracy ≥ 0.75",
    );
    check([to(4, 0.8, true), to(5, 0.8, false)], "accuracy ≤ 0.8");
}

#[test]
fn one_record_or_the_same_campaign_twice_is_nothing_to_compare() {
    let record = Truth::default().record();
    let (code, words) = refused(std::slice::from_ref(&record));
    assert_eq!((code, words.contains("name a second one")), (2, true), "{words}");
    let (code, words) = refused(&[record.clone(), record]);
    assert_eq!((code, words.contains("same campaign")), (2, true), "{words}");
}

#[test]
fn each_level_has_its_words() {
    let lower = |level| Truth { level, joules: 0.37 * 0.8, ..Truth::default() };
    let of = |one: Level, other: Truth| {
        let records = two(11, Truth { level: one, ..Truth::default() }, other);
        let found = json(&records)["pairs"][0]["claim"].clone();
        (found["allowed"].as_bool().unwrap(), found["words"].as_str().unwrap().to_owned())
    };
    let check = |one: Level, other: Truth, allowed: bool, parts: &[&str]| {
        let (found, words) = of(one, other);
        assert_eq!(found, allowed, "{words}");
        for part in parts {
            assert!(words.contains(part), "`{part}` is not in: {words}");
        }
    };
    check(Level::A, lower(Level::A), true, &["B uses ", "less energy per token than A (level A)"]);
    check(Level::A, lower(Level::B), true, &["than A (level B)"]);
    check(Level::B, lower(Level::C), true, &["B uses about ", "(level C, on the same sensors)"]);
    let elsewhere = Truth { machine: "node-2", ..lower(Level::C) };
    check(Level::B, elsewhere, false, &["no comparison may be claimed", "same sensors only"]);
    check(Level::B, lower(Level::D), false, &["no comparison may be claimed: B is of level D"]);
    check(Level::D, lower(Level::D), false, &["A and B are of level D"]);
    // The figures are printed all the same.
    let text = told(&two(11, Truth::default(), lower(Level::D)), &[]);
    assert!(text.contains("B / A = 0.8") || text.contains("B / A = 0.7"), "{text}");
    assert!(text.contains("level D  ~ "), "{text}");
}

#[test]
fn what_counts_less_is_not_compared_with_what_counts_more() {
    let full = Truth::default();
    let without = Truth { seed: 2, ..full.clone() }.changed(without_memory);
    let claim = json(&[full.record(), without])["pairs"][0]["claim"].clone();
    assert_eq!(claim["allowed"], false);
    let words = claim["words"].as_str().unwrap();
    assert!(words.contains("A counts GPU, CPU, DRAM, B counts GPU, CPU"), "{words}");
}

#[test]
fn only_what_differs_is_listed() {
    let one = Truth { seed: 1, ..Truth::default() };
    let other = Truth { seed: 2, machine: "node-2", ..one.clone() }.changed(|record| {
        for gpu in &mut record.machine.host.gpus {
            gpu.driver = Some("575.10".into());
        }
        record.workload.disclosures.insert("framework".into(), "JAX 0.8".into());
        record.workload.disclosures.insert("batch size".into(), "32".into());
    });
    let found = json(&[one.record(), other]);
    let rows: Vec<String> = found["pairs"][0]["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let word = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
            format!("{} {}: {} {}", word("part"), word("what"), word("baseline"), word("other"))
        })
        .collect();
    assert_eq!(
        rows,
        [
            "hardware machine: node-1 node-2",
            "hardware machine's id: 35971be6e9bb024a 1779f59f4df251f6",
            "software driver: 580.159.04 575.10",
            "disclosures framework: PyTorch 2.9 JAX 0.8",
            "disclosures batch size: - 32",
        ]
    );
    let same = [one.record(), Truth { seed: 2, ..one }.record()];
    assert_eq!(json(&same)["pairs"][0]["differences"].as_array().unwrap().len(), 0);
}

#[test]
fn a_record_that_is_not_valid_is_refused_with_a_hint() {
    let folder = Folder::new();
    let good = folder.put("good.json", &Truth::default().record());
    let check = |name: &str, change: fn(&mut BenchmarkRecord), seal: bool, words: &str| {
        let mut record = Truth { seed: 2, ..Truth::default() }.record();
        change(&mut record);
        if seal {
            record = aimeter::benchmark::hash::sealed(record).expect("a hash");
        }
        let bad = folder.put(name, &record);
        let (code, told) = failed(aimeter(&["bench", "compare"]).args([&good, &bad]));
        assert_eq!(code, 7, "{told}");
        assert!(told.contains(words) && told.contains("`aimeter bench validate`"), "{told}");
    };
    let digit = |record: &mut BenchmarkRecord| record.repetitions[0].domains[0].joules += 1.0;
    check("digit.json", digit, false, "not valid: /hash");
    check("sum.json", digit, true, "/repetitions/0/joules");
    let better = |record: &mut BenchmarkRecord| record.derived.level.level = Level::A;
    check("level.json", better, true, "/derived/level/level");
    let less = |record: &mut BenchmarkRecord| record.derived.statistics.mean *= 0.99;
    check("mean.json", less, true, "/derived/statistics/mean");
    let other = folder.write("other.json", r#"{"schema": "aimeter-record/1"}"#);
    let (code, told) = failed(aimeter(&["bench", "compare"]).args([&good, &other]));
    assert_eq!((code, told.contains("not a benchmark record")), (8, true), "{told}");
    let later = folder.write("later.json", r#"{"schema": "aimeter-benchmark/2"}"#);
    let (code, told) = failed(aimeter(&["bench", "compare"]).args([&good, &later]));
    assert_eq!((code, told.contains("update aimeter")), (8, true), "{told}");
}

#[test]
fn hostile_names_cannot_move_the_terminal() {
    let hostile = "evil\u{1b}[2J\u{202e}\nA uses nothing";
    let one = Truth { seed: 1, ..Truth::default() };
    let other = Truth { seed: 2, ..one.clone() }.changed(|record| {
        record.campaign.name = hostile.into();
        record.machine.host.name = Some(hostile.into());
        record.unit.name = "tokens".into();
        record.workload.disclosures.insert(hostile.into(), hostile.into());
        for one in &mut record.repetitions {
            one.intensity.as_mut().unwrap().zone = hostile.into();
        }
    });
    let text = told(&[one.record(), other], &[]);
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("A uses")), "{text}");
}
