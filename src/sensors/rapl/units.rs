// SPDX-License-Identifier: Apache-2.0
//! The step of a RAPL counter and the most its device can draw, from what the
//! zone publishes.

use std::path::Path;

use crate::sensors::{Kind, files};
use crate::units::Power;

/// The hardware counts in 32 bits (`ENERGY_STATUS_MASK` in the kernel).
const LAST_UNIT: u128 = 0xFFFF_FFFF;
/// Above any CPU package or its memory, where a zone names no limit.
const HIGHEST_PACKAGE: Power = Power::from_watts(1_500);
/// Above any node: a DGX H100 is rated at 10.2 kW (NVIDIA's data sheet).
const HIGHEST_NODE: Power = Power::from_watts(12_000);

/// The counter's step in µJ, rounded down, at least 1.
///
/// The range is 2^32 - 1 steps; the step is a whole number of nJ (newer kernels)
/// or 2^-n J (older ones). A range that neither reproduces is not of this kind,
/// and the file's own unit of 1 µJ is taken.
pub(super) fn counter_unit(range_microjoules: u64) -> u64 {
    let range = u128::from(range_microjoules);
    let nanojoules = (range * 1_000).div_ceil(LAST_UNIT);
    let whole =
        (1_000..=1_000_000_000).contains(&nanojoules) && nanojoules * LAST_UNIT / 1_000 == range;
    if whole {
        return (nanojoules / 1_000) as u64;
    }
    let power_of_two = (0..20).find(|exponent| (LAST_UNIT * 1_000_000) >> exponent == range);
    power_of_two.map_or(1, |exponent| 1_000_000 >> exponent)
}

/// Twice the highest power the zone names, as its rated power or as a limit set
/// (a laptop's short-term limit is several times its rated power), and never
/// above what any such device draws.
pub(super) fn highest_power(folder: &Path, kind: Kind) -> Power {
    let highest = if kind == Kind::Node { HIGHEST_NODE } else { HIGHEST_PACKAGE };
    let named = |constraint: usize, what: &str| {
        files::number(&folder.join(format!("constraint_{constraint}_{what}_uw")))
    };
    let rated = named(0, "max_power").filter(|microwatts| *microwatts > 0);
    let Some(rated) = rated else { return highest };
    let limits = (0..3).filter_map(|constraint| named(constraint, "power_limit"));
    let most = limits.chain([rated]).max().unwrap_or(rated);
    Power::from_microwatts(most.saturating_mul(2)).min(highest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_comes_from_the_ranges_that_kernels_publish() {
        // Intel 2^-14 J on newer and older kernels, AMD 2^-16 J, server DRAM 15.3 µJ.
        assert_eq!(counter_unit(262_143_328_850), 61);
        assert_eq!(counter_unit(262_143_999_938), 61);
        assert_eq!(counter_unit(65_532_610_987), 15);
        assert_eq!(counter_unit(65_712_999_613), 15);
        assert_eq!(counter_unit(4_294_967_295_000_000), 1_000_000);
    }

    #[test]
    fn a_range_of_another_kind_gives_the_files_own_unit() {
        // Seen for psys on Sapphire Rapids (intel/powertelemetry#3).
        assert_eq!(counter_unit(60_293_987_000_000), 1);
        assert_eq!(counter_unit(2_400_000_000), 1);
        assert_eq!(counter_unit(1), 1);
        assert_eq!(counter_unit(u64::MAX), 1);
    }

    #[test]
    fn the_highest_power_heeds_a_laptops_short_term_limit() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let power = || highest_power(folder.path(), Kind::Cpu);
        assert_eq!(power(), HIGHEST_PACKAGE);
        write("constraint_0_max_power_uw", "0\n");
        assert_eq!(power(), HIGHEST_PACKAGE);
        write("constraint_0_max_power_uw", "15000000\n");
        assert_eq!(power(), Power::from_watts(30));
        write("constraint_1_power_limit_uw", "64000000\n");
        assert_eq!(power(), Power::from_watts(128));
        write("constraint_1_power_limit_uw", "4095875000\n");
        assert_eq!(power(), HIGHEST_PACKAGE);
        assert_eq!(highest_power(&folder.path().join("none"), Kind::Node), HIGHEST_NODE);
    }
}
