// SPDX-License-Identifier: Apache-2.0
//! Feeds: who publishes carbon intensities, how each is asked and understood.
//!
//! One file a feed, two pure functions each: what is wanted becomes a request, a
//! body becomes figures. The network is `super::http`'s business. What no feed may
//! do is checked here once, for all of them, in [`facts`]: no figure beyond the
//! bounds, no missing value as 0, no other zone, no measurement of the future.
//! To add one: a file with a [`Provider`], and its line in [`PROVIDERS`].

pub mod eia;
pub mod electricity_maps;
pub mod energinet;
pub mod energy_charts;
pub mod entsoe;
mod error;
pub mod file;
pub mod json;
pub mod mix;
pub mod rte;
pub mod uk;
pub mod watttime;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::Url;

use super::secret::SecretSource;
use crate::ledger::{IntensityFact, IntensityKind};
use crate::units::Intensity;

pub use error::FeedError;

/// Every feed that there is.
pub const PROVIDERS: [&Provider; 10] = [
    &uk::PROVIDER,
    &energy_charts::PROVIDER,
    &energinet::PROVIDER,
    &rte::PROVIDER,
    &electricity_maps::PROVIDER,
    &watttime::PROVIDER,
    &entsoe::PROVIDER,
    &eia::PROVIDER,
    &file::PROVIDER,
    &json::PROVIDER,
];

/// Largest plausible figure in g/kWh: above any grid's mean (the dirtiest country
/// of the shipped table has 1306) and about the largest marginal figure.
pub const MOST_GRAMS: f64 = 1_500.0;
/// Shortest plausible interval.
const SHORTEST: SignedDuration = SignedDuration::from_mins(1);
/// Longest plausible interval.
const LONGEST: SignedDuration = SignedDuration::from_hours(366 * 24);
/// How far ahead a forecast may begin: the longest of any feed is 72 h.
const FARTHEST: SignedDuration = SignedDuration::from_hours(73);

/// A publisher of intensities. Compared by name.
pub struct Provider {
    /// Its name in the configuration and in facts.
    pub name: &'static str,
    /// Where it is; `None`: only the configuration says.
    pub address: Option<&'static str>,
    /// What its licence asks to be shown; `<date>` stands for the figure's day.
    pub attribution: &'static str,
    /// Its signal, where the configuration names none.
    pub signal: Signal,
    /// Its boundary, where the configuration names none.
    pub boundary: Boundary,
    /// Whether it can be asked for either boundary.
    pub both_boundaries: bool,
    /// Longest range that one request may ask for.
    pub longest: SignedDuration,
    /// What to ask.
    pub request: fn(&Feed, &Ask) -> Result<Request, FeedError>,
    /// What was answered. `Ask::now` is the time of the answer.
    pub parse: fn(&Feed, &Ask, &[u8]) -> Figures,
    /// How it finds its own name of a place, if it can.
    pub locate: Option<Locate>,
}

/// How a feed is asked which of its places some coordinates are in.
pub struct Locate {
    /// What to ask about a latitude and a longitude.
    pub request: fn(&Feed, Coordinates) -> Result<Request, FeedError>,
    /// The name of the place that was answered; not yet checked.
    pub parse: fn(&[u8]) -> Result<String, FeedError>,
}

/// Where a machine stands, in thousandths of a degree: about 100 m, which is finer
/// than any zone and says no more of the place than it must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coordinates {
    /// North of the equator.
    pub latitude: i32,
    /// East of Greenwich.
    pub longitude: i32,
}

impl Coordinates {
    /// Both in degrees, as a query takes them.
    pub fn degrees(self) -> (String, String) {
        let text = |thousandths: i32| format!("{:.3}", f64::from(thousandths) / 1_000.0);
        (text(self.latitude), text(self.longitude))
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Provider {
    fn eq(&self, other: &Provider) -> bool {
        self.name == other.name
    }
}

/// Average or marginal: two quantities that are never added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signal {
    /// Of all the electricity consumed or produced.
    #[default]
    Average,
    /// Of one more kilowatt-hour.
    Marginal,
}

impl Signal {
    /// The word of facts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Signal::Average => "average",
            Signal::Marginal => "marginal",
        }
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// Also building the plants and mining the fuel.
    Lifecycle,
    /// What leaves the chimney.
    Direct,
}

impl Boundary {
    /// The word of facts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Boundary::Lifecycle => "lifecycle",
            Boundary::Direct => "direct",
        }
    }
}

