// SPDX-License-Identifier: Apache-2.0

use super::*;

fn args(zones: &[&str], start: bool, pue: Option<f64>, cooling: Option<f64>) -> WhatifArgs {
    WhatifArgs {
        job: "a".into(),
        zone: zones.iter().map(|zone| (*zone).to_owned()).collect(),
        start: start.then_some(super::super::cli::Moment::At(Timestamp::UNIX_EPOCH)),
        pue,
        cooling_saving: cooling,
        json: false,
    }
}

#[test]
fn each_change_stands_alone_and_then_all_together_in_each_zone() {
    let check = |args: &WhatifArgs, has_pue, expected: &[&str]| {
        let labels: Vec<String> =
            changes(args, has_pue, Timestamp::UNIX_EPOCH).iter().map(Change::label).collect();
        assert_eq!(labels, expected);
    };
    check(&args(&["FR", "SE"], false, None, None), false, &["in FR", "in SE"]);
    check(&args(&[], false, Some(1.1), None), false, &["PUE 1.1"]);
    check(
        &args(&["FR", "SE"], true, None, None),
        false,
        &[
            "in FR",
            "in SE",
            "from 1970-01-01 00:00Z",
            "in FR, from 1970-01-01 00:00Z",
            "in SE, from 1970-01-01 00:00Z",
        ],
    );
    // Without a PUE of its own, less cooling has a meaning only with one that is given.
    let building = args(&[], false, Some(1.1), Some(12.7));
    check(&building, false, &["PUE 1.1", "PUE 1.1, 12.7 % less cooling"]);
    check(&building, true, &["PUE 1.1", "12.7 % less cooling", "PUE 1.1, 12.7 % less cooling"]);
}
