// SPDX-License-Identifier: Apache-2.0
//! Each rule of a valid record, broken by one change.

use super::*;
use crate::benchmark::fixture::{self, again};
use crate::benchmark::read::read;
use crate::benchmark::record::*;
use crate::record::IntensityUse;

type Change = fn(&mut BenchmarkRecord);

fn violations(record: &BenchmarkRecord) -> Vec<Violation> {
    validate(&read(fixture::text(record).as_bytes()).unwrap()).violations
}

/// The change, with all that follows from it made anew, is caught there and as that.
#[track_caller]
fn caught(check: Check, at: &str, found: &str, change: impl FnOnce(&mut BenchmarkRecord)) {
    let mut record = fixture::record();
    change(&mut record);
    let all = violations(&again(record));
    let is = all.iter().any(|one| one.check == check && one.at == at && one.found.contains(found));
    assert!(is, "{check:?} {at} {found} is not in {all:#?}");
}

#[track_caller]
fn valid(change: impl FnOnce(&mut BenchmarkRecord)) {
    let mut record = fixture::record();
    change(&mut record);
    assert_eq!(violations(&again(record)), []);
}

#[test]
fn the_fixture_is_valid() {
    let outcome = validate(&read(fixture::text(&fixture::record()).as_bytes()).unwrap());
    assert_eq!(outcome, Outcome { violations: Vec::new(), level: Some(Level::A) });
}

#[test]
fn numbers_times_and_lengths() {
    let arithmetic = |at: &str, found: &str, change: fn(&mut BenchmarkRecord)| {
        caught(Check::Arithmetic, at, found, change);
    };
    arithmetic("/repetitions/1/number", "it is the 2. in order", |record| {
        record.repetitions[1].number = 3
    });
    arithmetic("/repetitions/0/ended_at", "is later", |record| {
        record.repetitions[0].ended_at = fixture::time(-1.0);
    });
    arithmetic("/repetitions/1/started_at", "/repetitions/0/ended_at is later", |record| {
        record.repetitions[1].started_at = fixture::time(599.0);
    });
    arithmetic("/repetitions/0/started_at", "/campaign/started_at is later", |record| {
        record.campaign.started_at = fixture::time(1.0);
    });
    arithmetic("/campaign/ended_at", "/repetitions/4/ended_at is later", |record| {
        record.campaign.ended_at = fixture::time(3_000.0);
    });
    arithmetic("/repetitions/3/seconds", "from its start to its end are 600 s", |record| {
        record.repetitions[3].seconds = 600.7;
    });
    // A clock that is slewed.
    valid(|record| record.repetitions[3].seconds = 600.5);
    caught(Check::Form, "/campaign/ended_at", "RFC 3339", |record| {
        record.campaign.ended_at = "noon".into();
    });
    caught(Check::Plausible, "/repetitions/0/gaps_seconds", "600", |record| {
        record.repetitions[0].gaps_seconds = 601.0;
    });
}

#[test]
fn units() {
    caught(Check::Arithmetic, "/repetitions/2/units", "a run is a unit", |record| {
        record.unit.kind = UnitKind::Run;
        record.unit.counted_by = CountedBy::Exit;
    });
    valid(|record| {
        record.unit.kind = UnitKind::Run;
        record.unit.counted_by = CountedBy::Exit;
        record.repetitions.iter_mut().for_each(|one| one.units = 10.0);
    });
    caught(Check::Form, "/unit/quality", "a unit of kind quality has one", |record| {
        record.unit.kind = UnitKind::Quality;
    });
    caught(Check::Form, "/unit/counted_by", "counts runs alone", |record| {
        record.unit.counted_by = CountedBy::Exit;
    });
    caught(Check::Plausible, "/repetitions/0/runs", "none", |record| {
        record.repetitions[0].runs = 0
    });
    let mut record = fixture::record();
    record.repetitions[0].units = 0.0;
    let all = violations(&record);
    assert!(all.iter().any(|one| one.at == "/derived" && one.found.contains("repetition 1")));
    assert!(
        all.iter().any(|one| one.at == "/repetitions/0/units" && one.check == Check::Plausible)
    );
}

