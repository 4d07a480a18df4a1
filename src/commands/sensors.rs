// SPDX-License-Identifier: Apache-2.0
//! `aimeter sensors`: every domain, how it is read, and why any is missing.
//!
//! The daemon is asked, since it knows how the sensors do; without one this
//! process looks for itself.

use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::config::Options;
use crate::sensors::{DomainId, Missing};
use crate::server::client::ClientError;
use crate::server::protocol::{SensorList, SensorRow};

use super::cli::SensorsArgs;
use super::exit::{Code, Failure};

/// Lists sensors on `out`; `discover` looks for them in this process.
///
/// # Errors
/// Where the daemon refuses, or `out` fails.
pub fn run(
    args: &SensorsArgs,
    options: &Options,
    discover: &dyn Fn(&Options) -> SensorList,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let list = match super::connect(options) {
        Ok(mut client) => match client.sensors() {
            Ok(list) => list,
            Err(error @ ClientError::Refused { .. }) => return Err(error.into()),
            Err(error) => {
                super::complain(&format!("{error}; looking for sensors without it"));
                discover(options)
            }
        },
        Err(failure) if failure.code == Code::Unreachable => discover(options),
        Err(failure) => {
            super::complain(&format!("{failure}; looking for sensors without the daemon"));
            discover(options)
        }
    };
    let text = if args.json { json(&list)? } else { people(&list) };
    out.write_all(text.as_bytes()).map_err(Failure::of_output)
}

/// The public shape (`docs/json-output.md`): units in the names, as in the record.
#[derive(Serialize)]
struct Listing<'a> {
    domains: Vec<Row<'a>>,
    missing: &'a [Missing],
}

#[derive(Serialize)]
struct Row<'a> {
    id: &'a DomainId,
    kind: &'a str,
    source: &'a str,
    method: &'a str,
    device: &'a str,
    state: &'a str,
    counted: bool,
    overlap: Option<&'a str>,
    power_watts: Option<f64>,
    resolution_joules: f64,
    update_period_seconds: f64,
    observed_update_seconds: Option<f64>,
    wrap_joules: Option<f64>,
    wrap_seconds: Option<f64>,
    max_power_watts: f64,
    sensor_gain_percent: Option<f64>,
    model_percent: Option<f64>,
    driver: Option<&'a str>,
    power_limit_watts: Option<f64>,
    read_errors: u64,
}

impl<'a> From<&'a SensorRow> for Row<'a> {
    fn from(row: &'a SensorRow) -> Row<'a> {
        let domain = &row.domain;
        Row {
            id: &domain.id,
            kind: domain.kind.as_str(),
            source: &domain.source,
            method: domain.method.as_str(),
            device: &domain.device,
            state: &row.state,
            counted: domain.counted(),
            overlap: domain.overlap.as_deref(),
            power_watts: row.power_watts,
            resolution_joules: domain.resolution.joules(),
            update_period_seconds: domain.update_period.as_secs_f64(),
            observed_update_seconds: row.observed_update_seconds,
            wrap_joules: domain.range.map(|range| range.joules()),
            wrap_seconds: row.wrap_seconds,
            max_power_watts: domain.max_power.watts(),
            sensor_gain_percent: domain.gain_percent,
            model_percent: domain.model_percent,
            driver: domain.driver.as_deref(),
            power_limit_watts: domain.power_limit.map(|limit| limit.watts()),
            read_errors: row.read_errors,
        }
    }
}

fn json(list: &SensorList) -> Result<String, Failure> {
    let domains = list.domains.iter().map(Row::from).collect();
    let listing = Listing { domains, missing: &list.missing };
    let text = serde_json::to_string_pretty(&listing).map_err(anyhow::Error::from)?;
    Ok(text + "\n")
}

