// SPDX-License-Identifier: Apache-2.0
//! What each feed is asked: the requests of the recorded answers, and that no
//! setting can make another one of them.

use aimeter::grid::feeds::{
    Feed, FeedError, KeyUse, PROVIDERS, Request, Signal, Want, eia, electricity_maps, energinet,
    energy_charts, entsoe, json, request, rte, uk, watttime,
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
        Request::Http { key, .. } => assert_eq!(key, KeyUse::Header("auth-token".into())),
        Request::File(_) => panic!("a file"),
    }
}

#[test]
fn watttime_is_asked_for_its_region_with_a_login() {
    let base = "https://api.watttime.org";
    let moer = "region=CAISO_NORTH&signal_type=co2_moer";
    let mut watt = feed(&watttime::PROVIDER, Some("CAISO_NORTH"));
    let of = |feed: &Feed, want| url(feed, "US-CA", want);
    assert_eq!(of(&watt, Want::Now), format!("{base}/v3/forecast?{moer}&horizon_hours=0"));
    assert_eq!(of(&watt, Want::Forecast), format!("{base}/v3/forecast?{moer}&horizon_hours=24"));
    let range = "start=2026-11-24T06%3A00%3A00%2B00%3A00&end=2026-11-24T09%3A00%3A00%2B00%3A00";
    assert_eq!(
        of(&watt, hours()),
        format!("{base}/v3/historical?{moer}&{range}&include_imputed_marker=true")
    );
    let asked = request(&watt, &ask("US-CA", Want::Now, "2026-11-24T09:10Z")).unwrap();
    let login = KeyUse::Login(format!("{base}/login").parse().unwrap());
    assert!(matches!(asked, Request::Http { key, .. } if key == login));
    // The average has a past alone.
    watt.signal = Signal::Average;
    assert!(of(&watt, hours()).contains("signal_type=co2_aoer"));
    for want in [Want::Now, Want::Forecast] {
        let asked = request(&watt, &ask("US-CA", want, "2026-11-24T09:10Z"));
        assert!(matches!(asked, Err(FeedError::Unsupported(_))));
    }
    watt.place = None;
    let asked = request(&watt, &ask("US-CA", hours(), "2026-11-24T09:10Z"));
    assert_eq!(asked, Err(FeedError::Unset("place")));
}

#[test]
fn generation_is_asked_for_by_whole_hours() {
    let base = "https://web-api.tp.entsoe.eu/api?documentType=A75&processType=A16";
    let belgium = feed(&entsoe::PROVIDER, None);
    assert_eq!(
        url(&belgium, "BE", Want::Now),
        format!(
            "{base}&in_Domain=10YBE----------2&periodStart=202611230900&periodEnd=202611241000"
        )
    );
    let odd = Want::Range { from: time("2026-11-24T06:30Z"), to: time("2026-11-24T08:01Z") };
    let scania = feed(&entsoe::PROVIDER, Some("10Y1001A1001A47J"));
    assert_eq!(
        url(&scania, "SE", odd),
        format!(
            "{base}&in_Domain=10Y1001A1001A47J&periodStart=202611240600&periodEnd=202611240900"
        )
    );
    let base = "https://api.eia.gov/v2/electricity/rto/fuel-type-data/data/?frequency=hourly\
                &data%5B%5D=value&facets%5Brespondent%5D%5B%5D=CISO";
    let rest = "sort%5B0%5D%5Bcolumn%5D=period&sort%5B0%5D%5Bdirection%5D=desc&length=5000";
    let california = feed(&eia::PROVIDER, Some("CISO"));
    // The hour from 06 to 07 is named 07.
    for (want, start, end) in [
        (Want::Now, "2026-11-22T10", "2026-11-24T10"),
        (hours(), "2026-11-24T07", "2026-11-24T09"),
        (odd, "2026-11-24T07", "2026-11-24T09"),
    ] {
        assert_eq!(
            url(&california, "US-CA", want),
            format!("{base}&start={start}&end={end}&{rest}")
        );
    }
    for (feed, key) in [(belgium, "securityToken"), (california, "api_key")] {
        let asked = request(&feed, &ask("BE", Want::Now, "2026-11-24T09:10Z")).unwrap();
        assert!(matches!(asked, Request::Http { key: KeyUse::Parameter(name), .. } if name == key));
        let forecast = request(&feed, &ask("BE", Want::Forecast, "2026-11-24T09:10Z"));
        assert!(matches!(forecast, Err(FeedError::Unsupported("forecast"))));
        let mut bare = feed.clone();
        bare.token = None;
        let asked = request(&bare, &ask("BE", Want::Now, "2026-11-24T09:10Z"));
        assert_eq!(asked, Err(FeedError::Unset("token_file")));
    }
}

#[test]
fn a_feed_that_can_find_a_place_is_asked_about_it_and_never_about_the_caller() {
    use aimeter::grid::feeds::Coordinates;
    let amherst = Coordinates { latitude: 42_372, longitude: -72_519 };
    let asked = |feed: &Feed| match (feed.provider.locate.as_ref().unwrap().request)(feed, amherst)
    {
        Ok(Request::Http { url, .. }) => url.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        asked(&feed(&electricity_maps::PROVIDER, None)),
        "https://api.electricitymaps.com/v4/carbon-intensity/latest?lat=42.372&lon=-72.519\
         &disableCallerLookup=true"
    );
    assert_eq!(
        asked(&feed(&watttime::PROVIDER, None)),
        "https://api.watttime.org/v3/region-from-loc?latitude=42.372&longitude=-72.519\
         &signal_type=co2_moer"
    );
    let named = |feed: &Feed, file: &str| {
        (feed.provider.locate.as_ref().unwrap().parse)(&crate::fixtures::body(file))
    };
    let watt = feed(&watttime::PROVIDER, None);
    assert_eq!(named(&watt, "wt_region_from_loc.json").as_deref(), Ok("ISONE_WCMA"));
    assert!(named(&watt, "wt_404_no_coverage.json").is_err());
    let maps = feed(&electricity_maps::PROVIDER, None);
    assert_eq!(named(&maps, "em_latest_de.json").as_deref(), Ok("DE"));
    let able = |provider: &&&aimeter::grid::feeds::Provider| provider.locate.is_some();
    assert_eq!(PROVIDERS.iter().filter(able).count(), 2);
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
        (feed(&entsoe::PROVIDER, None), "US"),
        // Of several grid zones: none of them is the country's.
        (feed(&entsoe::PROVIDER, None), "SE"),
        (feed(&entsoe::PROVIDER, Some("BE")), "BE"),
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
