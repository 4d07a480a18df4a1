// SPDX-License-Identifier: Apache-2.0
//! What each feed is asked: the requests of the recorded answers, and that no
//! setting can make another one of them.

use aimeter::grid::feeds::{
    Feed, FeedError, Request, Want, electricity_maps, energinet, energy_charts, json, request, rte,
    uk,
};

use crate::fixtures::{ask, direct, feed, time};

fn url(feed: &Feed, zone: &str, want: Want) -> String {
    let ask = ask(zone, want, "2026-11-24T09:10:30Z");
    match request(feed, &ask).unwrap() {
        Request::Http { url, .. } => url.to_string(),
        Request::File(path) => path.display().to_string(),
    }
}

fn hours() -> Want {
    Want::Range { from: time("2026-11-24T06:00Z"), to: time("2026-11-24T09:00Z") }
}

#[test]
fn the_uk_is_asked_for_the_nation_or_a_region() {
    let base = "https://api.carbonintensity.org.uk";
    let nation = feed(&uk::PROVIDER, None);
    assert_eq!(url(&nation, "GB", Want::Now), format!("{base}/intensity"));
    assert_eq!(
        url(&nation, "GB", hours()),
        format!("{base}/intensity/2026-11-24T06:00Z/2026-11-24T09:00Z")
    );
    assert_eq!(
        url(&nation, "GB", Want::Forecast),
        format!("{base}/intensity/2026-11-24T09:10Z/fw48h")
    );
    let region = feed(&uk::PROVIDER, Some("BH1"));
    assert_eq!(url(&region, "GB", Want::Now), format!("{base}/regional/postcode/BH1"));
    assert_eq!(
        url(&feed(&uk::PROVIDER, Some("13")), "GB", Want::Forecast),
        format!("{base}/regional/intensity/2026-11-24T09:10Z/fw48h/regionid/13")
    );
}

#[test]
fn the_other_feeds_are_asked_as_documented() {
    let charts = feed(&energy_charts::PROVIDER, None);
    assert_eq!(url(&charts, "DE", Want::Now), "https://api.energy-charts.info/co2eq?country=de");
    assert_eq!(
        url(&charts, "DE", hours()),
        "https://api.energy-charts.info/co2eq?country=de&start=2026-11-24T06%3A00Z\
         &end=2026-11-24T09%3A00Z"
    );
    let west = feed(&energinet::PROVIDER, Some("DK1"));
    assert_eq!(
        url(&west, "DK", Want::Now),
        "https://api.energidataservice.dk/dataset/CO2Emis?start=utcnow-PT30M&sort=Minutes5UTC\
         &filter=%7B%22PriceArea%22%3A%5B%22DK1%22%5D%7D&limit=400"
    );
    assert!(
        url(&west, "DK", hours()).contains("?start=utcnow-PT191M&end=utcnow-PT9M&"),
        "{}",
        url(&west, "DK", hours())
    );
    assert!(url(&west, "DK", Want::Forecast).contains("/dataset/CO2EmisProg?start=utcnow&"));
    assert_eq!(
        url(&feed(&rte::PROVIDER, None), "FR", Want::Now),
        "https://odre.opendatasoft.com/api/explore/v2.1/catalog/datasets/eco2mix-national-tr/records\
         ?select=taux_co2%2Cdate_heure&where=taux_co2+is+not+null&order_by=date_heure+desc&limit=1"
    );
    let maps = feed(&electricity_maps::PROVIDER, None);
    let base = "https://api.electricitymaps.com/v4/carbon-intensity";
    let rest = "zone=DE&emissionFactorType=lifecycle&disableCallerLookup=true";
    assert_eq!(url(&maps, "DE", Want::Now), format!("{base}/latest?{rest}"));
    assert_eq!(
        url(&maps, "DE", hours()),
        format!(
            "{base}/past-range?{rest}&start=2026-11-24T06%3A00%3A00Z&end=2026-11-24T09%3A00%3A00Z"
        )
    );
    assert_eq!(url(&maps, "DE", Want::Forecast), format!("{base}/forecast?{rest}&horizonHours=24"));
    assert!(url(&direct(maps), "DE", Want::Now).contains("emissionFactorType=direct"));
    let california = feed(&electricity_maps::PROVIDER, Some("US-CAL-CISO"));
    assert!(url(&california, "US-CA", Want::Now).contains("zone=US-CAL-CISO"));
}

#[test]
fn the_key_goes_into_its_header_and_not_into_the_address() {
    let maps = feed(&electricity_maps::PROVIDER, None);
    let asked = request(&maps, &ask("DE", Want::Now, "2026-11-24T09:10Z"));
    match asked.unwrap() {
        Request::Http { token_header, .. } => {
            assert_eq!(token_header.as_deref(), Some("auth-token"))
        }
        Request::File(_) => panic!("a file"),
    }
}

#[test]
fn a_place_that_is_not_the_feeds_is_not_asked_for() {
    let refuse = |feed: Feed, zone: &str, want: Want| {
        request(&feed, &ask(zone, want, "2026-11-24T09:10Z")).unwrap_err()
    };
    for (feed, zone) in [
        (feed(&uk::PROVIDER, None), "FR"),
        (feed(&uk::PROVIDER, None), "GB-NIR"),
        (feed(&uk::PROVIDER, Some("18")), "GB"),
        (feed(&uk::PROVIDER, Some("0")), "GB"),
        (feed(&uk::PROVIDER, Some("../stats")), "GB"),
        (feed(&rte::PROVIDER, None), "GB"),
        (feed(&energinet::PROVIDER, None), "DK"),
        (feed(&energinet::PROVIDER, Some("DK3")), "DK"),
        (feed(&energy_charts::PROVIDER, None), "US"),
    ] {
        assert!(matches!(refuse(feed, zone, Want::Now), FeedError::NotCovered { .. }), "{zone}");
    }
    // A chain set up for California says nothing of Britain.
    let mut california = feed(&electricity_maps::PROVIDER, Some("US-CAL-CISO"));
    california.zone = Some("US-CA".into());
    assert!(request(&california, &ask("US-CA", Want::Now, "2026-11-24T09:10Z")).is_ok());
    assert!(matches!(refuse(california, "GB", Want::Now), FeedError::NotCovered { .. }));
    assert!(matches!(
        refuse(feed(&energinet::PROVIDER, Some("DK1")), "FR", Want::Now),
        FeedError::NotCovered { .. }
    ));
    let none = |error| matches!(error, FeedError::Unsupported(_));
    assert!(none(refuse(feed(&rte::PROVIDER, None), "FR", Want::Forecast)));
    assert!(none(refuse(feed(&json::PROVIDER, None), "FR", Want::Forecast)));
    assert!(none(refuse(feed(&json::PROVIDER, None), "FR", hours())));
}
