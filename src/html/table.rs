// SPDX-License-Identifier: Apache-2.0
//! Tables of a document. The first cell of a row is its heading.

use maud::{Markup, html};

use crate::record::text::line;

/// Rows of which a table is folded up.
const LONG: usize = 12;

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    caption: String,
    columns: Vec<Column>,
    rows: Vec<Vec<Markup>>,
}

#[derive(Clone, Debug)]
struct Column {
    name: String,
    right: bool,
}

impl Table {
    /// An empty one; the caption says what is in it.
    pub fn new(caption: &str) -> Table {
        Table { caption: line(caption), columns: Vec::new(), rows: Vec::new() }
    }

    /// With another column of text.
    pub fn left(self, name: &str) -> Table {
        self.column(name, false)
    }

    /// With another column of figures.
    pub fn right(self, name: &str) -> Table {
        self.column(name, true)
    }

    fn column(mut self, name: &str, right: bool) -> Table {
        self.columns.push(Column { name: line(name), right });
        self
    }

    /// Adds a row: a cell for each column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Markup>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether it would push aside what matters more.
    pub(super) fn is_long(&self) -> bool {
        self.rows.len() > LONG
    }

    /// As HTML. A reader with a keyboard can move what is wider than the window.
    pub fn html(&self) -> Markup {
        let cells = |row: &[Markup]| {
            let of = |(place, cell): (usize, &Markup)| {
                let right = self.columns.get(place).is_some_and(|column| column.right);
                let class = right.then_some("n");
                html! {
                    @if place == 0 {
                        th scope="row" class=[class] { (cell) }
                    } @else {
                        td class=[class] { (cell) }
                    }
                }
            };
            html! { @for cell in row.iter().enumerate() { (of(cell)) } }
        };
        html! {
            div.scroll.short[!self.is_long()] tabindex="0" role="group" aria-label=(self.caption) {
                table {
                    caption { (self.caption) }
                    thead {
                        tr {
                            @for column in &self.columns {
                                th scope="col" class=[column.right.then_some("n")] { (column.name) }
                            }
                        }
                    }
                    tbody { @for row in &self.rows { tr { (cells(row)) } } }
                }
            }
        }
    }
}
