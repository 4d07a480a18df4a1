// SPDX-License-Identifier: Apache-2.0
//! The poller: keeps the facts at hand up to date, for all jobs at once.
//!
//! Each zone has two chains, of average and of marginal figures. Of each the first feed
//! that answers well serves; one that fails is asked again by its own schedule, and
//! serves again from its first good answer. Jobs are booked with averages alone; marginal
//! figures are kept beside them.
//! Past figures are asked for until what was measured is known. All that decides
//! takes the time as an argument ([`super::schedule`]); this file asks and counts.
//! Nothing waits for it: where it hangs or dies, metering goes on with what is at hand.

mod line;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::chain::{GridSettings, Poll};
use super::facts::{FactBook, FeedView};
use super::feeds::{FeedError, Signal};
use super::schedule::{self, later};
use crate::ledger::{IntensityFact, ZoneUse};

use line::Line;

/// Most zones that are asked about: a client may name any for its job.
const MOST_ZONES: usize = 32;
/// Facts are kept in memory for so long at least.
pub const KEPT: SignedDuration = SignedDuration::from_hours(3 * 24);
/// The longest time to the next step.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(1);
/// With nothing missing, so long until the next look.
const SETTLE_LOOK: SignedDuration = SignedDuration::from_mins(10);

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
    chains: [Chain; 2],
}

/// The feeds of one signal, in their order.
struct Chain {
    signal: Signal,
    lines: Vec<Line>,
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
            let chains = self.zones.values_mut().flat_map(|zone| &mut zone.chains);
            for line in chains.flat_map(|chain| &mut chain.lines) {
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
        let known = desk.book.of(&name);
        let chains = [Signal::Average, Signal::Marginal].map(|signal| {
            let feeds = match desk.settings.poll {
                Poll::Off => Vec::new(),
                Poll::Auto | Poll::Every(_) => desk.settings.feeds_of(&name, signal),
            };
            let lines = feeds.into_iter().map(|feed| Line::new(desk, feed, &known, now));
            Chain { signal, lines: lines.collect() }
        });
        Zone { name, used: (used.from, used.to), in_use: false, chains }
    }

    /// How long its facts matter.
    fn kept(&self) -> SignedDuration {
        let until = |line: &Line| line.rhythm.measured.map(|measured| measured.until);
        let lines = self.chains.iter().flat_map(|chain| &chain.lines);
        lines.filter_map(until).max().unwrap_or(KEPT).max(KEPT)
    }

    async fn serve(&mut self, desk: &mut Desk, now: Timestamp, new: &mut Vec<IntensityFact>) {
        for chain in &mut self.chains {
            if self.in_use {
                chain.poll(desk, &self.name, now, new).await;
            }
            let used = Used { zone: &self.name, time: self.used, in_use: self.in_use };
            chain.settle(desk, used, now, new).await;
        }
    }

    /// When something of this zone is due.
    fn next(&self, desk: &Desk, now: Timestamp) -> Timestamp {
        let due = |chain: &Chain| chain.next(desk, self.in_use);
        self.chains
            .iter()
            .filter_map(due)
            .min()
            .unwrap_or(Timestamp::MAX)
            .min(later(now, LONGEST_WAIT))
    }
}

/// A zone's use.
#[derive(Clone, Copy)]
struct Used<'a> {
    zone: &'a str,
    time: (Timestamp, Timestamp),
    in_use: bool,
}

impl Chain {
    /// Asks for the figure of now, as far as it is due.
    async fn poll(
        &mut self,
        desk: &mut Desk,
        zone: &str,
        now: Timestamp,
        new: &mut Vec<IntensityFact>,
    ) {
        for line in &mut self.lines {
            if line.due > now {
                if line.serves() {
                    return line.ask_forecast(desk, zone, now, new).await;
                }
                continue;
            }
            if desk.is_shut(&line.server, now) {
                continue;
            }
            if line.ask_now(desk, zone, now, new).await {
                return line.ask_forecast(desk, zone, now, new).await;
            }
        }
    }

    /// Asks for what is missing of the past: the first feed that has it and does well.
    async fn settle(
        &mut self,
        desk: &mut Desk,
        used: Used<'_>,
        now: Timestamp,
        new: &mut Vec<IntensityFact>,
    ) {
        let settles = |line: &Line| line.settles(used.in_use);
        for line in &mut self.lines {
            let Some(measured) = line.rhythm.measured.filter(|_| settles(line)) else {
                continue;
            };
            if desk.is_shut(&line.server, now) {
                continue;
            }
            if line.settle_due > now {
                return;
            }
            let facts = desk.book.of(used.zone);
            let own = facts.iter().filter(|fact| fact.signal == self.signal.as_str());
            match schedule::missing(own, used.time, measured, now) {
                None => line.settle_due = later(now, SETTLE_LOOK),
                Some(range) => line.ask_range(desk, used.zone, now, range, new).await,
            }
            return;
        }
    }

    /// When something is due.
    fn next(&self, desk: &Desk, in_use: bool) -> Option<Timestamp> {
        let mut next: Vec<Timestamp> = Vec::new();
        let open = |line: &Line, due: Timestamp| due.max(desk.opens(&line.server));
        if in_use {
            for line in &self.lines {
                next.push(open(line, line.due));
                if line.serves() {
                    if !line.rhythm.with_forecast {
                        next.push(open(line, line.forecast_due));
                    }
                    break;
                }
            }
        }
        let settles = |line: &&Line| line.rhythm.measured.is_some() && line.settles(in_use);
        next.extend(self.lines.iter().find(settles).map(|line| open(line, line.settle_due)));
        next.into_iter().min()
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
