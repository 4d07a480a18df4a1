// SPDX-License-Identifier: Apache-2.0
//! The marks on axes: round numbers, and round times of a time zone.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, ToSpan, ZonedDateTime};

/// Marks on an axis at most.
const MARKS: f64 = 8.0;

/// Steps between marks within a day, in seconds.
const SECONDS: [i64; 17] =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200];
/// The same in days.
const DAYS: [i64; 9] = [1, 2, 7, 14, 28, 56, 91, 182, 365];
const DAY: f64 = 86_400.0;

/// Of units with their sizes, from the smallest on, the largest in which `most` is at
/// least 1; the first where it is in none.
pub fn unit<'a>(most: f64, units: &[(f64, &'a str)]) -> (f64, &'a str) {
    let fitting = units.iter().rev().find(|(size, _)| most >= *size);
    fitting.or(units.first()).copied().unwrap_or((1.0, ""))
}

/// Round numbers from 0 on; the last is at least `most`.
pub fn numbers(most: f64) -> Vec<f64> {
    let most = if most > 0.0 { most } else { 1.0 };
    let power = 10f64.powf((most / 5.0).log10().floor());
    let step = [1.0, 2.0, 5.0].map(|part| part * power).into_iter().find(|step| most / step <= 5.0);
    let step = step.unwrap_or(10.0 * power);
    let last = (most / step - 1e-9).ceil().max(1.0) as i32;
    (0..=last).map(|mark| f64::from(mark) * step).collect()
}

/// A mark's number, without the noise of its arithmetic.
pub fn number(mark: f64) -> String {
    if mark.abs() >= 1e6 {
        return format!("{mark:e}");
    }
    ((mark * 1e6).round() / 1e6).to_string()
}

/// A mark on an axis of time: where, and what stands at it.
pub struct Moment {
    /// Seconds since 1970 UTC.
    pub at: f64,
    /// What stands at it.
    pub told: String,
}

/// Round moments of a time zone between two, in seconds since 1970 UTC.
pub fn moments(from: f64, to: f64, zone: &TimeZone) -> Vec<Moment> {
    let Some(first) = zoned(from, zone) else { return Vec::new() };
    let span = to - from;
    let within = SECONDS.into_iter().find(|step| span / *step as f64 <= MARKS);
    let (step, form) = match within {
        Some(step @ 0..60) => (step.seconds(), "%H:%M:%S"),
        Some(step) => (step.seconds(), "%H:%M"),
        None => {
            let fits = |days: &i64| span / DAY / (*days as f64) <= MARKS;
            let years = (span / DAY / 365.0 / MARKS).ceil().clamp(1.0, 1e4) as i64 * 365;
            (DAYS.into_iter().find(fits).unwrap_or(years).days(), "%Y-%m-%d")
        }
    };
    marks(&first, step, to)
        .into_iter()
        .filter(|moment| seconds(moment) >= from)
        .map(|moment| {
            // A new day says so.
            let midnight = moment.time() == jiff::civil::Time::midnight();
            let form = if midnight { "%Y-%m-%d" } else { form };
            Moment { at: seconds(&moment), told: moment.strftime(form).to_string() }
        })
        .collect()
}

/// The middles of columns, so many of them as have place; each tells when it starts.
pub fn columns(spans: &[(f64, f64)], zone: &TimeZone) -> Vec<Moment> {
    let mut spans = spans.to_vec();
    spans.sort_by(|one, other| one.0.total_cmp(&other.0));
    spans.dedup();
    let each = (spans.len() as f64 / MARKS).ceil().max(1.0) as usize;
    let moment = |&(from, to): &(f64, f64)| {
        let told = zoned(from, zone)?.strftime("%Y-%m-%d").to_string();
        Some(Moment { at: from.midpoint(to), told })
    };
    spans.iter().step_by(each).filter_map(moment).collect()
}

/// From the start of the first day on.
fn marks(first: &ZonedDateTime, step: Span, to: f64) -> Vec<ZonedDateTime> {
    let mut marks = Vec::new();
    let mut next = first.start_of_day().ok();
    while let Some(mark) = next.filter(|mark| seconds(mark) <= to) {
        next = mark.checked_add(step).ok();
        marks.push(mark);
    }
    marks
}

fn zoned(at: f64, zone: &TimeZone) -> Option<ZonedDateTime> {
    let at = SignedDuration::try_from_secs_f64(at).ok()?;
    Some(Timestamp::UNIX_EPOCH.checked_add(at).ok()?.to_zoned_datetime(zone.clone()))
}

fn seconds(moment: &ZonedDateTime) -> f64 {
    moment.timestamp().as_duration().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_round_and_hold_the_greatest() {
        assert_eq!(numbers(0.0), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(numbers(10.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(numbers(11.0), [0.0, 5.0, 10.0, 15.0]);
        assert_eq!(numbers(420.0), [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]);
        assert_eq!(number(numbers(0.9)[3]), "0.6");
        for most in [1e-9, 0.3, 7.0, 99.9, 1e18] {
            let marks = numbers(most);
            assert!((2..=7).contains(&marks.len()) && marks[marks.len() - 1] >= most, "{marks:?}");
        }
    }

    #[test]
    fn moments_are_round_in_their_zone() {
        let told = |from: &str, hours: f64, zone: &str| -> Vec<String> {
            let from = from.parse::<Timestamp>().unwrap().as_second() as f64;
            let zone = TimeZone::get(zone).unwrap();
            moments(from, from + hours * 3_600.0, &zone).into_iter().map(|m| m.told).collect()
        };
        assert_eq!(
            told("2026-11-24T09:00:20Z", 0.005, "UTC"),
            ["09:00:20", "09:00:25", "09:00:30", "09:00:35"]
        );
        assert_eq!(
            told("2026-11-24T22:10:00Z", 3.0, "UTC"),
            ["22:30", "23:00", "23:30", "2026-11-25", "00:30", "01:00"]
        );
        assert_eq!(
            told("2026-11-24T22:10:00Z", 3.0, "Europe/Berlin"),
            ["23:30", "2026-11-25", "00:30", "01:00", "01:30", "02:00"]
        );
        // Over the change of the clocks days stay days.
        assert_eq!(
            told("2026-10-23T22:00:00Z", 97.0, "Europe/Berlin"),
            ["2026-10-24", "2026-10-25", "2026-10-26", "2026-10-27", "2026-10-28"]
                .map(|day| day.to_owned())
        );
        assert!(told("2026-11-24T09:00:00Z", 24.0 * 365.0 * 900.0, "UTC").len() <= 9);
    }
}
