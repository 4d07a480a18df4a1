// SPDX-License-Identifier: Apache-2.0
//! Feeds whose figure is converted or computed: WattTime from pounds, ENTSO-E and EIA
//! from what each kind of plant generated. The oracles were computed by other means
//! (`answers/README.md`); no figure comes from what an answer does not hold.

use aimeter::grid::feeds::{Feed, FeedError, Want, eia, entsoe, facts, watttime};
use aimeter::grid::secret::SecretSource;
use aimeter::ledger::{IntensityFact, IntensityKind};

use crate::fixtures::{ask, body, feed, fixtures, time, whole};

fn text(name: &str) -> String {
    String::from_utf8(body(name)).unwrap()
}

fn grams(facts: &[IntensityFact]) -> Vec<f64> {
    facts.iter().map(|fact| fact.intensity.grams_per_kwh()).collect()
}

fn of(name: &str) -> Vec<IntensityFact> {
    let fixture = fixtures().into_iter().find(|fixture| fixture.file == name).unwrap();
    fixture.facts().unwrap()
}

fn other(result: Result<Vec<IntensityFact>, FeedError>) -> (String, String) {
    match result.unwrap_err() {
        FeedError::Other { asked, answered } => (asked, answered),
        error => panic!("{error}"),
    }
}

fn is_not_understood(result: Result<Vec<IntensityFact>, FeedError>, what: &str) {
    match result.unwrap_err() {
        FeedError::NotUnderstood(words) => assert!(words.contains(what), "{words}"),
        error => panic!("{error}"),
    }
}

// ---- WattTime ----

fn watt(want: Want, body: &str) -> Result<Vec<IntensityFact>, FeedError> {
    let feed = feed(&watttime::PROVIDER, Some("CAISO_NORTH"));
    facts(&feed, &ask("US-CA", want, "2022-07-15T00:20Z"), body.as_bytes())
}

#[test]
fn pounds_become_grams_and_the_first_of_the_forecast_is_now() {
    let now = watt(Want::Now, &text("wt_forecast.json")).unwrap();
    assert_eq!(grams(&now), [475.552]);
    let fact = &now[0];
    assert_eq!(fact.from, time("2022-07-15T00:00Z"));
    assert_eq!(fact.to, time("2022-07-15T00:05Z"));
    assert_eq!((fact.signal.as_str(), fact.boundary.as_str()), ("marginal", "direct"));
    assert_eq!(fact.source, "watttime:CAISO_NORTH");
    assert_eq!(fact.kind, IntensityKind::Forecast);
    assert_eq!(watt(Want::Forecast, &text("wt_forecast.json")).unwrap().len(), 2);
    let past = of("wt_historical.json");
    assert_eq!(grams(&past), [394.625, 390.089]);
    assert_eq!(past[0].provider_updated_at, Some(time("2022-07-15T00:10:02Z")));
}

#[test]
fn a_past_figure_is_provisional_for_two_days_and_estimated_where_it_was_filled_in() {
    let feed = feed(&watttime::PROVIDER, Some("CAISO_NORTH"));
    let kinds = |now: &str, body: &str| -> Vec<IntensityKind> {
        let found = facts(&feed, &ask("US-CA", whole(), now), body.as_bytes()).unwrap();
        found.iter().map(|fact| fact.kind).collect()
    };
    use IntensityKind::{Actual, Estimated, Provisional};
    let body = text("wt_historical.json");
    assert_eq!(kinds("2022-07-17T00:04:59Z", &body), [Provisional, Provisional]);
    assert_eq!(kinds("2022-07-17T00:05:00Z", &body), [Actual, Provisional]);
    let filled = body.replace("\"value\": 870,", "\"value\": 870, \"imputed_data_used\": true,");
    assert_eq!(kinds("2022-07-20T00:00:00Z", &filled), [Estimated, Actual]);
}

#[test]
fn a_percentile_another_region_or_another_signal_is_never_an_intensity() {
    let pair = |asked: &str, answered: &str| (asked.to_owned(), answered.to_owned());
    let index = text("wt_signal_index.json");
    assert_eq!(other(watt(Want::Now, &index)), pair("lbs_co2_per_mwh", "percentile"));
    let good = text("wt_forecast.json");
    for (from, to, said) in [
        ("CAISO_NORTH", "PJM_DC", pair("CAISO_NORTH", "PJM_DC")),
        ("co2_moer", "co2_aoer", pair("co2_moer", "co2_aoer")),
        ("co2_moer", "health_damage", pair("co2_moer", "health_damage")),
        ("lbs_co2_per_mwh", "kg_co2_per_mwh", pair("lbs_co2_per_mwh", "kg_co2_per_mwh")),
    ] {
        assert_eq!(other(watt(Want::Now, &good.replace(from, to))), said);
    }
    // An answer that does not say what it is is none.
    assert!(watt(Want::Now, &good.replace("\"units\"", "\"unit\"")).is_err());
    assert_eq!(watt(whole(), &text("wt_warnings.json")), Err(FeedError::Nothing));
    let missing = good.replace("1048.4131919701972", "null");
    assert_eq!(watt(Want::Now, &missing), Err(FeedError::Nothing));
}

