// SPDX-License-Identifier: Apache-2.0
//! The table of CPU power: data with a source for each figure, none of our own.

use crate::sensors::cpuinfo::CpuInfo;

/// The shipped table; its head says where it comes from.
const TABLE: &str = include_str!("../cpu_power.csv");

/// ± percent of an estimate by a known microarchitecture. The source gives no
/// error; its own figures for one microarchitecture moved by up to 44 % between
/// its releases of 2022 and 2026 (Ivy Bridge, idle, 3.04 to 1.71 W), and it divides whole
/// servers, so that one part's share may be smaller still.
const KNOWN_PERCENT: f64 = 50.0;

/// Power of one hardware thread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ThreadPower {
    pub(super) idle_milliwatts: u32,
    pub(super) full_milliwatts: u32,
    /// Of which microarchitecture.
    pub(super) name: &'static str,
    /// The model's error, ± percent.
    pub(super) percent: f64,
}

/// For a CPU that is not in the table: Cloud Carbon Footprint's mean, 0.74 W to
/// 3.5 W (`AwsFootprintEstimationConstants.ts`, `MIN_WATTS_AVG`, `MAX_WATTS_AVG`,
/// 2021). At full load the table's rows since Haswell (2014) reach from half to
/// 1.6 times of it; ± 100 % leaves room for what is in no table.
pub(super) const UNKNOWN: ThreadPower = ThreadPower {
    idle_milliwatts: 740,
    full_milliwatts: 3_500,
    name: "the mean of server CPUs",
    percent: 100.0,
};

/// The row of a CPU, else [`UNKNOWN`].
pub(super) fn lookup(cpu: &CpuInfo) -> ThreadPower {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(Row::parse);
    let mut fitting = rows.filter(|row| row.fits(cpu));
    fitting.next().map_or(UNKNOWN, |row| row.power)
}

struct Row {
    vendor: &'static str,
    family: u32,
    model: u32,
    steppings: std::ops::RangeInclusive<u32>,
    power: ThreadPower,
}

impl Row {
    fn parse(line: &'static str) -> Option<Row> {
        let mut fields = line.split(',');
        let vendor = fields.next()?;
        let mut number = || fields.next()?.parse().ok();
        let (family, model) = (number()?, number()?);
        let steppings = number()?..=number()?;
        let (idle_milliwatts, full_milliwatts) = (number()?, number()?);
        let name = fields.next()?;
        let power = ThreadPower { idle_milliwatts, full_milliwatts, name, percent: KNOWN_PERCENT };
        Some(Row { vendor, family, model, steppings, power })
    }

    fn fits(&self, cpu: &CpuInfo) -> bool {
        self.vendor == cpu.vendor
            && Some(self.family) == cpu.family
            && Some(self.model) == cpu.model
            && self.steppings.contains(&cpu.stepping.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(vendor: &str, family: u32, model: u32, stepping: u32) -> CpuInfo {
        CpuInfo {
            vendor: vendor.into(),
            family: Some(family),
            model: Some(model),
            stepping: Some(stepping),
            ..CpuInfo::default()
        }
    }

    #[test]
    fn every_row_is_whole_and_idle_is_below_full() {
        let lines: Vec<_> = TABLE.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.len() > 10);
        for line in lines {
            let row = Row::parse(line).unwrap_or_else(|| panic!("{line}"));
            assert!(row.power.idle_milliwatts < row.power.full_milliwatts, "{line}");
            assert_eq!(line.split(',').count(), 9, "{line}");
        }
    }

    #[test]
    fn steppings_tell_cascade_lake_from_skylake_and_others_are_unknown() {
        assert_eq!(lookup(&cpu("GenuineIntel", 6, 85, 4)).name, "Skylake");
        assert_eq!(lookup(&cpu("GenuineIntel", 6, 85, 7)).name, "Cascade Lake");
        assert_eq!(lookup(&cpu("GenuineIntel", 6, 85, 11)), UNKNOWN);
        assert_eq!(lookup(&cpu("AuthenticAMD", 25, 1, 1)).full_milliwatts, 1_957);
        assert_eq!(lookup(&cpu("AuthenticAMD", 6, 85, 4)), UNKNOWN);
        assert_eq!(lookup(&CpuInfo::default()), UNKNOWN);
    }
}