/// A feed as it is configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Feed {
    /// Whose.
    pub provider: &'static Provider,
    /// The zone of ours that it is for; `None`: every zone that it covers.
    pub zone: Option<String>,
    /// The feed's own name of the place, where it differs from the zone's.
    pub place: Option<String>,
    /// Where it is.
    pub url: Option<Url>,
    /// The name to log in with (`watttime` only).
    pub user: Option<String>,
    /// Its key, or the password of `user`.
    pub token: Option<SecretSource>,
    /// The header that the key goes into (`json` only).
    pub token_header: Option<String>,
    /// What it counts.
    pub boundary: Boundary,
    /// Whether the configuration said so for this feed itself.
    pub own_boundary: bool,
    /// Average or marginal.
    pub signal: Signal,
    /// The file to read (`file` only).
    pub path: Option<PathBuf>,
    /// Where in the answer the figure is (`json` only).
    pub pointer: Option<String>,
    /// Where in the answer its interval's start is (`json` only).
    pub time_pointer: Option<String>,
    /// The figure's unit (`json` only).
    pub unit: json::Unit,
    /// How long a figure holds (`json` only).
    pub interval: Duration,
    /// What is to be shown with its figures, where not the provider's own text.
    pub attribution: Option<String>,
}

impl Feed {
    /// A feed with nothing configured.
    pub fn of(provider: &'static Provider) -> Feed {
        Feed {
            provider,
            zone: None,
            place: None,
            url: provider.address.and_then(|text| Url::parse(text).ok()),
            user: None,
            token: None,
            token_header: None,
            boundary: provider.boundary,
            own_boundary: false,
            signal: provider.signal,
            path: None,
            pointer: None,
            time_pointer: None,
            unit: json::Unit::GramsPerKwh,
            interval: Duration::from_secs(3_600),
            attribution: None,
        }
    }

    /// Its name in facts: the provider's, and the place where it is not our zone's.
    pub fn source(&self) -> String {
        match &self.place {
            Some(place) => format!("{}:{place}", self.provider.name),
            None => self.provider.name.to_owned(),
        }
    }

    /// The text to show with these figures.
    pub fn attribution(&self, facts: &[IntensityFact]) -> String {
        let text = self.attribution.as_deref().unwrap_or(self.provider.attribution);
        let day = facts.last().map(|fact| fact.from.strftime("%Y-%m-%d").to_string());
        text.replace("<date>", day.as_deref().unwrap_or("today"))
    }

    /// An address below the feed's own.
    fn address(&self, path: &str, query: &[(&str, &str)]) -> Result<Request, FeedError> {
        let mut url = self.url.clone().ok_or(FeedError::Unset("url"))?;
        let whole = format!("{}{path}", url.path().trim_end_matches('/'));
        url.set_path(&whole);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(Request::Http { url, key: KeyUse::None })
    }

    /// The same, with the feed's key.
    fn address_with(
        &self,
        path: &str,
        query: &[(&str, &str)],
        key: KeyUse,
    ) -> Result<Request, FeedError> {
        match self.address(path, query)? {
            Request::Http { url, .. } => Ok(Request::Http { url, key }),
            file => Ok(file),
        }
    }
}

/// What is wanted of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// The figure of now, or the newest.
    Now,
    /// Every figure of this time.
    Range {
        /// From here …
        from: Timestamp,
        /// … to before here.
        to: Timestamp,
    },
    /// The figures of the next hours.
    Forecast,
}

/// A question to a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Our zone, in capitals.
    pub zone: String,
    /// Which figures.
    pub want: Want,
    /// The wall clock.
    pub now: Timestamp,
}

/// Where the answer is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A document by GET.
    Http {
        /// Its address; holds no secret.
        url: Url,
        /// What becomes of the feed's key.
        key: KeyUse,
    },
    /// A file.
    File(PathBuf),
}

/// Where a feed takes its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// Nowhere.
    None,
    /// In this header, as it is.
    Header(String),
    /// In this parameter of the address, which is never shown.
    Parameter(&'static str),
    /// As the password of a login at this address: the token that it answers goes
    /// into `Authorization: Bearer`.
    Login(Url),
}

/// One figure as a feed gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// From here …
    pub from: Timestamp,
    /// … to before here.
    pub to: Timestamp,
    /// g/kWh; not yet checked.
    pub grams: f64,
    /// How good it is by the feed's own word.
    pub kind: IntensityKind,
    /// When the provider last changed it.
    pub updated: Option<Timestamp>,
}

/// What a parser makes of a body.
pub type Figures = Result<Vec<Figure>, FeedError>;

