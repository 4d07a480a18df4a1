// SPDX-License-Identifier: Apache-2.0
//! Named traps of other meters, then random traces against the true counter.

use proptest::prelude::*;

use super::*;
use crate::sensors::{DomainId, Kind, Method};

const SECOND: Duration = Duration::from_secs(1);
/// AMD's usual package range and unit: 2^32 - 1 units of 15.258 µJ.
const AMD_RANGE: u64 = 65_532_610_987;

fn domain(range: Option<u64>, resolution: u64, watts: u64) -> Domain {
    Domain {
        id: DomainId::new("test:0"),
        kind: Kind::Cpu,
        source: "test".into(),
        method: Method::Counter,
        resolution: Energy::from_microjoules(resolution),
        range: range.map(Energy::from_microjoules),
        update_period: Duration::from_millis(1),
        max_power: Power::from_watts(watts),
        overlap: None,
        gain_percent: None,
        model_percent: None,
        driver: None,
        power_limit: None,
        device: "test".into(),
    }
}

fn package() -> CounterTracker {
    CounterTracker::new(&domain(Some(AMD_RANGE), 15, 1_500))
}

fn gpu() -> CounterTracker {
    CounterTracker::new(&domain(None, 1_000, 1_500))
}

fn at(milliseconds: u64) -> BootTime {
    BootTime::from_nanoseconds(milliseconds * 1_000_000)
}

fn feed(tracker: &mut CounterTracker, milliseconds: u64, raw: u64) -> Movement {
    tracker.feed(at(milliseconds), Energy::from_microjoules(raw), SECOND).movement
}

fn energy(microjoules: u64) -> Energy {
    Energy::from_microjoules(microjoules)
}

#[test]
fn a_wrap_counts_one_unit_more_than_the_range() {
    let mut tracker = package();
    assert_eq!(feed(&mut tracker, 0, AMD_RANGE - 5), Movement::First);
    let wrapped = feed(&mut tracker, 1_000, 100);
    assert_eq!(wrapped, Movement::Wrapped { energy: energy(5 + 15 + 100) });
}

#[test]
fn alumets_trap_a_driver_reload_is_not_eighteen_quintillion_millijoules() {
    let mut tracker = gpu();
    feed(&mut tracker, 0, 7_000_000_000);
    let reset = feed(&mut tracker, 1_000, 120_000_000);
    assert_eq!(reset.energy(), energy(120_000_000));
    assert!(matches!(reset, Movement::Reset { most, .. } if most > reset.energy()), "{reset:?}");
}

#[test]
fn codecarbons_trap_a_failed_read_is_a_gap_and_not_a_whole_range() {
    let mut tracker = package();
    feed(&mut tracker, 0, 10_000_000);
    // The reading at 1 s to 4 s failed: nothing is fed.
    let step = tracker.feed(at(5_000), energy(10_900_000), SECOND);
    assert_eq!(step.movement, Movement::Moved { energy: energy(900_000) });
    assert_eq!((step.since, step.gap), (Some(at(0)), true));
    let next = tracker.feed(at(6_000), energy(11_000_000), SECOND);
    assert!(!next.gap);
}

#[test]
fn keplers_trap_a_fall_far_from_the_end_is_not_a_wrap() {
    let mut tracker = package();
    feed(&mut tracker, 0, 30_000_000_000);
    let reset = feed(&mut tracker, 1_000, 50_000_000);
    assert!(matches!(reset, Movement::Reset { energy: least, .. } if least == energy(50_000_000)));
}

#[test]
fn a_fall_that_explains_itself_by_nothing_is_refused_until_three_agree() {
    let mut tracker = gpu();
    feed(&mut tracker, 0, 9_000_000_000_000);
    let refused = feed(&mut tracker, 1_000, 5_000_000_000);
    assert!(matches!(refused, Movement::Refused { .. }));
    assert!(matches!(feed(&mut tracker, 2_000, 5_100_000_000), Movement::Refused { .. }));
    assert_eq!(tracker.last(), Some((at(0), energy(9_000_000_000_000))));
    let rebased = feed(&mut tracker, 3_000, 5_200_000_000);
    assert!(
        matches!(rebased, Movement::Reset { energy: Energy::ZERO, most } if most > Energy::ZERO),
        "what was lost is bounded: {rebased:?}"
    );
    let moved = feed(&mut tracker, 4_000, 5_300_000_000);
    assert_eq!(moved, Movement::Moved { energy: energy(100_000_000) });
}

