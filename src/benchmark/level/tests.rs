// SPDX-License-Identifier: Apache-2.0
//! Each row of the table of levels at its limits, and what no change may do.

use proptest::prelude::*;

use super::*;
use crate::benchmark::fixture::{self, again};
use crate::benchmark::record::ExceptionPart;

/// The conditions that hold the changed record back, each with what it allows.
fn unmet(change: impl FnOnce(&mut BenchmarkRecord)) -> Vec<(String, Level)> {
    let mut record = fixture::record();
    change(&mut record);
    let unmet = again(record).derived.level.unmet;
    unmet.into_iter().map(|one| (one.condition, one.allows)).collect()
}

/// What a condition allows.
#[track_caller]
fn row(condition: &str, allows: Level, change: impl FnOnce(&mut BenchmarkRecord)) {
    let unmet = unmet(change);
    let found = unmet.iter().find(|(name, _)| name == condition).map_or(Level::A, |one| one.1);
    assert_eq!(found, allows, "{condition} of {unmet:?}");
}

fn each_domain(record: &mut BenchmarkRecord, kind: &str, change: impl Fn(&mut BenchmarkDomain)) {
    let domains = record.repetitions.iter_mut().flat_map(|one| &mut one.domains);
    domains.filter(|domain| domain.kind == kind).for_each(change);
}

fn method_of(record: &mut BenchmarkRecord, kind: &str, method: &str) {
    each_domain(record, kind, |domain| domain.method = method.into());
}

#[test]
fn the_fixture_is_of_level_a() {
    let level = fixture::record().derived.level;
    assert_eq!(level, LevelPart { level: Level::A, unmet: Vec::new() });
}

#[test]
fn accelerators() {
    let row = |allows, change: &dyn Fn(&mut BenchmarkRecord)| {
        row("accelerators", allows, change);
    };
    row(Level::B, &|record| method_of(record, "gpu", "power"));
    row(Level::D, &|record| method_of(record, "gpu", "estimate"));
    row(Level::D, &|record| method_of(record, "gpu", "a word of somebody's"));
    // One of one window's, and one that no window has.
    row(Level::B, &|record| record.repetitions[3].domains[5].method = "power".into());
    row(Level::D, &|record| _ = record.repetitions[3].domains.remove(5));
    row(Level::D, &|record| record.repetitions[3].domains[5].summed = false);
    row(Level::D, &|record| {
        let mut more = record.machine.accelerators[0].clone();
        more.uuid = "GPU-more".into();
        record.machine.accelerators.push(more);
    });
    // A second domain of one stands for no other.
    row(Level::D, &|record| {
        let first = record.repetitions[0].domains[0].clone();
        record.repetitions[0].domains[1] = first;
    });
    // A machine without any.
    row(Level::A, &|record| {
        record.machine.host.gpus.clear();
        record.machine.accelerators.clear();
        for one in &mut record.repetitions {
            one.domains.retain(|domain| domain.kind != "gpu");
        }
    });
}

#[test]
fn packages_and_memory() {
    row("CPU packages", Level::C, |record| method_of(record, "cpu", "power"));
    row("CPU packages", Level::C, |record| {
        method_of(record, "cpu", "estimate");
        // An estimate is one domain for all packages.
        record
            .repetitions
            .iter_mut()
            .for_each(|one| one.domains.retain(|one| one.id != "rapl:package-1"));
    });
    row("CPU packages", Level::D, |record| {
        record.repetitions[4].domains.retain(|one| one.id != "rapl:package-1");
    });
    row("CPU packages", Level::D, |record| {
        record.repetitions[0].domains.retain(|one| one.kind != "cpu");
    });
    row("CPU packages", Level::A, |record| record.machine.host.cpus[0].sockets = None);

    let no_dram = |record: &mut BenchmarkRecord| {
        record.repetitions[2].domains.retain(|domain| domain.kind != "dram");
    };
    let no_node = |record: &mut BenchmarkRecord| {
        record.repetitions[1].domains.retain(|domain| domain.kind != "node");
    };
    row("memory", Level::A, no_dram);
    row("memory", Level::A, no_node);
    row("memory", Level::B, |record| {
        no_dram(record);
        no_node(record);
    });
    row("memory", Level::B, |record| {
        method_of(record, "dram", "estimate");
        method_of(record, "node", "estimate");
    });
    row("node power", Level::B, no_node);
    row("node power", Level::B, |record| method_of(record, "node", "estimate"));
    row("node power", Level::A, |record| method_of(record, "node", "power"));
}