#[test]
fn domains() {
    caught(Check::Arithmetic, "/repetitions/0/joules", "the summed domains make", |record| {
        record.repetitions[0].joules *= 1.0 + 3e-9;
    });
    valid(|record| record.repetitions[0].joules *= 1.0 + 3e-10);
    caught(Check::Arithmetic, "/repetitions/0/domains", "joules count twice", |record| {
        let node = record.repetitions[0].domains.last_mut().unwrap();
        node.summed = true;
    });
    caught(Check::Arithmetic, "/repetitions/0/domains/1/id", "a domain stands once", |record| {
        let id = record.repetitions[0].domains[0].id.clone();
        record.repetitions[0].domains[1].id = id;
    });
    let plausible = |name: &str, change: fn(&mut BenchmarkDomain)| {
        let at = format!("/repetitions/0/domains/12/{name}");
        caught(Check::Plausible, &at, "", |record| change(&mut record.repetitions[0].domains[12]));
    };
    plausible("joules", |domain| domain.joules = -1.0);
    plausible("uncertainty_joules", |domain| domain.uncertainty_joules = -1.0);
    plausible("common_percent", |domain| domain.common_percent = Some(-1.0));
    plausible("update_period_seconds", |domain| domain.update_period_seconds = Some(0.0));
    plausible("share", |domain| domain.share = Some(1.01));
    caught(Check::Plausible, "/repetitions/0/other_cpu_share", "from 0 to 1", |record| {
        record.repetitions[0].other_cpu_share = Some(-0.1);
    });
    caught(Check::Form, "/repetitions/0/domains/12/method", "counter, power", |record| {
        record.repetitions[0].domains[12].method = "guess".into();
    });
    caught(Check::Form, "/repetitions/0/domains/12/kind", "gpu, cpu", |record| {
        record.repetitions[0].domains[12].kind = "tpu".into();
    });
    caught(Check::Arithmetic, "/repetitions/0/domains/12/uncertainty_joules", "common", |record| {
        record.repetitions[0].domains[12].method = "estimate".into();
    });
}

#[test]
fn the_grid() {
    let with = |change: fn(&mut WindowIntensity)| {
        move |record: &mut BenchmarkRecord| {
            change(record.repetitions[2].intensity.as_mut().unwrap());
        }
    };
    let at = |rest: &str| format!("/repetitions/2/intensity/{rest}");
    caught(
        Check::Arithmetic,
        &at("grams_per_kwh"),
        "from 200 to 230",
        with(|one| one.grams_per_kwh = 230.1),
    );
    caught(
        Check::Plausible,
        &at("grams_per_kwh"),
        "0 to 1500",
        with(|one| one.grams_per_kwh = -1.0),
    );
    caught(
        Check::Plausible,
        &at("parts/1/grams_per_kwh"),
        "0 to 1500",
        with(|one| {
            one.parts[1].grams_per_kwh = 1_501.0;
        }),
    );
    caught(
        Check::Plausible,
        &at("parts/1/grams_per_kwh"),
        "a leap from 200",
        with(|one| {
            one.parts[1].grams_per_kwh = 1_200.0;
        }),
    );
    // Nobody knows which is which.
    valid(with(|one| {
        one.boundary = "mixed".into();
        one.parts[1].grams_per_kwh = 1_200.0;
    }));
    caught(
        Check::Arithmetic,
        &at("parts"),
        "none is of 2026-11-24T09:52:00Z",
        with(|one| {
            _ = one.parts.remove(0);
            one.grams_per_kwh = 230.0;
        }),
    );
    caught(
        Check::Arithmetic,
        &at("parts"),
        "none is of 2026-11-24T10:00:00Z",
        with(|one| {
            _ = one.parts.pop();
            one.grams_per_kwh = 200.0;
        }),
    );
    caught(
        Check::Arithmetic,
        &at("parts"),
        "none is of 2026-11-24T09:59:57Z",
        with(|one| {
            one.parts[0].to = "2026-11-24T09:59:57Z".into();
        }),
    );
    caught(
        Check::Arithmetic,
        &at("parts/0/to"),
        "it begins at",
        with(|one| {
            one.parts[0].to = fixture::time(0.0);
        }),
    );
    caught(Check::Form, &at("signal"), "average, marginal", with(|one| one.signal = "mean".into()));
    caught(Check::Form, &at("boundary"), "direct", with(|one| one.boundary = "wide".into()));
    caught(
        Check::Form,
        &at("parts/0/kind"),
        "actual",
        with(|one| one.parts[0].kind = "sure".into()),
    );
    caught(
        Check::Arithmetic,
        &at("settled"),
        "never settles",
        with(|one| {
            let table = |part: &mut IntensityUse| part.kind = "table".into();
            one.parts.iter_mut().for_each(table);
        }),
    );
}

