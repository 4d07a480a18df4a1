// SPDX-License-Identifier: Apache-2.0
//! Quantities as types, so that a joule is never added to a watt.
//!
//! Energy is an integer number of microjoules and stays one throughout the
//! books: no float may touch it left of the ledger. Time is `CLOCK_BOOTTIME`
//! (nanoseconds since boot, running on through suspend), which every process of
//! one boot shares, so that the wrapper's and the daemon's times compare.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One kilowatt-hour in microjoules (3.6 MJ, by definition of the hour).
pub const MICROJOULES_PER_KWH: u64 = 3_600_000_000_000;

/// Energy in microjoules (µJ). Range 0 to 1.8e13 J.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Energy(u64);

impl Energy {
    /// No energy.
    pub const ZERO: Energy = Energy(0);

    /// From microjoules.
    pub const fn from_microjoules(microjoules: u64) -> Self {
        Energy(microjoules)
    }

    /// From millijoules, NVML's unit; `None` where that does not fit.
    pub const fn from_millijoules(millijoules: u64) -> Option<Self> {
        match millijoules.checked_mul(1_000) {
            Some(microjoules) => Some(Energy(microjoules)),
            None => None,
        }
    }

    /// In microjoules.
    pub const fn microjoules(self) -> u64 {
        self.0
    }

