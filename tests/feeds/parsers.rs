// SPDX-License-Identifier: Apache-2.0
//! What each recorded answer means.

use aimeter::grid::feeds::{
    Feed, FeedError, Want, electricity_maps, energinet, energy_charts, facts, file, json, rte, uk,
};
use aimeter::ledger::{IntensityFact, IntensityKind};
use aimeter::units::Intensity;

use crate::fixtures::{Fixture, ask, body, direct, feed, fixtures, time, whole};

type Line = (String, String, f64, IntensityKind);

fn line(fact: &IntensityFact) -> Line {
    (fact.from.to_string(), fact.to.to_string(), fact.intensity.grams_per_kwh(), fact.kind)
}

fn expected(from: &str, to: &str, grams: f64, kind: IntensityKind) -> Line {
    (from.into(), to.into(), grams, kind)
}

/// The facts of the fixture of this file; of the first, where there are two.
fn of(name: &str) -> Vec<IntensityFact> {
    let fixture = fixtures().into_iter().find(|fixture| fixture.file == name).unwrap();
    fixture.facts().unwrap()
}

#[test]
fn each_answer_means_what_its_documentation_says() {
    use IntensityKind::{Actual, Estimated, Forecast, Provisional};
    let check = |name: &str, lines: &[(&str, &str, f64, IntensityKind)]| {
        let found: Vec<Line> = of(name).iter().map(line).collect();
        let wanted: Vec<Line> =
            lines.iter().map(|(from, to, grams, kind)| expected(from, to, *grams, *kind)).collect();
        assert_eq!(found, wanted, "{name}");
    };
    check("uk_intensity.json", &[("2020-01-01T00:00:00Z", "2020-01-01T00:30:00Z", 190.0, Actual)]);
    check(
        "uk_intensity_no_actual.json",
        &[("2026-11-24T06:30:00Z", "2026-11-24T07:00:00Z", 164.0, Forecast)],
    );
    check(
        "uk_regional_postcode_bh1.json",
        &[("2020-05-19T20:00:00Z", "2020-05-19T20:30:00Z", 307.0, Forecast)],
    );
    check(
        "energy_charts_co2eq_de.json",
        &[
            ("2026-07-12T22:00:00Z", "2026-07-12T22:15:00Z", 491.5, Actual),
            ("2026-07-12T22:15:00Z", "2026-07-12T22:30:00Z", 497.4, Actual),
            ("2026-07-12T22:30:00Z", "2026-07-12T22:45:00Z", 502.6, Actual),
            ("2026-07-12T22:45:00Z", "2026-07-12T23:00:00Z", 505.0, Forecast),
            ("2026-07-12T23:00:00Z", "2026-07-12T23:15:00Z", 508.0, Forecast),
        ],
    );
    check(
        "energinet_co2emis.json",
        &[
            ("2026-01-20T16:25:00Z", "2026-01-20T16:30:00Z", 158.0, Provisional),
            ("2026-01-20T16:30:00Z", "2026-01-20T16:35:00Z", 160.0, Provisional),
        ],
    );
    check(
        "energinet_co2emisprog.json",
        &[
            ("2026-01-20T17:00:00Z", "2026-01-20T17:05:00Z", 155.0, Forecast),
            ("2026-01-20T17:05:00Z", "2026-01-20T17:10:00Z", 154.0, Forecast),
        ],
    );
    check(
        "odre_taux_co2.json",
        &[
            ("2023-09-21T00:45:00Z", "2023-09-21T01:00:00Z", 13.0, Provisional),
            ("2023-09-21T01:00:00Z", "2023-09-21T01:15:00Z", 13.0, Provisional),
            ("2023-09-21T01:15:00Z", "2023-09-21T01:30:00Z", 13.0, Provisional),
        ],
    );
    check(
        "odre_null_slots.json",
        &[("2026-11-24T07:00:00Z", "2026-11-24T07:15:00Z", 27.0, Provisional)],
    );
    check(
        "em_latest_de.json",
        &[("2025-09-08T15:00:00Z", "2025-09-08T16:00:00Z", 411.0, Estimated)],
    );
    check(
        "em_latest_15min.json",
        &[("2026-05-08T21:15:00Z", "2026-05-08T21:30:00Z", 38.0, Estimated)],
    );
    check(
        "em_latest_us_midw_miso_direct.json",
        &[("2024-09-27T00:00:00Z", "2024-09-27T01:00:00Z", 506.0, Estimated)],
    );
    check("em_past_de.json", &[("2025-10-01T12:00:00Z", "2025-10-01T13:00:00Z", 322.0, Actual)]);
    // The hours between are cut from the recording: a gap stays a gap.
    check(
        "em_past_range_us_car_duk.json",
        &[
            ("2023-07-13T00:00:00Z", "2023-07-13T01:00:00Z", 369.0, Actual),
            ("2023-07-13T01:00:00Z", "2023-07-13T02:00:00Z", 365.0, Actual),
            ("2023-07-13T23:00:00Z", "2023-07-14T00:00:00Z", 386.0, Actual),
        ],
    );
    check(
        "em_forecast_ie.json",
        &[
            ("2026-05-08T21:00:00Z", "2026-05-08T22:00:00Z", 351.0, Forecast),
            ("2026-05-08T22:00:00Z", "2026-05-08T23:00:00Z", 344.0, Forecast),
            ("2026-05-08T23:00:00Z", "2026-05-09T00:00:00Z", 337.0, Forecast),
            ("2026-05-09T00:00:00Z", "2026-05-09T01:00:00Z", 329.0, Forecast),
        ],
    );
}

