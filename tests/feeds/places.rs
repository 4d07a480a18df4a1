// SPDX-License-Identifier: Apache-2.0
//! The zone of a machine that was told none: from a cloud's metadata, or from a feed
//! that was asked about coordinates; unknown where neither says it.

use aimeter::grid::cloud::own_region;
use aimeter::grid::feeds::{Coordinates, Feed, eia, electricity_maps, watttime};
use aimeter::grid::http::Network;
use aimeter::grid::place::{Located, of_coordinates, of_metadata};

use crate::fixtures::feed;
use crate::replay::{Replay, Reply};

fn block<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn text(body: &str) -> Reply {
    Reply::Whole(200, vec!["Content-Type: text/plain".into()], body.as_bytes().to_vec())
}

fn has(head: &str, line: &str) -> bool {
    head.lines().any(|own| own.eq_ignore_ascii_case(line))
}

/// AWS's metadata, in their second version alone: without a token nothing is told.
fn aws(head: &str) -> Reply {
    if head.starts_with("PUT /latest/api/token ") {
        return match has(head, "x-aws-ec2-metadata-token-ttl-seconds: 60") {
            true => text("t0k3n"),
            false => Reply::refusal(400, &[], ""),
        };
    }
    if head.starts_with("GET /latest/meta-data/placement/region ") {
        return match has(head, "x-aws-ec2-metadata-token: t0k3n") {
            true => text("eu-west-3\n"),
            false => Reply::refusal(401, &[], ""),
        };
    }
    Reply::refusal(404, &[], "")
}

fn google(head: &str) -> Reply {
    if !has(head, "metadata-flavor: Google") {
        return Reply::refusal(403, &[], "");
    }
    match head.starts_with("GET /computeMetadata/v1/instance/zone ") {
        true => Reply::Whole(
            200,
            vec!["Metadata-Flavor: Google".into()],
            b"projects/1234/zones/europe-west1-b".to_vec(),
        ),
        false => Reply::refusal(404, &[], ""),
    }
}

fn azure(head: &str) -> Reply {
    let asked = head.starts_with("GET /metadata/instance/compute/location?api-version=");
    match asked && has(head, "metadata: true") {
        true => text("westeurope"),
        false => Reply::refusal(400, &[], ""),
    }
}

fn base(replay: &Replay) -> String {
    replay.url("").as_str().trim_end_matches('/').to_owned()
}

#[test]
fn each_cloud_is_asked_in_its_own_way() {
    type Cloud = fn(&str) -> Reply;
    let clouds: [(Cloud, &str, &str); 3] = [
        (aws, "aws:eu-west-3", "FR"),
        (google, "gcp:europe-west1", "BE"),
        (azure, "azure:westeurope", "NL"),
    ];
    for (cloud, region, zone) in clouds {
        let replay = Replay::plain(cloud);
        assert_eq!(block(own_region(&base(&replay))).as_deref(), Some(region));
        let found = block(of_metadata(&base(&replay))).unwrap();
        assert_eq!(found.zone, zone);
        let by = format!("the instance's own metadata: cloud region {region}, ");
        assert!(found.by.starts_with(&by), "{}", found.by);
    }
}

#[test]
fn a_machine_that_is_in_no_cloud_has_no_region() {
    let nobody = Replay::plain(|_| Reply::refusal(404, &[], ""));
    // A web server that answers everything is no cloud.
    let anybody = Replay::plain(|_| text("<html>Welcome</html>"));
    let mute = Replay::plain(|_| Reply::Silence);
    let endless = Replay::plain(|_| Reply::Endless);
    let elsewhere = Replay::plain(|_| Reply::Redirect("http://127.0.0.1:1/".into()));
    for replay in [&nobody, &anybody, &mute, &endless, &elsewhere] {
        assert_eq!(block(own_region(&base(replay))), None);
    }
    let error = block(of_metadata(&base(&nobody))).unwrap_err();
    assert_eq!(error, "`carbon.cloud_metadata`: no cloud's metadata answer on this machine");
    let unheard = Replay::plain(|head| match aws(head) {
        Reply::Whole(200, headers, body) if body.starts_with(b"eu-") => {
            Reply::Whole(200, headers, b"mars-north-1".to_vec())
        }
        other => other,
    });
    let error = block(of_metadata(&base(&unheard))).unwrap_err();
    assert!(error.contains("`aws:mars-north-1` is no cloud region that is known"), "{error}");
}

