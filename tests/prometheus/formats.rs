// SPDX-License-Identifier: Apache-2.0
//! What a real Prometheus makes of the page's form: it asks for OpenMetrics and gets
//! it; and a bounded page still adds up in its queries.

use serde_json::Value;

use crate::rig::burn;
use crate::server::Prometheus;
use crate::{HALF_A_MICROJOULE, booked, complete, configure, machine, metrics};

#[test]
fn prometheus_gets_open_metrics() {
    let rig = machine();
    let daemon = rig.daemon(&["--period", "100ms"]);
    let server = Prometheus::start(rig.folder.path(), &daemon.address);
    server.next_scrape();
    // Units are told in OpenMetrics only, and info is a type of its own there.
    let metadata = |metric: &str| server.api(&format!("/api/v1/metadata?metric={metric}"));
    let energy = metadata("aimeter_domain_energy_joules");
    let energy = &energy["aimeter_domain_energy_joules"][0];
    assert_eq!((&energy["type"], &energy["unit"]), (&"counter".into(), &"joules".into()));
    assert_eq!(metadata("aimeter_build")["aimeter_build"][0]["type"], "info");
    assert_eq!(server.query("aimeter_build_info").len(), 1);
}

#[test]
fn a_bounded_page_adds_up_to_the_ledger() {
    let rig = machine();
    let config = configure(
        &rig,
        "[sensors]\nperiod = \"100ms\"\n\
         [metrics]\nmax_jobs = 2\nmax_users = 1\nmax_projects = 1\n",
    );
    let daemon = rig.daemon(&["--config", &config]);
    complete(&daemon);
    let burn = burn();
    let burn = burn.to_str().unwrap();
    for (project, cpu) in [("a", "300ms"), ("b", "20ms"), ("c", "200ms"), ("d", "10ms")] {
        rig.run(&["--project", project, "--gpus", "0"], &[burn, "--cpu", cpu, "--sleep", "50ms"]);
    }
    let server = Prometheus::start(rig.folder.path(), &daemon.address);
    server.next_scrape();
    let sum = |expression: &str| -> f64 {
        let answer = server.query(expression);
        let value = |series: &Value| series["value"][1].as_str().unwrap().parse::<f64>().unwrap();
        answer.iter().map(value).sum()
    };
    let ledger = booked(&rig, "true");
    for family in ["job", "project", "user"] {
        let total = sum(&format!("sum(aimeter_{family}_energy_joules_total)"));
        assert!((total - ledger).abs() < 2.0 * HALF_A_MICROJOULE, "{family}: {total}, {ledger}");
    }
    assert_eq!(sum("count(count by (job_id) (aimeter_job_energy_joules_total))"), 3.0);
    assert_eq!(sum("count(count by (project) (aimeter_project_energy_joules_total))"), 2.0);
    assert_eq!(sum("aimeter_metrics_hidden{of=\"jobs\"}"), 2.0);
    assert_eq!(sum("aimeter_metrics_hidden{of=\"projects\"}"), 3.0);
    assert_eq!(sum("aimeter_metrics_hidden{of=\"users\"}"), 0.0);
    metrics(&daemon).check_with_promtool();

    // A wider limit is taken up by a reload, and nothing is lost on the way.
    configure(&rig, "[sensors]\nperiod = \"100ms\"\n");
    let pid = rustix::process::Pid::from_child(&daemon.child);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    daemon.wait_for("configuration taken up");
    let page = metrics(&daemon);
    assert_eq!(page.of("aimeter_job_running", &[]).count(), 4);
    let total = page.sum("aimeter_job_energy_joules_total", &[]);
    assert!((total - ledger).abs() < HALF_A_MICROJOULE, "{total}, {ledger}");
}
