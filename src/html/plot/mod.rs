// SPDX-License-Identifier: Apache-2.0
//! Plots as SVG for a document: something over time, and bars beside names.
//!
//! Drawn by `plotters` without fonts: the reader's own is used. A plot has a title and a
//! description for who does not see it; the figures stand in a table beside it. Nothing
//! is drawn that is not finite; what is negative is drawn as zero.

mod bars;
mod scale;
mod time;

use jiff::tz::TimeZone;
use maud::{Markup, PreEscaped, html};
use plotters::coord::Shift;
use plotters::prelude::{
    Color, DrawingArea, IntoDrawingArea, IntoFont, RGBColor, SVGBackend, TextStyle,
};

use crate::record::text::line;

pub use scale::unit;

/// Its width, in units of which a page shows about two as one pixel.
const WIDTH: u32 = 1_440;
/// A line of text, in the same units.
const TEXT: u32 = 32;
/// Figures beyond are drawn as this.
const MOST: f64 = 1e18;
/// Times further from 1970, in seconds, are none: the years 1653 and 2286.
const FURTHEST: f64 = 1e10;

const INK: RGBColor = RGBColor(0x14, 0x18, 0x1d);
const QUIET: RGBColor = RGBColor(0x4d, 0x57, 0x65);
const GRID: RGBColor = RGBColor(0xd5, 0xda, 0xe1);

/// Why a plot could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw a plot: {0}")]
pub struct PlotError(String);

/// A colour that also tells itself from the others in grey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// What it is about.
    Main,
    /// What stands beside it.
    Beside,
    /// What is no measurement.
    Estimated,
}

impl Colour {
    fn rgb(self) -> RGBColor {
        match self {
            Colour::Main => RGBColor(0x12, 0x80, 0x5c),
            Colour::Beside => RGBColor(0xa9, 0xb2, 0xbf),
            Colour::Estimated => RGBColor(0xdf, 0x8a, 0x2c),
        }
    }

    pub(super) fn css(self) -> String {
        let RGBColor(red, green, blue) = self.rgb();
        format!("#{red:02x}{green:02x}{blue:02x}")
    }
}

/// A value over a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Seconds since 1970 UTC.
    pub from: f64,
    /// Seconds since 1970 UTC.
    pub to: f64,
    /// In the unit of the axis.
    pub value: f64,
}

/// Steps of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What they are.
    pub name: String,
    /// How they look.
    pub colour: Colour,
    /// In order of time; times without any are gaps.
    pub steps: Vec<Step>,
}

/// A value beside a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Its name.
    pub name: String,
    /// In the unit of the axis.
    pub value: f64,
    /// The ends of its interval.
    pub interval: Option<(f64, f64)>,
    /// What stands at its end: the value with its unit.
    pub told: String,
    /// How it looks.
    pub colour: Colour,
}

/// What is drawn.
#[derive(Clone, Debug)]
pub enum Shape {
    /// A line over time with its area, a step for each stretch.
    Curve(Series),
    /// A column for each stretch; those of later series stand on those of earlier ones.
    Columns(Vec<Series>),
    /// Bars below each other.
    Bars(Vec<Bar>),
}

/// A plot.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// What it shows.
    pub title: String,
    /// What one sees in it, for who does not see it.
    pub description: String,
    /// The quantity and its unit; empty where bars say it.
    pub axis: String,
    /// In whose time the time is told.
    pub zone: TimeZone,
    /// What is drawn.
    pub shape: Shape,
}

impl Drawing {
    /// As an inline SVG.
    pub(super) fn svg(&self) -> Result<Markup, PlotError> {
        let height = match &self.shape {
            Shape::Curve(_) | Shape::Columns(_) => 470,
            Shape::Bars(bars) => bars::height(bars),
        };
        let mut text = String::new();
        {
            let area = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
            match &self.shape {
                Shape::Curve(series) => time::curve(&area, self, series)?,
                Shape::Columns(series) => time::columns(&area, self, series)?,
                Shape::Bars(bars) => bars::draw(&area, bars)?,
            }
            area.present().map_err(failed)?;
        }
        // The element itself is written here, with the words that the library has none of.
        let inner = text.split_once('>').map_or("", |(_, rest)| rest);
        let inner = inner.trim_end().trim_end_matches("</svg>");
        Ok(html! {
            svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" {
                title { (line(&self.title)) }
                desc { (line(&self.description)) }
                (PreEscaped(inner))
            }
        })
    }

    /// Colours with their names, where there are several.
    pub(super) fn legend(&self) -> Vec<(Colour, &str)> {
        match &self.shape {
            Shape::Columns(series) if series.len() > 1 => {
                series.iter().map(|one| (one.colour, one.name.as_str())).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Where plots are drawn.
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn failed(error: impl std::fmt::Display) -> PlotError {
    PlotError(error.to_string())
}

fn letters(colour: RGBColor) -> TextStyle<'static> {
    TextStyle { color: colour.to_backend_color(), ..("sans-serif", TEXT).into_font().into() }
}

/// A value as it can be drawn.
fn drawn(value: f64) -> f64 {
    if value.is_finite() { value.clamp(0.0, MOST) } else { 0.0 }
}

#[cfg(test)]
mod tests;
