// SPDX-License-Identifier: Apache-2.0
//! Lines of sacct, with energies worked out by hand from how slurmctld adds them up.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::text::elapsed;
use super::*;

const HEADER: &str = "JobID|JobName|User|Account|State|ExitCode|Start|End|Elapsed|AllocCPUS|\
    AllocTRES|NodeList|ConsumedEnergyRaw";

fn line(id: &str, times: (&str, &str), nodes: u32, energy: &str) -> String {
    let (from, to) = times;
    format!(
        "{id}|train|ada|physics|COMPLETED|0:0|2026-11-24T{from}|2026-11-24T{to}|01:00:00|{}|\
         billing=4,cpu={},mem=8G,node={nodes}|nid[001-00{nodes}]|{energy}",
        nodes * 64,
        nodes * 64
    )
}

const HOUR: (&str, &str) = ("09:00:00", "10:00:00");
const FIRST: (&str, &str) = ("09:00:00", "09:30:00");
const SECOND: (&str, &str) = ("09:30:00", "09:55:00");

fn site(cpus_per_node: Option<u64>) -> Site {
    Site { clock: Clock { zone: TimeZone::UTC, named: false }, cpus_per_node }
}

fn imported(lines: &[String]) -> Import {
    let text = format!("{HEADER}\n{}\n", lines.join("\n"));
    read(text.as_bytes(), &site(Some(64))).unwrap()
}

fn joules(lines: &[String]) -> Option<f64> {
    let import = imported(lines);
    assert_eq!(import.records.len(), 1, "{:?}", import.remarks);
    import.records[0].energy.total_joules
}

#[test]
fn the_steps_and_the_job_are_never_counted_twice() {
    // With PrologFlags=Contain: the job has the energy of its extern step.
    let contained = [
        line("7", HOUR, 2, "4000"),
        line("7.batch", HOUR, 2, "2100"),
        line("7.extern", HOUR, 2, "4000"),
        line("7.0", FIRST, 2, "1900"),
        line("7.1", SECOND, 2, "1800"),
    ];
    assert_eq!(joules(&contained), Some(4_000.0));
    // Without: the job has the sum of the batch step and those inside it.
    let one_node = [
        line("7", HOUR, 1, "3900"),
        line("7.batch", HOUR, 1, "2000"),
        line("7.0", FIRST, 1, "1900"),
    ];
    assert_eq!(joules(&one_node), Some(2_000.0));
    let two_nodes = [
        line("7", HOUR, 2, "5800"),
        line("7.batch", HOUR, 2, "2100"),
        line("7.0", FIRST, 2, "1900"),
        line("7.1", SECOND, 2, "1800"),
    ];
    assert_eq!(joules(&two_nodes), Some(3_700.0));
    // Steps that sacct was not asked for cannot be looked at.
    assert_eq!(joules(&[line("7", HOUR, 2, "5800")]), Some(5_800.0));
    // An allocation without its own figure.
    assert_eq!(joules(&[line("7", HOUR, 2, "0"), line("7.0", FIRST, 2, "1900")]), Some(1_900.0));
}

#[test]
fn what_cannot_be_told_apart_is_not_known() {
    let beside = [
        line("7", HOUR, 2, "0"),
        line("7.0", FIRST, 2, "1900"),
        line("7.1", ("09:29:59", "09:55:00"), 2, "1800"),
    ];
    assert_eq!(joules(&beside), None);
    // The batch step reads the first node alone.
    assert_eq!(joules(&[line("7", HOUR, 2, "0"), line("7.batch", HOUR, 2, "1900")]), None);
    let notes = imported(&beside).records[0].quality.notes.join("\n");
    assert!(notes.contains("energy is not known: its steps ran side by side"), "{notes}");
}

#[test]
fn slurms_words_for_nothing_are_no_energy() {
    for nothing in
        ["", "0", "4294967294", "4294967295", "18446744073709551614", "18446744073709551615"]
    {
        let import = imported(&[line("7", HOUR, 1, nothing)]);
        let record = &import.records[0];
        assert_eq!((record.energy.total_joules, record.energy.provenance.as_ref()), (None, None));
        assert_eq!(record.quality.coverage, Vec::<String>::new());
        assert!(record.quality.notes[0].contains("Slurm counted none"), "{nothing}");
    }
    // 100 kW a node for an hour is the most that is believed.
    assert_eq!(joules(&[line("7", HOUR, 1, "360000000")]), Some(3.6e8));
    assert_eq!(joules(&[line("7", HOUR, 1, "360000001")]), None);
    assert_eq!(joules(&[line("7", HOUR, 1, "18446744073709551000")]), None);
}

