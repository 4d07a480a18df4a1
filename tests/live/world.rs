// SPDX-License-Identifier: Apache-2.0
//! Two feeds of Great Britain on one server, whose truth is known, whose clock is the
//! test's, and which fail when they are told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aimeter::grid::feeds::{Feed, energy_charts, uk};
use jiff::{SignedDuration, Timestamp};

use crate::replay::{Replay, Reply};

/// A half hour, the step of the truth.
pub const STEP: i64 = 1_800;

/// How a feed answers.
#[derive(Clone, Debug)]
pub enum Mood {
    /// As it should.
    Well,
    /// Not at all in a useful way: this status and these header lines.
    Refuses(u16, Vec<&'static str>),
    /// With this figure for everything.
    Says(u32),
    /// With forecasts alone.
    NeverMeasures,
}

/// What the server knows.
pub struct State {
    /// The test's clock; `None`: the real one.
    pub now: Option<Timestamp>,
    moods: BTreeMap<&'static str, Mood>,
}

/// The server.
pub struct World {
    pub state: Arc<Mutex<State>>,
    pub replay: Replay,
}

impl State {
    fn moment(&self) -> Timestamp {
        self.now.unwrap_or_else(aimeter::clock::wall)
    }
}

impl World {
    /// On the real clock.
    pub fn now() -> World {
        World::at(None)
    }

    /// On a clock that begins then.
    pub fn at(now: Option<Timestamp>) -> World {
        let moods = [("uk", Mood::Well), ("charts", Mood::Well)].into();
        let state = Arc::new(Mutex::new(State { now, moods }));
        let shared = Arc::clone(&state);
        World { state, replay: Replay::tls(move |head| answer(&shared.lock().unwrap(), head)) }
    }

    /// From now on a feed (`uk`, `charts`) answers like this.
    pub fn mood(&self, feed: &'static str, mood: Mood) {
        self.state.lock().unwrap().moods.insert(feed, mood);
    }

    /// The chain of both.
    pub fn chain(&self) -> Vec<Feed> {
        vec![self.uk(), self.charts()]
    }

    pub fn uk(&self) -> Feed {
        let mut feed = Feed::of(&uk::PROVIDER);
        feed.url = Some(self.replay.url("/uk"));
        feed
    }

    pub fn charts(&self) -> Feed {
        let mut feed = Feed::of(&energy_charts::PROVIDER);
        feed.url = Some(self.replay.url("/charts"));
        feed.place = Some("gb".into());
        feed
    }

    /// How often a feed was asked so far.
    pub fn asked(&self, feed: &str) -> usize {
        let path = format!("GET /{feed}");
        self.replay.requests().iter().filter(|head| head.starts_with(&path)).count()
    }

    /// The address that a feed was last asked at.
    pub fn last(&self, feed: &str) -> String {
        let path = format!("GET /{feed}");
        let requests = self.replay.requests();
        let head = requests.iter().rfind(|head| head.starts_with(&path)).expect("a request");
        head.split(' ').nth(1).unwrap().to_owned()
    }
}

/// The truth of the half hour that holds a moment, in g/kWh.
pub fn truth(moment: Timestamp) -> u32 {
    100 + (moment.as_second().div_euclid(STEP).rem_euclid(48)) as u32 * 3
}

/// The forecast of the same.
pub fn forecast(moment: Timestamp) -> u32 {
    truth(moment) + 7
}

fn answer(state: &State, head: &str) -> Reply {
    let path = head.split(' ').nth(1).unwrap();
    let feed = if path.starts_with("/uk") { "uk" } else { "charts" };
    let says = match &state.moods[feed] {
        Mood::Well | Mood::NeverMeasures => None,
        Mood::Says(grams) => Some(*grams),
        Mood::Refuses(status, headers) => return Reply::refusal(*status, headers, "{}"),
    };
    if feed == "charts" {
        return charts(state, says);
    }
    let body = britain(state, path, says);
    // What has not changed is not sent again.
    let tag = format!("\"{:x}\"", hash(&body));
    if head.to_lowercase().contains(&format!("if-none-match: {tag}")) {
        return Reply::Whole(304, Vec::new(), Vec::new());
    }
    Reply::refusal(200, &[&format!("ETag: {tag}")], body)
}

/// Half hours with a forecast, and an hour after their end with what was measured.
fn britain(state: &State, path: &str, says: Option<u32>) -> String {
    let now = state.moment();
    let floor = |time: Timestamp| time.as_second() - time.as_second().rem_euclid(STEP);
    let mut parts = path.split('/').skip(3);
    let (from, to) = match (parts.next(), parts.next()) {
        (Some(from), Some("fw48h")) => {
            let from = floor(from.parse().unwrap());
            (from, from + 48 * 3_600)
        }
        (Some(from), Some(to)) => {
            (floor(from.parse().unwrap()), to.parse::<Timestamp>().unwrap().as_second())
        }
        _ => (floor(now), floor(now) + STEP),
    };
    let slots: Vec<String> = (from..to)
        .step_by(STEP as usize)
        .map(|start| {
            let at = Timestamp::from_second(start).unwrap();
            let end = at + SignedDuration::from_secs(STEP);
            let late = now.as_second() >= end.as_second() + 3_600;
            let known = late && !matches!(state.moods["uk"], Mood::NeverMeasures);
            let actual = says.filter(|_| known).or(known.then(|| truth(at)));
            let actual = actual.map_or("null".to_owned(), |grams| grams.to_string());
            let forecast = says.unwrap_or_else(|| forecast(at));
            format!(
                r#"{{"from":"{at}","to":"{end}","intensity":{{"forecast":{forecast},"actual":{actual}}}}}"#
            )
        })
        .collect();
    format!(r#"{{"data":[{}]}}"#, slots.join(","))
}

/// The day of now by quarters, measured until two hours ago, forecast beyond.
fn charts(state: &State, says: Option<u32>) -> Reply {
    let now = state.moment();
    let day = now.as_second() - now.as_second().rem_euclid(86_400);
    let (mut times, mut measured, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    for start in (day..day + 86_400).step_by(900) {
        let at = Timestamp::from_second(start).unwrap();
        let known = now.as_second() >= start + 900 + 7_200;
        let grams = says.unwrap_or_else(|| truth(at) + 1).to_string();
        times.push(start.to_string());
        measured.push(if known { grams.clone() } else { "null".into() });
        expected.push(if known { "null".into() } else { grams });
    }
    Reply::json(format!(
        r#"{{"unix_seconds":[{}],"co2eq":[{}],"co2eq_forecast":[{}]}}"#,
        times.join(","),
        measured.join(","),
        expected.join(",")
    ))
}

fn hash(text: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
