// SPDX-License-Identifier: Apache-2.0
//! The course of a campaign: what ends it, its interruption, how it is taken up again.

use std::os::unix::process::ExitStatusExt;

use aimeter::benchmark::record::{Rule, StoppedBy};
use rustix::process::{Pid, Signal, kill_process};

use crate::rig::eventually;
use crate::support::{Bench, found, said};

#[test]
fn it_ends_as_soon_as_the_wanted_confidence_is_there() {
    let bench = Bench::new();
    let stop = "[stop]\nconfidence_percent = 100\n[disclosures]";
    bench.spec(&[
        ("[disclosures]", stop),
        ("repetitions = 3", "repetitions = 1\nmax_repetitions = 9"),
    ]);
    let record = bench.run(&[]);
    assert_eq!(record.protocol.stopped_by, StoppedBy::Confidence);
    assert!(record.repetitions.len() >= 3, "three at least");
    let statistics = &record.derived.statistics;
    assert!(statistics.combined_half_width <= statistics.mean);
}

#[test]
fn a_budget_of_energy_or_time_ends_it() {
    for (budget, by) in
        [("max_energy = \"1J\"", StoppedBy::Energy), ("max_time = \"1ms\"", StoppedBy::Time)]
    {
        let bench = Bench::new();
        bench.spec(&[("[disclosures]", &format!("[stop]\n{budget}\n[disclosures]"))]);
        let record = bench.run(&[]);
        assert_eq!((record.protocol.stopped_by, record.repetitions.len()), (by, 1));
        assert_eq!(found(&record, Rule::Repetitions).len(), 1);
    }
}

#[test]
fn an_interrupted_campaign_is_taken_up_and_nothing_is_measured_twice() {
    let bench = Bench::new();
    bench.spec(&[]);
    let run = bench.start(&[]);
    bench.wait_for("repetition-001.json");
    kill_process(Pid::from_child(&run), Signal::INT).unwrap();
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(2), "{}", said(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("the same command goes on: aimeter bench run bench.toml"), "{stderr}");
    let first = bench.record();
    assert_eq!(first.protocol.stopped_by, StoppedBy::Interrupt);
    let kept = first.repetitions.len();
    assert!((1..3).contains(&kept), "{kept}");

    let record = bench.run(&[]);
    assert_eq!(record.protocol.stopped_by, StoppedBy::Repetitions);
    assert_eq!(record.repetitions.len(), 3);
    assert_eq!(record.repetitions[..kept], first.repetitions);
    assert_eq!((&record.idle, &record.campaign.id), (&first.idle, &first.campaign.id));
    assert!(bench.part("warm-up-002.json").exists(), "warmed up anew");
    let notes = found(&record, Rule::WarmUp);
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert_eq!(notes[0].0, Some(kept as u32 + 1));
    assert!(notes[0].1.contains("interrupted"), "{notes:?}");

    // Complete: the same again measures nothing and comes to the same record.
    assert_eq!(bench.run(&[]).hash, record.hash);
    assert!(!bench.part("warm-up-003.json").exists());
}

#[test]
fn a_signal_ends_the_work_too() {
    let bench = Bench::new();
    let pid = bench.rig.path("pid");
    let work = format!("\"sh\", \"-c\", \"echo $$ > {}; sleep 1000\"", pid.display());
    bench.spec(&[("\"sleep\", \"0.3\"", &work), ("idle = \"500ms\"", "idle = \"0s\"")]);
    let run = bench.start(&[]);
    let work: i32 =
        eventually("the work", || std::fs::read_to_string(&pid).ok()?.trim().parse().ok());
    kill_process(Pid::from_child(&run), Signal::TERM).unwrap();
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(15), "{}", said(&output));
    let gone = || (!std::path::Path::new(&format!("/proc/{work}")).exists()).then_some(());
    eventually("the work's end", gone);
    assert!(!bench.part("record.json").exists(), "nothing was complete");
}

#[test]
fn one_campaign_is_run_by_one_process() {
    let bench = Bench::new();
    let until = bench.rig.path("until");
    let burn = crate::rig::burn();
    let work = format!("\"{}\", \"--until-file\", \"{}\"", burn.display(), until.display());
    bench.spec(&[("\"sleep\", \"0.3\"", &work), ("repetitions = 3", "repetitions = 1")]);
    let run = bench.start(&[]);
    bench.wait_for("idle.json");
    let second = bench.end(&[]);
    assert_eq!(second.status.code(), Some(10), "{}", said(&second));
    assert!(said(&second).contains("another `aimeter bench run`"), "{}", said(&second));
    std::fs::write(&until, "").unwrap();
    assert!(run.wait_with_output().unwrap().status.success());
}

#[test]
fn a_complete_campaign_takes_the_settled_figures_of_the_ledger() {
    let bench = Bench::new();
    let daemon = bench.daemon("provisional,100");
    bench.spec(&[]);
    let record = bench.run(&[]);
    let of = |record: &aimeter::benchmark::record::BenchmarkRecord| {
        let intensity = record.repetitions[0].intensity.clone().unwrap();
        (intensity.grams_per_kwh, intensity.settled)
    };
    assert_eq!(of(&record), (100.0, false));
    daemon.terminate();
    // The measured figure comes in late.
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_nanosecond() as i64;
    let from = at(&record.campaign.started_at);
    let to = at(&record.campaign.ended_at) + 1_000_000_000;
    rusqlite::Connection::open(bench.rig.path("state").join("ledger.db"))
        .unwrap()
        .execute(
            "INSERT INTO intensity SELECT zone, ?1, ?2, 400000, signal, boundary, source, 'actual',
             ?2, NULL FROM intensity WHERE source = 'file' LIMIT 1",
            [from, to],
        )
        .unwrap();
    let settled = bench.run(&[]);
    assert_eq!(of(&settled), (400.0, true));
    assert_eq!(settled.repetitions[0].joules, record.repetitions[0].joules);
    assert_eq!(settled.derived.statistics, record.derived.statistics);
    assert_ne!(settled.hash, record.hash);
}
