// SPDX-License-Identifier: Apache-2.0
//! The recorded day of Great Britain, as the replay server tells it: as it was, or
//! with its times moved so that it begins now.

use aimeter::clock;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::replay::Reply;

/// The first moment of the recorded forecast.
pub const BEGIN: &str = "2017-10-01T11:30:00Z";

fn recorded() -> Value {
    let body = include_str!("../feeds/answers/uk_national_fw24h.json");
    serde_json::from_str(body).unwrap()
}

/// The day as it was recorded, with what was measured.
pub fn as_recorded() -> Reply {
    Reply::json(recorded().to_string())
}

/// The forecast of that day, so that what it says of 11:30 begins at `begin`.
pub fn forecast_from(begin: Timestamp) -> Reply {
    let mut answer = recorded();
    let shift = begin.duration_since(BEGIN.parse().unwrap());
    for slot in answer["data"].as_array_mut().unwrap() {
        for name in ["from", "to"] {
            let time: Timestamp = slot[name].as_str().unwrap().parse().unwrap();
            slot[name] = (time + shift).to_string().into();
        }
        slot["intensity"]["actual"] = Value::Null;
    }
    Reply::json(answer.to_string())
}

/// A forecast of now: so many grams for so many seconds each, beginning a minute ago.
pub fn steps(steps: &[(i64, u32)]) -> Reply {
    let mut from = clock::wall() - SignedDuration::from_secs(60);
    let mut slots = Vec::new();
    for (seconds, grams) in steps {
        let to = from + SignedDuration::from_secs(*seconds);
        let intensity = json!({"forecast": grams, "actual": null});
        slots.push(json!({"from": from.to_string(), "to": to.to_string(), "intensity": intensity}));
        from = to;
    }
    Reply::json(json!({ "data": slots }).to_string())
}
