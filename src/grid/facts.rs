// SPDX-License-Identifier: Apache-2.0
//! The facts at hand: what feeds have said of the last days, in memory.
//!
//! One writes (the poller, or a restart that reads the ledger), many read: the
//! engine for the live counters, the server, records. Readers never wait. What is
//! kept for good is in the ledger; here the newest of each figure is enough. No fact
//! is ever changed into one of another interval: that a figure is held over for want
//! of a newer one is said by [`Present`], and by nothing in the books.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;

use crate::ledger::{IntensityFact, IntensityKind};

/// Facts by zone.
type Zones = BTreeMap<String, Arc<[IntensityFact]>>;

/// The facts at hand, and how the feeds do. Shared by `Arc`.
#[derive(Debug, Default)]
pub struct FactBook {
    zones: ArcSwap<Zones>,
    feeds: ArcSwap<Vec<FeedView>>,
    version: AtomicU64,
    writing: Mutex<()>,
}

/// The figure of a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// The fact it is taken from.
    pub fact: IntensityFact,
    /// Whether that fact's interval is over and nothing newer is at hand.
    pub held: bool,
    /// Until when it is the same, as long as no fact comes.
    pub until: Timestamp,
}

impl Present {
    /// In a word, how good it is: `actual`, `provisional`, `estimated`, `forecast`,
    /// `held` or `table`.
    pub fn quality(&self) -> &'static str {
        if self.held { "held" } else { self.fact.kind.as_str() }
    }

    /// The start of its interval, from which its age counts; a yearly mean has none.
    pub fn from(&self) -> Option<Timestamp> {
        (self.fact.kind != IntensityKind::Table).then_some(self.fact.from)
    }
}

/// How a feed does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedView {
    /// Its name in facts.
    pub source: String,
    /// Whether its last answer was good; `None`: not asked yet.
    pub up: Option<bool>,
    /// Requests by how they ended: `ok`, or the failure's word.
    pub requests: BTreeMap<&'static str, u64>,
    /// Its last good answer.
    pub last_success: Option<Timestamp>,
}

impl FactBook {
    /// A book of facts that are known already, such as the ledger's.
    pub fn of_facts(facts: impl IntoIterator<Item = IntensityFact>) -> FactBook {
        let book = FactBook::default();
        book.add(facts);
        book
    }

    /// Takes up facts; those that say something new come back, for the ledger. A fact
    /// is not new where the newest of its kind for the same zone, interval, signal,
    /// boundary and source says the same: then only the time of that one follows.
    /// Yearly means are not taken up: they are of no time and always at hand.
    pub fn add(&self, facts: impl IntoIterator<Item = IntensityFact>) -> Vec<IntensityFact> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut zones = Zones::clone(&self.zones.load());
        let mut grown: BTreeMap<String, Vec<IntensityFact>> = BTreeMap::new();
        let (mut new, mut changed) = (Vec::new(), false);
        for fact in facts {
            if fact.kind == IntensityKind::Table {
                continue;
            }
            let known = grown.entry(fact.zone.clone()).or_insert_with(|| {
                zones.get(&fact.zone).map(|facts| facts.to_vec()).unwrap_or_default()
            });
            let news = take(known, &fact);
            changed |= news != News::Old;
            if news == News::New {
                new.push(fact);
            }
        }
        if !changed {
            return new;
        }
        for (zone, mut facts) in grown {
            facts.sort_by(|one, other| (one.from, rank(one)).cmp(&(other.from, rank(other))));
            zones.insert(zone, facts.into());
        }
        self.publish(zones);
        new
    }

    /// The facts of a zone, by their start.
    pub fn of(&self, zone: &str) -> Arc<[IntensityFact]> {
        self.zones.load().get(zone).cloned().unwrap_or_else(|| Arc::from([]))
    }

    /// Rises with every change of the facts. Reads no lock and allocates nothing.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Drops what ended before a moment.
    pub fn forget_before(&self, moment: Timestamp) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = |fact: &IntensityFact| fact.to < moment;
        let known = self.zones.load();
        if !known.values().any(|facts| facts.iter().any(old)) {
            return;
        }
        let kept = known.iter().map(|(zone, facts)| {
            let facts: Arc<[_]> = facts.iter().filter(|fact| !old(fact)).cloned().collect();
            (zone.clone(), facts)
        });
        self.publish(kept.filter(|(_, facts)| !facts.is_empty()).collect());
    }

    /// The average intensity of a moment: of the facts that hold then the best by
    /// [`rank`], else the newest that ended no longer than `stale_after` ago, else
    /// the shipped table's.
    pub fn now(&self, zone: Option<&str>, at: Timestamp, stale_after: Duration) -> Present {
        let facts = zone.map_or_else(|| Arc::from([]), |zone| self.of(zone));
        let mut until = Timestamp::MAX;
        let mut holds: Option<&IntensityFact> = None;
        let mut newest: Option<&IntensityFact> = None;
        for fact in facts.iter().filter(|fact| fact.signal == "average") {
            let stale = fact.to.checked_add(stale_after).unwrap_or(Timestamp::MAX);
            let turns = [fact.from, fact.to, stale];
            until = turns.into_iter().filter(|turn| *turn > at).fold(until, Timestamp::min);
            if fact.from <= at && at < fact.to {
                holds = holds.filter(|best| rank(best) <= rank(fact)).or(Some(fact));
            } else if fact.to <= at && at < stale {
                let older = |best: &&IntensityFact| {
                    (Reverse(best.to), rank(best)) <= (Reverse(fact.to), rank(fact))
                };
                newest = newest.filter(older).or(Some(fact));
            }
        }
        match (holds, newest) {
            (Some(fact), _) => Present { fact: fact.clone(), held: false, until },
            (None, Some(fact)) => Present { fact: fact.clone(), held: true, until },
            (None, None) => Present { fact: super::fact_for(zone, at).fact, held: false, until },
        }
    }

    /// How the feeds do.
    pub fn feeds(&self) -> Arc<Vec<FeedView>> {
        self.feeds.load_full()
    }

    /// Says how the feeds do.
    pub fn tell_feeds(&self, feeds: Vec<FeedView>) {
        self.feeds.store(Arc::new(feeds));
    }

    fn publish(&self, zones: Zones) {
        self.zones.store(Arc::new(zones));
        self.version.fetch_add(1, Ordering::Release);
    }
}

