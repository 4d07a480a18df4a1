// SPDX-License-Identifier: Apache-2.0
//! `aimeter config check` and `config show`: what the daemon would take, and what is
//! in force where. Neither touches anything of the system beside the files.

use std::io::Write;
use std::path::{Path, PathBuf};

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::config::show::{self, Place, Setting};
use crate::config::{DEFAULT_FILE, FileChoice, Options, Sources};
use crate::server::web::Web;

use super::exit::{Code, Failure};

/// Checks a file alone, as the daemon would take it.
///
/// # Errors
/// What is wrong, with file and line.
pub fn check(file: Option<PathBuf>, out: &mut dyn Write) -> Result<(), Failure> {
    let file = file.unwrap_or_else(|| DEFAULT_FILE.into());
    let options = Options::resolve(&Sources {
        flags: Vec::new(),
        environment: &|_| None,
        file: FileChoice::Named(file.clone()),
        root: true,
    })?;
    let mut checked = vec![file];
    if let Some(web) = &options.web_config_file {
        web_file(web)?;
        checked.push(web.clone());
    }
    for file in checked {
        writeln!(out, "{}: no mistake found", file.display()).map_err(Failure::of_output)?;
    }
    Ok(())
}

/// The web file, checked with all that it names.
///
/// # Errors
/// What is wrong with it.
pub fn web_file(path: &Path) -> Result<Web, Failure> {
    Web::open(path).map_err(|error| Failure::new(Code::Usage, error.to_string()))
}

/// The public shape (`docs/json-output.md`).
#[derive(Serialize)]
struct Shown {
    file: Option<String>,
    settings: Vec<Setting>,
}

/// Shows what is in force, and where each value comes from.
///
/// # Errors
/// Where `out` fails.
pub fn show(json: bool, options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    let settings = show::settings(options);
    let text = if json {
        let file = options.file.as_ref().map(|path| path.display().to_string());
        let shown = Shown { file, settings };
        serde_json::to_string_pretty(&shown).map_err(anyhow::Error::from)?
    } else {
        table(&settings).trim_fmt()
    };
    writeln!(out, "{text}").map_err(Failure::of_output)
}

fn table(settings: &[Setting]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["KEY", "VALUE", "FROM"]);
    for setting in settings {
        let value =
            if setting.value.is_null() { "unset".to_owned() } else { setting.value.to_string() };
        table.add_row([setting.key.clone(), value, from(&setting.origin)]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn from(place: &Place) -> String {
    match (place.kind, &place.path, place.line) {
        ("file", Some(path), Some(line)) => format!("{path}:{line}"),
        ("environment", ..) => place.variable.unwrap_or_default().to_owned(),
        ("flag", ..) => place.flag.clone().unwrap_or_default(),
        (kind, ..) => kind.to_owned(),
    }
}
