// SPDX-License-Identifier: Apache-2.0
//! Against stepped counters whose truth is known, on a clock of the test's own.

use std::time::Duration;

use nvml_standin::{Gpu, Level, SampleBuffer, Trace};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;

const MILLISECOND: u64 = 1_000_000;

/// A counter that is read as the GPU thread does it.
struct Bench {
    gpu: Gpu,
    now: u64,
    finder: EdgeFinder,
    reads: usize,
}

impl Bench {
    fn new(gpu: Gpu) -> Bench {
        let finder = EdgeFinder::new(Duration::from_millis(100), Power::from_watts(1_000));
        let mut bench = Bench { gpu, now: 2_345 * MILLISECOND, finder, reads: 0 };
        bench.burst();
        bench
    }

    fn read(&mut self) {
        let value = Energy::from_millijoules(self.gpu.counter_mj(self.now)).unwrap();
        self.finder.observe(BootTime::from_nanoseconds(self.now), value);
        self.reads += 1;
    }

    /// Reads for as long as the finder wants, and gives its answers.
    fn burst(&mut self) -> Vec<Edge> {
        let mut edges = Vec::new();
        while let Some(next) = self.finder.next_read(BootTime::from_nanoseconds(self.now)) {
            self.now = next.nanoseconds() + 7_000;
            self.read();
            let now = BootTime::from_nanoseconds(self.now);
            while self.finder.is_ready(now) {
                let samples = self.samples();
                let Some(edge) = self.finder.take(now, &samples) else { break };
                edges.push(edge);
            }
        }
        edges
    }

    fn samples(&self) -> Vec<(BootTime, Power)> {
        let since = self.finder.samples_since().unwrap_or_default().nanoseconds();
        let samples = self.gpu.samples(self.now, since).into_iter();
        samples
            .map(|(at, mw)| (BootTime::from_nanoseconds(at), Power::from_milliwatts(u64::from(mw))))
            .collect()
    }

    /// One tick a second up to `until`, the first after a broken part of it.
    fn tick_until(&mut self, until: u64) {
        let second = 1_000 * MILLISECOND;
        let mut tick = (self.now / second + 1) * second;
        while tick < until {
            self.now = tick;
            self.read();
            tick += second;
        }
        self.now = until;
    }

    /// The counter at a moment, noticed `late` after it.
    fn edge_at(&mut self, moment: u64, late: u64) -> Point {
        self.tick_until(moment);
        self.now = moment + late;
        self.finder.ask(BootTime::from_nanoseconds(moment), BootTime::from_nanoseconds(self.now));
        let edges = self.burst();
        assert_eq!(edges.len(), 1);
        edges[0].point.unwrap()
    }

    fn truth(&self, moment: u64) -> u64 {
        self.gpu.counter.offset_mj * 1_000 + (self.gpu.power.integral(moment) / 1_000_000) as u64
    }
}

fn square(hz: f64, phase: f64) -> Trace {
    Trace::Square { low_mw: 120_000, high_mw: 480_000, hz, phase, duty: 0.5 }
}

/// The largest error of a job of that length, in parts of a million, over many phases.
fn worst_job_error(milliseconds: u64, hz: f64, samples: Option<SampleBuffer>) -> u64 {
    let mut worst = 0;
    for i in 0..100u64 {
        let mut gpu = Gpu::numbered(0, square(hz, (i * 37 % 100) as f64 / 100.0));
        gpu.sensor.samples = samples;
        gpu.counter.phase_ms = (i * 13 % 100) as f64;
        let mut bench = Bench::new(gpu);
        let start = 5_000 * MILLISECOND + i * 10_900_037;
        let end = start + milliseconds * MILLISECOND;
        let from = bench.edge_at(start, 50_000).value;
        let to = bench.edge_at(end, 50_000).value;
        let truth = bench.truth(end) - bench.truth(start);
        let energy = to.saturating_sub(from).microjoules();
        worst = worst.max(energy.abs_diff(truth) * 1_000_000 / truth);
    }
    worst
}

