// SPDX-License-Identifier: Apache-2.0
//! Logins and keys: a token is kept, renewed once when it is forgotten, and neither it
//! nor a password nor a key in an address is ever shown, whatever the server does.

use std::sync::atomic::{AtomicUsize, Ordering};

use aimeter::grid::chain::ask_feed;
use aimeter::grid::feeds::{Feed, FeedError, Request, Want, eia, entsoe, request, watttime};
use aimeter::grid::http::{Fetched, Fetcher, Limits, Network};

use crate::fixtures::{ask, body, feed};
use crate::replay::{Replay, Reply};

fn network(replay: &Replay) -> Network {
    Network { ca: Some(replay.ca()), proxy: None }
}

fn block<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn key(name: &str) -> Option<String> {
    (name == "KEY").then(|| "s3cr3t".to_owned())
}

/// WattTime, as it is configured for this server.
fn watt(replay: &Replay) -> Feed {
    let mut feed = feed(&watttime::PROVIDER, Some("CAISO_NORTH"));
    feed.url = Some(replay.url("/watt"));
    feed
}

fn fetcher(replay: &Replay) -> Fetcher {
    Fetcher::new(&replay.url("/"), &network(replay), Limits::default()).unwrap()
}

/// One question with this fetcher, which keeps the token.
fn get(fetcher: &mut Fetcher, feed: &Feed) -> Result<Fetched, FeedError> {
    match request(feed, &ask("US-CA", Want::Now, "2022-07-15T00:01Z")).unwrap() {
        Request::Http { url, key: use_of_key } => {
            block(fetcher.get_for(feed, &url, &use_of_key, &key)).map(|(fetched, _)| fetched)
        }
        Request::File(_) => panic!("a file"),
    }
}

/// The paths that were asked for, and with which kind of proof.
fn asked(replay: &Replay) -> Vec<String> {
    let proof = |head: &String| {
        let lower = head.to_lowercase();
        let line = lower.lines().find(|line| line.starts_with("authorization: "));
        line.map_or("none", |line| if line.contains("basic") { "basic" } else { "bearer" })
            .to_owned()
    };
    let path = |head: &String| head.split([' ', '?']).nth(1).unwrap().to_owned();
    replay.requests().iter().map(|head| format!("{} {}", path(head), proof(head))).collect()
}

fn html(status: u16) -> Reply {
    Reply::Whole(status, vec!["Content-Type: text/html".into()], body("wt_403_expired.html"))
}

const LOGIN: &str = "/watt/login basic";
const DATA: &str = "/watt/v3/forecast bearer";

#[test]
fn a_token_is_asked_for_once_and_kept() {
    let replay = Replay::tls(|head| match head.starts_with("GET /watt/login ") {
        true => Reply::json(body("wt_login.json")),
        false => Reply::json(body("wt_forecast.json")),
    });
    let (mut fetcher, feed) = (fetcher(&replay), watt(&replay));
    for _ in 0..3 {
        assert_eq!(get(&mut fetcher, &feed).unwrap().body, body("wt_forecast.json"));
    }
    assert_eq!(asked(&replay), [LOGIN, DATA, DATA, DATA]);
    let heads = replay.requests();
    // `me:s3cr3t`, and the token of the documentation.
    assert!(heads[0].contains("Basic bWU6czNjcjN0\r\n"), "{}", heads[0]);
    assert!(heads[1].contains("Bearer abcdef0123456789fedcabc\r\n"), "{}", heads[1]);
    assert!(heads.iter().all(|head| !head.contains("s3cr3t")), "{heads:?}");
    // A client that comes after this one goes on with its token.
    let kept = fetcher.into_kept();
    assert!(!format!("{kept:?}").contains("abcdef0123456789fedcabc"));
    let mut fetcher = self::fetcher(&replay).with_kept(kept);
    get(&mut fetcher, &feed).unwrap();
    assert_eq!(asked(&replay)[4..], [DATA]);
    // Somebody else has another token.
    let other = Feed { user: Some("you".into()), ..feed };
    get(&mut fetcher, &other).unwrap();
    assert_eq!(asked(&replay)[5..], [LOGIN, DATA]);
}

