// SPDX-License-Identifier: Apache-2.0
//! Fetching from a feed: politely, and without believing it anything.
//!
//! TLS is verified, always; no redirect to another host is followed; an answer has
//! a time limit and a size limit that is counted as it arrives; what a server says
//! is cut and stripped before anybody sees it; a key goes where its feed takes it and
//! nowhere else. Errors name no address: it may be a private one, or hold a key.

use std::error::Error as _;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{
    ACCEPT, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, RETRY_AFTER,
};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Client, Proxy, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use super::feeds::FeedError;
use super::secret::Secret;
use super::session::{Login, Session};
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
/// What a feed may answer with.
const ACCEPTED: &str = "application/json, application/xml;q=0.5";

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
/// asking again for the same costs the server nothing, and the token of a login.
pub struct Fetcher {
    client: Client,
    limits: Limits,
    pub(super) kept: Kept,
}

/// What a client leaves to a later one of the same feed: the last answer that had an
/// `ETag`, and the token of a login.
#[derive(Default)]
pub struct Kept {
    answer: Option<Tagged>,
    pub(super) session: Option<Session>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may hold a key.
        f.write_str("what was kept of an answer")
    }
}

/// A key, and where it goes.
#[derive(Clone, Copy, Debug)]
pub enum Key<'a> {
    /// Into the header of that name.
    Header(&'a str, &'a Secret),
    /// Into the parameter of the address of that name.
    Parameter(&'a str, &'a Secret),
    /// It is the password of a login.
    Login(Login<'a>),
}

/// A request's answer before its body, and what was kept of the one before.
pub(super) struct Exchange {
    pub(super) response: Response,
    kept: Option<Tagged>,
}

