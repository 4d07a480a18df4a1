// SPDX-License-Identifier: Apache-2.0
//! `[carbon]`: the building's PUE and what a job is accounted for beside energy.
//!
//! Values are checked one by one as they come, what must go together at the end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use reqwest::Url;

use super::{Options, value};
use crate::carbon::pue::{PuePlan, Rule, Schedule};
use crate::grid::http::is_loopback;
use crate::grid::pue::{Meter, Place};
use crate::grid::secret::SecretSource;

/// Where the PUE comes from beside `carbon.pue`.
#[derive(Clone, Debug, PartialEq)]
pub struct PueSettings {
    /// The rules of the schedule.
    pub rules: Vec<Rule>,
    /// Whose local time they are in.
    pub zone: TimeZone,
    /// A file to read.
    pub file: Option<PathBuf>,
    /// An address to read.
    pub url: Option<Url>,
    /// Where in the document.
    pub pointer: String,
    /// The key of the address.
    pub token_file: Option<PathBuf>,
    /// Time between two readings.
    pub period: Duration,
    /// How long a reading holds.
    pub keep: Duration,
}

impl Default for PueSettings {
    fn default() -> PueSettings {
        PueSettings {
            rules: Vec::new(),
            zone: TimeZone::UTC,
            file: None,
            url: None,
            pointer: String::new(),
            token_file: None,
            period: Duration::from_secs(300),
            keep: Duration::from_secs(3_600),
        }
    }
}

impl Options {
    /// What tells the PUE, but for what is read from outside.
    pub fn pue_plan(&self) -> PuePlan {
        let PueSettings { zone, rules, .. } = &self.pue;
        let schedule = || Arc::new(Schedule { zone: zone.clone(), rules: rules.clone() });
        PuePlan {
            fixed: self.pue_thousandths,
            schedule: (!rules.is_empty()).then(schedule),
            live: None,
        }
    }

    /// Where the PUE is read, if anywhere.
    pub fn pue_meter(&self) -> Option<Meter> {
        let PueSettings { file, url, token_file, pointer, period, keep, .. } = &self.pue;
        let http = || {
            Some(Place::Http {
                url: url.clone()?,
                token: token_file.clone().map(SecretSource::File),
                network: self.grid.network.clone(),
            })
        };
        let place = file.clone().map(Place::File).or_else(http)?;
        Some(Meter { place, pointer: pointer.clone(), period: *period, keep: *keep })
    }

    /// Takes a value of `[carbon]`; `false`: no such name.
    pub(super) fn take_carbon(&mut self, name: &str, values: &[String]) -> Result<bool, String> {
        let text = values.last().map(String::as_str).unwrap_or_default();
        let accounting = &mut self.accounting;
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
        match name {
            "zone" => self.zone = Some(value::zone(text)?),
            "pue" => self.pue_thousandths = Some(value::pue(text)?),
            "pue_schedule" => {
                let rules = values.iter().map(|rule| Rule::parse(rule, value::pue));
                self.pue.rules = rules.collect::<Result<_, _>>()?;
            }
            "pue_time_zone" => {
                self.pue.zone = TimeZone::get(text).map_err(|_| {
                    format!(
                        "`{text}` is no time zone that this machine knows: write an IANA name, such \
                         as Europe/Berlin (package tzdata)"
                    )
                })?;
            }
            "pue_file" => self.pue.file = Some(value::path(text)?),
            "pue_url" => self.pue.url = Some(address(text)?),
            "pue_pointer" => self.pue.pointer = value::pointer(text)?,
            "pue_token_file" => self.pue.token_file = Some(value::path(text)?),
            "pue_period" => self.pue.period = value::duration(text, second, day)?,
            "pue_keep" => self.pue.keep = value::duration(text, second, day * 7)?,
            "embodied" => {
                accounting.embodied.off = match text {
                    "on" => false,
                    "off" => true,
                    _ => return Err(format!("`{text}` is neither on nor off")),
                }
            }
            // Beyond these, a figure is a slip of units.
            "embodied_server_kg" => {
                accounting.embodied.server_kg = Some(value::number(text, 10.0, 20_000.0)?);
            }
            "embodied_gpu_kg" => {
                accounting.embodied.gpu_kg = Some(value::number(text, 1.0, 5_000.0)?);
            }
            "embodied_lifetime" => {
                accounting.embodied.lifetime_years = Some(value::number(text, 0.5, 30.0)?);
            }
            "embodied_utilisation" => {
                accounting.embodied.utilisation = Some(value::number(text, 0.01, 1.0)?);
            }
            "wue" => accounting.wue = Some(value::number(text, 0.0, 100.0)?),
            "grid_wue" => accounting.grid_wue = Some(value::number(text, 0.0, 100.0)?),
            "market_based_grams_per_kwh" => {
                accounting.market_based_grams_per_kwh = Some(value::number(text, 0.0, 4_000.0)?);
            }
            "market_based_source" => accounting.market_based_source = Some(words(text)?),
            "price_per_kwh" => {
                accounting.price_per_kwh = Some(value::number(text, 0.0, 1_000_000.0)?);
            }
            "currency" => accounting.currency = Some(words(text)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What must go together: the key that is wrong, and how.
    pub(super) fn wrong_carbon(&self) -> Option<(&'static str, &'static str)> {
        let (pue, accounting) = (&self.pue, &self.accounting);
        let market = accounting.market_based_grams_per_kwh.is_some();
        if pue.file.is_some() && pue.url.is_some() {
            Some(("pue_url", "one of `pue_file` and `pue_url`, not both"))
        } else if pue.token_file.is_some() && pue.url.is_none() {
            Some(("pue_token_file", "a key without a `pue_url`"))
        } else if market != accounting.market_based_source.is_some() {
            let key = if market { "market_based_grams_per_kwh" } else { "market_based_source" };
            Some((key, "`market_based_grams_per_kwh` and `market_based_source` go together"))
        } else if accounting.price_per_kwh.is_some() != accounting.currency.is_some() {
            let priced = accounting.price_per_kwh.is_some();
            let key = if priced { "price_per_kwh" } else { "currency" };
            Some((key, "`price_per_kwh` and `currency` go together"))
        } else {
            None
        }
    }
}

/// HTTPS, or plain HTTP of this machine itself. Not repeated in messages: it may hold
/// a password.
fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("it is no address: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an address holds no password: use `pue_token_file`".into());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => Err("it takes https://, or http:// on this machine itself".into()),
    }
}

/// One line of text that is not empty.
fn words(text: &str) -> Result<String, String> {
    let line = crate::grid::http::clean(text);
    if line.trim().is_empty() { Err("an empty text".into()) } else { Ok(line) }
}