#[test]
fn a_day_of_the_uk_is_49_half_hours_and_settled() {
    let day = of("uk_national_fw24h.json");
    assert_eq!(day.len(), 49);
    assert!(day.iter().all(|fact| fact.kind == IntensityKind::Actual));
    let last =
        expected("2017-10-02T11:30:00Z", "2017-10-02T12:00:00Z", 184.0, IntensityKind::Actual);
    assert_eq!(line(&day[48]), last);
    assert_eq!(line(&day[0]).2, 143.0);
    // The forecast of a region that is fetched later is still its forecast.
    let region = of("uk_regional_fw48h_bh1.json");
    assert_eq!(
        (region.len(), region[0].intensity),
        (4, Intensity::from_milligrams_per_kwh(307_000))
    );
    assert!(region.iter().all(|fact| fact.kind == IntensityKind::Forecast));
}

#[test]
fn a_fact_says_whose_it_is_and_what_it_counts() {
    let one = |name: &str| {
        let fact = of(name).remove(0);
        (fact.zone, fact.source, fact.signal, fact.boundary)
    };
    let said = |zone: &str, source: &str, boundary: &str| {
        (zone.to_owned(), source.to_owned(), "average".to_owned(), boundary.to_owned())
    };
    assert_eq!(one("uk_intensity.json"), said("GB", "uk-carbon-intensity", "direct"));
    assert_eq!(
        one("uk_regional_postcode_bh1.json"),
        said("GB", "uk-carbon-intensity:BH1", "direct")
    );
    assert_eq!(one("energy_charts_co2eq_de.json"), said("DE", "energy-charts", "lifecycle"));
    assert_eq!(one("em_latest_de.json"), said("DE", "electricity-maps", "lifecycle"));
    let miso = said("US-MIDW-MISO", "electricity-maps", "direct");
    assert_eq!(one("em_latest_us_midw_miso_direct.json"), miso);
    let updated = of("em_latest_de.json")[0].provider_updated_at;
    assert_eq!(updated, Some(time("2025-09-08T14:58:21.950Z")));
    let east = fixtures().into_iter().find(|f| f.feed.place.as_deref() == Some("DK2")).unwrap();
    let east = east.facts().unwrap();
    assert_eq!(east[1].intensity.grams_per_kwh(), 142.0);
    assert_eq!((east[1].zone.as_str(), east[1].source.as_str()), ("DK", "energinet:DK2"));
}