/// San Francisco.
const CITY: Coordinates = Coordinates { latitude: 37_775, longitude: -122_419 };

fn locate(replay: &Replay, chain: &mut [Feed], zone: Option<&str>) -> Located {
    for feed in chain.iter_mut() {
        feed.url = Some(replay.url(&format!("/{}", feed.provider.name)));
    }
    let network = Network { ca: Some(replay.ca()), proxy: None };
    let key = |_: &str| Some("s3cr3t".to_owned());
    block(of_coordinates(chain, CITY, zone, &network, &key))
}

fn knowing(head: &str) -> Reply {
    let path = head.split(' ').nth(1).unwrap();
    match path {
        "/watttime/login" => Reply::json(r#"{"token":"t"}"#),
        "/watttime/v3/region-from-loc?latitude=37.775&longitude=-122.419&signal_type=co2_moer" => {
            Reply::json(r#"{"region":"CAISO_NORTH","signal_type":"co2_moer"}"#)
        }
        "/electricity-maps/carbon-intensity/latest?lat=37.775&lon=-122.419&disableCallerLookup=true" => {
            Reply::json(
                r#"{"zone":"US-CAL-CISO","carbonIntensity":200,"datetime":"2026-11-24T09:00Z"}"#,
            )
        }
        _ => Reply::refusal(404, &[], r#"{"error":"what?"}"#),
    }
}

fn chain() -> [Feed; 3] {
    let mut eia = feed(&eia::PROVIDER, Some("CISO"));
    eia.zone = Some("US-CA".into());
    [feed(&electricity_maps::PROVIDER, None), feed(&watttime::PROVIDER, None), eia]
}

#[test]
fn feeds_are_asked_for_their_own_names_of_a_place() {
    let replay = Replay::tls(knowing);
    let mut feeds = chain();
    let located = locate(&replay, &mut feeds, None);
    assert_eq!(located.problems, [""; 0]);
    // The table has no row of the grid zone: the country that it is in, and no state.
    let found = located.found.unwrap();
    assert_eq!(found.zone, "US");
    assert_eq!(found.by, "coordinates, which electricity-maps says are in US-CAL-CISO");
    let set = |feed: &Feed| (feed.place.clone().unwrap(), feed.zone.clone().unwrap());
    let pair = |place: &str, zone: &str| (place.to_owned(), zone.to_owned());
    assert_eq!(set(&feeds[0]), pair("US-CAL-CISO", "US"));
    assert_eq!(set(&feeds[1]), pair("CAISO_NORTH", "US"));
    // What was set stays, and is not asked about.
    assert_eq!(set(&feeds[2]), pair("CISO", "US-CA"));
    assert_eq!(replay.requests().len(), 3);
    // A zone that is known is kept.
    let mut feeds = chain();
    let located = locate(&replay, &mut feeds, Some("US-CA"));
    assert_eq!((located.found, located.problems), (None, Vec::new()));
    assert_eq!(set(&feeds[0]), pair("US-CAL-CISO", "US-CA"));
}

#[test]
fn what_a_feed_says_of_a_place_is_not_believed_blindly() {
    let replay = Replay::tls(knowing);
    let mut feeds = chain();
    let located = locate(&replay, &mut feeds, Some("FR"));
    let what = "electricity-maps says US-CAL-CISO, which is not in FR";
    assert_eq!(located.problems, [format!("`carbon.coordinates`: {what}")]);
    assert_eq!(feeds[0].place, None);
    // A region's name alone tells no zone.
    let mut alone = [feed(&watttime::PROVIDER, None)];
    let located = locate(&replay, &mut alone, None);
    assert!(located.problems[0].contains("CAISO_NORTH, whose zone is not known; set"));
    assert_eq!((located.found, &alone[0].place), (None, &None));
    // Nobody knows: the zone stays unknown.
    let ignorant = Replay::tls(|_| Reply::refusal(404, &[], r#"{"error":"No coverage"}"#));
    let mut feeds = chain();
    let located = locate(&ignorant, &mut feeds, None);
    assert_eq!((located.found, located.problems.len()), (None, 2));
    assert!(located.problems[0].ends_with("electricity-maps: it answered 404: No coverage"));
    let bent = Replay::tls(|_| Reply::json(r#"{"zone":"../a b","datetime":"x"}"#));
    let mut feeds = [feed(&electricity_maps::PROVIDER, None)];
    assert_eq!(locate(&bent, &mut feeds, None).problems.len(), 1);
    assert_eq!(feeds[0].place, None);
}
