// SPDX-License-Identifier: Apache-2.0
//! A feed that is slow, down, lying or hostile: an error in time, a bounded answer,
//! and nothing said that must not be said.

use std::time::Duration;

use aimeter::grid::feeds::{FeedError, Want, facts, uk};
use aimeter::grid::http::{Fetched, Fetcher, Key, Limits, Network};
use aimeter::grid::secret::Secret;

use crate::fixtures::{ask, body, feed};
use crate::replay::{Replay, Reply};

fn network(replay: &Replay) -> Network {
    Network { ca: Some(replay.ca()), proxy: None }
}

fn block<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// One fetch from a server with these limits.
fn get(replay: &Replay, limits: Limits, token: Option<&Secret>) -> Result<Fetched, FeedError> {
    let url = replay.url("/intensity");
    let mut fetcher = Fetcher::new(&url, &network(replay), limits)?;
    block(fetcher.get(&url, token.map(|secret| Key::Header("auth-token", secret))))
}

fn fails(replay: &Replay) -> FeedError {
    get(replay, Limits::default(), None).unwrap_err()
}

#[test]
fn an_honest_answer_comes_over_verified_tls() {
    let replay = Replay::tls(|_| Reply::json(body("uk_intensity.json")));
    let fetched = get(&replay, Limits::default(), None).unwrap();
    assert_eq!(fetched.body, body("uk_intensity.json"));
    let head = replay.requests().remove(0).to_lowercase();
    assert!(head.starts_with("get /intensity http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nuser-agent: aimeter/"), "{head}");
}

#[test]
fn a_certificate_of_nobody_we_trust_is_refused() {
    let replay = Replay::tls(|_| Reply::json("{}"));
    let other = Replay::tls(|_| Reply::json("{}"));
    let url = replay.url("/");
    let mut fetcher = Fetcher::new(&url, &network(&other), Limits::default()).unwrap();
    let error = block(fetcher.get(&url, None)).unwrap_err().to_string();
    assert!(error.starts_with("no connection: ") && error.contains("certificate"), "{error}");
    // The certificate is for `localhost`, not for its number.
    let by_number = url.as_str().replace("localhost", "127.0.0.1").parse().unwrap();
    let mut fetcher = Fetcher::new(&by_number, &network(&replay), Limits::default()).unwrap();
    let error = block(fetcher.get(&by_number, None)).unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    assert_eq!(replay.requests(), Vec::<String>::new());
}

#[test]
fn no_redirect_leads_to_another_host() {
    let inner = Replay::plain(|_| Reply::json(body("uk_intensity.json")));
    let elsewhere = inner.url("/metadata").to_string();
    let replay = Replay::tls(move |_| Reply::Redirect(elsewhere.clone()));
    let secret = Secret::new("s3cr3t");
    let error = get(&replay, Limits::default(), Some(&secret)).unwrap_err();
    assert_eq!(error, FeedError::Redirected("to another host".into()));
    assert_eq!(inner.requests(), Vec::<String>::new());
    // Within the host it is followed, but not for ever.
    let replay = Replay::tls(|head| match head.starts_with("GET /intensity ") {
        true => Reply::Redirect("/v2/intensity".into()),
        false => Reply::json("{}"),
    });
    assert_eq!(get(&replay, Limits::default(), None).unwrap().body, b"{}");
    let replay = Replay::tls(|_| Reply::Redirect("/intensity".into()));
    assert_eq!(fails(&replay), FeedError::Redirected("again and again".into()));
}

#[test]
fn an_endless_answer_is_given_up() {
    let replay = Replay::tls(|_| Reply::Endless);
    let limits = Limits::default();
    assert_eq!(fails(&replay), FeedError::TooLarge(limits.body));
    // What the system had on its way comes on top: some MiB of socket buffers.
    assert!(replay.sent() < 64 * 1_024 * 1_024, "{} bytes were sent", replay.sent());
}

#[test]
fn a_silent_server_is_given_up() {
    let replay = Replay::tls(|_| Reply::Silence);
    let limits = Limits { whole: Duration::from_millis(500), ..Limits::default() };
    let error = get(&replay, limits, None).unwrap_err();
    assert_eq!(error, FeedError::Transport("no whole answer in time".into()));
}

