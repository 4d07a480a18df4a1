// SPDX-License-Identifier: Apache-2.0
//! Three jobs of two projects, scraped: rises, last values, and the examples of
//! `docs/metrics.md`.

use serde_json::Value;

use crate::rig::{Rig, Run, burn};
use crate::server::Prometheus;
use crate::{HALF_A_MICROJOULE, booked, complete, machine, metrics};

const SECRET: &str = "--api-key=sk-this-must-not-be-seen";

/// A job's energy as Prometheus saw it last, all kinds together.
fn last_energy(server: &Prometheus, record: &Value) -> f64 {
    let id = record["job"]["id"].as_str().unwrap();
    let selector = format!("aimeter_job_energy_joules_total{{job_id=\"{id}\"}}");
    let series = server.last(&selector);
    assert_eq!(series.len(), 3, "gpu, cpu and dram of {id}");
    series.iter().map(|series| series.value).sum()
}

fn last_sum(server: &Prometheus, selector: &str) -> f64 {
    server.last(selector).iter().map(|series| series.value).sum()
}

#[test]
fn rises_equal_the_ledger_and_last_values_the_records() {
    let rig = machine();
    let daemon = rig.daemon(&["--zone", "GB", "--pue", "1.2"]);
    complete(&daemon);
    let server = Prometheus::start(rig.folder.path(), &daemon.address);
    let burn = burn();
    let burn = burn.to_str().unwrap();
    // So that both projects have a sample before.
    for project in ["vision", "speech"] {
        rig.run(&["--project", project, "--gpus", "0"], &[burn, "--cpu", "50ms"]);
    }
    server.next_scrape();
    let projects = ["vision", "speech"];
    let selector =
        |project: &str| format!("aimeter_project_energy_joules_total{{project=\"{project}\"}}");
    let before = projects.map(|project| last_sum(&server, &selector(project)));
    let booked_before = projects.map(|project| booked(&rig, &format!("project = '{project}'")));

    let script = format!("exec {burn} --cpu 1s --sleep 4s # {SECRET}");
    let long = ["/bin/sh", "-c", &script];
    let longer = [burn, "--cpu", "500ms", "--sleep", "5s"];
    // Shorter than the time between two scrapes.
    let short = [burn, "--cpu", "100ms"];
    let jobs = [
        (["--project", "vision", "--gpus", "0"], long.as_slice()),
        (["--project", "speech", "--gpus", "1"], &longer),
        (["--project", "vision", "--gpus", "1"], &short),
    ];
    let runs: Vec<Run> = std::thread::scope(|scope| {
        let rig = &rig;
        let started = jobs.map(|(args, command)| scope.spawn(move || rig.run(&args, command)));
        started.into_iter().map(|job| job.join().unwrap()).collect()
    });
    server.next_scrape();

    for (project, (before, booked_before)) in
        projects.into_iter().zip(before.into_iter().zip(booked_before))
    {
        let rise = last_sum(&server, &selector(project)) - before;
        let ledger = booked(&rig, &format!("project = '{project}'")) - booked_before;
        println!("{project}: rise {rise:.6} J, ledger {ledger:.6} J");
        assert!(rise > 0.0 && (rise - ledger).abs() < HALF_A_MICROJOULE, "{rise} is not {ledger}");
    }
    for run in &runs {
        assert!(run.output.status.success(), "{}", run.stderr);
        let total = run.record["energy"]["total_joules"].as_f64().unwrap();
        let last = last_energy(&server, &run.record);
        println!("{}: last {last:.6} J, record {total:.6} J", run.record["job"]["id"]);
        assert!((last - total).abs() < HALF_A_MICROJOULE, "{last} is not {total}");
        let grams = run.record["emissions"]["operational_grams"].as_f64().unwrap();
        let id = run.record["job"]["id"].as_str().unwrap();
        let last = server.last(&format!("aimeter_job_emissions_grams_total{{job_id=\"{id}\"}}"));
        assert!((last[0].value - grams).abs() < 1e-9 * grams, "{} is not {grams}", last[0].value);
        assert_eq!(run.record["energy"]["pue"]["value"], 1.2);
        assert_eq!(run.record["emissions"]["intensity"]["zone"], "GB");
    }
    the_documents_examples_hold(&server, &rig, &runs);

    let page = metrics(&daemon);
    page.check_with_promtool();
    assert!(!page.text.contains("this-must-not-be-seen"));
    assert!(!page.text.contains("--cpu"));
}

/// Every expression that the reference gives can be asked, and gives what it says.
fn the_documents_examples_hold(server: &Prometheus, rig: &Rig, runs: &[Run]) {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let block = page.split("```promql\n").nth(1).and_then(|rest| rest.split("```").next());
    let lines = block.expect("the examples").lines();
    let examples: Vec<&str> = lines.filter(|line| !line.starts_with('#')).collect();
    let sum = |text: &str| -> f64 {
        let mut fitting = examples.iter().filter(|example| example.contains(text));
        let (example, none) = (fitting.next(), fitting.next());
        let example = example.filter(|_| none.is_none());
        let answer = server.query(example.unwrap_or_else(|| panic!("no one example of {text}")));
        let value = |series: &Value| series["value"][1].as_str().unwrap().parse::<f64>().unwrap();
        answer.iter().map(value).sum()
    };
    let near = |figure: f64, truth: f64| assert!((figure - truth).abs() < 1e-5, "{figure} {truth}");
    let all = booked(rig, "true");
    near(sum("last_over_time(aimeter_job_energy"), all);
    near(sum("/ 3.6e6") * 3.6e6, all);
    // The machine draws 100 W and 20 W, and 100 or 300 W on each GPU.
    assert!((300.0..750.0).contains(&sum("sum(aimeter_domain_power_watts")));
    assert!((0.0..1.0).contains(&sum(") / sum(")));
    near(sum("- sum(aimeter_domain_energy"), 0.0);
    assert_eq!(sum("aimeter_job_power_watts"), 0.0, "no job runs");
    let grams = runs.iter().map(|run| run.record["emissions"]["operational_grams"].as_f64());
    let grams: f64 = grams.map(Option::unwrap).sum();
    assert!(sum("last_over_time(aimeter_job_emissions") > grams);
    for example in &examples {
        server.query(example);
    }
}