// ---- ENTSO-E ----

fn belgium(body: &str) -> Result<Vec<IntensityFact>, FeedError> {
    let feed = feed(&entsoe::PROVIDER, None);
    facts(&feed, &ask("BE", whole(), "2024-01-02T01:30Z"), body.as_bytes())
}

fn scania(body: &str) -> Result<Vec<IntensityFact>, FeedError> {
    let feed = feed(&entsoe::PROVIDER, Some("10Y1001A1001A47J"));
    facts(&feed, &ask("SE", whole(), "2025-10-25T00:00Z"), body.as_bytes())
}

#[test]
fn the_mix_of_belgium_is_that_of_the_oracle() {
    let found = of("entsoe_a75_be.xml");
    // Pumped storage is left out, as consumer and as generator.
    assert_eq!(grams(&found), [104.347, 100.288]);
    assert_eq!(found[0].from, time("2024-01-01T00:00Z"));
    assert_eq!(found[1].to, time("2024-01-01T02:00Z"));
    assert_eq!(found[0].signal, "average");
    assert_eq!(found[0].boundary, "lifecycle");
    // Twelve hours later the first hour is not corrected any more, the second may be.
    let kinds: Vec<IntensityKind> = found.iter().map(|fact| fact.kind).collect();
    assert_eq!(kinds, [IntensityKind::Actual, IntensityKind::Provisional]);
}

#[test]
fn a_point_that_is_left_out_repeats_the_one_before_to_the_periods_end() {
    let oracle = [
        80.021, 79.77, 80.986, 82.873, 80.62, 79.884, 77.243, 70.164, 67.959, 69.163, 68.867,
        69.669,
    ];
    let found = of("entsoe_a75_se4_a03.xml");
    assert_eq!(grams(&found), oracle);
    assert_eq!(found[0].from, time("2025-10-20T11:00Z"));
    assert_eq!(found[11].to, time("2025-10-20T23:00Z"));
    assert_eq!(found[0].source, "entsoe:10Y1001A1001A47J");
    // With type A01 a point that is left out is not known, and neither is its hour.
    let plain = scania(&text("entsoe_a75_se4_a03.xml").replace("A03", "A01")).unwrap();
    assert!(plain.len() < 12, "{}", plain.len());
    for fact in &plain {
        let hours = fact.from.duration_since(time("2025-10-20T11:00Z")).as_hours() as usize;
        assert_eq!(fact.intensity.grams_per_kwh(), oracle[hours]);
    }
}

/// A document of Belgium with these series: kind of plant, direction, periods.
fn document(series: &[(&str, &str, &[String])]) -> String {
    let series: Vec<String> = series
        .iter()
        .map(|(plant, direction, periods)| {
            format!(
                "<TimeSeries><{direction}BiddingZone_Domain.mRID>10YBE----------2\
                 </{direction}BiddingZone_Domain.mRID><quantity_Measure_Unit.name>MAW\
                 </quantity_Measure_Unit.name><curveType>A03</curveType><MktPSRType><psrType>\
                 {plant}</psrType></MktPSRType>{}</TimeSeries>",
                periods.concat()
            )
        })
        .collect();
    format!("<GL_MarketDocument><type>A75</type>{}</GL_MarketDocument>", series.concat())
}

fn period(from: &str, to: &str, step: &str, points: &[(u32, f64)]) -> String {
    let points: Vec<String> = points
        .iter()
        .map(|(position, quantity)| {
            format!("<Point><position>{position}</position><quantity>{quantity}</quantity></Point>")
        })
        .collect();
    format!(
        "<Period><timeInterval><start>2024-01-01T{from}Z</start><end>2024-01-01T{to}Z</end>\
         </timeInterval><resolution>{step}</resolution>{}</Period>",
        points.concat()
    )
}

