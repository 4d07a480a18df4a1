// SPDX-License-Identifier: Apache-2.0
//! The whole chain by the real binary: each feed in its row, the two signals apart, the
//! figure of one moment, and how the zone came about.

use jiff::SignedDuration;
use serde_json::Value;

use crate::case::{Case, json, text};
use crate::replay::Replay;
use crate::world::{config, entry, every_feed, half_hour, uk, world, world_at};

#[test]
fn every_feed_that_there_is_answers_in_a_row_of_its_own() {
    let replay = Replay::tls(world());
    let plain = Replay::plain(world());
    let folder = tempfile::tempdir().unwrap();
    let case = Case::new(&every_feed(&replay, &plain, folder.path()));
    let rows = json(&case.run(&["grid", "check", "--json"]));
    let rows: Vec<String> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let fact = &row["fact"];
            let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
            format!(
                "{} {} {} {} {} {}",
                word(&row["feed"]),
                word(&row["zone"]),
                fact["grams_per_kwh"],
                word(&fact["signal"]),
                word(&fact["boundary"]),
                word(&fact["kind"])
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            "uk-carbon-intensity GB 164.0 average direct forecast",
            "energy-charts FR 23.0 average lifecycle forecast",
            "energinet:DK1 DK 160.0 average direct provisional",
            "rte FR 13.0 average direct provisional",
            "electricity-maps FR 31.0 average lifecycle estimated",
            "watttime:CAISO_NORTH US-CA 453.592 marginal direct forecast",
            "entsoe BE 131.5 average lifecycle provisional",
            "eia:CISO US-CA 250.5 average lifecycle provisional",
            "file FR 55.0 average lifecycle estimated",
            "json FR 45.359 average lifecycle estimated",
            "table GB 210.9 average lifecycle table",
        ]
    );
    assert_eq!(rows.len(), aimeter::grid::feeds::PROVIDERS.len() + 1);
    let output = case.run(&["grid", "check"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    let shown = text(&output.stdout);
    let config = case.folder.path().join("aimeter.toml");
    assert!(shown.contains(&format!("\nzone GB: {}:", config.display())), "{shown}");
    for credit in [
        "\nwatttime:CAISO_NORTH: WattTime (watttime.org); not for redistribution\n",
        "\nentsoe: Source: ENTSO-E Transparency Platform; computed by aimeter\n",
        "\neia:CISO: Source: U.S. Energy Information Administration (20",
    ] {
        assert!(shown.contains(credit), "{shown}");
    }
    assert!(!shown.contains("s3cr3t"), "{shown}");
    // With a wrong key, those that take one say so in their own words, and the rest work.
    let wrong = case.run_with(&[("GRID_KEY", "0th3r")], &["grid", "check"]);
    assert_eq!(text(&wrong.stderr), "aimeter: 4 of 10 feeds did not answer\n");
    let shown = text(&wrong.stdout);
    for words in [
        "it answered 401: Invalid auth-token",
        "its login: it answered 403: Forbidden",
        "it answered 401: Unauthorized. Missing or invalid security token",
        "it answered 403: An invalid api_key was supplied.",
    ] {
        assert!(shown.contains(words), "{shown}");
    }
    assert!(!shown.contains("0th3r"), "{shown}");
}

#[test]
fn a_marginal_figure_is_shown_when_asked_for_and_never_stands_in_for_an_average() {
    let replay = Replay::tls(world());
    let plain = Replay::plain(world());
    let folder = tempfile::tempdir().unwrap();
    let case = Case::new(&every_feed(&replay, &plain, folder.path()));
    let shown = |more: &[&str]| {
        let output = case.run(&[&["intensity", "--zone", "US-CA"], more].concat());
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, stdout, _) = shown(&["--signal", "marginal"]);
    assert_eq!(code, Some(0));
    assert!(stdout.starts_with("US-CA  453.592 gCO2e/kWh\n"), "{stdout}");
    assert!(stdout.contains("watttime:CAISO_NORTH (marginal, direct)"), "{stdout}");
    let (_, stdout, stderr) = shown(&[]);
    assert!(stdout.starts_with("US-CA  250.5 gCO2e/kWh\n"), "{stdout}");
    assert!(!stderr.contains("watttime"), "{stderr}");
    // The table has averages alone: no marginal figure is no figure.
    let none = case.run(&["intensity", "--zone", "GB", "--signal", "marginal"]);
    assert_eq!((none.status.code(), text(&none.stdout)), (Some(1), String::new()));
    assert!(text(&none.stderr).contains("there is no figure: no feed answers"), "{none:?}");
    let bare = Case::new("").run(&["intensity", "--zone", "GB", "--signal", "marginal"]);
    assert!(text(&bare.stderr).contains("no feed of the chain says marginal"), "{bare:?}");
}

#[test]
fn the_figure_of_one_moment_is_that_of_its_interval() {
    let start = half_hour(0);
    let replay = Replay::tls(world_at(start));
    let case = Case::new(&config(&replay, &[uk(&replay)]));
    let at = |minutes: i64| {
        let moment = (start + SignedDuration::from_mins(minutes)).to_string();
        let shown = json(&case.run(&["intensity", "--zone", "GB", "--at", &moment, "--json"]));
        let facts = shown["facts"].as_array().unwrap().clone();
        assert_eq!(facts.len(), 1, "{facts:?}");
        (facts[0]["grams_per_kwh"].as_f64().unwrap(), facts[0]["kind"].as_str().unwrap().to_owned())
    };
    assert_eq!(at(-30), (199.0, "actual".into()));
    assert_eq!(at(-31), (198.0, "actual".into()));
    assert_eq!(at(-60), (198.0, "actual".into()));
    // Of a time to come, the forecast.
    assert_eq!(at(100), (164.0, "forecast".into()));
    // Where no feed has it, the yearly mean, which has no end.
    let old = case.run(&["intensity", "--zone", "GB", "--at", "2020-01-01T00:10Z", "--json"]);
    let shown = json(&old);
    assert_eq!(shown["facts"][0]["kind"], "table");
    assert_eq!(shown["facts"][0]["to"], Value::Null);
    assert!(!text(&old.stdout).contains("9999"));
    let both = case.run(&["intensity", "--zone", "GB", "--at", "1h", "--forecast"]);
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn how_the_zone_came_about_is_told() {
    let case = Case::new("[carbon]\ncloud_region = \"ovh:fr-gravelines\"\n[grid]\nfeeds = []\n");
    let shown = text(&case.run(&["grid", "check"]).stdout);
    let by = "zone FR: cloud region ovh:fr-gravelines, Gravelines, by the shipped table\n";
    assert!(shown.contains(by), "{shown}");
    let shown = text(&case.run(&["grid", "check", "--zone", "DE"]).stdout);
    assert!(shown.contains("zone DE: --zone\n"), "{shown}");
    let replay = Replay::tls(world());
    let watt = entry(
        "watttime",
        replay.url("/watt").as_str(),
        "user = \"me\"\ntoken_environment = \"GRID_KEY\"",
    );
    let case = Case::new(&config(&replay, &[watt]));
    let check = ["grid", "check", "--zone", "US-CA", "--coordinates", "37.775,-122.419"];
    let output = case.run(&check);
    let shown = text(&output.stdout);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{shown}");
    assert!(shown.contains("watttime:CAISO_NORTH  US-CA  yes"), "{shown}");
}
