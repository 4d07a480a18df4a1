// SPDX-License-Identifier: Apache-2.0
//! The real daemon with a file that another program writes: a forecast while the job
//! runs, what was measured afterwards.

use aimeter::clock;
use jiff::SignedDuration;
use nvml_standin::Gpu;
use powercap_standin::{PowercapTree, Trace};
use serde_json::Value;

use crate::replay::{Replay, Reply};
use crate::rig::{Daemon, Rig, eventually};

fn machine() -> Rig {
    let tree =
        PowercapTree::builder().package(0, Trace::constant(100)).dram(0, Trace::constant(20));
    let gpu = Gpu::numbered(0, nvml_standin::Trace::Constant { mw: 250_000 });
    Rig::new(tree, vec![gpu])
}

/// A file with a forecast of 100 g/kWh for two hours around now, as a feed for GB.
fn forecast(rig: &Rig) -> String {
    let path = rig.path("forecast.csv");
    let hour = SignedDuration::from_hours(1);
    let (from, to) = (clock::wall() - hour, clock::wall() + hour);
    let text = format!("from,to,grams_per_kwh,kind\n{from},{to},100,forecast\n");
    std::fs::write(&path, text).expect("the feed's file");
    format!("[[grid.feeds]]\nfeed = \"file\"\nzone = \"GB\"\npath = \"{}\"\n", path.display())
}

/// A feed that has measured 90 g/kWh until now.
fn measured() -> Replay {
    let (from, to) = (clock::wall() - SignedDuration::from_hours(3), clock::wall());
    let slot =
        format!(r#"{{"from":"{from}","to":"{to}","intensity":{{"forecast":100,"actual":90}}}}"#);
    Replay::tls(move |_| Reply::json(format!(r#"{{"data":[{slot}]}}"#)))
}

/// A configuration for GB with these lines of `[grid]`.
fn configure(rig: &Rig, grid: &str) -> String {
    let config = rig.path("aimeter.toml");
    let text = format!(
        "[sensors]\nperiod = \"200ms\"\n[carbon]\nzone = \"GB\"\npue = 1.5\n[grid]\n{grid}"
    );
    std::fs::write(&config, text).expect("a configuration file");
    config.to_str().expect("a path of text").to_owned()
}

/// The value of the series of a page that begins so.
fn metric(daemon: &Daemon, series: &str) -> Option<f64> {
    let page = daemon.get("/metrics");
    let line = page.lines().find(|line| line.starts_with(series))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn shown(rig: &Rig, job: &str, json: bool) -> String {
    let mut show = rig.aimeter("show");
    show.arg(job).args(json.then_some("--json"));
    let output = show.output().expect("the binary");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Within a microgram, to which what was told is kept.
fn same(one: f64, other: f64) -> bool {
    (one - other).abs() < 2e-6
}

#[test]
fn a_forecast_is_replaced_by_what_was_measured_in_the_view_and_not_in_the_counter() {
    let rig = machine();
    let config = configure(&rig, &forecast(&rig));
    let daemon = rig.daemon_with(&["--config", &config], |command| {
        command.env_remove("AIMETER_POLL");
    });
    eventually("the forecast", || {
        metric(&daemon, "aimeter_grid_intensity_grams_per_kwh{").filter(|grams| *grams == 100.0)
    });
    let run = rig.run(&["--gpus", "0", "--project", "vision"], &["sleep", "1"]);
    let first = &run.record["emissions"];
    let told = first["operational_grams"].as_f64().unwrap();
    assert!(told > 0.0);
    assert_eq!(first["intensity"]["settled"], false);
    assert_eq!(first["unsettled_grams"], first["operational_grams"]);
    assert_eq!(first["first_told"], Value::Null);
    assert_eq!(first["intensity"]["parts"][0]["kind"], "forecast");
    let id = run.record["job"]["id"].as_str().unwrap();
    let series = |name: &str| format!("aimeter_job_emissions_{name}{{job_id=\"{id}\"");
    let of_vision = |name: &str| format!("aimeter_project_emissions_{name}{{project=\"vision\"}}");
    let view = |daemon: &Daemon, unsettled: f64, settled: f64| {
        for name in [&series as &dyn Fn(&str) -> String, &of_vision] {
            eventually("the settled view", || {
                let open = metric(daemon, &name("unsettled_grams"))?;
                let closed = metric(daemon, &name("settled_grams"))?;
                (same(open, unsettled) && same(closed, settled)).then_some(())
            });
        }
    };
    view(&daemon, told, 0.0);
    assert!(same(metric(&daemon, &series("grams_total")).unwrap(), told));

    // Measured up to now, when the job is over.
    let feed = measured();
    let (ca, url) = (feed.ca(), feed.url("/uk"));
    configure(
        &rig,
        &format!(
            "ca = \"{}\"\n[[grid.feeds]]\nfeed = \"uk-carbon-intensity\"\nurl = \"{url}\"\n",
            ca.display()
        ),
    );
    let pid = rustix::process::Pid::from_child(&daemon.child);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    daemon.wait_for("configuration taken up");
    view(&daemon, 0.0, told * 0.9);
    // The counter is what was known when the energy was used, and never falls.
    assert!(same(metric(&daemon, &series("grams_total")).unwrap(), told));

    let check = |shown: &str, text: &str| {
        let record: Value = serde_json::from_str(shown).unwrap();
        let now = &record["emissions"];
        assert!(same(now["operational_grams"].as_f64().unwrap(), told * 0.9), "{now}");
        assert_eq!(now["intensity"]["settled"], true);
        assert_eq!(now["unsettled_grams"], 0.0);
        assert!(same(now["first_told"]["operational_grams"].as_f64().unwrap(), told), "{now}");
        assert_eq!(now["first_told"]["parts"][0]["kind"], "forecast");
        assert_eq!(record["energy"]["total_joules"], run.record["energy"]["total_joules"]);
        assert!(text.contains("(forecast), now "), "{text}");
        assert!(text.contains("(actual), -10.0 %"), "{text}");
        assert!(text.contains("file, forecast"), "{text}");
        assert!(text.contains("uk-carbon-intensity, actual"), "{text}");
    };
    check(&shown(&rig, id, true), &shown(&rig, id, false));
    assert!(daemon.terminate().success());
    // The same from the ledger's file.
    check(&shown(&rig, id, true), &shown(&rig, id, false));
}

#[test]
fn a_job_that_nobody_asked_about_is_told_all_the_same() {
    let rig = machine();
    let config = configure(&rig, &forecast(&rig));
    let daemon = rig.daemon_with(&["--config", &config], |command| {
        command.env_remove("AIMETER_POLL");
    });
    eventually("the forecast", || {
        metric(&daemon, "aimeter_grid_intensity_grams_per_kwh{").filter(|grams| *grams == 100.0)
    });
    let mut quiet = rig.aimeter("run");
    quiet.args(["--quiet", "--gpus", "0", "--", "sleep", "1"]);
    assert!(quiet.status().unwrap().success());
    let told = eventually("what was told", || {
        let sql = "SELECT micrograms, mean_milligrams_per_kwh FROM told";
        rig.ledger()
            .query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .ok()
    });
    assert!(told.0 > 0);
    assert_eq!(told.1, 100_000);
    assert!(daemon.terminate().success());
}