#[test]
fn estimated_share() {
    let share = |percent: f64| {
        move |record: &mut BenchmarkRecord| {
            each_domain(record, "dram", |domain| {
                domain.method = "estimate".into();
                domain.joules = 1_000.0;
            });
            // Two of them; all the others together so much that they are `percent`.
            let others = 2_000.0 * (100.0 - percent) / percent / 10.0;
            for kind in ["gpu", "cpu"] {
                each_domain(record, kind, |domain| domain.joules = others);
            }
        }
    };
    row("estimated share of E_measured", Level::B, share(4.999));
    row("estimated share of E_measured", Level::C, share(5.001));
    row("estimated share of E_measured", Level::C, share(29.999));
    row("estimated share of E_measured", Level::D, share(30.001));
}

#[test]
fn gaps_and_windows() {
    let gap = |seconds: f64| {
        move |record: &mut BenchmarkRecord| record.repetitions[1].gaps_seconds = seconds
    };
    for (seconds, allows) in [
        (0.0, Level::A),
        (0.001, Level::B),
        (6.0, Level::B),
        (6.001, Level::C),
        (30.0, Level::C),
        (30.1, Level::D),
    ] {
        row("time in gaps", allows, gap(seconds));
    }
    let window =
        |seconds: f64| move |record: &mut BenchmarkRecord| record.repetitions[1].seconds = seconds;
    for (seconds, allows) in
        [(600.0, Level::A), (599.9, Level::B), (60.0, Level::B), (59.9, Level::D)]
    {
        row("window", allows, window(seconds));
    }
    // 100 periods of a sensor of 7 s, and of one that states none.
    let slow = |seconds: f64, period: Option<f64>| {
        move |record: &mut BenchmarkRecord| {
            each_domain(record, "node", |domain| domain.update_period_seconds = period);
            record.repetitions.iter_mut().for_each(|one| one.seconds = seconds);
        }
    };
    row("window", Level::A, slow(700.0, Some(7.0)));
    row("window", Level::C, slow(699.0, Some(7.0)));
    row("window", Level::B, slow(100.0, None));
    row("window", Level::C, slow(99.9, None));
}

#[test]
fn repetitions_and_half_width() {
    for (count, allows) in
        [(5, Level::A), (4, Level::C), (3, Level::C), (2, Level::D), (1, Level::D)]
    {
        row("repetitions", allows, |record| record.repetitions.truncate(count));
    }
    // By what is common alone: equal values, no meter's part.
    let half_width = |percent: f64| {
        move |record: &mut BenchmarkRecord| {
            for one in &mut record.repetitions {
                one.units = 6e5;
                one.domains.retain(|domain| domain.kind == "cpu");
                for domain in &mut one.domains {
                    domain.uncertainty_joules = 0.0;
                    domain.id = "rapl:package-0".into();
                    domain.common_percent = Some(percent);
                }
            }
        }
    };
    for (percent, allows) in [
        (4.999, Level::A),
        (5.001, Level::B),
        (9.999, Level::B),
        (10.001, Level::C),
        (24.999, Level::C),
        (25.001, Level::D),
    ] {
        row("combined half-width of E / R", allows, half_width(percent));
    }
}

