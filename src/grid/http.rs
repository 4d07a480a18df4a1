// SPDX-License-Identifier: Apache-2.0
//! Fetching from a feed: politely, and without believing it anything.
//!
//! TLS is verified, always; no redirect to another host is followed; an answer has
//! a time limit and a size limit that is counted as it arrives; what a server says
//! is cut and stripped before anybody sees it; a key goes into one header and into
//! nothing else. Errors name no address: it may be a private one.

use std::error::Error as _;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{
    ACCEPT, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, RETRY_AFTER,
};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Client, Proxy, Response, StatusCode, Url};
use serde_json::Value;

use super::feeds::FeedError;
use super::secret::Secret;
use crate::clock;

/// Most bytes of a server's words that are shown.
const MOST_WORDS: usize = 200;
/// Most bytes of a refusal that are read.
const MOST_REFUSAL: usize = 64 * 1_024;
/// Longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
/// Largest body that is kept to be compared with what comes later.
const MOST_KEPT: usize = 128 * 1_024;
/// Redirects within one host that are followed.
const MOST_REDIRECTS: usize = 3;

/// How long and how large an answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until the connection stands.
    pub connect: Duration,
    /// Until the last byte.
    pub whole: Duration,
    /// Bytes of the body.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connect: Duration::from_secs(5),
            whole: Duration::from_secs(15),
            body: 4 * 1_024 * 1_024,
        }
    }
}

/// How the network is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// PEM file of certificates that are trusted beside the system's.
    pub ca: Option<PathBuf>,
    /// Proxy in place of the environment's; its address may hold a password.
    pub proxy: Option<Secret>,
}

/// A client for one feed. It keeps the last answer that had an `ETag`, so that
/// asking again for the same costs the server nothing.
pub struct Fetcher {
    client: Client,
    limits: Limits,
    kept: Option<Kept>,
}