#[test]
fn periods_directions_steps_and_less_than_nothing_are_as_documented() {
    let whole_hours = period("00:00", "02:00", "PT60M", &[(1, 300.0)]);
    // Two periods of one kind of plant, in steps of a quarter of an hour.
    let first = period("00:00", "01:00", "PT15M", &[(1, 100.0), (3, -20.0)]);
    let second = period("01:00", "02:00", "PT15M", &[(1, 100.0)]);
    let quarters = [first, second];
    let nuclear = ("B14", "in", std::slice::from_ref(&whole_hours));
    let found = belgium(&document(&[nuclear, ("B04", "in", &quarters)])).unwrap();
    // 300 of nuclear at 12, and 50 in the mean of the hour, then 100, of gas at 490.
    let mean =
        |gas: f64| ((300.0 * 12.0 + gas * 490.0) / (300.0 + gas) * 1_000.0_f64).round() / 1e3;
    assert_eq!(grams(&found), [mean(50.0), mean(100.0)]);
    // What a plant consumes is no generation, and a store's generation is none.
    let pumps = [period("00:00", "02:00", "PT60M", &[(1, 5_000.0)])];
    for store in [("B10", "out", &pumps[..]), ("B14", "out", &pumps[..]), ("B25", "in", &pumps[..])]
    {
        let with = document(&[nuclear, ("B04", "in", &quarters), store]);
        assert_eq!(belgium(&with).unwrap(), found);
    }
    // An hour of which gas does not tell has no figure: it would look clean.
    let without = belgium(&document(&[nuclear, ("B04", "in", &quarters[1..])])).unwrap();
    assert_eq!(without, found[1..]);
    // All at rest: nothing was generated, and nothing has an intensity.
    let still = [period("00:00", "02:00", "PT60M", &[(1, 0.0)])];
    assert_eq!(belgium(&document(&[("B14", "in", &still)])), Err(FeedError::Nothing));
}

#[test]
fn an_acknowledgement_is_no_data_or_a_refusal_in_its_words() {
    assert_eq!(belgium(&text("entsoe_999_no_data.xml")), Err(FeedError::Nothing));
    let error = belgium(&text("entsoe_401.xml")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "it answered 200: Unauthorized. Missing or invalid security token"
    );
}

#[test]
fn a_document_of_another_area_unit_kind_or_shape_is_an_error() {
    let good = text("entsoe_a75_be.xml");
    let pair = |asked: &str, answered: &str| (asked.to_owned(), answered.to_owned());
    let area = good.replacen("10YBE----------2", "10YNL----------L", 1);
    assert_eq!(other(belgium(&area)), pair("10YBE----------2", "10YNL----------L"));
    assert_eq!(other(belgium(&good.replace("MAW", "KWT"))), pair("MAW", "KWT"));
    assert_eq!(other(belgium(&good.replace(">A75<", ">A65<"))), pair("A75", "A65"));
    is_not_understood(belgium(&good.replace("PT60M", "P1D")), "its step is P1D");
    is_not_understood(belgium(&good.replace(">A01</curve", ">A05</curve")), "type A05");
    is_not_understood(belgium(&good.replace("<quantity>700<", "<quantity>inf<")), "no power");
    is_not_understood(belgium(&good.replace("<quantity>700<", "<quantity><")), "no power");
    is_not_understood(belgium(&good.replacen("<position>2<", "<position>1<", 1)), "point 1 of 2");
    is_not_understood(belgium(&good.replacen("<position>2<", "<position>3<", 1)), "point 3 of 2");
    is_not_understood(belgium(&good.replace(">B04<", ">B01<")), "twice of B01");
    is_not_understood(belgium(&good.replace("GL_Market", "Balancing_Market")), "is a Balancing");
    let day = period("02:00", "00:00", "PT15M", &[(1, 1.0)]);
    is_not_understood(belgium(&document(&[("B04", "in", &[day])])), "ends before it starts");
    let long = period("00:00", "00:00", "PT15M", &[(1, 1.0)]).replacen(
        "2024-01-01T00:00Z</end",
        "2424-01-01T00:00Z</end",
        1,
    );
    is_not_understood(belgium(&document(&[("B04", "in", &[long])])), "longer than what was asked");
}

#[test]
fn an_entity_bomb_is_refused() {
    let laughs = "<!DOCTYPE a [<!ENTITY b \"ha\"><!ENTITY c \"&b;&b;&b;&b;&b;&b;\">]>";
    let bomb = text("entsoe_a75_be.xml").replacen("<GL_Market", &format!("{laughs}<GL_Market"), 1);
    assert!(bomb.contains("DOCTYPE"));
    is_not_understood(belgium(&bomb), "declares a document type");
    let undefined = text("entsoe_a75_be.xml").replace("<quantity>700<", "<quantity>&b;<");
    is_not_understood(belgium(&undefined), "which nothing defines");
    is_not_understood(belgium(&"<a>".repeat(1_000_000)), "deeper than any honest one");
}

// ---- EIA ----

fn bonneville(body: &str) -> Result<Vec<IntensityFact>, FeedError> {
    let feed = feed(&eia::PROVIDER, Some("BPAT"));
    facts(&feed, &ask("US-OR", whole(), "2022-11-01T12:00Z"), body.as_bytes())
}

