// SPDX-License-Identifier: Apache-2.0
//! A picture of what a command shows in a terminal of 80×24, as SVG on standard output,
//! once it has run for so many seconds: `cargo run --example picture -- SECONDS COMMAND …`.
//! Standard error gets the same as text. The command is then sent `q`.

#[path = "../common/pty.rs"]
mod pty;

use std::process::Command;
use std::time::{Duration, Instant};

use pty::Pty;
use vt100::{Cell, Color, Parser};

const SIZE: (u16, u16) = (24, 80);
/// A cell's width and height, in pixels.
const CELL: (f32, f32) = (8.4, 18.0);
const INK: &str = "#d8dee9";
const PAPER: &str = "#1b1f27";

#[expect(clippy::disallowed_methods, reason = "patience, outside the program")]
fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).expect("seconds");
    let mut command = Command::new(arguments.next().expect("a command"));
    command.args(arguments).env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8");
    let mut pty = Pty::spawn(command);
    pty.resize(SIZE.0, SIZE.1);
    let mut parser = Parser::new(SIZE.0, SIZE.1, 0);
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        parser.process(pty.more().as_bytes());
    }
    eprintln!("{}", parser.screen().contents());
    print!("{}", svg(parser.screen()));
    pty.send("q");
    pty.wait();
}

fn svg(screen: &vt100::Screen) -> String {
    let (width, height) = (f32::from(SIZE.1) * CELL.0 + 16.0, f32::from(SIZE.0) * CELL.1 + 16.0);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"monospace\" font-size=\"14\" xml:space=\"preserve\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{PAPER}\"/>\n"
    );
    for row in 0..SIZE.0 {
        for column in 0..SIZE.1 {
            if let Some(cell) = screen.cell(row, column) {
                text.push_str(&drawn(cell, row, column));
            }
        }
    }
    text + "</svg>\n"
}

fn drawn(cell: &Cell, row: u16, column: u16) -> String {
    let (x, y) = (f32::from(column) * CELL.0 + 8.0, f32::from(row) * CELL.1 + 8.0);
    let ink = match cell.fgcolor() {
        Color::Idx(1) => "#e06c75",
        Color::Idx(2) => "#98c379",
        Color::Idx(3) => "#e5c07b",
        _ => INK,
    };
    let (ink, back) = if cell.inverse() { (PAPER, Some(ink)) } else { (ink, None) };
    let mut text = String::new();
    if let Some(back) = back {
        let (width, height) = (CELL.0 + 0.3, CELL.1);
        text += &format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{back}\"/>"
        );
    }
    if !cell.contents().trim().is_empty() {
        let sign = cell.contents().replace('&', "&amp;").replace('<', "&lt;");
        let weight = if cell.bold() { " font-weight=\"bold\"" } else { "" };
        let opacity = if cell.dim() { " opacity=\"0.6\"" } else { "" };
        let base = y + 13.5;
        text += &format!(
            "<text x=\"{x:.1}\" y=\"{base:.1}\" fill=\"{ink}\"{weight}{opacity}>{sign}</text>\n"
        );
    }
    text
}