#[test]
fn what_is_fetched_before_its_interval_ends_is_not_measured() {
    let at = |now: &str| {
        let feed = feed(&uk::PROVIDER, None);
        facts(&feed, &ask("GB", Want::Now, now), &body("uk_intensity.json")).unwrap()[0].kind
    };
    assert_eq!(at("2019-12-31T23:59:59Z"), IntensityKind::Forecast);
    assert_eq!(at("2020-01-01T00:00:00Z"), IntensityKind::Provisional);
    assert_eq!(at("2020-01-01T00:29:59Z"), IntensityKind::Provisional);
    assert_eq!(at("2020-01-01T00:30:00Z"), IntensityKind::Actual);
}

#[test]
fn a_range_keeps_what_lies_in_it_and_nothing_else() {
    let range = Want::Range { from: time("2017-10-01T12:10Z"), to: time("2017-10-01T13:00Z") };
    let mut fixture = fixtures().remove(2);
    fixture.ask.want = range;
    let starts: Vec<String> = fixture.facts().unwrap().iter().map(|f| f.from.to_string()).collect();
    assert_eq!(starts, ["2017-10-01T12:00:00Z", "2017-10-01T12:30:00Z"]);
}

#[test]
fn another_place_than_asked_for_is_an_error() {
    let other = |fixture: Fixture| match fixture.facts().unwrap_err() {
        FeedError::Other { asked, answered } => (asked, answered),
        error => panic!("{error}"),
    };
    let case = |file, feed: Feed, zone, want| Fixture {
        file,
        feed,
        ask: ask(zone, want, "2026-12-01T00:00Z"),
    };
    let em = || feed(&electricity_maps::PROVIDER, None);
    let pair = |asked: &str, answered: &str| (asked.to_owned(), answered.to_owned());
    // Asked for a point in the Atlantic, the service once answered for the caller's place.
    assert_eq!(
        other(case("em_past_range_us_car_duk.json", em(), "GB", whole())),
        pair("GB", "US-CAR-DUK")
    );
    assert_eq!(
        other(case("em_latest_de.json", direct(em()), "DE", Want::Now)),
        pair("direct", "lifecycle")
    );
    let region = feed(&uk::PROVIDER, Some("13"));
    assert_eq!(
        other(case("uk_regional_postcode_bh1.json", region, "GB", Want::Now)),
        pair("13", "region 11 BH1")
    );
    let west = String::from_utf8(body("energinet_co2emisprog.json")).unwrap();
    let east = ask("DK", Want::Forecast, "2026-01-20T16:36Z");
    assert!(matches!(
        facts(&feed(&energinet::PROVIDER, Some("DK2")), &east, west.as_bytes()),
        Err(FeedError::Other { .. })
    ));
}

#[test]
fn nothing_is_nothing() {
    let uk_feed = feed(&uk::PROVIDER, None);
    let now = ask("GB", Want::Now, "2026-11-24T06:40Z");
    // 200 and an empty object, as in the outage of January 2025.
    assert_eq!(facts(&uk_feed, &now, &body("uk_200_empty.json")), Err(FeedError::Nothing));
    let nulls = br#"{"data":[{"from":"2026-11-24T06:30Z","to":"2026-11-24T07:00Z","intensity":{"forecast":null,"actual":null}}]}"#;
    assert_eq!(facts(&uk_feed, &now, nulls), Err(FeedError::Nothing));
    let empty = br#"{"results":[],"total_count":0}"#;
    let france = ask("FR", Want::Now, "2026-11-24T06:40Z");
    assert_eq!(facts(&feed(&rte::PROVIDER, None), &france, empty), Err(FeedError::Nothing));
}

