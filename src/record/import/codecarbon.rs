// SPDX-License-Identifier: Apache-2.0
//! CodeCarbon's `emissions.csv`, and its files of tasks, as every version since 2.0
//! writes them; columns that a version does not have are unknown.
//!
//! Its conventions (read from 2.0.0, 2.3.5 and 3.3.2): kilograms, kilowatt-hours and
//! seconds; energies contain the PUE; `timestamp` is the local time of the writing,
//! without its zone; `duration` and all sums count from the run's start, so that a
//! later row of a run contains the earlier ones.

mod parts;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::table::{Cells, Row, Table};
use super::{
    Clock, Import, JobPart, MOST_JOULES, MOST_WATTS, Place, Record, Remark, UNKNOWN, Unreadable,
    Wrong, bare, begin, job_id, micro, project, written,
};

/// `job.origin` of these records.
pub const ORIGIN: &str = "codecarbon";

/// Joules of a kilowatt-hour.
const KWH: f64 = 3.6e6;

/// Without these a file is none of CodeCarbon's.
const NEEDED: [&str; 6] =
    ["timestamp", "project_name", "run_id", "duration", "emissions", "energy_consumed"];

/// A row that was understood.
struct Run {
    place: Place,
    record: Record,
    seconds: f64,
    joules: f64,
}

/// The records of a file.
///
/// # Errors
/// Where it is none of CodeCarbon's.
pub fn read(bytes: &[u8], clock: &Clock) -> Result<Import, Unreadable> {
    let table = Table::open(bytes, Cells::Commas, &NEEDED)?;
    let tasks = table.has("task_name");
    let mut import = Import::default();
    let mut runs: Vec<Run> = Vec::new();
    for row in table.rows() {
        let read = row.and_then(|row| {
            run(&row, tasks, clock).map_err(|wrong| Remark::refused(row.place, wrong))
        });
        match read {
            Ok(run) => runs.push(run),
            Err(remark) => import.remarks.push(remark),
        }
    }
    let last = last_of_each(&runs);
    for run in runs {
        match last.get(&run.record.job.id) {
            Some((place, joules)) if *place != run.place => {
                import.remarks.push(superseded(&run, *place, *joules));
            }
            _ => import.records.push(run.record),
        }
    }
    import.remarks.sort_by_key(|remark| remark.place);
    Ok(import)
}

/// The row of each run that contains its others, and its energy: the longest.
fn last_of_each(runs: &[Run]) -> BTreeMap<String, (Place, f64)> {
    let mut last: BTreeMap<String, &Run> = BTreeMap::new();
    for run in runs {
        let id = run.record.job.id.clone();
        let longest = last.entry(id).or_insert(run);
        if (run.seconds, run.joules) >= (longest.seconds, longest.joules) {
            *longest = run;
        }
    }
    last.into_iter().map(|(id, run)| (id, (run.place, run.joules))).collect()
}

fn superseded(run: &Run, by: Place, joules: f64) -> Remark {
    if run.joules > joules {
        let why = format!("more than the longer row of the same run on {by}: one of them is wrong");
        return Remark::refused(run.place, Wrong::new("energy_consumed", why));
    }
    let why = format!("an earlier state of the run on {by}, which contains it");
    Remark::left_out(run.place, "run_id", why)
}

fn run(row: &Row, tasks: bool, clock: &Clock) -> Result<Run, Wrong> {
    let needed = |column| row.number(column)?.ok_or_else(|| Wrong::new(column, "it is empty"));
    let (ended, ambiguity) = clock.moment("timestamp", row.text("timestamp"))?;
    let seconds = needed("duration")?;
    let started = begin("duration", ended, seconds)?;
    let consumed = needed("energy_consumed")?;
    let pue = parts::pue(row)?;
    let joules = micro(consumed * KWH / pue.unwrap_or(1.0));
    if joules > MOST_JOULES {
        return Err(Wrong::new("energy_consumed", format!("{consumed} kWh is out of range")));
    }
    if joules > MOST_WATTS * seconds {
        let why = format!("more than {MOST_WATTS} W all the time: no machine draws that");
        return Err(Wrong::new("energy_consumed", why));
    }
    let mut record = bare(job(row, tasks, started, ended, seconds)?);
    record.host = parts::host(row)?;
    record.energy = parts::energy(row, joules, pue)?;
    record.emissions = parts::emissions(row, consumed, &record.job)?;
    record.water = parts::water(row, joules)?;
    let kinds = record.energy.domains.iter().map(|domain| domain.kind.clone());
    record.quality.coverage = kinds.collect();
    record.quality.notes = parts::notes(row, &record, tasks);
    record.quality.notes.push(clock.note());
    record.quality.notes.extend(ambiguity);
    Ok(Run { place: row.place, record, seconds, joules })
}

fn job(
    row: &Row,
    tasks: bool,
    started: Timestamp,
    ended: Timestamp,
    seconds: f64,
) -> Result<JobPart, Wrong> {
    let run = job_id("run_id", row.text("run_id"))?;
    let name = row.name("project_name")?;
    let task = row.name("task_name")?;
    let experiment = row.name("experiment_id")?;
    Ok(JobPart {
        id: if tasks { task_id(&run, row.text("task_name")) } else { run },
        name: task.or(name.clone()).unwrap_or_else(|| ORIGIN.to_owned()),
        user: UNKNOWN.to_owned(),
        project: project("project_name", name)?,
        labels: experiment.map(|id| ("experiment_id".to_owned(), id)).into_iter().collect(),
        origin: ORIGIN.to_owned(),
        command: Vec::new(),
        exit_code: None,
        state: "finished".to_owned(),
        started_at: written(started),
        ended_at: Some(written(ended)),
        duration_seconds: Some(seconds),
    })
}

/// An id of a task of a run: of both names, since CodeCarbon's own are too long together.
fn task_id(run: &str, task: &str) -> String {
    let digest = Sha256::digest(format!("{run}\n{task}"));
    let hex: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("codecarbon-task-{hex}")
}
