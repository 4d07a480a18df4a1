// SPDX-License-Identifier: Apache-2.0
//! What is written is what is read.

use std::collections::HashMap;

use aimeter::jobs::timing::Policy;
use aimeter::jobs::{Exit, JobState, Timing};
use aimeter::ledger::query::{Filter, Reader};
use aimeter::ledger::{
    Batch, DomainKey, Event, IntensityFact, IntensityKind, IntervalEnergy, JobKey,
};
use aimeter::sensors::{DomainId, Kind, Missing};
use aimeter::units::{BootTime, Intensity};
use proptest::prelude::*;

use crate::support::*;

fn id(text: &str) -> aimeter::jobs::JobId {
    text.parse().unwrap()
}

/// In the order in which the engine met them: a limit on their number must find the
/// same ones after a restart, or counters would fall.
#[test]
fn users_and_projects_come_in_the_order_of_their_first_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let named = [("zoe", "p"), ("adam", "q"), ("zoe", "a"), ("mia", "b")];
    let jobs: Vec<_> = (1..)
        .zip(named)
        .map(|(key, (user, project))| {
            let mut row = job(key, &format!("j{key}"), None);
            row.spec.user = user.to_owned();
            row.spec.project = Some(project.to_owned());
            row
        })
        .collect();
    let mut events = domains();
    events.extend(jobs.iter().map(job_event));
    let bookings = [4, 3, 2, 1].map(|job| line(job, 1, 0, 10)).to_vec();
    write(folder.path(), events, bookings);
    let (_writer, found) = open(folder.path());
    let users: Vec<_> = found.users.iter().map(|account| account.name.as_str()).collect();
    let projects: Vec<_> = found.projects.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(users, ["zoe", "adam", "mia"]);
    assert_eq!(projects, ["p", "q", "a", "b"]);
}

#[test]
fn a_restart_finds_all_that_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, found) = open(folder.path());
    assert_eq!((found.next_domain, found.next_job), (1, 1));
    let (outer, inner, other) =
        (job(1, "outer", None), job(2, "inner", Some("outer")), job(3, "other", None));
    let mut events = domains();
    events.extend([job_event(&outer), job_event(&inner), job_event(&other)]);
    events.push(Event::Note { job: JobKey(1), text: "a gap of 2 s".to_owned() });
    let bookings = vec![
        line(0, 1, 0, 1_000),
        line(0, 1, 1, 1_001),
        line(1, 1, 0, 10),
        line(1, 1, 1, 11),
        line(1, 3, 1, 12),
        line(2, 1, 1, 100),
        line(3, 4, 1, 7),
        line(3, 2, 1, 8),
    ];
    let counters = vec![mark(1, 9_999)];
    writer.submit(&mut Batch {
        events,
        bookings,
        counters,
        cpu: vec![cpu(1, 5), cpu(2, 6)],
        ..Batch::default()
    });
    let over = [
        job_event(&ended(inner.clone(), Exit::Code(0))),
        job_event(&ended(other.clone(), Exit::Signal(9))),
    ];
    writer.submit(&mut Batch { events: over.to_vec(), ..Batch::default() });
    writer.close().unwrap();

    let (writer, found) = open(folder.path());
    assert_eq!((found.next_domain, found.next_job), (5, 4));
    let gpu = &found.domains[&DomainId::new("nvml:GPU-1")];
    assert_eq!((gpu.key, &gpu.domain), (DomainKey(1), &domain("nvml:GPU-1", Kind::Gpu)));
    assert_eq!((gpu.total, gpu.unattributed), (uj(2_122), uj(2_001)));
    let mark = gpu.mark.as_ref().unwrap();
    assert_eq!((mark.boot_id.as_str(), mark.value), (BOOT, uj(9_999)));
    assert_eq!(mark.epoch, format!("{BOOT} 1"));
    assert_eq!(mark.at, BootTime::from_nanoseconds(6_000_000_000));

    let [running] = &found.running[..] else { panic!("one job runs") };
    assert_eq!((&running.row, running.cpu_microseconds), (&outer, Some(5)));
    assert_eq!(running.lines, [line(1, 1, 0, 10), line(1, 1, 1, 11), line(1, 3, 1, 12)]);
    assert_eq!(running.nested, [line(2, 1, 1, 100)]);
    assert_eq!(running.notes, ["a gap of 2 s"]);
    let mut open_lines = found.open;
    open_lines.sort_by_key(|line| (line.job, line.domain));
    assert_eq!(open_lines, [line(0, 1, 1, 1_001), line(1, 1, 1, 11), line(1, 3, 1, 12)]);

    let by_user: Vec<_> = found.users.iter().map(|a| (a.name.as_str(), a.kind, a.energy)).collect();
    assert_eq!(by_user, [("ada", Kind::Gpu, uj(129)), ("ada", Kind::Cpu, uj(12))]);
    assert_eq!(found.projects.iter().map(|a| a.energy).collect::<Vec<_>>(), [uj(129), uj(12)]);
    assert_eq!(found.users[0].zone.as_deref(), Some("GB"));
    assert_eq!(found.users[0].pue_thousandths, Some(1_200));
    let mut over: Vec<_> = found.ended.iter().map(|job| job.row.clone()).collect();
    over.sort_by_key(|row| row.key);
    assert_eq!(over, [ended(inner, Exit::Code(0)), ended(other, Exit::Signal(9))]);
    writer.close().unwrap();
    check_sound(folder.path());
}

