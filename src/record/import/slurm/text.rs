// SPDX-License-Identifier: Apache-2.0
//! `sacct --parsable2` (and `--parsable`): a header, then a line for each job and step,
//! with bars between the cells and no quotes.

use jiff::Timestamp;

use super::super::table::{Cells, Row, Table, short};
use super::super::{Clock, Remark, Unreadable, Wrong};
use super::energy::some;
use super::{Entry, Refusal};

/// Without these there is no job with energy.
const NEEDED: [&str; 5] = ["JobID", "State", "Start", "End", "ConsumedEnergyRaw"];

/// The lines.
pub fn entries(bytes: &[u8], clock: &Clock) -> Result<Vec<Result<Entry, Refusal>>, Unreadable> {
    let table = Table::open(bytes, Cells::Bars, &NEEDED)?;
    let entry = |row: Result<Row, Remark>| {
        let row = row.map_err(|remark| Refusal { remark, step_of: None })?;
        entry(&row, clock).map_err(|wrong| {
            let remark = Remark::refused(row.place, wrong);
            let of_step = |(job, _): (&str, &str)| (row.text("Cluster").to_owned(), job.to_owned());
            Refusal { remark, step_of: row.text("JobID").split_once('.').map(of_step) }
        })
    };
    Ok(table.rows().map(entry).collect())
}

fn entry(row: &Row, clock: &Clock) -> Result<Entry, Wrong> {
    let id = row.name("JobID")?.ok_or_else(|| Wrong::new("JobID", "it is empty"))?;
    let (job, step) = match id.split_once('.') {
        Some((job, step)) if step.ends_with('+') => {
            let why = format!("`{job}.{step}` is cut off: use --parsable2");
            return Err(Wrong::new("JobID", why));
        }
        Some((job, step)) => (job.to_owned(), Some(step.to_owned())),
        None => (id, None),
    };
    let mut notes = Vec::new();
    let start = moment(row, "Start", clock, &mut notes)?;
    let end = moment(row, "End", clock, &mut notes)?;
    Ok(Entry {
        place: row.place,
        cluster: row.name("Cluster")?.unwrap_or_default(),
        job,
        step,
        joules: whole(row, "ConsumedEnergyRaw")?.and_then(some),
        start,
        end,
        seconds: seconds(row)?,
        state: row.name("State")?.unwrap_or_default(),
        name: row.name("JobName")?,
        user: row.name("User")?,
        account: row.name("Account")?,
        partition: row.name("Partition")?,
        node_list: row.name("NodeList")?,
        nodes: nodes(row)?,
        cpus: whole(row, "AllocCPUS")?.or(of_tres(row.text("AllocTRES"), "cpu")).filter(|n| *n > 0),
        exit_code: exit_code(row.text("ExitCode")),
        notes,
    })
}

fn moment(
    row: &Row,
    column: &'static str,
    clock: &Clock,
    notes: &mut Vec<String>,
) -> Result<Option<Timestamp>, Wrong> {
    let text = row.text(column);
    if ["", "Unknown", "None"].contains(&text) {
        return Ok(None);
    }
    let (moment, note) = clock.moment(column, text)?;
    notes.extend(note);
    Ok(Some(moment))
}

fn whole(row: &Row, column: &'static str) -> Result<Option<u64>, Wrong> {
    match row.text(column) {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            Wrong::new(column, format!("`{}` is no whole number from 0 on", short(text)))
        }),
    }
}

fn seconds(row: &Row) -> Result<Option<f64>, Wrong> {
    if let Some(seconds) = row.number("ElapsedRaw")? {
        return Ok(Some(seconds));
    }
    match row.text("Elapsed") {
        "" => Ok(None),
        text => elapsed(text).map(Some).ok_or_else(|| {
            Wrong::new("Elapsed", format!("`{}` is no time such as 1-02:03:04", short(text)))
        }),
    }
}

/// `[days-]hours:minutes:seconds`, where hours may be missing.
pub(super) fn elapsed(text: &str) -> Option<f64> {
    let (days, time) = text.split_once('-').unwrap_or(("0", text));
    let days: u32 = days.parse().ok()?;
    let parts: Vec<f64> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let fits = |part: &f64| part.is_finite() && *part >= 0.0;
    if !(2..=3).contains(&parts.len()) || !parts.iter().all(fits) {
        return None;
    }
    let seconds = parts.iter().fold(0.0, |sum, part| sum * 60.0 + part);
    Some(f64::from(days) * 86_400.0 + seconds)
}

fn nodes(row: &Row) -> Result<Option<u64>, Wrong> {
    if let Some(nodes) = of_tres(row.text("AllocTRES"), "node") {
        return Ok(Some(nodes));
    }
    let nodes = whole(row, "NNodes")?.or(whole(row, "AllocNodes")?).filter(|nodes| *nodes > 0);
    let list = row.text("NodeList");
    let single = !list.is_empty() && !list.contains([',', '[']) && !list.contains("None");
    Ok(nodes.or(single.then_some(1)))
}

/// The count of a kind in `billing=4,cpu=128,node=2`.
fn of_tres(text: &str, kind: &str) -> Option<u64> {
    let count = |part: &str| part.split_once('=').filter(|(name, _)| *name == kind)?.1.parse().ok();
    text.split(',').find_map(count)
}

/// `3:0`, or `0:9` of a signal.
fn exit_code(text: &str) -> Option<i32> {
    let (code, signal) = text.split_once(':')?;
    exit(code.parse().ok()?, signal.parse().ok()?)
}

/// As records have it: 128 + n of signal n.
pub(super) fn exit(code: u8, signal: u8) -> Option<i32> {
    match signal {
        0 => Some(i32::from(code)),
        signal @ 1..=64 => Some(128 + i32::from(signal)),
        _ => None,
    }
}
