// SPDX-License-Identifier: Apache-2.0
//! The web file: TLS, basic auth, headers and rate of HTTP, in the form of
//! Prometheus's exporter-toolkit, taken up without a restart.
//!
//! Before each connection and each request the file and the certificates that it
//! names are looked at, and read anew where one has changed. What is wrong then
//! changes nothing: the earlier configuration stays, and the log says why. TLS,
//! client certificates or basic auth that have vanished from the file take a
//! restart: a file that is just being written must not open the door.

mod client_names;
pub mod file;
pub mod guard;
mod rate;
mod tls;
pub mod users;

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::http::{HeaderName, HeaderValue};
use rustls::ServerConfig;

use crate::clock;
use file::{HttpPart, RatePart, WebFile};
use rate::{Bucket, Rate};
use users::{Gate, Users};

/// The longest file that is read.
const LONGEST: u64 = 1024 * 1024;

/// The most that the tokens of a burst may take to come back.
const LONGEST_RATE: Duration = Duration::from_secs(366 * 86_400);

/// Headers that may be set, and their values where only some make sense, as in the
/// toolkit.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// What is wrong with the web file or what it names.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// It cannot be read.
    #[error("cannot read the web file {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line of it is wrong.
    #[error("{}:{line}:{column}: {what}", path.display())]
    Form {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// From 1.
        column: u64,
        /// What.
        what: String,
    },
    /// A value of it is wrong.
    #[error("{}: {what}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What, and what would be right.
        what: String,
    },
    /// A file that it names is closed to us.
    #[error("{}: {what}", path.display())]
    Closed {
        /// Which web file.
        path: PathBuf,
        /// Which file, and why.
        what: String,
    },
}

impl WebError {
    /// Whether it only cannot be read by who asks.
    pub fn is_closed(&self) -> bool {
        match self {
            WebError::Read { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            WebError::Closed { .. } => true,
            _ => false,
        }
    }
}

/// One reading of the web file.
pub struct WebConfig {
    /// TLS, where it is on.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whether a client must show a certificate …
    clients_certified: bool,
    /// … that bears a name of a list.
    clients_named: bool,
    users: Users,
    headers: Vec<(HeaderName, HeaderValue)>,
    rate: Option<Rate>,
}

impl WebConfig {
    /// Whether a password is asked for.
    pub fn has_users(&self) -> bool {
        !self.users.is_empty()
    }
}

/// The web file in use.
pub struct Web {
    path: PathBuf,
    current: ArcSwap<WebConfig>,
    stamps: Mutex<Stamps>,
    bucket: Mutex<Bucket>,
    gate: Gate,
}

/// The files as they were when they were read.
type Stamps = Vec<(PathBuf, Option<Stamp>)>;

/// By what a file is known to have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
    length: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            file: (metadata.dev(), metadata.ino()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            length: metadata.len(),
        }
    }

    fn at(path: &Path) -> Option<Stamp> {
        std::fs::metadata(path).ok().as_ref().map(Stamp::of)
    }
}

impl Web {
    /// Reads the file and all that it names.
    ///
    /// # Errors
    /// What is wrong, with its place.
    pub fn open(path: &Path) -> Result<Web, WebError> {
        let mut stamps = Stamps::new();
        let config = read(path, &mut stamps)?;
        Ok(Web {
            path: path.to_owned(),
            current: ArcSwap::from_pointee(config),
            stamps: Mutex::new(stamps),
            bucket: Mutex::default(),
            gate: Gate::default(),
        })
    }

    /// The configuration as the files say it now. Files may be slow: they are looked
    /// at on a thread of their own.
    pub async fn current(self: &Arc<Web>) -> Arc<WebConfig> {
        let web = Arc::clone(self);
        // A panic has been reported by its own message; what was read before holds.
        let looked = tokio::task::spawn_blocking(move || web.look()).await;
        looked.unwrap_or_else(|_| self.latest())
    }

    /// The configuration as it was read last.
    pub fn latest(&self) -> Arc<WebConfig> {
        self.current.load_full()
    }

    /// Reads the files anew where one has changed.
    pub fn look(&self) -> Arc<WebConfig> {
        let mut known = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        if known.iter().all(|(path, stamp)| Stamp::at(path) == *stamp) {
            return self.latest();
        }
        let mut stamps = Stamps::new();
        let result = read(&self.path, &mut stamps).and_then(|new| self.still_closed(new));
        // Those that were not reached this time can mend it too.
        for (path, _) in known.drain(..) {
            if !stamps.iter().any(|(read, _)| *read == path) {
                let stamp = Stamp::at(&path);
                stamps.push((path, stamp));
            }
        }
        *known = stamps;
        match result {
            Ok(new) => {
                new.users.keep(&self.latest().users);
                self.current.store(Arc::new(new));
                tracing::info!("the web file {} was taken up", self.path.display());
            }
            Err(error) => {
                tracing::error!("the web file was not taken up, the earlier one stays: {error}")
            }
        }
        self.latest()
    }

