// SPDX-License-Identifier: Apache-2.0
//! `aimeter bench validate` and `bench sign` as a user has them: records that are sound,
//! tampered with, badly signed, hostile.

#[path = "../bench_record/mod.rs"]
mod bench_record;
mod folder;
#[path = "../common/python.rs"]
mod python;
mod signature;
mod tampered;

use aimeter::benchmark::hash;
use aimeter::benchmark::record::Level;
use serde_json::Value;

use folder::Folder;

#[test]
fn a_sound_record_is_valid() {
    let folder = Folder::new();
    folder.record("a.json", |_| ());
    let said = folder.bench(&["validate", "a.json"]);
    said.is(0, "a.json: valid, level A, 2.85 J a unit of tokens; sha256:");
    assert!(said.out.ends_with("; not signed\n") && said.out.lines().count() == 1, "{said:?}");
    folder
        .bench(&["validate", "a.json", "--require-signature"])
        .is(7, "a.json: a.json.sig: signature: says nothing; a signature is required\n");

    let said = folder.bench(&["validate", "a.json", "--json"]);
    said.is(0, "");
    let list: Value = serde_json::from_str(&said.out).unwrap();
    let one = &list[0];
    assert_eq!((one["file"].as_str(), one["valid"].as_bool()), (Some("a.json"), Some(true)));
    assert_eq!((one["level"].as_str(), one["claimed_level"].as_str()), (Some("A"), Some("A")));
    assert_eq!(one["signature"]["state"], "none");
    assert_eq!(one["violations"], serde_json::json!([]));
    assert_eq!(one["error"], Value::Null);
}

#[test]
fn a_digit_changed_is_named_by_the_hash_and_by_what_no_longer_follows() {
    let folder = Folder::new();
    let text = bench_record::text(&bench_record::record());
    let tampered = text.replacen("\"joules\": 1710000.0", "\"joules\": 1700000.0", 1);
    assert_ne!(text, tampered);
    folder.file("b.json", tampered);
    let said = folder.bench(&["validate", "b.json"]);
    said.is(7, "b.json: /hash: hash: says sha256:");
    for line in [
        "b.json: /repetitions/0/joules: arithmetic: says 1700000; the summed domains make 1710000\n",
        "b.json: /derived/values/0: arithmetic: says 2.85; 2.8333333333333335 follows\n",
        "b.json: /derived/score/joules_per_unit: arithmetic: says ",
        "violations; not signed\n",
    ] {
        said.is(7, line);
    }
}

#[test]
fn a_level_claimed_too_high_is_named_although_the_hash_is_right() {
    let folder = Folder::new();
    folder.record("c.json", |record| {
        record.pue = None;
        let mut new = bench_record::again(record.clone());
        assert_eq!(new.derived.level.level, Level::C);
        new.derived.level.level = Level::A;
        *record = hash::sealed(new).unwrap();
    });
    let said = folder.bench(&["validate", "c.json"]);
    said.is(
        7,
        "c.json: /derived/level/level: level: says A; claimed too high: C follows (PUE: none)\n",
    );
    said.is(7, "c.json: not valid: 1 violation; not signed\n");
    let said = folder.bench(&["validate", "c.json", "--json"]);
    let list: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (list[0]["level"].as_str(), list[0]["claimed_level"].as_str()),
        (Some("C"), Some("A"))
    );
    assert_eq!(list[0]["violations"][0]["check"], "level");
}