#[test]
fn building_and_hardware() {
    let pue =
        |value: f64| move |record: &mut BenchmarkRecord| record.pue.as_mut().unwrap().value = value;
    caught(Check::Plausible, "/pue/value", "from 1 to 3", pue(0.99));
    caught(Check::Plausible, "/pue/value", "from 1 to 3", pue(3.01));
    valid(pue(1.0));
    let embodied = |at: &'static str, change: fn(&mut SciEmbodied)| {
        caught(Check::Plausible, at, "", |record| change(record.embodied.as_mut().unwrap()));
    };
    embodied("/embodied/te_grams", |one| one.te_grams = 0.0);
    embodied("/embodied/el_seconds", |one| one.el_seconds = -1.0);
    embodied("/embodied/rr", |one| one.rr = 1.1);
    embodied("/embodied/tor", |one| one.tor = -2.0);
    caught(Check::Arithmetic, "/idle/watts", "the domains that are summed make 760", |record| {
        record.idle.as_mut().unwrap().watts += 50.0;
    });
    caught(Check::Arithmetic, "/workload/command_hash", "sha256:", |record| {
        record.workload.command.as_mut().unwrap().push("--fast".into());
    });
}

#[test]
fn disclosures() {
    let absent = |at: &str, change: fn(&mut BenchmarkRecord)| {
        caught(Check::Disclosure, at, "", change);
    };
    absent("/campaign/name", |record| record.campaign.name = " ".into());
    absent("/machine/host/os", |record| record.machine.host.os = None);
    absent("/workload/disclosures/framework", |record| record.workload.disclosures.clear());
    absent("/pue/source", |record| record.pue.as_mut().unwrap().source.clear());
    absent("/embodied/te_source", |record| record.embodied.as_mut().unwrap().te_source.clear());
    absent("/machine/accelerators", |record| _ = record.machine.accelerators.pop());
    absent("/machine/host/gpus", |record| _ = record.machine.host.gpus.pop());
    absent("/repetitions/0/domains/7/id", |record| _ = record.machine.host.gpus.pop());
    absent("/campaign/source", |record| record.campaign.origin = Origin::Literature);
    // A built-in workload has aimeter for its framework; unknown is an answer.
    valid(|record| {
        record.workload.builtin = Some("matrix/1".into());
        record.workload.disclosures.clear();
        record.machine.memory_bytes = None;
        record.machine.cpu_governor = None;
        record.machine.accelerators[0].default_power_limit_watts = None;
    });
}

