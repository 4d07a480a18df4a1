// SPDX-License-Identifier: Apache-2.0
//! A frame: the head, the domains with their last minutes, the jobs, the keys.
//!
//! What does not fit is left out by its weight, never cut in a figure: columns from the
//! least telling on, domains beyond a third of the screen as one sum.

use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use crate::record::text;
use crate::server::now::{DomainNow, Intensity, JobNow, Now};

use super::lines::Line;
use super::pages;
use super::state::{Order, Over, Top};

/// How the terminal may be written to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Colours.
    pub colour: bool,
    /// Letters beyond ASCII that draw lines.
    pub unicode: bool,
}

impl Look {
    pub(super) fn coloured(self, colour: Color, style: Style) -> Style {
        if self.colour { style.fg(colour) } else { style }
    }
}

pub(super) const PLAIN: Style = Style::new();
pub(super) const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const REVERSED: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Rows of the head.
const HEAD: u16 = 2;
/// The width of a power.
const POWER: u16 = 9;
/// The narrowest line of power that says anything.
const LEAST_LINE: u16 = 8;

/// Draws the frame.
pub fn draw(top: &Top, look: Look, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    if top.over == Over::Help {
        pages::help(area, buffer);
        return;
    }
    head(top, look, area, buffer);
    let Some(now) = &top.now else { return };
    let lists = rows(area, HEAD, area.height.saturating_sub(HEAD + 1));
    let room = (lists.height / 3).max(1);
    let domains = domains(top, now, look, rows(lists, 0, room), buffer);
    let below = rows(lists, domains, lists.height.saturating_sub(domains));
    match top.jobs().get(top.row) {
        Some(job) if top.over == Over::Job => pages::job(job, now, below, buffer),
        _ => jobs(top, now, Some(look), below, buffer),
    }
    foot(top, rows(area, area.height.saturating_sub(1), 1), buffer);
}