#[test]
fn refused_readings_that_disagree_never_rebase() {
    let mut tracker = gpu();
    feed(&mut tracker, 0, 1_000_000);
    for second in 1..20 {
        let raw = if second % 2 == 0 { 9_000_000_000_000 } else { 5_000_000_000_000 };
        assert!(matches!(feed(&mut tracker, second * 1_000, raw), Movement::Refused { .. }));
    }
    let moved = feed(&mut tracker, 20_000, 2_000_000);
    assert_eq!(moved, Movement::Moved { energy: energy(1_000_000) });
}

#[test]
fn sentinels_are_refused_also_as_first_readings_and_however_often() {
    let mut tracker = gpu();
    for (second, raw) in SENTINELS.into_iter().cycle().take(16).enumerate() {
        let movement = feed(&mut tracker, second as u64 * 1_000, raw);
        assert_eq!(movement, Movement::Refused { why: "a sentinel, not a value" });
    }
    assert_eq!(feed(&mut tracker, 20_000, 5), Movement::First);
}

#[test]
fn a_single_absurd_jump_costs_no_joule() {
    let mut tracker = package();
    feed(&mut tracker, 0, 1_000_000);
    assert!(matches!(feed(&mut tracker, 1_000, 60_000_000_000), Movement::Refused { .. }));
    let moved = feed(&mut tracker, 2_000, 201_000_000);
    assert_eq!(moved, Movement::Moved { energy: energy(200_000_000) });
}

#[test]
fn a_gap_longer_than_a_wrap_is_a_range_and_not_a_figure() {
    let mut tracker = package();
    feed(&mut tracker, 0, 1_000_000);
    // 100 s at 1.5 kW is 150 kJ and more: two wraps of 65.5 kJ fit.
    let movement = feed(&mut tracker, 100_000, 2_000_000);
    let most = 1_000_000 + 2 * (AMD_RANGE + 15);
    assert_eq!(movement, Movement::Ambiguous { least: energy(1_000_000), most: energy(most) });
}

#[test]
fn a_fall_after_half_the_wrap_time_may_be_wrap_or_restart() {
    let mut tracker = package();
    feed(&mut tracker, 0, 60_000_000_000);
    let movement = feed(&mut tracker, 30_000, 4_000_000_000);
    let wrapped = AMD_RANGE + 15 - 60_000_000_000 + 4_000_000_000;
    assert_eq!(
        movement,
        Movement::Ambiguous { least: energy(4_000_000_000), most: energy(wrapped) }
    );
}

#[test]
fn a_counter_that_stays_at_zero_is_dead_and_said_so_once() {
    let mut tracker = package();
    let mut said = 0;
    for second in 0..30 {
        said += u32::from(feed(&mut tracker, second * 1_000, 0) == Movement::StuckAtZero);
    }
    assert_eq!((said, tracker.is_dead()), (1, true));
    feed(&mut tracker, 30_000, 5_000_000);
    assert!(!tracker.is_dead());
}

#[test]
fn a_new_epoch_is_a_reset_that_never_exceeds_a_counter_that_ran_on() {
    let mut ran_on = package();
    feed(&mut ran_on, 0, 100_000_000);
    ran_on.start_epoch();
    let movement = feed(&mut ran_on, 1_000, 110_000_000);
    assert!(matches!(movement, Movement::Reset { .. }));
    assert_eq!(movement.energy(), energy(10_000_000));

    let mut restarted = package();
    feed(&mut restarted, 0, 100_000_000);
    restarted.start_epoch();
    let movement = feed(&mut restarted, 1_000, 40_000_000);
    assert!(matches!(movement, Movement::Reset { .. }));
    assert_eq!(movement.energy(), energy(40_000_000));
    let movement = feed(&mut restarted, 2_000, 41_000_000);
    assert_eq!(movement, Movement::Moved { energy: energy(1_000_000) });
}

