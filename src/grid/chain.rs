// SPDX-License-Identifier: Apache-2.0
//! The chain: the feeds in the order in which they are asked, and the shipped
//! table behind them.
//!
//! The first feed with a usable figure answers; why the others did not is told
//! with it. Nothing here takes a figure of another place, and a figure that is too
//! old is none.

use std::io::Read;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::fact_for;
use super::feeds::{self, Ask, Feed, FeedError, Request, Signal, Want};
use super::http::{Fetched, Fetcher, Kept, Limits, Network};
use crate::clock;
use crate::ledger::IntensityFact;

/// The settings of the grid.
#[derive(Clone, Debug, PartialEq)]
pub struct GridSettings {
    /// The feeds, in their order; `None`: those without a key that cover the zone.
    /// Average and marginal ones are two chains in one list.
    pub chain: Option<Vec<Feed>>,
    /// Which of the two is asked for a figure to show or to decide by.
    pub signal: Signal,
    /// How the network is reached.
    pub network: Network,
    /// How long after its interval a figure is still taken for now.
    pub stale_after: Duration,
    /// How often feeds are asked while something is metered.
    pub poll: Poll,
}

/// How often feeds are asked while something is metered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Poll {
    /// As often as each has new figures.
    #[default]
    Auto,
    /// So often.
    Every(Duration),
    /// Never: emissions rest on the shipped table, or on facts in the ledger.
    Off,
}

impl Default for GridSettings {
    fn default() -> GridSettings {
        let stale_after = Duration::from_secs(7_200);
        GridSettings {
            chain: None,
            signal: Signal::Average,
            network: Network::default(),
            stale_after,
            poll: Poll::Auto,
        }
    }
}

impl GridSettings {
    /// The feeds that jobs in a zone are booked with: those of average figures.
    pub fn feeds(&self, zone: &str) -> Vec<Feed> {
        self.feeds_of(zone, Signal::Average)
    }

    /// The feeds to ask about a zone for figures of one signal.
    pub fn feeds_of(&self, zone: &str, signal: Signal) -> Vec<Feed> {
        let mut feeds = self.every_feed(zone);
        feeds.retain(|feed| feed.signal == signal);
        feeds
    }

    /// All feeds, of both signals.
    pub fn every_feed(&self, zone: &str) -> Vec<Feed> {
        self.chain.clone().unwrap_or_else(|| without_key(zone))
    }
}

/// The feeds that cover a zone and need no key.
fn without_key(zone: &str) -> Vec<Feed> {
    let own: &[&'static feeds::Provider] = match zone {
        "GB" => &[&feeds::uk::PROVIDER],
        "FR" => &[&feeds::rte::PROVIDER],
        _ => &[],
    };
    let europe = feeds::energy_charts::COUNTRIES.contains(&zone);
    own.iter()
        .copied()
        .chain(europe.then_some(&feeds::energy_charts::PROVIDER))
        .map(Feed::of)
        .collect()
}

/// What to do for a live figure of a zone that no feed without a key covers.
pub fn key_hint(zone: &str) -> String {
    format!(
        "no feed without a key covers {zone} (a key of Electricity Maps makes it live, \
         see docs/grid.md)"
    )
}

/// A chain's answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The facts; the current one alone where now was asked for.
    pub facts: Vec<IntensityFact>,
    /// What is to be shown with them.
    pub attribution: String,
    /// The feeds that were asked before, and why they did not answer.
    pub failures: Vec<(String, FeedError)>,
    /// What the user should know of the answer.
    pub note: Option<String>,
}