/// A frame of all domains and jobs as lines of text, for scripts: no keys, no lines of
/// power, no selection.
pub fn plain(top: &Top, width: u16) -> String {
    let Some(now) = &top.now else { return String::new() };
    let count = |length: usize| u16::try_from(length).unwrap_or(u16::MAX / 4);
    let (domains_room, jobs_room) = (count(now.domains.len()) + 1, count(top.jobs().len()) + 2);
    let area = Rect::new(0, 0, width, HEAD + domains_room + jobs_room);
    let mut buffer = Buffer::empty(area);
    head(top, Look::default(), area, &mut buffer);
    let mut bare = top.clone();
    bare.lines.clear();
    bare.unattributed = Line::default();
    let used = domains(&bare, now, Look::default(), rows(area, HEAD, domains_room), &mut buffer);
    jobs(top, now, None, rows(area, HEAD + used, jobs_room), &mut buffer);
    let mut text = String::new();
    for y in 0..area.height {
        let line: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// Some rows of an area, as far as it has them.
fn rows(area: Rect, skip: u16, count: u16) -> Rect {
    let skip = skip.min(area.height);
    Rect { y: area.y + skip, height: count.min(area.height - skip), ..area }
}

/// A text in a row of an area, cut at its edge.
pub(super) fn put(buffer: &mut Buffer, area: Rect, row: u16, text: &str, style: Style) {
    if row < area.height {
        buffer.set_stringn(area.x, area.y + row, text, area.width.into(), style);
    }
}

/// The same at the right edge of the first `width` columns.
fn put_right(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    // Figures have a sign a column.
    let length = u16::try_from(text.chars().count()).unwrap_or(u16::MAX).min(area.width);
    put(buffer, Rect { x: area.x + area.width - length, ..area }, 0, text, style);
}

/// As many of the texts as fit, two spaces between them.
pub(super) fn fitting(parts: &[String], width: u16) -> String {
    let mut line = String::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        let gap = if line.is_empty() { 0 } else { 2 };
        if !line.is_empty() && line.chars().count() + gap + part.chars().count() > width.into() {
            continue;
        }
        line.push_str(&"  "[..gap]);
        line.push_str(part);
    }
    line
}

pub(super) fn watts(watts: Option<f64>) -> String {
    let figure = |watts: f64| match watts {
        0.0..1_000.0 => format!("{watts:.1} W"),
        watts => format!("{} kW", text::number(watts / 1e3)),
    };
    watts.map_or_else(|| "-".to_owned(), figure)
}

fn head(top: &Top, look: Look, area: Rect, buffer: &mut Buffer) {
    if let Some(why) = &top.lost {
        let alarm = look.coloured(Color::Red, BOLD);
        put(buffer, rows(area, 1, 1), 0, &format!("trying again: {}", text::line(why)), alarm);
    }
    let Some(now) = &top.now else {
        put(buffer, area, 0, "aimeter: waiting for the daemon's answer", BOLD);
        return;
    };
    let time = now.at.map_or(String::new(), |at| format!("{} UTC", at.strftime("%H:%M:%S")));
    let total = format!("{} in all", watts(now.watts));
    let no_job = format!("{} no job", watts(now.unattributed_watts));
    let hourly = now.grams_per_hour.map(|grams| format!("{} CO2e/h", text::emissions(grams)));
    let parts = [total, no_job, hourly.unwrap_or_default(), time, text::line(&now.host)];
    put(buffer, area, 0, &fitting(&parts, area.width), BOLD);
    if top.lost.is_some() {
        return;
    }
    match &now.trouble {
        Some(trouble) => {
            put(buffer, area, 1, &text::line(trouble), look.coloured(Color::Red, BOLD));
        }
        None => put(buffer, area, 1, &grid(now, area.width), PLAIN),
    }
}

/// The intensity with its source, its quality and its age; then other zones'.
fn grid(now: &Now, width: u16) -> String {
    let Some(one) = &now.intensity else { return "no intensity of the grid is known".to_owned() };
    let first = format!("{} {} g/kWh", text::line(&one.zone), text::number(one.grams_per_kwh));
    let others = now.other_intensities.iter().map(|other| {
        format!("{} {} g/kWh", text::line(&other.zone), text::number(other.grams_per_kwh))
    });
    let mut parts = vec![first, quality(one, now.at), text::line(&one.source), one.signal.clone()];
    parts.extend(others);
    fitting(&parts, width)
}

fn quality(one: &Intensity, now: Option<Timestamp>) -> String {
    let Some((from, now)) = one.from.zip(now) else { return "yearly mean".to_owned() };
    let minutes = now.duration_since(from).as_secs().div_euclid(60);
    let age = match minutes {
        ..0 => return one.quality.clone(),
        0..60 => format!("{minutes} min"),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    };
    format!("{}, of {age} ago", one.quality)
}

/// The domains, and how many rows they took.
fn domains(top: &Top, now: &Now, look: Look, area: Rect, buffer: &mut Buffer) -> u16 {
    let mut left: Vec<&DomainNow> = now.domains.iter().collect();
    left.sort_by_key(|domain| !domain.counted);
    let room = usize::from(area.height);
    // The last row is what no job uses; the one before sums up what has no room.
    let shown = if left.len() < room { left.len() } else { room.saturating_sub(2) };
    let rest = left.split_off(shown);
    let mut row = 0;
    let second = now.at.map_or(0, Timestamp::as_second);
    let mut one = |label: &str, figure: &str, line: Option<&Line>, style: Style| {
        domain_row(&Row { label, figure, line, style, second }, look, rows(area, row, 1), buffer);
        row += 1;
    };
    for domain in left {
        let (figure, style) = domain_figure(domain, look);
        let label = domain_label(domain);
        one(&label, &figure, top.lines.get(&domain.id), style);
    }
    if !rest.is_empty() && room >= 2 {
        let counted = rest.iter().filter(|domain| domain.counted);
        let sum = counted.filter_map(|domain| domain.watts).reduce(|sum, watts| sum + watts);
        one(&format!("{} more", rest.len()), &watts(sum), None, PLAIN);
    }
    one("no job", &watts(now.unattributed_watts), Some(&top.unattributed), PLAIN);
    row
}

fn domain_label(domain: &DomainNow) -> String {
    let overlap = if domain.counted { "" } else { " (not in sums)" };
    let id = domain.id.rsplit(':').next().unwrap_or_default();
    let kind = text::kind(&domain.kind);
    let kind = if id.starts_with(&kind) { "" } else { &kind };
    // Of a UUID its beginning tells devices apart.
    let short: String = id.chars().take(12).collect();
    let short = if domain.device == id { "" } else { &short };
    text::line(&format!("{kind} {short} {}{overlap}", domain.device))
}

fn domain_figure(domain: &DomainNow, look: Look) -> (String, Style) {
    match domain.state.as_str() {
        "ok" => (watts(domain.watts), BOLD),
        state => (state.replace('_', " "), look.coloured(Color::Yellow, BOLD)),
    }
}

/// One row of the domains.
struct Row<'a> {
    label: &'a str,
    figure: &'a str,
    line: Option<&'a Line>,
    style: Style,
    second: i64,
}

