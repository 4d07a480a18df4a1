// SPDX-License-Identifier: Apache-2.0
//! `aimeter jobs`: a list of jobs from the ledger, for people (a table), programs
//! (`--json`) and spreadsheets (`--csv`).
//!
//! The shape of the last two is a contract, written in `docs/json-output.md`. A
//! figure that is unknown is null (empty in CSV), never zero; a figure that rests
//! on a model says so. Works while the daemon writes, and without one.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::clock;
use crate::jobs::{Exit, JobState};
use crate::ledger::query::{Filter, JobSummary, Reader};
use crate::ledger::schema::LedgerError;
use crate::record::text;
use crate::sensors::Kind;
use crate::settlement::Figure;
use crate::units::Energy;

/// The longest name, user or project in the table, in characters.
const LONGEST: usize = 32;

/// The table's columns; those from [`FIGURES`] on that hold figures stand right.
const HEADER: [&str; 13] = [
    "JOB", "NAME", "USER", "PROJECT", "STATE", "STARTED", "DURATION", "ENERGY", "GPU", "CPU",
    "DRAM", "CO2e", "EXIT",
];

/// The columns of figures.
const FIGURES: std::ops::RangeInclusive<usize> = 6..=12;

/// How the list is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns.
    #[default]
    Table,
    /// `--json`.
    Json,
    /// `--csv`.
    Csv,
}

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The state directory, in which the ledger lies.
    pub state_directory: PathBuf,
    /// Which jobs.
    pub filter: Filter,
    /// How they are written.
    pub format: Format,
    /// The present boot, for the time that running jobs have run; `None`: unknown.
    pub boot_id: Option<String>,
    /// In which the table shows times.
    pub time_zone: TimeZone,
}

/// What gives a listed job's emissions by the ledger; `None`: not known.
pub type FigureOf<'a> = &'a dyn Fn(&Reader, &JobSummary) -> Result<Option<Figure>, LedgerError>;

/// Writes the list on `out`. `figure` gives a job's emissions where they are known.
/// A reader that goes away (`| head`) ends it quietly.
///
/// # Errors
/// Where the ledger cannot be read, or `out` not be written.
pub fn run(options: &Options, figure: FigureOf<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    let reader = Reader::open(&options.state_directory)?;
    let with_figure = |job| figure(&reader, &job).map(|figure| Listed { job, figure });
    let jobs: Vec<Listed> =
        reader.jobs(&options.filter)?.into_iter().map(with_figure).collect::<Result<_, _>>()?;
    let mut out = BufWriter::new(out);
    let written = match options.format {
        Format::Table => table(options, &jobs, &mut out),
        Format::Json => json(&jobs, &mut out),
        Format::Csv => csv(&jobs, &mut out),
    };
    match written.and_then(|()| out.flush()) {
        // What is still buffered would be tried again, in vain, when it is dropped.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            drop(out.into_parts());
            Ok(())
        }
        other => other.context("cannot write the list of jobs"),
    }
}

/// A job with its emissions, where they are known.
struct Listed {
    job: JobSummary,
    figure: Option<Figure>,
}

/// One job in `--json` and `--csv`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    id: &'a str,
    name: &'a str,
    user: &'a str,
    project: Option<&'a str>,
    labels: &'a BTreeMap<String, String>,
    origin: &'a str,
    parent: Option<&'a str>,
    state: &'static str,
    started_at: String,
    ended_at: Option<String>,
    duration_seconds: Option<f64>,
    exit_code: Option<i32>,
    total_joules: Option<f64>,
    gpu_joules: Option<f64>,
    cpu_joules: Option<f64>,
    dram_joules: Option<f64>,
    node_joules: Option<f64>,
    provenance: Option<&'static str>,
    emissions_grams: Option<f64>,
    unsettled_grams: Option<f64>,
    zone: Option<&'a str>,
    pue: Option<f64>,
}

/// The columns of `--csv`, as [`Line`] has them.
const COLUMNS: [&str; 22] = [
    "id",
    "name",
    "user",
    "project",
    "labels",
    "origin",
    "parent",
    "state",
    "started_at",
    "ended_at",
    "duration_seconds",
    "exit_code",
    "total_joules",
    "gpu_joules",
    "cpu_joules",
    "dram_joules",
    "node_joules",
    "provenance",
    "emissions_grams",
    "unsettled_grams",
    "zone",
    "pue",
];

impl<'a> Line<'a> {
    fn new(Listed { job, figure }: &'a Listed) -> Self {
        let (row, spec) = (&job.row, &job.row.spec);
        let counted = |kind| of(&job.energy, kind).map(Energy::joules);
        // A node's own meter is counted only where nothing in it is.
        let node = of(&job.energy, Kind::Node).or(of(&job.overlapping, Kind::Node));
        Line {
            id: spec.id.as_str(),
            name: &spec.name,
            user: &spec.user,
            project: spec.project.as_deref(),
            labels: &spec.labels,
            origin: &row.origin,
            parent: spec.parent.as_ref().map(|parent| parent.as_str()),
            state: row.state.as_str(),
            started_at: utc(row.started),
            ended_at: row.ended.map(utc),
            duration_seconds: row.duration.map(|time| time.as_secs_f64()),
            exit_code: row.exit.and_then(exit_code),
            total_joules: job.total().map(Energy::joules),
            gpu_joules: counted(Kind::Gpu),
            cpu_joules: counted(Kind::Cpu),
            dram_joules: counted(Kind::Dram),
            node_joules: node.map(Energy::joules),
            provenance: job.provenance(),
            emissions_grams: figure.map(|figure| figure.emissions.grams()),
            unsettled_grams: figure.map(|figure| figure.unsettled.grams()),
            zone: row.zone.as_deref(),
            pue: row.pue_thousandths.map(|pue| f64::from(pue) / 1_000.0),
        }
    }

