// SPDX-License-Identifier: Apache-2.0
//! What the real `aimeter show` and `aimeter jobs` say of a ledger whose facts changed.

use std::path::Path;
use std::process::Command;

use aimeter::ledger::IntensityKind::{Actual, Forecast};
use aimeter::ledger::{Event, Told};
use aimeter::units::Intensity;
use serde_json::Value;

use crate::support::*;

/// Its standard output; with no daemon to ask.
fn aimeter(directory: &Path, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aimeter"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AIMETER_") {
            command.env_remove(name);
        }
    }
    command.env("AIMETER_STATE_DIR", directory).env("AIMETER_SOCKET", directory.join("none"));
    let output = command.args(args).output().expect("the binary");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_binary_tells_what_changed_since_it_was_first_told() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path();
    let row = steady(directory, 1, "told", 2 * HALF_HOUR);
    let told = Told {
        at: at(3_601),
        micrograms: 1_800_000_000,
        mean: Intensity::from_milligrams_per_kwh(150_000),
    };
    let mut events = facts(&[
        table(-1, 300),
        fact(Forecast, 0, HALF_HOUR, -60, 100),
        fact(Forecast, HALF_HOUR, 2 * HALF_HOUR, -60, 200),
    ]);
    events.push(Event::Told { job: row.key, told });
    write(directory, events, vec![]);
    let record =
        |args: &[&str]| -> Value { serde_json::from_str(&aimeter(directory, args)).unwrap() };
    let before = record(&["show", "told", "--json"]);
    assert_eq!(before["emissions"]["operational_grams"], 1_800.0);
    let text = aimeter(directory, &["show", "told"]);
    assert!(!text.contains("first told"), "nothing changed yet:\n{text}");

    write(directory, facts(&[fact(Actual, HALF_HOUR, 2 * HALF_HOUR, 6_000, 180)]), vec![]);
    let after = record(&["show", "told", "--json"]);
    assert_eq!(after["emissions"]["operational_grams"], 1_680.0);
    assert_eq!(after["emissions"]["first_told"]["operational_grams"], 1_800.0);
    assert_eq!(after["emissions"]["first_told"]["parts"][1]["kind"], "forecast");
    assert_eq!(after["energy"], before["energy"]);
    let text = aimeter(directory, &["show", "told"]);
    let expected = "
first told 1.80 kg at 2026-09-21T15:13:21.000Z (forecast), now 1.68 kg (forecast, actual), -6.7 %

changed since
  from                  to                    g/kWh told  by                             g/kWh now  by
  2026-09-21T14:43:20Z  2026-09-21T15:13:20Z         200  uk-carbon-intensity, forecast        180  uk-carbon-intensity, actual
";
    assert!(text.contains(expected), "{text}");
    let jobs = record(&["jobs", "--json"]);
    assert_eq!(jobs[0]["emissions_grams"], 1_680.0);
}