#[test]
fn a_two_second_job_on_square_waves_is_right_within_three_thousandths() {
    let samples = Some(SampleBuffer { every_ms: 20, length: 100 });
    for hz in [1.0, 7.0] {
        let worst = worst_job_error(2_037, hz, samples);
        assert!(worst < 3_000, "{hz} Hz: {worst} ppm");
    }
}

#[test]
fn a_twenty_second_job_is_right_within_half_a_thousandth() {
    let samples = Some(SampleBuffer { every_ms: 20, length: 100 });
    for hz in [1.0, 7.0] {
        let worst = worst_job_error(20_037, hz, samples);
        assert!(worst < 500, "{hz} Hz: {worst} ppm");
    }
}

#[test]
fn without_power_samples_a_short_job_still_errs_less_than_a_tenth_of_a_step_at_each_edge() {
    // A step of the mean power would be 5 % of a 2 s job.
    for hz in [1.0, 7.0] {
        let worst = worst_job_error(2_037, hz, None);
        assert!(worst < 25_000, "{hz} Hz: {worst} ppm");
    }
}

#[test]
fn the_end_is_found_within_one_step_and_few_reads_once_the_period_is_known() {
    let mut bench = Bench::new(Gpu::numbered(0, square(1.0, 0.0)));
    for i in 0..20u64 {
        let moment = bench.now + 350 * MILLISECOND + i * 7_123_457;
        let reads = bench.reads;
        bench.edge_at(moment, 0);
        let waited = bench.now - moment;
        assert!(waited <= 105 * MILLISECOND, "waited {waited} ns");
        assert!(bench.reads - reads <= 12, "{} reads", bench.reads - reads);
    }
}

#[test]
fn a_step_that_a_late_read_blurred_is_told_by_the_next_one() {
    let mut gpu = Gpu::numbered(0, Trace::Constant { mw: 500_000 });
    gpu.counter.phase_ms = 50.0;
    let mut bench = Bench::new(gpu);
    bench.tick_until(6_000 * MILLISECOND);
    let moment = 6_010 * MILLISECOND;
    bench.now = moment;
    bench.finder.ask(BootTime::from_nanoseconds(moment), BootTime::from_nanoseconds(moment));
    bench.read();
    // The thread did not run while the counter stepped at 6.05 s.
    bench.now = 6_064 * MILLISECOND;
    bench.read();
    let edges = bench.burst();
    let point = edges[0].point.unwrap();
    let error = point.value.microjoules().abs_diff(bench.truth(moment));
    assert!(error < 1_500_000, "{error} µJ off");
    assert!(bench.now <= 6_160 * MILLISECOND);
}

#[test]
fn other_periods_are_learned() {
    for step_ms in [20.0, 106.0, 250.0] {
        let mut gpu = Gpu::numbered(0, Trace::Constant { mw: 300_000 });
        gpu.counter.step_ms = step_ms;
        let mut bench = Bench::new(gpu);
        let moment = bench.now + 1_234 * MILLISECOND;
        let point = bench.edge_at(moment, 0);
        let error = point.value.microjoules().abs_diff(bench.truth(moment));
        assert!(error < 1_500_000, "{step_ms} ms: {error} µJ");
        assert!(error <= point.uncertainty.microjoules(), "{step_ms} ms: {error} µJ");
    }
}

#[test]
fn a_restart_at_the_edge_is_told_and_not_interpolated() {
    let mut gpu = Gpu::numbered(0, Trace::Constant { mw: 300_000 });
    gpu.counter.resets_ms = vec![6_010];
    let mut bench = Bench::new(gpu);
    bench.tick_until(6_000 * MILLISECOND);
    bench.read();
    let moment = BootTime::from_nanoseconds(bench.now);
    bench.finder.ask(moment, moment);
    assert_eq!(bench.burst(), [Edge { asked: moment, point: None }]);
    let later = bench.now + 1_000 * MILLISECOND;
    let point = bench.edge_at(later, 0);
    let truth = bench.truth(later) - bench.truth(6_010 * MILLISECOND);
    assert!(point.value.microjoules().abs_diff(truth) <= point.uncertainty.microjoules());
}