fn domain_row(row: &Row<'_>, look: Look, area: Rect, buffer: &mut Buffer) {
    let figure = POWER.max(row.figure.len() as u16 + 1);
    let label = (area.width.saturating_sub(figure) / 2).clamp(8, 40);
    put(buffer, Rect { width: label.min(area.width), ..area }, 0, row.label, PLAIN);
    let Some(room) = area.width.checked_sub(label) else { return };
    let right = Rect { x: area.x + label, width: room.min(figure), ..area };
    put_right(buffer, right, row.figure, row.style);
    let used = label + right.width + 1;
    let line = area.width.saturating_sub(used);
    if let Some(power) = row.line.filter(|_| line >= LEAST_LINE) {
        let text = power.text(row.second, line.into(), look.unicode);
        let style = look.coloured(Color::Green, PLAIN);
        put(buffer, Rect { x: area.x + used, width: line, ..area }, 0, &text, style);
    }
}

/// A column of the jobs.
struct Column {
    title: &'static str,
    width: u16,
    /// The narrowest screen that has it.
    from: u16,
    right: bool,
    order: Option<Order>,
    cell: fn(&JobNow, &Now) -> String,
}

/// The name takes what the others leave.
const NAME: usize = 0;
/// The phase is there only where a job marks any.
const PHASE: usize = 3;
const COLUMNS: [Column; 9] = [
    column("NAME", 0, 0, |job, _| text::line(&job.name)),
    column("USER", 10, 60, |job, _| text::line(&job.user)),
    column("PROJECT", 12, 96, |job, _| text::line(job.project.as_deref().unwrap_or("-"))),
    column("PHASE", 10, 76, |job, _| job.phase.clone().unwrap_or_default()),
    figure("POWER", 0, Order::Power, |job, _| watts(job.watts)),
    figure("ENERGY", 34, Order::Energy, |job, _| text::energy(job.joules)),
    figure("CO2e", 50, Order::Emissions, |job, _| text::emissions(job.emissions_grams)),
    figure("TIME", 42, Order::Time, elapsed),
    column("JOB", 28, 124, |job, _| job.id.clone()),
];

const fn column(
    title: &'static str,
    width: u16,
    from: u16,
    cell: fn(&JobNow, &Now) -> String,
) -> Column {
    Column { title, width, from, right: false, order: None, cell }
}

const fn figure(
    title: &'static str,
    from: u16,
    order: Order,
    cell: fn(&JobNow, &Now) -> String,
) -> Column {
    Column { title, width: 9, from, right: true, order: Some(order), cell }
}

