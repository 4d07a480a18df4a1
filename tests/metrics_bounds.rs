// SPDX-License-Identifier: Apache-2.0
//! Whatever the limits, and however many jobs, users and projects there are: a page
//! has no more of them than it may, no series twice, and sums as without limits, to
//! the microjoule.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aimeter::engine::snapshot::{AccountView, ByKind, JobMeta, JobView, Snapshot};
use aimeter::export::prometheus::Exporter;
use aimeter::export::prometheus::bounds::Limits;
use aimeter::export::prometheus::negotiation::Format;
use aimeter::settlement::{Figure, Settlement};
use aimeter::units::{Emissions, Energy, Intensity, Power};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use proptest::prelude::*;

/// Sums by family and kind: microjoules, microwatts or micrograms.
type Sums = BTreeMap<(String, String), u128>;

/// Whether a family is of jobs, users or projects and says how much of something.
fn is_summed(family: &str) -> bool {
    let of = ["aimeter_job_", "aimeter_user_", "aimeter_project_"];
    let units = ["_joules_total", "_grams_total", "_watts", "settled_grams"];
    of.iter().any(|start| family.starts_with(start))
        && units.iter().any(|end| family.ends_with(end))
}

/// A page as far as this test reads it.
struct Page {
    sums: Sums,
    jobs: BTreeSet<String>,
    users: BTreeSet<String>,
    projects: BTreeSet<String>,
    hidden: BTreeMap<String, usize>,
}

fn label<'a>(labels: &'a str, name: &str) -> &'a str {
    let start = labels.split_once(&format!("{name}=\"")).map_or("", |(_, rest)| rest);
    start.split('"').next().unwrap_or_default()
}

fn read(limits: Limits, snapshot: &Arc<Snapshot>, format: Format) -> Page {
    read_settled(limits, snapshot, &Settlement::default(), format)
}

fn read_settled(
    limits: Limits,
    snapshot: &Arc<Snapshot>,
    settlement: &Settlement,
    format: Format,
) -> Page {
    let snapshot = snapshot.clone();
    let settlement = Arc::new(ArcSwap::from_pointee(settlement.clone()));
    let exporter = Exporter::within(move || limits, move || snapshot.clone(), settlement);
    let text = String::from_utf8(exporter.page(format).unwrap()).unwrap();
    let mut page = Page {
        sums: Sums::new(),
        jobs: BTreeSet::new(),
        users: BTreeSet::new(),
        projects: BTreeSet::new(),
        hidden: BTreeMap::new(),
    };
    let mut series = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(series.insert(name.to_owned()), "twice: {name}");
        let (family, labels) = name.split_once('{').unwrap_or((name, ""));
        let value: f64 = value.parse().unwrap();
        match family {
            "aimeter_job_running" => _ = page.jobs.insert(label(labels, "job_id").to_owned()),
            "aimeter_user_emissions_grams_total" => {
                page.users.insert(label(labels, "user").to_owned());
            }
            "aimeter_project_emissions_grams_total" => {
                page.projects.insert(label(labels, "project").to_owned());
            }
            "aimeter_metrics_hidden" => {
                page.hidden.insert(label(labels, "of").to_owned(), value as usize);
            }
            _ => {}
        }
        if is_summed(family) {
            let kind = label(labels, "kind").to_owned();
            let millionths = (value * 1e6).round() as u128;
            *page.sums.entry((family.to_owned(), kind)).or_default() += millionths;
        }
    }
    page
}

fn energies() -> impl Strategy<Value = ByKind> {
    // Some alike, so that ties are drawn too.
    let energy = prop_oneof![Just(0), Just(7_000_001), 0..4_000_000_000_000_u64];
    proptest::collection::vec(energy, ByKind::default().len()).prop_map(|values| {
        let mut energies = ByKind::default();
        for (energy, value) in energies.iter_mut().zip(values) {
            *energy = Energy::from_microjoules(value);
        }
        energies
    })
}

/// Emissions of whole micrograms.
fn emissions(micrograms: u64) -> Emissions {
    let energy = Energy::from_microjoules(3_600_000 * micrograms);
    Emissions::of(energy, Intensity::from_milligrams_per_kwh(1_000), 1_000)
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z]{1,3}", 1 => Just("other".to_owned())]
}

