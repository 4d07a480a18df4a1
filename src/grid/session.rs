// SPDX-License-Identifier: Apache-2.0
//! A feed's key on its way to the feed, and logins: name and password become a token
//! that is kept in memory for a while.
//!
//! The token is asked for when there is none or it is old, and once more when the
//! server says that it knows it no longer. Neither of the two secrets is ever shown.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;

use super::feeds::{Feed, FeedError, KeyUse};
use super::http::{Exchange, Fetched, Fetcher, Key, is_json};
use super::secret::Secret;
use crate::clock;

/// How long a token is used: WattTime's hold for 30 min.
const FRESH: SignedDuration = SignedDuration::from_mins(25);

/// Whom to be and where to say so.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// What answers the token.
    pub url: &'a Url,
    /// Who.
    pub user: &'a str,
    /// The proof.
    pub password: &'a Secret,
}

/// A token.
pub(super) struct Session {
    token: Secret,
    since: Timestamp,
    user: String,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session since {}", self.since)
    }
}

#[derive(Deserialize)]
struct Document {
    token: String,
}

impl Fetcher {
    /// A feed's document, with its key where it takes one; and the key, which what is
    /// said of the document must not repeat.
    ///
    /// # Errors
    /// Where there is no key, or the document cannot be had.
    pub async fn get_for(
        &mut self,
        feed: &Feed,
        url: &Url,
        key: &KeyUse,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Fetched, Option<Secret>), FeedError> {
        if *key == KeyUse::None {
            return Ok((self.get(url, None).await?, None));
        }
        let source = feed.token.as_ref().ok_or(FeedError::Unset("token_file"))?;
        let secret = source.read(environment).map_err(FeedError::Secret)?;
        let key = match key {
            KeyUse::None => None,
            KeyUse::Header(name) => Some(Key::Header(name, &secret)),
            KeyUse::Parameter(name) => Some(Key::Parameter(name, &secret)),
            KeyUse::Login(url) => {
                let user = feed.user.as_deref().ok_or(FeedError::Unset("user"))?;
                Some(Key::Login(Login { url, user, password: &secret }))
            }
        };
        let fetched = self.get(url, key).await?;
        Ok((fetched, Some(secret)))
    }

    /// The document at an address for whoever is logged in.
    pub(super) async fn with_session(
        &mut self,
        url: &Url,
        login: Login<'_>,
    ) -> Result<Fetched, FeedError> {
        let now = clock::wall();
        let kept = self.kept.session.take_if(|session| session.is_for(login.user, now));
        let is_new = kept.is_none();
        let mut session = match kept {
            Some(session) => session,
            None => self.log_in(login).await?,
        };
        let mut exchange = self.send_as(&session, url, login).await?;
        // A token that was just given is not given again for the asking.
        if !is_new && is_forgotten(&exchange.response) {
            session = self.log_in(login).await?;
            exchange = self.send_as(&session, url, login).await?;
        }
        let forgotten = is_forgotten(&exchange.response);
        let fetched = self.receive(url, exchange, &[&session.token, login.password]).await;
        self.kept.session = (!forgotten).then_some(session);
        fetched
    }

    async fn send_as(
        &mut self,
        session: &Session,
        url: &Url,
        login: Login<'_>,
    ) -> Result<Exchange, FeedError> {
        let secrets = [&session.token, login.password];
        self.send(url, |request| request.bearer_auth(session.token.expose()), &secrets).await
    }

    async fn log_in(&mut self, login: Login<'_>) -> Result<Session, FeedError> {
        let failed = |why| FeedError::Login(Box::new(why));
        let secrets = [login.password];
        let as_user = |request: reqwest::RequestBuilder| {
            request.basic_auth(login.user, Some(login.password.expose()))
        };
        let exchange = self.send(login.url, as_user, &secrets).await.map_err(failed)?;
        let fetched = self.receive(login.url, exchange, &secrets).await.map_err(failed)?;
        let document: Document = serde_json::from_slice(&fetched.body)
            // What serde says could repeat the token.
            .map_err(|_| failed(FeedError::NotUnderstood("it holds no token".into())))?;
        let token = Secret::new(document.token);
        Ok(Session { token, since: fetched.at, user: login.user.to_owned() })
    }
}

impl Session {
    fn is_for(&self, user: &str, now: Timestamp) -> bool {
        // After a clock was set back nobody knows how old a token is.
        let age = now.duration_since(self.since);
        self.user == user && !age.is_negative() && age < FRESH
    }
}

/// An expired token is answered by 401, or by 403 from a server in front of the feed,
/// in HTML; the feed's own 403 is JSON and tells what the account may not do.
fn is_forgotten(response: &Response) -> bool {
    match response.status() {
        StatusCode::UNAUTHORIZED => true,
        StatusCode::FORBIDDEN => !is_json(response.headers()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_used_for_25_minutes_by_whom_it_was_given_to() {
        let at = |minutes: i64| Timestamp::from_second(minutes * 60).unwrap();
        let session = Session { token: Secret::new("t0k3n"), since: at(100), user: "me".into() };
        for (user, minute, is) in [
            ("me", 100, true),
            ("me", 124, true),
            ("me", 125, false),
            ("me", 99, false),
            ("you", 100, false),
        ] {
            assert_eq!(session.is_for(user, at(minute)), is, "{user} {minute}");
        }
        assert!(!format!("{session:?}").contains("t0k3n"));
    }
}
