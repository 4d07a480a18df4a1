// SPDX-License-Identifier: Apache-2.0
//! Times, tables and emissions, which both imports have in common.

use super::table::{Cells, Table};
use super::*;

fn clock(zone: &str) -> Clock {
    Clock { zone: TimeZone::get(zone).unwrap(), named: true }
}

#[test]
fn a_time_is_of_its_own_zone_else_of_the_one_that_was_named() {
    let check = |text: &str, zone: &str, expected: &str| {
        let (moment, note) = clock(zone).moment("t", text).unwrap();
        assert_eq!((moment.to_string().as_str(), note), (expected, None), "{text}");
    };
    check("2026-11-24T09:00:00", "UTC", "2026-11-24T09:00:00Z");
    check("2026-11-24T09:00:00", "Europe/Paris", "2026-11-24T08:00:00Z");
    check("2026-07-24 09:00:00", "Europe/Paris", "2026-07-24T07:00:00Z");
    check("2026-11-24T09:00:00Z", "Europe/Paris", "2026-11-24T09:00:00Z");
    check("2026-11-24T09:00:00+05:30", "Europe/Paris", "2026-11-24T03:30:00Z");
    for wrong in ["", "yesterday", "09:00", "1970-01-01T00:00:00", "9999-12-31T00:00:00", "1e9"] {
        assert!(clock("UTC").moment("t", wrong).is_err(), "{wrong}");
    }
}

#[test]
fn an_hour_that_stands_twice_is_told() {
    let (moment, note) = clock("Europe/Paris").moment("t", "2026-10-25T02:30:00").unwrap();
    assert_eq!(moment.to_string(), "2026-10-25T00:30:00Z");
    assert!(note.unwrap().contains("one hour is uncertain"));
}

#[test]
fn a_table_is_read_whatever_its_marks_and_ends_of_lines() {
    let text = "\u{feff}One , TWO,three\r\n1,\"a\nb\",\r\n\r\n2,\"x,\"\"y\"\"\"\n3,z,w\r\n";
    let table = Table::open(text.as_bytes(), Cells::Commas, &["one", "two"]).unwrap();
    let rows: Vec<_> = table.rows().collect();
    let row = rows[0].as_ref().unwrap();
    assert_eq!((row.place, row.text("ONE"), row.text("two")), (Place::Line(2), "1", "a\nb"));
    assert_eq!((row.text("three"), row.text("four")), ("", ""));
    let short = rows[1].as_ref().err().unwrap();
    assert_eq!((short.place, short.refused), (Place::Line(5), true));
    assert_eq!(short.why, "it has 2 cells, and the header 3");
    assert_eq!(rows[2].as_ref().unwrap().place, Place::Line(6));
}

#[test]
fn a_row_that_is_no_text_loses_no_other() {
    let table = Table::open(b"a|b\n1|\xff\n\"2|3\n", Cells::Bars, &["a"]).unwrap();
    let rows: Vec<_> = table.rows().collect();
    assert_eq!(rows[0].as_ref().err().unwrap().why, "it is no UTF-8");
    // Quotes mean nothing between bars.
    assert_eq!(rows[1].as_ref().unwrap().text("a"), "\"2");
}

#[test]
fn a_table_without_what_is_needed_is_told_by_its_columns() {
    let told = |text: &str| Table::open(text.as_bytes(), Cells::Commas, &["a", "b", "c"]).err();
    assert_eq!(told("a,x").unwrap().to_string(), "it has no column b, c");
    assert_eq!(told("").unwrap().to_string(), "it has no column a, b, c");
    assert_eq!(told("a,b,A,c").unwrap().to_string(), "its column a stands twice");
}

#[test]
fn a_number_is_finite_and_not_negative() {
    let check = |cell: &str| {
        let text = format!("a,b\n{cell},\n");
        let table = Table::open(text.as_bytes(), Cells::Commas, &["a"]).unwrap();
        table.rows().next().unwrap().unwrap().number("a").ok()
    };
    assert_eq!(check(" 1.5e3 "), Some(Some(1_500.0)));
    assert_eq!(check(""), Some(None));
    for wrong in ["-1", "nan", "inf", "1e999", "0x1", "1;5", "½"] {
        assert_eq!(check(wrong), None, "{wrong}");
    }
}
