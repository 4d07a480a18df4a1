// SPDX-License-Identifier: Apache-2.0
//! The TOML file, read into plain texts with their lines.
//!
//! Nothing is passed over: an unknown table, an unknown key or a value of the
//! wrong form is an error that names its line, with the key that was probably
//! meant. What the texts mean is [`super::value`]'s business.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::keys::{Form, KEYS, SECTIONS, position};
use super::nearest::nearest;
use super::{Calibration, ConfigError, value};
use crate::grid::feeds::Feed;

/// One setting of the file.
#[derive(Debug)]
pub struct Entry {
    /// Its place in [`KEYS`].
    pub key: usize,
    /// Its line, from 1.
    pub line: usize,
    /// Its value or values.
    pub values: Vec<String>,
}

/// What a file says.
#[derive(Debug, Default)]
pub struct FileSettings {
    /// Its settings.
    pub entries: Vec<Entry>,
    /// `[[sensors.calibration]]`.
    pub calibration: Vec<Calibration>,
    /// `[[grid.feeds]]`, where there is one.
    pub feeds: Option<Vec<Feed>>,
    /// The line of each table of these lists: `section.name` and line, in their order.
    pub tables: Vec<(&'static str, usize)>,
}

/// Reads the text of a file; `path` is for messages.
///
/// # Errors
/// What is wrong, with file and line.
pub fn parse(path: &Path, text: &str) -> Result<FileSettings, ConfigError> {
    let reader = Reader { path, text };
    let root = DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        reader.error(start, error.message().lines().next().unwrap_or("not TOML").to_owned())
    })?;
    let mut settings = FileSettings::default();
    for (section, content) in root.get_ref() {
        let name: &str = section.get_ref();
        if !SECTIONS.iter().any(|(known, _)| *known == name) {
            let known = SECTIONS.iter().map(|(known, _)| *known);
            return Err(reader.unknown(section.span().start, "table", name, known));
        }
        let DeValue::Table(table) = content.get_ref() else {
            return Err(reader.error(
                section.span().start,
                format!("`{name}` is a table: write [{name}] on a line of its own"),
            ));
        };
        reader.section(name, table, &mut settings)?;
    }
    Ok(settings)
}

/// A file being read.
pub(super) struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn section(
        &self,
        section: &str,
        table: &DeTable<'_>,
        settings: &mut FileSettings,
    ) -> Result<(), ConfigError> {
        for (name, content) in table {
            let start = name.span().start;
            let word: &str = name.get_ref();
            if (section, word) == ("sensors", "calibration") {
                settings.calibration = self.calibration(start, content.get_ref())?;
                settings.tables.extend(self.lines("sensors.calibration", content.get_ref()));
                continue;
            }
            if (section, word) == ("grid", "feeds") {
                settings.feeds = Some(self.feeds(start, content.get_ref())?);
                settings.tables.extend(self.lines("grid.feeds", content.get_ref()));
                continue;
            }
            let Some(key) = position(section, word) else {
                let known = KEYS.iter().filter(|key| key.section == section).map(|key| key.name);
                return Err(self.unknown(start, "key", word, known));
            };
            let values = texts(KEYS[key].form, content.get_ref()).map_err(|wanted| {
                let given = content.get_ref().type_str();
                self.error(start, format!("`{section}.{word}` takes {wanted}, not {given}"))
            })?;
            settings.entries.push(Entry { key, line: self.line(start), values });
        }
        Ok(())
    }

    fn calibration(
        &self,
        start: usize,
        content: &DeValue<'_>,
    ) -> Result<Vec<Calibration>, ConfigError> {
        let list = content.as_array().ok_or_else(|| {
            self.error(start, "write [[sensors.calibration]] for each device".into())
        })?;
        list.iter()
            .map(|item| match item.get_ref() {
                DeValue::Table(table) => self.one_calibration(item.span().start, table),
                _ => Err(self.error(start, "write [[sensors.calibration]] for each device".into())),
            })
            .collect()
    }

    fn one_calibration(
        &self,
        start: usize,
        table: &DeTable<'_>,
    ) -> Result<Calibration, ConfigError> {
        let (mut domain, mut gain) = (None, None);
        for (name, content) in table {
            let at = name.span().start;
            let word: &str = name.get_ref();
            let form = match word {
                "domain" => Form::Text,
                "gain_percent" => Form::Number,
                _ => {
                    let known = ["domain", "gain_percent"].into_iter();
                    return Err(self.unknown(at, "key", word, known));
                }
            };
            let text = self.text(at, form, word, content.get_ref())?;
            match form {
                Form::Text => domain = Some(text),
                _ => gain = Some(value::percent(&text).map_err(|what| self.error(at, what))?),
            }
        }
        match (domain, gain) {
            (Some(domain), Some(gain_percent)) => Ok(Calibration { domain, gain_percent }),
            _ => {
                Err(self
                    .error(start, "a calibration takes both `domain` and `gain_percent`".into()))
            }
        }
    }

    /// The text of one value of a list's table.
    pub(super) fn text(
        &self,
        at: usize,
        form: Form,
        word: &str,
        content: &DeValue<'_>,
    ) -> Result<String, ConfigError> {
        let values = texts(form, content)
            .map_err(|wanted| self.error(at, format!("`{word}` takes {wanted}")))?;
        Ok(values.concat())
    }

    pub(super) fn unknown<'k>(
        &self,
        start: usize,
        what: &str,
        word: &str,
        known: impl Iterator<Item = &'k str> + Clone,
    ) -> ConfigError {
        let hint = match nearest(word, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", known.collect::<Vec<_>>().join(", ")),
        };
        self.error(start, format!("unknown {what} `{word}`; {hint}"))
    }

    pub(super) fn error(&self, start: usize, what: String) -> ConfigError {
        ConfigError::InFile { path: self.path.to_owned(), line: self.line(start), what }
    }

    /// The line of each table of a list.
    fn lines(&self, key: &'static str, list: &DeValue<'_>) -> Vec<(&'static str, usize)> {
        let items = list.as_array().into_iter().flat_map(|items| items.iter());
        items.map(|item| (key, self.line(item.span().start))).collect()
    }

    fn line(&self, start: usize) -> usize {
        self.text.as_bytes()[..start.min(self.text.len())].iter().filter(|b| **b == b'\n').count()
            + 1
    }
}

