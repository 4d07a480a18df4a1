// SPDX-License-Identifier: Apache-2.0
//! The JSON: figures, what is not told, and bounds.

use serde_json::{Value, json};

use crate::rig::{Daemon, burn, error, eventually};
use crate::world::{Listener, WATTS, daemon, get, json, machine, request, with_a_day};

/// Every place that answers, for a job of that id.
fn places(id: &str) -> Vec<String> {
    let fixed = [
        "/",
        "/static/page.css",
        "/static/index.js",
        "/static/job.js",
        "/static/live.js",
        "/static/charts.js",
        "/static/text.js",
        "/static/icon.svg",
        "/static/uplot.js",
        "/static/uplot.css",
        "/api/v1/now",
        "/api/v1/history",
        "/api/v1/intensity",
        "/api/v1/jobs",
    ];
    let of_job = ["/jobs/ID", "/api/v1/jobs/ID", "/api/v1/jobs/ID/record"];
    let of_job = of_job.map(|path| path.replace("ID", id));
    fixed.into_iter().map(str::to_owned).chain(of_job).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number, not {value}"))
}

/// A record without when the yearly mean was looked up, which is at each asking, and the
/// moment to which it was used, in which the ledger and the engine differ by a rounding.
fn still(mut record: Value) -> Value {
    for part in record["emissions"]["intensity"]["parts"].as_array_mut().expect("parts") {
        part["fetched_at"] = Value::Null;
        part["to"] = Value::Null;
    }
    record
}

fn sum(values: &[Value], field: &str) -> f64 {
    values.iter().map(|value| number(&value[field])).sum()
}

/// The history, once it has so many slots.
fn slots(daemon: &Daemon, count: usize) -> Value {
    eventually("slots", || {
        let history = json(daemon, "/api/v1/history");
        (history["slots"].as_array()?.len() >= count).then_some(history)
    })
}

#[test]
fn the_machine_now_and_in_the_last_hour_is_as_it_truly_is() {
    let rig = machine();
    let config = with_a_day(&rig, |step| if step == 0 { 164 } else { 200 });
    let daemon = daemon(&rig, &["--config", &config]);
    let now = eventually("all of it", || {
        let now = json(&daemon, "/api/v1/now");
        let known = now["unattributed_watts"].is_number();
        let all = now["domains"].as_array()?.iter().all(|domain| domain["watts"].is_number());
        let live = now["intensity"]["grams_per_kwh"] == 164.0;
        (known && all && live && now["domains"].as_array()?.len() == 3).then_some(now)
    });
    assert_eq!(now["trouble"], Value::Null);
    assert_eq!(now["intensity"]["zone"], "GB");
    // Told before its half hour was over.
    assert_eq!(now["intensity"]["quality"], "provisional");
    assert_eq!(now["jobs"], json!([]));
    let per_hour = number(&now["watts"]) * 0.164;
    assert!(error(number(&now["grams_per_hour"]), per_hour) < 1e-3, "{now:#}");

    let history = slots(&daemon, 2);
    for (id, watts) in ["rapl:package-0", "rapl:package-0/dram", "nvml:GPU-"].iter().zip(WATTS) {
        let lines = history["domains"].as_array().unwrap();
        let line = lines.iter().find(|line| {
            let name = line["id"].as_str().unwrap();
            name == *id || id.ends_with('-') && name.starts_with(id)
        });
        let line = line.unwrap_or_else(|| panic!("{id} in {history:#}"));
        assert_eq!(line["counted"], true);
        let last = line["watts"].as_array().unwrap().last().unwrap();
        // A slot's two ends are read when they are read; its power is of that time.
        assert!(error(number(last), watts) < 0.03, "{id}: {last}");
    }
    // Nobody has run anything.
    let all: f64 = WATTS.iter().sum();
    let free = history["unattributed_watts"].as_array().unwrap().last().unwrap();
    assert!(error(number(free), all) < 0.03, "{free}");

    let day = json(&daemon, "/api/v1/intensity");
    let stretches = day["stretches"].as_array().unwrap();
    assert_eq!(day["now"], now["intensity"]);
    assert!(stretches.iter().any(|one| one["grams_per_kwh"] == 164.0), "{day:#}");
    assert!(stretches.iter().any(|one| one["quality"] == "forecast"), "{day:#}");
}

