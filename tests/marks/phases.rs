// SPDX-License-Identifier: Apache-2.0
//! Phases of known power get the energy of their own time: with and without a daemon, from
//! Python and from a shell, nested, and across a daemon that dies.

use std::time::Duration;

use nvml_standin::{Gpu, Trace as GpuTrace};
use powercap_standin::{PowercapTree, Trace};
use serde_json::Value;

use crate::rig::{Rig, error, eventually};
use crate::support::{check_sum, machine, phase, python, show, stamps, unit};

/// Two epochs around an evaluation, with pauses that fall anywhere in the GPU's wave.
const TRAINING: &str = "
def mark(name):
    stamp()
    aimeter.mark(name) if name else aimeter.end()
    stamp()
mark('epoch')
time.sleep(1.3)
aimeter.count('tokens', 1000)
aimeter.count('tokens', 24)
mark('eval')
time.sleep(0.9)
aimeter.count('samples', 0.5)
mark('epoch')
time.sleep(1.6)
aimeter.count('tokens', 1024)
mark(None)
time.sleep(0.6)
write()
";

/// The GPU's energy in the phases against the truth, which lies between the moments before
/// and after each mark; the package's is that of the CPU time that the job used, which is
/// next to none.
#[track_caller]
fn check_training(rig: &Rig, record: &Value) {
    check_sum(record);
    let at = stamps(rig);
    // From the mark of this number to the next: at least, and at most.
    let truth = |mark: usize| {
        let least = rig.gpu_joules(0, at[2 * mark + 1], at[2 * mark + 2]);
        (least, rig.gpu_joules(0, at[2 * mark], at[2 * mark + 3]))
    };
    let of_package = crate::rig::domain(record, "rapl:package-0")["joules"].as_f64().unwrap();
    let (first, eval, second) = (truth(0), truth(1), truth(2));
    let epoch = (first.0 + second.0, first.1 + second.1);
    for (name, (least, most), seconds) in [("epoch", epoch, 2.9), ("eval", eval, 0.9)] {
        let part = phase(record, Some(name));
        let joules = part["joules"].as_f64().unwrap();
        println!(
            "{name}: {joules:.2} J, truth {least:.2} to {most:.2} J and CPU up to {of_package:.2} J"
        );
        assert!(joules > 0.99 * least && joules < 1.01 * most + of_package, "{record:#}");
        let time = part["seconds"].as_f64().unwrap();
        // The sleeps themselves may be longer on a machine that is busy.
        assert!(time >= seconds, "{name}: {time} s");
        assert!(part["grams"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(phase(record, Some("epoch"))["times"], 2);
    assert_eq!(phase(record, Some("eval"))["times"], 1);
    let tokens = unit(record, "tokens");
    assert_eq!(tokens["count"], 2048.0);
    let total = record["energy"]["total_joules"].as_f64().unwrap();
    assert!(error(tokens["joules_per_unit"].as_f64().unwrap() * 2048.0, total) < 1e-9);
    let of_epoch = phase(record, Some("epoch"))["joules"].as_f64().unwrap();
    assert_eq!(tokens["phases"][0]["name"], "epoch");
    let each = tokens["phases"][0]["joules_per_unit"].as_f64().unwrap();
    assert!(error(each * 2048.0, of_epoch) < 1e-9);
    assert_eq!(unit(record, "samples")["count"], 0.5);
}

#[test]
fn phases_have_the_energy_of_their_own_time_without_a_daemon() {
    let rig = machine();
    let job = python(&rig, TRAINING);
    let run = rig.run(&["--standalone"], &["python3", job.to_str().unwrap()]);
    check_training(&rig, &run.record);
    assert!(run.stderr.contains("phase epoch"), "{}", run.stderr);
    assert!(run.stderr.contains("tokens"), "{}", run.stderr);
}

#[test]
fn phases_have_the_energy_of_their_own_time_through_the_daemon() {
    let rig = machine();
    let daemon = rig.daemon(&[]);
    let job = python(&rig, TRAINING);
    let run = rig.run(&[], &["python3", job.to_str().unwrap()]);
    check_training(&rig, &run.record);
    let id = run.record["job"]["id"].as_str().unwrap();
    let page = daemon.get("/metrics");
    let joules = phase(&run.record, Some("eval"))["joules"].as_f64().unwrap();
    let line = format!("aimeter_job_phase_energy_joules_total{{job_id=\"{id}\",phase=\"eval\"}}");
    assert!(page.contains(&format!("{line} {joules}\n")), "{joules} in\n{page}");
    let line = format!("aimeter_job_units_total{{job_id=\"{id}\",unit=\"tokens\"}} 2048\n");
    assert!(page.contains(&line), "{page}");
    drop(daemon);
    // From the ledger's file alone.
    let shown = show(&rig, id);
    assert_eq!(shown["phases"], run.record["phases"]);
    assert_eq!(shown["work"], run.record["work"]);
    let text = rig.aimeter("show").arg(id).output().unwrap().stdout;
    let text = String::from_utf8_lossy(&text).into_owned();
    for part in ["\nphases\n", "(in none)", "\nwork\n", "in epoch"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_shell_marks_and_nested_jobs_count_into_the_outer_ones_phases() {
    let rig = machine();
    let _daemon = rig.daemon(&[]);
    let aimeter = env!("CARGO_BIN_EXE_aimeter");
    let script = format!(
        "{aimeter} mark prepare && sleep 0.3 && {aimeter} mark train && \
         {aimeter} run --quiet --gpus all -- sh -c '{aimeter} mark inner; {aimeter} mark rows=7; sleep 1' && \
         {aimeter} mark steps=2.125 && {aimeter} mark --end && sleep 0.3"
    );
    let run = rig.run(&["--gpus", "all"], &["sh", "-c", &script]);
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr);
    assert!(!run.stderr.contains("not marked"), "{}", run.stderr);
    check_sum(&run.record);
    let names: Vec<_> =
        run.record["phases"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
    assert_eq!(
        names,
        ["prepare", "train", ""]
            .map(|n| if n.is_empty() { Value::Null } else { n.into() })
            .iter()
            .collect::<Vec<_>>()
    );
    // A second of at least 100 W that the nested job used.
    let train = phase(&run.record, Some("train"))["joules"].as_f64().unwrap();
    assert!(train > 95.0, "{:#}", run.record);
    assert_eq!(unit(&run.record, "steps")["count"], 2.125);
    assert_eq!(run.record["work"].as_array().unwrap().len(), 1);
    let ledger = rig.ledger();
    let rows: i64 = eventually("the nested job's units", || {
        let sql = "SELECT count_thousandths FROM work WHERE unit = 'rows' AND phase = 'inner'";
        ledger.query_row(sql, [], |row| row.get(0)).ok()
    });
    assert_eq!(rows, 7_000);
}

/// Nothing of the first phase had been booked, and the reading at the second's beginning may
/// have been lost: its power is constant, so that a cut by time is exact.
#[test]
fn a_daemon_killed_right_after_a_mark_gives_each_phase_the_energy_of_its_own_time() {
    let watts = 200.0;
    let gpu = Gpu::numbered(0, GpuTrace::Constant { mw: 200_000 });
    // A reading is up to one step of the counter old.
    let step = watts * 0.1;
    let package = PowercapTree::builder().package(0, Trace::constant(100));
    let rig = Rig::new(package, vec![gpu]);
    // No tick comes between: only the change itself has the ledger told of it.
    let daemon = rig.daemon(&["--period", "10s"]);
    let job = python(
        &rig,
        "
stamp()
aimeter.mark('one')
aimeter.flush()
time.sleep(1.5)
stamp()
aimeter.mark('two')
aimeter.flush()
write()
until(folder + '/go')
time.sleep(0.8)
stamp()
aimeter.end()
aimeter.flush()
write()
",
    );
    let wrapped = rig.start(&[], &["python3", job.to_str().unwrap()]);
    let ledger = rig.ledger();
    eventually("the second phase in the ledger", || {
        let sql = "SELECT 1 FROM phase WHERE name = 'two' AND until_ns IS NOT NULL";
        ledger.query_row(sql, [], |_| Ok(())).ok()
    });
    daemon.kill();
    let lost = |kind: &str| -> bool {
        let sql = "SELECT counter.at_ns < phase.began_ns FROM phase, counter JOIN domain ON \
                   domain.key = counter.domain WHERE phase.name = 'two' AND domain.kind = ?";
        ledger.query_row(sql, [kind], |row| row.get(0)).expect("a reading")
    };
    let gpu_lost = lost("gpu");
    let _daemon = rig.daemon(&[]);
    std::fs::write(rig.path("go"), "").unwrap();
    let run = wrapped.finish();
    check_sum(&run.record);
    let at = stamps(&rig);
    let of_package = run.domain("rapl:package-0")["joules"].as_f64().unwrap();
    for (number, name) in ["one", "two"].into_iter().enumerate() {
        let truth = watts * (at[number + 1] - at[number]) as f64 / 1e9;
        let joules = phase(&run.record, Some(name))["joules"].as_f64().unwrap();
        println!("{name}: {joules:.2} J, truth {truth:.2} J, CPU at most {of_package:.2} J");
        // The marks are some milliseconds after the moments that the program noted.
        let bound = step + 0.02 * truth + of_package;
        assert!((joules - truth).abs() < bound, "{:#}", run.record);
    }
    let notes = run.record["quality"]["notes"].to_string();
    assert!(notes.contains("is in phase `two` up to the next mark"), "{notes}");
    let cut = notes.contains("is cut by time between it and phase `one`: nvml:");
    println!("the GPU's reading at the change was lost: {gpu_lost}");
    assert_eq!(cut, gpu_lost, "{notes}");
}

#[test]
fn a_phase_goes_on_while_the_daemon_is_away() {
    let rig = machine();
    let daemon = rig.daemon(&[]);
    let job = python(
        &rig,
        "
stamp()
aimeter.mark('one')
aimeter.count('tokens', 5)
time.sleep(0.8)
stamp()
aimeter.mark('two')
aimeter.count('tokens', 6)
aimeter.flush()
write()
until(folder + '/go')
stamp()
aimeter.mark('three')
aimeter.count('tokens', 7)
time.sleep(0.8)
stamp()
aimeter.end()
write()
",
    );
    let wrapped = rig.start(&[], &["python3", job.to_str().unwrap()]);
    eventually("the second phase", || rig.path("stamps.json").exists().then_some(()));
    let ledger = rig.ledger();
    // So much of it that the GPU's energy of the first is booked: of what is not, a daemon
    // that comes back knows only the phase that was last.
    eventually("the second phase in the ledger", || {
        let sql = "SELECT 1 FROM phase WHERE name = 'two' AND until_ns IS NOT NULL AND energy_uj > 20000000";
        ledger.query_row(sql, [], |_| Ok(())).ok()
    });
    daemon.kill();
    let died = nvml_standin::now_ns();
    let away = Duration::from_millis(1_500).as_nanos() as u64;
    eventually("the time to pass", || (nvml_standin::now_ns() >= died + away).then_some(()));
    let _daemon = rig.daemon(&[]);
    std::fs::write(rig.path("go"), "").unwrap();
    let run = wrapped.finish();
    check_sum(&run.record);
    let at = stamps(&rig);
    let of_package = run.domain("rapl:package-0")["joules"].as_f64().unwrap();
    for (number, name) in ["one", "two", "three"].into_iter().enumerate() {
        let truth = rig.gpu_joules(0, at[number], at[number + 1]);
        let joules = phase(&run.record, Some(name))["joules"].as_f64().unwrap();
        println!("{name}: {joules:.2} J, truth {truth:.2} J, CPU at most {of_package:.2} J");
        assert!(joules > 0.97 * truth && joules < 1.03 * truth + of_package, "{:#}", run.record);
    }
    assert_eq!(unit(&run.record, "tokens")["count"], 18.0);
    assert_eq!(unit(&run.record, "tokens")["phases"].as_array().unwrap().len(), 3);
}