#[test]
fn a_report_holds_the_job_and_those_nested_in_it_at_any_depth() {
    let folder = tempfile::tempdir().unwrap();
    let mut events = domains();
    let (a, b, c) = (job(1, "a", None), job(2, "b", Some("a")), job(3, "c", Some("b")));
    events.extend([job_event(&a), job_event(&b), job_event(&c)]);
    events.extend([
        Event::Share { job: JobKey(1), domain: DomainKey(1), moved: uj(111) },
        Event::Share { job: JobKey(1), domain: DomainKey(3), moved: uj(50) },
        Event::Note { job: JobKey(1), text: "first".to_owned() },
        Event::Note { job: JobKey(1), text: "second".to_owned() },
    ]);
    let missing = Missing {
        source: "rapl".to_owned(),
        what: "dram".to_owned(),
        state: "absent".to_owned(),
        why: "this CPU has none".to_owned(),
        remedy: None,
    };
    events.push(Event::Missing { job: JobKey(1), missing: missing.clone() });
    let lines = vec![
        line(1, 1, 0, 1),
        line(2, 1, 0, 10),
        line(3, 1, 1, 100),
        line(1, 3, 0, 20),
        line(3, 4, 1, 5_000),
    ];
    write(folder.path(), events, lines);

    let reader = Reader::open(folder.path()).unwrap();
    let report = reader.report(&id("a")).unwrap().unwrap();
    assert_eq!(report.job, a);
    let figures: Vec<_> = report
        .domains
        .iter()
        .map(|d| (d.domain.id.as_str(), d.amount.energy, d.moved, d.exclusive))
        .collect();
    assert_eq!(
        figures,
        [
            ("nvml:GPU-1", uj(111), Some(uj(111)), true),
            ("rapl:package-0", uj(20), Some(uj(50)), false),
            ("hwmon:node", uj(5_000), None, false),
        ]
    );
    // Three lines: edge √(3·3²) = 5, resolution √(3·6²) = 10, split 3·4, gap 3·5.
    let error = report.domains[0].amount.uncertainty;
    assert_eq!((error.edge, error.resolution), (uj(5), uj(10)));
    assert_eq!((error.split, error.gap), (uj(12), uj(15)));
    assert_eq!(report.domains[0].amount.gap_nanoseconds, 21);
    let interval = |n: i64, energy| IntervalEnergy {
        from_microseconds: T0 + n * 300_000_000,
        to_microseconds: T0 + (n + 1) * 300_000_000,
        energy: uj(energy),
    };
    assert_eq!(report.intervals, [interval(0, 31), interval(1, 100)]);
    assert_eq!(
        (report.notes, report.missing),
        (vec!["first".into(), "second".into()], vec![missing])
    );
    assert_eq!(reader.report(&id("c")).unwrap().unwrap().domains.len(), 2);
    assert_eq!(reader.report(&id("unknown")).unwrap(), None);
}