/// Asks the feeds of the settings' signal one after the other; the shipped table
/// answers where none does. A forecast is never of the table, nor is a marginal
/// figure: then there are no facts.
pub async fn answer(
    settings: &GridSettings,
    zone: Option<&str>,
    want: Want,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Answer {
    answer_of(settings, zone, want, None, environment).await
}

/// The same for one moment: the fact whose interval holds it.
pub async fn answer_at(
    settings: &GridSettings,
    zone: Option<&str>,
    moment: Timestamp,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Answer {
    // No feed has longer intervals than an hour.
    let hour = SignedDuration::from_hours(1);
    let want = if moment > clock::wall() {
        Want::Forecast
    } else {
        let from = moment.checked_sub(hour).unwrap_or(moment);
        Want::Range { from, to: moment.checked_add(hour).unwrap_or(moment) }
    };
    answer_of(settings, zone, want, Some(moment), environment).await
}

async fn answer_of(
    settings: &GridSettings,
    zone: Option<&str>,
    want: Want,
    moment: Option<Timestamp>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Answer {
    let now = clock::wall();
    let mut failures = Vec::new();
    let feeds = zone.map(|zone| settings.feeds_of(zone, settings.signal)).unwrap_or_default();
    for feed in &feeds {
        let ask = Ask { zone: zone.unwrap_or_default().to_owned(), want, now };
        let facts = usable(feed, &ask, settings, environment).await;
        match facts.and_then(|facts| holding(facts, moment)) {
            Ok(facts) => {
                let attribution = feed.attribution(&facts);
                return Answer { facts, attribution, failures, note: None };
            }
            Err(error) => failures.push((feed.source(), error)),
        }
    }
    let hint = match zone {
        Some(_) if feeds.is_empty() && settings.signal == Signal::Marginal => {
            "no feed of the chain says marginal figures (docs/grid.md)".to_owned()
        }
        Some(zone) if feeds.is_empty() && settings.every_feed(zone).is_empty() => key_hint(zone),
        Some(_) if feeds.is_empty() => {
            "no feed of the chain says average figures; `grid.signal` is the other".to_owned()
        }
        Some(_) => "no feed answers".to_owned(),
        None => "no zone is set; set `--zone`, or `carbon.zone` in the config".to_owned(),
    };
    if want == Want::Forecast || settings.signal == Signal::Marginal {
        let note = Some(hint);
        return Answer { facts: Vec::new(), attribution: String::new(), failures, note };
    }
    let chosen = fact_for(zone, now);
    let note = chosen.warning.unwrap_or(format!("{hint}: the table's yearly mean is shown"));
    let attribution = table_attribution(&chosen.fact);
    Answer { facts: vec![chosen.fact], attribution, failures, note: Some(note) }
}

/// The facts that hold a moment, if one is asked for.
fn holding(
    mut facts: Vec<IntensityFact>,
    moment: Option<Timestamp>,
) -> Result<Vec<IntensityFact>, FeedError> {
    if let Some(moment) = moment {
        facts.retain(|fact| fact.from <= moment && moment < fact.to);
    }
    if facts.is_empty() { Err(FeedError::Nothing) } else { Ok(facts) }
}

/// A feed's facts, as far as they are fit for what was asked.
async fn usable(
    feed: &Feed,
    ask: &Ask,
    settings: &GridSettings,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<IntensityFact>, FeedError> {
    let facts = ask_feed(feed, ask, &settings.network, environment).await?;
    match ask.want {
        Want::Now => Ok(vec![current(&facts, ask.now, settings.stale_after)?.clone()]),
        Want::Forecast => {
            let ahead: Vec<IntensityFact> =
                facts.into_iter().filter(|fact| fact.to > ask.now).collect();
            if ahead.is_empty() { Err(FeedError::Nothing) } else { Ok(ahead) }
        }
        Want::Range { .. } => Ok(facts),
    }
}

/// The fact of a moment: the one whose interval holds it, else the newest that
/// ended no longer ago than `stale_after`.
///
/// # Errors
/// Where there is none, or only an older one.
pub fn current(
    facts: &[IntensityFact],
    now: Timestamp,
    stale_after: Duration,
) -> Result<&IntensityFact, FeedError> {
    if let Some(fact) = facts.iter().find(|fact| fact.from <= now && now < fact.to) {
        return Ok(fact);
    }
    let newest = facts.iter().rfind(|fact| fact.to <= now).ok_or(FeedError::Nothing)?;
    let age = now.duration_since(newest.to);
    if age > SignedDuration::try_from(stale_after).unwrap_or(SignedDuration::MAX) {
        return Err(FeedError::Stale(age_text(age)));
    }
    Ok(newest)
}

/// An age in words.
pub fn age_text(age: SignedDuration) -> String {
    match age.as_mins() {
        ..1 => format!("{} s", age.as_secs().max(0)),
        minutes @ 1..120 => format!("{minutes} min"),
        minutes @ 120..2_880 => format!("{} h", minutes / 60),
        minutes => format!("{} days", minutes / 1_440),
    }
}

/// Asks one feed; a long range in parts.
///
/// # Errors
/// Why there is no figure.
pub async fn ask_feed(
    feed: &Feed,
    ask: &Ask,
    network: &Network,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<IntensityFact>, FeedError> {
    ask_feed_again(feed, ask, network, environment, &mut None).await
}

/// The same, with what was kept of its last answer: one that has not changed is not
/// sent again.
///
/// # Errors
/// Why there is no figure.
pub async fn ask_feed_again(
    feed: &Feed,
    ask: &Ask,
    network: &Network,
    environment: &dyn Fn(&str) -> Option<String>,
    kept: &mut Option<Kept>,
) -> Result<Vec<IntensityFact>, FeedError> {
    let mut fetcher = None;
    let facts = ask_parts(feed, ask, network, environment, (&mut fetcher, kept)).await;
    if let Some(fetcher) = fetcher {
        *kept = fetcher.into_kept();
    }
    facts
}

async fn ask_parts(
    feed: &Feed,
    ask: &Ask,
    network: &Network,
    environment: &dyn Fn(&str) -> Option<String>,
    (fetcher, kept): (&mut Option<Fetcher>, &mut Option<Kept>),
) -> Result<Vec<IntensityFact>, FeedError> {
    let mut facts: Vec<IntensityFact> = Vec::new();
    for want in parts(ask.want, feed.provider.longest) {
        let ask = Ask { want, ..ask.clone() };
        let (fetched, secret) = match feeds::request(feed, &ask)? {
            Request::File(path) => (read_file(&path)?, None),
            Request::Http { url, key } => {
                let fetcher = match &mut *fetcher {
                    Some(fetcher) => fetcher,
                    none => {
                        let new = Fetcher::new(&url, network, Limits::default())?;
                        none.insert(new.with_kept(kept.take()))
                    }
                };
                fetcher.get_for(feed, &url, &key, environment).await?
            }
        };
        match feeds::facts(feed, &ask, &fetched.body) {
            // One part may be empty, as today's last hours are.
            Err(FeedError::Nothing) => {}
            Err(error) => {
                return Err(match &secret {
                    Some(secret) => error.without(secret),
                    None => error,
                });
            }
            Ok(part) => facts.extend(part),
        }
    }
    facts.sort_by_key(|fact| fact.from);
    facts.dedup_by_key(|fact| fact.from);
    if facts.is_empty() { Err(FeedError::Nothing) } else { Ok(facts) }
}

/// What one request may ask for, one after the other.
fn parts(want: Want, longest: SignedDuration) -> Vec<Want> {
    let Want::Range { from, to } = want else { return vec![want] };
    let mut parts = Vec::new();
    let mut start = from;
    while start < to {
        let end = start.checked_add(longest).map_or(to, |end| end.min(to));
        parts.push(Want::Range { from: start, to: end });
        start = end;
    }
    parts
}

/// A file as a feed's answer.
///
/// # Errors
/// Where it cannot be read or is too large.
pub fn read_file(path: &std::path::Path) -> Result<Fetched, FeedError> {
    let most = Limits::default().body;
    let mut body = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(most as u64 + 1).read_to_end(&mut body))
        .map_err(|error| {
            FeedError::Transport(format!("cannot read {}: {error}", path.display()))
        })?;
    if body.len() > most {
        return Err(FeedError::TooLarge(most));
    }
    Ok(Fetched { body, at: clock::wall() })
}

/// What is to be shown with a figure of the shipped table.
pub fn table_attribution(fact: &IntensityFact) -> String {
    match fact.source.strip_prefix("table:") {
        Some(source) if source.starts_with("OWID/Ember") => {
            "Ember (2025); Energy Institute (2025) – with processing by Our World in Data, CC BY 4.0"
                .to_owned()
        }
        other => other.unwrap_or(&fact.source).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::IntensityKind;
    use crate::units::Intensity;

    fn time(minutes: i64) -> Timestamp {
        Timestamp::from_second(minutes * 60).unwrap()
    }

    fn fact(from: i64, to: i64) -> IntensityFact {
        IntensityFact {
            zone: "GB".into(),
            from: time(from),
            to: time(to),
            intensity: Intensity::from_milligrams_per_kwh(1),
            signal: "average".into(),
            boundary: "direct".into(),
            source: "uk-carbon-intensity".into(),
            kind: IntensityKind::Actual,
            fetched_at: time(to),
            provider_updated_at: None,
        }
    }

    #[test]
    fn now_is_what_holds_now_else_the_newest_that_is_not_stale() {
        let facts = [fact(0, 30), fact(30, 60), fact(90, 120)];
        let at = |minutes: i64| {
            current(&facts, time(minutes), Duration::from_secs(3_600)).map(|fact| fact.from)
        };
        assert_eq!(at(0), Ok(time(0)));
        assert_eq!(at(29), Ok(time(0)));
        assert_eq!(at(30), Ok(time(30)));
        assert_eq!(at(60), Ok(time(30)));
        assert_eq!(at(180), Ok(time(90)));
        assert_eq!(at(181), Err(FeedError::Stale("61 min".into())));
        // A figure of a time to come is none of now.
        assert_eq!(at(-1), Err(FeedError::Nothing));
    }

    #[test]
    fn a_long_range_is_asked_for_in_parts_without_gap_or_overlap() {
        let ranges = |from: i64, to: i64| -> Vec<(i64, i64)> {
            let want = Want::Range { from: time(from), to: time(to) };
            let minutes = |time: Timestamp| time.as_second() / 60;
            parts(want, SignedDuration::from_mins(100))
                .into_iter()
                .map(|part| match part {
                    Want::Range { from, to } => (minutes(from), minutes(to)),
                    other => panic!("{other:?}"),
                })
                .collect()
        };
        assert_eq!(ranges(0, 250), [(0, 100), (100, 200), (200, 250)]);
        assert_eq!(ranges(5, 105), [(5, 105)]);
        assert_eq!(ranges(5, 5), []);
        assert_eq!(parts(Want::Now, SignedDuration::ZERO), [Want::Now]);
    }

    #[test]
    fn a_zone_gets_the_feeds_without_a_key_that_cover_it() {
        let names = |zone| -> Vec<&str> {
            without_key(zone).iter().map(|feed| feed.provider.name).collect()
        };
        assert_eq!(names("GB"), ["uk-carbon-intensity"]);
        assert_eq!(names("FR"), ["rte", "energy-charts"]);
        assert_eq!(names("DK"), ["energy-charts"]);
        assert_eq!(names("US-CA"), [""; 0]);
        assert!(feeds::PROVIDERS.iter().all(|provider| {
            let feed = Feed::of(provider);
            feed.url.is_some() == provider.address.is_some()
        }));
    }
}
