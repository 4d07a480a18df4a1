// SPDX-License-Identifier: Apache-2.0
//! Conservation: whatever happens, jobs + unattributed = what the counters moved,
//! to the microjoule.
//!
//! A model machine with three kinds of sensor (a counter that wraps, one that
//! restarts, a power sensor) lives through random traces, claims, failed and
//! absurd reads, late ticks, restarts of counters, crashes of the daemon and
//! boots. Its readings go through the meter, the attribution, the books and a
//! ledger, all real but the last. Beside it runs an account of what the readings
//! prove, made from the machine's true energy and never from the meter's words.

mod model;

use aimeter::attribution::IdlePolicy;
use proptest::prelude::*;

use model::{FAN, GPU, MAX_WATTS, Model, PACKAGE, Step, UNIT, UNITS, Use};

fn step() -> impl Strategy<Value = Step> {
    let job = (0..3_000_000_u64, 0..4_u32, any::<bool>(), 0..101_u32, 0..5_u32).prop_map(
        |(microseconds, reserved, held, utilisation, slices)| Use {
            microseconds,
            reserved,
            held,
            utilisation,
            slices,
        },
    );
    // No device draws nothing: a counter that stays at 0 is dead.
    let milliwatts = [1_000..MAX_WATTS * 1_000, 1_000..MAX_WATTS * 1_000, 0..MAX_WATTS * 1_000];
    let read = std::array::from_fn(|_| prop::bool::weighted(0.85));
    let absurd = prop::option::weighted(0.1, 0..3_usize);
    let tick = (1..2_000_u64, milliwatts, read, absurd).prop_map(
        |(milliseconds, milliwatts, read, absurd): (_, _, [bool; 3], _)| Step::Tick {
            milliseconds,
            milliwatts,
            read,
            absurd,
        },
    );
    prop_oneof![
        20 => tick,
        3 => prop::collection::vec(job, 0..5).prop_map(Step::Uses),
        2 => Just(Step::Start),
        1 => any::<prop::sample::Index>().prop_map(Step::End),
        1 => any::<bool>().prop_map(|told| Step::Restart { told }),
        4 => Just(Step::Write),
        1 => Just(Step::CloseIntervals),
        1 => Just(Step::Crash),
        1 => Just(Step::Boot),
    ]
}

fn policy() -> impl Strategy<Value = IdlePolicy> {
    prop::sample::select(vec![
        IdlePolicy::Unattributed,
        IdlePolicy::Proportional,
        IdlePolicy::Reserved,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn jobs_and_unattributed_are_what_the_counters_moved(
        policy in policy(),
        slices in prop::sample::select(vec![0_u32, 7]),
        start in 1_000_000..UNITS * UNIT,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut model = Model::new(policy, slices, start);
        for step in &steps {
            model.play(step);
        }
        model.write();
    }
}

#[test]
fn the_model_lives_through_wraps_and_restarts_and_jobs_get_their_part() {
    let tick =
        Step::Tick { milliseconds: 500, milliwatts: [60_000; 3], read: [true; 3], absurd: None };
    let job = Use { microseconds: 400_000, reserved: 1, held: true, utilisation: 50, slices: 1 };
    let mut model = Model::new(IdlePolicy::Unattributed, 0, UNITS * UNIT - 1_000_000);
    model.play(&Step::Uses(vec![job]));
    model.play(&tick);
    model.play(&Step::Start);
    for _ in 0..20 {
        model.play(&tick);
    }
    model.play(&Step::Restart { told: false });
    model.play(&tick);
    model.play(&Step::Write);
    model.play(&tick);
    model.play(&Step::Crash);
    model.play(&tick);
    model.write();
    assert!(model.wraps >= 2, "{} wraps", model.wraps);
    // The first reading is at 0.5 s, the last at 12 s. Of the 0.5 s before the
    // restart nothing is lost here: it came right after a reading.
    let moved = |place: usize| model.written[place].energy as f64 / 1e6;
    assert!((moved(PACKAGE) - 60.0 * 11.5).abs() < 1e-3, "{}", moved(PACKAGE));
    assert!((moved(GPU) - 60.0 * 11.5).abs() < 1e-2, "{}", moved(GPU));
    // A power sensor counts nothing while the daemon is away: two ticks less.
    assert!((moved(FAN) - 60.0 * 10.5).abs() < 1e-3, "{}", moved(FAN));
    let of_job = |place: i64| {
        let lines = model.ledger.values().filter(|line| line.domain.0 == place && line.job.0 == 1);
        lines.map(|line| line.amount.energy.joules()).sum::<f64>()
    };
    // 400 ms of 8 cores × 500 ms; the GPU is all the job's.
    assert!((of_job(PACKAGE as i64) - 60.0 * 11.5 * 0.1).abs() < 3.1, "{}", of_job(0));
    assert!((of_job(GPU as i64) - 60.0 * 11.5).abs() < 1e-2, "{}", of_job(1));
}
