// SPDX-License-Identifier: Apache-2.0
//! The effective configuration: every setting with its value and where that comes
//! from, for people and programs. A password or a feed's key never stands in it.

use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::keys::{Form, KEYS, Key};
use super::{Options, Origin};
use crate::grid::feeds::Feed;
use crate::grid::secret::SecretSource;

/// What stands for a value that must not be shown.
const HIDDEN: &str = "[hidden]";

/// One setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// Its name in the TOML file; for a table of a list with its place from 0.
    pub key: String,
    /// Its value in force; null: none.
    pub value: Value,
    /// Where that comes from.
    pub origin: Place,
}

/// An [`Origin`] in the public form; what does not apply is null.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// `default`, `file`, `environment` or `flag`.
    pub kind: &'static str,
    /// The file.
    pub path: Option<String>,
    /// Its line, from 1.
    pub line: Option<usize>,
    /// The environment variable.
    pub variable: Option<&'static str>,
    /// The flag with its dashes.
    pub flag: Option<String>,
}

impl From<&Origin> for Place {
    fn from(origin: &Origin) -> Place {
        let place = Place::default();
        match origin {
            Origin::Default => Place { kind: "default", ..place },
            Origin::File(path, line) => {
                let path = Some(path.display().to_string());
                Place { kind: "file", path, line: Some(*line), ..place }
            }
            Origin::Environment(name) => {
                Place { kind: "environment", variable: Some(name), ..place }
            }
            Origin::Flag(name) => Place { kind: "flag", flag: Some(format!("--{name}")), ..place },
        }
    }
}

/// Every setting, in the order of the TOML file.
pub fn settings(options: &Options) -> Vec<Setting> {
    let mut settings: Vec<Setting> = KEYS
        .iter()
        .enumerate()
        .map(|(place, key)| Setting {
            key: key.path(),
            value: value(options, place, key),
            origin: Place::from(&options.origins[place]),
        })
        .collect();
    let calibration = options
        .calibration
        .iter()
        .map(|device| json!({ "domain": device.domain, "gain_percent": device.gain_percent }));
    settings.extend(tables(options, "sensors.calibration", calibration.collect()));
    let feeds = options.grid.chain.iter().flatten().map(feed);
    settings.extend(tables(options, "grid.feeds", feeds.collect()));
    settings
}

fn value(options: &Options, place: usize, key: &Key) -> Value {
    let Some(texts) = &options.texts[place] else { return default(options, key) };
    let shown = |text: &String| match text.contains(['@', '?']) && key.may_hold_secret() {
        true => Value::from(HIDDEN),
        false => Value::from(text.as_str()),
    };
    let last = texts.last().map_or(Value::Null, shown);
    match key.form {
        Form::List => texts.iter().map(shown).collect(),
        // What was checked as a number or a switch is one.
        Form::Number | Form::Switch => {
            last.as_str().and_then(|text| text.parse().ok()).unwrap_or(last)
        }
        Form::Text => last,
    }
}

/// The default; of a path it depends on who runs the command.
fn default(options: &Options, key: &Key) -> Value {
    let path = |path: &Path| Value::from(path.display().to_string());
    match (key.section, key.name) {
        ("daemon", "state_dir") => path(&options.state_dir),
        ("daemon", "socket") => path(&options.socket),
        _ if key.unset => Value::Null,
        // Strings, numbers and lists of them are written alike in TOML and JSON.
        _ => serde_json::from_str(key.default).unwrap_or(Value::Null),
    }
}

/// A list of tables: each with its own line; one row for a list that is not there.
fn tables(options: &Options, key: &str, values: Vec<Value>) -> Vec<Setting> {
    let line = |place: usize| options.tables.iter().filter(|(name, _)| *name == key).nth(place);
    let origin = |place: usize| match (&options.file, line(place)) {
        (Some(file), Some((_, line))) => Origin::File(file.clone(), *line),
        _ => Origin::Default,
    };
    if values.is_empty() {
        let value = Value::Null;
        return vec![Setting { key: key.into(), value, origin: Place::from(&Origin::Default) }];
    }
    let row = |(place, value)| Setting {
        key: format!("{key}[{place}]"),
        value,
        origin: Place::from(&origin(place)),
    };
    values.into_iter().enumerate().map(row).collect()
}