    /// The fields as texts, in the order of [`COLUMNS`].
    fn cells(&self) -> [String; COLUMNS.len()] {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let number = |number: Option<f64>| number.map(|n| n.to_string()).unwrap_or_default();
        [
            self.id.to_owned(),
            self.name.to_owned(),
            self.user.to_owned(),
            text(self.project),
            serde_json::json!(self.labels).to_string(),
            self.origin.to_owned(),
            text(self.parent),
            self.state.to_owned(),
            self.started_at.clone(),
            self.ended_at.clone().unwrap_or_default(),
            number(self.duration_seconds),
            self.exit_code.map(|code| code.to_string()).unwrap_or_default(),
            number(self.total_joules),
            number(self.gpu_joules),
            number(self.cpu_joules),
            number(self.dram_joules),
            number(self.node_joules),
            text(self.provenance),
            number(self.emissions_grams),
            number(self.unsettled_grams),
            text(self.zone),
            number(self.pue),
        ]
    }
}

fn json(jobs: &[Listed], out: &mut impl Write) -> io::Result<()> {
    let lines: Vec<_> = jobs.iter().map(Line::new).collect();
    serde_json::to_writer_pretty(&mut *out, &lines)?;
    writeln!(out)
}

fn csv(jobs: &[Listed], out: &mut impl Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(COLUMNS)?;
    for job in jobs {
        writer.write_record(Line::new(job).cells())?;
    }
    writer.flush()
}

fn table(options: &Options, jobs: &[Listed], out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(HEADER);
    table.add_rows(jobs.iter().map(|listed| cells(options, listed)));
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if FIGURES.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    if jobs.iter().any(|listed| listed.job.estimated.iter().any(Option::is_some)) {
        writeln!(out, "~ estimated by a model, not measured")?;
    }
    Ok(())
}

/// A row of the table.
fn cells(options: &Options, Listed { job, figure }: &Listed) -> [String; HEADER.len()] {
    let (row, spec) = (&job.row, &job.row.spec);
    let nothing = || "-".to_owned();
    let joules = |energy: Option<Energy>, estimated: bool| {
        let mark = if estimated { "~" } else { "" };
        energy.map_or_else(nothing, |energy| format!("{mark}{}", text::energy(energy.joules())))
    };
    let by_kind = |kind| joules(of(&job.energy, kind), of(&job.estimated, kind).is_some());
    let started = row.started.to_zoned_datetime(options.time_zone.clone());
    [
        spec.id.to_string(),
        shortened(&spec.name),
        shortened(&spec.user),
        spec.project.as_deref().map_or_else(nothing, shortened),
        row.state.as_str().to_owned(),
        started.strftime("%Y-%m-%d %H:%M").to_string(),
        time_run(options, job).map_or_else(nothing, |time| text::duration(time.as_secs_f64())),
        joules(job.total(), job.estimated.iter().any(Option::is_some)),
        by_kind(Kind::Gpu),
        by_kind(Kind::Cpu),
        by_kind(Kind::Dram),
        figure.map_or_else(nothing, |figure| text::emissions(figure.emissions.grams())),
        exit_word(row.exit, row.state),
    ]
}

/// A job's duration; of a running one, the time until now.
fn time_run(options: &Options, job: &JobSummary) -> Option<Duration> {
    let row = &job.row;
    let here = options.boot_id.as_deref() == Some(row.boot_id.as_str());
    let running = row.state == JobState::Running && here;
    row.duration.or_else(|| running.then(|| clock::now().since(row.started_at)))
}

/// The value of one kind.
fn of(values: &[Option<Energy>; Kind::ALL.len()], kind: Kind) -> Option<Energy> {
    Kind::ALL.iter().zip(values).find(|(known, _)| **known == kind).and_then(|(_, value)| *value)
}

/// The exit code as a shell has it; `None` where nobody saw the end.
fn exit_code(exit: Exit) -> Option<i32> {
    match exit {
        Exit::Code(code) => Some(code),
        Exit::Signal(signal) => Some(128 + signal),
        Exit::Unknown => None,
    }
}

/// The exit for people.
fn exit_word(exit: Option<Exit>, state: JobState) -> String {
    match exit {
        Some(Exit::Code(code)) => code.to_string(),
        Some(Exit::Signal(signal)) => format!("signal {signal}"),
        Some(Exit::Unknown) => "?".to_owned(),
        None if state == JobState::Running => "-".to_owned(),
        None => "?".to_owned(),
    }
}

/// RFC 3339, UTC, milliseconds, as records have it.
fn utc(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Foreign text made safe for a terminal, and cut.
fn shortened(foreign: &str) -> String {
    let line = text::line(foreign);
    match line.char_indices().nth(LONGEST) {
        None if line.is_empty() => "-".to_owned(),
        None => line,
        Some(_) => line.chars().take(LONGEST - 1).chain(['…']).collect(),
    }
}