struct Tagged {
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
                Certificate::from_pem_bundle(&pem).map_err(|error| failed(deepest(error, &[])))?;
            if certificates.is_empty() {
                return Err(failed("there is none".into()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|error| FeedError::Transport(deepest(error, &[])))?;
        Ok(Fetcher { client, limits, kept: Kept::default() })
    }

    /// The same with what an earlier client kept.
    pub fn with_kept(self, kept: Option<Kept>) -> Fetcher {
        Fetcher { kept: kept.unwrap_or_default(), ..self }
    }

    /// What a later client may go on with; `None`: nothing.
    pub fn into_kept(self) -> Option<Kept> {
        let kept = self.kept;
        (kept.answer.is_some() || kept.session.is_some()).then_some(kept)
    }

    /// The document at an address, with a key.
    ///
    /// # Errors
    /// Whatever is wrong with the connection or the answer.
    pub async fn get(&mut self, url: &Url, key: Option<Key<'_>>) -> Result<Fetched, FeedError> {
        match key {
            None => self.fetch(url, |request| request, &[]).await,
            Some(Key::Header(name, secret)) => {
                let value = hidden(secret.expose())?;
                self.fetch(url, |request| request.header(name, value), &[secret]).await
            }
            Some(Key::Parameter(name, secret)) => {
                let mut url = url.clone();
                url.query_pairs_mut().append_pair(name, secret.expose());
                self.fetch(&url, |request| request, &[secret]).await
            }
            Some(Key::Login(login)) => self.with_session(url, login).await,
        }
    }

    async fn fetch(
        &mut self,
        url: &Url,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
        secrets: &[&Secret],
    ) -> Result<Fetched, FeedError> {
        let exchange = self.send(url, with, secrets).await?;
        self.receive(url, exchange, secrets).await
    }

    /// Asks, with what `with` adds; `secrets` are not repeated in errors.
    pub(super) async fn send(
        &mut self,
        url: &Url,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
        secrets: &[&Secret],
    ) -> Result<Exchange, FeedError> {
        let mut request = with(self.client.get(url.clone()).header(ACCEPT, ACCEPTED));
        let kept = self.kept.answer.take_if(|kept| kept.url == *url);
        if let Some(kept) = &kept {
            request = request.header(IF_NONE_MATCH, kept.tag.clone());
        }
        let response = request.send().await.map_err(|error| failure(error, secrets))?;
        Ok(Exchange { response, kept })
    }

    /// The answer's body, or what its server said instead.
    pub(super) async fn receive(
        &mut self,
        url: &Url,
        exchange: Exchange,
        secrets: &[&Secret],
    ) -> Result<Fetched, FeedError> {
        let Exchange { response, kept } = exchange;
        match (response.status(), kept) {
            (StatusCode::NOT_MODIFIED, Some(kept)) => {
                let body = kept.body.clone();
                self.kept.answer = Some(kept);
                Ok(Fetched { body, at: clock::wall() })
            }
            (StatusCode::OK, _) => self.answer(url, response, secrets).await,
            _ => Err(refusal(response, secrets).await),
        }
    }

    async fn answer(
        &mut self,
        url: &Url,
        response: Response,
        secrets: &[&Secret],
    ) -> Result<Fetched, FeedError> {
        let headers = response.headers();
        if !is_a(headers, "json") && !is_a(headers, "/xml") && !is_a(headers, "text/plain") {
            let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            let kind = words_of(kind.unwrap_or("something"), secrets);
            return Err(FeedError::NotUnderstood(format!("it is {kind}, not JSON or XML")));
        }
        let tag = headers.get(ETAG).cloned();
        let body = read(response, self.limits.body, secrets).await?;
        if let Some(tag) = tag.filter(|_| body.len() <= MOST_KEPT) {
            self.kept.answer = Some(Tagged { url: url.clone(), tag, body: body.clone() });
        }
        Ok(Fetched { body, at: clock::wall() })
    }
}

/// A header's value that no log shows.
fn hidden(text: &str) -> Result<HeaderValue, FeedError> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| FeedError::Secret("the secret does not fit into a header".into()))?;
    value.set_sensitive(true);
    Ok(value)
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
    secrets: &[&Secret],
) -> Result<Vec<u8>, FeedError> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| failure(error, secrets))? {
        if body.len() + part.len() > most {
            return Err(FeedError::TooLarge(most));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

/// What a server said when it did not answer.
async fn refusal(response: Response, secrets: &[&Secret]) -> FeedError {
    let status = response.status();
    let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let wait = wait.and_then(|text| retry_after(text, clock::wall()));
    let is_json = is_json(response.headers());
    let (is_xml, is_text) =
        (is_a(response.headers(), "/xml"), is_a(response.headers(), "text/plain"));
    let body = read(response, MOST_REFUSAL, secrets).await.unwrap_or_default();
    let document: Option<Value> = is_json.then(|| serde_json::from_slice(&body).ok()).flatten();
    let said = match &document {
        Some(document) => own_words(document).map(str::to_owned),
        None if is_xml => xml_words(&body),
        None if is_text => std::str::from_utf8(&body).ok().map(str::to_owned),
        None => None,
    };
    let said = said.or_else(|| status.canonical_reason().map(str::to_owned));
    // Opendatasoft says in its body when the quota begins anew.
    let reset = document.as_ref().and_then(|document| document.get("reset_time")?.as_str());
    let reset = reset.and_then(|text| wait_until(text.parse().ok()?, clock::wall()));
    FeedError::Refused {
        status: status.as_u16(),
        words: words_of(&said.unwrap_or_default(), secrets),
        retry_after: wait.or(reset),
    }
}

/// Whether a document is one of JSON by its own word.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_TYPE) && is_a(headers, "json")
}

/// Whether a document is of a type, or of none at all.
fn is_a(headers: &HeaderMap, kind: &str) -> bool {
    headers.get(CONTENT_TYPE).is_none_or(|own| own.to_str().is_ok_and(|own| own.contains(kind)))
}

/// The words of an acknowledgement of ENTSO-E.
fn xml_words(body: &[u8]) -> Option<String> {
    let root = super::xml::parse(body).ok()?;
    Some(root.child("Reason")?.text_of("text")?.to_owned())
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

fn failure(error: reqwest::Error, secrets: &[&Secret]) -> FeedError {
    if error.is_redirect() {
        return FeedError::Redirected(deepest(error, secrets));
    }
    let stage = match (error.is_timeout(), error.is_connect(), error.is_body() || error.is_decode())
    {
        (true, true, _) => return FeedError::Transport("no connection in time".into()),
        (true, false, _) => return FeedError::Transport("no whole answer in time".into()),
        (_, true, _) => "no connection",
        (_, _, true) => "the answer broke off",
        _ => "no answer",
    };
    FeedError::Transport(format!("{stage}: {}", deepest(error, secrets)))
}

/// The cause behind an error, which is what tells something.
fn deepest(error: reqwest::Error, secrets: &[&Secret]) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    words_of(&text, secrets)
}

fn words_of(text: &str, secrets: &[&Secret]) -> String {
    let mut text = text.to_owned();
    for secret in secrets {
        text = secret.removed_from(&text);
    }
    clean(&text)
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