#[test]
fn drift() {
    // A straight line up by so many percent of the mean over the campaign.
    let line = |percent: f64| {
        move |record: &mut BenchmarkRecord| {
            for (place, one) in record.repetitions.iter_mut().enumerate() {
                let value = 3.0 * (1.0 + percent / 100.0 * (place as f64 - 2.0) / 4.0);
                one.units = one.joules / value;
            }
        }
    };
    row("drift", Level::A, line(0.0));
    row("drift", Level::B, line(1.99));
    row("drift", Level::B, line(-1.99));
    row("drift", Level::C, line(2.01));
    row("drift", Level::C, line(40.0));
}

#[test]
fn exclusive_use_counts_whether_it_was_told_or_not() {
    const ROW: &str = "exclusive use, no throttling, one power limit";
    let throttled = |reason: &'static str| {
        move |record: &mut BenchmarkRecord| {
            record.repetitions[4].after.accelerators[7].throttle_reasons.push(reason.into());
        }
    };
    row(ROW, Level::A, |record| record.repetitions[0].other_cpu_share = Some(0.0499));
    row(ROW, Level::C, |record| record.repetitions[0].other_cpu_share = Some(0.05));
    row(ROW, Level::C, |record| record.repetitions[0].other_cpu_share = None);
    row(ROW, Level::C, |record| record.repetitions[0].other_jobs.push("a job".into()));
    row(ROW, Level::A, throttled("sw_power_cap"));
    row(ROW, Level::C, throttled("sw_thermal_slowdown"));
    row(ROW, Level::C, throttled("hw_thermal_slowdown"));
    row(ROW, Level::C, throttled("hw_power_brake_slowdown"));
    row(ROW, Level::C, throttled("hw_slowdown"));
    row(ROW, Level::C, |record| {
        record.repetitions[1].before.accelerators[0].power_limit_watts = Some(500.0);
    });
    row(ROW, Level::C, |record| _ = record.repetitions[1].before.accelerators.pop());
    let told = |rule| {
        move |record: &mut BenchmarkRecord| {
            let found = "as seen by the campaign".to_owned();
            record.exceptions.push(ExceptionPart { rule, repetition: Some(1), found });
        }
    };
    row(ROW, Level::C, told(Rule::ExclusiveAccelerators));
    row(ROW, Level::C, told(Rule::PowerLimit));
    row(ROW, Level::A, told(Rule::Settling));
}

#[test]
fn intensity() {
    let of = |change: fn(&mut WindowIntensity)| {
        move |record: &mut BenchmarkRecord| {
            if let Some(intensity) = &mut record.repetitions[2].intensity {
                change(intensity);
            }
        }
    };
    row("intensity", Level::B, of(|one| one.settled = false));
    row("intensity", Level::A, of(|one| one.parts[0].kind = "estimated".into()));
    row("intensity", Level::C, of(|one| one.parts[0].kind = "table".into()));
    row("intensity", Level::C, of(|one| one.parts[0].kind = "forecast".into()));
    row("intensity", Level::C, of(|one| one.parts.clear()));
    row("intensity", Level::A, of(|one| one.parts[1].to = "2026-11-24T11:00:00Z".into()));
    row("intensity", Level::C, of(|one| one.parts[1].to = "2026-11-24T11:00:01Z".into()));
    row("intensity", Level::C, of(|one| one.parts[1].to = "at noon".into()));
    row("intensity", Level::D, of(|one| one.zone = "WORLD".into()));
    row("intensity", Level::D, |record| record.repetitions[2].intensity = None);
}

#[test]
fn building_hardware_and_origin() {
    let kind = |kind: PueKind| {
        move |record: &mut BenchmarkRecord| {
            if let Some(pue) = &mut record.pue {
                pue.kind = kind;
            }
        }
    };
    row("PUE", Level::A, kind(PueKind::Measured));
    row("PUE", Level::B, kind(PueKind::Stated));
    row("PUE", Level::C, kind(PueKind::Assumed));
    row("PUE", Level::C, |record| record.pue = None);
    row("embodied", Level::C, |record| record.embodied = None);
    row("origin", Level::D, |record| record.campaign.origin = Origin::Literature);
}

