// SPDX-License-Identifier: Apache-2.0
//! Links between the dashboards lead somewhere.

use serde_json::Value;

use crate::model::{Dashboard, list, text};

/// Every link with the panel and the field that it is on.
fn links(panel: &Value) -> impl Iterator<Item = (&str, &str)> {
    list(&panel["fieldConfig"]["overrides"]).iter().flat_map(|changed| {
        let field = text(&changed["matcher"]["options"]);
        let properties = list(&changed["properties"]).iter();
        let links = properties.filter(|property| property["id"] == "links");
        links
            .flat_map(|property| list(&property["value"]))
            .map(move |link| (field, text(&link["url"])))
    })
}

#[test]
fn a_link_leads_to_a_dashboard_with_such_variables_from_such_fields() {
    let dashboards = Dashboard::all();
    let mut ways = std::collections::BTreeSet::new();
    for from in &dashboards {
        for panel in from.panels() {
            let place = format!("{}: {}", from.name, panel["title"]);
            let organize =
                list(&panel["transformations"]).iter().find(|one| one["id"] == "organize");
            let headings = organize.map(|one| one["options"]["renameByName"].as_object().unwrap());
            for (field, url) in links(panel) {
                let headings = headings.unwrap_or_else(|| panic!("{place}: fields without names"));
                let has = |name: &str| headings.values().any(|heading| heading == name);
                assert!(has(field), "{place}: no field {field}");
                let (target, parameters) = url.split_once('?').unwrap();
                let to = dashboards.iter().find(|one| target == format!("/d/aimeter-{}", one.name));
                let to = to.unwrap_or_else(|| panic!("{place}: {target}"));
                ways.insert((from.name, to.name));
                for parameter in parameters.split('&').filter(|one| one.starts_with("var-")) {
                    let (name, value) = parameter["var-".len()..].split_once('=').unwrap();
                    assert!(
                        to.variables().iter().any(|one| one["name"] == name),
                        "{place}: {name}"
                    );
                    let field = value.strip_prefix("${__data.fields.");
                    let named = field.map(|field| field.trim_end_matches('}'));
                    assert!(named.is_none_or(has), "{place}: {value}");
                    assert!(named.is_some() || value == "${__value.text}", "{place}: {value}");
                }
                for kept in ["${datasource:queryparam}", "${__url_time_range}"] {
                    assert!(parameters.contains(kept), "{place}: {kept}");
                }
            }
        }
    }
    for way in [("fleet", "host"), ("fleet", "job"), ("host", "job"), ("job", "host")] {
        assert!(ways.contains(&way), "no way from {} to {}", way.0, way.1);
    }
}

/// An override of a field that is not there does nothing, and Grafana says nothing.
#[test]
fn an_override_is_of_a_field_that_is_there() {
    for dashboard in Dashboard::all() {
        for panel in dashboard.panels() {
            let organize =
                list(&panel["transformations"]).iter().find(|one| one["id"] == "organize");
            let headings = organize.map(|one| one["options"]["renameByName"].as_object().unwrap());
            let legends: Vec<&str> =
                list(&panel["targets"]).iter().map(|one| text(&one["legendFormat"])).collect();
            let kinds = ["gpu", "cpu", "dram", "node"];
            for changed in list(&panel["fieldConfig"]["overrides"]) {
                let field = text(&changed["matcher"]["options"]);
                let named = match headings {
                    Some(headings) => headings.values().any(|heading| heading == field),
                    None => {
                        legends.contains(&field)
                            || (legends.contains(&"{{kind}}") && kinds.contains(&field))
                    }
                };
                assert!(named, "{}: {}: no field {field}", dashboard.name, panel["title"]);
            }
        }
    }
}