#[test]
fn the_hour_that_comes_twice_and_the_one_that_is_left_out_are_no_trouble() {
    let rows = |times: &[&str]| {
        let rows: Vec<String> = times
            .iter()
            .map(|utc| {
                format!(r#"{{"Minutes5UTC":"{utc}","PriceArea":"DK1","CO2Emission":100.0}}"#)
            })
            .collect();
        format!(r#"{{"records":[{}]}}"#, rows.join(","))
    };
    let starts = |feed: &Feed, zone: &str, body: &str| -> Vec<String> {
        let ask = ask(zone, whole(), "2026-12-01T00:00Z");
        facts(feed, &ask, body.as_bytes()).unwrap().iter().map(|f| f.from.to_string()).collect()
    };
    // 02:00 in Denmark twice: 00:00 and 01:00 UTC.
    let autumn = rows(&["2026-10-25T00:00:00", "2026-10-25T01:00:00"]);
    assert_eq!(
        starts(&feed(&energinet::PROVIDER, Some("DK1")), "DK", &autumn),
        ["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"]
    );
    let spring = r#"{"results":[{"taux_co2":20,"date_heure":"2026-03-29T03:00:00+02:00"},
        {"taux_co2":21,"date_heure":"2026-03-29T01:45:00+01:00"}]}"#;
    assert_eq!(
        starts(&feed(&rte::PROVIDER, None), "FR", spring),
        ["2026-03-29T00:45:00Z", "2026-03-29T01:00:00Z"]
    );
}

#[test]
fn an_implausible_figure_condemns_its_answer() {
    let uk_body = |from: &str, to: &str, value: &str| {
        format!(
            r#"{{"data":[{{"from":"{from}","to":"{to}","intensity":{{"forecast":{value}}}}}]}}"#
        )
    };
    let read = |body: &str| {
        let now = ask("GB", whole(), "2026-11-24T06:40Z");
        facts(&feed(&uk::PROVIDER, None), &now, body.as_bytes())
    };
    let (from, to) = ("2026-11-24T06:30Z", "2026-11-24T07:00Z");
    let wrong = |body: String| match read(&body) {
        Err(FeedError::Implausible(_) | FeedError::NotUnderstood(_)) => {}
        other => panic!("{body}: {other:?}"),
    };
    assert!(read(&uk_body(from, to, "1500")).is_ok());
    assert!(read(&uk_body(from, to, "0")).is_ok());
    for value in ["-1", "1500.1", "1e400", "1e30", "\"164\"", "NaN", "true", "[164]"] {
        wrong(uk_body(from, to, value));
    }
    wrong(uk_body(from, from, "164"));
    wrong(uk_body(to, from, "164"));
    wrong(uk_body(from, "2026-11-24T06:30:59Z", "164"));
    wrong(uk_body(from, "2028-11-24T06:30Z", "164"));
    wrong(uk_body("2026-11-27T08:00Z", "2026-11-27T08:30Z", "164"));
    wrong(uk_body("yesterday", to, "164"));
    let two = |second: &str| {
        uk_body(from, to, "164").replace(
            "]}",
            &format!(
                r#",{{"from":"{second}","to":"2026-11-24T07:30Z","intensity":{{"forecast":1}}}}]}}"#
            ),
        )
    };
    assert_eq!(read(&two("2026-11-24T07:00Z")).unwrap().len(), 2);
    wrong(two("2026-11-24T06:59Z"));
    let lifecycle = |value: &str| {
        let body =
            format!(r#"{{"unix_seconds":[1783893600],"co2eq":[{value}],"co2eq_forecast":[null]}}"#);
        let now = ask("DE", Want::Now, "2026-07-12T22:50Z");
        facts(&feed(&energy_charts::PROVIDER, None), &now, body.as_bytes())
    };
    assert!(lifecycle("12.5").is_ok());
    assert!(matches!(lifecycle("0"), Err(FeedError::Implausible(_))));
}

#[test]
fn energy_charts_lists_must_fit_one_another() {
    let read = |body: &str| {
        let now = ask("DE", Want::Now, "2026-07-12T22:50Z");
        facts(&feed(&energy_charts::PROVIDER, None), &now, body.as_bytes())
    };
    for body in [
        r#"{"unix_seconds":[1783893600,1783894500],"co2eq":[1.0]}"#,
        r#"{"unix_seconds":[1783894500,1783893600],"co2eq":[1.0,2.0]}"#,
        r#"{"unix_seconds":[1783893600,1783893600],"co2eq":[1.0,2.0]}"#,
        r#"{"unix_seconds":[1783893600,1783979999],"co2eq":[1.0,2.0]}"#,
        r#"{"unix_seconds":[-9223372036854775808,9223372036854775807],"co2eq":[1.0,2.0]}"#,
    ] {
        assert!(matches!(read(body), Err(FeedError::NotUnderstood(_))), "{body}");
    }
}

#[test]
fn a_file_is_csv_or_json_and_its_nulls_are_missing() {
    let read = |body: &str| {
        let now = ask("DE", whole(), "2026-11-24T09:00Z");
        facts(&feed(&file::PROVIDER, None), &now, body.as_bytes())
    };
    let csv = "from,to,grams_per_kwh,kind\n\
        2026-11-24T07:00Z, 2026-11-24T08:00Z, 210.5, actual\n\
        2026-11-24T08:00Z,2026-11-24T08:30Z,,\n\
        2026-11-24T08:30Z,2026-11-24T09:00Z,200,\n";
    let lines: Vec<Line> = read(csv).unwrap().iter().map(line).collect();
    let two = [
        expected("2026-11-24T07:00:00Z", "2026-11-24T08:00:00Z", 210.5, IntensityKind::Actual),
        expected("2026-11-24T08:30:00Z", "2026-11-24T09:00:00Z", 200.0, IntensityKind::Estimated),
    ];
    assert_eq!(lines, two);
    let json = r#" [{"from":"2026-11-24T07:00Z","to":"2026-11-24T08:00Z","grams_per_kwh":210.5,"kind":"actual"},
        {"from":"2026-11-24T08:00Z","to":"2026-11-24T08:30Z","grams_per_kwh":null},
        {"from":"2026-11-24T08:30Z","to":"2026-11-24T09:00Z","grams_per_kwh":200,"kind":"table"}]"#;
    assert_eq!(read(json).unwrap().iter().map(line).collect::<Vec<_>>(), two);
    assert_eq!(read(""), Err(FeedError::Nothing));
    for broken in
        ["from,to\n1,2\n", "[", "from,to,grams_per_kwh\n2026-11-24T07:00Z,x,1\n", "\0\u{1}"]
    {
        assert!(read(broken).is_err(), "{broken}");
    }
}