#[test]
fn only_a_job_that_held_whole_nodes_is_called_measured() {
    let text = format!("{HEADER}\n{}\n", line("7", HOUR, 2, "4000"));
    let of = |cpus_per_node| {
        let import = read(text.as_bytes(), &site(cpus_per_node)).unwrap();
        let record = import.records.into_iter().next().unwrap();
        let notes = record.quality.notes.join("\n");
        assert!(!notes.is_empty());
        (record.energy.provenance.unwrap(), notes)
    };
    assert_eq!(of(Some(64)).0, "measured");
    let (word, notes) = of(Some(65));
    assert!(word == "estimated" && notes.contains("it held 128 of 130 CPUs"), "{notes}");
    let (word, notes) = of(None);
    assert!(word == "estimated" && notes.contains("--cpus-per-node"), "{notes}");
}

#[test]
fn a_job_is_taken_over_with_who_and_when() {
    let text = format!("{HEADER}\n{}\n", line("7_3", HOUR, 1, "4000"));
    let text = text.replace("COMPLETED|0:0", "CANCELLED by 1000|0:15");
    let clock = Clock { zone: TimeZone::get("Europe/Paris").unwrap(), named: true };
    let import = read(text.as_bytes(), &Site { clock, cpus_per_node: None }).unwrap();
    let job = &import.records[0].job;
    assert_eq!((job.id.as_str(), job.name.as_str()), ("slurm-7_3", "train"));
    assert_eq!((job.user.as_str(), job.project.as_deref()), ("ada", Some("physics")));
    assert_eq!((job.exit_code, job.state.as_str()), (Some(143), "finished"));
    assert_eq!(
        (job.started_at.as_str(), job.duration_seconds),
        ("2026-11-24T08:00:00.000Z", Some(3600.0))
    );
    assert_eq!(job.labels["slurm_state"], "CANCELLED by 1000");
    assert_eq!(job.origin, "sacct");
}

#[test]
fn what_has_not_ended_is_left_out_and_what_is_wrong_refused() {
    let check = |line: String, field: &str, refused: bool| {
        let import = imported(&[line]);
        assert_eq!(import.records, [], "{field}");
        let remark = &import.remarks[0];
        assert_eq!((remark.field.as_str(), remark.refused), (field, refused), "{remark:?}");
    };
    let good = || line("7", HOUR, 1, "4000");
    for state in ["RUNNING", "PENDING", "SUSPENDED"] {
        check(good().replace("COMPLETED", state), "State", false);
    }
    check(good().replace("COMPLETED", ""), "State", true);
    check(good().replace("|4000", "|-5"), "ConsumedEnergyRaw", true);
    check(good().replace("|4000", "|1.2K"), "ConsumedEnergyRaw", true);
    check(good().replace("|4000", "|99999999999999999999999"), "ConsumedEnergyRaw", true);
    check(good().replace("2026-11-24T09:00:00", "Unknown"), "Start", true);
    check(good().replace("2026-11-24T10:00:00", "2026-11-24T08:00:00"), "End", true);
    check(good().replace("01:00:00", "one hour"), "Elapsed", true);
    check(good().replace("|train|", "|a|b|"), "row", true);
    check(good().replacen("7|", "7/..|", 1), "JobID", true);
    check(good().replacen("7|", "7.bat+|", 1), "JobID", true);
    check(line("7.batch", HOUR, 1, "4000"), "JobID", true);
    check(good().replace("physics", &"x".repeat(129)), "Account", true);
}

#[test]
fn a_refused_step_makes_the_sum_unknown_but_not_the_extern_step() {
    let spoiled =
        [line("7", HOUR, 2, "0"), line("7.0", FIRST, 2, "1900"), line("7.1", SECOND, 2, "x")];
    let import = imported(&spoiled);
    assert_eq!((import.records[0].energy.total_joules, import.remarks.len()), (None, 1));
    let with_extern = [spoiled.to_vec(), vec![line("7.extern", HOUR, 2, "4000")]].concat();
    assert_eq!(imported(&with_extern).records[0].energy.total_joules, Some(4_000.0));
}

#[test]
fn a_job_that_stands_twice_is_counted_once() {
    let import = imported(&[line("7", HOUR, 1, "4000"), line("7", HOUR, 1, "4000")]);
    assert_eq!((import.records.len(), import.remarks.len()), (1, 1));
    assert!(import.remarks[0].refused);
}

