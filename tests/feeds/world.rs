// SPDX-License-Identifier: Apache-2.0
//! A world in which every feed answers, each as its documentation says, about the half
//! hour in which the server started; and the configuration that asks all of them.
//! Every key is `s3cr3t`, and whoever brings another is told so as the feed would.

use std::path::Path;

use aimeter::clock;
use jiff::{SignedDuration, Timestamp};

use crate::replay::{Replay, Reply};

/// The start of the half hour of now, so many half hours on.
pub fn half_hour(later: i64) -> Timestamp {
    let now = clock::wall().as_second();
    Timestamp::from_second(now - now.rem_euclid(1_800) + later * 1_800).unwrap()
}

/// Every feed on one server, with documents about the half hour in which it started.
pub fn world() -> impl Fn(&str) -> Reply + Send + Sync + 'static {
    world_at(half_hour(0))
}

/// The same about the half hour that starts then.
pub fn world_at(start: Timestamp) -> impl Fn(&str) -> Reply + Send + Sync + 'static {
    move |head| answer(head, start)
}

fn answer(head: &str, start: Timestamp) -> Reply {
    let path = head.split(' ').nth(1).unwrap();
    if path.starts_with("/uk/intensity/") {
        let slots: Vec<String> = (-4..4).map(|later| slot(start, later)).collect();
        return Reply::json(format!(r#"{{"data":[{}]}}"#, slots.join(",")));
    }
    if path.starts_with("/uk/intensity") {
        return Reply::json(format!(r#"{{"data":[{}]}}"#, slot(start, 0)));
    }
    if path.starts_with("/charts/co2eq?country=fr") {
        let seconds = start.as_second();
        return Reply::json(format!(
            r#"{{"unix_seconds":[{},{}],"co2eq":[21.5,null],"co2eq_forecast":[null,23.0]}}"#,
            seconds - 1_800,
            seconds
        ));
    }
    if path.starts_with("/rte/catalog/") {
        return Reply::json(format!(r#"{{"results":[{{"taux_co2":13,"date_heure":"{start}"}}]}}"#));
    }
    if path.starts_with("/energinet/dataset/CO2Emis?") {
        let utc = start.strftime("%Y-%m-%dT%H:%M:%S");
        return Reply::json(format!(
            r#"{{"records":[{{"Minutes5UTC":"{utc}","PriceArea":"DK1","CO2Emission":160.0}}]}}"#
        ));
    }
    if path.starts_with("/maps/carbon-intensity/latest?zone=FR&") {
        if !head.to_lowercase().contains("\r\nauth-token: s3cr3t\r\n") {
            return Reply::refusal(401, &[], r#"{"error":"Invalid auth-token"}"#);
        }
        return Reply::json(format!(
            r#"{{"zone":"FR","carbonIntensity":31,"datetime":"{start}","isEstimated":true}}"#
        ));
    }
    if let Some(rest) = path.strip_prefix("/watt/") {
        return watttime(rest, head, start);
    }
    if path.starts_with("/entsoe/api?documentType=A75&") {
        return entsoe(path, start);
    }
    if path.starts_with("/eia/v2/electricity/rto/fuel-type-data/data/?") {
        return eia(path, start);
    }
    if path == "/own" {
        return Reply::json(r#"{"now":{"value":100.0}}"#);
    }
    Reply::refusal(404, &[], r#"{"error":"no such thing"}"#)
}

/// So many half hours after the start; measured, if before it.
fn slot(start: Timestamp, later: i64) -> String {
    let at = |later: i64| start + SignedDuration::from_mins(later * 30);
    let (from, to) = (at(later), at(later + 1));
    let actual = if later < 0 { format!("{}", 200 + later) } else { "null".into() };
    format!(r#"{{"from":"{from}","to":"{to}","intensity":{{"forecast":164,"actual":{actual}}}}}"#)
}

fn has(head: &str, line: &str) -> bool {
    head.lines().any(|own| own.eq_ignore_ascii_case(line))
}

/// A login, then figures for the token alone. `bWU6czNjcjN0` is `me:s3cr3t`.
fn watttime(path: &str, head: &str, start: Timestamp) -> Reply {
    let page = "<html><title>403 Forbidden</title></html>";
    let nginx = || Reply::Whole(403, vec!["Content-Type: text/html".into()], page.into());
    if path == "login" {
        return match has(head, "authorization: Basic bWU6czNjcjN0") {
            true => Reply::json(r#"{"token":"t0k3n"}"#),
            false => nginx(),
        };
    }
    if !has(head, "authorization: Bearer t0k3n") {
        return nginx();
    }
    if path.starts_with("v3/region-from-loc?latitude=37.775&longitude=-122.419&") {
        return Reply::json(r#"{"region":"CAISO_NORTH","signal_type":"co2_moer"}"#);
    }
    if !path.starts_with("v3/forecast?region=CAISO_NORTH&signal_type=co2_moer&") {
        return Reply::refusal(403, &[], r#"{"error":"Invalid query","message":"Invalid scope."}"#);
    }
    Reply::json(format!(
        r#"{{"data":[{{"point_time":"{start}","value":1000.0}}],"meta":{{"region":"CAISO_NORTH",
        "data_point_period_seconds":1800,"signal_type":"co2_moer","units":"lbs_co2_per_mwh"}}}}"#
    ))
}

/// The hour before: 300 MW of nuclear and 100 MW of gas.
fn entsoe(path: &str, start: Timestamp) -> Reply {
    let xml = |status: u16, body: String| {
        Reply::Whole(status, vec!["Content-Type: text/xml".into()], body.into_bytes())
    };
    if !path.ends_with("&securityToken=s3cr3t") {
        let text = "Unauthorized. Missing or invalid security token";
        return xml(
            401,
            format!(
                "<Acknowledgement_MarketDocument><Reason><code>999</code><text>{text}</text>\
                 </Reason></Acknowledgement_MarketDocument>"
            ),
        );
    }
    let (end, step) = (hour(start), SignedDuration::from_hours(1));
    let edge = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%MZ").to_string();
    let period = format!(
        "<Period><timeInterval><start>{}</start><end>{}</end></timeInterval>\
         <resolution>PT60M</resolution><Point><position>1</position><quantity>",
        edge(end - step),
        edge(end)
    );
    let series = |plant: &str, power: u32| {
        format!(
            "<TimeSeries><inBiddingZone_Domain.mRID>10YBE----------2\
             </inBiddingZone_Domain.mRID><quantity_Measure_Unit.name>MAW\
             </quantity_Measure_Unit.name><curveType>A03</curveType><MktPSRType><psrType>{plant}\
             </psrType></MktPSRType>{period}{power}</quantity></Point></Period></TimeSeries>"
        )
    };
    xml(
        200,
        format!(
            "<?xml version=\"1.0\"?><GL_MarketDocument xmlns=\"urn:x\"><type>A75</type>{}{}\
             </GL_MarketDocument>",
            series("B14", 300),
            series("B04", 100)
        ),
    )
}

/// The hour before: as much of gas as of wind.
fn eia(path: &str, start: Timestamp) -> Reply {
    if !path.ends_with("&api_key=s3cr3t") {
        let body =
            r#"{"error":{"code":"API_KEY_INVALID","message":"An invalid api_key was supplied."}}"#;
        return Reply::refusal(403, &[], body);
    }
    let period = hour(start).strftime("%Y-%m-%dT%H").to_string();
    let row = |fuel: &str| {
        format!(
            r#"{{"period":"{period}","respondent":"CISO","fueltype":"{fuel}","value":"100",
            "value-units":"megawatthours"}}"#
        )
    };
    Reply::json(format!(
        r#"{{"response":{{"total":"2","data":[{},{}]}},"request":{{"params":{{"api_key":"s3cr3t"}}}}}}"#,
        row("NG"),
        row("WND")
    ))
}

/// The start of its hour.
fn hour(time: Timestamp) -> Timestamp {
    let seconds = time.as_second();
    Timestamp::from_second(seconds - seconds.rem_euclid(3_600)).unwrap()
}

pub fn config(replay: &Replay, feeds: &[String]) -> String {
    let ca = replay.ca();
    format!("[grid]\nca = \"{}\"\n{}", ca.display(), feeds.concat())
}

pub fn entry(feed: &str, url: &str, more: &str) -> String {
    format!("[[grid.feeds]]\nfeed = \"{feed}\"\nurl = \"{url}\"\n{more}\n")
}

/// Every feed that there is, each for a zone of its own; `folder` takes the file feed's
/// file. The keys are in the environment variable `GRID_KEY`.
pub fn every_feed(replay: &Replay, plain: &Replay, folder: &Path) -> String {
    let file = folder.join("grid.csv");
    let lines = format!("from,to,grams_per_kwh\n{},{},55\n", half_hour(0), half_hour(2));
    std::fs::write(&file, lines).unwrap();
    let url = |path: &str| replay.url(path).to_string();
    let key = "token_environment = \"GRID_KEY\"\n";
    let feeds = [
        uk(replay),
        entry("energy-charts", &url("/charts"), "zone = \"FR\""),
        entry("energinet", &url("/energinet"), "zone = \"DK\"\nplace = \"DK1\""),
        entry("rte", &url("/rte"), "zone = \"FR\""),
        entry("electricity-maps", &url("/maps"), &format!("{key}zone = \"FR\"")),
        entry(
            "watttime",
            &url("/watt"),
            &format!("{key}user = \"me\"\nzone = \"US-CA\"\nplace = \"CAISO_NORTH\""),
        ),
        entry("entsoe", &url("/entsoe"), &format!("{key}zone = \"BE\"")),
        entry("eia", &url("/eia"), &format!("{key}zone = \"US-CA\"\nplace = \"CISO\"")),
        format!("[[grid.feeds]]\nfeed = \"file\"\nzone = \"FR\"\npath = \"{}\"\n", file.display()),
        entry(
            "json",
            plain.url("/own").as_str(),
            "zone = \"FR\"\npointer = \"/now/value\"\nunit = \"lb/MWh\"\nattribution = \"our roof\"",
        ),
    ];
    format!("{}\n[carbon]\nzone = \"GB\"\n", config(replay, &feeds))
}

/// The UK's feed on this server.
pub fn uk(replay: &Replay) -> String {
    entry("uk-carbon-intensity", replay.url("/uk").as_str(), "")
}
