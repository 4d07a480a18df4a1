// SPDX-License-Identifier: Apache-2.0
//! The figures of a record against figures computed by hand.

use aimeter::jobs::{Exit, JobState};
use aimeter::ledger::{DomainReport, JobReport};
use aimeter::record::{Record, build, read};
use aimeter::sensors::Kind;
use proptest::prelude::*;

use crate::fixtures::*;

fn record(report: &JobReport) -> Record {
    build(report, &host(), &facts())
}

#[test]
fn the_total_is_the_sum_of_what_is_counted_and_the_node_is_not() {
    let record = record(&server());
    assert_eq!(record.energy.total_joules, Some(1_735_200.0));
    assert_eq!(record.energy.facility_joules, Some(2_082_240.0));
    assert_eq!(record.quality.coverage, ["gpu", "cpu", "dram"]);
    assert_eq!(record.energy.domains.len(), 4);
    assert_eq!(record.energy.domains[1].share, Some(0.41));
    assert_eq!(record.energy.provenance.as_deref(), Some("measured"));
    let words: Vec<_> = record.energy.domains.iter().map(|one| one.provenance.as_str()).collect();
    assert_eq!(words, ["measured", "derived", "derived", "derived"]);
}

#[test]
fn a_duplicate_of_a_counted_kind_is_left_out_so_that_coverage_tells_the_total() {
    let record = record(&with(vec![
        domain("rapl:package-0", Kind::Cpu, 10.0),
        overlapping("hwmon:socket", Kind::Cpu, 11.0),
        overlapping("rapl:package-0/core", Kind::Core, 4.0),
    ]));
    let ids: Vec<_> = record.energy.domains.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["rapl:package-0", "rapl:package-0/core"]);
    assert_eq!(record.energy.total_joules, Some(10.0));
}

#[test]
fn edges_add_in_quadrature_and_one_split_by_cpu_time_linearly() {
    let two_gpus = record(&with(vec![gpu("GPU-a", 100.0, 3.0), gpu("GPU-b", 100.0, 4.0)]));
    assert_eq!(two_gpus.energy.uncertainty_joules, Some(5.0));
    let two_packages = record(&with(vec![
        shared("rapl:package-0", Kind::Cpu, 100.0, 3.0, 0.5),
        shared("rapl:package-1", Kind::Cpu, 100.0, 4.0, 0.5),
    ]));
    assert_eq!(two_packages.energy.uncertainty_joules, Some(7.0));
    let all = record(&server());
    let expected = f64::hypot(4_100.0, 3_100.0 + 800.0);
    assert!((all.energy.uncertainty_joules.unwrap() - expected).abs() < 1e-6);
}

#[test]
fn causes_within_a_domain_are_independent() {
    let mut one = domain("rapl:package-0", Kind::Cpu, 100.0);
    one.amount.uncertainty.edge = joules(1.0);
    one.amount.uncertainty.split = joules(2.0);
    one.amount.uncertainty.gap = joules(4.0);
    one.amount.uncertainty.resolution = joules(10.0);
    assert_eq!(record(&with(vec![one])).energy.domains[0].uncertainty_joules, Some(11.0));
}

#[test]
fn gaps_of_one_absence_add_linearly_and_their_time_does_not() {
    let gap = |id, joules_missed, seconds: u64| {
        let mut one = domain(id, Kind::Gpu, 50.0);
        one.amount.uncertainty.gap = joules(joules_missed);
        one.amount.gap_nanoseconds = seconds * 1_000_000_000;
        one
    };
    let record = record(&with(vec![gap("nvml:GPU-a", 3.0, 5), gap("nvml:GPU-b", 4.0, 4)]));
    assert_eq!(record.energy.uncertainty_joules, Some(7.0));
    assert_eq!(record.quality.gaps_seconds, 5.0);
}

#[test]
fn gain_error_averages_over_devices_but_not_within_one() {
    let gain = |domains: Vec<DomainReport>| record(&with(domains)).energy.sensor_gain_percent;
    assert_eq!(gain(vec![gpu("GPU-a", 9.0, 0.0)]), Some(7.5));
    // 7.5 % / √2.
    assert_eq!(gain(vec![gpu("GPU-a", 9.0, 0.0), gpu("GPU-b", 9.0, 0.0)]), Some(5.3));
    let rapl = |id, kind| {
        let mut one = domain(id, kind, 10.0);
        one.domain.gain_percent = Some(5.0);
        one
    };
    let one_device =
        vec![rapl("rapl:package-0", Kind::Cpu), rapl("rapl:package-0/dram", Kind::Dram)];
    assert_eq!(gain(one_device), Some(5.0));
    // Of the energy that has a figure, however much has none.
    let half = vec![gpu("GPU-a", 9.0, 0.0), domain("rapl:package-0", Kind::Cpu, 90.0)];
    assert_eq!(gain(half), Some(7.5));
    assert_eq!(gain(vec![domain("rapl:package-0", Kind::Cpu, 90.0)]), None);
}