/// Since its start, as `4:05`, `1:02:03`, `3d 4h`; one that has ended says so.
pub(super) fn elapsed(job: &JobNow, now: &Now) -> String {
    if !job.runs() {
        return "ended".to_owned();
    }
    let time = now.at.map_or(0, |at| at.duration_since(job.started_at).as_secs().max(0));
    match (time / 86_400, time / 3_600, time / 60 % 60, time % 60) {
        (0, 0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (0, hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
        (days, hours, ..) => format!("{days}d {}h", hours % 24),
    }
}

/// The list of jobs; without a look, as text without a selection.
fn jobs(top: &Top, now: &Now, look: Option<Look>, area: Rect, buffer: &mut Buffer) {
    let marks = now.jobs.iter().any(|job| !job.phases.is_empty());
    let has =
        |(place, one): &(usize, &Column)| area.width >= one.from && (*place != PHASE || marks);
    let columns: Vec<&Column> =
        COLUMNS.iter().enumerate().filter(has).map(|(_, one)| one).collect();
    let others: u16 = columns.iter().map(|one| if one.width > 0 { one.width + 1 } else { 0 }).sum();
    let name = area.width.saturating_sub(others + 1).max(4);
    let mut line = |row: u16, cells: &dyn Fn(&Column) -> String, style: Style| {
        let area = rows(area, row, 1);
        if area.is_empty() {
            return;
        }
        buffer.set_style(area, style);
        let mut x = area.x;
        for (place, one) in columns.iter().enumerate() {
            let width = if place == NAME { name } else { one.width };
            let Some(left) = area.right().checked_sub(x) else { break };
            let cell = Rect { x, width: width.min(left), ..area };
            match one.right {
                true => put_right(buffer, cell, &cells(one), style),
                false => put(buffer, cell, 0, &cells(one), style),
            }
            x += width + 1;
        }
    };
    let sign = match (look, top.inverted) {
        (Some(Look { unicode: true, .. }), false) => "▼",
        (Some(Look { unicode: true, .. }), true) => "▲",
        (Some(_), false) => "v",
        (Some(_), true) => "^",
        (None, _) => "",
    };
    let title = |one: &Column| match one.order == Some(top.order) {
        true => format!("{}{sign}", one.title),
        false => one.title.to_owned(),
    };
    line(0, &title, if look.is_some() { REVERSED } else { PLAIN });
    let list = top.jobs();
    let room = usize::from(area.height.saturating_sub(1));
    let first = (top.row + 1).saturating_sub(room);
    for (row, (place, job)) in list.iter().enumerate().skip(first).take(room).enumerate() {
        let style = match job.runs() {
            _ if look.is_some() && place == top.row => REVERSED,
            true => PLAIN,
            false => DIM,
        };
        line(row as u16 + 1, &|one| (one.cell)(job, now), style);
    }
    if list.is_empty() {
        let why = match (top.filter.is_empty(), now.jobs.is_empty()) {
            (false, false) => "no job has this in its name, user or project",
            _ => "no job runs; start one with `aimeter run -- COMMAND`",
        };
        put(buffer, rows(area, 1, 1), 0, why, PLAIN);
    }
}

fn foot(top: &Top, area: Rect, buffer: &mut Buffer) {
    let left_out = top.now.as_ref().map_or(0, |now| now.jobs_left_out);
    let text = match (top.typing, top.filter.is_empty()) {
        (true, _) => format!("filter: {}_  (Enter: keep, Esc: clear)", text::line(&top.filter)),
        (false, false) => format!("filter: {}  (Esc: clear)  q quit", text::line(&top.filter)),
        (false, true) => {
            let keys = ["q quit", "h help", "P E C T sort", "/ filter", "Enter job", "I invert"];
            let mut keys: Vec<String> = keys.map(str::to_owned).to_vec();
            if left_out > 0 {
                keys.insert(0, format!("{left_out} jobs not shown"));
            }
            fitting(&keys, area.width)
        }
    };
    put(buffer, area, 0, &text, DIM);
}
