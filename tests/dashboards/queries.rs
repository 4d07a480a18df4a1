// SPDX-License-Identifier: Apache-2.0
//! Every query of every dashboard on a real Prometheus that scraped real daemons.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::{Dashboard, list, text};
use crate::rig::eventually;
use crate::server::Prometheus;
use crate::site::{Job, Powers, Site};

const FINISHED: Job = Job { name: "warm-up", project: "vision", gpus: "0" };
const TRAINS: Job = Job { name: "train-resnet", project: "vision", gpus: "0" };
const IDLES: Job = Job { name: "notebook", project: "speech", gpus: "1" };
const NO_PROJECT: Job = Job { name: "try-out", project: "", gpus: "0" };

/// What a reader has chosen: a regular expression for each variable.
type Choices = BTreeMap<String, String>;

/// What Grafana does before it asks.
fn filled(expression: &str, choices: &Choices) -> String {
    let mut text = expression.to_owned();
    // Four scrapes, as Grafana takes it, and then some on a busy machine.
    for (name, value) in [("__rate_interval", "15s"), ("__interval", "1s"), ("__range", "5m")] {
        text = text.replace(&format!("${name}"), value);
    }
    for (name, value) in choices {
        text = text.replace(&format!("\"${name}\""), &format!("\"{value}\""));
    }
    assert!(!text.contains('$'), "{text}");
    text
}

/// The values of a variable, by its own `label_values(…)`.
fn values(server: &Prometheus, variable: &Value, choices: &Choices) -> Vec<String> {
    let query = text(&variable["query"]["query"]);
    let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
    let (series, label) = inner.and_then(|inner| inner.rsplit_once(", ")).expect("label_values");
    let found =
        server.ask(&format!("label/{label}/values"), &[("match[]", &filled(series, choices))]);
    list(&found).iter().map(|value| text(value).to_owned()).collect()
}

/// All choices of a dashboard: with "All" where that can be chosen, else with every
/// value; and what there is to choose from.
fn choose(
    server: &Prometheus,
    dashboard: &Dashboard,
    all: bool,
    job_id: &str,
) -> (Choices, BTreeMap<String, Vec<String>>) {
    let (mut choices, mut offered) = (Choices::new(), BTreeMap::new());
    for variable in dashboard.variables().iter().filter(|one| one["type"] == "query") {
        let name = text(&variable["name"]).to_owned();
        let values = values(server, variable, &choices);
        assert!(!values.is_empty(), "{}: nothing to choose for {name}", dashboard.name);
        let choice = match &variable["allValue"] {
            Value::String(everything) if all => everything.clone(),
            Value::String(_) => format!("({})", values.join("|")),
            _ => job_id.to_owned(),
        };
        choices.insert(name.clone(), choice);
        offered.insert(name, values);
    }
    (choices, offered)
}

fn numbers<'a>(series: &'a Value, samples: &str) -> impl Iterator<Item = f64> + use<'a> {
    let samples = match &series[samples] {
        Value::Array(list) if list.first().is_some_and(Value::is_array) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    samples.iter().map(|sample| text(&sample[1]).parse().expect("a number"))
}

/// What a query gives: each series' labels and its finite values.
fn ask(server: &Prometheus, target: &Value, choices: &Choices) -> Vec<(Value, Vec<f64>)> {
    let expression = filled(text(&target["expr"]), choices);
    let (answer, samples) = if target["instant"] == true {
        (server.ask("query", &[("query", &expression)]), "value")
    } else {
        // A scalar: the moment of the answer, and its value.
        let now: f64 = text(&server.query("time()")[1]).parse().expect("a time");
        let (start, end) = ((now - 30.0).to_string(), now.to_string());
        let parameters =
            [("query", expression.as_str()), ("start", &start), ("end", &end), ("step", "1")];
        (server.ask("query_range", &parameters), "values")
    };
    let series = list(&answer["result"]).iter().map(|series| {
        let finite = numbers(series, samples).filter(|value| value.is_finite()).collect();
        (series["metric"].clone(), finite)
    });
    series.filter(|(_, values): &(Value, Vec<f64>)| !values.is_empty()).collect()
}

