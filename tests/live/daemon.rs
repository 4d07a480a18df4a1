// SPDX-License-Identifier: Apache-2.0
//! The real binary with a feed: what its pages, records and ledger say, and a restart
//! after which the feed is gone.

use std::time::Duration;

use nvml_standin::Gpu;
use powercap_standin::{PowercapTree, Trace};
use serde_json::Value;

use crate::hostile::kibibytes;
use crate::replay::{Replay, Reply};
use crate::rig::{Daemon, Rig, burn, eventually};
use crate::world::{Mood, World};

pub fn machine() -> Rig {
    let tree =
        PowercapTree::builder().package(0, Trace::constant(100)).dram(0, Trace::constant(20));
    let gpu = Gpu::numbered(0, nvml_standin::Trace::Constant { mw: 250_000 });
    Rig::new(tree, vec![gpu])
}

/// A configuration for GB with these further lines of `[grid]` and its feeds.
pub fn configure(rig: &Rig, ca: &std::path::Path, poll: &str, feeds: &str) -> String {
    let path = rig.path("aimeter.toml");
    let text = format!(
        "[sensors]\nperiod = \"200ms\"\n[carbon]\nzone = \"GB\"\n[grid]\nca = \"{}\"\n\
         poll = \"{poll}\"\n{feeds}",
        ca.display()
    );
    std::fs::write(&path, text).expect("a configuration file");
    path.to_str().expect("a path of text").to_owned()
}

fn uk(url: &reqwest::Url) -> String {
    format!("[[grid.feeds]]\nfeed = \"uk-carbon-intensity\"\nurl = \"{url}\"\n")
}

/// A daemon whose configuration says whether feeds are asked.
pub fn daemon(rig: &Rig, config: &str) -> Daemon {
    rig.daemon_with(&["--config", config], |command| {
        command.env_remove("AIMETER_POLL");
    })
}

/// The value of the line of a page that begins so.
pub fn value(page: &str, series: &str) -> Option<f64> {
    let line = page.lines().find(|line| line.starts_with(series))?;
    line.rsplit(' ').next()?.parse().ok()
}

pub fn metric(daemon: &Daemon, series: &str) -> Option<f64> {
    value(&daemon.get("/metrics"), series)
}

fn live(quality: &str) -> String {
    format!(
        "aimeter_grid_intensity_grams_per_kwh{{grid_zone=\"GB\",\
         source=\"uk-carbon-intensity\",signal=\"average\",quality=\"{quality}\"}}"
    )
}

const AGE: &str = "aimeter_grid_intensity_age_seconds{grid_zone=\"GB\"}";