#[test]
fn any_document_is_read_by_pointer_and_unit() {
    let mut own = feed(&json::PROVIDER, None);
    own.pointer = Some("/data/0/gco2eq_kwh".into());
    own.time_pointer = Some("/data/0/ts".into());
    let now = ask("DE", Want::Now, "2026-08-26T01:30Z");
    let read = |feed: &Feed, body: &[u8]| facts(feed, &now, body);
    let recorded = body("gridcarbon_latest_de.json");
    assert_eq!(
        line(&read(&own, &recorded).unwrap()[0]),
        expected("2026-08-26T01:00:00Z", "2026-08-26T02:00:00Z", 371.4, IntensityKind::Estimated)
    );
    own.time_pointer = None;
    let fact = read(&own, &recorded).unwrap().remove(0);
    assert_eq!((fact.from, fact.to), (now.now, time("2026-08-26T02:30Z")));
    for (unit, grams) in [(json::Unit::PoundsPerMwh, 168.464), (json::Unit::KilogramsPerMwh, 371.4)]
    {
        own.unit = unit;
        assert_eq!(read(&own, &recorded).unwrap()[0].intensity.grams_per_kwh(), grams);
    }
    own.unit = json::Unit::TonnesPerMwh;
    assert!(matches!(read(&own, &recorded), Err(FeedError::Implausible(_))));
    for wrong in ["/data/1/gco2eq_kwh", "/data/0/ts", "/data", "/unit"] {
        own.pointer = Some(wrong.into());
        assert!(matches!(read(&own, &recorded), Err(FeedError::NotUnderstood(_))), "{wrong}");
    }
}