/// The last answer that had an `ETag`.
#[derive(Debug)]
pub struct Kept {
    url: Url,
    tag: HeaderValue,
    body: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub struct Fetched {
    /// Its body.
    pub body: Vec<u8>,
    /// When its last byte came.
    pub at: Timestamp,
}

impl Fetcher {
    /// A client for addresses like this one.
    ///
    /// # Errors
    /// Where the certificates cannot be read or the proxy is none.
    pub fn new(url: &Url, network: &Network, limits: Limits) -> Result<Fetcher, FeedError> {
        // An error means that the process has a provider already.
        _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("aimeter/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(limits.connect)
            .timeout(limits.whole)
            .referer(false)
            .redirect(Policy::custom(within_one_host));
        if is_loopback(url) {
            builder = builder.no_proxy();
        } else if let Some(proxy) = &network.proxy {
            let proxy = Proxy::all(proxy.expose())
                .map_err(|_| FeedError::Transport("`grid.proxy` is no address".into()))?;
            builder = builder.proxy(proxy);
        }
        // Plain text never leaves the machine.
        builder = builder.https_only(!is_loopback(url));
        if let Some(path) = &network.ca {
            let failed = |what: String| {
                FeedError::Transport(format!("the certificates in {}: {what}", path.display()))
            };
            let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
            let certificates =
                Certificate::from_pem_bundle(&pem).map_err(|error| failed(deepest(error, None)))?;
            if certificates.is_empty() {
                return Err(failed("there is none".into()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|error| FeedError::Transport(deepest(error, None)))?;
        Ok(Fetcher { client, limits, kept: None })
    }

    /// The same with what an earlier client kept.
    pub fn with_kept(self, kept: Option<Kept>) -> Fetcher {
        Fetcher { kept, ..self }
    }

    /// What a later client may go on with: a client itself is too large to be kept.
    pub fn into_kept(self) -> Option<Kept> {
        self.kept
    }

    /// The document at an address; the secret goes into the header of that name.
    ///
    /// # Errors
    /// Whatever is wrong with the connection or the answer.
    pub async fn get(
        &mut self,
        url: &Url,
        token: Option<(&str, &Secret)>,
    ) -> Result<Fetched, FeedError> {
        let secret = token.map(|(_, secret)| secret);
        let mut request = self.client.get(url.clone()).header(ACCEPT, "application/json");
        if let Some((name, secret)) = token {
            let mut value = HeaderValue::from_str(secret.expose())
                .map_err(|_| FeedError::Secret("the secret does not fit into a header".into()))?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        let kept = self.kept.take_if(|kept| kept.url == *url);
        if let Some(kept) = &kept {
            request = request.header(IF_NONE_MATCH, kept.tag.clone());
        }
        let response = request.send().await.map_err(|error| failure(error, secret))?;
        match (response.status(), kept) {
            (StatusCode::NOT_MODIFIED, Some(kept)) => {
                let body = kept.body.clone();
                self.kept = Some(kept);
                Ok(Fetched { body, at: clock::wall() })
            }
            (StatusCode::OK, _) => self.answer(url, response, secret).await,
            _ => Err(refusal(response, secret).await),
        }
    }

    async fn answer(
        &mut self,
        url: &Url,
        response: Response,
        secret: Option<&Secret>,
    ) -> Result<Fetched, FeedError> {
        let headers = response.headers();
        if let Some(kind) = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok())
            && !kind.contains("json")
            && !kind.starts_with("text/plain")
        {
            let kind = words_of(kind, secret);
            return Err(FeedError::NotUnderstood(format!("it is {kind}, not JSON")));
        }
        let tag = headers.get(ETAG).cloned();
        let body = read(response, self.limits.body, secret).await?;
        if let Some(tag) = tag.filter(|_| body.len() <= MOST_KEPT) {
            self.kept = Some(Kept { url: url.clone(), tag, body: body.clone() });
        }
        Ok(Fetched { body, at: clock::wall() })
    }
}

/// Whether an address is of this machine itself, by its own words: a name is not
/// looked up.
pub fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// A server's text, safe to show: no control or direction characters, at most
/// 200 bytes.
pub fn clean(text: &str) -> String {
    let hidden = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut clean = String::new();
    for character in text.chars().filter(|c| !c.is_control() && !hidden(*c)) {
        if clean.len() + character.len_utf8() > MOST_WORDS {
            break;
        }
        clean.push(character);
    }
    clean
}

/// The body, as far as it is allowed to go.
async fn read(
    mut response: Response,
    most: usize,
    secret: Option<&Secret>,
) -> Result<Vec<u8>, FeedError> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| failure(error, secret))? {
        if body.len() + part.len() > most {
            return Err(FeedError::TooLarge(most));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

/// What a server said when it did not answer.
async fn refusal(response: Response, secret: Option<&Secret>) -> FeedError {
    let status = response.status();
    let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let wait = wait.and_then(|text| retry_after(text, clock::wall()));
    let is_json = is_json(response.headers());
    let body = read(response, MOST_REFUSAL, secret).await.unwrap_or_default();
    let document: Option<Value> = is_json.then(|| serde_json::from_slice(&body).ok()).flatten();
    let said = document.as_ref().and_then(own_words).or(status.canonical_reason());
    // Opendatasoft says in its body when the quota begins anew.
    let reset = document.as_ref().and_then(|document| document.get("reset_time")?.as_str());
    let reset = reset.and_then(|text| wait_until(text.parse().ok()?, clock::wall()));
    FeedError::Refused {
        status: status.as_u16(),
        words: words_of(said.unwrap_or_default(), secret),
        retry_after: wait.or(reset),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.contains("json"))
}

/// The words of an error document, wherever feeds are known to put them.
fn own_words(document: &Value) -> Option<&str> {
    ["/error/message", "/message", "/error", "/detail"]
        .into_iter()
        .find_map(|pointer| document.pointer(pointer)?.as_str())
}

/// `Retry-After` in both its forms: seconds, or a date (RFC 9110 section 10.2.3).
pub fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(LONGEST_WAIT));
    }
    let until = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    wait_until(until, now)
}

fn wait_until(until: Timestamp, now: Timestamp) -> Option<Duration> {
    let wait = Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO);
    Some(wait.min(LONGEST_WAIT))
}

fn within_one_host(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let same =
        attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
    if !same {
        return attempt.error(NotFollowed("to another host"));
    }
    if attempt.previous().len() > MOST_REDIRECTS {
        return attempt.error(NotFollowed("again and again"));
    }
    attempt.follow()
}

#[derive(Debug)]
struct NotFollowed(&'static str);

impl fmt::Display for NotFollowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NotFollowed {}

fn failure(error: reqwest::Error, secret: Option<&Secret>) -> FeedError {
    if error.is_redirect() {
        return FeedError::Redirected(deepest(error, secret));
    }
    let stage = match (error.is_timeout(), error.is_connect(), error.is_body() || error.is_decode())
    {
        (true, true, _) => return FeedError::Transport("no connection in time".into()),
        (true, false, _) => return FeedError::Transport("no whole answer in time".into()),
        (_, true, _) => "no connection",
        (_, _, true) => "the answer broke off",
        _ => "no answer",
    };
    FeedError::Transport(format!("{stage}: {}", deepest(error, secret)))
}

/// The cause behind an error, which is what tells something.
fn deepest(error: reqwest::Error, secret: Option<&Secret>) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    words_of(&text, secret)
}

fn words_of(text: &str, secret: Option<&Secret>) -> String {
    match secret {
        Some(secret) => clean(&secret.removed_from(text)),
        None => clean(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_at_a_character_and_hold_no_controls() {
        assert_eq!(clean("a\x1b[31m\nb\u{202e}c"), "a[31mbc");
        assert_eq!(clean(&"é".repeat(150)), "é".repeat(100));
    }

    #[test]
    fn retry_after_is_read_in_both_forms_and_held() {
        let now = "1994-11-06T08:49:00Z".parse().unwrap();
        let check = |text, seconds: Option<u64>| {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        };
        check("60", Some(60));
        check(" 0 ", Some(0));
        check("99999999", Some(3_600));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(37));
        check("Sun, 06 Nov 1994 08:00:00 GMT", Some(0));
        check("Mon, 06 Nov 2090 08:00:00 GMT", Some(3_600));
        check("soon", None);
        check("-1", None);
    }

    #[test]
    fn loopback_is_what_says_so() {
        let check = |text: &str, loopback| {
            assert_eq!(is_loopback(&text.parse().unwrap()), loopback, "{text}");
        };
        check("http://localhost:1/a", true);
        check("http://127.0.0.9/", true);
        check("http://[::1]:80/", true);
        check("http://127.0.0.1.example.org/", false);
        check("http://10.0.0.1/", false);
        check("http://localhost.example.org/", false);
    }
}
