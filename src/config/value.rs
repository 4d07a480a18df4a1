// SPDX-License-Identifier: Apache-2.0
//! From text to values: one small parser a kind of setting.
//!
//! The same parser reads a flag, an environment variable and a TOML string, so
//! that a value means the same wherever it stands. Each error says what was
//! wrong with what and what would be right; where it stood is added by the caller.

use std::path::PathBuf;
use std::time::Duration;

use crate::attribution::IdlePolicy;
use crate::grid;
use crate::grid::chain::Poll;
use crate::grid::feeds::{Boundary, Coordinates, Signal};
use crate::grid::schedule::SHORTEST_PERIOD;
use crate::grid::secret::Secret;
use crate::server::bind::Listen;

/// A duration such as `500ms`, `1s`, `5min` or `1h 30min`, within a range.
pub fn duration(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let value = text
        .parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|signed| Duration::try_from(signed).ok())
        .ok_or_else(|| {
            format!("`{text}` is no duration: write a number and a unit, such as 500ms, 1s or 5min")
        })?;
    if (least..=most).contains(&value) {
        Ok(value)
    } else {
        let words = |time: Duration| match jiff::SignedDuration::try_from(time) {
            Ok(time) => format!("{time:#}"),
            Err(_) => format!("{time:?}"),
        };
        Err(format!("`{text}` is out of range: from {} to {}", words(least), words(most)))
    }
}

/// A path that is not empty.
pub fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("an empty path".into()) } else { Ok(text.into()) }
}

/// A path that a Unix socket can have: at most 107 bytes (`sun_path`, unix(7)).
pub fn socket_path(text: &str) -> Result<PathBuf, String> {
    if text.len() > 107 {
        return Err(format!(
            "`{text}` is too long for a socket: {} bytes, at most 107 are possible",
            text.len()
        ));
    }
    path(text)
}

/// A place to listen on: `IP:PORT`, `unix:PATH`, `systemd` or `systemd:NAME`.
pub fn listen(text: &str) -> Result<Listen, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return socket_path(path).map(Listen::Unix);
    }
    match text.split_once(':') {
        None if text == "systemd" => return Ok(Listen::Systemd(None)),
        Some(("systemd", name)) if !name.is_empty() => {
            return Ok(Listen::Systemd(Some(name.to_owned())));
        }
        _ => {}
    }
    text.parse().map(Listen::Tcp).map_err(|_| {
        format!(
            "`{text}` is no address: write IP:PORT, such as 127.0.0.1:10077 or [::1]:0, \
             unix:PATH, or systemd"
        )
    })
}

/// A number of series.
pub fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 0..=100_000) => Ok(count),
        _ => Err(format!("`{text}` is no number of series: write a whole one from 0 to 100000")),
    }
}

/// A power usage effectiveness from 1 to 10, in thousandths.
pub fn pue(text: &str) -> Result<u32, String> {
    match text.parse::<f64>() {
        Ok(factor) if (1.0..=10.0).contains(&factor) => Ok((factor * 1_000.0).round() as u32),
        _ => Err(format!("`{text}` is no PUE: write a factor from 1 to 10, such as 1.2")),
    }
}

/// A zone that the shipped table knows, by its own spelling.
pub fn zone(text: &str) -> Result<String, String> {
    grid::table::find(text)
        .map(|entry| entry.zone.to_string())
        .map_err(|unknown| unknown.to_string())
}

/// How often feeds are asked.
pub fn poll(text: &str) -> Result<Poll, String> {
    let (least, most) = (SHORTEST_PERIOD, Duration::from_secs(86_400));
    match text {
        "auto" => Ok(Poll::Auto),
        "off" => Ok(Poll::Off),
        time => match duration(time, least, most) {
            Ok(period) => Ok(Poll::Every(period)),
            Err(what) => Err(format!("{what}; or `auto` or `off`")),
        },
    }
}

/// A feed's own name of a place: letters, digits, hyphens and underscores.
pub fn place(text: &str) -> Result<String, String> {
    let fits = grid::place::is_name(text);
    if fits { Ok(text.to_owned()) } else { Err(format!("`{text}` is no name of a zone")) }
}

/// A cloud region of the shipped table, by the table's spelling.
pub fn cloud_region(text: &str) -> Result<String, String> {
    grid::cloud::find(text).map(grid::cloud::CloudRegion::name)
}

