// SPDX-License-Identifier: Apache-2.0
//! Reading the building's PUE from a file or an address, on a thread of its own.
//!
//! The last good reading is left in [`Live`], where the engine finds it without ever
//! waiting. A bad one (out of 1 to 3, no number, unreachable) changes nothing and is
//! said once; so is the recovery. The network is `super::http`'s: TLS verified, no
//! other host, time and size limited. The thread ends when the [`Live`] is dropped.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use reqwest::Url;
use serde_json::Value;

use super::chain::read_file;
use super::feeds::FeedError;
use super::http::{Fetcher, Key, Limits, Network};
use super::secret::SecretSource;
use crate::clock;
use crate::units::BootTime;

/// The least and the most that a reading may be, in thousandths: below 1 is no PUE,
/// and above 3 no building that holds servers (Uptime Institute's surveys have means
/// from 2.5 in 2007 to 1.56 in 2024).
pub const PLAUSIBLE: std::ops::RangeInclusive<u32> = 1_000..=3_000;

/// Longest document that holds a PUE.
const MOST_BYTES: usize = 64 * 1_024;

/// What to read.
#[derive(Clone, Debug)]
pub struct Meter {
    /// Where it is.
    pub place: Place,
    /// JSON pointer of the number; empty: the document is the number.
    pub pointer: String,
    /// Time between two readings.
    pub period: Duration,
    /// How long one holds.
    pub keep: Duration,
}

/// Where a PUE is read.
#[derive(Clone, Debug)]
pub enum Place {
    /// In a file.
    File(PathBuf),
    /// At an address.
    Http {
        /// The address.
        url: Url,
        /// Its key, sent in the header `authorization`.
        token: Option<SecretSource>,
        /// How the network is reached.
        network: Network,
    },
}

/// The last good reading of a building, shared between who reads it and who uses it.
/// When it is dropped, its reader ends.
#[derive(Debug)]
pub struct Live {
    latest: ArcSwapOption<(u32, BootTime)>,
    keep: Duration,
    source: &'static str,
    #[expect(dead_code, reason = "its drop tells the reader to end")]
    stop: Sender<()>,
}

impl Live {
    /// Nothing read yet. A reading holds for `keep`; `source` is `file` or `http`.
    pub fn new(keep: Duration, source: &'static str, stop: Sender<()>) -> Live {
        Live { latest: ArcSwapOption::empty(), keep, source, stop }
    }

    /// Takes over what another one read last, where it read the same thing.
    pub fn go_on_from(&self, earlier: &Live) {
        if earlier.source == self.source {
            self.latest.store(earlier.latest.load_full());
        }
    }

    /// A good reading.
    pub fn set(&self, thousandths: u32, at: BootTime) {
        self.latest.store(Some(Arc::new((thousandths, at))));
    }

    /// The last good reading in thousandths, where it is not too old, and who said it.
    pub fn at(&self, now: BootTime) -> Option<(u32, &'static str)> {
        let latest = self.latest.load();
        let (thousandths, at) = **latest.as_ref()?;
        (now.since(at) <= self.keep).then_some((thousandths, self.source))
    }
}

/// Starts reading; goes on from what an `earlier` reader knew of the same kind of place.
///
/// # Errors
/// Where no thread can be made.
pub fn start(meter: Meter, earlier: Option<&Live>) -> std::io::Result<Arc<Live>> {
    let (stop, stopped) = channel();
    let source = match meter.place {
        Place::File(_) => "file",
        Place::Http { .. } => "http",
    };
    let live = Arc::new(Live::new(meter.keep, source, stop));
    if let Some(earlier) = earlier {
        live.go_on_from(earlier);
    }
    let target = Arc::downgrade(&live);
    std::thread::Builder::new()
        .name("pue".to_owned())
        .spawn(move || run(&meter, &target, &stopped))?;
    Ok(live)
}

