// SPDX-License-Identifier: Apache-2.0
//! The configuration reference, written from [`super::keys`]: the example file
//! `config/aimeter.toml` and the table of `docs/config.md`. Tests compare the
//! files with these texts, so that they never say what the program does not do.

use std::fmt::Write;

use super::feeds::FEED_KEYS;
use super::keys::{CALIBRATION_HELP, FEEDS_HELP, KEYS, Key, SECTIONS};

/// The text of `config/aimeter.toml`: every key, commented out, at its default.
pub fn example_file() -> String {
    let mut text = String::from(
        "# aimeter's configuration, read from /etc/aimeter/aimeter.toml or --config FILE.\n\
         # Every key is shown with its default; a key marked \"example\" is unset by default.\n\
         # A flag wins over the environment, the environment over this file.\n\
         # `systemctl reload aimeter` (SIGHUP) takes a change up, save where a restart is named.\n",
    );
    for (section, about) in SECTIONS {
        _ = write!(text, "\n# {about}\n[{section}]\n");
        for key in KEYS.iter().filter(|key| key.section == *section) {
            _ = writeln!(text, "\n{}", wrapped(&remark(key)));
            let mark = if key.unset { "  # example" } else { "" };
            _ = writeln!(text, "#{} = {}{mark}", key.name, key.default);
        }
        if *section == "sensors" {
            _ = writeln!(text, "\n{}", wrapped(&format!("{CALIBRATION_HELP}. Takes a restart.")));
            text.push_str("#[[sensors.calibration]]  # example\n");
            text.push_str("#domain = \"nvml:GPU-6f0c0f4e-0000-0000-0000-000000000000\"\n");
            text.push_str("#gain_percent = 1.5\n");
        }
        if *section == "grid" {
            _ = writeln!(text, "\n{}", wrapped(&format!("{FEEDS_HELP}.")));
            text.push_str("#[[grid.feeds]]  # example\n");
            text.push_str("#feed = \"electricity-maps\"  # example\n");
            text.push_str("#token_file = \"/etc/aimeter/electricity-maps.key\"  # example\n");
        }
    }
    text
}

/// The table of `docs/config.md`.
pub fn table() -> String {
    let mut text = String::from(
        "| key | default | environment | flag (commands) | what | change |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for key in KEYS {
        let default = if key.unset { "unset".into() } else { format!("`{}`", key.default) };
        let flag = if key.commands.is_empty() {
            "".into()
        } else {
            format!("`--{} {}` ({})", key.flag(), key.value_name, key.commands.join(", "))
        };
        let change = if key.restart { "restart" } else { "reload" };
        _ = writeln!(
            text,
            "| `{}` | {default} | `{}` | {flag} | {} | {change} |",
            key.path(),
            key.environment,
            key.help
        );
    }
    _ = writeln!(text, "| `sensors.calibration` | none | | | {CALIBRATION_HELP} | restart |");
    _ = writeln!(text, "| `grid.feeds` | by zone | | | {FEEDS_HELP} | reload |");
    text
}

/// The table of a feed's keys, for `docs/grid.md`.
pub fn feed_table() -> String {
    let mut text = String::from("| key | feeds | what |\n| --- | --- | --- |\n");
    for key in FEED_KEYS {
        let feeds = if key.feeds.is_empty() { "all".into() } else { key.feeds.join(", ") };
        _ = writeln!(text, "| `{}` | {feeds} | {} |", key.name, key.help);
    }
    text
}

fn remark(key: &Key) -> String {
    let restart = if key.restart { " Takes a restart." } else { "" };
    let flag = if key.commands.is_empty() { String::new() } else { format!("--{}, ", key.flag()) };
    format!("{}.{restart} ({flag}{})", key.help, key.environment)
}

/// Comment lines of at most 88 columns.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::from("#")];
    for word in text.split_whitespace() {
        if lines.last().is_some_and(|line| line.chars().count() + 1 + word.chars().count() > 88) {
            lines.push(String::from("#"));
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n")
}