#[test]
fn a_jobs_figures_are_the_ledgers_and_its_command_line_is_nowhere() {
    let rig = machine();
    let running = rig.daemon(&["--period", "200ms"]);
    slots(&running, 1);
    let stop = rig.path("stop");
    let until = stop.to_str().unwrap();
    let args = ["--gpus", "all", "--name", "train", "--project", "p1", "--label", "k=hush-label"];
    let burn = burn();
    let command = [burn.to_str().unwrap(), "--cpu", "20ms", "--until-file", until];
    let job = rig.start(&args, &command);
    let shown = eventually("a running job", || {
        let now = json(&running, "/api/v1/now");
        let job = now["jobs"].get(0)?.clone();
        (job["state"] == "running" && number(&job["joules"]) > 0.0).then_some(job)
    });
    assert_eq!((&shown["name"], &shown["project"]), (&json!("train"), &json!("p1")));
    let id = shown["id"].as_str().unwrap().to_owned();
    eventually("power of the job", || {
        let job = json(&running, "/api/v1/now")["jobs"][0].clone();
        (number(&job["watts"]) > 240.0).then_some(())
    });
    eventually("a curve of two slots", || {
        let one = json(&running, &format!("/api/v1/jobs/{id}"));
        assert_eq!(one["job"]["state"], "running");
        (one["power"].as_array()?.len() >= 3).then_some(())
    });
    std::fs::write(&stop, "").unwrap();
    let run = job.finish();

    let told = |daemon: &Daemon| {
        eventually("the finished job", || {
            let one = json(daemon, &format!("/api/v1/jobs/{id}"));
            (one["job"]["state"] == "finished").then_some(one)
        })
    };
    let one = told(&running);
    let mut record = still(run.record.clone());
    record["job"]["command"] = json!([]);
    record["job"]["labels"] = json!({});
    assert_eq!(still(one["record"].clone()), record);
    assert_eq!(one["job"]["joules"], record["energy"]["total_joules"]);
    assert_eq!(one["job"]["emissions_grams"], record["emissions"]["total_grams"]);
    assert_eq!(one["job"]["duration_seconds"], record["job"]["duration_seconds"]);

    // The area under the curve is the job's energy.
    eventually("the whole curve", || {
        let power = json(&running, &format!("/api/v1/jobs/{id}"))["power"].clone();
        let area: f64 = power
            .as_array()?
            .iter()
            .map(|one| number(&one["watts"]) * (number(&one["to"]) - number(&one["from"])))
            .sum();
        (error(area, number(&record["energy"]["total_joules"])) < 1e-3).then_some(())
    });

    // Its end is told as soon as it is known, wherever the job stands.
    let list = json(&running, "/api/v1/jobs");
    for job in [&json(&running, "/api/v1/now")["jobs"][0], &list["jobs"][0]] {
        // The record's is to the microsecond.
        let truth = number(&record["job"]["duration_seconds"]);
        assert!((number(&job["duration_seconds"]) - truth).abs() < 1e-6, "{job:#}");
        assert_eq!(job["ended_at"], record["job"]["ended_at"]);
    }
    assert_eq!(list["jobs"][0]["id"], id.as_str());
    assert_eq!(list["jobs"][0]["joules"], one["job"]["joules"]);
    let booked: f64 = rig
        .ledger()
        .query_row("SELECT sum(energy_uj) FROM line JOIN job ON job.key = line.job", [], |row| {
            row.get::<_, i64>(0)
        })
        .map(|microjoules| microjoules as f64 / 1e6)
        .unwrap();
    assert!((number(&list["jobs"][0]["joules"]) - booked).abs() < 1e-6, "{booked}");

    let file = get(&running, &format!("/api/v1/jobs/{id}/record"));
    assert_eq!(still(file.json()), record);
    let disposition = format!("attachment; filename=\"aimeter-{id}.json\"");
    assert_eq!(file.header("content-disposition"), Some(disposition.as_str()));
    for place in places(&id) {
        let answer = get(&running, &place);
        assert_eq!(answer.status, 200, "{place}");
        let hush = ["hush-label", "--until-file", until];
        assert!(!hush.iter().any(|word| answer.body.contains(word)), "{place}: {}", answer.body);
    }

    // From the ledger, by a daemon that never saw it run.
    running.kill();
    let later = rig.daemon_with(&[], |command| {
        command.env("AIMETER_KEEP_FINISHED", "0s");
    });
    let again = told(&later);
    let kept = still(again["record"].clone());
    let same = |field: &str| assert_eq!(kept[field], record[field], "{field}");
    ["job", "energy", "emissions"].into_iter().for_each(same);
    let list = json(&later, "/api/v1/jobs");
    assert_eq!(list["trouble"], Value::Null);
    assert_eq!(list["jobs"][0]["joules"], record["energy"]["total_joules"]);
    assert_eq!(list["jobs"][0]["emissions_grams"], record["emissions"]["total_grams"]);
    assert!(
        (sum(again["record"]["energy"]["domains"].as_array().unwrap(), "joules")
            - number(&record["energy"]["total_joules"]))
        .abs()
            < 1e-6
    );
}