#[test]
fn a_forgotten_token_is_renewed_once() {
    for status in [401, 403] {
        let logins = AtomicUsize::new(0);
        let replay = Replay::tls(move |head| {
            if head.starts_with("GET /watt/login ") {
                let count = logins.fetch_add(1, Ordering::SeqCst) + 1;
                return Reply::json(format!(r#"{{"token":"t{count}"}}"#));
            }
            // The first token holds for one answer.
            match (head.contains("Bearer t1\r"), logins.load(Ordering::SeqCst)) {
                (true, _) if head.contains("horizon_hours=72") => html(status),
                _ => Reply::json(body("wt_forecast.json")),
            }
        });
        let (mut fetcher, feed) = (fetcher(&replay), watt(&replay));
        get(&mut fetcher, &feed).unwrap();
        let later = replay.url("/watt/v3/forecast?horizon_hours=72");
        let login = aimeter::grid::feeds::KeyUse::Login(replay.url("/watt/login"));
        let (fetched, _) = block(fetcher.get_for(&feed, &later, &login, &key)).unwrap();
        assert_eq!(fetched.body, body("wt_forecast.json"));
        assert_eq!(asked(&replay), [LOGIN, DATA, DATA, LOGIN, DATA], "{status}");
    }
}

#[test]
fn a_server_that_forgets_every_token_is_not_asked_again_and_again() {
    let replay = Replay::tls(|head| match head.starts_with("GET /watt/login ") {
        true => Reply::json(body("wt_login.json")),
        false => html(403),
    });
    let (mut fetcher, feed) = (fetcher(&replay), watt(&replay));
    // A new token that is refused is no old one.
    let error = get(&mut fetcher, &feed).unwrap_err();
    assert_eq!(error.to_string(), "it answered 403: Forbidden");
    assert_eq!(asked(&replay), [LOGIN, DATA]);
    // It is not kept either.
    get(&mut fetcher, &feed).unwrap_err();
    assert_eq!(asked(&replay), [LOGIN, DATA, LOGIN, DATA]);
}

#[test]
fn what_the_account_may_not_do_is_no_reason_to_log_in_again() {
    let replay = Replay::tls(|head| match head.starts_with("GET /watt/login ") {
        true => Reply::json(body("wt_login.json")),
        false => Reply::refusal(403, &[], body("wt_403_scope.json")),
    });
    let (mut fetcher, feed) = (fetcher(&replay), watt(&replay));
    for _ in 0..2 {
        let error = get(&mut fetcher, &feed).unwrap_err().to_string();
        assert!(error.starts_with("it answered 403: Invalid scope. You do not"), "{error}");
    }
    assert_eq!(asked(&replay), [LOGIN, DATA, DATA]);
}

#[test]
fn a_login_that_fails_says_so_and_shows_neither_secret() {
    let failing = |reply: fn() -> Reply| {
        let replay = Replay::tls(move |_| reply());
        let error = get(&mut fetcher(&replay), &watt(&replay)).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?}");
        (error.to_string(), error.is_providers_word())
    };
    let said = |text: &str, word: bool| (text.to_owned(), word);
    assert_eq!(failing(|| html(401)), said("its login: it answered 401: Unauthorized", true));
    let echo = || Reply::refusal(403, &[], r#"{"error":"no user me with s3cr3t"}"#);
    assert_eq!(failing(echo), said("its login: it answered 403: no user me with [secret]", true));
    let empty = || Reply::json(r#"{"tokens":"s3cr3t"}"#);
    let none = "its login: its answer is not understood: it holds no token";
    assert_eq!(failing(empty), said(none, false));
    let bent = || Reply::json(r#"{"token":"a\nb"}"#);
    let (error, _) = failing(bent);
    assert!(!error.contains("a\nb"), "{error}");
}

#[test]
fn a_server_that_repeats_token_or_password_is_not_quoted_with_them() {
    let replay = Replay::tls(|head| match head.starts_with("GET /watt/login ") {
        true => Reply::json(r#"{"token":"t0k3n"}"#),
        false => Reply::refusal(400, &[], r#"{"error":"t0k3n of s3cr3t"}"#),
    });
    let error = get(&mut fetcher(&replay), &watt(&replay)).unwrap_err();
    assert_eq!(error.to_string(), "it answered 400: [secret] of [secret]");
}

/// A row that repeats the key where a time should be.
const ROW: &str = r#"{"response":{"total":"1","data":[{"period":"s3cr3t","respondent":"CISO",
    "fueltype":"NG","value":"1","value-units":"megawatthours"}]}}"#;

#[test]
fn a_key_in_an_address_is_shown_in_no_error() {
    let entsoe = || (feed(&entsoe::PROVIDER, None), "BE", "securityToken=s3cr3t");
    let eia = || (feed(&eia::PROVIDER, Some("CISO")), "US-CA", "api_key=s3cr3t");
    let replies: [fn() -> Reply; 6] = [
        || Reply::refusal(403, &[], r#"{"error":{"message":"s3cr3t is no key"}}"#),
        || Reply::Redirect("https://elsewhere.invalid/?k=s3cr3t".into()),
        || Reply::Truncated(b"{".to_vec()),
        || Reply::json("s3cr3t"),
        || Reply::Whole(200, vec!["Content-Type: s3cr3t".into()], Vec::new()),
        || Reply::json(ROW),
    ];
    for (feed, zone, parameter) in [entsoe(), eia()] {
        for reply in replies {
            let replay = Replay::tls(move |_| reply());
            let feed = Feed { url: Some(replay.url("/x")), ..feed.clone() };
            let now = ask(zone, Want::Now, "2026-11-24T09:00Z");
            let error = block(ask_feed(&feed, &now, &network(&replay), &key)).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("s3cr3t"), "{shown}");
            // It was sent, and in the address alone.
            let head = replay.requests().remove(0);
            assert_eq!(head.matches("s3cr3t").count(), 1, "{head}");
            assert!(head.lines().next().unwrap().contains(parameter), "{head}");
        }
        // Nobody listens there.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let feed = Feed { url: Some(format!("https://{free}/").parse().unwrap()), ..feed };
        let now = ask(zone, Want::Now, "2026-11-24T09:00Z");
        let error = block(ask_feed(&feed, &now, &Network::default(), &key)).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?}");
    }
}
