// SPDX-License-Identifier: Apache-2.0
//! Something over time: a curve of steps, or columns.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{
    Cartesian2d, ChartBuilder, ChartContext, Color, PathElement, Polygon, Rectangle, SVGBackend,
};
use plotters::style::{RGBAColor, ShapeStyle};

use super::scale::{self, Moment};
use super::{
    Area, Drawing, FURTHEST, GRID, PlotError, QUIET, Series, Step, drawn, failed, letters,
};
use crate::record::text::line;

/// A line's width.
const LINE: u32 = 3;

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

/// An axis with marks of our own.
#[derive(Clone)]
struct Axis {
    coordinate: RangedCoordf64,
    marks: Vec<f64>,
}

impl Axis {
    fn new(range: Range<f64>, marks: Vec<f64>) -> Axis {
        Axis { coordinate: range.into(), marks }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.coordinate.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.marks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.coordinate.range()
    }
}

/// A line of steps and the area below it.
pub fn curve(area: &Area<'_>, drawing: &Drawing, series: &Series) -> Result<(), PlotError> {
    let steps = sound(&series.steps);
    let most = steps.iter().map(|step| step.value).fold(0.0, f64::max);
    let (from, to) = span(&steps);
    let moments = scale::moments(from, to, &drawing.zone);
    let mut chart = chart(area, drawing, (from, to), &moments, most)?;
    let colour = series.colour.rgb();
    for run in runs(&steps) {
        let line: Vec<(f64, f64)> =
            run.iter().flat_map(|step| [(step.from, step.value), (step.to, step.value)]).collect();
        let mut below = line.clone();
        below.extend([(run[run.len() - 1].to, 0.0), (run[0].from, 0.0)]);
        chart.draw_series([Polygon::new(below, colour.mix(0.16))]).map_err(failed)?;
        let style = ShapeStyle { color: colour.to_rgba(), filled: false, stroke_width: LINE };
        chart.draw_series([PathElement::new(line, style)]).map_err(failed)?;
    }
    Ok(())
}

/// Columns, those of later series on those of earlier ones.
pub fn columns(area: &Area<'_>, drawing: &Drawing, series: &[Series]) -> Result<(), PlotError> {
    let mut columns: Vec<(Step, f64, RGBAColor)> = Vec::new();
    for one in series {
        for step in sound(&one.steps) {
            let below = |(other, base, _): &(Step, f64, RGBAColor)| {
                (other.from == step.from).then_some(base + other.value)
            };
            let base = columns.iter().rev().find_map(below).unwrap_or(0.0);
            columns.push((step, base, one.colour.rgb().to_rgba()));
        }
    }
    let steps: Vec<Step> = columns.iter().map(|column| column.0).collect();
    let most = columns.iter().map(|(step, base, _)| base + step.value).fold(0.0, f64::max);
    let starts: Vec<(f64, f64)> = steps.iter().map(|step| (step.from, step.to)).collect();
    let moments = scale::columns(&starts, &drawing.zone);
    let mut chart = chart(area, drawing, span(&steps), &moments, most)?;
    let columns = columns.into_iter().map(|(step, base, colour)| {
        let gap = (step.to - step.from) * 0.1;
        let corners = [(step.from + gap, base), (step.to - gap, base + step.value)];
        Rectangle::new(corners, colour.filled())
    });
    chart.draw_series(columns).map_err(failed)?;
    Ok(())
}

/// The axes with their marks.
fn chart<'a, 'b>(
    area: &'a Area<'b>,
    drawing: &Drawing,
    (from, to): (f64, f64),
    moments: &[Moment],
    most: f64,
) -> Result<Chart<'a, 'b>, PlotError> {
    let numbers = scale::numbers(most);
    let top = numbers[numbers.len() - 1];
    let places = moments.iter().map(|moment| moment.at).collect();
    let mut chart = ChartBuilder::on(area)
        .margin_top(16)
        .margin_left(16)
        .margin_right(90)
        .x_label_area_size(58)
        .y_label_area_size(140)
        .build_cartesian_2d(Axis::new(from..to, places), Axis::new(0.0..top, numbers))
        .map_err(failed)?;
    let told = |at: &f64| {
        let moment = moments.iter().find(|moment| moment.at == *at);
        moment.map_or_else(String::new, |moment| moment.told.clone())
    };
    let quiet = ShapeStyle { color: QUIET.to_rgba(), filled: false, stroke_width: 2 };
    let grid = ShapeStyle { color: GRID.to_rgba(), filled: false, stroke_width: 2 };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(grid)
        .axis_style(quiet)
        .set_all_tick_mark_size(8)
        .label_style(letters(QUIET))
        .axis_desc_style(letters(QUIET))
        .y_desc(line(&drawing.axis))
        .x_label_formatter(&told)
        .y_label_formatter(&|number| scale::number(*number))
        .draw()
        .map_err(failed)?;
    Ok(chart)
}

/// From the first to the last.
fn span(steps: &[Step]) -> (f64, f64) {
    let from = steps.iter().map(|step| step.from).fold(f64::INFINITY, f64::min);
    let to = steps.iter().map(|step| step.to).fold(f64::NEG_INFINITY, f64::max);
    if from < to { (from, to) } else { (0.0, 1.0) }
}

/// What can be drawn, in order of time.
fn sound(steps: &[Step]) -> Vec<Step> {
    let whole = |step: &&Step| -FURTHEST < step.from && step.from < step.to && step.to < FURTHEST;
    let drawn = |step: &Step| Step { value: drawn(step.value), ..*step };
    let mut steps: Vec<Step> = steps.iter().filter(whole).map(drawn).collect();
    steps.sort_by(|one, other| one.from.total_cmp(&other.from));
    steps
}

/// Steps of which each begins where the one before ends, or nearly.
fn runs(steps: &[Step]) -> impl Iterator<Item = &[Step]> {
    steps.chunk_by(|one, other| (other.from - one.to).abs() < 0.5)
}
