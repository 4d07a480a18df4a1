// SPDX-License-Identifier: Apache-2.0
//! The recorded answers (`answers/README.md` says where each comes from), and feeds
//! as a configuration makes them.

use std::path::Path;

use aimeter::grid::feeds::{
    Ask, Boundary, Feed, FeedError, Provider, Want, eia, electricity_maps, energinet,
    energy_charts, entsoe, facts, rte, uk, watttime,
};
use aimeter::grid::secret::SecretSource;
use aimeter::ledger::IntensityFact;
use jiff::Timestamp;

pub fn body(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/feeds/answers").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A feed, with the provider's own name of the place where that is not the zone's.
pub fn feed(provider: &'static Provider, place: Option<&str>) -> Feed {
    let mut feed = Feed::of(provider);
    feed.place = place.map(str::to_owned);
    if ["electricity-maps", "watttime", "entsoe", "eia"].contains(&provider.name) {
        feed.token = Some(SecretSource::Environment("KEY".into()));
    }
    if provider.name == "watttime" {
        feed.user = Some("me".into());
    }
    feed
}

pub fn direct(mut feed: Feed) -> Feed {
    feed.boundary = Boundary::Direct;
    feed
}

/// Everything.
pub fn whole() -> Want {
    Want::Range { from: time("2000-01-01T00:00Z"), to: time("2100-01-01T00:00Z") }
}

pub fn ask(zone: &str, want: Want, now: &str) -> Ask {
    Ask { zone: zone.into(), want, now: time(now) }
}

/// A recorded answer with the question that it belongs to.
pub struct Fixture {
    pub file: &'static str,
    pub feed: Feed,
    pub ask: Ask,
}

impl Fixture {
    pub fn facts(&self) -> Result<Vec<IntensityFact>, FeedError> {
        facts(&self.feed, &self.ask, &body(self.file))
    }
}

/// Every answer that holds figures, fetched at a time that fits it.
pub fn fixtures() -> Vec<Fixture> {
    let fixture = |file, feed, zone, want, now| Fixture { file, feed, ask: ask(zone, want, now) };
    let em = |place| feed(&electricity_maps::PROVIDER, place);
    let watt = || feed(&watttime::PROVIDER, Some("CAISO_NORTH"));
    vec![
        fixture(
            "uk_intensity.json",
            feed(&uk::PROVIDER, None),
            "GB",
            Want::Now,
            "2020-01-01T00:40Z",
        ),
        fixture(
            "uk_intensity_no_actual.json",
            feed(&uk::PROVIDER, None),
            "GB",
            Want::Now,
            "2026-11-24T06:40Z",
        ),
        fixture(
            "uk_national_fw24h.json",
            feed(&uk::PROVIDER, None),
            "GB",
            whole(),
            "2017-10-03T00:00Z",
        ),
        fixture(
            "uk_regional_postcode_bh1.json",
            feed(&uk::PROVIDER, Some("BH1")),
            "GB",
            Want::Now,
            "2020-05-19T20:10Z",
        ),
        fixture(
            "uk_regional_fw48h_bh1.json",
            feed(&uk::PROVIDER, Some("11")),
            "GB",
            Want::Forecast,
            "2020-05-19T20:10Z",
        ),
        fixture(
            "energy_charts_co2eq_de.json",
            feed(&energy_charts::PROVIDER, None),
            "DE",
            Want::Now,
            "2026-07-12T22:50Z",
        ),
        fixture(
            "energinet_co2emis.json",
            feed(&energinet::PROVIDER, Some("DK1")),
            "DK",
            Want::Now,
            "2026-01-20T16:36Z",
        ),
        fixture(
            "energinet_co2emis.json",
            feed(&energinet::PROVIDER, Some("DK2")),
            "DK",
            Want::Now,
            "2026-01-20T16:36Z",
        ),
        fixture(
            "energinet_co2emisprog.json",
            feed(&energinet::PROVIDER, Some("DK1")),
            "DK",
            Want::Forecast,
            "2026-01-20T16:36Z",
        ),
        fixture(
            "odre_taux_co2.json",
            feed(&rte::PROVIDER, None),
            "FR",
            whole(),
            "2023-09-21T01:40Z",
        ),
        fixture(
            "odre_null_slots.json",
            feed(&rte::PROVIDER, None),
            "FR",
            whole(),
            "2026-11-24T07:20Z",
        ),
        fixture("em_latest_de.json", em(None), "DE", Want::Now, "2025-09-08T15:10Z"),
        fixture("em_latest_15min.json", em(None), "FR", Want::Now, "2026-05-08T21:16Z"),
        fixture(
            "em_latest_us_midw_miso_direct.json",
            direct(em(None)),
            "US-MIDW-MISO",
            Want::Now,
            "2024-09-27T00:50Z",
        ),
        fixture("em_past_de.json", em(None), "DE", Want::Now, "2025-10-03T00:00Z"),
        fixture(
            "em_past_range_us_car_duk.json",
            em(Some("US-CAR-DUK")),
            "US-NC",
            whole(),
            "2024-01-01T00:00Z",
        ),
        fixture("em_forecast_ie.json", em(None), "IE", Want::Forecast, "2026-05-08T20:55Z"),
        fixture("wt_forecast.json", watt(), "US-CA", Want::Now, "2022-07-15T00:01Z"),
        fixture("wt_forecast.json", watt(), "US-CA", Want::Forecast, "2022-07-15T00:01Z"),
        fixture("wt_historical.json", watt(), "US-CA", whole(), "2022-07-15T00:20Z"),
        fixture(
            "entsoe_a75_be.xml",
            feed(&entsoe::PROVIDER, None),
            "BE",
            whole(),
            "2024-01-02T01:30Z",
        ),
        fixture(
            "entsoe_a75_se4_a03.xml",
            feed(&entsoe::PROVIDER, Some("10Y1001A1001A47J")),
            "SE",
            whole(),
            "2025-10-25T00:00Z",
        ),
        fixture(
            "eia_fuel_type_bpat.json",
            feed(&eia::PROVIDER, Some("BPAT")),
            "US-OR",
            whole(),
            "2022-11-01T12:00Z",
        ),
    ]
}
