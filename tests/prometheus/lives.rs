// SPDX-License-Identifier: Apache-2.0
//! Pages while jobs come and go: each is of one moment, series begin at 0, and
//! totals live on.

use std::thread::ScopedJoinHandle;

use crate::page::Page;
use crate::rig::{burn, eventually};
use crate::{HALF_A_MICROJOULE, booked, complete, configure, gpu_domain, machine, metrics};

/// Per kind, what the counters moved is what jobs used and what nobody did; and
/// the jobs' sum is the users'. Right where no job is nested and none has gone.
fn check_balance(page: &Page) {
    for kind in ["gpu", "cpu", "dram"] {
        let labels = [("kind", kind)];
        let moved = page.sum("aimeter_domain_energy_joules_total", &labels);
        let nobody = page.sum("aimeter_domain_unattributed_joules_total", &labels);
        let jobs = page.sum("aimeter_job_energy_joules_total", &labels);
        let users = page.sum("aimeter_user_energy_joules_total", &labels);
        let projects = page.sum("aimeter_project_energy_joules_total", &labels);
        let off = moved - nobody - jobs;
        assert!(off.abs() < HALF_A_MICROJOULE, "{kind}: {moved} - {nobody} - {jobs} = {off}");
        assert!((jobs - users).abs() < HALF_A_MICROJOULE, "{kind}: jobs {jobs}, users {users}");
        assert!((jobs - projects).abs() < HALF_A_MICROJOULE, "{kind}: {jobs}, {projects}");
    }
}

#[test]
fn every_page_balances_while_jobs_start_and_end() {
    let rig = machine();
    let daemon = rig.daemon(&["--period", "100ms", "--idle-policy", "proportional"]);
    complete(&daemon);
    let burn = burn();
    let burn = burn.to_str().unwrap();
    let pages = std::thread::scope(|scope| {
        let workers = ["0", "1", "none"].map(|gpus| {
            let rig = &rig;
            scope.spawn(move || {
                for _ in 0..4 {
                    rig.run(&["--gpus", gpus, "--project", gpus], &[burn, "--cpu", "150ms"]);
                }
            })
        });
        let mut pages = 0;
        while !workers.iter().all(ScopedJoinHandle::is_finished) {
            check_balance(&metrics(&daemon));
            pages += 1;
        }
        for worker in workers {
            worker.join().unwrap();
        }
        pages
    });
    println!("{pages} pages");
    let page = metrics(&daemon);
    assert_eq!(page.of("aimeter_job_running", &[]).count(), 12);
    assert!(page.sum("aimeter_job_energy_joules_total", &[]) > 0.0);
}

/// With 10 s between two readings, nothing is booked to a job before it ends.
#[test]
fn series_of_a_new_job_user_and_project_begin_at_zero() {
    let rig = machine();
    let daemon = rig.daemon(&["--period", "10s"]);
    complete(&daemon);
    let go = rig.path("go");
    let mut job = rig.aimeter("run");
    job.args(["--project", "new", "--gpus", "0", "--quiet", "--"]).arg(burn());
    job.args(["--cpu", "50ms", "--start-file"]).arg(&go);
    let mut job = job.spawn().expect("the binary");
    let page = eventually("the job's series", || {
        Some(metrics(&daemon)).filter(|page| page.of("aimeter_job_running", &[]).count() == 1)
    });
    for kind in ["gpu", "cpu", "dram"] {
        assert_eq!(page.one("aimeter_job_energy_joules_total", &[("kind", kind)]), 0.0);
        assert_eq!(page.one("aimeter_user_energy_joules_total", &[("kind", kind)]), 0.0);
        let project = [("kind", kind), ("project", "new")];
        assert_eq!(page.one("aimeter_project_energy_joules_total", &project), 0.0);
    }
    assert_eq!(page.one("aimeter_job_emissions_grams_total", &[]), 0.0);
    assert_eq!(page.one("aimeter_user_emissions_grams_total", &[]), 0.0);
    assert_eq!(page.one("aimeter_project_emissions_grams_total", &[]), 0.0);
    std::fs::write(&go, "").unwrap();
    assert!(job.wait().unwrap().success());
    // A quiet wrapper does not wait for its record.
    eventually("the job's energy", || {
        let page = metrics(&daemon);
        (page.sum("aimeter_job_energy_joules_total", &[]) > 0.0).then_some(())
    });
}