fn facts(rig: &Rig) -> i64 {
    let sql = "SELECT count(*) FROM intensity WHERE kind <> 'table'";
    rig.ledger().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn live_figures_reach_the_page_the_record_and_the_ledger_and_outlive_a_kill() {
    let world = World::now();
    world.mood("uk", Mood::Says(164));
    let rig = machine();
    let config = configure(&rig, &world.replay.ca(), "auto", &uk(&world.replay.url("/uk")));
    let running = daemon(&rig, &config);
    eventually("a live figure", || {
        metric(&running, &live("forecast")).filter(|grams| *grams == 164.0)
    });
    let page = running.get("/metrics");
    assert!(value(&page, AGE).is_some_and(|age| (0.0..1_900.0).contains(&age)), "{page}");
    assert_eq!(
        value(&page, "aimeter_grid_feed_up{feed=\"uk-carbon-intensity\"}"),
        Some(1.0),
        "{page}"
    );
    // About now and its forecast.
    let requests = "aimeter_grid_feed_requests_total{feed=\"uk-carbon-intensity\",result=\"ok\"}";
    eventually("the forecast", || metric(&running, requests).filter(|count| *count == 2.0));

    let run = rig.run(&["--gpus", "0"], &[burn().to_str().unwrap(), "--sleep", "1s"]);
    let page = running.get("/metrics");
    let id = run.record["job"]["id"].as_str().unwrap();
    let series = format!("aimeter_job_energy_joules_total{{job_id=\"{id}\"");
    let energy: f64 = page
        .lines()
        .filter(|line| line.starts_with(&series))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    let grams = value(&page, &format!("aimeter_job_emissions_grams_total{{job_id=\"{id}\""));
    let expected = energy / 3.6e6 * 164.0;
    let grams = grams.unwrap();
    assert!(energy > 200.0 && (grams - expected).abs() < expected * 1e-9, "{grams} {expected}");

    eventually("facts in the ledger", || (facts(&rig) > 50).then_some(()));
    println!("RssAnon {} KiB with a live feed", kibibytes(&running, "RssAnon"));
    running.kill();
    world.mood("uk", Mood::Refuses(503, vec![]));
    let asked = world.asked("uk");
    let known = facts(&rig);
    let restarted = daemon(&rig, &config);
    let page = restarted.get("/metrics");
    assert_eq!(value(&page, &live("forecast")), Some(164.0), "{page}");
    assert!(value(&page, AGE).is_some_and(|age| (0.0..1_900.0).contains(&age)), "{page}");
    // A figure was fresh: nobody was asked, and nothing is told twice.
    assert_eq!(world.asked("uk"), asked);
    assert!(restarted.terminate().success());
    assert_eq!(facts(&rig), known);
}

/// Joules and grams so far of the only job of a page.
fn sums(page: &str) -> Option<(f64, f64)> {
    let lines = page.lines().filter(|line| line.starts_with("aimeter_job_energy_joules_total{"));
    let joules: f64 = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
    Some((joules, value(page, "aimeter_job_emissions_grams_total{")?))
}

#[test]
fn the_live_counter_follows_the_figure_of_now_and_never_falls() {
    let rig = machine();
    let (from, turn) = (aimeter::clock::wall(), aimeter::clock::wall() + Duration::from_secs(6));
    let day = Duration::from_secs(86_400);
    let file = rig.path("figures.csv");
    let text =
        format!("from,to,grams_per_kwh\n{},{turn},900\n{turn},{},100\n", from - day, from + day);
    std::fs::write(&file, text).unwrap();
    let feed =
        format!("[[grid.feeds]]\nfeed = \"file\"\nzone = \"GB\"\npath = \"{}\"\n", file.display());
    let config = configure(&rig, &rig.path("no-ca.pem"), "auto", &feed);
    let daemon = daemon(&rig, &config);
    let now = "aimeter_grid_intensity_grams_per_kwh{grid_zone=\"GB\",source=\"file\"";
    eventually("the file's figure", || metric(&daemon, now));
    let stop = rig.path("stop");
    let burn = burn();
    let command = [burn.to_str().unwrap(), "--until-file", stop.to_str().unwrap()];
    let job = rig.start(&["--gpus", "0"], &command);
    let (mut last, mut seen) = ((0.0, 0.0), Vec::new());
    eventually("increments after the turn", || {
        let page = daemon.get("/metrics");
        let (joules, grams) = sums(&page)?;
        assert!(joules >= last.0 && grams >= last.1, "{last:?} -> {joules} J, {grams} g");
        if value(&page, now) == Some(900.0) {
            let expected = joules / 3.6e6 * 900.0;
            assert!((grams - expected).abs() <= expected * 1e-9, "{joules} J, {grams} g");
        } else if joules > last.0 {
            seen.push((joules, grams));
        }
        last = (joules, grams);
        (seen.len() >= 3).then_some(())
    });
    let ((e1, g1), (e2, g2)) = (seen[1], seen[2]);
    let slope = (g2 - g1) / (e2 - e1) * 3.6e6;
    assert!((slope - 100.0).abs() < 1e-6, "{slope} g/kWh after the turn");
    std::fs::write(&stop, "").unwrap();
    let record = job.finish().record;
    // Each interval at its own figure, as far as the job ran on both sides.
    let parts = sources(&record);
    assert!(!parts.is_empty() && parts.iter().all(|source| *source == "file"), "{parts:?}");
}

#[test]
fn a_reload_takes_up_a_feed() {
    let world = World::now();
    let rig = machine();
    let config = configure(&rig, &world.replay.ca(), "off", &uk(&world.replay.url("/uk")));
    let daemon = daemon(&rig, &config);
    let table = "aimeter_grid_intensity_grams_per_kwh{grid_zone=\"GB\",source=\"table:";
    eventually("the table's figure", || metric(&daemon, table));
    configure(&rig, &world.replay.ca(), "auto", &uk(&world.replay.url("/uk")));
    let pid = rustix::process::Pid::from_child(&daemon.child);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    daemon.wait_for("configuration taken up");
    eventually("a live figure", || metric(&daemon, &live("forecast")));
}

fn sources(record: &Value) -> Vec<&str> {
    let parts = record["emissions"]["intensity"]["parts"].as_array().expect("parts");
    parts.iter().map(|part| part["source"].as_str().unwrap()).collect()
}

#[test]
fn a_job_without_a_daemon_has_the_live_figure_that_came_while_it_ran() {
    let world = World::now();
    world.mood("uk", Mood::Says(164));
    let rig = machine();
    let config = configure(&rig, &world.replay.ca(), "auto", &uk(&world.replay.url("/uk")));
    let stop = rig.path("stop");
    let command = [burn().to_str().unwrap().to_owned(), "--until-file".into()];
    let mut command: Vec<&str> = command.iter().map(String::as_str).collect();
    command.push(stop.to_str().unwrap());
    let job = rig.start_with(&["--standalone", "--config", &config], &command, |run| {
        run.env_remove("AIMETER_POLL");
    });
    // The request for the forecast comes when the figure of now is at hand.
    eventually("two requests", || (world.asked("uk") >= 2).then_some(()));
    std::fs::write(&stop, "").unwrap();
    let run = job.finish();
    assert_eq!(sources(&run.record), ["uk-carbon-intensity"], "{}", run.stderr);
}

#[test]
fn a_feed_that_never_answers_keeps_no_job_and_leaves_the_table() {
    let silent = Replay::tls(|_| Reply::Silence);
    let rig = machine();
    let config = configure(&rig, &silent.ca(), "auto", &uk(&silent.url("/uk")));
    let run = rig
        .start_with(&["--standalone", "--config", &config], &["true"], |run| {
            run.env_remove("AIMETER_POLL");
        })
        .finish();
    assert!(sources(&run.record)[0].starts_with("table:"), "{}", run.record);
    assert!(run.output.status.success());
}
