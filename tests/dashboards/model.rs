// SPDX-License-Identifier: Apache-2.0
//! The dashboards as they are shipped.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file or folder of the repository.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The names of the dashboards, as in `dashboards/NAME.json`.
pub const NAMES: [&str; 5] = ["fleet", "host", "job", "carbon", "health"];

/// One dashboard.
pub struct Dashboard {
    pub name: &'static str,
    pub json: Value,
}

/// One query of a panel.
pub struct Query<'a> {
    pub panel: &'a Value,
    pub target: &'a Value,
}

impl Query<'_> {
    pub fn expression(&self) -> &str {
        text(&self.target["expr"])
    }
}

impl Dashboard {
    pub fn all() -> Vec<Dashboard> {
        let read = |name| {
            let text = std::fs::read_to_string(path(&format!("dashboards/{name}.json"))).unwrap();
            Dashboard { name, json: serde_json::from_str(&text).unwrap() }
        };
        NAMES.into_iter().map(read).collect()
    }

    /// The panels, without rows.
    pub fn panels(&self) -> impl Iterator<Item = &Value> {
        list(&self.json["panels"]).iter().filter(|panel| panel["type"] != "row")
    }

    pub fn variables(&self) -> &[Value] {
        list(&self.json["templating"]["list"])
    }

    pub fn annotations(&self) -> &[Value] {
        list(&self.json["annotations"]["list"])
    }

    pub fn queries(&self) -> impl Iterator<Item = Query<'_>> {
        self.panels().flat_map(|panel| {
            list(&panel["targets"]).iter().map(move |target| Query { panel, target })
        })
    }

    /// All expressions: of panels and of annotations.
    pub fn expressions(&self) -> impl Iterator<Item = &str> {
        let marks = self.annotations().iter().map(|mark| text(&mark["expr"]));
        self.queries().map(|query| text(&query.target["expr"])).chain(marks)
    }
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