#[test]
fn a_tracker_resumes_from_the_ledgers_last_reading() {
    let domain = domain(Some(AMD_RANGE), 15, 1_500);
    let mut tracker = CounterTracker::resume(&domain, at(1_000), energy(5_000_000));
    let step = tracker.feed(at(9_000), energy(6_000_000), SECOND);
    assert_eq!(step.movement, Movement::Moved { energy: energy(1_000_000) });
    assert!(step.gap);
}

/// What happens in one interval of a random trace.
#[derive(Clone, Debug)]
enum Event {
    Read,
    FailedRead,
    Sentinel(usize),
    Spike,
    Reset,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => Just(Event::Read),
        2 => Just(Event::FailedRead),
        1 => (0..SENTINELS.len()).prop_map(Event::Sentinel),
        1 => Just(Event::Spike),
        1 => Just(Event::Reset),
    ]
}

/// One interval: its length (ms), the mean power in it (W), what ends it.
fn intervals(resets: bool) -> impl Strategy<Value = Vec<(u64, u64, Event)>> {
    let event = event().prop_map(move |event| match event {
        Event::Reset if !resets => Event::Read,
        event => event,
    });
    prop::collection::vec((20u64..3_000, 0u64..400, event), 1..200)
}

/// The true counter of a trace: what it would show if it never wrapped, in µJ;
/// it steps by `unit` and wraps at `modulus`.
struct Truth {
    shown: u64,
    unit: u64,
    modulus: Option<u64>,
}

impl Truth {
    fn units(&self) -> u64 {
        self.shown / self.unit
    }

    fn raw(&self) -> u64 {
        let shown = self.units() * self.unit;
        self.modulus.map_or(shown, |modulus| shown % modulus)
    }
}

proptest! {
    #[test]
    fn without_restarts_the_movements_sum_to_what_the_true_counter_moved(
        intervals in intervals(false),
        start in 0u64..16_000,
        wraps in any::<bool>(),
    ) {
        // 16.3 kJ: a trace of up to 300 kJ wraps often; at 400 W it takes 40 s,
        // so a read every 10 s or sooner keeps every fall decidable.
        let (unit, modulus) = (61, 61 * 267_000_000);
        let modulus = wraps.then_some(modulus);
        let rules = domain(modulus.map(|modulus| modulus - unit), unit, 400);
        let mut tracker = CounterTracker::new(&rules);
        let mut truth = Truth { shown: start * 1_000_000, unit, modulus };
        let first = truth.units();
        let (mut now, mut sum, mut quiet) = (0, 0, 0);
        feed(&mut tracker, now, truth.raw());
        for (milliseconds, watts, event) in intervals {
            now += milliseconds;
            quiet += milliseconds;
            truth.shown += milliseconds * watts * 1_000;
            let movement = match event {
                Event::Sentinel(which) => feed(&mut tracker, now, SENTINELS[which]),
                Event::Spike => feed(&mut tracker, now, truth.raw() + 77_000_000_000),
                Event::FailedRead if quiet < 10_000 => continue,
                _ => {
                    quiet = 0;
                    feed(&mut tracker, now, truth.raw())
                }
            };
            match movement {
                Movement::Moved { energy } | Movement::Wrapped { energy } => {
                    sum += energy.microjoules();
                }
                Movement::Refused { .. } => {
                    // A good reading follows, as three spikes in a row would be believed.
                    quiet = 0;
                    sum += feed(&mut tracker, now, truth.raw()).energy().microjoules();
                }
                other => prop_assert!(other == Movement::StuckAtZero, "{other:?}"),
            }
        }
        sum += feed(&mut tracker, now, truth.raw()).energy().microjoules();
        prop_assert_eq!(sum, (truth.units() - first) * unit);
    }

    #[test]
    fn with_restarts_never_more_is_booked_than_was_used(intervals in intervals(true)) {
        let mut tracker = CounterTracker::new(&domain(None, 1_000, 400));
        let (mut now, mut used, mut shown, mut sum) = (0, 0, 0, 0);
        feed(&mut tracker, now, shown);
        for (milliseconds, watts, event) in intervals {
            now += milliseconds;
            let drawn = milliseconds * watts * 1_000;
            used += drawn;
            shown += drawn;
            match event {
                Event::Reset => shown = 0,
                Event::Read => {
                    sum += feed(&mut tracker, now, shown).energy().microjoules();
                    prop_assert!(sum <= used, "sum {sum}, used {used}");
                }
                _ => {}
            }
        }
    }
}
