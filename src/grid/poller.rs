// SPDX-License-Identifier: Apache-2.0
//! The poller: keeps the facts at hand up to date, for all jobs at once.
//!
//! Each zone has its chain. The first feed that answers well serves; one that fails
//! is asked again by its own schedule, and serves again from its first good answer.
//! Past figures are asked for until what was measured is known. All that decides
//! takes the time as an argument ([`super::schedule`]); this file asks and counts.
//! Nothing waits for it: where it hangs or dies, metering goes on with what is at hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::chain::{self, GridSettings, Poll, current};
use super::facts::{FactBook, FeedView};
use super::feeds::{Ask, Feed, FeedError, Want};
use super::http::Kept;
use super::schedule::{self, Rhythm, later};
use crate::ledger::{IntensityFact, ZoneUse};

/// Most zones that are asked about: a client may name any for its job.
const MOST_ZONES: usize = 32;
/// Facts are kept in memory for so long at least.
const KEPT: SignedDuration = SignedDuration::from_hours(3 * 24);
/// The longest time to the next step.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(1);
/// With nothing missing, so long until the next look.
const SETTLE_LOOK: SignedDuration = SignedDuration::from_mins(10);
/// How old a figure may be for a jump from it to be remarkable.
const COMPARABLE: SignedDuration = SignedDuration::from_hours(24);

/// Reads a variable of the environment, where a key may be.
pub type Environment = Box<dyn Fn(&str) -> Option<String> + Send>;

/// What a step brought.
#[derive(Debug, Default)]
pub struct Step {
    /// The facts that are new, for the ledger.
    pub facts: Vec<IntensityFact>,
    /// When there is something to do again.
    pub next: Timestamp,
}

/// The poller.
pub struct Poller {
    desk: Desk,
    zones: BTreeMap<String, Zone>,
    last: Timestamp,
}

/// What all zones share.
struct Desk {
    settings: GridSettings,
    book: Arc<FactBook>,
    environment: Environment,
    chance: Chance,
    feeds: BTreeMap<String, FeedView>,
    /// Servers that are not to be asked before then, whatever the zone.
    shut: BTreeMap<String, Timestamp>,
}

struct Zone {
    name: String,
    used: (Timestamp, Timestamp),
    in_use: bool,
    lines: Vec<Line>,
}

/// A feed of a zone's chain.
struct Line {
    feed: Feed,
    source: String,
    /// Its server, which is the same for all zones.
    server: String,
    rhythm: Rhythm,
    period: SignedDuration,
    due: Timestamp,
    forecast_due: Timestamp,
    settle_due: Timestamp,
    settle_pause: Option<SignedDuration>,
    asked: bool,
    failures: u32,
    kept: Option<Kept>,
    /// A figure that a second answer has to agree with.
    aside: Option<f64>,
}

impl Poller {
    /// A poller that has asked nobody yet. `seed` makes its chances.
    pub fn new(
        settings: GridSettings,
        book: Arc<FactBook>,
        environment: Environment,
        seed: u64,
    ) -> Poller {
        let (feeds, shut) = Default::default();
        let desk = Desk { settings, book, environment, chance: Chance(seed), feeds, shut };
        Poller { desk, zones: BTreeMap::new(), last: Timestamp::MIN }
    }

    /// Takes up zones that were used before now, as the ledger tells at a start.
    pub fn remember(&mut self, now: Timestamp, uses: &[ZoneUse]) {
        for used in uses.iter().take(MOST_ZONES) {
            self.take_up(now, used);
        }
    }

    /// Goes on by other settings.
    pub fn set(&mut self, now: Timestamp, settings: GridSettings) {
        self.desk.settings = settings;
        self.desk.shut.clear();
        for (_, zone) in std::mem::take(&mut self.zones) {
            let (from, to) = zone.used;
            self.take_up(now, &ZoneUse { zone: zone.name, from, to });
        }
    }

    /// Does what is due: asks feeds about the zones in use, and for what is missing of
    /// those that were. New facts are in the book when this is done, and come back for
    /// the ledger.
    pub async fn step(&mut self, now: Timestamp, in_use: &[ZoneUse]) -> Step {
        self.follow_clock(now);
        self.zones.values_mut().for_each(|zone| zone.in_use = false);
        for used in in_use {
            if self.zones.len() < MOST_ZONES || self.zones.contains_key(&used.zone) {
                self.take_up(now, used);
            }
            if let Some(zone) = self.zones.get_mut(&used.zone) {
                zone.in_use = true;
            }
        }
        let kept = self.zones.values().map(Zone::kept).max().unwrap_or(KEPT);
        let oldest = later(now, -kept);
        self.zones.retain(|_, zone| zone.in_use || zone.used.1 > oldest);
        let mut step = Step { facts: Vec::new(), next: later(now, LONGEST_WAIT) };
        for zone in self.zones.values_mut() {
            zone.serve(&mut self.desk, now, &mut step.facts).await;
        }
        for zone in self.zones.values() {
            step.next = step.next.min(zone.next(&self.desk, now));
        }
        self.desk.book.forget_before(oldest);
        step
    }