#[test]
fn an_id_used_again_means_the_newest_job_and_a_child_belongs_to_the_parent_of_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut events = domains();
    for row in [
        ended(job(1, "same", None), Exit::Code(1)),
        ended(job(2, "child", Some("same")), Exit::Code(0)),
        ended(job(3, "same", None), Exit::Code(0)),
    ] {
        events.push(job_event(&row));
    }
    write(folder.path(), events, vec![line(1, 1, 0, 1), line(2, 1, 0, 10), line(3, 1, 0, 100)]);
    let reader = Reader::open(folder.path()).unwrap();
    let energies: Vec<_> =
        reader.jobs(&Filter::default()).unwrap().iter().map(|job| job.total().unwrap()).collect();
    assert_eq!(energies, [uj(100), uj(10), uj(11)]);
    assert_eq!(reader.report(&id("same")).unwrap().unwrap().job.key, JobKey(3));
}

#[test]
fn jobs_are_found_by_each_filter() {
    let folder = tempfile::tempdir().unwrap();
    let mut events = domains();
    for key in 1..=60 {
        let mut row = ended(job(key, &format!("j{key}"), None), Exit::Code(0));
        row.spec.user = if key % 2 == 0 { "ada".into() } else { "o'brien".into() };
        row.spec.project = (key % 3 == 0).then(|| "vision".to_owned());
        row.spec.labels.insert("seed".into(), key.to_string());
        if key == 60 {
            row = job(60, "j60", None);
        }
        events.push(job_event(&row));
    }
    write(folder.path(), events, vec![]);
    let reader = Reader::open(folder.path()).unwrap();
    let keys = |filter: Filter| -> Vec<i64> {
        reader.jobs(&filter).unwrap().iter().map(|job| job.row.key.0).collect()
    };
    let all = Filter { limit: Some(0), ..Filter::default() };
    assert_eq!(keys(Filter::default()).len(), 50);
    assert_eq!(keys(all.clone()).len(), 60);
    assert_eq!(keys(Filter::default())[..2], [60, 59], "newest first");
    assert_eq!(keys(Filter { user: Some("o'brien".into()), ..all.clone() }).len(), 30);
    assert_eq!(keys(Filter { project: Some("vision".into()), ..all.clone() }).len(), 20);
    assert_eq!(keys(Filter { name: Some("name of j7".into()), ..all.clone() }), [7]);
    assert_eq!(keys(Filter { state: Some(JobState::Running), ..all.clone() }), [60]);
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let labels = vec![label("seed", "9"), label("team", "b\"l\\ue")];
    assert_eq!(keys(Filter { labels, ..all.clone() }), [9]);
    let labels = vec![label("seed", "9"), label("seed", "10")];
    assert_eq!(keys(Filter { labels, ..all.clone() }), [0; 0]);
    // Job n started at n s.
    assert_eq!(keys(Filter { until: Some(at(4)), ..all.clone() }), [3, 2, 1]);
    assert_eq!(keys(Filter { since: Some(jiff::Timestamp::MIN), ..all.clone() }).len(), 60);
    assert_eq!(keys(Filter { until: Some(jiff::Timestamp::MAX), ..all.clone() }).len(), 60);
    assert_eq!(keys(Filter { since: Some(at(58)), ..all.clone() }), [60, 59, 58]);
}