#[test]
fn hostile_files_are_refused_in_a_line() {
    let folder = Folder::new();
    let text = bench_record::text(&bench_record::record());
    let sparse = std::fs::File::create(folder.path("huge.json")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    let twice = text.replacen("\"nodes\": 1,", "\"nodes\": 1, \"nodes\": 1,", 1);
    let nan = text.replacen("\"nodes\": 1,", "\"nodes\": NaN,", 1);
    let terminal = text.replacen("aimeter-benchmark/1", "\\u001b[2Jx\\n", 1);
    for (name, text, has) in [
        ("deep.json", "[".repeat(1 << 20), "recursion limit exceeded at line 1"),
        ("cut.json", text[..text.len() / 2].to_owned(), "EOF while parsing"),
        ("nan.json", nan, "expected value at line "),
        ("twice.json", twice, "the field \"nodes\" stands twice at line "),
        ("empty.json", String::new(), "EOF while parsing"),
        (
            "other.json",
            "{\"schema\": \"aimeter-record/1\"}".to_owned(),
            "no benchmark record schema",
        ),
        ("newer.json", "{\"schema\": \"aimeter-benchmark/2\"}".to_owned(), "update aimeter"),
        ("terminal.json", terminal, "no benchmark record schema"),
    ] {
        folder.file(name, text);
        let said = folder.bench(&["validate", name]);
        said.is(8, has);
        assert!(said.out.starts_with(&format!("{name}: cannot be read: ")), "{said:?}");
        assert!(said.out.lines().count() == 1 && !said.out.contains('\u{1b}'), "{said:?}");
    }
    folder.bench(&["validate", "huge.json"]).is(8, "more than 32 MiB");
    folder.bench(&["validate", "none.json"]).is(8, "cannot open it: No such file or directory\n");
    folder.bench(&["validate", "."]).is(8, "cannot ");

    let wrong = text.replacen("\"nodes\": 1,", "\"nodes\": \"one\",", 1);
    let line = text.lines().position(|line| line.contains("\"nodes\": 1,")).unwrap() + 1;
    folder.file("wrong.json", wrong);
    let said = folder.bench(&["validate", "wrong.json"]);
    said.is(7, "wrong.json: /machine/nodes: form: says something else; invalid type: string");
    said.is(7, &format!("at line {line} column "));
    folder.file("missing.json", text.replacen("\"nodes\": 1,", "", 1));
    folder.bench(&["validate", "missing.json"]).is(7, "/machine: form: ");
}

/// Many fields of everything that is looked up in something else: the check's time rises
/// with their number and not with its square, which would be hours here.
#[test]
fn a_record_of_great_length_is_checked_and_its_violations_are_counted_out() {
    let folder = Folder::new();
    folder.record("long.json", |record| {
        let gpu = record.machine.host.gpus[0].clone();
        let more = (0..40_000).map(|index| {
            let mut more = gpu.clone();
            more.uuid = format!("GPU-{index}");
            more
        });
        record.machine.host.gpus.extend(more);
        let domain = record.repetitions[0].domains[0].clone();
        let more = (0..40_000).map(|index| {
            let mut more = domain.clone();
            more.id = format!("nvml:GPU-other-{index}");
            more
        });
        record.repetitions[0].domains.extend(more);
    });
    let said = folder.bench(&["validate", "long.json"]);
    said.is(7, "/machine/accelerators: disclosure: says nothing of \"GPU-0\"; ");
    let disclosures = said.out.lines().filter(|line| line.contains(": disclosure: ")).count();
    assert_eq!(disclosures, 200);
}

#[test]
fn of_several_files_each_is_told_and_the_worst_code_is_the_end() {
    let folder = Folder::new();
    folder.record("a.json", |_| ());
    folder.record("b.json", |record| record.repetitions[0].joules += 1.0);
    folder.file("c.json", "{}");
    let said = folder.bench(&["validate", "a.json", "b.json"]);
    said.is(7, "a.json: valid");
    said.is(7, "b.json: not valid");
    let said = folder.bench(&["validate", "c.json", "b.json", "a.json", "--json"]);
    assert_eq!(said.code, 8);
    let list: Value = serde_json::from_str(&said.out).unwrap();
    let valid: Vec<Option<bool>> =
        list.as_array().unwrap().iter().map(|one| one["valid"].as_bool()).collect();
    assert_eq!(valid, [Some(false), Some(false), Some(true)]);
    assert_eq!(list[0]["error"], "no benchmark record: it has no field `schema`");
}
