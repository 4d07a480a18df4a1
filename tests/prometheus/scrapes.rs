// SPDX-License-Identifier: Apache-2.0
//! Three jobs of two projects, scraped: rises, last values, and the examples of
//! `docs/metrics.md`.

use serde_json::Value;

use crate::rig::{Run, burn, eventually};
use crate::server::Prometheus;
use crate::{HALF_A_MICROJOULE, booked, complete, gpu_domain, machine, metrics};

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
    the_documents_examples_hold(&server, &rig.path("state"));

    let page = metrics(&daemon);
    page.check_with_promtool();
    assert!(!page.text.contains("this-must-not-be-seen"));
    assert!(!page.text.contains("--cpu"));
    let record = rig.run(&["--gpus", "none"], &[burn, "--cpu", "1ms"]).record;
    let gpu = gpu_domain(&rig.script, 0);
    assert!(record["energy"]["domains"].as_array().unwrap().iter().all(|part| part["id"] != *gpu));
}

/// Every expression that the reference gives can be asked, and the sums are right.
fn the_documents_examples_hold(server: &Prometheus, state: &std::path::Path) {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let examples: Vec<&str> = page
        .split("```promql\n")
        .skip(1)
        .flat_map(|block| block.split("```").next().unwrap().lines())
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .collect();
    assert!(examples.len() >= 5, "{examples:?}");
    for example in examples {
        let answer = server.query(example);
        println!("{example}: {} series", answer.len());
    }
    assert!(state.exists());
    // Jobs and `unattributed` together are the counters.
    let difference = server.number(
        "abs(sum(aimeter_domain_energy_joules_total{counted=\"true\"}) \
         - sum(aimeter_domain_unattributed_joules_total{counted=\"true\"}) \
         - sum(aimeter_user_energy_joules_total))",
    );
    assert!(difference < 1e-6, "{difference} J");
    let running = eventually("no running job", || {
        Some(server.number("aimeter_jobs_running")).filter(|running| *running == 0.0)
    });
    assert_eq!(running, 0.0);
}
