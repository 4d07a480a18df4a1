// SPDX-License-Identifier: Apache-2.0
//! The intensities of another zone or another time: of the feeds where one covers
//! them, else of the shipped table.
//!
//! The table stands behind every answer, as the poorest kind of fact, so that a gap
//! of a feed is filled by it and shows among the sources. A time to come that a
//! forecast does not reach is refused: a yearly mean would look like a forecast.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::commands::exit::{Code, Failure};
use crate::commands::grid::wait_for;
use crate::commands::intensity::minute;
use crate::config::Options;
use crate::grid::chain::{self, GridSettings, table_attribution};
use crate::grid::fact_for;
use crate::grid::feeds::{FeedError, Signal, Want};
use crate::ledger::{IntensityFact, IntensityKind};

use super::LONGEST;

/// Zone, and from when to when in microseconds.
type Key = (Option<String>, i64, i64);

/// Who is asked, what they said, and what is to be told of it.
pub struct Sources {
    grid: GridSettings,
    now: Timestamp,
    known: BTreeMap<Key, Vec<IntensityFact>>,
    /// The texts that licences ask for.
    pub attribution: Vec<String>,
    /// For people.
    pub notes: Vec<String>,
}

impl Sources {
    /// Nothing known yet. Average figures alone are asked for, whatever `grid.signal`
    /// is: what they stand beside is booked with those.
    pub fn new(options: &Options, now: Timestamp) -> Sources {
        let (attribution, notes) = (Vec::new(), Vec::new());
        let grid = GridSettings { signal: Signal::Average, ..options.grid.clone() };
        Sources { grid, now, known: BTreeMap::new(), attribution, notes }
    }

    /// The facts of a zone for a time; each is asked for once.
    ///
    /// # Errors
    /// Where the time is to come and the zone's forecast does not reach so far.
    pub fn facts(
        &mut self,
        zone: Option<&str>,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<&[IntensityFact], Failure> {
        let key = (zone.map(str::to_owned), from.as_microsecond(), to.as_microsecond());
        if !self.known.contains_key(&key) {
            let facts = self.ask(zone, from, to)?;
            self.known.insert(key.clone(), facts);
        }
        Ok(self.known.get(&key).map(Vec::as_slice).unwrap_or_default())
    }

    fn ask(
        &mut self,
        zone: Option<&str>,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<IntensityFact>, Failure> {
        let mut facts = Vec::new();
        if to.duration_since(from) > LONGEST {
            self.note("the job took more than 31 days: yearly means are used".to_owned());
        } else {
            if from < self.now {
                facts.extend(self.feeds(zone, Want::Range { from, to: to.min(self.now) })?);
            }
            if to > self.now {
                let forecast = self.feeds(zone, Want::Forecast)?;
                if let Some(last) = forecast.last().filter(|last| last.to < to) {
                    let message = format!(
                        "--start is too late: the job would end at {}, the forecast of {} at {}",
                        minute(to),
                        last.source,
                        minute(last.to)
                    );
                    return Err(Failure::new(Code::Usage, message));
                }
                facts.extend(forecast);
            }
        }
        let table = fact_for(zone, self.now);
        if covered(&facts, from, to) {
            return Ok(facts);
        }
        self.credit(table_attribution(&table.fact));
        table.warning.into_iter().for_each(|warning| self.note(warning));
        facts.push(table.fact);
        Ok(facts)
    }

    /// What the chain says, without the table.
    fn feeds(&mut self, zone: Option<&str>, want: Want) -> Result<Vec<IntensityFact>, Failure> {
        let environment = |name: &str| std::env::var(name).ok();
        let answer = wait_for(chain::answer(&self.grid, zone, want, &environment))?;
        for (feed, error) in &answer.failures {
            // That a feed is of another place is no news here.
            if !matches!(error, FeedError::NotCovered { .. }) {
                self.note(format!("{}: {feed}: {error}", zone.unwrap_or_default()));
            }
        }
        let facts: Vec<IntensityFact> =
            answer.facts.into_iter().filter(|fact| fact.kind != IntensityKind::Table).collect();
        if !facts.is_empty() {
            self.credit(answer.attribution);
        }
        Ok(facts)
    }

    fn credit(&mut self, text: String) {
        if !self.attribution.contains(&text) {
            self.attribution.push(text);
        }
    }

    fn note(&mut self, text: String) {
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }
}

/// Whether facts that count cover all of a time.
fn covered(facts: &[IntensityFact], from: Timestamp, to: Timestamp) -> bool {
    crate::carbon::choose(facts, from.as_microsecond(), to.as_microsecond())
        .iter()
        .all(|stretch| stretch.fact.is_some())
}
