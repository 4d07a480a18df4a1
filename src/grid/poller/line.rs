// SPDX-License-Identifier: Apache-2.0
//! One feed of a zone's chain: when it is asked for what, and what becomes of its
//! answers.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Desk;
use crate::grid::chain::{self, Poll, current};
use crate::grid::facts::FactBook;
use crate::grid::feeds::{Ask, Feed, FeedError, Want};
use crate::grid::http::Kept;
use crate::grid::plausible;
use crate::grid::schedule::{self, Rhythm, later};
use crate::ledger::IntensityFact;

/// After a forecast that did not come, so long until it is asked for again.
const FORECAST_PAUSE: SignedDuration = SignedDuration::from_hours(1);
/// How old a figure may be for a jump from it to be remarkable.
const COMPARABLE: SignedDuration = SignedDuration::from_hours(24);

/// A feed of a zone's chain.
pub(super) struct Line {
    feed: Feed,
    source: String,
    /// Its server, which is the same for all zones.
    pub server: String,
    pub rhythm: Rhythm,
    period: SignedDuration,
    pub due: Timestamp,
    pub forecast_due: Timestamp,
    pub settle_due: Timestamp,
    settle_pause: Option<SignedDuration>,
    asked: bool,
    failures: u32,
    kept: Option<Kept>,
    /// A figure that a second answer has to agree with.
    aside: Option<IntensityFact>,
}

impl Line {
    /// A feed that was not asked yet in this process; `known` are the zone's facts.
    pub fn new(desk: &mut Desk, feed: Feed, known: &[IntensityFact], now: Timestamp) -> Line {
        let source = feed.source();
        let rhythm = schedule::rhythm(&feed);
        let configured = match desk.settings.poll {
            Poll::Every(period) => Some(period),
            Poll::Auto | Poll::Off => None,
        };
        let period = schedule::period(rhythm, configured);
        let signal = feed.signal.as_str();
        let own = || {
            let by_it = |fact: &&IntensityFact| fact.source == source && fact.signal == signal;
            known.iter().filter(by_it).filter(|fact| fact.fetched_at <= now)
        };
        let fresh = own().filter(|fact| fact.from <= now).map(|fact| fact.fetched_at).max();
        let ahead = own().filter(|fact| fact.fetched_at < fact.from);
        let ahead = ahead.map(|fact| fact.fetched_at).max();
        let due = schedule::first_poll(now, fresh, period, desk.chance.next());
        Line {
            // One whose figure is fresh serves until it is asked again.
            asked: due > now,
            server: server_of(&feed),
            feed,
            source,
            rhythm,
            period,
            due,
            forecast_due: ahead.map_or(now, |at| later(at, schedule::FORECAST_PERIOD)),
            settle_due: now,
            settle_pause: None,
            failures: 0,
            kept: None,
            aside: None,
        }
    }

    /// Whether its last answer was good.
    pub fn serves(&self) -> bool {
        self.asked && self.failures == 0
    }

    /// Whether past figures may be asked of it: while the zone is in use, it has to do
    /// well first.
    pub fn settles(&self, in_use: bool) -> bool {
        self.serves() || !in_use
    }

    /// Asks for the figure of now; whether it came.
    pub async fn ask_now(
        &mut self,
        desk: &mut Desk,
        zone: &str,
        now: Timestamp,
        new: &mut Vec<IntensityFact>,
    ) -> bool {
        let want = schedule::wanted(self.rhythm, now);
        let ask = Ask { zone: zone.to_owned(), want, now };
        let settings = &desk.settings;
        let asked = chain::ask_feed_again(
            &self.feed,
            &ask,
            &settings.network,
            &desk.environment,
            &mut self.kept,
        );
        let mut facts = asked.await;
        let usable = match &facts {
            Ok(facts) => current(facts, now, settings.stale_after)
                .cloned()
                .and_then(|fact| self.believe(&desk.book, &fact, now)),
            Err(error) => Err(error.clone()),
        };
        if let Err(FeedError::Implausible(_)) = usable {
            facts = Ok(Vec::new());
        }
        let mut facts = facts.unwrap_or_default();
        if !(self.rhythm.with_forecast && self.forecast_due <= now) {
            facts.retain(|fact| fact.from <= now);
        } else if usable.is_ok() {
            self.forecast_due = later(now, schedule::FORECAST_PERIOD);
        }
        new.extend(desk.book.add(facts));
        let chance = desk.chance.next();
        desk.count(&self.source, &usable, now, true);
        self.asked = true;
        match usable {
            Ok(()) => {
                if self.failures > 0 {
                    tracing::info!(feed = self.source, zone, "the feed answers again");
                    // What was measured meanwhile is asked for at once.
                    (self.settle_due, self.settle_pause) = (now, None);
                }
                self.failures = 0;
                self.due = schedule::next_poll(now, self.rhythm, self.period, chance);
                desk.shut.remove(&self.server);
                true
            }
            Err(error) => {
                if self.failures == 0 {
                    tracing::warn!(feed = self.source, zone, "no intensity: {error}");
                }
                self.failures = self.failures.saturating_add(1);
                self.due = later(now, schedule::pause(&error, self.failures, self.period, chance));
                if schedule::is_of_all_zones(&error) {
                    desk.shut.insert(self.server.clone(), self.due);
                }
                false
            }
        }
    }

