// SPDX-License-Identifier: Apache-2.0
use std::time::Duration;

use super::*;
use crate::engine::snapshot::{ByKind, SensorState};
use crate::sensors::{DomainId, Kind, Method};
use crate::units::{Emissions, Power};

const START: i64 = 1_795_000_000;

/// A machine that books so many watts, second by second.
struct Machine {
    snapshot: Snapshot,
    history: History,
}

fn domain(name: &str, overlap: Option<&str>) -> DomainView {
    let domain = Domain {
        id: DomainId::new(name),
        kind: Kind::Cpu,
        source: "rapl".into(),
        method: Method::Counter,
        resolution: Energy::ZERO,
        range: None,
        update_period: Duration::from_millis(1),
        max_power: Power::from_watts(1_000),
        overlap: overlap.map(str::to_owned),
        gain_percent: None,
        model_percent: None,
        device: name.into(),
        driver: None,
        power_limit: None,
    };
    DomainView {
        domain: Arc::new(domain),
        total: Energy::ZERO,
        unattributed: Energy::ZERO,
        power: None,
        state: SensorState::Ok,
        read_errors: [0; 4],
        refused: 0,
        resets: 0,
        last_read: None,
    }
}

fn job(id: &str, started: i64) -> JobView {
    let (name, user) = (id.to_owned(), "u".to_owned());
    let meta = JobMeta { id: id.parse().unwrap(), uid: 1, name, user, project: None };
    JobView {
        meta: Arc::new(meta),
        running: true,
        started: at(started),
        ended: None,
        duration: None,
        energy: ByKind::default(),
        node: Energy::ZERO,
        emissions: Emissions::ZERO,
        embodied: Emissions::ZERO,
        power: Power::ZERO,
        work: None,
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(START + second).unwrap()
}

fn joules(joules: u64) -> Energy {
    Energy::from_microjoules(joules * 1_000_000)
}

impl Machine {
    fn new(names: &[&str]) -> Machine {
        let domains = names.iter().map(|name| domain(name, None)).collect();
        let snapshot = Snapshot { domains, ..Snapshot::default() };
        Machine { snapshot, history: History::default() }
    }

    /// A tick at that second: each domain at its watts since the last, `free` of them
    /// nobody's; true where a slot has ended.
    fn tick(&mut self, second: i64, watts: &[u64], free: u64) -> bool {
        let last = self.snapshot.at.unwrap_or(at(second));
        let time = (at(second).as_second() - last.as_second()).max(0);
        for (view, watts) in self.snapshot.domains.iter_mut().zip(watts) {
            view.total = view.total.saturating_add(joules(watts * time as u64));
            view.unattributed = view.unattributed.saturating_add(joules(free * time as u64));
            view.last_read = Some(at(second));
        }
        self.snapshot.at = Some(at(second));
        self.snapshot.ticks += 1;
        self.history.observe(&self.snapshot)
    }

    fn watts(&self, place: usize) -> Vec<f32> {
        self.history.lines(false).domains[place].1.clone()
    }
}

#[test]
fn a_slot_holds_the_mean_power_of_its_time() {
    let mut machine = Machine::new(&["a", "b"]);
    let mut ended = Vec::new();
    for second in 0..=10 {
        if machine.tick(second, &[100 + 10 * second as u64, 7], 3) {
            ended.push(second);
        }
    }
    assert_eq!(ended, [5, 10]);
    // (110 + 120 + 130 + 140 + 150) / 5, and the five after them.
    assert_eq!(machine.watts(0), [130.0, 180.0]);
    assert_eq!(machine.watts(1), [7.0, 7.0]);
    let lines = machine.history.lines(true);
    assert_eq!(lines.slots, [((START + 5) as f64, (START + 10) as f64)]);
    assert_eq!(lines.unattributed, [6.0]);
}

#[test]
fn nothing_is_said_of_a_domain_that_was_not_read_and_its_energy_counts_over_its_time() {
    let mut machine = Machine::new(&["a", "b"]);
    machine.tick(0, &[10, 10], 0);
    machine.tick(5, &[10, 10], 0);
    // `b` is silent for three slots, then tells of all of its time.
    for second in [10, 15] {
        machine.tick(second, &[10], 0);
    }
    let b = &mut machine.snapshot.domains[1];
    b.total = b.total.saturating_add(joules(150));
    b.last_read = Some(at(20));
    machine.tick(20, &[10], 0);
    let b = machine.watts(1);
    assert_eq!((b[0], b[3]), (10.0, 10.0));
    assert!(b[1].is_nan() && b[2].is_nan());
}

#[test]
fn what_overlaps_is_no_part_of_what_nobody_used() {
    let mut machine = Machine::new(&["a"]);
    machine.snapshot.domains.push(domain("node", Some("contains the others")));
    machine.tick(0, &[10, 50], 4);
    machine.tick(5, &[10, 50], 4);
    assert_eq!(machine.history.lines(false).unattributed, [4.0]);
}

#[test]
fn an_hour_is_kept_and_no_more_and_lines_stay_side_by_side() {
    let mut machine = Machine::new(&["a", "b"]);
    for slot in 0..2_000 {
        // Comes late, goes early.
        if slot == 1_500 {
            machine.snapshot.domains.push(domain("c", None));
        }
        if slot == 1_600 {
            machine.snapshot.domains.remove(0);
        }
        machine.tick(slot * 5, &[1, 2, 3], 0);
        let lines = machine.history.lines(false);
        assert!(lines.slots.len() <= SLOTS);
        assert!(lines.domains.iter().all(|(_, watts)| watts.len() == lines.slots.len()));
        assert_eq!(lines.unattributed.len(), lines.slots.len());
    }
    let lines = machine.history.lines(false);
    assert_eq!(lines.slots.len(), SLOTS);
    let named = |name: &str| lines.domains.iter().find(|(domain, _)| domain.id.as_str() == name);
    let (_, gone) = named("a").unwrap();
    assert!(gone[..319].iter().all(|watts| *watts == 1.0), "{gone:?}");
    assert!(gone[320..].iter().all(|watts| watts.is_nan()));
    // An hour after it went it is forgotten.
    for slot in 2_000..2_330 {
        machine.tick(slot * 5, &[1, 2], 0);
    }
    assert_eq!(machine.history.lines(false).domains.len(), 2);
}

#[test]
fn slow_ticks_make_long_slots_and_a_clock_that_was_set_begins_anew() {
    let mut machine = Machine::new(&["a"]);
    for second in [0, 10, 20] {
        machine.tick(second, &[5], 0);
    }
    assert_eq!(machine.watts(0), [5.0, 5.0]);
    assert!(!machine.history.observe(&machine.snapshot));
    machine.tick(-100, &[5], 0);
    assert_eq!(machine.watts(0), [0f32; 0]);
    machine.tick(-95, &[5], 0);
    assert_eq!(machine.watts(0), [5.0]);
    // A night in suspend is no slot.
    machine.tick(40_000, &[5], 0);
    assert_eq!(machine.history.lines(false).slots.len(), 0);
}

#[test]
fn a_job_has_what_it_used_in_each_slot_and_what_was_booked_after_its_end() {
    let mut machine = Machine::new(&["a"]);
    let energies = |history: &History, id: &str| -> Vec<(f64, f64)> {
        let piece = |piece: Piece| (piece.from - START as f64, piece.joules);
        history.of_job(id).into_iter().map(piece).collect()
    };
    // Ran before this daemon: only what comes is known.
    machine.snapshot.jobs.push(job("old", -900));
    machine.snapshot.jobs[0].energy[1] = joules(1_000);
    machine.tick(0, &[10], 0);
    machine.snapshot.jobs[0].energy[1] = joules(1_030);
    machine.tick(5, &[10], 0);
    machine.snapshot.jobs.push(job("new", 7));
    machine.snapshot.jobs[1].energy[0] = joules(40);
    machine.tick(10, &[10], 0);
    assert_eq!(energies(&machine.history, "old"), [(0.0, 30.0), (5.0, 0.0)]);
    machine.snapshot.jobs[1].running = false;
    machine.snapshot.jobs[1].energy[0] = joules(60);
    machine.tick(15, &[10], 0);
    machine.tick(20, &[10], 0);
    machine.snapshot.jobs[1].energy[0] = joules(61);
    machine.tick(25, &[10], 0);
    assert_eq!(
        energies(&machine.history, "new"),
        [(7.0, 40.0), (10.0, 20.0), (15.0, 0.0), (20.0, 1.0)]
    );
    assert_eq!(energies(&machine.history, "none"), []);
    // Started just before the last picture, and not in it.
    machine.snapshot.jobs.push(job("missed", 24));
    machine.snapshot.jobs[2].energy[0] = joules(9);
    machine.tick(30, &[10], 0);
    assert_eq!(energies(&machine.history, "missed"), [(24.0, 9.0)]);
    // As long as it is in the snapshot, and no slot longer than the hour.
    for slot in 7..1_000 {
        machine.tick(slot * 5, &[10], 0);
    }
    assert_eq!(energies(&machine.history, "old").len(), SLOTS);
    assert_eq!(energies(&machine.history, "new"), []);
    machine.snapshot.jobs.clear();
    machine.tick(5_000, &[10], 0);
    assert_eq!(energies(&machine.history, "old"), []);
}

#[test]
fn what_is_remembered_has_a_bound_in_bytes() {
    let names: Vec<String> = (0..100).map(|i| format!("d{i}")).collect();
    let mut machine = Machine::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    machine.snapshot.jobs = (0..500).map(|i| job(&format!("j{i}"), -1)).collect();
    for slot in 0..2_000 {
        machine.tick(slot * 5, &[1; 100], 0);
    }
    let history = &machine.history;
    let floats = history.domains.iter().map(|line| line.watts.capacity()).sum::<usize>()
        + history.jobs.iter().map(|line| line.joules.capacity()).sum::<usize>()
        + history.unattributed.capacity();
    let doubles = 2 * history.slots.capacity() + history.reads.capacity();
    assert_eq!((history.domains.len(), history.jobs.len()), (DOMAINS, JOBS));
    let bytes = 4 * floats + 8 * doubles;
    assert!(bytes < 600 * 1024, "{bytes}");
}