/// What a fact is beside those that are known.
#[derive(PartialEq)]
enum News {
    /// It says something that was not known.
    New,
    /// It says the same again, later.
    Again,
    /// It is older than what is known.
    Old,
}

/// Puts a fact among the known ones.
fn take(known: &mut Vec<IntensityFact>, fact: &IntensityFact) -> News {
    let same = |known: &&mut IntensityFact| {
        (known.from, known.to, known.kind) == (fact.from, fact.to, fact.kind)
            && (&known.signal, &known.boundary) == (&fact.signal, &fact.boundary)
            && known.source == fact.source
    };
    let Some(known) = known.iter_mut().find(same) else {
        known.push(fact.clone());
        return News::New;
    };
    if fact.fetched_at <= known.fetched_at {
        return News::Old;
    }
    // One that is fetched again after its interval is a measurement now.
    let says = |fact: &IntensityFact| (fact.intensity, fact.provider_updated_at, is_measured(fact));
    let news = if says(known) == says(fact) { News::Again } else { News::New };
    known.clone_from(fact);
    news
}

/// The order in which facts are preferred where several hold, the best first: the
/// better kind, then the latest fetched, then the shorter interval, then by name so
/// that the order of arrival never matters.
pub fn rank(fact: &IntensityFact) -> impl Ord + '_ {
    let length = fact.to.as_microsecond().saturating_sub(fact.from.as_microsecond());
    (fact.kind, Reverse(fact.fetched_at), length, fact.source.as_str())
}

