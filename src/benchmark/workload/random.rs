// SPDX-License-Identifier: Apache-2.0
//! Random numbers that are the same everywhere: SplitMix64 (Steele, Lea, Flood 2014).

/// The generator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// With a seed.
    pub(super) const fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// 64 random bits.
    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A whole number below `bound`, which is at most 2^32.
    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        ((self.next() >> 32) * bound) >> 32
    }

    /// Uniform from -1 to below 1, in steps of 2^-15: exact as `f32`, and so are the sums
    /// of a few.
    pub(super) fn symmetric(&mut self) -> f32 {
        (self.below(1 << 16) as f32 - 32_768.0) / 32_768.0
    }

    /// Roughly normal with deviation 1: the sum of three uniform numbers, each of
    /// variance 1/3.
    pub(super) fn bell(&mut self) -> f32 {
        self.symmetric() + self.symmetric() + self.symmetric()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_numbers_are_the_published_ones() {
        // Of the reference code, splitmix64.c by Vigna, with seed 1234567.
        let mut random = Random::new(1_234_567);
        let first = [random.next(), random.next(), random.next()];
        assert_eq!(
            first,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn mean_and_deviation_are_those_of_the_distribution() {
        let mut random = Random::new(1);
        let numbers: Vec<f64> = (0..20_000).map(|_| f64::from(random.bell())).collect();
        let mean = numbers.iter().sum::<f64>() / 2e4;
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 2e4;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