/// Latitude and longitude in degrees, kept to thousandths.
pub fn coordinates(text: &str) -> Result<Coordinates, String> {
    let wrong =
        || format!("`{text}` is no place: write degrees north and east, such as \"48.857, 2.352\"");
    let (latitude, longitude) = text.split_once(',').ok_or_else(wrong)?;
    let thousandths = |text: &str, most: f64| match text.trim().parse::<f64>() {
        Ok(degrees) if degrees.abs() <= most => Ok((degrees * 1_000.0).round() as i32),
        _ => Err(wrong()),
    };
    Ok(Coordinates {
        latitude: thousandths(latitude, 90.0)?,
        longitude: thousandths(longitude, 180.0)?,
    })
}

/// Average or marginal.
pub fn signal(text: &str) -> Result<Signal, String> {
    [Signal::Average, Signal::Marginal]
        .into_iter()
        .find(|signal| signal.as_str() == text)
        .ok_or_else(|| format!("`{text}` is no signal: write average or marginal"))
}

/// Lifecycle or direct.
pub fn boundary(text: &str) -> Result<Boundary, String> {
    [Boundary::Lifecycle, Boundary::Direct]
        .into_iter()
        .find(|boundary| boundary.as_str() == text)
        .ok_or_else(|| format!("`{text}` is no boundary: write lifecycle or direct"))
}

/// Yes or no.
pub fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("`{text}` is neither true nor false")),
    }
}

/// A proxy's address; not repeated in messages, it may hold a password.
pub fn proxy(text: &str) -> Result<Secret, String> {
    match reqwest::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            Ok(Secret::new(text))
        }
        _ => Err("it is no proxy: write http://HOST:PORT or https://HOST:PORT".into()),
    }
}

/// A policy for idle energy.
pub fn idle_policy(text: &str) -> Result<IdlePolicy, String> {
    match text {
        "unattributed" => Ok(IdlePolicy::Unattributed),
        "proportional" => Ok(IdlePolicy::Proportional),
        "reserved" => Ok(IdlePolicy::Reserved),
        _ => Err(format!("`{text}` is no policy: write unattributed, proportional or reserved")),
    }
}

/// A log level.
pub fn level(text: &str) -> Result<tracing::level_filters::LevelFilter, String> {
    use tracing::level_filters::LevelFilter;
    match text {
        "off" => Ok(LevelFilter::OFF),
        "error" => Ok(LevelFilter::ERROR),
        "warn" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        _ => Err(format!("`{text}` is no level: write off, error, warn, info, debug or trace")),
    }
}

/// A JSON pointer (RFC 6901).
pub fn pointer(text: &str) -> Result<String, String> {
    if text.is_empty() || text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is no JSON pointer: it begins with /, such as /data/0/value"))
    }
}

/// A number within a range.
pub fn number(text: &str, least: f64, most: f64) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("`{text}` is out of range: write a number from {least} to {most}")),
    }
}

/// A gain error in percent, from 0 to 100.
pub fn percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err(format!("`{text}` is no percentage: write a number from 0 to 100")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_units_and_keep_their_range() {
        let parse = |text| duration(text, Duration::from_millis(100), Duration::from_secs(10));
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("10s"), Ok(Duration::from_secs(10)));
        for wrong in ["1", "", "-1s", "99ms", "11s", "soon", "1e400s"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_pue_is_a_factor_of_one_or_more() {
        assert_eq!(pue("1.2"), Ok(1_200));
        assert_eq!(pue("1"), Ok(1_000));
        for wrong in ["0.9", "NaN", "inf", "11", "1,2", ""] {
            assert!(pue(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn coordinates_are_degrees_north_and_east() {
        let at = |latitude, longitude| Ok(Coordinates { latitude, longitude });
        assert_eq!(coordinates("48.8567, 2.3522"), at(48_857, 2_352));
        assert_eq!(coordinates("-90,180"), at(-90_000, 180_000));
        for wrong in ["", "48", "48,", "91,0", "0,181", "NaN,0", "48 2", "48,2,1"] {
            assert!(coordinates(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_place_to_listen_on_is_an_address_a_path_or_the_service_managers() {
        assert_eq!(listen("[::1]:0"), Ok(Listen::Tcp("[::1]:0".parse().unwrap())));
        assert_eq!(listen("unix:/run/a.sock"), Ok(Listen::Unix("/run/a.sock".into())));
        assert_eq!(listen("systemd"), Ok(Listen::Systemd(None)));
        assert_eq!(listen("systemd:http"), Ok(Listen::Systemd(Some("http".into()))));
        for wrong in ["", "unix:", "systemd:", "10077", "localhost:1", "1.2.3.4", "systemdx"] {
            assert!(listen(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_socket_path_ends_where_the_kernel_ends_it() {
        assert!(socket_path(&"a".repeat(107)).is_ok());
        assert!(socket_path(&"a".repeat(108)).is_err());
    }
}