#[test]
fn rules_of_the_protocol_need_an_exception() {
    let rules: [(Rule, Option<u32>, Change); 9] = [
        (Rule::Idle, None, |record| record.idle.as_mut().unwrap().seconds = 59.0),
        (Rule::WarmUp, None, |record| record.warm_up = None),
        (Rule::Repetitions, None, |record| {
            record.repetitions.truncate(2);
            record.protocol.stopped_by = StoppedBy::Interrupt;
        }),
        (Rule::Window, Some(2), |record| {
            let one = &mut record.repetitions[1];
            one.seconds = 59.0;
            one.ended_at = fixture::time(660.0 + 59.0);
        }),
        (Rule::ExclusiveAccelerators, Some(1), |record| {
            record.repetitions[0].other_jobs.push("x".into())
        }),
        (Rule::ExclusiveCpu, Some(5), |record| record.repetitions[4].other_cpu_share = Some(0.05)),
        (Rule::Throttling, Some(3), |record| {
            record.repetitions[2].before.accelerators[0].throttle_reasons =
                vec!["hw_slowdown".into()];
        }),
        (Rule::Gaps, Some(1), |record| record.repetitions[0].gaps_seconds = 0.1),
        (Rule::Intensity, Some(4), |record| record.repetitions[3].intensity = None),
    ];
    for (rule, repetition, change) in rules {
        let word = format!("the rule {} is broken", crate::benchmark::exceptions::word(rule));
        caught(Check::Protocol, "/exceptions", &word, change);
        for told in [repetition, None] {
            valid(|record| {
                change(record);
                record.exceptions.push(ExceptionPart {
                    rule,
                    repetition: told,
                    found: "so".into(),
                });
            });
        }
        // Of another repetition it is none.
        if repetition.is_some() {
            caught(Check::Protocol, "/exceptions", &word, |record| {
                change(record);
                let other = repetition.map(|number| number % 5 + 1);
                record.exceptions.push(ExceptionPart {
                    rule,
                    repetition: other,
                    found: "so".into(),
                });
            });
        }
    }
    caught(Check::Protocol, "/exceptions/0/repetition", "1 to 5", |record| {
        let exception =
            ExceptionPart { rule: Rule::Settling, repetition: Some(6), found: "so".into() };
        record.exceptions.push(exception);
    });
}

#[test]
fn what_ended_it_can_have_done_so() {
    for (by, holds) in [
        (StoppedBy::Repetitions, true),
        (StoppedBy::Interrupt, true),
        (StoppedBy::Confidence, false),
        (StoppedBy::Energy, false),
        (StoppedBy::Time, false),
    ] {
        let change = |record: &mut BenchmarkRecord| record.protocol.stopped_by = by;
        if holds {
            valid(change);
        } else {
            caught(Check::Protocol, "/protocol/stopped_by", "", change);
        }
        valid(|record| {
            change(record);
            record.protocol.confidence_percent = Some(1.0);
            record.protocol.max_joules = Some(1.0);
            record.protocol.max_seconds = Some(1.0);
        });
    }
    caught(Check::Protocol, "/protocol/max_repetitions", "there are 5", |record| {
        record.protocol.repetitions = 4;
        record.protocol.max_repetitions = 4;
    });
}

#[test]
fn a_field_that_is_absent_or_unknown() {
    let form = |schema: &str, change: fn(&mut serde_json::Value)| {
        let mut value = serde_json::to_value(fixture::record()).unwrap();
        value["schema"] = schema.into();
        change(&mut value);
        value["hash"] = crate::benchmark::hash::of(value.clone()).unwrap().into();
        let outcome = validate(&read(value.to_string().as_bytes()).unwrap());
        outcome.violations.iter().map(ToString::to_string).collect::<Vec<String>>()
    };
    let without = |value: &mut serde_json::Value| {
        value["repetitions"][1]["domains"][0].as_object_mut().unwrap().remove("share");
    };
    let absent = "/repetitions/1/domains/0/share: form: says nothing; the field is absent";
    assert_eq!(form("aimeter-benchmark/1", without), [absent]);
    let with = |value: &mut serde_json::Value| value["pue"]["margin"] = 1.into();
    let unknown = "/pue/margin: form: says something; this version has no such field";
    assert_eq!(form("aimeter-benchmark/1", with), [unknown]);
    assert_eq!(form("aimeter-benchmark/1.1", with), [""; 0]);
}

#[test]
fn a_level_is_computed_and_never_claimed() {
    let claimed = |claim: Level, change: fn(&mut BenchmarkRecord)| {
        let mut record = fixture::record();
        change(&mut record);
        let mut record = again(record);
        record.derived.level.level = claim;
        let all = violations(&crate::benchmark::hash::sealed(record).unwrap());
        all.iter().map(ToString::to_string).collect::<Vec<String>>()
    };
    assert_eq!(
        claimed(Level::A, |record| record.pue = None),
        ["/derived/level/level: level: says A; claimed too high: C follows (PUE: none)"]
    );
    assert_eq!(
        claimed(Level::B, |_| ()),
        ["/derived/level/level: level: says B; claimed too low: A follows (every condition holds)"]
    );
}