    fn take_up(&mut self, now: Timestamp, used: &ZoneUse) {
        let zone = self.zones.entry(used.zone.clone());
        let zone = zone.or_insert_with(|| Zone::new(&mut self.desk, now, used));
        zone.used = (zone.used.0.min(used.from), zone.used.1.max(used.to));
    }

    /// A clock that was set back must not leave everything due in a far future.
    fn follow_clock(&mut self, now: Timestamp) {
        let back = self.last.duration_since(now);
        if self.last != Timestamp::MIN && back > SignedDuration::from_mins(1) {
            let lines = self.zones.values_mut().flat_map(|zone| &mut zone.lines);
            for line in lines {
                for due in [&mut line.due, &mut line.forecast_due, &mut line.settle_due] {
                    *due = later(*due, -back);
                }
            }
            self.desk.shut.clear();
        }
        self.last = now;
    }
}

impl Zone {
    fn new(desk: &mut Desk, now: Timestamp, used: &ZoneUse) -> Zone {
        let name = used.zone.clone();
        let feeds = match desk.settings.poll {
            Poll::Off => Vec::new(),
            Poll::Auto | Poll::Every(_) => desk.settings.feeds(&name),
        };
        let known = desk.book.of(&name);
        let lines = feeds.into_iter().map(|feed| Line::new(desk, feed, &known, now)).collect();
        Zone { name, used: (used.from, used.to), in_use: false, lines }
    }

    /// How long its facts matter.
    fn kept(&self) -> SignedDuration {
        let until = |line: &Line| line.rhythm.measured.map(|measured| measured.until);
        self.lines.iter().filter_map(until).max().unwrap_or(KEPT).max(KEPT)
    }

    async fn serve(&mut self, desk: &mut Desk, now: Timestamp, new: &mut Vec<IntensityFact>) {
        if self.in_use {
            self.poll(desk, now, new).await;
        }
        self.settle(desk, now, new).await;
    }

    /// Asks the chain for the figure of now, as far as it is due.
    async fn poll(&mut self, desk: &mut Desk, now: Timestamp, new: &mut Vec<IntensityFact>) {
        for line in &mut self.lines {
            if line.due > now {
                if line.serves() {
                    return line.ask_forecast(desk, &self.name, now, new).await;
                }
                continue;
            }
            if desk.is_shut(&line.server, now) {
                continue;
            }
            if line.ask_now(desk, &self.name, now, new).await {
                return line.ask_forecast(desk, &self.name, now, new).await;
            }
        }
    }

    /// Asks for what is missing of the past: the first feed that has it and does well.
    async fn settle(&mut self, desk: &mut Desk, now: Timestamp, new: &mut Vec<IntensityFact>) {
        let in_use = self.in_use;
        for line in &mut self.lines {
            let Some(measured) = line.rhythm.measured.filter(|_| line.settles(in_use)) else {
                continue;
            };
            if desk.is_shut(&line.server, now) {
                continue;
            }
            if line.settle_due > now {
                return;
            }
            let facts = desk.book.of(&self.name);
            match schedule::missing(&facts, self.used, measured, now) {
                None => line.settle_due = later(now, SETTLE_LOOK),
                Some(range) => line.ask_range(desk, &self.name, now, range, new).await,
            }
            return;
        }
    }

    /// When something of this zone is due.
    fn next(&self, desk: &Desk, now: Timestamp) -> Timestamp {
        let mut next = later(now, LONGEST_WAIT);
        let open = |line: &Line, due: Timestamp| due.max(desk.opens(&line.server));
        if self.in_use {
            for line in &self.lines {
                next = next.min(open(line, line.due));
                if line.serves() {
                    if !line.rhythm.with_forecast {
                        next = next.min(open(line, line.forecast_due));
                    }
                    break;
                }
            }
        }
        let settles = |line: &&Line| line.rhythm.measured.is_some() && line.settles(self.in_use);
        if let Some(line) = self.lines.iter().find(settles) {
            next = next.min(open(line, line.settle_due));
        }
        next
    }
}