fn feed(feed: &Feed) -> Value {
    let token = feed.token.as_ref().map(|source| match source {
        SecretSource::Inline(_) => HIDDEN.to_owned(),
        SecretSource::File(path) => format!("file {}", path.display()),
        SecretSource::Environment(name) => format!("environment variable {name}"),
        SecretSource::Credential(name) => format!("credential {name}"),
    });
    let mut row = json!({ "feed": feed.provider.name });
    let parts = [
        ("zone", feed.zone.clone()),
        ("place", feed.place.clone()),
        // A key may stand in an address in spite of what the reference says.
        ("url", feed.url.as_ref().map(|url| url.origin().ascii_serialization() + url.path())),
        ("path", feed.path.as_ref().map(|path| path.display().to_string())),
        ("token", token),
    ];
    for (name, value) in parts {
        if let Some(value) = value {
            row[name] = value.into();
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use super::super::{FileChoice, Sources};
    use super::*;

    const TEXT: &str = "[sensors]\nperiod = '2s'\n\n[carbon]\npue = 1.25\n\
        [grid]\nproxy = 'http://me:s3cr3t@proxy:3128'\n\
        [[grid.feeds]]\nfeed = 'electricity-maps'\nzone = 'DE'\nplace = 'DE'\ntoken = 's3cr3t'\n\
        [[grid.feeds]]\nfeed = 'json'\nzone = 'DE'\nurl = 'https://a.org/b?key=s3cr3t'\n\
        pointer = '/a'\nunit = 'g/kWh'\ntoken_file = '/k'\n\
        [[sensors.calibration]]\ndomain = 'd'\ngain_percent = 1\n";

    fn shown(text: &str) -> (tempfile::TempDir, Vec<Setting>) {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("aimeter.toml");
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let environment = |name: &str| match name {
            "AIMETER_LISTEN" => Some("unix:/a,systemd".to_owned()),
            "XDG_STATE_HOME" => Some("/home/a/.state".into()),
            _ => None,
        };
        let level = super::super::keys::position("log", "level").unwrap();
        let sources = Sources {
            flags: vec![(level, vec!["warn".into()])],
            environment: &environment,
            file: FileChoice::Named(file),
            root: false,
        };
        (folder, settings(&Options::resolve(&sources).unwrap()))
    }

    #[test]
    fn every_setting_has_its_value_and_its_origin_and_no_secret_is_among_them() {
        let (folder, settings) = shown(TEXT);
        let find = |key: &str| {
            let found = settings.iter().find(|setting| setting.key == key);
            let found = found.unwrap_or_else(|| panic!("{key}"));
            let origin = &found.origin;
            assert_eq!(origin.path.is_some(), origin.line.is_some());
            let place = (origin.kind, origin.line, origin.variable, origin.flag.as_deref());
            (found.value.to_string(), place)
        };
        let file = |line| ("file", Some(line), None, None);
        let default = ("default", None, None, None);
        assert_eq!(find("sensors.period"), ("\"2s\"".into(), file(2)));
        assert_eq!(find("carbon.pue"), ("1.25".into(), file(5)));
        assert_eq!(find("grid.proxy"), ("\"[hidden]\"".into(), file(7)));
        let feeds = [find("grid.feeds[0]"), find("grid.feeds[1]")];
        let json: Value = serde_json::from_str(&feeds[0].0).unwrap();
        assert_eq!((&json["place"], &json["token"]), (&"DE".into(), &HIDDEN.into()));
        let json: Value = serde_json::from_str(&feeds[1].0).unwrap();
        assert_eq!((&json["url"], &json["token"]), (&"https://a.org/b".into(), &"file /k".into()));
        assert_eq!(feeds.map(|feed| feed.1), [file(8), file(13)]);
        assert_eq!(find("sensors.calibration[0]").1, file(20));
        let listen = ("environment", None, Some("AIMETER_LISTEN"), None);
        assert_eq!(find("daemon.listen"), (r#"["unix:/a","systemd"]"#.into(), listen));
        assert_eq!(
            find("log.level"),
            ("\"warn\"".into(), ("flag", None, None, Some("--log-level")))
        );
        assert_eq!(find("metrics.max_jobs"), ("1000".into(), default));
        assert_eq!(find("daemon.state_dir"), ("\"/home/a/.state/aimeter\"".into(), default));
        assert_eq!(find("carbon.zone"), ("null".into(), default));
        assert_eq!(settings.len(), KEYS.len() + 3);
        let all = serde_json::to_string(&settings).unwrap();
        assert!(!all.contains("s3cr3t"), "{all}");
        drop(folder);
    }

    #[test]
    fn lists_of_tables_that_are_not_there_are_shown_as_none() {
        let (_folder, settings) = shown("");
        for key in ["grid.feeds", "sensors.calibration"] {
            assert!(settings.iter().any(|setting| setting.key == key && setting.value.is_null()));
        }
    }
}