#[test]
fn every_query_finds_data_on_a_real_prometheus() {
    let site = Site::start("1s", Powers::ordinary());
    let finished = site.alpha.start_job(&FINISHED);
    let trains = site.alpha.start_job(&TRAINS);
    let mut idles = site.alpha.start_job_of_nobody(&IDLES);
    let no_project = site.beta.start_job(&NO_PROJECT);
    site.wait_for("all jobs", "count(aimeter_job_power_watts > 0) == 4");
    site.alpha.stop(&FINISHED);
    let finished = finished.finish();
    assert!(finished.output.status.success(), "{}", finished.stderr);
    site.wait_for("its end", "aimeter_job_end_timestamp_seconds");
    // So that there are rates, of the counters of the last to come too.
    site.wait_for(
        "some scrapes",
        "min(count_over_time(aimeter_project_energy_joules_total[15s])) >= 4",
    );
    site.wait_for("a settlement", "count(aimeter_job_emissions_unsettled_grams) == 4");
    site.wait_for(
        "a second phase",
        &format!("count(aimeter_job_phase_energy_joules_total) == {}", 3 * 2),
    );
    site.wait_for("an idle GPU", "instance_domain:aimeter_gpu_idle_claimed_watts:max");

    let id = |name: &str| -> String {
        let found = site.server.query(&format!("aimeter_job_running{{job_name=\"{name}\"}}"));
        text(&found[0]["metric"]["job_id"]).to_owned()
    };
    let running = id(TRAINS.name);
    let mut without = Vec::new();
    for dashboard in Dashboard::all() {
        for all in [true, false] {
            let (choices, _) = choose(&site.server, &dashboard, all, &running);
            for query in dashboard.queries() {
                if ask(&site.server, query.target, &choices).is_empty() {
                    let title = &query.panel["title"];
                    without.push(format!("{} {title}: {}", dashboard.name, query.expression()));
                }
            }
            for mark in dashboard.annotations() {
                if ask(&site.server, mark, &choices).is_empty() && mark["name"] == "Job started" {
                    without.push(format!("{} {}", dashboard.name, mark["name"]));
                }
            }
        }
    }
    assert!(without.is_empty(), "without data:\n{}", without.join("\n"));

    what_there_is_to_choose(&site);
    a_finished_job_is_its_record(&site, &finished.record);
    the_figures_are_the_sites(&site);
    the_rules_work(&site);

    for job in [&TRAINS, &IDLES] {
        site.alpha.stop(job);
    }
    site.beta.stop(&NO_PROJECT);
    assert!(idles.wait().unwrap().success());
    assert!(trains.finish().output.status.success() && no_project.finish().output.status.success());
}

fn what_there_is_to_choose(site: &Site) {
    let expected: [(&str, &[&str]); 4] = [
        ("job", &["aimeter"]),
        ("instance", &["alpha", "beta"]),
        ("user", &["nobody", "root"]),
        ("project", &["speech", "vision"]),
    ];
    for dashboard in Dashboard::all() {
        let (_, offered) = choose(&site.server, &dashboard, true, "");
        for (name, values) in expected {
            if let Some(offered) = offered.get(name) {
                assert_eq!(offered, values, "{}: {name}", dashboard.name);
            }
        }
        if let Some(jobs) = offered.get("job_id") {
            assert_eq!(jobs.len(), 4, "{jobs:?}");
        }
    }
}

fn panel<'a>(dashboard: &'a Dashboard, title: &str) -> &'a Value {
    let mut found = dashboard.panels().filter(|panel| panel["title"] == title);
    found.next().unwrap_or_else(|| panic!("{} has no panel {title}", dashboard.name))
}

/// The last value of a panel's only series.
fn figure(site: &Site, dashboard: &Dashboard, title: &str, choices: &Choices) -> f64 {
    let found = ask(&site.server, &panel(dashboard, title)["targets"][0], choices);
    let [(_, values)] = &found[..] else { panic!("{title}: {found:?}") };
    *values.last().unwrap()
}