impl Line {
    fn new(desk: &mut Desk, feed: Feed, known: &[IntensityFact], now: Timestamp) -> Line {
        let source = feed.source();
        let rhythm = schedule::rhythm(&feed);
        let configured = match desk.settings.poll {
            Poll::Every(period) => Some(period),
            Poll::Auto | Poll::Off => None,
        };
        let period = schedule::period(rhythm, configured);
        let own = || known.iter().filter(|fact| fact.source == source && fact.fetched_at <= now);
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
    fn serves(&self) -> bool {
        self.asked && self.failures == 0
    }

    /// Whether past figures may be asked of it: while the zone is in use, it has to do
    /// well first.
    fn settles(&self, in_use: bool) -> bool {
        self.failures == 0 && (self.asked || !in_use)
    }

    /// Asks for the figure of now; whether it came.
    async fn ask_now(
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
        let grams = fact.intensity.grams_per_kwh();
        let known = book.of(&fact.zone);
        let before = known.iter().rev().find(|known| {
            (&known.source, &known.signal) == (&fact.source, &fact.signal)
                && known.boundary == fact.boundary
                && known.from <= fact.from
        });
        let before = before.filter(|before| now.duration_since(before.to) < COMPARABLE);
        let before = before.map(|before| before.intensity.grams_per_kwh());
        let agreed = self.aside.take().is_some_and(|aside| !schedule::jumps(aside, grams));
        match before {
            Some(before) if schedule::jumps(before, grams) && !agreed => {
                self.aside = Some(grams);
                Err(FeedError::Implausible(format!(
                    "from {before} to {grams} g/kWh at once; a second answer has to agree"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Asks for the forecast, now and then, so that an outage finds one at hand.
    async fn ask_forecast(
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
        let facts = chain::ask_feed(&self.feed, &ask, network, &desk.environment).await;
        let pause = match &facts {
            Ok(_) => schedule::FORECAST_PERIOD,
            Err(FeedError::Unsupported(_)) => schedule::NO_FORECAST,
            Err(_) => LONGEST_WAIT,
        };
        let spread = Duration::from_secs(600).mul_f64(desk.chance.next());
        let spread = SignedDuration::try_from(spread).unwrap_or(SignedDuration::ZERO);
        self.forecast_due = later(now, pause + spread);
        self.take_beside(desk, facts, now, new);
    }

    /// Asks for past figures.
    async fn ask_range(
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

impl Desk {
    fn opens(&self, server: &str) -> Timestamp {
        self.shut.get(server).copied().unwrap_or(Timestamp::MIN)
    }

    fn is_shut(&self, server: &str, now: Timestamp) -> bool {
        self.opens(server) > now
    }

    /// Counts a request; whether the feed is up is said by those `of_now`.
    fn count(
        &mut self,
        source: &str,
        outcome: &Result<(), FeedError>,
        now: Timestamp,
        of_now: bool,
    ) {
        let new = || FeedView { source: source.to_owned(), ..FeedView::default() };
        let view = self.feeds.entry(source.to_owned()).or_insert_with(new);
        let word = outcome.as_ref().err().map_or("ok", word);
        *view.requests.entry(word).or_default() += 1;
        if of_now {
            view.up = Some(outcome.is_ok());
        }
        if outcome.is_ok() {
            view.last_success = Some(now);
        }
        self.book.tell_feeds(self.feeds.values().cloned().collect());
    }
}

/// A feed and the server it is asked of: several feeds of one kind may be set up.
fn server_of(feed: &Feed) -> String {
    let host =
        feed.url.as_ref().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
    format!("{} {host:?}", feed.provider.name)
}

/// A failure in a word, for metrics.
fn word(error: &FeedError) -> &'static str {
    match error {
        FeedError::Refused { status: 429, .. } => "too_many_requests",
        FeedError::Refused { status: 401 | 403, .. } => "not_permitted",
        FeedError::Refused { .. } => "refused",
        FeedError::Transport(_) => "no_answer",
        FeedError::TooLarge(_) => "too_large",
        FeedError::Redirected(_) => "redirected",
        FeedError::NotUnderstood(_) | FeedError::Other { .. } => "not_understood",
        FeedError::Implausible(_) => "implausible",
        FeedError::Stale(_) | FeedError::Nothing => "stale",
        _ => "not_set_up",
    }
}

/// Chances from a seed: splitmix64 (Steele, Lea and Flood 2014).
struct Chance(u64);

impl Chance {
    /// From 0 to below 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}
