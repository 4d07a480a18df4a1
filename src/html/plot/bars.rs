// SPDX-License-Identifier: Apache-2.0
//! Bars below each other, each with its name before it and its value behind it.

use plotters::prelude::{ChartBuilder, Color, PathElement, Rectangle, Text};
use plotters::style::ShapeStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Area, Bar, INK, PlotError, QUIET, TEXT, WIDTH, drawn, failed, letters};
use crate::record::text::line;

/// Height of a bar with what is between it and the next.
const EACH: u32 = 56;
/// Above the first and below the last.
const MARGIN: u32 = 8;
/// The longest name, in characters.
const LONGEST: usize = 34;
/// About how wide a character of a text is.
const CHARACTER: f64 = TEXT as f64 * 0.48;
/// Between a bar and what stands beside it.
const GAP: i32 = 14;

pub fn height(bars: &[Bar]) -> u32 {
    EACH * u32::try_from(bars.len()).unwrap_or(u32::MAX / EACH / 2).clamp(1, 500) + 2 * MARGIN
}

/// Draws them, each as long as its value.
pub fn draw(area: &Area<'_>, bars: &[Bar]) -> Result<(), PlotError> {
    let names: Vec<String> = bars.iter().map(|bar| shortened(&bar.name)).collect();
    let told: Vec<String> = bars.iter().map(|bar| line(&bar.told)).collect();
    let left = widest(&names).min(WIDTH / 2);
    let right = widest(&told).min(WIDTH / 3);
    let end = |bar: &Bar| {
        let (low, high) = bar.interval.map_or((0.0, 0.0), |(low, high)| (drawn(low), drawn(high)));
        drawn(bar.value).max(low).max(high)
    };
    let most = bars.iter().map(end).fold(0.0, f64::max);
    let most = if most > 0.0 { most } else { 1.0 };
    let mut chart = ChartBuilder::on(area)
        .margin_top(MARGIN)
        .margin_bottom(MARGIN)
        .margin_left(left)
        .margin_right(right)
        .build_cartesian_2d(0.0..most, bars.len().max(1) as f64..0.0)
        .map_err(failed)?;
    for (place, bar) in bars.iter().enumerate() {
        let value = drawn(bar.value);
        let (top, middle) = (place as f64, place as f64 + 0.5);
        let corners = [(0.0, top + 0.14), (value, top + 0.86)];
        let filled = bar.colour.rgb().filled();
        chart.draw_series([Rectangle::new(corners, filled)]).map_err(failed)?;
        if let Some((low, high)) = bar.interval {
            let style = ShapeStyle { color: INK.to_rgba(), filled: false, stroke_width: 3 };
            let (low, high) = (drawn(low), drawn(high));
            let (above, below) = (middle - 0.18, middle + 0.18);
            let lines = [
                [(low, middle), (high, middle)],
                [(low, above), (low, below)],
                [(high, above), (high, below)],
            ];
            let whisker = lines.map(|line| PathElement::new(line, style));
            chart.draw_series(whisker).map_err(failed)?;
        }
        let (start, y) = chart.backend_coord(&(0.0, middle));
        let end = chart.backend_coord(&(end(bar), middle)).0;
        let name = letters(INK).pos(Pos::new(HPos::Right, VPos::Center));
        area.draw(&Text::new(names[place].clone(), (start - GAP, y), name)).map_err(failed)?;
        let said = letters(QUIET).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(told[place].clone(), (end + GAP, y), said)).map_err(failed)?;
    }
    Ok(())
}

fn widest(texts: &[String]) -> u32 {
    let characters = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
    (characters as f64 * CHARACTER).ceil() as u32 + 3 * GAP.unsigned_abs()
}

fn shortened(name: &str) -> String {
    let name = line(name);
    match name.char_indices().nth(LONGEST) {
        None => name,
        Some(_) => name.chars().take(LONGEST - 1).chain(['…']).collect(),
    }
}