fn job() -> impl Strategy<Value = JobView> {
    let numbers = (
        0..1_000_000_000_u64,
        0..1_000_000_u64,
        0..1_000_000_u64,
        0..500_000_000_u64,
        0..1_000_i64,
    );
    (name(), energies(), any::<bool>(), numbers).prop_map(
        |(name, energy, running, (node, micrograms, embodied, microwatts, started))| {
            let meta = JobMeta {
                id: name.parse().unwrap(),
                uid: 1,
                name: "n".into(),
                user: "u".into(),
                project: None,
            };
            JobView {
                meta: meta.into(),
                running,
                started: Timestamp::from_second(started).unwrap(),
                ended: None,
                duration: None,
                energy,
                node: Energy::from_microjoules(node),
                emissions: emissions(micrograms),
                embodied: emissions(embodied),
                power: if running { Power::from_microwatts(microwatts) } else { Power::ZERO },
                work: None,
            }
        },
    )
}

fn accounts() -> impl Strategy<Value = Vec<AccountView>> {
    let account = (energies(), 0..1_000_000_u64, 0..1_000_000_u64);
    proptest::collection::btree_map(name(), account, 0..12).prop_map(|accounts| {
        let view = |(name, (energy, micrograms, embodied)): (String, _)| AccountView {
            name: name.into(),
            energy,
            emissions: emissions(micrograms),
            embodied: emissions(embodied),
        };
        accounts.into_iter().map(view).collect()
    })
}

fn snapshots() -> impl Strategy<Value = Snapshot> {
    (proptest::collection::vec(job(), 0..16), accounts(), accounts()).prop_map(
        |(mut jobs, users, projects)| {
            jobs.sort_by(|a, b| a.meta.id.cmp(&b.meta.id));
            jobs.dedup_by(|a, b| a.meta.id == b.meta.id);
            Snapshot { jobs, users, projects, ..Snapshot::default() }
        },
    )
}

fn figure() -> impl Strategy<Value = Figure> {
    (0..1_000_000_u64, 0..1_000_000_u64).prop_map(|(settled, unsettled)| Figure {
        emissions: emissions(settled + unsettled),
        unsettled: emissions(unsettled),
        ..Figure::default()
    })
}

/// A settlement that knows some of the snapshot's jobs, users and projects, and others.
fn settlements(snapshot: Snapshot) -> impl Strategy<Value = (Snapshot, Settlement)> {
    let own = |names: Vec<String>| {
        let of_own = proptest::collection::vec(proptest::option::of(figure()), names.len());
        let of_any = proptest::collection::btree_map(name(), figure(), 0..6);
        (of_any, of_own).prop_map(move |(mut figures, of_own)| {
            let known = names.iter().cloned().zip(of_own);
            figures.extend(known.filter_map(|(name, figure)| Some((name, figure?))));
            figures
        })
    };
    let jobs = snapshot.jobs.iter().map(|job| job.meta.id.to_string()).collect();
    let names = |views: &[AccountView]| views.iter().map(|view| view.name.to_string()).collect();
    let (users, projects) = (names(&snapshot.users), names(&snapshot.projects));
    (own(jobs), own(users), own(projects)).prop_map(move |(jobs, users, projects)| {
        let at = Some(Timestamp::UNIX_EPOCH);
        let jobs = jobs.into_iter().map(|(id, figure)| (id.parse().unwrap(), figure)).collect();
        (snapshot.clone(), Settlement { at, jobs, users, projects })
    })
}

