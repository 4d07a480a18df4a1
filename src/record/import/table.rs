// SPDX-License-Identifier: Apache-2.0
//! Rows of other tools' tables: columns by their names, cells as texts and numbers.
//!
//! A row that is none is told with its line and loses no other row. Nothing is
//! repaired: a cell is what it says, empty, or wrong.

use std::collections::BTreeMap;
use std::rc::Rc;

use csv::{ErrorKind, ReaderBuilder, StringRecord};

use super::{Place, Remark, Unreadable, Wrong};

/// The longest text that a record takes over, in bytes.
const LONGEST: usize = 1_024;

/// A table of which the header has been read.
pub struct Table<'a> {
    columns: Rc<BTreeMap<String, usize>>,
    bytes: &'a [u8],
    reader: csv::Reader<&'a [u8]>,
}

/// How the cells of a table are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cells {
    /// By commas, with quotes.
    Commas,
    /// By bars, without quotes.
    Bars,
}

impl<'a> Table<'a> {
    /// The table with these columns among others, in any order and any case.
    ///
    /// # Errors
    /// Where a column is missing or stands twice.
    pub fn open(bytes: &'a [u8], cells: Cells, needed: &[&str]) -> Result<Table<'a>, Unreadable> {
        let mut builder = ReaderBuilder::new();
        if cells == Cells::Bars {
            builder.delimiter(b'|').quoting(false);
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = builder.from_reader(bytes);
        let header = reader.byte_headers().cloned().unwrap_or_default();
        let mut columns = BTreeMap::new();
        for (place, name) in header.iter().enumerate() {
            let name = String::from_utf8_lossy(name).trim().to_ascii_lowercase();
            // `sacct --parsable` ends each line with a bar.
            if !name.is_empty() && columns.insert(name.clone(), place).is_some() {
                return Err(Unreadable::Twice(short(&name)));
            }
        }
        let missing = |name: &&&str| !columns.contains_key(&name.to_ascii_lowercase());
        let missing: Vec<&str> = needed.iter().filter(missing).copied().collect();
        if !missing.is_empty() {
            return Err(Unreadable::Columns(missing.join(", ")));
        }
        Ok(Table { columns: Rc::new(columns), bytes, reader })
    }

    /// Whether there is such a column.
    pub fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }

    /// Its rows; a row that is none is a refusal.
    pub fn rows(self) -> impl Iterator<Item = Result<Row, Remark>> {
        let Table { columns, bytes, reader } = self;
        let mut lines = Lines { bytes, at: 0, line: 1 };
        reader.into_records().map(move |record| match record {
            Ok(cells) => {
                let place = Place::Line(lines.of(cells.position()));
                Ok(Row { place, columns: Rc::clone(&columns), cells })
            }
            Err(error) => Err(no_row(&error, lines.of(error.position()))),
        })
    }
}

/// The lines of a file, counted once from its beginning on. (The reader's own count is
/// one too low after `\r\n`.)
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line on which the row at this position begins: not on ends of lines before it.
    fn of(&mut self, position: Option<&csv::Position>) -> u64 {
        let place = position.and_then(|place| usize::try_from(place.byte()).ok());
        let place = place.unwrap_or(self.at).min(self.bytes.len());
        while let Some(byte) = self.bytes.get(self.at) {
            let is_end = matches!(byte, b'\r' | b'\n');
            if self.at >= place && !is_end {
                break;
            }
            self.line += u64::from(*byte == b'\n');
            self.at += 1;
        }
        self.line
    }
}

fn no_row(error: &csv::Error, line: u64) -> Remark {
    let why = match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("it has {len} cells, and the header {expected_len}")
        }
        ErrorKind::Utf8 { .. } => "it is no UTF-8".to_owned(),
        _ => "it is no row".to_owned(),
    };
    Remark::refused(Place::Line(line), Wrong::new("row", why))
}

/// A row.
pub struct Row {
    /// Where it begins.
    pub place: Place,
    columns: Rc<BTreeMap<String, usize>>,
    cells: StringRecord,
}

impl Row {
    /// A cell, trimmed; empty where there is no such column.
    pub fn text(&self, column: &str) -> &str {
        let place = self.columns.get(&column.to_ascii_lowercase());
        place.and_then(|place| self.cells.get(*place)).unwrap_or_default().trim()
    }

    /// A text of at most so many bytes as a record takes over; `None`: empty.
    ///
    /// # Errors
    /// Where it is longer.
    pub fn name(&self, column: &'static str) -> Result<Option<String>, Wrong> {
        name(column, self.text(column))
    }

    /// A finite number that is not negative; `None`: empty.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn number(&self, column: &'static str) -> Result<Option<f64>, Wrong> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => Ok(Some(number)),
            _ => Err(Wrong::new(column, format!("`{}` is no number from 0 on", short(text)))),
        }
    }
}

/// A text as a record takes it over; `None`: empty.
///
/// # Errors
/// Where it is too long.
pub fn name(field: &'static str, text: &str) -> Result<Option<String>, Wrong> {
    if text.len() > LONGEST {
        let why = format!("it has {} bytes, at most {LONGEST} are possible", text.len());
        return Err(Wrong::new(field, why));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// The beginning of a foreign text, for a message.
pub fn short(text: &str) -> String {
    const MOST: usize = 40;
    let mut begin: String = text.chars().take(MOST).collect();
    if begin.len() < text.len() {
        begin.push('…');
    }
    begin
}
