// SPDX-License-Identifier: Apache-2.0
//! Documents in HTML that stand alone: one file with its style and its plots, without
//! any script, that asks for nothing from anywhere and prints on A4.
//!
//! The skeleton is here: the page, its parts, tables, and plots ([`plot`]). What is in a
//! document is its writer's business. Text comes into it only through `maud`, which
//! escapes it, and through the plots, whose words are escaped too; names that others have
//! chosen go through [`foreign`], so that they cannot change their surroundings either.
//!
//! ```
//! use aimeter::html::{Table, document, foreign, html};
//!
//! let mut table = Table::new("Jobs").left("Job").right("Energy");
//! table.row([foreign("<b>train</b>"), html! { "1.74 MJ" }]);
//! let file = document("Energy", &html! { h1 { "Energy" } (table.html()) });
//! assert!(file.contains("&lt;b&gt;train&lt;/b&gt;"));
//! ```

pub mod plot;
mod table;

pub use maud::{Markup, html};
pub use table::Table;

use maud::{DOCTYPE, PreEscaped};

use crate::record::text::line;
use plot::{Drawing, PlotError};

/// The style of all documents.
const STYLE: &str = include_str!("document.css");

/// Nothing may be loaded and no script run, whatever a file may hold.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// A file with this title and body.
pub fn document(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content=(concat!("aimeter ", env!("CARGO_PKG_VERSION")));
                title { (line(title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (body) }
                footer {
                    p { "Made by aimeter " (env!("CARGO_PKG_VERSION")) ". This file stands alone: it asks for nothing from anywhere." }
                }
            }
        }
    };
    page.into_string()
}

/// A text that somebody else has chosen: on one line, and of a direction of its own.
pub fn foreign(text: &str) -> Markup {
    html! { bdi { (line(text)) } }
}

/// A figure that stands out: what it is, its value, and what is to be known of it.
pub struct Tile {
    /// What it is.
    pub name: String,
    /// With its unit.
    pub value: String,
    /// Its uncertainty, source, range.
    pub remark: String,
}

/// The main figures beside each other.
pub fn tiles(tiles: &[Tile]) -> Markup {
    html! {
        dl.tiles {
            @for tile in tiles {
                div {
                    dt { (line(&tile.name)) }
                    dd { b { (line(&tile.value)) } span { (line(&tile.remark)) } }
                }
            }
        }
    }
}

/// Names with what they stand for.
pub fn pairs(pairs: &[(&str, Markup)]) -> Markup {
    html! {
        dl.pairs {
            @for (name, what) in pairs {
                div { dt { (name) } dd { (what) } }
            }
        }
    }
}

/// Remarks, one below the other.
pub fn remarks(remarks: &[String]) -> Markup {
    html! { ul.remarks { @for remark in remarks { li { (line(remark)) } } } }
}

/// A plot with its title, and the table behind it: folded up where it is long.
///
/// # Errors
/// Where it cannot be drawn.
pub fn figure(drawing: &Drawing, table: &Table) -> Result<Markup, PlotError> {
    let svg = drawing.svg()?;
    let legend = drawing.legend();
    Ok(html! {
        figure {
            figcaption { (line(&drawing.title)) }
            div.plot tabindex="0" role="group" aria-label=(line(&drawing.title)) { (svg) }
            @if !legend.is_empty() {
                ul.legend {
                    @for (colour, name) in legend {
                        li { span.swatch style=(format!("background:{}", colour.css())) {} (line(name)) }
                    }
                }
            }
            @if table.is_long() {
                details { summary { "The figures behind it" } (table.html()) }
            } @else {
                (table.html())
            }
        }
    })
}