    /// In joules, for people and for exports; not for the books.
    pub fn joules(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// In kilowatt-hours, for people and for exports.
    pub fn kilowatt_hours(self) -> f64 {
        self.0 as f64 / MICROJOULES_PER_KWH as f64
    }

    /// The sum, or `None` on overflow.
    pub fn checked_add(self, other: Energy) -> Option<Energy> {
        self.0.checked_add(other.0).map(Energy)
    }

    /// The sum, held at the largest value instead of overflowing.
    pub fn saturating_add(self, other: Energy) -> Energy {
        Energy(self.0.saturating_add(other.0))
    }

    /// The difference, or `None` where `other` is larger.
    pub fn checked_sub(self, other: Energy) -> Option<Energy> {
        self.0.checked_sub(other.0).map(Energy)
    }

    /// The difference, or zero where `other` is larger.
    pub fn saturating_sub(self, other: Energy) -> Energy {
        Energy(self.0.saturating_sub(other.0))
    }

    /// `self × part ÷ whole`, rounded down, computed without loss in 128 bits.
    /// Zero where `whole` is zero; at most `self`.
    pub fn portion(self, part: u64, whole: u64) -> Energy {
        if whole == 0 {
            return Energy::ZERO;
        }
        let part = part.min(whole);
        // The quotient is at most `self`, so it fits.
        Energy((u128::from(self.0) * u128::from(part) / u128::from(whole)) as u64)
    }

    /// The mean power over a time; zero where no time has passed.
    pub fn over(self, time: Duration) -> Power {
        let nanoseconds = time.as_nanos();
        if nanoseconds == 0 {
            return Power::ZERO;
        }
        let microwatts = u128::from(self.0) * 1_000_000_000 / nanoseconds;
        Power(u64::try_from(microwatts).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Energy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06} J", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Power in microwatts (µW).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Power(u64);

impl Power {
    /// No power.
    pub const ZERO: Power = Power(0);

    /// From microwatts, the unit of powercap and hwmon.
    pub const fn from_microwatts(microwatts: u64) -> Self {
        Power(microwatts)
    }

    /// From milliwatts, NVML's unit.
    pub const fn from_milliwatts(milliwatts: u64) -> Self {
        Power(milliwatts.saturating_mul(1_000))
    }

    /// From whole watts.
    pub const fn from_watts(watts: u64) -> Self {
        Power(watts.saturating_mul(1_000_000))
    }

    /// In microwatts.
    pub const fn microwatts(self) -> u64 {
        self.0
    }

    /// In watts, for people and for exports.
    pub fn watts(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// The energy of this power held for a time, rounded down.
    pub fn during(self, time: Duration) -> Energy {
        let microjoules = u128::from(self.0) * time.as_nanos() / 1_000_000_000;
        Energy(u64::try_from(microjoules).unwrap_or(u64::MAX))
    }
}

/// Carbon intensity of electricity in milligrams CO2e per kWh, an integer so
/// that energy × intensity is exact. Range 0 to 4.29e6 (4,290 g/kWh).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Intensity(u32);

impl Intensity {
    /// From milligrams CO2e per kWh.
    pub const fn from_milligrams_per_kwh(milligrams: u32) -> Self {
        Intensity(milligrams)
    }

    /// From grams CO2e per kWh, rounded to a milligram; `None` unless the value
    /// is finite, not negative and fits.
    pub fn from_grams_per_kwh(grams: f64) -> Option<Self> {
        let milligrams = (grams * 1_000.0).round();
        (milligrams.is_finite() && (0.0..=f64::from(u32::MAX)).contains(&milligrams))
            .then_some(Intensity(milligrams as u32))
    }

    /// In milligrams CO2e per kWh.
    pub const fn milligrams_per_kwh(self) -> u32 {
        self.0
    }

    /// In grams CO2e per kWh.
    pub fn grams_per_kwh(self) -> f64 {
        f64::from(self.0) / 1_000.0
    }
}

/// Emissions, exact: the sum of µJ × mg/kWh × thousandths of PUE. Divided only
/// when shown. Holds more than 1e14 tonnes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Emissions(u128);

impl Emissions {
    /// No emissions.
    pub const ZERO: Emissions = Emissions(0);

    /// Of an energy at an intensity, with a PUE in thousandths (1000: none).
    pub fn of(energy: Energy, intensity: Intensity, pue_thousandths: u32) -> Self {
        Emissions(u128::from(energy.0) * u128::from(intensity.0) * u128::from(pue_thousandths))
    }

    /// Of holding something for a time in microseconds, at a rate in nanograms CO2e an
    /// hour: exact in the same unit (µs × ng/h are 3.6e18 to the gram).
    pub fn of_time(microseconds: u64, nanograms_per_hour: u64) -> Self {
        Emissions(u128::from(microseconds) * u128::from(nanograms_per_hour))
    }

    /// The sum, held at the largest value instead of overflowing.
    pub fn saturating_add(self, other: Emissions) -> Emissions {
        Emissions(self.0.saturating_add(other.0))
    }

    /// In grams CO2e.
    pub fn grams(self) -> f64 {
        // mg → g and thousandths of PUE: 1e6 in all.
        self.0 as f64 / (MICROJOULES_PER_KWH as f64 * 1e6)
    }
}

/// A moment on `CLOCK_BOOTTIME`: nanoseconds since boot, suspend included.
/// Comparable between all processes of one boot, never between boots.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct BootTime(u64);

impl BootTime {
    /// From nanoseconds since boot.
    pub const fn from_nanoseconds(nanoseconds: u64) -> Self {
        BootTime(nanoseconds)
    }

    /// In nanoseconds since boot.
    pub const fn nanoseconds(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero where `earlier` is later.
    pub fn since(self, earlier: BootTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment moved later.
    pub fn plus(self, time: Duration) -> BootTime {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        BootTime(self.0.saturating_add(nanoseconds))
    }

    /// This moment moved earlier; held at boot.
    pub fn minus(self, time: Duration) -> BootTime {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        BootTime(self.0.saturating_sub(nanoseconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portion_rounds_down_and_never_exceeds_the_whole() {
        let energy = Energy::from_microjoules(10);
        assert_eq!(energy.portion(1, 3).microjoules(), 3);
        assert_eq!(energy.portion(5, 3).microjoules(), 10);
        assert_eq!(energy.portion(1, 0), Energy::ZERO);
        let most = Energy::from_microjoules(u64::MAX);
        assert_eq!(most.portion(u64::MAX, u64::MAX), most);
    }

    #[test]
    fn energy_and_power_are_each_others_inverse_over_a_time() {
        let power = Power::from_watts(300);
        let energy = power.during(Duration::from_millis(500));
        assert_eq!(energy.microjoules(), 150_000_000);
        assert_eq!(energy.over(Duration::from_millis(500)), power);
        assert_eq!(energy.over(Duration::ZERO), Power::ZERO);
    }

    #[test]
    fn intensity_refuses_what_is_no_intensity() {
        assert_eq!(Intensity::from_grams_per_kwh(-1.0), None);
        assert_eq!(Intensity::from_grams_per_kwh(f64::NAN), None);
        assert_eq!(Intensity::from_grams_per_kwh(1e9), None);
        let gb = Intensity::from_grams_per_kwh(209.0).unwrap();
        assert_eq!(gb.milligrams_per_kwh(), 209_000);
    }

    #[test]
    fn a_kilowatt_hour_at_209_grams_is_209_grams_and_with_pue_more() {
        let energy = Energy::from_microjoules(MICROJOULES_PER_KWH);
        let intensity = Intensity::from_milligrams_per_kwh(209_000);
        assert_eq!(Emissions::of(energy, intensity, 1_000).grams(), 209.0);
        assert_eq!(Emissions::of(energy, intensity, 1_200).grams(), 250.8);
    }

    #[test]
    fn an_hour_at_a_rate_is_the_rate() {
        assert_eq!(Emissions::of_time(3_600_000_000, 55_958_456_442).grams(), 55.958_456_442);
    }

    #[test]
    fn millijoules_that_do_not_fit_are_refused() {
        assert_eq!(Energy::from_millijoules(u64::MAX), None);
        assert_eq!(Energy::from_millijoules(7).unwrap().microjoules(), 7_000);
    }
}