#[test]
fn an_estimate_is_never_added_silently() {
    let only = record(&with(vec![estimate(200.0, 60.0)]));
    assert_eq!(only.energy.provenance.as_deref(), Some("estimated"));
    assert_eq!(only.energy.domains[0].provenance, "estimated");
    assert_eq!(only.energy.uncertainty_joules, Some(120.0));
    let mixed = record(&with(vec![gpu("GPU-a", 800.0, 50.0), estimate(200.0, 60.0)]));
    assert_eq!(mixed.energy.provenance.as_deref(), Some("mixed"));
    assert_eq!(mixed.energy.uncertainty_joules, Some(130.0));
    let mut unstated = estimate(200.0, 0.0);
    unstated.domain.model_percent = None;
    assert_eq!(record(&with(vec![unstated])).energy.uncertainty_joules, Some(200.0));
}

#[test]
fn emissions_are_energy_times_intensity_times_pue() {
    let record = record(&server());
    let expected = 1_735_200.0 / 3.6e6 * 210.9 * 1.2;
    assert!((record.emissions.total_grams.unwrap() - expected).abs() < 1e-6);
    assert_eq!(record.emissions.operational_grams, record.emissions.total_grams);
    assert_eq!(record.emissions.embodied_grams, None);
    let intensity = record.emissions.intensity.unwrap();
    assert!((intensity.mean_grams_per_kwh - 210.9).abs() < 1e-9);
    assert_eq!(intensity.zone, "GB");
    assert!(!intensity.settled);
    assert_eq!(intensity.parts.len(), 1);
    assert_eq!(intensity.parts[0].from, "2026-11-24T09:00:00.000Z");
    assert_eq!(intensity.parts[0].to, "2026-11-24T09:12:31.250Z");
    assert_eq!(intensity.parts[0].kind, "table");
}

#[test]
fn a_zone_without_figures_is_the_world_and_says_so() {
    let zone = |zone: Option<&str>| {
        let mut report = server();
        report.job.zone = zone.map(str::to_owned);
        let record = record(&report);
        (record.emissions.intensity.unwrap().zone, record.quality.notes.concat())
    };
    let (used, notes) = zone(None);
    assert_eq!(used, "WORLD");
    assert!(notes.contains("no zone is set"), "{notes}");
    let (used, notes) = zone(Some("UK"));
    assert_eq!(used, "WORLD");
    assert!(notes.contains("did you mean `GB`?"), "{notes}");
    let (used, notes) = zone(Some("gb"));
    assert_eq!(used, "GB");
    assert!(!notes.contains("world"), "{notes}");
}

#[test]
fn without_a_fact_for_all_of_its_time_emissions_are_null_and_not_too_low() {
    let mut facts = facts();
    facts.facts.retain(|fact| fact.zone == "GB");
    facts.facts[0].to = at("2026-11-24T09:05:00Z");
    let record = build(&server(), &host(), &facts);
    assert_eq!(record.emissions.total_grams, None);
    assert!(record.quality.notes.iter().any(|note| note.starts_with("emissions are not computed")));
}

/// A job of a few milliseconds was said to be without a known intensity.
#[test]
fn no_energy_is_no_emission() {
    let mut report = with(vec![estimate(0.0, 50.0)]);
    report.intervals.clear();
    let record = record(&report);
    assert_eq!(record.energy.total_joules, Some(0.0));
    assert_eq!(record.emissions.total_grams, Some(0.0));
    assert_eq!(record.emissions.intensity, None);
    assert!(!record.quality.notes.concat().contains("not computed"));
}

#[test]
fn exits_are_told_as_a_shell_tells_them() {
    let exit = |exit| {
        let mut report = report();
        report.job.exit = exit;
        record(&report).job.exit_code
    };
    assert_eq!(exit(Some(Exit::Code(3))), Some(3));
    assert_eq!(exit(Some(Exit::Signal(9))), Some(137));
    assert_eq!(exit(Some(Exit::Unknown)), None);
    assert_eq!(exit(None), None);
}