/// Things that get worse and never better, whatever stands there.
const WORSE: [fn(&mut BenchmarkRecord); 24] = [
    |record| record.campaign.origin = Origin::Literature,
    |record| method_of(record, "gpu", "estimate"),
    |record| method_of(record, "cpu", "estimate"),
    |record| method_of(record, "dram", "estimate"),
    |record| method_of(record, "node", "estimate"),
    |record| record.repetitions[0].domains.retain(|domain| domain.kind != "node"),
    |record| record.repetitions[1].domains.retain(|domain| domain.kind != "gpu"),
    |record| record.repetitions[2].domains.retain(|domain| domain.kind != "cpu"),
    |record| record.repetitions[0].gaps_seconds += 5.0,
    |record| record.repetitions[2].gaps_seconds += 100.0,
    |record| record.repetitions[0].seconds /= 2.0,
    |record| record.repetitions[1].seconds /= 20.0,
    |record| record.repetitions[0].other_cpu_share = Some(1.0),
    |record| record.repetitions[1].other_cpu_share = None,
    |record| record.repetitions[1].other_jobs.push("another".into()),
    |record| record.repetitions[0].before.accelerators.clear(),
    |record| record.repetitions[0].intensity = None,
    |record| record.pue = None,
    |record| record.embodied = None,
    |record| {
        let domains = record.repetitions.iter_mut().flat_map(|one| &mut one.domains);
        domains
            .for_each(|domain| domain.uncertainty_joules = domain.uncertainty_joules * 3.0 + 1e3);
    },
    |record| {
        let domains = record.repetitions.iter_mut().flat_map(|one| &mut one.domains);
        domains.for_each(|domain| {
            domain.common_percent = Some(domain.common_percent.unwrap_or(0.0).max(3.0) * 2.0);
        });
    },
    |record| each_domain(record, "gpu", |domain| domain.update_period_seconds = Some(60.0)),
    |record| {
        for intensity in record.repetitions.iter_mut().flat_map(|one| &mut one.intensity) {
            intensity.settled = false;
        }
    },
    |record| {
        let rule = Rule::Throttling;
        record.exceptions.push(ExceptionPart { rule, repetition: None, found: "seen".into() });
    },
];

fn level_after(changes: &[usize]) -> Level {
    let mut record = fixture::record();
    changes.iter().for_each(|change| WORSE[*change](&mut record));
    again(record).derived.level.level
}

#[test]
fn all_of_these_are_worse_than_a() {
    for change in 0..WORSE.len() {
        // A meter's larger part and a slower sensor of a long window may still be of level A.
        if ![19, 20].contains(&change) {
            assert!(level_after(&[change]) > Level::A, "{change}");
        }
    }
}

proptest! {
    #[test]
    fn the_level_is_never_better_when_a_part_gets_worse(
        before in prop::collection::vec(0..WORSE.len(), 0..4),
        worse in 0..WORSE.len(),
    ) {
        let mut after = before.clone();
        after.push(worse);
        prop_assert!(level_after(&after) >= level_after(&before));
    }

    #[test]
    fn the_level_is_that_of_the_worst_condition(
        changes in prop::collection::vec(0..WORSE.len(), 0..6),
    ) {
        let mut record = fixture::record();
        changes.iter().for_each(|change| WORSE[*change](&mut record));
        let part = again(record).derived.level;
        let worst = part.unmet.iter().map(|one| one.allows).max().unwrap_or(Level::A);
        prop_assert_eq!(part.level, worst);
        prop_assert!(part.unmet.iter().all(|one| one.allows > Level::A && !one.found.is_empty()));
    }
}
