// SPDX-License-Identifier: Apache-2.0
//! `[[grid.feeds]]`: the chain of feeds, as the file says it.
//!
//! Every key is declared once, with the feeds that have it; from that come the
//! check, its messages and the reference. A key that a feed has no use for is an
//! error, as an unknown one is: it would not do what its author thinks.

use std::time::Duration;

use reqwest::Url;
use toml::de::{DeTable, DeValue};

use super::file::Reader;
use super::keys::Form;
use super::{ConfigError, value};
use crate::grid::feeds::{Feed, PROVIDERS, Provider, json};
use crate::grid::http::is_loopback;
use crate::grid::secret::{Secret, SecretSource};

/// One key of a feed.
pub struct FeedKey {
    /// Its name.
    pub name: &'static str,
    /// How its value is written.
    pub form: Form,
    /// The feeds that have it; empty: all.
    pub feeds: &'static [&'static str],
    /// What it sets.
    pub help: &'static str,
}

const KEYED: &[&str] = &["electricity-maps", "watttime", "entsoe", "eia", "json"];
const OWN: &[&str] = &["json", "file"];
const PLACED: &[&str] = &[
    "uk-carbon-intensity",
    "energy-charts",
    "energinet",
    "electricity-maps",
    "watttime",
    "entsoe",
    "eia",
];

/// Every key of a feed.
pub const FEED_KEYS: &[FeedKey] = &[
    FeedKey { name: "feed", form: Form::Text, feeds: &[], help: "Its name; required" },
    FeedKey {
        name: "zone",
        form: Form::Text,
        feeds: &[],
        help: "The zone that it is for, as in `carbon.zone`; for another it is not asked. Required for `json` and `file`, and with the `place` of a feed of many countries",
    },
    FeedKey {
        name: "place",
        form: Form::Text,
        feeds: PLACED,
        help: "The feed's own name of the place in that zone: a region from 1 to 17 or the first half of a postcode, a country, DK1 or DK2, a zone such as US-CAL-CISO, a region such as CAISO_NORTH, an EIC code, a balancing authority such as CISO",
    },
    FeedKey {
        name: "url",
        form: Form::Text,
        feeds: &[
            "uk-carbon-intensity",
            "energy-charts",
            "energinet",
            "rte",
            "electricity-maps",
            "watttime",
            "entsoe",
            "eia",
            "json",
        ],
        help: "Its address; for `json` the document's, required. HTTPS, save `json` on this machine itself. Never put a key into it",
    },
    FeedKey {
        name: "user",
        form: Form::Text,
        feeds: &["watttime"],
        help: "Name to log in with; required. Its password is the `token_file`, or another of the tokens",
    },
    FeedKey {
        name: "token",
        form: Form::Text,
        feeds: KEYED,
        help: "Its key, in this file itself, which then nobody but its owner may read (mode 0600)",
    },
    FeedKey { name: "token_file", form: Form::Text, feeds: KEYED, help: "File that holds its key" },
    FeedKey {
        name: "token_environment",
        form: Form::Text,
        feeds: KEYED,
        help: "Environment variable that holds its key",
    },
    FeedKey {
        name: "token_credential",
        form: Form::Text,
        feeds: KEYED,
        help: "Name of systemd's credential that holds its key (LoadCredential=)",
    },
    FeedKey {
        name: "token_header",
        form: Form::Text,
        feeds: &["json"],
        help: "Header that the key is sent in, as it is; `authorization` by default",
    },
    FeedKey {
        name: "boundary",
        form: Form::Text,
        feeds: &["electricity-maps", "json", "file"],
        help: "What it counts: lifecycle or direct; for electricity-maps by default that of `grid.boundary`, else lifecycle",
    },
    FeedKey {
        name: "signal",
        form: Form::Text,
        feeds: &["watttime", "json", "file"],
        help: "average or marginal; marginal by default for watttime, whose average has a past alone, else average",
    },
    FeedKey { name: "path", form: Form::Text, feeds: &["file"], help: "The file; required" },
    FeedKey {
        name: "pointer",
        form: Form::Text,
        feeds: &["json"],
        help: "JSON pointer (RFC 6901) of the figure, such as /data/0/value; required",
    },
    FeedKey {
        name: "time_pointer",
        form: Form::Text,
        feeds: &["json"],
        help: "JSON pointer of its interval's start, as RFC 3339 or in seconds since 1970. Unset, it begins when it was fetched",
    },
    FeedKey {
        name: "unit",
        form: Form::Text,
        feeds: &["json"],
        help: "g/kWh, kg/MWh, t/MWh or lb/MWh; required",
    },
    FeedKey {
        name: "interval",
        form: Form::Text,
        feeds: &["json"],
        help: "How long a figure holds, 1min to 24h; 1h by default",
    },
    FeedKey {
        name: "attribution",
        form: Form::Text,
        feeds: OWN,
        help: "Text that is shown with its figures",
    },
];