    /// A figure that is far from the one before is kept aside until a second answer
    /// agrees with it.
    fn believe(
        &mut self,
        book: &FactBook,
        fact: &IntensityFact,
        now: Timestamp,
    ) -> Result<(), FeedError> {
        let known = book.of(&fact.zone);
        let before = known.iter().rev().find(|known| {
            (&known.source, &known.signal) == (&fact.source, &fact.signal)
                && known.boundary == fact.boundary
                && known.from <= fact.from
        });
        let before = before.filter(|before| now.duration_since(before.to) < COMPARABLE);
        let agreed = self.aside.take().is_some_and(|aside| !plausible::jump(&aside, fact));
        match before {
            Some(before) if plausible::jump(before, fact) && !agreed => {
                self.aside = Some(fact.clone());
                Err(FeedError::Implausible(format!(
                    "from {} to {} g/kWh at once; a second answer has to agree",
                    before.intensity.grams_per_kwh(),
                    fact.intensity.grams_per_kwh()
                )))
            }
            _ => Ok(()),
        }
    }

    /// Asks for the forecast, now and then, so that an outage finds one at hand.
    pub async fn ask_forecast(
        &mut self,
        desk: &mut Desk,
        zone: &str,
        now: Timestamp,
        new: &mut Vec<IntensityFact>,
    ) {
        if self.rhythm.with_forecast || self.forecast_due > now {
            return;
        }
        let ask = Ask { zone: zone.to_owned(), want: Want::Forecast, now };
        let network = &desk.settings.network;
        let facts =
            chain::ask_feed_again(&self.feed, &ask, network, &desk.environment, &mut self.kept);
        let facts = facts.await;
        let pause = match &facts {
            Ok(_) => schedule::FORECAST_PERIOD,
            Err(FeedError::Unsupported(_)) => schedule::NO_FORECAST,
            Err(_) => FORECAST_PAUSE,
        };
        let spread = Duration::from_secs(600).mul_f64(desk.chance.next());
        let spread = SignedDuration::try_from(spread).unwrap_or(SignedDuration::ZERO);
        self.forecast_due = later(now, pause + spread);
        self.take_beside(desk, facts, now, new);
    }

    /// Asks for past figures.
    pub async fn ask_range(
        &mut self,
        desk: &mut Desk,
        zone: &str,
        now: Timestamp,
        (from, to): (Timestamp, Timestamp),
        new: &mut Vec<IntensityFact>,
    ) {
        let ask = Ask { zone: zone.to_owned(), want: Want::Range { from, to }, now };
        let network = &desk.settings.network;
        let facts = chain::ask_feed(&self.feed, &ask, network, &desk.environment).await;
        let known = new.len();
        self.take_beside(desk, facts, now, new);
        let brought = new.len() > known;
        let before = self.settle_pause.take();
        let pause = schedule::settle_pause(brought, before, desk.chance.next());
        self.settle_pause = (!brought).then_some(pause);
        self.settle_due = later(now, pause);
    }

    /// Takes up what was asked for beside the figure of now: whether it came decides
    /// nothing about who serves.
    fn take_beside(
        &mut self,
        desk: &mut Desk,
        facts: Result<Vec<IntensityFact>, FeedError>,
        now: Timestamp,
        new: &mut Vec<IntensityFact>,
    ) {
        let outcome = match facts {
            Ok(facts) => {
                new.extend(desk.book.add(facts));
                Ok(())
            }
            // Nobody was asked.
            Err(FeedError::Unsupported(_)) => return,
            Err(FeedError::Nothing) => Ok(()),
            Err(error) => {
                tracing::debug!(feed = self.source, "no past or coming intensity: {error}");
                Err(error)
            }
        };
        desk.count(&self.source, &outcome, now, false);
    }
}

/// A feed and the server it is asked of, or the file: several feeds of one kind may be
/// set up.
fn server_of(feed: &Feed) -> String {
    let host =
        feed.url.as_ref().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
    format!("{} {host:?} {:?}", feed.provider.name, feed.path)
}
