// SPDX-License-Identifier: Apache-2.0
//! `aimeter grid check` and `aimeter intensity`, the real binary against the
//! replay server.

use aimeter::clock;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::case::{Case, json, text};
use crate::replay::{Replay, Reply};
use crate::world::{config, entry, half_hour, uk, world, world_at};

#[test]
fn grid_check_asks_every_feed_once_and_says_what_works() {
    let replay = Replay::tls(world());
    let plain = Replay::plain(world());
    let own = tempfile::tempdir().unwrap();
    let file = own.path().join("grid.csv");
    let lines = format!("from,to,grams_per_kwh\n{},{},55\n", half_hour(0), half_hour(2));
    std::fs::write(&file, lines).unwrap();
    let url = |path: &str| replay.url(path).to_string();
    let key = "token_environment = \"GRID_KEY\"";
    let case = Case::new(&config(
        &replay,
        &[
            entry("rte", &url("/rte"), ""),
            entry("energy-charts", &url("/charts"), ""),
            entry("energinet", &url("/energinet"), "place = \"DK1\""),
            entry("electricity-maps", &url("/maps"), key),
            entry(
                "json",
                plain.url("/own").as_str(),
                "zone = \"FR\"\npointer = \"/now/value\"\nunit = \"lb/MWh\"\nattribution = \"our roof\"",
            ),
            format!(
                "[[grid.feeds]]\nfeed = \"file\"\nzone = \"FR\"\npath = \"{}\"\n",
                file.display()
            ),
            uk(&replay),
        ],
    ));
    let output = case.run(&["grid", "check", "--zone", "fr"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "aimeter: 2 of 7 feeds did not answer\n");
    let shown = text(&output.stdout);
    let rows: Vec<String> = shown
        .lines()
        .skip(1)
        .take(8)
        .map(|line| {
            let mut words: Vec<&str> = line.split_whitespace().collect();
            // The age depends on the minute in which the test runs.
            if words[2] == "yes" && words[0] != "table" {
                words.drain(4..6);
            }
            words.join(" ")
        })
        .collect();
    assert_eq!(
        rows,
        [
            "rte FR yes 13 average, direct measured, may still change",
            "energy-charts FR yes 23 average, lifecycle forecast",
            "energinet:DK1 FR no - - - it does not cover FR, only DK",
            "electricity-maps FR yes 31 average, lifecycle estimated by the provider",
            "json FR yes 45.359 average, lifecycle estimated by the provider",
            "file FR yes 55 average, lifecycle estimated by the provider",
            "uk-carbon-intensity FR no - - - it does not cover FR, only GB",
            "table FR yes 44.2 - average, lifecycle yearly mean, not live",
        ]
    );
    assert!(shown.contains("\njson: our roof\n"), "{shown}");
    assert!(
        shown.contains("\nrte: RTE éCO2mix via ODRÉ, Licence Ouverte 2.0, data of 20"),
        "{shown}"
    );
    assert_eq!((replay.requests().len(), plain.requests().len()), (3, 1));

    let output = case.run(&["grid", "check", "--zone", "fr", "--json"]);
    let rows = json(&output);
    assert_eq!(rows.as_array().unwrap().len(), 8);
    assert_eq!(rows[0]["fact"]["grams_per_kwh"], 13.0);
    assert_eq!(rows[0]["fact"]["kind"], "provisional");
    assert_eq!((&rows[6]["works"], &rows[6]["fact"]), (&Value::Bool(false), &Value::Null));
    assert!(!text(&output.stdout).contains("s3cr3t"));

    // The same chain for another zone: each feed for its own alone.
    let rows = json(&case.run(&["grid", "check", "--zone", "DK", "--json"]));
    let working: Vec<&Value> =
        rows.as_array().unwrap().iter().filter(|row| row["works"] == true).collect();
    let feeds: Vec<&Value> = working.iter().map(|row| &row["feed"]).collect();
    assert_eq!(feeds, ["energinet:DK1", "table"]);
    assert_eq!(working[0]["fact"]["grams_per_kwh"], 160.0);
}

#[test]
fn intensity_shows_now_a_range_and_a_forecast() {
    let start = half_hour(0);
    let from = (start - SignedDuration::from_mins(90)).to_string();
    let to = start.to_string();
    let replay = Replay::tls(world_at(start));
    let case = Case::new(&config(&replay, &[uk(&replay)]));
    let now = case.run(&["intensity", "--zone", "GB"]);
    assert_eq!((now.status.code(), text(&now.stderr)), (Some(0), String::new()));
    let shown = text(&now.stdout);
    assert!(shown.starts_with("GB  164 gCO2e/kWh\n  quality  forecast\n"), "{shown}");
    assert!(shown.contains("  source   uk-carbon-intensity (average, direct)\n"), "{shown}");
    assert!(shown.ends_with("CC BY 4.0\n"), "{shown}");

    let range = case.run(&["intensity", "--zone", "GB", "--from", &from, "--to", &to]);
    let shown = text(&range.stdout);
    assert!(
        shown.starts_with("GB  197 to 199, mean over time 198.0 gCO2e/kWh\n  ▁▅█\n"),
        "{shown}"
    );
    assert_eq!(shown.matches("measured").count(), 3);

    let forecast = json(&case.run(&["intensity", "--zone", "GB", "--forecast", "--json"]));
    let facts = forecast["facts"].as_array().unwrap();
    // Four, or three where a half hour just ended.
    assert!((3..=4).contains(&facts.len()), "{facts:?}");
    for fact in facts {
        let to: Timestamp = fact["to"].as_str().unwrap().parse().unwrap();
        assert!(to > clock::wall() - SignedDuration::from_mins(1));
        assert_eq!((&fact["kind"], &fact["grams_per_kwh"]), (&"forecast".into(), &164.0.into()));
    }
    assert_eq!(forecast["failures"], Value::Array(Vec::new()));
}

#[test]
fn what_intensity_writes_as_json_is_a_file_feed() {
    let start = half_hour(0);
    let from = (start - SignedDuration::from_mins(90)).to_string();
    let to = start.to_string();
    let replay = Replay::tls(world_at(start));
    let case = Case::new(&config(&replay, &[uk(&replay)]));
    let range = ["intensity", "--zone", "GB", "--from", &from, "--to", &to, "--json"];
    let facts = json(&case.run(&range))["facts"].clone();
    let path = case.folder.path().join("grid.json");
    std::fs::write(&path, facts.to_string()).unwrap();
    let own = Case::new(&format!(
        "[[grid.feeds]]\nfeed = \"file\"\nzone = \"GB\"\nboundary = \"direct\"\npath = \"{}\"\n",
        path.display()
    ));
    let again = json(&own.run(&range))["facts"].clone();
    assert_eq!(facts.as_array().unwrap().len(), 3);
    for (one, other) in facts.as_array().unwrap().iter().zip(again.as_array().unwrap()) {
        for name in ["from", "to", "grams_per_kwh", "kind", "boundary", "signal", "zone"] {
            assert_eq!(one[name], other[name], "{name}");
        }
    }
}

#[test]
fn without_a_usable_feed_the_table_answers_and_says_so() {
    let replay = Replay::tls(|head| match head.contains("/old/") {
        // Yesterday's figure is not now's.
        true => {
            let old = half_hour(-48);
            Reply::json(format!(
                r#"{{"data":[{{"from":"{old}","to":"{}","intensity":{{"forecast":1,"actual":2}}}}]}}"#,
                half_hour(-47)
            ))
        }
        false => Reply::refusal(429, &["Retry-After: 60"], r#"{"error":"Too many requests"}"#),
    });
    let old = entry("uk-carbon-intensity", replay.url("/old").as_str(), "");
    let case = Case::new(&config(&replay, &[uk(&replay), old]));
    let output = case.run(&["intensity", "--zone", "GB"]);
    assert_eq!(output.status.code(), Some(0));
    let shown = text(&output.stdout);
    assert!(
        shown.starts_with("GB  210.9 gCO2e/kWh\n  quality  yearly mean, not live\n"),
        "{shown}"
    );
    assert!(shown.contains("processing by Our World in Data, CC BY 4.0"), "{shown}");
    let said = text(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    let busy = "it answered 429: Too many requests (ask again in 60 s)";
    assert_eq!(lines[0], format!("aimeter: uk-carbon-intensity: {busy}"));
    assert!(
        lines[1].starts_with("aimeter: uk-carbon-intensity: its newest figure ended 2"),
        "{said}"
    );
    assert!(lines[2].starts_with("aimeter: no feed answers: "), "{said}");

    let output = case.run(&["intensity", "--zone", "GB", "--forecast"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    let document = json(&case.run(&["intensity", "--zone", "GB", "--json"]));
    assert_eq!(document["failures"][0]["providers_word"], true);
    assert_eq!(document["failures"][1]["providers_word"], false);
    assert_eq!(document["facts"][0]["kind"], "table");
}

#[test]
fn a_zone_without_a_feed_or_a_name_is_the_tables_and_the_worlds() {
    let case = Case::new("");
    let output = case.run(&["intensity", "--zone", "US-CA"]);
    assert!(text(&output.stdout).starts_with("US-CA  "), "{output:?}");
    assert!(text(&output.stderr).contains("no feed without a key covers US-CA (a key of"));
    let output = case.run(&["intensity"]);
    assert!(text(&output.stdout).starts_with("WORLD  473 gCO2e/kWh\n"), "{output:?}");
    assert!(text(&output.stderr).contains("no zone is set"));
    let output = case.run(&["grid", "check"]);
    assert_eq!(output.status.code(), Some(2));
    let output = case.run(&["grid", "check", "--zone", "US-CA"]);
    assert_eq!(output.status.code(), Some(0));
    let ago = case.run(&["intensity", "--from", "1h", "--to", "2h"]);
    assert_eq!(ago.status.code(), Some(2));
}

#[test]
fn a_feed_that_others_could_read_the_key_of_is_refused() {
    let replay = Replay::tls(world());
    let maps = entry("electricity-maps", replay.url("/maps").as_str(), "token = \"s3cr3t\"");
    let mut case = Case::new(&config(&replay, &[maps]));
    let check = |case: &Case| case.run(&["grid", "check", "--zone", "FR"]);
    assert_eq!(check(&case).status.code(), Some(0));
    for mode in [0o640, 0o604, 0o602, 0o644] {
        case.mode = mode;
        let output = check(&case);
        assert_eq!(output.status.code(), Some(2), "{mode:o}");
        let said = text(&output.stderr);
        assert!(said.contains(&format!("others can read it (mode {mode:04o})")), "{said}");
        assert!(!said.contains("s3cr3t"), "{said}");
    }
    case.mode = 0o644;
    let proxied = Case { mode: 0o644, ..Case::new("[grid]\nproxy = \"http://a:s3cr3t@b:1\"\n") };
    assert_eq!(check(&proxied).status.code(), Some(2));
    // Without a secret in it, anybody may read it.
    let open = Case { mode: 0o644, ..Case::new("[grid]\nproxy = \"http://b:1\"\n") };
    assert_eq!(open.run(&["intensity", "--zone", "US-CA"]).status.code(), Some(0));
}

#[test]
fn a_wrong_key_is_told_in_the_feeds_words() {
    let replay = Replay::tls(world());
    let url = replay.url("/maps");
    let file = "token_file = \"/nonexistent/key\"";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "other\n").unwrap();
    let check = |more: &str| {
        let case = Case::new(&config(&replay, &[entry("electricity-maps", url.as_str(), more)]));
        text(&case.run(&["grid", "check", "--zone", "FR"]).stdout)
    };
    let shown = check(&format!("token_file = \"{}\"", path.display()));
    assert!(shown.contains("it answered 401: Invalid auth-token"), "{shown}");
    let shown = check(file);
    assert!(shown.contains("cannot read the secret in /nonexistent/key: "), "{shown}");
}

#[test]
fn a_proxy_is_used_by_setting_or_environment_but_not_for_this_machine() {
    let proxy = Replay::plain(|_| Reply::refusal(403, &[], "{}"));
    let address = proxy.url("").to_string();
    let own = Replay::plain(world());
    let far = entry("uk-carbon-intensity", "https://feed.invalid/uk", "");
    let near = entry(
        "json",
        own.url("/own").as_str(),
        "zone = \"GB\"\npointer = \"/now/value\"\nunit = \"g/kWh\"",
    );
    let case = Case::new(&format!("{far}{near}"));
    let check = ["grid", "check", "--zone", "GB"];
    let by_environment =
        case.run_with(&[("HTTPS_PROXY", &address), ("HTTP_PROXY", &address)], &check);
    let with_password = address.replace("http://", "http://me:s3cr3t@");
    let by_setting = case.run_with(&[("AIMETER_PROXY", &with_password)], &check);
    for output in [&by_environment, &by_setting] {
        let shown = text(&output.stdout);
        assert!(shown.contains("no connection: "), "{shown}");
        assert!(!format!("{output:?}").contains("s3cr3t"), "{output:?}");
        assert_eq!(text(&output.stderr), "aimeter: 1 of 2 feeds did not answer\n");
    }
    let asked = proxy.requests();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked.iter().all(|head| head.starts_with("CONNECT feed.invalid:443 ")), "{asked:?}");
    assert!(asked[1].to_lowercase().contains("\r\nproxy-authorization: basic "), "{asked:?}");
    let around = case.run_with(&[("HTTPS_PROXY", &address), ("NO_PROXY", "feed.invalid")], &check);
    assert_eq!((around.status.code(), proxy.requests().len()), (Some(1), 2));
}