/// After its end a job's page says what its record says, and its marks are at its
/// start and end, in milliseconds.
fn a_finished_job_is_its_record(site: &Site, record: &Value) {
    let dashboards = Dashboard::all();
    let job = dashboards.iter().find(|dashboard| dashboard.name == "job").unwrap();
    let id = text(&record["job"]["id"]);
    let (choices, _) = choose(&site.server, job, true, id);
    let says = |title: &str| figure(site, job, title, &choices);
    let near = |figure: f64, truth: f64| {
        assert!((figure - truth).abs() < 1e-6 * truth, "{figure} is not {truth}");
    };
    let joules = record["energy"]["total_joules"].as_f64().unwrap();
    let grams = record["emissions"]["operational_grams"].as_f64().unwrap();
    near(says("Energy"), joules);
    // The record rounds it to a microgram.
    let made = record["emissions"]["embodied_grams"].as_f64().unwrap();
    assert!(made > 0.0 && (says("CO2e of its hardware") - made).abs() < 1e-6, "not {made}");
    // Settled figures follow the job's end by a reading of the ledger and a scrape.
    eventually("the grams of the record", || {
        ((says("CO2e") - grams).abs() < 1e-6 * grams).then_some(())
    });
    near(says("Grams per kWh"), grams / joules * 3.6e6);
    let seconds = record["job"]["duration_seconds"].as_f64().unwrap();
    // Times on the page are whole milliseconds.
    assert!((says("Duration") - seconds).abs() < 0.003, "{} is not {seconds}", says("Duration"));
    assert!((says("Mean power") / (joules / seconds) - 1.0).abs() < 0.01);

    its_phases_and_units_are_those_of_the_record(site, job, &choices, record);

    let started: jiff::Timestamp = text(&record["job"]["started_at"]).parse().unwrap();
    let marks: Vec<f64> = job
        .annotations()
        .iter()
        .map(|mark| ask(&site.server, mark, &choices).pop().expect("a mark").1[0])
        .collect();
    let started = started.as_millisecond() as f64;
    let ended = started + seconds * 1e3;
    for (mark, truth) in marks.iter().zip([started, ended]) {
        assert!((mark - truth).abs() < 3.0, "a mark at {mark}, not at {truth}");
    }
}

/// Each query of the tables of phases and of units gives what the record has, by its label.
fn its_phases_and_units_are_those_of_the_record(
    site: &Site,
    job: &Dashboard,
    choices: &Choices,
    record: &Value,
) {
    let check = |title: &str, place: usize, label: &str, truth: BTreeMap<String, f64>| {
        let target = &panel(job, title)["targets"][place];
        let found: BTreeMap<String, f64> = ask(&site.server, target, choices)
            .iter()
            .map(|(labels, values)| (text(&labels[label]).to_owned(), values[0]))
            .collect();
        assert!(found.keys().eq(truth.keys()), "{title}: {found:?} is not {truth:?}");
        for (name, truth) in truth {
            let error = (found[&name] - truth).abs();
            // The record rounds to a millionth of the unit.
            assert!(error < 1e-5 * truth + 1e-6, "{title} {name}: {} is not {truth}", found[&name]);
        }
    };
    let of = |list_name: &str, name: &str, figure: &str| -> BTreeMap<String, f64> {
        let parts = list(&record[list_name]).iter().filter(|part| !part[figure].is_null());
        let key = |part: &Value| part[name].as_str().unwrap_or("(in none)").to_owned();
        parts.map(|part| (key(part), part[figure].as_f64().unwrap())).collect()
    };
    let energy = of("phases", "name", "joules");
    assert!(energy.len() >= 3, "{energy:?}");
    check("Phases", 0, "phase", energy);
    check("Phases", 1, "phase", of("phases", "name", "grams"));
    let mut time = of("phases", "name", "seconds");
    time.remove("(in none)");
    check("Phases", 2, "phase", time);
    check("Units of work", 0, "unit", of("work", "unit", "count"));
    check("Units of work", 1, "unit", of("work", "unit", "joules_per_unit"));
    check("Units of work", 2, "unit", of("work", "unit", "grams_per_unit"));
}

