// SPDX-License-Identifier: Apache-2.0
//! No microjoule is lost or made where lines are cut.

use proptest::prelude::*;

use super::*;

fn line(from: i64, to: i64, energy: u64) -> Booking {
    let part = Energy::from_microjoules(energy / 3);
    Booking {
        job: JobKey(1),
        domain: DomainKey(1),
        from_microseconds: from,
        to_microseconds: to,
        amount: Amount {
            energy: Energy::from_microjoules(energy),
            uncertainty: Uncertainty { split: part, gap: part, ..Uncertainty::default() },
            gap_nanoseconds: 7,
        },
    }
}

fn energy(parts: &[(usize, Booking)]) -> u64 {
    parts.iter().map(|(_, part)| part.amount.energy.microjoules()).sum()
}

#[test]
fn a_line_is_divided_by_time() {
    let parts = cut(&line(-50, 150, 1_000), &[0, 100, 200]);
    let told: Vec<_> = parts
        .iter()
        .map(|(place, part)| {
            let energy = part.amount.energy.microjoules();
            (*place, part.from_microseconds, part.to_microseconds, energy)
        })
        .collect();
    assert_eq!(told, [(0, 0, 100, 500), (1, 100, 150, 250)]);
    // Of 333 µJ: 249 are due at three quarters, 83 at one.
    assert_eq!(parts[0].1.amount.uncertainty.split, Energy::from_microjoules(249 - 83));
    // Beside the period, and touching it with its end.
    assert_eq!(cut(&line(-50, 0, 9), &[0, 100]), []);
    assert_eq!(cut(&line(100, 150, 9), &[0, 100]), []);
    // Without length it belongs where it is.
    for (at, place) in [(-1, None), (0, Some(0)), (99, Some(0)), (100, Some(1)), (200, None)] {
        let parts = cut(&line(at, at, 9), &[0, 100, 200]);
        assert_eq!(parts.iter().map(|part| part.0).next(), place, "{at}");
        assert_eq!(energy(&parts), place.map_or(0, |_| 9));
    }
}

proptest! {
    #[test]
    fn neighbouring_periods_add_up_to_the_line(
        from in -1_000i64..1_000,
        length in 0i64..1_000,
        microjoules in any::<u64>(),
        inner in prop::collection::btree_set(-999i64..1_999, 0..6),
    ) {
        let line = line(from, from + length, microjoules);
        let mut edges = vec![-1_000];
        edges.extend(inner);
        edges.push(2_000);
        prop_assert_eq!(energy(&cut(&line, &edges)), microjoules);
        let apart: u64 = edges.windows(2).map(|pair| energy(&cut(&line, pair))).sum();
        prop_assert_eq!(apart, microjoules);
    }
}
