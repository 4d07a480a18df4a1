// SPDX-License-Identifier: Apache-2.0
//! What is hard to believe of a figure although each bound holds: a jump.
//!
//! A grid changes by some tens of grams in an hour. A figure that leaps may be in
//! another unit or of another place: it is kept, and used only when a second answer
//! agrees. (What cannot be at all is refused in `feeds::facts`.)

use crate::ledger::IntensityFact;

/// A jump is to more than so many times the figure before, or to less than that part.
const TIMES: u64 = 5;
/// And by more than so many mg/kWh.
const BY: u64 = 300_000;

/// Whether the step from one fact to the next is too large to be believed at once.
/// Figures of different signal, boundary, zone or source are different quantities,
/// and a step between them is none; nor is one from or to a yearly mean.
pub fn jump(before: &IntensityFact, now: &IntensityFact) -> bool {
    use crate::ledger::IntensityKind::Table;
    let same = (&before.zone, &before.signal, &before.boundary, &before.source)
        == (&now.zone, &now.signal, &now.boundary, &now.source);
    if !same || before.kind == Table || now.kind == Table {
        return false;
    }
    let milligrams = |fact: &IntensityFact| u64::from(fact.intensity.milligrams_per_kwh());
    let (one, other) = (milligrams(before), milligrams(now));
    let (low, high) = (one.min(other), one.max(other));
    high > TIMES * low && high - low > BY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::IntensityKind;
    use crate::units::Intensity;

    fn fact(grams: f64) -> IntensityFact {
        IntensityFact {
            zone: "DE".into(),
            from: jiff::Timestamp::UNIX_EPOCH,
            to: jiff::Timestamp::UNIX_EPOCH,
            intensity: Intensity::from_grams_per_kwh(grams).unwrap(),
            signal: "average".into(),
            boundary: "direct".into(),
            source: "electricity-maps".into(),
            kind: IntensityKind::Actual,
            fetched_at: jiff::Timestamp::UNIX_EPOCH,
            provider_updated_at: None,
        }
    }

    #[test]
    fn a_jump_is_both_by_a_factor_and_by_a_distance() {
        for (before, now, is) in [
            (100.0, 500.0, false),
            (100.0, 500.001, true),
            (500.001, 100.0, true),
            (10.0, 310.0, false),
            (10.0, 310.001, true),
            (0.0, 300.0, false),
            (0.0, 300.001, true),
            // Far, but no fivefold; fivefold, but not far.
            (300.0, 1_400.0, false),
            (20.0, 150.0, false),
            (45.0, 45.0, false),
        ] {
            assert_eq!(jump(&fact(before), &fact(now)), is, "{before} to {now}");
        }
    }

    #[test]
    fn another_quantity_is_no_jump() {
        let (before, now) = (fact(20.0), fact(900.0));
        assert!(jump(&before, &now));
        assert!(!jump(&before, &IntensityFact { signal: "marginal".into(), ..now.clone() }));
        assert!(!jump(&before, &IntensityFact { boundary: "lifecycle".into(), ..now.clone() }));
        assert!(!jump(&before, &IntensityFact { source: "rte".into(), ..now.clone() }));
        assert!(!jump(&before, &IntensityFact { zone: "FR".into(), ..now.clone() }));
        assert!(!jump(&before, &IntensityFact { kind: IntensityKind::Table, ..now }));
    }
}