/// The texts of a value of this form, or the name of the form.
fn texts(form: Form, value: &DeValue<'_>) -> Result<Vec<String>, &'static str> {
    match (form, value) {
        (Form::Text, DeValue::String(text)) => Ok(vec![text.to_string()]),
        (Form::Number, DeValue::Integer(number)) => Ok(vec![number.to_string()]),
        (Form::Number, DeValue::Float(number)) => Ok(vec![number.to_string()]),
        (Form::List, DeValue::Array(items)) => items
            .iter()
            .map(|item| item.get_ref().as_str().map(str::to_owned).ok_or("a list of strings"))
            .collect(),
        (Form::Switch, DeValue::Boolean(value)) => Ok(vec![value.to_string()]),
        (Form::Switch, _) => Err("true or false"),
        (Form::Text, _) => Err("a string"),
        (Form::Number, _) => Err("a number"),
        (Form::List, _) => Err("a list of strings"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, message: &str) {
        let error = parse(Path::new("a.toml"), text).unwrap_err();
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn every_mistake_names_file_line_and_cure() {
        check(
            "\n[sensors]\nperiode = \"1s\"\n",
            "a.toml:3: unknown key `periode`; did you mean `period`?",
        );
        check("[sensor]\n", "a.toml:1: unknown table `sensor`; did you mean `sensors`?");
        check("[log]\ncolour = 1\n", "a.toml:2: unknown key `colour`; known are level");
        check(
            "[daemon]\n\nlisten = \"127.0.0.1:1\"\n",
            "a.toml:3: `daemon.listen` takes a list of strings, not string",
        );
        check("[carbon]\npue = true\n", "a.toml:2: `carbon.pue` takes a number, not boolean");
        check("daemon = 3\n", "a.toml:1: `daemon` is a table: write [daemon] on a line of its own");
        check(
            "[[sensors.calibration]]\ndomain = \"nvml:GPU-1\"\n",
            "a.toml:1: a calibration takes both `domain` and `gain_percent`",
        );
        check(
            "[[sensors.calibration]]\ndomian = \"nvml:GPU-1\"\n",
            "a.toml:2: unknown key `domian`; did you mean `domain`?",
        );
        assert!(
            parse(Path::new("a.toml"), "[daemon]\n[daemon\n")
                .unwrap_err()
                .to_string()
                .starts_with("a.toml:2: ")
        );
    }

    #[test]
    fn values_and_lines_come_out_as_written() {
        let text = "[carbon]\npue = 1.25\nzone = 'GB'\n[daemon]\nlisten = ['a', \"b\"]\n\
            [[sensors.calibration]]\ndomain = 'x'\ngain_percent = 2\n";
        let settings = parse(Path::new("a.toml"), text).unwrap();
        let mut seen: Vec<_> = settings
            .entries
            .iter()
            .map(|entry| (KEYS[entry.key].path(), entry.line, entry.values.join("|")))
            .collect();
        seen.sort();
        assert_eq!(
            seen,
            [
                ("carbon.pue".to_owned(), 2, "1.25".to_owned()),
                ("carbon.zone".to_owned(), 3, "GB".to_owned()),
                ("daemon.listen".to_owned(), 5, "a|b".to_owned()),
            ]
        );
        assert_eq!(settings.calibration, [Calibration { domain: "x".into(), gain_percent: 2.0 }]);
    }
}