fn people(list: &SensorList) -> String {
    let mut text = String::new();
    if list.domains.is_empty() {
        text.push_str("no energy sensor can be read here\n");
    } else {
        _ = writeln!(text, "{}", table(&list.domains).trim_fmt());
    }
    for row in &list.domains {
        if let Some(why) = &row.domain.overlap {
            _ = writeln!(text, "{} is shown and never added: {why}", row.domain.id);
        }
    }
    for missing in &list.missing {
        let state = missing.state.replace('_', " ");
        _ = write!(text, "missing: {} {} ({state}): {}", missing.source, missing.what, missing.why);
        if let Some(remedy) = &missing.remedy {
            _ = write!(text, "\n  hint: {remedy}");
        }
        text.push('\n');
    }
    text
}

fn table(rows: &[SensorRow]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "DOMAIN", "KIND", "METHOD", "STATE", "POWER", "STEP", "UPDATE", "WRAP", "GAIN", "DEVICE",
    ]);
    for row in rows {
        let domain = &row.domain;
        table.add_row([
            domain.id.to_string(),
            domain.kind.as_str().into(),
            domain.method.as_str().into(),
            row.state.replace('_', " "),
            row.power_watts.map_or("-".into(), |watts| format!("{watts:.1} W")),
            step(domain.resolution.microjoules()),
            seconds(row.observed_update_seconds.or(Some(domain.update_period.as_secs_f64()))),
            seconds(row.wrap_seconds),
            domain.gain_percent.map_or("-".into(), |percent| format!("±{percent} %")),
            domain.device.clone(),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for column in 4..=8 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn step(microjoules: u64) -> String {
    match microjoules {
        0..1_000 => format!("{microjoules} µJ"),
        1_000..1_000_000 => format!("{} mJ", microjoules / 1_000),
        _ => format!("{} J", microjoules / 1_000_000),
    }
}

/// A time with the precision that a listing needs.
fn seconds(time: Option<f64>) -> String {
    match time.and_then(|time| Duration::try_from_secs_f64(time).ok()) {
        None => "-".into(),
        Some(time) if time < Duration::from_millis(10) => {
            format!("{} ms", (time.as_secs_f64() * 1e4).round() / 10.0)
        }
        Some(time) if time < Duration::from_secs(1) => format!("{} ms", time.as_millis()),
        Some(time) if time < Duration::from_secs(120) => format!("{:.1} s", time.as_secs_f64()),
        Some(time) if time < Duration::from_secs(7_200) => format!("{} min", time.as_secs() / 60),
        Some(time) => format!("{} h", time.as_secs() / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensors::{Domain, Kind, Method};
    use crate::units::{Energy, Power};

    #[test]
    fn the_listing_says_what_is_there_and_what_is_missing() {
        let domain = Domain {
            id: DomainId::new("rapl:package-0"),
            kind: Kind::Cpu,
            source: "rapl".into(),
            method: Method::Counter,
            resolution: Energy::from_microjoules(61),
            range: None,
            update_period: Duration::from_millis(1),
            max_power: Power::from_watts(1_000),
            overlap: Some("psys contains it".into()),
            gain_percent: Some(7.5),
            model_percent: None,
            driver: None,
            power_limit: None,
            device: "package-0".into(),
        };
        let list = SensorList {
            domains: vec![SensorRow {
                domain,
                state: "no_data".into(),
                observed_update_seconds: None,
                wrap_seconds: Some(262.1),
                power_watts: Some(12.34),
                read_errors: 0,
            }],
            missing: vec![Missing {
                source: "nvml".into(),
                what: "library".into(),
                state: "not_permitted".into(),
                why: "cannot be opened".into(),
                remedy: Some("chmod".into()),
            }],
        };
        let text = people(&list);
        let row = text.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            row,
            "rapl:package-0 cpu counter no data 12.3 W 61 µJ 1 ms 4 min ±7.5 % package-0"
        );
        assert!(text.contains("rapl:package-0 is shown and never added: psys contains it\n"));
        assert!(
            text.contains(
                "missing: nvml library (not permitted): cannot be opened\n  hint: chmod\n"
            )
        );
        assert_eq!(people(&SensorList::default()), "no energy sensor can be read here\n");
    }
}