#[test]
fn a_truncated_answer_is_none() {
    let replay = Replay::tls(|_| Reply::Truncated(body("uk_intensity.json")));
    match fails(&replay) {
        FeedError::Transport(what) => assert!(what.starts_with("the answer broke off"), "{what}"),
        other => panic!("{other}"),
    }
}

#[test]
fn another_content_type_is_not_read() {
    let replay = Replay::tls(|_| {
        let html = "Content-Type: text/html; charset=utf-8".to_owned();
        Reply::Whole(200, vec![html], body("uk_intensity.json"))
    });
    let what = "it is text/html; charset=utf-8, not JSON or XML";
    assert_eq!(fails(&replay), FeedError::NotUnderstood(what.into()));
}

#[test]
fn a_refusal_is_told_in_the_feeds_words_with_its_wait() {
    let refused = |replay: Replay| match fails(&replay) {
        FeedError::Refused { status, words, retry_after } => {
            (status, words, retry_after.map(|wait| wait.as_secs()))
        }
        other => panic!("{other}"),
    };
    let said = |status: u16, words: &str, wait| (status, words.to_owned(), wait);
    let busy = Replay::tls(|_| Reply::refusal(429, &["Retry-After: 60"], body("em_429.json")));
    assert_eq!(fails(&busy).to_string(), "it answered 429: Too many requests (ask again in 60 s)");
    assert_eq!(refused(busy), said(429, "Too many requests", Some(60)));
    let long = "Retry-After: Fri, 31 Dec 2100 23:59:59 GMT";
    let dated = Replay::tls(move |_| Reply::refusal(503, &[long], "{}"));
    assert_eq!(refused(dated), said(503, "Service Unavailable", Some(3_600)));
    // Its quota began anew long ago.
    let quota = Replay::tls(|_| Reply::refusal(429, &[], body("odre_429.json")));
    let words = "You have exceeded the requests limit for anonymous users.";
    assert_eq!(refused(quota), said(429, words, Some(0)));
    for (file, status, words) in [
        ("uk_400_postcode.json", 400, "No postcode match can be found."),
        ("uk_500.json", 500, "Requested resource not found."),
        ("em_401.json", 401, "Invalid auth-token"),
        ("em_403_zone.json", 403, "Token unauthorized for zoneKey=FR"),
        ("em_404_no_recent_data.json", 404, "No recent data for zone \"US-MIDW-MISO\""),
    ] {
        let replay = Replay::tls(move |_| Reply::refusal(status, &[], body(file)));
        assert_eq!(refused(replay), said(status, words, None));
    }
    let invalid =
        "An invalid api_key was supplied. Get one at https://www.eia.gov/opendata/register.php";
    for (file, status, words) in [
        ("eia_400.json", 400, "Error getting data."),
        ("eia_403_invalid.json", 403, invalid),
        (
            "eia_403_missing.json",
            403,
            "No api_key was supplied. Please register for one at https://www.eia.gov/opendata/register.php",
        ),
        (
            "eia_429.json",
            429,
            "You have exceeded your rate limit. Try again later or contact us at https://api.data.gov:443/contact/ for assistance",
        ),
        (
            "wt_403_scope.json",
            403,
            "Invalid scope. You do not have sufficient access to this resource. Please contact WattTime for access. All users are allowed free access to CAISO_NORTH.",
        ),
        (
            "wt_404_no_coverage.json",
            404,
            "No coverage available for these coordinates and signal_type",
        ),
    ] {
        let replay = Replay::tls(move |_| Reply::refusal(status, &[], body(file)));
        assert_eq!(refused(replay), said(status, words, None));
    }
    let of_kind = |status: u16, kind: &'static str, file: &'static str| {
        let kind = vec![format!("Content-Type: {kind}")];
        Replay::tls(move |_| Reply::Whole(status, kind.clone(), body(file)))
    };
    let token = "Unauthorized. Missing or invalid security token";
    assert_eq!(refused(of_kind(401, "text/xml", "entsoe_401.xml")), said(401, token, None));
    let busy = "Max allowed requests per minute from each unique IP is max up to 400 only";
    assert_eq!(refused(of_kind(429, "text/plain", "entsoe_429.txt")), said(429, busy, None));
    let nginx = of_kind(403, "text/html", "wt_403_expired.html");
    assert_eq!(refused(nginx), said(403, "Forbidden", None));
    let page = "<html>\x1b[2J</html>";
    let html = Replay::tls(move |_| Reply::Whole(502, Vec::new(), page.into()));
    assert_eq!(refused(html), said(502, "Bad Gateway", None));
}

