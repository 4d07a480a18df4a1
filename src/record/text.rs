// SPDX-License-Identifier: Apache-2.0
//! Figures and foreign texts as people read them.
//!
//! Three significant figures, since no figure here is better than that
//! (`docs/accuracy.md`), and the unit that keeps them between 1 and 1000. For
//! people only: records and exports carry the plain numbers.

/// Energy in J, kJ, MJ or GJ (below a joule mJ or µJ).
pub fn energy(joules: f64) -> String {
    scaled(
        joules,
        3,
        &[(1e-6, "µJ"), (1e-3, "mJ"), (1.0, "J"), (1e3, "kJ"), (1e6, "MJ"), (1e9, "GJ")],
    )
}

/// The same energy in Wh, kWh or MWh; `None` below 1 Wh, where joules say more.
pub fn watt_hours(joules: f64) -> Option<String> {
    let watt_hours = joules / 3_600.0;
    (watt_hours >= 1.0)
        .then(|| scaled(watt_hours, 3, &[(1.0, "Wh"), (1e3, "kWh"), (1e6, "MWh"), (1e9, "GWh")]))
}

/// An uncertainty of an energy: two significant figures.
pub fn uncertainty(joules: f64) -> String {
    scaled(
        joules,
        2,
        &[(1e-6, "µJ"), (1e-3, "mJ"), (1.0, "J"), (1e3, "kJ"), (1e6, "MJ"), (1e9, "GJ")],
    )
}

/// Emissions in g, kg or t CO2e (below a gram mg or µg).
pub fn emissions(grams: f64) -> String {
    scaled(grams, 3, &[(1e-6, "µg"), (1e-3, "mg"), (1.0, "g"), (1e3, "kg"), (1e6, "t")])
}

/// A plain number of three significant figures.
pub fn number(value: f64) -> String {
    figures(round(value, 3), 3)
}

/// A percentage of two significant figures.
pub fn percent(value: f64) -> String {
    format!("{} %", figures(round(value, 2), 2))
}

/// A kind of domain as people write it: `GPU`, `CPU`, `DRAM`, `node`.
pub fn kind(word: &str) -> String {
    match word {
        "gpu" | "cpu" | "dram" => word.to_uppercase(),
        other => other.to_owned(),
    }
}

/// A time: `312 ms`, `20.0 s`, `12 min 31 s`, `3 h 5 min`, `2 d 4 h`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 0.9995 => format!("{:.0} ms", seconds * 1e3),
        _ if seconds < 59.95 => format!("{seconds:.1} s"),
        0..3_600 => format!("{} min {} s", whole / 60, whole % 60),
        3_600..86_400 => format!("{} h {} min", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3_600),
    }
}

/// Foreign text on one line: what could move a terminal's cursor, start a new line or
/// turn the direction of what follows becomes a space.
pub fn line(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let plain: String =
        text.chars().map(|c| if c.is_control() || turns(c) { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `value` with so many figures in the largest unit that leaves it at least 1.
fn scaled(value: f64, digits: usize, units: &[(f64, &str)]) -> String {
    let value = round(value, digits);
    let base = units.iter().find(|(size, _)| *size == 1.0);
    let fitting = units.iter().rev().find(|(size, _)| value >= *size);
    match if value == 0.0 { base } else { fitting.or(units.first()) } {
        Some((size, unit)) => format!("{} {unit}", figures(value / size, digits)),
        None => figures(value, digits),
    }
}

/// Rounded to so many significant figures.
fn round(value: f64, digits: usize) -> f64 {
    format!("{value:.*e}", digits - 1).parse().unwrap_or(value)
}

/// Without an exponent, with as many decimals as so many figures need.
fn figures(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    // A hair above the power of ten, so that 1000 made of 999.9… counts as 1000.
    let magnitude = (value.abs() * (1.0 + 1e-9)).log10().floor() as i32;
    let decimals = usize::try_from(digits as i32 - 1 - magnitude).unwrap_or(0);
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energies_have_three_figures_and_a_fitting_unit() {
        let check = |joules, expected: &str| assert_eq!(energy(joules), expected);
        check(0.0, "0 J");
        check(0.000_000_4, "0.400 µJ");
        check(0.42, "420 mJ");
        check(1.0, "1.00 J");
        check(999.4, "999 J");
        check(999.6, "1.00 kJ");
        check(46_800.0, "46.8 kJ");
        check(1_735_200.0, "1.74 MJ");
        check(7.5e12, "7500 GJ");
        assert_eq!(uncertainty(5_249.0), "5.2 kJ");
        assert_eq!(uncertainty(996.0), "1.0 kJ");
        assert_eq!(uncertainty(41.0), "41 J");
        assert_eq!(percent(7.5), "7.5 %");
        assert_eq!(percent(99.9), "100 %");
    }

    #[test]
    fn watt_hours_stand_beside_joules_where_they_are_large() {
        assert_eq!(watt_hours(3_599.0), None);
        assert_eq!(watt_hours(3_600.0).as_deref(), Some("1.00 Wh"));
        assert_eq!(watt_hours(1_735_200.0).as_deref(), Some("482 Wh"));
        assert_eq!(watt_hours(3.6e9).as_deref(), Some("1.00 MWh"));
    }

    #[test]
    fn emissions_go_from_micrograms_to_tonnes() {
        let check = |grams, expected: &str| assert_eq!(emissions(grams), expected);
        check(0.000_058, "58.0 µg");
        check(0.0203, "20.3 mg");
        check(120.86, "121 g");
        check(999.9, "1.00 kg");
        check(26_478_200.0, "26.5 t");
    }

    #[test]
    fn durations_read_as_people_say_them() {
        let check = |seconds, expected: &str| assert_eq!(duration(seconds), expected);
        check(0.0, "0 ms");
        check(0.3124, "312 ms");
        check(0.9999, "1.0 s");
        check(20.04, "20.0 s");
        check(59.99, "1 min 0 s");
        check(751.25, "12 min 31 s");
        check(3_599.9, "1 h 0 min");
        check(11_100.0, "3 h 5 min");
        check(187_200.0, "2 d 4 h");
    }

    #[test]
    fn foreign_text_cannot_leave_its_line() {
        assert_eq!(line("a\nb\r\u{1b}[2Jc\t d"), "a b [2Jc d");
        assert_eq!(line("\u{202e}moc.evil\u{2066}"), "moc.evil");
    }
}
