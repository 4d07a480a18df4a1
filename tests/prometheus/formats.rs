// SPDX-License-Identifier: Apache-2.0
//! What a real Prometheus makes of the page's form: it asks for OpenMetrics and gets
//! it, over TLS with a password too; and a bounded page still adds up in its queries.

use serde_json::Value;

use crate::rig::{burn, eventually};
use crate::server::Prometheus;
use crate::{HALF_A_MICROJOULE, booked, complete, configure, machine, metrics};

#[test]
fn prometheus_gets_open_metrics_over_tls_with_a_password() {
    let rig = machine();
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(rig.path("cert.pem"), certificate.cert.pem()).unwrap();
    std::fs::write(rig.path("key.pem"), certificate.signing_key.serialize_pem()).unwrap();
    let hash = bcrypt::hash("right", 4).unwrap();
    let web = format!(
        "tls_server_config: {{cert_file: cert.pem, key_file: key.pem}}\n\
         basic_auth_users: {{prometheus: {hash}}}\n"
    );
    std::fs::write(rig.path("web.yml"), web).unwrap();
    let web = rig.path("web.yml").display().to_string();
    let daemon = rig.daemon(&["--period", "100ms", "--web.config.file", &web]);
    let target = daemon.address.replace("127.0.0.1", "localhost");
    let job = |password: &str| {
        format!(
            "    scheme: https\n    tls_config: {{ca_file: '{}'}}\n    \
             basic_auth: {{username: prometheus, password: {password}}}\n",
            rig.path("cert.pem").display()
        )
    };
    let health = |server: &Prometheus| {
        let targets = server.ask("targets", &[("state", "active")]);
        let target = &targets["activeTargets"][0];
        let scraped = target["health"].as_str().is_some_and(|health| health != "unknown");
        let text = |field: &str| target[field].as_str().unwrap_or_default().to_owned();
        scraped.then(|| (text("health"), text("lastError")))
    };
    {
        let server = Prometheus::start_with(rig.folder.path(), &target, &job("wrong"));
        let (health, error) = eventually("a refused scrape", || health(&server));
        assert_eq!(health, "down");
        assert!(error.contains("401"), "{error}");
    }
    let server = Prometheus::start_with(rig.folder.path(), &target, &job("right"));
    let scraped = eventually("a scrape", || health(&server));
    assert_eq!(scraped, ("up".into(), String::new()));

    // Units are told in OpenMetrics only, and info is a type of its own there.
    let metadata = |metric: &str| server.ask("metadata", &[("metric", metric)]);
    let energy = metadata("aimeter_domain_energy_joules");
    let energy = &energy["aimeter_domain_energy_joules"][0];
    assert_eq!((&energy["type"], &energy["unit"]), (&"counter".into(), &"joules".into()));
    assert_eq!(metadata("aimeter_build")["aimeter_build"][0]["type"], "info");
    server.next_scrape();
    let ticks = server.last("aimeter_ticks_total");
    assert!(ticks.len() == 1 && ticks[0].value > 0.0);
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