impl Reader<'_> {
    /// The chain.
    pub(super) fn feeds(
        &self,
        start: usize,
        content: &DeValue<'_>,
    ) -> Result<Vec<Feed>, ConfigError> {
        let wrong = || self.error(start, "write [[grid.feeds]] for each feed".into());
        let list = content.as_array().ok_or_else(wrong)?;
        let mut feeds: Vec<Feed> = Vec::new();
        for item in list.iter() {
            let DeValue::Table(table) = item.get_ref() else { return Err(wrong()) };
            let start = item.span().start;
            feeds.push(self.feed(start, table)?);
        }
        Ok(feeds)
    }

    fn feed(&self, start: usize, table: &DeTable<'_>) -> Result<Feed, ConfigError> {
        let name = table.get("feed").and_then(|name| name.get_ref().as_str());
        let names = || PROVIDERS.iter().map(|provider| provider.name);
        let Some(name) = name else {
            let known = names().collect::<Vec<_>>().join(", ");
            return Err(self.error(start, format!("a feed takes a `feed`: one of {known}")));
        };
        let Some(provider) = PROVIDERS.into_iter().find(|provider| provider.name == name) else {
            return Err(self.unknown(start, "feed", name, names()));
        };
        let mut feed = Feed::of(provider);
        for (key, content) in table {
            let word: &str = key.get_ref();
            let at = key.span().start;
            let known = || FEED_KEYS.iter().filter(|key| key.is_of(provider));
            let Some(key) = known().find(|key| key.name == word) else {
                let what = format!("key of `{name}`");
                return Err(self.unknown(at, &what, word, known().map(|key| key.name)));
            };
            let text = self.text(at, key.form, word, content.get_ref())?;
            set(&mut feed, word, &text)
                .map_err(|what| self.error(at, format!("`{word}`: {what}")))?;
        }
        complete(&feed, table).map_err(|what| self.error(start, what))?;
        Ok(feed)
    }
}

impl FeedKey {
    fn is_of(&self, provider: &Provider) -> bool {
        self.feeds.is_empty() || self.feeds.contains(&provider.name)
    }
}

fn set(feed: &mut Feed, key: &str, text: &str) -> Result<(), String> {
    match key {
        "zone" => feed.zone = Some(value::zone(text)?),
        "place" => feed.place = Some(value::place(text)?),
        "url" => feed.url = Some(address(feed.provider, text)?),
        "user" => feed.user = Some(user(text)?),
        "token" => token(feed, SecretSource::Inline(Secret::new(text)))?,
        "token_file" => token(feed, SecretSource::File(value::path(text)?))?,
        "token_environment" => token(feed, SecretSource::Environment(text.to_owned()))?,
        "token_credential" => token(feed, SecretSource::Credential(credential(text)?))?,
        "token_header" => feed.token_header = Some(header(text)?),
        "boundary" => {
            feed.boundary = value::boundary(text)?;
            feed.own_boundary = true;
        }
        "signal" => feed.signal = value::signal(text)?,
        "path" => feed.path = Some(value::path(text)?),
        "pointer" => feed.pointer = Some(value::pointer(text)?),
        "time_pointer" => feed.time_pointer = Some(value::pointer(text)?),
        "unit" => {
            feed.unit = json::Unit::from_word(text).ok_or_else(|| {
                format!("`{text}` is no unit: write g/kWh, kg/MWh, t/MWh or lb/MWh")
            })?;
        }
        "interval" => {
            let (least, most) = (Duration::from_secs(60), Duration::from_secs(86_400));
            feed.interval = value::duration(text, least, most)?;
        }
        "attribution" => feed.attribution = Some(crate::grid::http::clean(text)),
        // `feed` itself has been read.
        _ => {}
    }
    Ok(())
}

/// What a feed cannot do without.
fn complete(feed: &Feed, table: &DeTable<'_>) -> Result<(), String> {
    let required: &[&str] = match feed.provider.name {
        "json" => &["zone", "url", "pointer", "unit"],
        "file" => &["zone", "path"],
        "eia" => &["zone", "place"],
        // Else one zone's jobs would be booked with another's place.
        "energy-charts" | "electricity-maps" | "watttime" | "entsoe" if feed.place.is_some() => {
            &["zone"]
        }
        _ => &[],
    };
    let name = feed.provider.name;
    if let Some(missing) = required.iter().find(|key| table.get(**key).is_none()) {
        return Err(format!("`{name}` needs a `{missing}`"));
    }
    if name == "watttime" && feed.user.is_none() {
        return Err(format!("`{name}` needs a `user`"));
    }
    if KEYED.contains(&name) && name != "json" && feed.token.is_none() {
        return Err(format!("`{name}` needs a key: `token_file`, or another of the tokens"));
    }
    Ok(())
}

fn token(feed: &mut Feed, source: SecretSource) -> Result<(), String> {
    if feed.token.is_some() {
        return Err("the key is set twice".into());
    }
    feed.token = Some(source);
    Ok(())
}

/// HTTPS, but for a document of this machine's own. Its text is not repeated in
/// messages: it may hold a password.
fn address(provider: &Provider, text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("it is no address: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an address holds no password: use `token_file`".into());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if provider.name == "json" && is_loopback(&url) => Ok(url),
        _ => Err("it takes https://, or http:// for `json` on this machine itself".into()),
    }
}

fn user(text: &str) -> Result<String, String> {
    // RFC 7617 section 2: the colon ends the name.
    if text.is_empty() || text.contains(':') || text.chars().any(char::is_control) {
        return Err("it is no name to log in with: no colon may be in it".into());
    }
    Ok(text.to_owned())
}

fn credential(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains('/') || text.starts_with('.') {
        return Err(format!("`{text}` is no name of a credential"));
    }
    Ok(text.to_owned())
}

fn header(text: &str) -> Result<String, String> {
    reqwest::header::HeaderName::try_from(text)
        .map(|name| name.to_string())
        .map_err(|_| format!("`{text}` is no name of a header"))
}