fn run(meter: &Meter, target: &Weak<Live>, stopped: &Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else {
        tracing::error!("the PUE is not read: no runtime");
        return;
    };
    let mut fetcher = None;
    let mut failing = false;
    loop {
        let found = runtime.block_on(meter.read(&mut fetcher));
        let Some(live) = target.upgrade() else { return };
        match found {
            Ok(thousandths) => {
                live.set(thousandths, clock::now());
                if std::mem::take(&mut failing) {
                    tracing::info!("the PUE is read again: {}", f64::from(thousandths) / 1e3);
                }
            }
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(
                    "no PUE: {error}; the last good one holds for {:?}, then the schedule or \
                     carbon.pue",
                    meter.keep
                );
            }
            Err(error) => tracing::debug!("still no PUE: {error}"),
        }
        drop(live);
        if stopped.recv_timeout(meter.period) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

impl Meter {
    async fn read(&self, fetcher: &mut Option<Fetcher>) -> Result<u32, FeedError> {
        let body = match &self.place {
            Place::File(path) => read_file(path)?.body,
            Place::Http { url, token, network } => {
                let fetcher = match fetcher {
                    Some(fetcher) => fetcher,
                    none => {
                        let limits = Limits { body: MOST_BYTES, ..Limits::default() };
                        none.insert(Fetcher::new(url, network, limits)?)
                    }
                };
                let secret = token.as_ref().map(|source| source.read(&|_| None)).transpose();
                let secret = secret.map_err(FeedError::Secret)?;
                let key = secret.as_ref().map(|secret| Key::Header("authorization", secret));
                fetcher.get(url, key).await?.body
            }
        };
        parse(&body, &self.pointer)
    }
}

/// A reading as a PUE in thousandths.
///
/// # Errors
/// Where it is out of [`PLAUSIBLE`] or no number at all.
pub fn reading(value: f64) -> Result<u32, String> {
    let thousandths = (value * 1_000.0).round();
    let (least, most) = (f64::from(*PLAUSIBLE.start()), f64::from(*PLAUSIBLE.end()));
    if (least..=most).contains(&thousandths) {
        Ok(thousandths as u32)
    } else {
        Err(format!("{value} is no plausible PUE: it lies from 1 to 3"))
    }
}

/// The PUE in a document, in thousandths.
///
/// # Errors
/// Where there is no plausible one.
pub fn parse(body: &[u8], pointer: &str) -> Result<u32, FeedError> {
    let document: Value = serde_json::from_slice(body)
        .map_err(|error| FeedError::NotUnderstood(format!("it is no JSON: {error}")))?;
    let number = document.pointer(pointer).and_then(Value::as_f64);
    let number = number.ok_or_else(|| {
        FeedError::NotUnderstood(match pointer {
            "" => "it is no number; `carbon.pue_pointer` names the place of one".to_owned(),
            _ => format!("no number at `{pointer}`"),
        })
    })?;
    reading(number).map_err(FeedError::NotUnderstood)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_in_a_document_is_a_pue_and_all_else_is_refused() {
        let check = |body: &str, pointer: &str, expected: Option<u32>| {
            assert_eq!(parse(body.as_bytes(), pointer).ok(), expected, "{body} {pointer}");
        };
        check("1.23\n", "", Some(1_230));
        check(r#"{"now": {"pue": 1.0}}"#, "/now/pue", Some(1_000));
        check("3.0", "", Some(3_000));
        for wrong in ["0.99", "3.01", "-1.2", "1e400", "null", "\"1.2\"", "", "[1.2", "12"] {
            check(wrong, "", None);
        }
        check(r#"{"pue": 1.2}"#, "/puw", None);
        check(r#"{"pue": 1.2}"#, "", None);
    }

    #[test]
    fn a_reading_that_no_building_has_is_refused() {
        assert_eq!(reading(1.0), Ok(1_000));
        assert_eq!(reading(1.2345), Ok(1_235));
        assert_eq!(reading(3.0), Ok(3_000));
        for wrong in [0.9, 3.1, -1.0, f64::NAN, f64::INFINITY] {
            assert!(reading(wrong).is_err(), "{wrong}");
        }
    }
}
