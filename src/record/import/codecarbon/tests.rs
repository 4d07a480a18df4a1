// SPDX-License-Identifier: Apache-2.0
//! Rows of CodeCarbon's, with figures worked out by hand.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

const RUN: &str = "ea4550ba-104b-4d62-9e08-6aa53cb5b36f";

/// A row by its columns, over a row that is in order: 2 kWh with a PUE of 1.25, of which
/// the GPU has 1, the CPU 0.75, the memory 0.25; 400 g/kWh.
fn file(changes: &[(&str, &str)]) -> String {
    let mut cells: Vec<(&str, String)> = [
        ("timestamp", "2026-11-24T15:11:43"),
        ("project_name", "vision"),
        ("run_id", RUN),
        ("duration", "3600"),
        ("emissions", "0.8"),
        ("cpu_energy", "0.75"),
        ("gpu_energy", "1"),
        ("ram_energy", "0.25"),
        ("energy_consumed", "2"),
        ("country_name", "France"),
        ("country_iso_code", "FRA"),
        ("region", ""),
        ("codecarbon_version", "3.3.2"),
        ("cpu_model", "AMD EPYC"),
        ("gpu_model", "2 x NVIDIA A100"),
        ("tracking_mode", "machine"),
        ("pue", "1.25"),
    ]
    .map(|(name, cell)| (name, cell.to_owned()))
    .to_vec();
    for (name, cell) in changes {
        match cells.iter_mut().find(|(column, _)| column == name) {
            Some(found) => found.1 = (*cell).to_owned(),
            None => cells.push((name, (*cell).to_owned())),
        }
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells.iter().map(|(name, _)| name)).unwrap();
    writer.write_record(cells.iter().map(|(_, cell)| cell)).unwrap();
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

fn utc() -> Clock {
    Clock { zone: TimeZone::UTC, named: false }
}

fn imported(text: &str) -> Import {
    read(text.as_bytes(), &utc()).unwrap()
}

fn record(changes: &[(&str, &str)]) -> Record {
    let import = imported(&file(changes));
    assert_eq!(import.remarks, []);
    import.records.into_iter().next().unwrap()
}

fn refused(changes: &[(&str, &str)]) -> (String, String) {
    let import = imported(&file(changes));
    assert_eq!(import.records, [], "{changes:?}");
    let remark = &import.remarks[0];
    assert!(remark.refused && remark.place == Place::Line(2), "{remark:?}");
    (remark.field.clone(), remark.why.clone())
}

#[test]
fn a_row_keeps_what_it_says_and_gains_nothing() {
    let record = record(&[]);
    assert_eq!((record.job.id.as_str(), record.job.origin.as_str()), (RUN, "codecarbon"));
    assert_eq!(record.job.started_at, "2026-11-24T14:11:43.000Z");
    assert_eq!(record.job.ended_at.as_deref(), Some("2026-11-24T15:11:43.000Z"));
    assert_eq!((record.job.user.as_str(), record.job.exit_code), ("unknown", None));
    let energy = &record.energy;
    // Energies have the PUE in them.
    assert_eq!(energy.total_joules, Some(2.0 / 1.25 * 3.6e6));
    assert_eq!(energy.facility_joules, Some(7.2e6));
    assert_eq!((energy.uncertainty_joules, energy.sensor_gain_percent), (None, None));
    assert_eq!(energy.provenance.as_deref(), Some("mixed"));
    let domains: Vec<_> = energy
        .domains
        .iter()
        .map(|one| (one.kind.as_str(), one.provenance.as_str(), one.method.as_str(), one.joules))
        .collect();
    assert_eq!(
        domains,
        [
            ("gpu", "measured", "unknown", 2.88e6),
            ("cpu", "estimated", "estimate", 2.16e6),
            ("dram", "estimated", "estimate", 0.72e6),
        ]
    );
    assert!(energy.domains.iter().all(|one| one.uncertainty_joules.is_none()));
    assert_eq!(record.emissions.operational_grams, Some(800.0));
    assert_eq!(record.emissions.unsettled_grams, Some(800.0));
    assert_eq!(record.emissions.embodied_grams, None);
    let intensity = record.emissions.intensity.as_ref().unwrap();
    assert_eq!((intensity.zone.as_str(), intensity.mean_grams_per_kwh), ("FR", 400.0));
    assert_eq!((intensity.boundary.as_str(), intensity.settled), ("unknown", false));
    assert_eq!(intensity.parts[0].source, "codecarbon");
    assert_eq!(record.host.gpus.len(), 2);
    let notes = record.quality.notes.join("\n");
    for part in ["CodeCarbon 3.3.2", "no uncertainty", "taken as UTC", "whole machine", "TDP"] {
        assert!(notes.contains(part), "{part} is not in {notes}");
    }
}

#[test]
fn what_may_be_estimated_is_called_so() {
    let provenance = |changes: &[(&str, &str)]| record(changes).energy.provenance.unwrap();
    assert_eq!(provenance(&[("gpu_energy", "0"), ("energy_consumed", "1")]), "estimated");
    // Apple's GPUs have no count: their figure is a model's.
    assert_eq!(provenance(&[("gpu_model", "Apple M2 Max")]), "estimated");
    assert_eq!(provenance(&[("gpu_model", "")]), "estimated");
    // A row of aimeter's own says what it is.
    for word in ["measured", "derived", "estimated", "mixed"] {
        let version = format!("aimeter 0.1.0 ({word})");
        assert_eq!(provenance(&[("codecarbon_version", &version)]), word);
    }
    assert_eq!(provenance(&[("codecarbon_version", "aimeter 0.1.0 (perfect)")]), "mixed");
}

#[test]
fn energy_of_no_known_kind_is_kept_apart() {
    let bare = [("cpu_energy", ""), ("gpu_energy", ""), ("ram_energy", "")];
    let whole = record(&bare);
    assert_eq!(whole.quality.coverage, ["other"]);
    assert_eq!(whole.energy.domains[0].joules, 5.76e6);
    let rest = record(&[("cpu_energy", "0.5")]);
    assert_eq!(rest.quality.coverage, ["gpu", "cpu", "dram", "other"]);
    let sum: f64 = rest.energy.domains.iter().map(|one| one.joules).sum();
    assert_eq!(Some(sum), rest.energy.total_joules);
}

#[test]
fn a_pue_of_one_is_none() {
    let record = record(&[("pue", "1.0")]);
    assert_eq!((record.energy.pue, record.energy.facility_joules), (None, None));
    assert_eq!(record.energy.total_joules, Some(7.2e6));
}

#[test]
fn a_zone_is_named_only_as_far_as_the_row_does() {
    let zone = |country: &str, code: &str, region: &str| {
        let changes = [("country_name", country), ("country_iso_code", code), ("region", region)];
        record(&changes).emissions.intensity.unwrap().zone
    };
    assert_eq!(zone("United States", "USA", "california"), "US-CA");
    assert_eq!(zone("United States", "USA", "iowa city"), "US");
    assert_eq!(zone("Czech Republic", "CZE", ""), "CZE");
    assert_eq!(zone("", "", "gb"), "GB");
    assert_eq!(zone("", "", ""), "unknown");
}

#[test]
fn the_longest_row_of_a_run_stands_for_it() {
    let mut text = file(&[
        ("duration", "100"),
        ("energy_consumed", "1.0"),
        ("cpu_energy", ""),
        ("gpu_energy", ""),
        ("ram_energy", ""),
        ("emissions", "0.4"),
    ]);
    let last = file(&[]);
    text.push_str(last.lines().nth(1).unwrap());
    let import = imported(&text);
    assert_eq!(import.records.len(), 1);
    assert_eq!(import.records[0].job.duration_seconds, Some(3_600.0));
    let remark = &import.remarks[0];
    assert_eq!((remark.refused, remark.place), (false, Place::Line(2)));
    assert!(remark.why.contains("line 3"), "{}", remark.why);
    // A shorter row with more energy is no earlier state.
    let text = file(&[("duration", "100"), ("energy_consumed", "2.7"), ("emissions", "0.9")]);
    let import = imported(&(text + last.lines().nth(1).unwrap()));
    assert_eq!((import.records.len(), import.remarks[0].refused), (1, true));
}

#[test]
fn tasks_of_a_run_are_jobs_of_their_own() {
    let first = file(&[("task_name", "load")]);
    let second = file(&[("task_name", "train")]);
    let import = imported(&(first + second.lines().nth(1).unwrap()));
    let names: Vec<&str> = import.records.iter().map(|one| one.job.name.as_str()).collect();
    assert_eq!(names, ["load", "train"]);
    assert_ne!(import.records[0].job.id, import.records[1].job.id);
    assert!(import.records[0].quality.notes.iter().any(|note| note.contains("contains it")));
}

#[test]
fn what_cannot_be_is_refused_by_its_field() {
    for (column, cell) in [
        ("timestamp", "now"),
        ("timestamp", ""),
        ("run_id", ""),
        ("run_id", "../../etc/passwd"),
        ("duration", ""),
        ("duration", "-1"),
        ("duration", "1e300"),
        ("energy_consumed", ""),
        ("energy_consumed", "NaN"),
        ("energy_consumed", "1e300"),
        ("energy_consumed", "1e7"),
        ("energy_consumed", "-2"),
        ("emissions", "inf"),
        ("emissions", "-1"),
        // 1,600 g/kWh.
        ("emissions", "3.2"),
        ("gpu_energy", "x"),
        ("pue", "0.5"),
        ("pue", "machine"),
    ] {
        assert_eq!(refused(&[(column, cell)]).0, column, "{cell}");
    }
    // Less than its parts: the mark of shifted cells.
    assert_eq!(refused(&[("energy_consumed", "1.9")]).0, "energy_consumed");
    // 200 kW.
    assert_eq!(refused(&[("duration", "36")]).0, "energy_consumed");
    let long = "x".repeat(1 << 20);
    assert_eq!(refused(&[("project_name", &long)]).0, "project_name");
    assert_eq!(refused(&[("gpu_model", &long)]).0, "gpu_model");
    assert!(refused(&[("energy_consumed", &long)]).1.len() < 200);
}

#[test]
fn a_count_of_gpus_is_not_believed_without_bound() {
    assert_eq!(record(&[("gpu_model", "4294967295 x H100")]).host.gpus.len(), 64);
}

proptest! {
    /// Joules and grams are those of the row, whatever the parts are.
    #[test]
    fn no_energy_is_lost_or_made(
        parts in prop::array::uniform3(0.0_f64..5.0),
        rest in 0.0_f64..1.0,
        pue in 1.0_f64..3.0,
        grams in 0.0_f64..1_400.0,
    ) {
        let total = parts.iter().sum::<f64>() + rest;
        let cells = [parts[0], parts[1], parts[2], total, total * grams / 1e3, pue];
        let cells = cells.map(|cell| cell.to_string());
        let import = imported(&file(&[
            ("cpu_energy", &cells[0]),
            ("gpu_energy", &cells[1]),
            ("ram_energy", &cells[2]),
            ("energy_consumed", &cells[3]),
            ("emissions", &cells[4]),
            ("pue", &cells[5]),
        ]));
        prop_assert_eq!(&import.remarks, &[]);
        let record = &import.records[0];
        let joules = total * 3.6e6 / pue;
        let found = record.energy.total_joules.unwrap();
        prop_assert!((found - joules).abs() < 1e-6 + joules * 1e-12);
        let sum: f64 = record.energy.domains.iter().map(|one| one.joules).sum();
        prop_assert!((sum - found).abs() <= found * 1e-6 + 3e-6);
        let emitted = record.emissions.operational_grams.unwrap();
        prop_assert!((emitted - total * grams).abs() < 1e-5);
    }

    /// Columns in any order are the same row.
    #[test]
    fn the_order_of_columns_means_nothing(seed in any::<u64>()) {
        let text = file(&[]);
        let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let (names, cells) = (lines.next().unwrap(), lines.next().unwrap());
        let mut places: Vec<usize> = (0..names.len()).collect();
        places.sort_by_key(|place| seed.rotate_left(u32::try_from(*place).unwrap() * 7) % 97);
        let pick = |all: &[&str]| places.iter().map(|p| all[*p]).collect::<Vec<_>>().join(",");
        let shuffled = format!("{}\n{}\n", pick(&names), pick(&cells));
        prop_assert_eq!(imported(&shuffled), imported(&text));
    }
}