/// A GPU is read by a thread of its own: where its reading came a moment after the
/// tick, the page of that tick had no power of the GPU, the job had 0 W, and on the
/// next page twice its power.
#[test]
fn power_has_no_holes_and_a_jobs_is_its_gpus() {
    let rig = machine();
    let daemon = rig.daemon(&["--period", "100ms"]);
    complete(&daemon);
    let go = rig.path("go");
    let job = rig
        .start(&["--gpus", "0"], &[burn().to_str().unwrap(), "--start-file", go.to_str().unwrap()]);
    let domain = gpu_domain(&rig.script, 0);
    let power = |page: &Page| page.find("aimeter_domain_power_watts", &[("domain", &domain)]);
    // It only waits, so that all of its power is the GPU's, once it has waited a while.
    let alike = |page: &Page| {
        let job = page.find("aimeter_job_power_watts", &[])?;
        ((job - power(page)?).abs() < 10.0).then_some(())
    };
    eventually("the job's power", || {
        let page = metrics(&daemon);
        let begun = page.find("aimeter_job_power_watts", &[])? > 50.0;
        alike(&page).filter(|()| begun)
    });
    let mut seen = 0.0;
    let mut pages = 0;
    while pages < 40 {
        let page = metrics(&daemon);
        let ticks = page.one("aimeter_ticks_total", &[]);
        if ticks > seen {
            let job = page.one("aimeter_job_power_watts", &[]);
            assert!(alike(&page).is_some(), "{job} W of the GPU's {:?} W", power(&page));
            (seen, pages) = (ticks, pages + 1);
        }
    }
    std::fs::write(&go, "").unwrap();
    assert!(job.finish().output.status.success());
}

#[test]
fn finished_jobs_go_and_totals_live_on_over_a_restart() {
    let rig = machine();
    let config =
        configure(&rig, "[sensors]\nperiod = \"100ms\"\n[ledger]\nkeep_finished = \"3s\"\n");
    let daemon = rig.daemon(&["--config", &config]);
    complete(&daemon);
    let burn = burn();
    let command = [burn.to_str().unwrap(), "--cpu", "300ms"];
    let run = rig.run(&["--project", "vision", "--gpus", "0"], &command);
    let joules = run.record["energy"]["total_joules"].as_f64().unwrap();
    let job = "aimeter_job_energy_joules_total";
    let stays = metrics(&daemon);
    assert!((stays.sum(job, &[]) - joules).abs() < HALF_A_MICROJOULE);
    assert_eq!(stays.one("aimeter_job_running", &[]), 0.0);
    let page = eventually("the job to go", || {
        Some(metrics(&daemon)).filter(|page| page.of(job, &[]).next().is_none())
    });
    let totals = [
        ("aimeter_user_energy_joules_total", "user"),
        ("aimeter_project_energy_joules_total", "project"),
    ];
    for (name, _) in totals {
        assert!((page.sum(name, &[]) - joules).abs() < HALF_A_MICROJOULE);
    }
    assert!((booked(&rig, "true") - joules).abs() < HALF_A_MICROJOULE);
    let domains = "aimeter_domain_energy_joules_total";
    let before = metrics(&daemon);
    assert!(daemon.terminate().success());

    let daemon = rig.daemon(&["--config", &config]);
    let after = complete(&daemon);
    for (name, label) in totals {
        for sample in page.of(name, &[]) {
            let labels = [(label, sample.label(label)), ("kind", sample.label("kind"))];
            assert_eq!(after.one(name, &labels), sample.value, "{name} {labels:?}");
        }
    }
    for name in ["aimeter_user_emissions_grams_total", "aimeter_project_emissions_grams_total"] {
        assert_eq!(after.one(name, &[]), before.one(name, &[]));
    }
    for sample in before.of(domains, &[]) {
        let went_on = after.one(domains, &[("domain", sample.label("domain"))]);
        assert!(went_on >= sample.value, "{sample:?} fell to {went_on}");
    }
}

#[test]
fn hostile_names_are_escaped_and_seen_as_they_are() {
    let rig = machine();
    let daemon = rig.daemon(&["--period", "100ms"]);
    complete(&daemon);
    let name = "x\"} 1\naimeter_jobs_running 99 \\ é漢";
    let project = "p\\\"{,}\n# TYPE evil counter";
    let label = "k=v\"}\nevil 1";
    let args = ["--name", name, "--project", project, "--label", label, "--gpus", "none"];
    let run = rig.run(&args, &["true"]);
    assert_eq!(run.record["job"]["name"], name);
    let page = metrics(&daemon);
    page.check_with_promtool();
    // The same page in the other format, as the strictest reader there is sees it.
    let open = daemon.get_with("/metrics", "Accept: application/openmetrics-text\r\n");
    let read = crate::python::open_metrics(&open).unwrap_or_else(|error| panic!("{error}\n{open}"));
    assert!(read.contains("aimeter_job_energy_joules counter joules"), "{read}");
    assert_eq!(read.lines().count(), Page::parse(open).samples.len());
    assert_eq!(page.one("aimeter_job_running", &[("job_name", name), ("project", project)]), 0.0);
    assert_eq!(page.one("aimeter_jobs_running", &[]), 0.0);
    assert!(
        !page.text.lines().any(|line| line.starts_with("evil") || line.starts_with("# TYPE evil"))
    );
    let emissions = "aimeter_project_emissions_grams_total";
    assert!(page.find(emissions, &[("project", project)]).is_some());
}