#[test]
fn totals_of_a_period_hold_what_jobs_and_nobody_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut events = domains();
    let mut row = job(1, "a", None);
    row.started = at(0);
    events.push(job_event(&row));
    let lines = vec![
        line(0, 1, 0, 1),
        line(0, 1, 1, 10),
        line(0, 1, 2, 100),
        line(1, 1, 0, 1_000),
        line(1, 1, 1, 10_000),
    ];
    write(folder.path(), events, lines);
    let reader = Reader::open(folder.path()).unwrap();
    let figures = |since, until| {
        let totals = reader.totals(at(since), at(until)).unwrap();
        (totals[0].total, totals[0].unattributed)
    };
    assert_eq!(figures(0, 900), (uj(11_111), uj(111)));
    assert_eq!(figures(300, 600), (uj(10_010), uj(10)));
    assert_eq!(figures(600, 900), (uj(100), uj(100)));
}

#[test]
fn how_a_start_was_chosen_is_kept_with_the_job() {
    let folder = tempfile::tempdir().unwrap();
    let mut chosen = job(1, "a", None);
    chosen.spec.timing = Some(Box::new(Timing {
        policy: Policy::Greenest,
        asked_at: at(-7_200),
        waited_milliseconds: 7_200_001,
        window_from: at(0),
        window_to: at(3_600),
        expected_at_once: Intensity::from_milligrams_per_kwh(241_000),
        expected_window: Intensity::from_milligrams_per_kwh(203_000),
        zone: "GB".to_owned(),
        signal: "marginal".to_owned(),
        boundary: "direct".to_owned(),
        source: "file".to_owned(),
        fetched_at: at(-1_800),
    }));
    write(folder.path(), vec![job_event(&chosen), job_event(&job(2, "b", None))], vec![]);
    let (writer, found) = open(folder.path());
    assert_eq!(found.running[0].row, chosen);
    writer.close().unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    let rows: Vec<_> =
        reader.jobs(&Filter::default()).unwrap().into_iter().map(|job| job.row).collect();
    assert_eq!(rows, [job(2, "b", None), chosen]);
}

#[test]
fn intensity_facts_are_kept_once_and_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let fact = IntensityFact {
        zone: "GB".to_owned(),
        from: at(0),
        to: at(1_800),
        intensity: Intensity::from_milligrams_per_kwh(209_000),
        signal: "average".to_owned(),
        boundary: "lifecycle".to_owned(),
        source: "table:OWID/Ember 2024".to_owned(),
        kind: IntensityKind::Table,
        fetched_at: at(1),
        provider_updated_at: None,
    };
    let better = IntensityFact {
        kind: IntensityKind::Actual,
        fetched_at: at(2),
        provider_updated_at: Some(at(2)),
        ..fact.clone()
    };
    let events = [&fact, &fact, &better].map(|fact| Event::Intensity(fact.clone()));
    write(folder.path(), events.to_vec(), vec![]);
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(reader.intensities("GB", at(60), at(61)).unwrap(), [fact, better]);
    assert_eq!(reader.intensities("GB", at(1_800), at(1_801)).unwrap(), []);
}

#[test]
fn a_row_that_does_not_fit_is_counted_and_keeps_nothing_else_back() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, _) = open(folder.path());
    let mut events = domains();
    events.push(job_event(&job(1, "a", None)));
    events.push(Event::Note { job: JobKey(77), text: "of no known job".to_owned() });
    let bookings = vec![line(1, 1, 0, u64::MAX), line(1, 99, 0, 1), line(1, 1, 1, 5)];
    writer.submit(&mut Batch {
        events,
        bookings,
        counters: vec![mark(1, u64::MAX)],
        ..Batch::default()
    });
    until("written", || writer.health().last_write.is_some());
    let health = writer.health();
    assert_eq!((health.up, health.errors, health.pending), (true, 4, 0));
    writer.close().unwrap();
    let report = Reader::open(folder.path()).unwrap().report(&id("a")).unwrap().unwrap();
    assert_eq!(report.domains[0].amount.energy, uj(5));
}

