// SPDX-License-Identifier: Apache-2.0
//! What a plot says and holds, and that nothing given to it can break it.

use proptest::prelude::*;

use super::*;

fn drawing(shape: Shape) -> Drawing {
    Drawing {
        title: "Energy \u{202e}<b>".to_owned(),
        description: "a & b\n".to_owned(),
        axis: "\"W\"".to_owned(),
        zone: TimeZone::UTC,
        shape,
    }
}

fn drawn_as(shape: Shape) -> String {
    drawing(shape).svg().unwrap().into_string()
}

fn step(from: f64, to: f64, value: f64) -> Step {
    Step { from, to, value }
}

fn series(steps: Vec<Step>) -> Series {
    Series { name: "one".to_owned(), colour: Colour::Main, steps }
}

/// The rectangles: (y, height).
fn rectangles(svg: &str) -> Vec<(i32, i32)> {
    let number = |text: &str, name: &str| -> i32 {
        let rest = text.split_once(&format!(" {name}=\"")).unwrap().1;
        rest.split('"').next().unwrap().parse().unwrap()
    };
    let found = svg.lines().filter(|line| line.starts_with("<rect"));
    found.map(|line| (number(line, "y"), number(line, "height"))).collect()
}

#[test]
fn who_does_not_see_a_plot_hears_its_title_and_description() {
    let svg = drawn_as(Shape::Curve(series(vec![step(0.0, 60.0, 5.0)])));
    assert!(svg.starts_with("<svg viewBox=\"0 0 1440 470\" role=\"img\"><title>"), "{svg}");
    assert!(svg.contains("&lt;b&gt;</title><desc>a &amp; b</desc>"), "{svg}");
    assert!(svg.ends_with("</svg>") && svg.matches("</svg>").count() == 1, "{svg}");
    // Nothing that leads elsewhere.
    assert!(!svg.contains("http") && !svg.contains("href"), "{svg}");
}

#[test]
fn foreign_words_are_text() {
    let bar = Bar {
        name: "<script>\u{1b}".to_owned(),
        value: 1.0,
        interval: Some((0.5, 2.0)),
        told: "\"</svg>".to_owned(),
        colour: Colour::Estimated,
    };
    let svg = drawn_as(Shape::Bars(vec![bar]));
    assert!(svg.contains("&lt;script&gt;") && svg.contains("&quot;&lt;/svg&gt;"), "{svg}");
    assert!(!svg.contains("<script") && !svg.contains('\u{1b}'), "{svg}");
}

#[test]
fn a_gap_stays_one_and_columns_stand_on_each_other() {
    let steps = vec![step(0.0, 10.0, 1.0), step(10.0, 20.0, 2.0), step(30.0, 40.0, 3.0)];
    let svg = drawn_as(Shape::Curve(series(steps.clone())));
    assert_eq!(svg.matches("<polygon").count(), 2, "{svg}");
    let other = steps.iter().map(|step| Step { value: 2.0, ..*step }).collect();
    let svg = drawn_as(Shape::Columns(vec![series(steps), series(other)]));
    let columns = rectangles(&svg);
    assert_eq!(columns.len(), 6);
    for place in 0..3 {
        let ((top, height), (above_top, above_height)) = (columns[place], columns[place + 3]);
        assert!((above_top + above_height - top).abs() <= 1, "{columns:?}");
        assert!(height > 0 && above_height > 0);
    }
    assert!((columns[5].1 - columns[4].1).abs() <= 1, "{columns:?}");
}

#[test]
fn a_plot_of_nothing_is_one() {
    for shape in [
        Shape::Curve(series(vec![])),
        Shape::Columns(vec![]),
        Shape::Bars(vec![]),
        Shape::Curve(series(vec![step(5.0, 5.0, 1.0), step(9.0, 3.0, 1.0)])),
    ] {
        assert!(drawn_as(shape).contains("<desc>"));
    }
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), -1e3..1e12, Just(0.0), Just(1e308), Just(f64::NAN)]
}

proptest! {
    #[test]
    fn nothing_given_breaks_a_plot(
        steps in prop::collection::vec((any_number(), any_number(), any_number()), 0..6),
        words in ".*",
    ) {
        let steps: Vec<Step> = steps.into_iter().map(|(from, to, value)| step(from, to, value)).collect();
        let bar = |step: &Step| Bar {
            name: words.clone(),
            value: step.value,
            interval: Some((step.from, step.to)),
            told: words.clone(),
            colour: Colour::Main,
        };
        let bars = steps.iter().map(bar).collect();
        for shape in [
            Shape::Curve(series(steps.clone())),
            Shape::Columns(vec![series(steps.clone()), series(steps.clone())]),
            Shape::Bars(bars),
        ] {
            let svg = drawn_as(shape);
            prop_assert!(svg.ends_with("</svg>"));
        }
    }
}