    fn still_closed(&self, new: WebConfig) -> Result<WebConfig, WebError> {
        let old = self.latest();
        let gone = if old.tls.is_some() && new.tls.is_none() {
            "tls_server_config"
        } else if old.clients_certified && !new.clients_certified {
            "client_auth_type: RequireAndVerifyClientCert"
        } else if old.clients_named && !new.clients_named {
            "client_allowed_sans"
        } else if old.has_users() && !new.has_users() {
            "basic_auth_users"
        } else {
            return Ok(new);
        };
        let what = format!("{gone} is gone: to do without it takes a restart");
        Err(WebError::Content { path: self.path.clone(), what })
    }

    /// Whether one more request is allowed now.
    fn take_token(&self, rate: Option<Rate>) -> bool {
        let Some(rate) = rate else { return true };
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(rate, clock::now())
    }
}

/// Reads all files, and notes how each was when it was read.
fn read(path: &Path, stamps: &mut Stamps) -> Result<WebConfig, WebError> {
    let text = read_file(path, stamps)
        .and_then(|bytes| {
            String::from_utf8(bytes)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
        })
        .map_err(|source| WebError::Read { path: path.to_owned(), source })?;
    let file = file::parse(path, &text)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut closed = false;
    let mut read = |name: &'static str, named: &Path| {
        let named = folder.join(named);
        read_file(&named, stamps).map_err(|error| {
            closed |= error.kind() == io::ErrorKind::PermissionDenied;
            format!("cannot read `{name}_file` {}: {error}", named.display())
        })
    };
    let checked = checked(file, &mut read);
    let path = path.to_owned();
    checked.map_err(|what| match closed {
        true => WebError::Closed { path, what },
        false => WebError::Content { path, what },
    })
}

fn checked(file: WebFile, read: &mut tls::Read<'_>) -> Result<WebConfig, String> {
    let tls = file.tls_server_config.unwrap_or_default();
    Ok(WebConfig {
        tls: tls.is_enabled().then(|| tls::config(&tls, read)).transpose()?.map(Arc::new),
        clients_certified: tls.client_auth_type.as_deref() == Some("RequireAndVerifyClientCert"),
        clients_named: tls.client_allowed_sans.is_some(),
        users: Users::new(file.basic_auth_users.into_iter().flatten())?,
        headers: headers(file.http_server_config.unwrap_or_default())?,
        rate: rate(file.rate_limit.unwrap_or_default())?,
    })
}

fn read_file(path: &Path, stamps: &mut Stamps) -> io::Result<Vec<u8>> {
    let noted = |stamps: &mut Stamps, stamp| stamps.push((path.to_owned(), stamp));
    let file = File::open(path).inspect_err(|_| noted(stamps, None))?;
    let metadata = file.metadata()?;
    noted(stamps, Some(Stamp::of(&metadata)));
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 1 MiB"));
    }
    Ok(bytes)
}

fn headers(part: HttpPart) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let mut headers = Vec::new();
    for (name, value) in part.headers.into_iter().flatten() {
        let Some((_, values)) = HEADERS.iter().find(|(known, _)| *known == name) else {
            let known = HEADERS.map(|(known, _)| known).join(", ");
            return Err(format!("the header `{name}` cannot be set; known are {known}"));
        };
        if value.is_empty() {
            continue;
        }
        if !values.is_empty() && !values.contains(&value.as_str()) {
            return Err(format!("`{name}` takes {}", values.join(" or ")));
        }
        let text = HeaderValue::from_str(&value)
            .map_err(|_| format!("the value of `{name}` cannot stand in a header"))?;
        let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
        headers.push((name, text));
    }
    Ok(headers)
}

fn rate(part: RatePart) -> Result<Option<Rate>, String> {
    let interval = match part.interval.as_deref() {
        None | Some("" | "0") => return Ok(None),
        Some(text) => text
            .parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|interval| Duration::try_from(interval).ok())
            .ok_or("`rate_limit`: `interval` takes a number and a unit, such as 100ms or 1s")?,
    };
    let burst = part.burst.unwrap_or(0);
    if interval.is_zero() {
        return Ok(None);
    }
    if burst == 0 {
        return Err("`rate_limit`: with a `burst` of 0 no request would be answered".into());
    }
    if interval.checked_mul(burst).is_none_or(|time| time > LONGEST_RATE) {
        return Err("`rate_limit`: `interval` times `burst` is more than a year".into());
    }
    Ok(Some(Rate { interval, burst }))
}

#[cfg(test)]
mod tests;