#[test]
fn an_hour_is_named_by_its_end_and_one_with_a_missing_fuel_has_no_figure() {
    let found = of("eia_fuel_type_bpat.json");
    assert_eq!(grams(&found), [106.637]);
    assert_eq!(found[0].from, time("2022-10-31T10:00Z"));
    assert_eq!(found[0].to, time("2022-10-31T11:00Z"));
    assert_eq!((found[0].boundary.as_str(), found[0].signal.as_str()), ("lifecycle", "average"));
    assert_eq!(found[0].kind, IntensityKind::Provisional);
    let settled = facts(
        &feed(&eia::PROVIDER, Some("BPAT")),
        &ask("US-OR", whole(), "2022-11-03T11:00Z"),
        &body("eia_fuel_type_bpat.json"),
    );
    assert_eq!(settled.unwrap()[0].kind, IntensityKind::Actual);
    // Each value of the good hour in turn: without any of them it is no hour.
    let good = text("eia_fuel_type_bpat.json");
    let place = good.find("2022-10-31T11").unwrap();
    let (head, tail) = good.split_at(place);
    for value in ["20", "5105", "1165", "0", "900"] {
        let without = tail.replacen(&format!("\"value\": \"{value}\""), "\"value\": null", 1);
        assert_ne!(without, tail, "{value}");
        assert_eq!(bonneville(&format!("{head}{without}")), Err(FeedError::Nothing), "{value}");
    }
}

#[test]
fn numbers_may_be_numbers_and_what_is_below_nothing_or_a_store_counts_as_nothing() {
    let good = text("eia_fuel_type_bpat.json");
    let place = good.find("2022-10-31T11").unwrap();
    let change = |from: &str, to: &str| {
        let (head, tail) = good.split_at(place);
        let changed = tail.replacen(from, to, 1);
        assert_ne!(changed, tail, "{from}");
        bonneville(&format!("{head}{changed}")).map(|found| grams(&found))
    };
    let as_ever = Ok(vec![106.637]);
    assert_eq!(change("\"value\": \"20\"", "\"value\": 20"), as_ever);
    assert_eq!(change("\"value\": \"0\"", "\"value\": \"-7\""), as_ever);
    // An hour that lacks a fuel of another hour is not whole.
    let lacking = change("\"fueltype\": \"OTH\"", "\"fueltype\": \"NEW\"");
    assert_eq!(lacking, Err(FeedError::Nothing));
    // A fuel that nobody has heard of is no clean one: 700 g, as "other" has.
    let both = good.replace("\"fueltype\": \"OTH\"", "\"fueltype\": \"NEW\"");
    assert_eq!(grams(&bonneville(&both).unwrap()), [106.637]);
    // A store is left out: 6290 MWh of wind, water and nuclear.
    let store = good.replace("\"fueltype\": \"OTH\"", "\"fueltype\": \"BAT\"");
    let clean = (20.0 * 11.0 + 5_105.0 * 24.0 + 1_165.0 * 12.0) / 6_290.0_f64;
    assert_eq!(grams(&bonneville(&store).unwrap()), [(clean * 1e3).round() / 1e3]);
}

#[test]
fn an_answer_of_another_authority_unit_or_length_is_an_error() {
    let good = text("eia_fuel_type_bpat.json");
    let pair = |asked: &str, answered: &str| (asked.to_owned(), answered.to_owned());
    let other_place = good.replacen("\"respondent\": \"BPAT\"", "\"respondent\": \"CISO\"", 1);
    assert_eq!(other(bonneville(&other_place)), pair("BPAT", "CISO"));
    let unit = good.replacen("megawatthours", "megawatts", 1);
    assert_eq!(other(bonneville(&unit)), pair("megawatthours", "megawatts"));
    let cut = good.replace("\"total\": \"10\"", "\"total\": \"11\"");
    is_not_understood(bonneville(&cut), "10 rows of 11");
    let day = good.replacen("2022-10-31T12", "2022-10-31", 1);
    is_not_understood(bonneville(&day), "is no time");
    let word = good.replacen("\"5105\"", "\"many\"", 1);
    is_not_understood(bonneville(&word), "expected a number");
    for file in ["eia_400.json", "eia_403_invalid.json"] {
        assert!(bonneville(&text(file)).is_err());
    }
}

#[test]
fn no_request_of_a_feed_with_a_key_holds_it() {
    let secret = "s3cr3t";
    for provider in aimeter::grid::feeds::PROVIDERS {
        let mut feed = Feed::of(provider);
        feed.token = Some(SecretSource::Inline(aimeter::grid::secret::Secret::new(secret)));
        feed.user = Some("me".into());
        feed.place = (provider.name != "rte").then(|| "10YBE----------2".into());
        let asked =
            aimeter::grid::feeds::request(&feed, &ask("BE", Want::Now, "2026-11-24T09:00Z"));
        assert!(!format!("{asked:?} {feed:?}").contains(secret), "{asked:?}");
    }
}