#[test]
fn nothing_is_changed_over_http_and_a_browser_is_held_to_what_was_sent() {
    let rig = machine();
    let daemon = rig.daemon(&[]);
    let none = "no-such-job";
    for place in places(none) {
        let answer = get(&daemon, &place);
        let expected = if place.starts_with("/api/v1/jobs/") { 404 } else { 200 };
        assert_eq!(answer.status, expected, "{place}");
        let policy = answer.header("content-security-policy").unwrap();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self' data:",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "form-action 'none'",
        ] {
            assert!(policy.split("; ").any(|found| found == rule), "{rule} in {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let refused = request(&daemon.address, method, &place, "Content-Length: 0\r\n");
            assert_eq!(refused.status, 405, "{method} {place}");
        }
    }
    for nowhere in [
        "/api",
        "/api/v1",
        "/api/v2/now",
        "/static",
        "/static/",
        "/static/../Cargo.toml",
        "/jobs/",
        "/jobs/a/b",
        "/api/v1/jobs/..%2f..%2fetc",
        "/api/v1/jobs/%00",
        "/api/v1/jobs/a%20b/record",
    ] {
        assert_eq!(get(&daemon, nowhere).status, 404, "{nowhere}");
    }
    // In the pages themselves nothing is in place that the policy would refuse.
    for page in ["/", "/jobs/x"] {
        let body = get(&daemon, page).body;
        for word in ["style=", " onload=", " onclick=", "<style", "javascript:", "http:", "https:"]
        {
            assert!(!body.contains(word), "{word} in {page}");
        }
        assert_eq!(body.matches("<script").count(), body.matches("<script src=\"/static/").count());
    }
}

#[test]
fn a_file_that_has_not_changed_is_not_sent_again() {
    let rig = machine();
    let daemon = rig.daemon(&[]);
    let first = get(&daemon, "/static/page.css");
    let tag = first.header("etag").expect("a tag");
    assert!(tag.starts_with(&format!("\"{}-", env!("CARGO_PKG_VERSION"))), "{tag}");
    assert_eq!(first.header("cache-control"), Some("no-cache"));
    let ask = |tags: &str| {
        request(&daemon.address, "GET", "/static/page.css", &format!("If-None-Match: {tags}\r\n"))
    };
    let again = ask(&format!("\"other\", {tag}"));
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    assert_eq!(again.header("etag"), Some(tag));
    assert_eq!(ask("\"0.0.9-0\"").status, 200);
    assert_eq!(get(&daemon, "/api/v1/now").header("cache-control"), Some("no-store"));
}

#[test]
fn some_listen_the_rest_is_told_to_ask_and_scrapes_go_on() {
    let rig = machine();
    let daemon = rig.daemon(&["--period", "200ms"]);
    let mut listeners: Vec<Listener> = (0..8)
        .map(|_| {
            let (status, listener) = Listener::join(&daemon.address);
            assert_eq!(status, 200);
            listener
        })
        .collect();
    let listener = &mut listeners[0];
    assert_eq!(listener.next("retry: "), "2000");
    let first = listener.event("now");
    let second = listener.event("now");
    assert!(first["at"].as_str().unwrap() < second["at"].as_str().unwrap());
    assert_eq!(second["release"], env!("CARGO_PKG_VERSION"));
    let slot = listener.event("slot");
    assert_eq!(slot["slots"].as_array().unwrap().len(), 1);
    assert_eq!(slot["domains"].as_array().unwrap().len(), 3);

    let refused = get(&daemon, "/api/v1/events");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("30")));
    assert!(daemon.get("/metrics").contains("aimeter_ticks_total"));
    assert_eq!(get(&daemon, "/healthz").status, 200);
    // Their places are free when they have gone.
    drop(listeners);
    eventually("a free place", || {
        let (status, _) = Listener::join(&daemon.address);
        (status == 200).then_some(())
    });
    // A stop waits for nobody who listens.
    let (status, _held) = Listener::join(&daemon.address);
    assert_eq!(status, 200);
    assert!(daemon.terminate().success());
}

#[test]
fn with_passwords_every_part_of_the_page_asks_for_one() {
    let rig = machine();
    let file = rig.path("web.yml");
    let hash = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";
    std::fs::write(&file, format!("basic_auth_users:\n  reader: {hash}\n")).unwrap();
    let daemon = rig.daemon(&["--web-config-file", file.to_str().unwrap()]);
    for place in places("x").iter().map(String::as_str).chain(["/api/v1/events", "/nowhere"]) {
        assert_eq!(get(&daemon, place).status, 401, "{place}");
    }
}