/// Figures whose truth the site's set-up tells.
fn the_figures_are_the_sites(site: &Site) {
    let dashboards = Dashboard::all();
    let of = |name: &str| dashboards.iter().find(|dashboard| dashboard.name == name).unwrap();
    let says = |name: &str, title: &str| {
        let (choices, _) = choose(&site.server, of(name), true, "");
        figure(site, of(name), title, &choices)
    };
    assert_eq!(says("fleet", "Hosts"), 2.0);
    assert_eq!(says("fleet", "Jobs"), 3.0);
    assert_eq!(says("fleet", "Idle GPUs held"), 1.0);
    for title in ["Hosts not scraped", "Sources down", "Sick domains", "Ledgers failing"] {
        assert_eq!(says("health", title), 0.0, "{title}");
    }
    assert!(says("health", "Books out of balance") < 1e-5);
    assert!(says("health", "Oldest tick") < 60.0);
    // Two packages and memories of 145 W, three GPUs of 95, 255 to 620 and 187 to 410 W.
    let power = says("fleet", "Power");
    assert!((600.0..1_500.0).contains(&power), "{power} W");
    // 95 W in GB, whose intensity the feed tells, in a building of PUE 1.2.
    let idle = says("carbon", "of that by idle GPUs");
    let intensity = site.server.query("aimeter_grid_intensity_grams_per_kwh{instance='alpha'}");
    let intensity = numbers(&intensity[0], "value").next().unwrap();
    let watts = idle * 1e3 / intensity / 1.2;
    assert!(idle_watts(site).contains(&watts), "{idle} g/h is not {watts} W");
    assert!(says("carbon", "CO2e per hour") > idle);
}

/// What the recording rule said of the idle GPU, from its lowest to its highest. Each
/// is the mean of one tick, which on a busy machine may be a short one with more or
/// fewer of the counter's steps of 0.1 s; together they are the 95 W that it draws.
fn idle_watts(site: &Site) -> std::ops::RangeInclusive<f64> {
    let over = |what: &str| {
        let found = site.server.query(&format!(
            "{what}_over_time(instance_domain:aimeter_gpu_idle_claimed_watts:max[5m])"
        ));
        numbers(&found[0], "value").next().unwrap()
    };
    let mean = over("avg");
    assert!((mean / 95.0 - 1.0).abs() < 0.25, "{mean} W is not 95 W");
    // The panel's moment may lie in a tick that no evaluation of the rule has seen.
    over("min") * 0.85..=over("max") * 1.15
}

/// On the real server: every recording rule gives series, no rule fails, and the
/// alert of the idle GPU waits, alone but for the one about energy of nobody.
fn the_rules_work(site: &Site) {
    let groups = site.server.ask("rules", &[]);
    let rules = list(&groups["groups"]).iter().flat_map(|group| list(&group["rules"]));
    let mut recording = 0;
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        if rule["type"] == "recording" {
            recording += 1;
            let name = text(&rule["name"]);
            assert!(!site.server.query(name).is_empty(), "{name} gives nothing");
        }
    }
    assert_eq!(recording, crate::rules::names("recording.yml", "record").len());
    let waits = eventually("the alert", || {
        let alerts = site.server.ask("alerts", &[]);
        let alerts = list(&alerts["alerts"]).to_vec();
        alerts.iter().any(|one| one["labels"]["domain"].is_string()).then_some(alerts)
    });
    for alert in &waits {
        let labels = &alert["labels"];
        match text(&labels["alertname"]) {
            "AimeterGpuIdleWhileClaimed" => {
                assert_eq!(
                    (text(&labels["job_name"]), text(&labels["user"])),
                    ("notebook", "nobody")
                );
                let watts: f64 = text(&alert["value"]).parse().unwrap();
                assert!(idle_watts(site).contains(&watts), "{watts} W");
                let description = text(&alert["annotations"]["description"]);
                assert!(description.contains(" g CO2e an hour for nothing"), "{description}");
            }
            "AimeterUnattributedHigh" => {}
            other => panic!("{other}: {alert}"),
        }
    }
}
