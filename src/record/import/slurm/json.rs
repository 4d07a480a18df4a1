// SPDX-License-Identifier: Apache-2.0
//! `sacct --json`, in the forms of Slurm 21.08 to 25: a number is itself or an object
//! with `set` and `number`, a word is itself or a list of words.

use jiff::Timestamp;
use serde_json::Value;

use super::super::table::name;
use super::super::{Place, Remark, Unreadable, Wrong, plausible};
use super::energy::some;
use super::text::exit;
use super::{Entry, Refusal};

/// The jobs and their steps.
pub fn entries(bytes: &[u8]) -> Result<Vec<Result<Entry, Refusal>>, Unreadable> {
    let document: Value =
        serde_json::from_slice(bytes).map_err(|error| Unreadable::Json(error.to_string()))?;
    let Some(jobs) = document.get("jobs").and_then(Value::as_array) else {
        return Err(Unreadable::Json("it has no list `jobs`".to_owned()));
    };
    let mut entries = Vec::new();
    for (number, job) in (1..).zip(jobs) {
        let place = Place::Job(number);
        let allocation = match allocation(job, place) {
            Ok(allocation) => allocation,
            Err(wrong) => {
                let remark = Remark::refused(place, wrong);
                entries.push(Err(Refusal { remark, step_of: None }));
                continue;
            }
        };
        let key = (allocation.cluster.clone(), allocation.job.clone());
        let steps = job.get("steps").and_then(Value::as_array).map(Vec::as_slice);
        let steps = steps.unwrap_or_default().iter().map(|value| {
            step(value, &allocation).map_err(|wrong| Refusal {
                remark: Remark::refused(place, wrong),
                step_of: Some(key.clone()),
            })
        });
        let steps: Vec<_> = steps.collect();
        entries.push(Ok(allocation));
        entries.extend(steps);
    }
    Ok(entries)
}

fn allocation(job: &Value, place: Place) -> Result<Entry, Wrong> {
    let id = number(job.get("job_id")).ok_or_else(|| Wrong::new("job_id", "it is no number"))?;
    let array = job.get("array");
    let in_array = number(array.and_then(|array| array.get("job_id"))).filter(|id| *id > 0);
    let task = number(array.and_then(|array| array.get("task_id")));
    let id = match in_array.zip(task) {
        Some((array, task)) => format!("{array}_{task}"),
        None => id.to_string(),
    };
    let text = |field: &'static str| name(field, word(job.get(field)));
    let code = job.get("exit_code");
    let signal = code.and_then(|code| code.get("signal"));
    let signal = number(signal.and_then(|signal| signal.get("id").or(signal.get("signal_id"))));
    let code = number(code.and_then(|code| code.get("return_code")));
    let state = job.get("state").map(|state| word(state.get("current")));
    Ok(Entry {
        place,
        cluster: text("cluster")?.unwrap_or_default(),
        job: id,
        step: None,
        joules: tres(job, "energy").and_then(some),
        start: time(job, "start")?,
        end: time(job, "end")?,
        seconds: elapsed(job),
        state: name("state", state.unwrap_or_default())?.unwrap_or_default(),
        name: text("name")?,
        user: text("user")?,
        account: text("account")?,
        partition: text("partition")?,
        node_list: text("nodes")?,
        nodes: tres(job, "node").or(number(job.get("allocation_nodes"))).filter(|n| *n > 0),
        cpus: tres(job, "cpu").filter(|cpus| *cpus > 0),
        exit_code: code
            .and_then(|code| u8::try_from(code).ok())
            .zip(u8::try_from(signal.unwrap_or(0)).ok())
            .and_then(|(code, signal)| exit(code, signal)),
        notes: Vec::new(),
    })
}

fn step(value: &Value, job: &Entry) -> Result<Entry, Wrong> {
    let id = value.get("step").and_then(|step| step.get("id"));
    // `1234.batch`, or an object with the step's own part.
    let text = id.map(|id| word(id.get("step_id").or(Some(id)))).unwrap_or_default();
    let numeric = number(id.and_then(|id| id.get("step_id")).or(id)).map(|id| id.to_string());
    let own = text.rsplit_once('.').map_or(text, |(_, own)| own);
    let own = numeric.unwrap_or_else(|| own.to_owned());
    let own = name("step", &own)?.ok_or_else(|| Wrong::new("step", "it has no id"))?;
    let energy = value.get("statistics").and_then(|all| all.get("energy"));
    Ok(Entry {
        step: Some(own),
        joules: number(energy.and_then(|energy| energy.get("consumed"))).and_then(some),
        start: time(value, "start")?,
        end: time(value, "end")?,
        seconds: elapsed(value),
        ..job.clone()
    })
}

/// A number that is set.
fn number(value: Option<&Value>) -> Option<u64> {
    let value = value?;
    match value.get("set") {
        Some(Value::Bool(true)) => value.get("number")?.as_u64(),
        Some(_) => None,
        None => value.as_u64(),
    }
}

/// A word, or the first of several.
fn word(value: Option<&Value>) -> &str {
    match value {
        Some(Value::Array(words)) => words.first().and_then(Value::as_str).unwrap_or_default(),
        Some(value) => value.as_str().unwrap_or_default(),
        None => "",
    }
}

/// Seconds since 1970; 0 is none.
fn time(value: &Value, field: &str) -> Result<Option<Timestamp>, Wrong> {
    let seconds = number(value.get("time").and_then(|time| time.get(field)));
    let Some(seconds) = seconds.filter(|seconds| *seconds > 0) else { return Ok(None) };
    let moment = i64::try_from(seconds).ok().and_then(|it| Timestamp::from_second(it).ok());
    let moment = moment.ok_or_else(|| Wrong::new(field, format!("{seconds} is no time")))?;
    plausible(field, moment).map(Some)
}

fn elapsed(value: &Value) -> Option<f64> {
    number(value.get("time")?.get("elapsed")).map(|seconds| seconds as f64)
}

/// What was allocated of a kind.
fn tres(job: &Value, kind: &str) -> Option<u64> {
    let all = job.get("tres")?.get("allocated")?.as_array()?;
    let of_kind = all.iter().find(|one| word(one.get("type")) == kind)?;
    number(of_kind.get("count"))
}