proptest! {
    #[test]
    fn sums_hold_for_any_limit(
        (snapshot, settlement) in snapshots().prop_flat_map(settlements),
        jobs in 0..20_usize,
        users in 0..14_usize,
        projects in 0..14_usize,
        open_metrics in any::<bool>(),
    ) {
        let format = if open_metrics { Format::OpenMetrics } else { Format::Text };
        let snapshot = Arc::new(snapshot);
        let all = read_settled(Limits::default(), &snapshot, &settlement, format);
        let limits = Limits { jobs, users, projects };
        let bounded = read_settled(limits, &snapshot, &settlement, format);
        // A family that is 0 everywhere may have lost its kinds; nothing else may.
        let some = |sums: &Sums| sums.clone().into_iter().filter(|(_, sum)| *sum > 0).collect::<Sums>();
        prop_assert_eq!(some(&all.sums), some(&bounded.sums));
        // Without limits, they are what the settlement knows.
        for (family, figures) in [
            ("aimeter_user_emissions", &settlement.users),
            ("aimeter_project_emissions", &settlement.projects),
        ] {
            let sum = |end: &str| all.sums.get(&(format!("{family}_{end}"), String::new()));
            let unsettled = |figure: &Figure| (figure.unsettled.grams() * 1e6).round() as u128;
            let settled = |figure: &Figure| (figure.settled_grams() * 1e6).round() as u128;
            let truth = figures.values().map(unsettled).sum::<u128>();
            prop_assert_eq!(sum("unsettled_grams").copied().unwrap_or_default(), truth);
            let truth = figures.values().map(settled).sum::<u128>();
            prop_assert_eq!(sum("settled_grams").copied().unwrap_or_default(), truth);
        }
        let checks = [
            ("jobs", jobs, snapshot.jobs.len(), &bounded.jobs),
            ("users", users, snapshot.users.len(), &bounded.users),
            ("projects", projects, snapshot.projects.len(), &bounded.projects),
        ];
        for (of, limit, there, shown) in checks {
            let own = shown.iter().filter(|name| *name != "other").count();
            prop_assert!(own <= limit, "{} {} of {}", own, of, limit);
            let hidden = bounded.hidden[of];
            prop_assert_eq!(hidden == 0, there <= limit);
            prop_assert_eq!(shown.len(), there - hidden + usize::from(hidden > 0));
        }
    }
}

#[test]
fn the_jobs_with_the_most_energy_are_shown_and_of_two_alike_the_newer() {
    let job = |id: &str, joules: u64, started: i64| {
        let mut energy = ByKind::default();
        energy[0] = Energy::from_microjoules(joules * 1_000_000);
        let meta = JobMeta {
            id: id.parse().unwrap(),
            uid: 1,
            name: id.into(),
            user: "u".into(),
            project: None,
        };
        JobView {
            meta: meta.into(),
            running: true,
            started: Timestamp::from_second(started).unwrap(),
            ended: None,
            duration: None,
            energy,
            node: Energy::ZERO,
            emissions: Emissions::ZERO,
            embodied: Emissions::ZERO,
            power: Power::ZERO,
            work: None,
        }
    };
    let jobs = vec![job("small", 1, 9), job("old", 5, 1), job("new", 5, 2), job("big", 100, 3)];
    let snapshot = Arc::new(Snapshot { jobs, ..Snapshot::default() });
    let limits = Limits { jobs: 2, ..Limits::default() };
    let page = read(limits, &snapshot, Format::Text);
    let shown: Vec<&str> = page.jobs.iter().map(String::as_str).collect();
    assert_eq!(shown, ["big", "new", "other"]);
    assert_eq!(page.hidden["jobs"], 2);
}

/// Users and projects have counters for good: one that is shown stays, and `other`
/// never falls, whoever comes later.
#[test]
fn a_later_user_takes_nobodys_place() {
    let user = |name: &str, joules: u64| AccountView {
        name: name.into(),
        energy: ByKind::default().map(|_| Energy::from_microjoules(joules)),
        emissions: Emissions::ZERO,
        embodied: Emissions::ZERO,
    };
    let limits = Limits { users: 2, ..Limits::default() };
    let mut users = vec![user("first", 1), user("second", 1)];
    let mut other = 0;
    for (name, joules) in [("third", 1_000), ("fourth", 1_000_000)] {
        users.push(user(name, joules));
        let snapshot = Arc::new(Snapshot { users: users.clone(), ..Snapshot::default() });
        let page = read(limits, &snapshot, Format::Text);
        let shown: Vec<&str> = page.users.iter().map(String::as_str).collect();
        assert_eq!(shown, ["first", "other", "second"]);
        assert!(page.hidden["users"] > other);
        other = page.hidden["users"];
    }
}