#[test]
fn elapsed_times_are_of_slurms_forms() {
    assert_eq!(elapsed("01:02:03"), Some(3_723.0));
    assert_eq!(elapsed("2-01:02:03"), Some(176_523.0));
    assert_eq!(elapsed("02:03.5"), Some(123.5));
    for wrong in ["", "3", "1-2-3:4", "a:b", "-1:00", "01:nan", "1:2:3:4", "99999999999-01:00:00"] {
        assert_eq!(elapsed(wrong), None, "{wrong}");
    }
}

/// A job of `sacct --json`, in the newer form or the older.
fn json(newer: bool) -> String {
    let number = |n: u64| match newer {
        true => serde_json::json!({"set": true, "infinite": false, "number": n}),
        false => serde_json::json!(n),
    };
    let state =
        if newer { serde_json::json!(["COMPLETED"]) } else { serde_json::json!("COMPLETED") };
    let step = |id: &str, energy: u64| {
        serde_json::json!({
            "step": {"id": id, "name": id},
            "time": {"start": number(1_795_510_800), "end": number(1_795_514_400), "elapsed": 3600},
            "statistics": {"energy": {"consumed": number(energy)}},
        })
    };
    let tres =
        |kind: &str, count: u64| serde_json::json!({"type": kind, "name": "", "count": count});
    serde_json::json!({"jobs": [{
        "job_id": 9, "array": {"job_id": 0, "task_id": {"set": false, "number": 0}},
        "name": "train", "user": "ada", "account": "physics", "cluster": "lumi", "nodes": "nid001",
        "state": {"current": state},
        "exit_code": {"return_code": number(3), "status": "FAILED"},
        "time": {"start": 1_795_510_800, "end": 1_795_514_400, "elapsed": 3600},
        "tres": {"allocated": [tres("cpu", 64), tres("node", 1), tres("energy", 3900)]},
        "steps": [step("9.batch", 2000), step("9.0", 1900)],
    }]})
    .to_string()
}

#[test]
fn the_json_of_old_and_new_versions_is_the_same_job() {
    let of = |newer| read(json(newer).as_bytes(), &site(Some(64))).unwrap();
    assert_eq!(of(true), of(false));
    let import = of(true);
    assert_eq!(import.remarks, []);
    let record = &import.records[0];
    assert_eq!(record.energy.total_joules, Some(2_000.0));
    assert_eq!(record.energy.provenance.as_deref(), Some("measured"));
    assert_eq!(record.job.id, "slurm-lumi-9");
    assert_eq!((record.job.exit_code, record.host.name.as_deref()), (Some(3), Some("nid001")));
    // Its times are of a zone.
    assert!(record.quality.notes.iter().all(|note| !note.contains("UTC")));
}

#[test]
fn another_json_is_told() {
    for other in ["{", "{}", "{\"jobs\": 5}", "{\"jobs\""] {
        let error = read(other.as_bytes(), &site(None)).unwrap_err();
        assert!(matches!(error, Unreadable::Json(_)), "{other}: {error}");
    }
    let import = read(b"{\"jobs\": [null, 5, {}, {\"job_id\": -1}]}", &site(None)).unwrap();
    assert_eq!((import.records.len(), import.remarks.len()), (0, 4));
}

proptest! {
    /// A job is never told more than the largest sum of steps that ran one after the
    /// other, nor less than its largest step.
    #[test]
    fn an_energy_lies_between_its_steps_and_their_sum(
        batch in prop::option::of(1_u64..1_000_000),
        steps in prop::collection::vec(1_u64..1_000_000, 0..5),
        nodes in 1_u32..4,
    ) {
        let mut lines = vec![line("7", HOUR, nodes, "0")];
        lines.extend(batch.map(|energy| line("7.batch", HOUR, nodes, &energy.to_string())));
        for (number, energy) in steps.iter().enumerate() {
            let from = format!("09:{:02}:00", number * 10);
            let to = format!("09:{:02}:00", number * 10 + 10);
            lines.push(line(&format!("7.{number}"), (&from, &to), nodes, &energy.to_string()));
        }
        let largest = steps.iter().copied().chain(batch).max().unwrap_or(0);
        let most = steps.iter().sum::<u64>().max(batch.unwrap_or(0));
        match joules(&lines) {
            Some(joules) => prop_assert!(joules >= largest as f64 && joules <= most as f64),
            None => prop_assert!(steps.is_empty() && (batch.is_none() || nodes > 1)),
        }
    }
}
