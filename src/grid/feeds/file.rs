// SPDX-License-Identifier: Apache-2.0
//! A file that another program writes: figures for times, as CSV or JSON.
//!
//! CSV with the header `from,to,grams_per_kwh` and, if wanted, `kind`; JSON as a
//! list of objects with the same names, such as the `facts` of
//! `aimeter intensity --json`. Times in RFC 3339. Write a new file and rename it
//! over the old one, so that no half of one is read.

use jiff::SignedDuration;
use serde::Deserialize;

use super::{Ask, Boundary, Feed, FeedError, Figure, Figures, Provider, Request, Signal};
use crate::ledger::IntensityKind;

/// The feed.
pub const PROVIDER: Provider = Provider {
    name: "file",
    address: None,
    attribution: "local file",
    signal: Signal::Average,
    boundary: Boundary::Lifecycle,
    both_boundaries: false,
    longest: SignedDuration::from_hours(366 * 24),
    request,
    parse,
    locate: None,
};

#[derive(Deserialize)]
struct Row {
    from: String,
    to: String,
    grams_per_kwh: Option<f64>,
    kind: Option<IntensityKind>,
}

fn request(feed: &Feed, _: &Ask) -> Result<Request, FeedError> {
    feed.path.clone().map(Request::File).ok_or(FeedError::Unset("path"))
}

fn parse(_: &Feed, _: &Ask, body: &[u8]) -> Figures {
    let rows: Vec<Row> = if body.trim_ascii_start().starts_with(b"[") {
        super::decode(body)?
    } else {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(body);
        reader.deserialize().collect::<Result<_, _>>().map_err(|error| {
            FeedError::NotUnderstood(super::super::http::clean(&error.to_string()))
        })?
    };
    let mut figures = Vec::with_capacity(rows.len());
    for row in &rows {
        let Some(grams) = row.grams_per_kwh else { continue };
        let (from, to) = (super::moment(&row.from)?, super::moment(&row.to)?);
        let kind = match row.kind {
            // A yearly mean is no figure of a time.
            None | Some(IntensityKind::Table) => IntensityKind::Estimated,
            Some(kind) => kind,
        };
        figures.push(Figure { from, to, grams, kind, updated: None });
    }
    Ok(figures)
}