/// Whether a fact is a measurement of its whole interval, so that no better one is
/// waited for. What was fetched before the interval's end is none.
pub fn is_measured(fact: &IntensityFact) -> bool {
    match fact.kind {
        IntensityKind::Actual => true,
        IntensityKind::Provisional => fact.fetched_at >= fact.to,
        IntensityKind::Estimated | IntensityKind::Forecast | IntensityKind::Table => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Intensity;

    const STALE: Duration = Duration::from_secs(7_200);

    fn time(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + minutes * 60).unwrap()
    }

    /// A fact of these minutes, fetched at the third.
    fn fact(from: i64, to: i64, fetched: i64, grams: u32, kind: IntensityKind) -> IntensityFact {
        IntensityFact {
            zone: "GB".into(),
            from: time(from),
            to: time(to),
            intensity: Intensity::from_milligrams_per_kwh(grams * 1_000),
            signal: "average".into(),
            boundary: "direct".into(),
            source: "uk".into(),
            kind,
            fetched_at: time(fetched),
            provider_updated_at: None,
        }
    }

    fn grams(present: &Present) -> (f64, &'static str, i64) {
        let until = (present.until.as_second() - 1_795_000_000).div_euclid(60);
        (present.fact.intensity.grams_per_kwh(), present.quality(), until)
    }

    #[test]
    fn only_what_says_something_new_is_new() {
        let book = FactBook::default();
        let first = fact(0, 30, 1, 100, IntensityKind::Forecast);
        assert_eq!(book.add([first.clone()]), std::slice::from_ref(&first));
        let again = IntensityFact { fetched_at: time(5), ..first.clone() };
        assert_eq!(book.add([again.clone(), first.clone()]), []);
        assert_eq!(*book.of("GB"), [again]);
        let version = book.version();
        assert_eq!(book.add([first.clone()]), []);
        assert_eq!(book.version(), version);
        let changed = fact(0, 30, 6, 120, IntensityKind::Forecast);
        assert_eq!(book.add([changed.clone()]), [changed]);
        // What is older than what is known is not news.
        assert_eq!(book.add([first.clone()]), []);
        let back = IntensityFact { fetched_at: time(7), ..first };
        assert_eq!(book.add([back.clone()]), [back]);
        let measured = fact(0, 30, 40, 120, IntensityKind::Actual);
        assert_eq!(book.add([measured.clone()]), [measured]);
        assert_eq!(book.of("GB").len(), 2);
        assert_eq!(book.of("FR").len(), 0);
        // The same figure, once its interval is over, is a measurement.
        let early = fact(60, 90, 70, 130, IntensityKind::Provisional);
        let late = IntensityFact { fetched_at: time(91), ..early.clone() };
        assert_eq!(book.add([early.clone(), late.clone()]), [early, late]);
        assert_eq!(book.add([super::super::fact_for(Some("GB"), time(0)).fact]), []);
    }

    #[test]
    fn now_is_the_best_that_holds_then_the_newest_then_the_table() {
        let marginal = IntensityFact {
            signal: "marginal".into(),
            ..fact(0, 500, 0, 9, IntensityKind::Actual)
        };
        let book = FactBook::of_facts([
            fact(0, 30, 0, 100, IntensityKind::Forecast),
            fact(0, 30, 31, 110, IntensityKind::Actual),
            fact(30, 60, 0, 120, IntensityKind::Forecast),
            fact(300, 330, 0, 130, IntensityKind::Forecast),
            marginal,
        ]);
        let now = |minutes| grams(&book.now(Some("GB"), time(minutes), STALE));
        assert_eq!(now(0), (110.0, "actual", 30));
        assert_eq!(now(30), (120.0, "forecast", 60));
        assert_eq!(now(59), (120.0, "forecast", 60));
        // 110 of the first half hour would be stale at 150, the second at 180.
        assert_eq!(now(60), (120.0, "held", 150));
        assert_eq!(now(179), (120.0, "held", 180));
        assert_eq!(now(180), (210.9, "table", 300));
        assert_eq!(now(329), (130.0, "forecast", 330));
        let world = book.now(None, time(0), STALE);
        assert_eq!((world.fact.zone.as_str(), world.until), ("WORLD", Timestamp::MAX));
    }

    #[test]
    fn the_present_is_the_same_until_it_says() {
        let facts = (0..40).map(|i| {
            let from = i * 37 % 400;
            fact(from, from + 15 + i, i, i as u32 + 1, IntensityKind::ALL[i as usize % 4])
        });
        let book = FactBook::of_facts(facts);
        let mut known = book.now(Some("GB"), time(-10), STALE);
        for minutes in -10..700 {
            let now = book.now(Some("GB"), time(minutes), STALE);
            if time(minutes) < known.until {
                let table = now.fact.kind == IntensityKind::Table;
                assert!(table || now.fact == known.fact, "{minutes}");
                assert_eq!((now.held, now.until), (known.held, known.until), "{minutes}");
            }
            known = now;
        }
    }

    #[test]
    fn what_is_old_is_forgotten_and_nothing_else() {
        let book = FactBook::of_facts(
            (0..10).map(|i| fact(i * 30, i * 30 + 30, 0, 100, IntensityKind::Forecast)),
        );
        let version = book.version();
        book.forget_before(time(0));
        assert_eq!(book.version(), version);
        book.forget_before(time(91));
        let left: Vec<_> = book.of("GB").iter().map(|fact| fact.from).collect();
        assert_eq!(left, (3..10).map(|i| time(i * 30)).collect::<Vec<_>>());
        book.forget_before(time(10_000));
        assert_eq!(book.of("GB").len(), 0);
    }
}
