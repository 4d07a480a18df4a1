// SPDX-License-Identifier: Apache-2.0
//! The files as such: generated from their source, of Grafana's types, and accepted
//! by Prometheus.

use std::process::{Command, Output};

use crate::model::{Dashboard, NAMES, path};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

#[test]
fn the_dashboards_are_what_their_source_says() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("python3")
        .arg(path("dashboards/generate.py"))
        .arg(folder.path())
        .output()
        .expect("python3 (Debian package python3; tests/run installs it)");
    assert!(output.status.success(), "{}", said(&output));
    let written = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(written, NAMES.len());
    for name in NAMES {
        let file = format!("{name}.json");
        let expected = std::fs::read_to_string(folder.path().join(&file)).unwrap();
        let found = std::fs::read_to_string(path("dashboards").join(&file)).unwrap();
        assert!(found == expected, "dashboards/generate.py writes dashboards/{file} anew");
    }
    let shipped = std::fs::read_dir(path("dashboards")).unwrap();
    let json = |name: &str| name.ends_with(".json");
    let shipped =
        shipped.filter(|entry| json(entry.as_ref().unwrap().file_name().to_str().unwrap()));
    assert_eq!(shipped.count(), NAMES.len(), "a dashboard that nothing writes");
}

/// `node schema.mjs FILE…`.
fn check_schema(files: &[std::path::PathBuf]) -> Output {
    Command::new("node")
        .arg(path("tests/dashboards/schema.mjs"))
        .args(files)
        .output()
        .expect("node (Debian package nodejs; tests/run installs it)")
}

#[test]
fn the_dashboards_have_grafanas_types() {
    let files = NAMES.map(|name| path(&format!("dashboards/{name}.json")));
    let output = check_schema(&files);
    assert!(output.status.success(), "{}", said(&output));
}

/// The check sees what is wrong, at every depth.
#[test]
fn a_word_that_grafana_does_not_know_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read_to_string(path("dashboards/fleet.json")).unwrap();
    let broken = [
        (r#""drawStyle": "line""#, r#""drawStyle": "lines""#),
        (r#""unit": "watt""#, r#""unitt": "watt""#),
        (r#""type": "query""#, r#""type": "querry""#),
        (r#""w": 12"#, r#""w": "12""#),
        (r#""legendFormat""#, r#""legend""#),
        (r#""useValueForTime": "on""#, r#""useValueForTime": "no""#),
        (r#""schemaVersion""#, r#""schemaversion""#),
    ];
    let files: Vec<_> = broken
        .iter()
        .enumerate()
        .map(|(place, (from, to))| {
            let file = folder.path().join(format!("broken{place}.json"));
            assert!(good.contains(from), "{from}");
            std::fs::write(&file, good.replace(from, to)).unwrap();
            file
        })
        .collect();
    let output = check_schema(&files);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for (place, broken) in broken.iter().enumerate() {
        assert!(said.contains(&format!("broken{place}.ts")), "{broken:?} passed");
    }
}

#[test]
fn prometheus_takes_the_provisioned_configuration() {
    let output = Command::new("promtool")
        .args(["check", "config"])
        .arg(path("dashboards/provisioning/prometheus.yml"))
        .output()
        .expect("promtool (Debian package prometheus; tests/run installs it)");
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("2 rule files found"), "{said}");
}

/// A dashboard shows what every site can see: no address, name or id of ours.
#[test]
fn the_dashboards_name_no_place() {
    for dashboard in Dashboard::all() {
        let text = dashboard.json.to_string();
        for word in ["localhost", "127.0.0.1", "http://", "https://", "__inputs"] {
            assert!(!text.contains(word), "{}: {word}", dashboard.name);
        }
    }
}
