// SPDX-License-Identifier: Apache-2.0
//! The days or weeks of a period: midnights of a time zone between its ends.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// A period of more days goes by weeks.
const MOST_DAYS: i64 = 62;
/// Days of the longest period: a hundred years.
const LONGEST_DAYS: i64 = 36_525;

/// The edges of a period's days, or of its weeks (from Monday on) where `weeks` is set:
/// its start, the midnights in it, its end.
///
/// # Errors
/// Where it is no period, or one of more than a hundred years.
pub fn edges(
    since: Timestamp,
    until: Timestamp,
    zone: &TimeZone,
    weeks: bool,
) -> Result<Vec<Timestamp>, String> {
    if since >= until {
        return Err("the period ends before it begins: look at --since and --until".to_owned());
    }
    if days(since, until) > LONGEST_DAYS {
        return Err("the period has more than a hundred years: look at --since".to_owned());
    }
    let mut edges = vec![since];
    let mut next = since.to_zoned_datetime(zone.clone()).start_of_day().ok();
    if weeks {
        let monday = |day: jiff::ZonedDateTime| {
            let back = i64::from(day.weekday().to_monday_zero_offset());
            day.checked_sub(back.days()).ok()
        };
        next = next.and_then(monday);
    }
    let step = if weeks { 7.days() } else { 1.day() };
    while let Some(edge) = next.filter(|edge| edge.timestamp() < until) {
        if edge.timestamp() > since {
            edges.push(edge.timestamp());
        }
        next = edge.checked_add(step).ok();
    }
    edges.push(until);
    Ok(edges)
}

/// Whether a period is so long that its weeks tell more than its days.
pub fn is_long(since: Timestamp, until: Timestamp) -> bool {
    days(since, until) > MOST_DAYS
}

fn days(since: Timestamp, until: Timestamp) -> i64 {
    (until.as_second().saturating_sub(since.as_second())) / 86_400
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(since: &str, until: &str, zone: &str, weeks: bool) -> Vec<String> {
        let zone = TimeZone::get(zone).unwrap();
        let edges = edges(since.parse().unwrap(), until.parse().unwrap(), &zone, weeks).unwrap();
        edges.iter().map(Timestamp::to_string).collect()
    }

    #[test]
    fn a_period_has_the_midnights_of_its_zone() {
        assert_eq!(
            told("2026-11-23T12:00:00Z", "2026-11-25T00:00:00Z", "UTC", false),
            ["2026-11-23T12:00:00Z", "2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z"]
        );
        // The clocks are set back in this night: its day has 25 hours.
        assert_eq!(
            told("2026-10-24T22:00:00Z", "2026-10-26T01:00:00Z", "Europe/Berlin", false),
            ["2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", "2026-10-26T01:00:00Z"]
        );
        // Weeks begin on Monday.
        assert_eq!(
            told("2026-11-19T00:00:00Z", "2026-11-24T10:00:00Z", "UTC", true),
            ["2026-11-19T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-24T10:00:00Z"]
        );
    }

    #[test]
    fn what_is_no_period_is_refused() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let (one, other) = (time("2026-11-24T00:00:00Z"), time("2026-11-25T00:00:00Z"));
        assert!(edges(other, one, &TimeZone::UTC, false).is_err());
        assert!(edges(one, one, &TimeZone::UTC, false).is_err());
        assert!(edges(Timestamp::MIN, one, &TimeZone::UTC, true).is_err());
    }
}
