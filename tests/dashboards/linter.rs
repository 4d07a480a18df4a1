// SPDX-License-Identifier: Apache-2.0
//! The rules of Grafana's dashboard-linter, which is a Go program that cannot be had
//! everywhere, as a test of our own (`docs/rules` there). Left out is
//! `target-counter-agg-rule`: our counters are read as last values, since
//! `increase()` guesses (`docs/metrics.md`); `dashboards/.lint` says so to the linter.

use std::collections::BTreeSet;

use serde_json::json;

use aimeter::export::prometheus::families;

use crate::model::{Dashboard, list, text};

/// What Prometheus itself adds to each scrape.
const PROMETHEUS_OWN: [&str; 3] = ["up", "scrape_duration_seconds", "scrape_samples_scraped"];

/// Grafana's names of units (`@grafana/data`, `valueFormats/categories`).
const UNITS: [&str; 11] = [
    "none",
    "watt",
    "watth",
    "joule",
    "massg",
    "percentunit",
    "s",
    "dtdhms",
    "rps",
    "dateTimeAsIso",
    "bool_yes_no",
];

fn data_source() -> serde_json::Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

#[test]
fn a_dashboard_keeps_the_linters_rules() {
    for dashboard in Dashboard::all() {
        let name = dashboard.name;
        assert_eq!(dashboard.json["editable"], false, "{name}");
        assert_eq!(dashboard.json["uid"], format!("aimeter-{name}"));
        let version = dashboard.json["schemaVersion"].as_u64().unwrap();
        assert!((39..=41).contains(&version), "{name}");

        let sources: Vec<_> =
            dashboard.variables().iter().filter(|one| one["type"] == "datasource").collect();
        let [source] = sources[..] else { panic!("{name}: {} data sources", sources.len()) };
        assert_eq!(
            (&source["name"], &source["query"]),
            (&json!("datasource"), &json!("prometheus"))
        );
        assert_eq!(source["label"], "Data source");

        let choices: Vec<_> =
            dashboard.variables().iter().filter(|one| one["type"] == "query").collect();
        for choice in &choices {
            assert_eq!(choice["datasource"], data_source(), "{name} {}", choice["name"]);
            assert_eq!(choice["refresh"], 2, "{name} {}", choice["name"]);
        }
        for (required, label) in [("job", "Job"), ("instance", "Instance")] {
            let choice = choices.iter().find(|one| one["name"] == required);
            let choice = choice.unwrap_or_else(|| panic!("{name}: no variable {required}"));
            assert_eq!(choice["label"], label, "{name}");
            assert_eq!((&choice["multi"], &choice["allValue"]), (&json!(true), &json!(".+")));
        }
    }
}

#[test]
fn a_panel_keeps_the_linters_rules() {
    for dashboard in Dashboard::all() {
        let mut titles = BTreeSet::new();
        for panel in dashboard.panels() {
            let title = text(&panel["title"]);
            let place = format!("{}: {title}", dashboard.name);
            assert!(!title.is_empty() && titles.insert(title), "{place}: twice, or none");
            assert!(text(&panel["description"]).ends_with('.'), "{place}: no description");
            assert_eq!(panel["datasource"], data_source(), "{place}");
            let fields = &panel["fieldConfig"];
            let overridden = list(&fields["overrides"])
                .iter()
                .flat_map(|one| list(&one["properties"]))
                .filter(|property| property["id"] == "unit")
                .map(|property| text(&property["value"]));
            for unit in overridden.chain([text(&fields["defaults"]["unit"])]) {
                assert!(UNITS.contains(&unit), "{place}: unit {unit:?}");
            }
            assert!(!list(&panel["targets"]).is_empty(), "{place}: no query");
        }
    }
}

#[test]
fn a_query_keeps_the_linters_rules() {
    for dashboard in Dashboard::all() {
        for query in dashboard.queries() {
            assert_eq!(query.target["datasource"], data_source());
        }
        for expression in dashboard.expressions() {
            let place = format!("{}: {expression}", dashboard.name);
            let selectors = expression.matches('{').count();
            for label in [r#"job=~"$job""#, r#"instance=~"$instance""#] {
                let found = expression.matches(&format!("{{{label}")).count()
                    + expression.matches(&format!(", {label}")).count();
                assert_eq!(found, selectors, "{place}: a selector without {label}");
            }
            for (function, rest) in ["rate(", "increase("]
                .iter()
                .flat_map(|name| after(expression, name).map(move |rest| (name, rest)))
            {
                let range = rest.split_once('[').unwrap().1;
                assert!(range.starts_with("$__rate_interval]"), "{place}: {function}");
            }
        }
    }
}

/// What follows each call of a function.
fn after<'a>(text: &'a str, call: &str) -> impl Iterator<Item = &'a str> {
    text.match_indices(call).map(move |(at, call)| &text[at + call.len()..])
}

/// Every metric is one of ours, with labels that it has.
#[test]
fn a_query_names_metrics_and_labels_that_are_there() {
    for dashboard in Dashboard::all() {
        let choices = dashboard.variables().iter().map(|one| text(&one["query"]["query"]));
        for expression in dashboard.expressions().chain(choices.filter(|query| !query.is_empty())) {
            let place = format!("{}: {expression}", dashboard.name);
            let mut known = 0;
            for (at, _) in expression.match_indices('{') {
                let name = expression[..at].rsplit(|c: char| !is_name(c)).next().unwrap();
                let labels = expression[at + 1..].split_once('}').unwrap().0;
                known += 1;
                if PROMETHEUS_OWN.contains(&name) {
                    continue;
                }
                let family = families::ALL.iter().find(|family| family.name == name);
                let family = family.unwrap_or_else(|| panic!("{place}: no metric {name}"));
                for label in labels.split(", ").filter(|label| !label.is_empty()) {
                    let label = label.split(['=', '!']).next().unwrap();
                    let has =
                        family.labels.contains(&label) || ["job", "instance"].contains(&label);
                    assert!(has, "{place}: {name} has no label {label}");
                }
            }
            assert!(known > 0, "{place}: no selector");
            assert_eq!(expression.matches("aimeter_").count() + own(expression), known, "{place}");
        }
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// How often a metric of Prometheus's own is selected.
fn own(expression: &str) -> usize {
    let names = expression
        .match_indices('{')
        .map(|(at, _)| expression[..at].rsplit(|c: char| !is_name(c)).next().unwrap_or_default());
    names.filter(|name| PROMETHEUS_OWN.contains(name)).count()
}