#[test]
fn a_mark_carries_the_epoch_in_which_it_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, _) = open(folder.path());
    let reload = |epoch: &str| Event::Domain {
        key: DomainKey(1),
        domain: domain("nvml:GPU-1", Kind::Gpu),
        epoch: epoch.to_owned(),
    };
    writer.submit(&mut Batch {
        events: vec![reload("first")],
        counters: vec![mark(1, 5)],
        ..Batch::default()
    });
    // The driver was loaded anew and nothing has been read since.
    writer.submit(&mut Batch { events: vec![reload("second")], ..Batch::default() });
    writer.close().unwrap();
    let (_writer, found) = open(folder.path());
    let mark = found.domains[&DomainId::new("nvml:GPU-1")].mark.clone();
    assert_ne!(mark.map(|mark| mark.epoch), Some("second".to_owned()));
}

#[test]
fn lines_of_an_ended_job_that_come_late_are_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut events = domains();
    let row = ended(job(1, "a", None), Exit::Code(0));
    events.push(job_event(&row));
    let (writer, _) = open(folder.path());
    writer.submit(&mut Batch { events, bookings: vec![line(1, 1, 0, 5)], ..Batch::default() });
    until("written", || writer.health().last_write.is_some());
    writer.submit(&mut Batch {
        bookings: vec![line(1, 1, 0, 7), line(1, 1, 1, 30)],
        ..Batch::default()
    });
    writer.close().unwrap();
    let energy = || {
        let jobs = Reader::open(folder.path()).unwrap().jobs(&Filter::default()).unwrap();
        jobs[0].total()
    };
    assert_eq!(energy(), Some(uj(37)));
    let (writer, found) = open(folder.path());
    assert_eq!(found.open, []);
    writer.close().unwrap();
    assert_eq!(energy(), Some(uj(37)));
    check_sound(folder.path());
}

/// One step of a line that grows: (job, domain, interval) and what is added.
type Step = ((i64, i64, i64), u64);

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// However the growth of lines is cut into batches and sessions, and in
    /// whatever order intervals come, the sums are the same.
    #[test]
    fn random_batches_in_random_splits_give_the_same_sums(
        steps in prop::collection::vec(
            (((0i64..4), (1i64..4), (0i64..4)), 0u64..1_000_000_000), 1..120),
        cuts in prop::collection::vec(prop::sample::select(vec![0u8, 0, 0, 1, 1, 2]), 120),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut events = domains();
        events.extend((1..4).map(|key| job_event(&job(key, &format!("j{key}"), None))));
        let mut batch = Batch { events, ..Batch::default() };
        let mut truth: HashMap<(i64, i64, i64), u64> = HashMap::new();
        let (mut writer, _) = open(folder.path());
        let steps: Vec<Step> = steps;
        for (((job, domain, interval), more), cut) in steps.into_iter().zip(cuts) {
            let sum = truth.entry((job, domain, interval)).or_default();
            *sum += more;
            batch.bookings.push(line(job, domain, interval, *sum));
            if cut > 0 {
                writer.submit(&mut batch);
                prop_assert!(batch.bookings.is_empty() && batch.events.is_empty());
            }
            if cut > 1 {
                writer.close().unwrap();
                writer = open(folder.path()).0;
            }
        }
        writer.submit(&mut batch);
        writer.close().unwrap();
        check_sound(folder.path());
        let totals = Reader::open(folder.path()).unwrap().totals(at(0), at(1_000_000)).unwrap();
        let (_writer, found) = open(folder.path());
        for key in 1..4 {
            let sum = |nobody: bool| {
                let lines = truth.iter().filter(|((job, domain, _), _)| {
                    *domain == key && (*job == 0 || !nobody)
                });
                uj(lines.map(|(_, energy)| energy).sum())
            };
            let total = &totals[key as usize - 1];
            prop_assert_eq!((total.total, total.unattributed), (sum(false), sum(true)));
            let known = found.domains.values().find(|known| known.key.0 == key).unwrap();
            prop_assert_eq!((known.total, known.unattributed), (sum(false), sum(true)));
        }
    }
}