#[test]
fn a_frozen_counter_is_given_up_and_the_answer_says_how_little_it_knows() {
    let mut gpu = Gpu::numbered(0, Trace::Constant { mw: 300_000 });
    gpu.counter.step_ms = 1e9;
    let mut bench = Bench::new(gpu);
    let moment = bench.now + 700 * MILLISECOND;
    let point = bench.edge_at(moment, 0);
    assert!(bench.now - moment <= 310 * MILLISECOND);
    assert!(point.uncertainty >= Energy::from_microjoules(100_000_000));
}

fn any_trace() -> impl Strategy<Value = Trace> {
    let power = 30_000u64..700_000;
    let wave = (power.clone(), power.clone(), 0.2f64..25.0, 0.0f64..1.0, 0.1f64..0.9).prop_map(
        |(a, b, hz, phase, duty)| Trace::Square {
            low_mw: a.min(b),
            high_mw: a.max(b),
            hz,
            phase,
            duty,
        },
    );
    let levels = prop::collection::vec((15u64..900, power.clone()), 20..60).prop_map(|levels| {
        let mut at_ms = 0;
        let levels = levels.into_iter().map(|(time, mw)| {
            at_ms += time;
            Level { at_ms, mw }
        });
        Trace::Levels(levels.collect())
    });
    prop_oneof![1 => power.prop_map(|mw| Trace::Constant { mw }), 4 => wave, 4 => levels]
}

fn any_gpu() -> impl Strategy<Value = Gpu> {
    let samples =
        prop::option::of((5u64..60).prop_map(|every_ms| SampleBuffer { every_ms, length: 200 }));
    (any_trace(), 15f64..130.0, 0f64..100.0, 0f64..4.0, samples).prop_map(
        |(power, step_ms, phase_ms, jitter_ms, samples)| {
            let mut gpu = Gpu::numbered(0, power);
            gpu.counter.step_ms = step_ms;
            gpu.counter.phase_ms = phase_ms;
            gpu.counter.jitter_ms = jitter_ms;
            gpu.sensor.samples = samples;
            gpu
        },
    )
}

#[test]
fn the_truth_is_inside_the_stated_bounds_in_95_percent_of_random_cases() {
    const CASES: usize = 3_000;
    let mut runner = TestRunner::deterministic();
    let cases = (any_gpu(), 0u64..15_000_000_000, 0u64..8_000_000);
    let mut inside = 0;
    for _ in 0..CASES {
        let (gpu, after, late) = cases.new_tree(&mut runner).unwrap().current();
        let mut bench = Bench::new(gpu);
        let moment = bench.now + 100 * MILLISECOND + after;
        let point = bench.edge_at(moment, late);
        let error = point.value.microjoules().abs_diff(bench.truth(moment));
        inside += usize::from(error <= point.uncertainty.microjoules());
    }
    assert!(inside * 100 >= CASES * 95, "only {inside} of {CASES} inside the bounds");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn edges_asked_together_are_answered_in_order_and_never_fall(
        gpu in any_gpu(), after in 0u64..3_000, apart in 0u64..6_000_000,
    ) {
        let mut bench = Bench::new(gpu);
        bench.tick_until(bench.now + after * MILLISECOND);
        let earlier = BootTime::from_nanoseconds(bench.now);
        let later = BootTime::from_nanoseconds(bench.now + apart);
        bench.now += apart;
        bench.finder.ask(later, later);
        bench.finder.ask(earlier, later);
        let edges = bench.burst();
        prop_assert_eq!(edges.iter().map(|edge| edge.asked).collect::<Vec<_>>(), [earlier, later]);
        prop_assert!(edges[0].point.unwrap().value <= edges[1].point.unwrap().value);
    }

    /// Else the next reading would look like a counter that fell.
    #[test]
    fn a_point_lies_between_the_readings_around_it(gpu in any_gpu(), after in 0u64..5_000, late in 0u64..9) {
        let mut bench = Bench::new(gpu);
        let before = bench.gpu.counter_mj(bench.now) * 1_000;
        let moment = bench.now + after * MILLISECOND + 1;
        let point = bench.edge_at(moment, late * MILLISECOND);
        let value = point.value.microjoules();
        prop_assert!(before <= value && value <= bench.gpu.counter_mj(bench.now) * 1_000);
    }
}
