// SPDX-License-Identifier: Apache-2.0
//! The zone of a machine whose configuration does not name one: from what somebody
//! knows of it, never from a guess.
//!
//! A cloud region by the shipped table, an instance's own metadata, or coordinates
//! that a feed is asked about. A network address tells nothing of a place.

use std::time::Duration;

use super::feeds::{Coordinates, Feed, FeedError, Request};
use super::http::{Fetcher, Limits, Network};
use super::{cloud, table};

/// A look-up may keep a start waiting for so long.
const LIMITS: Limits =
    Limits { connect: Duration::from_secs(2), whole: Duration::from_secs(4), body: 64 * 1_024 };

/// A zone and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// A zone of the shipped table.
    pub zone: String,
    /// Whose word it is.
    pub by: String,
}

/// The zone of a cloud region by the shipped table.
///
/// # Errors
/// Where the table does not know the region.
pub fn of_region(name: &str) -> Result<Found, String> {
    let region = cloud::find(name)?;
    let by = format!("cloud region {}, {}, by the shipped table", region.name(), region.location);
    Ok(Found { zone: region.zone.clone(), by })
}

/// The zone that the instance's own metadata at `base` name.
///
/// # Errors
/// Where nothing answers, or with a region that the table does not know.
pub async fn of_metadata(base: &str) -> Result<Found, String> {
    let name = cloud::own_region(base)
        .await
        .ok_or("`carbon.cloud_metadata`: no cloud's metadata answer on this machine")?;
    let found = of_region(&name).map_err(|what| format!("`carbon.cloud_metadata`: {what}"))?;
    Ok(Found { by: format!("the instance's own metadata: {}", found.by), ..found })
}

/// What feeds said of some coordinates.
#[derive(Debug, Default)]
pub struct Located {
    /// The zone, where none was known before.
    pub found: Option<Found>,
    /// What went wrong.
    pub problems: Vec<String>,
}

/// Asks the feeds of a chain, as far as they can be asked, for their own names of the
/// place at some coordinates, and sets these in the chain where none is set. `zone` is
/// the zone that is known already; a feed that says another country is not believed.
pub async fn of_coordinates(
    chain: &mut [Feed],
    at: Coordinates,
    zone: Option<&str>,
    network: &Network,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Located {
    let mut located = Located::default();
    let mut known = zone.map(str::to_owned);
    let asked = chain.iter_mut().filter(|feed| feed.place.is_none() && feed.zone.is_none());
    for feed in asked.filter(|feed| feed.provider.locate.is_some()) {
        let name = feed.provider.name;
        let place = match ask(feed, at, network, environment).await {
            Ok(place) => place,
            Err(error) => {
                located.problems.push(format!("`carbon.coordinates`: {name}: {error}"));
                continue;
            }
        };
        let theirs = zone_of(&place);
        match (&known, &theirs) {
            (Some(known), Some(theirs)) if country(known) != country(theirs) => {
                let what = format!("{name} says {place}, which is not in {known}");
                located.problems.push(format!("`carbon.coordinates`: {what}"));
                continue;
            }
            (None, Some(theirs)) => {
                let by = format!("coordinates, which {name} says are in {place}");
                located.found = Some(Found { zone: theirs.clone(), by });
                known = Some(theirs.clone());
            }
            (None, None) => {
                let what = format!("{name} says {place}, whose zone is not known");
                located.problems.push(format!("`carbon.coordinates`: {what}; set `carbon.zone`"));
                continue;
            }
            (Some(_), _) => {}
        }
        feed.place = Some(place);
        feed.zone.clone_from(&known);
    }
    located
}

async fn ask(
    feed: &Feed,
    at: Coordinates,
    network: &Network,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<String, FeedError> {
    let locate = feed.provider.locate.as_ref().ok_or(FeedError::Unsupported("places"))?;
    let Request::Http { url, key } = (locate.request)(feed, at)? else {
        return Err(FeedError::Unsupported("places"));
    };
    let mut fetcher = Fetcher::new(&url, network, LIMITS)?;
    let (fetched, _) = fetcher.get_for(feed, &url, &key, environment).await?;
    let place = (locate.parse)(&fetched.body)?;
    if is_name(&place) { Ok(place) } else { Err(FeedError::NotUnderstood("no place".into())) }
}

/// Whether a text can be a feed's own name of a place: letters, digits, hyphens and
/// underscores, 32 at most.
pub fn is_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// The zone of the table that a feed's name of a place lies in: itself, or the country
/// that it begins with, as Electricity Maps' names do.
fn zone_of(place: &str) -> Option<String> {
    let whole = table::lookup(place);
    let parent = || table::lookup(place.split_once('-')?.0);
    whole.or_else(parent).map(|entry| entry.zone.clone())
}

fn country(zone: &str) -> &str {
    zone.split_once('-').map_or(zone, |(country, _)| country)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_lies_in_its_own_zone_or_its_country_and_nowhere_else() {
        for (place, zone) in [
            ("DE", Some("DE")),
            ("SE-SE3", Some("SE")),
            ("AU-NSW", Some("AU-NSW")),
            ("US-MIDW-MISO", Some("US")),
            ("CAISO_NORTH", None),
            ("ZZ-1", None),
            ("", None),
        ] {
            assert_eq!(zone_of(place).as_deref(), zone, "{place}");
        }
    }

    #[test]
    fn a_cloud_region_is_the_zone_of_its_row_and_says_so() {
        let found = of_region("aws:eu-west-3").unwrap();
        assert_eq!(found.zone, "FR");
        assert_eq!(found.by, "cloud region aws:eu-west-3, Europe (Paris), by the shipped table");
    }
}