#[test]
fn words_are_cut_stripped_and_free_of_the_key() {
    let replay = Replay::tls(|_| {
        let long = "x".repeat(5_000);
        Reply::refusal(401, &[], format!(r#"{{"error":"no s3cr3t\u001b[2J\n{long}"}}"#))
    });
    let secret = Secret::new("s3cr3t");
    let error = get(&replay, Limits::default(), Some(&secret)).unwrap_err();
    let FeedError::Refused { words, .. } = &error else { panic!("{error}") };
    assert!(words.starts_with("no [secret][2Jxxx"), "{words}");
    assert_eq!(words.len(), 200);
    let shown = format!("{error} {error:?} {:?}", network(&replay));
    assert!(!shown.contains("s3cr3t"), "{shown}");
    // It was sent, and in its header alone.
    let head = replay.requests().remove(0);
    assert_eq!(head.matches("s3cr3t").count(), 1, "{head}");
    assert!(head.to_lowercase().contains("\r\nauth-token: s3cr3t\r\n"), "{head}");
}

#[test]
fn an_endless_refusal_is_a_refusal() {
    let replay = Replay::tls(|_| Reply::refusal(500, &[], vec![b'"'; 1_000_000]));
    let error = FeedError::Refused {
        status: 500,
        words: "Internal Server Error".into(),
        retry_after: None,
    };
    assert_eq!(fails(&replay), error);
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let replay = Replay::tls(|head| match head.to_lowercase().contains("if-none-match: \"1\"") {
        true => Reply::Whole(304, Vec::new(), Vec::new()),
        false => Reply::refusal(200, &["ETag: \"1\""], body("uk_intensity.json")),
    });
    let url = replay.url("/intensity");
    let mut fetcher = Fetcher::new(&url, &network(&replay), Limits::default()).unwrap();
    block(async {
        for _ in 0..3 {
            assert_eq!(fetcher.get(&url, None).await.unwrap().body, body("uk_intensity.json"));
        }
        // Another address has its own answer.
        let other = replay.url("/regional");
        assert!(fetcher.get(&other, None).await.is_ok());
    });
    let asked = |head: &String| head.to_lowercase().contains("if-none-match");
    let requests = replay.requests();
    assert_eq!(requests.iter().map(asked).collect::<Vec<_>>(), [false, true, true, false]);
    // A server that says "unchanged" to one who has nothing says nothing.
    let replay = Replay::tls(|_| Reply::Whole(304, Vec::new(), Vec::new()));
    assert!(matches!(fails(&replay), FeedError::Refused { status: 304, .. }));
}

#[test]
fn a_server_that_is_not_there_is_told_by_its_cause() {
    let replay = Replay::tls(|_| Reply::json("{}"));
    // A port that was just free: nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("https://{free}/").parse().unwrap();
    let mut fetcher = Fetcher::new(&url, &network(&replay), Limits::default()).unwrap();
    let error = block(fetcher.get(&url, None)).unwrap_err().to_string();
    assert!(error.starts_with("no connection: ") && error.contains("refused"), "{error}");
}

#[test]
fn deep_json_is_an_error_and_no_overflow() {
    let uk = feed(&uk::PROVIDER, None);
    let now = ask("GB", Want::Now, "2026-11-24T09:00Z");
    for (open, key) in [("[", ""), ("{\"data\":", ""), ("{\"data\":[", "")] {
        let body = format!("{}{key}", open.repeat(1_000_000));
        assert!(matches!(facts(&uk, &now, body.as_bytes()), Err(FeedError::NotUnderstood(_))));
    }
    // Also where nothing reads it.
    let body = format!("{{\"x\":{}", "[".repeat(1_000_000));
    assert!(matches!(facts(&uk, &now, body.as_bytes()), Err(FeedError::NotUnderstood(_))));
}