#[test]
fn a_running_job_has_a_record_without_an_end() {
    let mut report = server();
    report.job.state = JobState::Running;
    (report.job.ended, report.job.duration, report.job.exit) = (None, None, None);
    let record = record(&report);
    assert_eq!((record.job.ended_at, record.job.duration_seconds), (None, None));
    assert_eq!(record.job.started_at, "2026-11-24T09:00:00.000Z");
}

#[test]
fn what_is_missing_is_one_line_each_and_overlaps_are_no_loss() {
    let mut report = server();
    report.missing = vec![
        missing("nvml", "GPU 1", "lost", "fell off\nthe bus", Some("reset it")),
        missing("rapl", "core", "overlap", "part of package-0", None),
    ];
    report.notes.push("the daemon was away for 5.0 s".into());
    assert_eq!(
        record(&report).quality.notes,
        [
            "not measured: GPU 1 (nvml): fell off the bus; reset it",
            "the daemon was away for 5.0 s",
            "CPU and DRAM energy is split between jobs by CPU time",
        ]
    );
}

#[test]
fn the_hosts_gpus_are_those_of_the_job() {
    let mut other = gpu("GPU-new", 1.0, 0.0);
    other.domain.driver = None;
    let record = record(&with(vec![gpu("GPU-6f0c", 1.0, 0.0), other]));
    let gpus: Vec<_> =
        record.host.gpus.iter().map(|gpu| (gpu.uuid.as_str(), gpu.driver.as_deref())).collect();
    assert_eq!(gpus, [("GPU-6f0c", Some("580.159.04")), ("GPU-new", None)]);
    assert_eq!(record.host.gpus[0].power_limit_watts, Some(700.0));
}

fn any_domain() -> impl Strategy<Value = DomainReport> {
    let energies = (0..u64::MAX / 64, 0..u64::MAX / 64, 0..u64::MAX / 64);
    let choices = (0..6usize, 0..4u8, prop::option::of(0.0..50.0f64), any::<bool>());
    (energies, choices).prop_map(|((energy, width, moved), (kind, form, gain, exclusive))| {
        let energy = aimeter::units::Energy::from_microjoules(energy);
        let mut one =
            if form == 0 { estimate(0.0, 70.0) } else { domain("rapl:x", Kind::Cpu, 0.0) };
        one.domain.kind = Kind::ALL[kind];
        one.domain.overlap = (form == 1).then(|| "overlaps".to_owned());
        one.domain.gain_percent = gain;
        one.amount.energy = energy;
        one.amount.uncertainty.split = aimeter::units::Energy::from_microjoules(width);
        one.moved = Some(aimeter::units::Energy::from_microjoules(moved));
        one.exclusive = exclusive;
        one
    })
}

/// Every number of a JSON value; serde_json writes what is not finite as null,
/// so the record's own fields are compared after reading back.
fn numbers(value: &serde_json::Value, found: &mut Vec<f64>) {
    match value {
        serde_json::Value::Number(number) => found.push(number.as_f64().unwrap()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| numbers(item, found)),
        serde_json::Value::Object(fields) => fields.values().for_each(|one| numbers(one, found)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn any_report_gives_a_finite_record_whose_parts_add_up(
        domains in prop::collection::vec(any_domain(), 0..12),
        pue in prop::option::of(1_000..3_000u32),
    ) {
        let mut report = with(domains);
        report.job.pue_thousandths = pue;
        let record = record(&report);
        let coverage = &record.quality.coverage;
        let sum: f64 = record
            .energy
            .domains
            .iter()
            .filter(|one| coverage.contains(&one.kind))
            .map(|one| one.joules)
            .sum();
        prop_assert_eq!(record.energy.total_joules.is_none(), coverage.is_empty());
        let total = record.energy.total_joules.unwrap_or(0.0);
        prop_assert!((sum - total).abs() <= 1e-12 * total.abs(), "{} {}", sum, total);
        let json = serde_json::to_string(&record).unwrap();
        let mut found = Vec::new();
        numbers(&serde_json::from_str(&json).unwrap(), &mut found);
        prop_assert!(found.iter().all(|number| number.is_finite() && *number >= 0.0));
        // What is not finite would come back as null or not at all.
        prop_assert_eq!(read(&json).unwrap(), record);
    }
}
