// SPDX-License-Identifier: Apache-2.0
//! How often the 95 % intervals hold the truth: campaigns simulated from a known
//! truth, with fixed seeds. A campaign draws one gain error for all its repetitions
//! and a noise for each. Issue 5, show 4: between 93 and 97 %.

use super::tests::exact;
use super::*;

const CAMPAIGNS: usize = 5_000;
const TRUTH: f64 = 0.37;

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
struct Chance(u64);

impl Chance {
    /// Uniform, above 0 and below 1.
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller, 1958).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// The true distribution of a repetition about the mean; all have standard deviation 1.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Normal,
    Uniform,
    /// Two sums of a uniform: no tails.
    Triangular,
    /// A long tail upwards, as of runs that something disturbed; skewness 0.61.
    Lognormal,
}

impl Shape {
    fn draw(self, chance: &mut Chance) -> f64 {
        match self {
            Self::Normal => chance.normal(),
            Self::Uniform => (chance.uniform() - 0.5) * 12f64.sqrt(),
            Self::Triangular => (chance.uniform() + chance.uniform() - 1.0) * 6f64.sqrt(),
            Self::Lognormal => {
                let width: f64 = 0.2;
                let (grown, spread) =
                    ((width * width / 2.0).exp(), (width * width).exp_m1().sqrt());
                ((width * chance.normal()).exp() - grown) / (grown * spread)
            }
        }
    }
}

/// A kind of campaign.
#[derive(Clone, Copy, Debug)]
struct Kind {
    shape: Shape,
    repetitions: usize,
    /// Standard deviation of a repetition, percent.
    noise: f64,
    /// Standard deviation of the gain error, percent.
    gain: f64,
}

impl Kind {
    fn gain_error(&self, chance: &mut Chance) -> f64 {
        1.0 + self.gain / 100.0 * chance.normal()
    }

    fn campaign(&self, chance: &mut Chance, truth: f64, gain_error: f64) -> Summary {
        let mut one = |_| truth * gain_error * (1.0 + self.noise / 100.0 * self.shape.draw(chance));
        let values: Vec<f64> = (0..self.repetitions).map(&mut one).collect();
        summary(&exact(&values), student::NORMAL_95 * self.gain).expect("usable values")
    }
}

/// Three repetitions of this are outside of what the intervals promise: see the last
/// test and docs/benchmark.md.
fn too_few(kind: &Kind) -> bool {
    matches!(kind.shape, Shape::Uniform) && kind.repetitions < 5
}

/// All kinds that the tests go through: small campaigns, noise below, at and above a
/// gain error of 3.7 % (RMS of 19 cards, docs/sensors.md), and none.
fn kinds() -> impl Iterator<Item = Kind> {
    let shapes = [Shape::Normal, Shape::Uniform, Shape::Triangular, Shape::Lognormal];
    let sizes = [(3, 1.0), (3, 6.4), (5, 3.7), (5, 8.3), (10, 2.0), (10, 11.7)];
    shapes.into_iter().flat_map(move |shape| {
        sizes.into_iter().flat_map(move |(repetitions, noise)| {
            [0.0, 3.7].map(|gain| Kind { shape, repetitions, noise, gain })
        })
    })
}

fn percent(kind: &Kind, seed: u64, hit: impl Fn(&Kind, &mut Chance) -> bool) -> f64 {
    let mut chance = Chance(seed);
    let hits = (0..CAMPAIGNS).filter(|_| hit(kind, &mut chance)).count();
    hits as f64 / CAMPAIGNS as f64 * 100.0
}

fn mean_holds_the_truth(kind: &Kind, chance: &mut Chance) -> bool {
    let gain_error = kind.gain_error(chance);
    let (low, high) = kind.campaign(chance, TRUTH, gain_error).interval();
    (low..=high).contains(&TRUTH)
}

/// Fails for each kind whose share of hits is outside 93 to 97 %.
#[track_caller]
fn holds(hit: impl Fn(&Kind, &mut Chance) -> bool) {
    let mut outside = Vec::new();
    for (seed, kind) in (1u64..).zip(kinds().filter(|kind| !too_few(kind))) {
        let percent = percent(&kind, seed, &hit);
        println!("{percent:.2} % of {kind:?}");
        if !(93.0..=97.0).contains(&percent) {
            outside.push((percent, kind));
        }
    }
    assert!(outside.is_empty(), "{outside:#?}");
}

#[test]
fn the_interval_of_a_mean_holds_the_truth_in_93_to_97_percent() {
    holds(mean_holds_the_truth);
}

#[test]
fn the_interval_of_a_ratio_on_the_same_sensors_holds_the_truth_in_93_to_97_percent() {
    holds(|kind, chance| {
        let gain_error = kind.gain_error(chance);
        let first = kind.campaign(chance, TRUTH * 1.25, gain_error);
        let second = kind.campaign(chance, TRUTH, gain_error);
        let found = ratio(&first, &second, Sensors::Same).expect("both repeated");
        (found.low..=found.high).contains(&1.25)
    });
}

#[test]
fn the_interval_of_a_ratio_on_other_sensors_holds_the_truth_in_93_to_97_percent() {
    holds(|kind, chance| {
        let (one, other) = (kind.gain_error(chance), kind.gain_error(chance));
        let first = kind.campaign(chance, TRUTH * 1.25, one);
        let second = kind.campaign(chance, TRUTH, other);
        let found = ratio(&first, &second, Sensors::Different).expect("both repeated");
        (found.low..=found.high).contains(&1.25)
    });
}

/// Four campaigns are each held against a fifth. At most one comparison family in twenty may
/// miss any of its truths; Bonferroni's inequality makes it fewer, never more.
#[test]
fn all_ratios_of_several_campaigns_to_one_hold_their_truths_together() {
    for (seed, kind) in (1u64..).zip(kinds().filter(|kind| !too_few(kind))) {
        let percent = percent(&kind, seed, |kind, chance| {
            let gain_error = kind.gain_error(chance);
            let baseline = kind.campaign(chance, TRUTH, gain_error);
            (0..4).all(|_| {
                let other = kind.campaign(chance, TRUTH * 1.25, gain_error);
                let found = ratio_of(&other, &baseline, Sensors::Same, 4).expect("both repeated");
                (found.low..=found.high).contains(&1.25)
            })
        });
        println!("{percent:.2} % of {kind:?}");
        assert!(percent >= 93.0, "{percent} % of {kind:?}");
    }
}

/// Student's t takes the noise for normal. Three values of a uniform noise scatter
/// little too often; the page says by how much this misses.
#[test]
fn three_repetitions_of_uniform_noise_hold_the_truth_in_91_to_93_percent() {
    for (seed, kind) in (1u64..).zip(kinds().filter(too_few).filter(|kind| kind.gain == 0.0)) {
        let percent = percent(&kind, seed, mean_holds_the_truth);
        assert!((91.0..=93.0).contains(&percent), "{percent} % of {kind:?}");
    }
}