/// What to ask a feed.
///
/// # Errors
/// Where it does not cover the zone, or has no such figures.
pub fn request(feed: &Feed, ask: &Ask) -> Result<Request, FeedError> {
    if feed.zone.as_ref().is_some_and(|zone| *zone != ask.zone) {
        let hint = ": it is set up for another zone";
        return Err(FeedError::NotCovered { zone: ask.zone.clone(), hint });
    }
    (feed.provider.request)(feed, ask)
}

/// The facts of an answer: parsed, checked, sorted, without overlaps.
///
/// # Errors
/// What is wrong with the answer. One bad figure condemns the whole answer: a feed
/// that says one absurd thing may have changed its unit.
pub fn facts(feed: &Feed, ask: &Ask, body: &[u8]) -> Result<Vec<IntensityFact>, FeedError> {
    let mut figures = (feed.provider.parse)(feed, ask, body)?;
    // The better kind first, so that it is the one kept of two for the same time.
    figures.sort_by_key(|figure| (figure.from, figure.kind));
    figures.dedup_by_key(|figure| (figure.from, figure.to));
    let mut facts: Vec<IntensityFact> = Vec::with_capacity(figures.len());
    for figure in &figures {
        let fact = fact(feed, ask, figure)?;
        if facts.last().is_some_and(|before| fact.from < before.to) {
            return Err(FeedError::Implausible(format!("two intervals at {}", fact.from)));
        }
        facts.push(fact);
    }
    if let Want::Range { from, to } = ask.want {
        facts.retain(|fact| fact.from < to && from < fact.to);
    }
    if facts.is_empty() { Err(FeedError::Nothing) } else { Ok(facts) }
}

fn fact(feed: &Feed, ask: &Ask, figure: &Figure) -> Result<IntensityFact, FeedError> {
    let wrong = |what: String| Err(FeedError::Implausible(what));
    let (grams, from, to) = (figure.grams, figure.from, figure.to);
    let length = to.duration_since(from);
    if !grams.is_finite() || !(0.0..=MOST_GRAMS).contains(&grams) {
        return wrong(format!("{grams} g/kWh, where 0 to {MOST_GRAMS} is possible"));
    }
    if grams == 0.0 && feed.boundary == Boundary::Lifecycle {
        return wrong("0 g/kWh over the whole lifecycle".into());
    }
    if !(SHORTEST..=LONGEST).contains(&length) {
        return wrong(format!("an interval from {from} to {to}"));
    }
    if from.duration_since(ask.now) > FARTHEST {
        return wrong(format!("it begins at {from}, more than 73 h ahead"));
    }
    Ok(IntensityFact {
        zone: ask.zone.clone(),
        from,
        to,
        intensity: Intensity::from_grams_per_kwh(grams).ok_or(FeedError::Nothing)?,
        signal: feed.signal.as_str().to_owned(),
        boundary: feed.boundary.as_str().to_owned(),
        source: feed.source(),
        kind: kind_at(figure, ask.now),
        fetched_at: ask.now,
        provider_updated_at: figure.updated,
    })
}

/// What a figure is at the time it was fetched, whatever the feed calls it: nobody
/// has measured what has not begun, and not all of what is not over.
fn kind_at(figure: &Figure, fetched: Timestamp) -> IntensityKind {
    if fetched < figure.from {
        return IntensityKind::Forecast;
    }
    match figure.kind {
        IntensityKind::Actual if fetched < figure.to => IntensityKind::Provisional,
        kind => kind,
    }
}

/// A JSON body as `T`.
fn decode<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, FeedError> {
    // serde_json stops at 128 levels of nesting.
    serde_json::from_slice(body)
        .map_err(|error| FeedError::NotUnderstood(super::http::clean(&error.to_string())))
}

/// Refuses an answer about something else than was asked for.
fn same(asked: &str, answered: &str) -> Result<(), FeedError> {
    if asked.eq_ignore_ascii_case(answered) {
        return Ok(());
    }
    let answered = super::http::clean(answered);
    Err(FeedError::Other { asked: asked.to_owned(), answered })
}

/// What a measured figure is that its provider goes on correcting for so long.
fn settling(to: Timestamp, now: Timestamp, time: SignedDuration) -> IntensityKind {
    if now.duration_since(to) >= time { IntensityKind::Actual } else { IntensityKind::Provisional }
}

/// A moment of an answer.
fn moment(text: &str) -> Result<Timestamp, FeedError> {
    text.parse().map_err(|_| not_a_time(text))
}

fn not_a_time(text: &str) -> FeedError {
    FeedError::NotUnderstood(super::http::clean(&format!("`{text}` is no time")))
}

/// A moment and so much later.
fn after(from: Timestamp, time: SignedDuration) -> Result<Timestamp, FeedError> {
    from.checked_add(time).map_err(|_| not_a_time(&from.to_string()))
}
