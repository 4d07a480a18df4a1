// SPDX-License-Identifier: Apache-2.0
//! Slurm's accounting with energy: `sacct --parsable2` and `sacct --json`.
//!
//! A job has a line of its allocation and one of each step, and their energies overlap
//! (`energy.rs`). What Slurm reads is the energy of whole nodes: of a job that shared
//! them it is too much, and is called estimated. What the energy is of (CPUs, nodes) is
//! the site's choice of a plugin, which the file does not tell.

mod energy;
mod json;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Clock, Import, JobPart, MOST_JOULES, Place, Record, Remark, UNKNOWN, Unreadable, Wrong, bare,
    job_id, project, written,
};
use crate::record::{DomainPart, HostPart};

/// `job.origin` of these records.
pub const ORIGIN: &str = "sacct";

/// What the file does not tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// In which its times are.
    pub clock: Clock,
    /// CPUs of a node, as Slurm counts them, by which it shows who held whole nodes.
    pub cpus_per_node: Option<u64>,
}

/// A line: an allocation or a step.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    place: Place,
    cluster: String,
    job: String,
    /// `None`: the allocation.
    step: Option<String>,
    /// `None`: Slurm knows none.
    joules: Option<u64>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    seconds: Option<f64>,
    state: String,
    name: Option<String>,
    user: Option<String>,
    account: Option<String>,
    partition: Option<String>,
    node_list: Option<String>,
    nodes: Option<u64>,
    cpus: Option<u64>,
    exit_code: Option<i32>,
    /// On its times.
    notes: Vec<String>,
}

/// The lines of a job.
#[derive(Default)]
struct Group {
    allocation: Option<Entry>,
    steps: Vec<Entry>,
    /// A step's line could not be read.
    incomplete: bool,
}

/// A line that is none; of a step, with its job's key.
struct Refusal {
    remark: Remark,
    step_of: Option<(String, String)>,
}

/// The records of an output of sacct, as text or JSON.
///
/// # Errors
/// Where it is neither.
pub fn read(bytes: &[u8], site: &Site) -> Result<Import, Unreadable> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let entries = match first {
        Some(b'{') => json::entries(bytes)?,
        _ => text::entries(bytes, &site.clock)?,
    };
    let mut import = Import::default();
    let mut order: Vec<(String, String)> = Vec::new();
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    for entry in entries {
        let key = match &entry {
            Ok(entry) => (entry.cluster.clone(), entry.job.clone()),
            Err(Refusal { step_of: Some(key), .. }) => key.clone(),
            Err(Refusal { .. }) => (String::new(), String::new()),
        };
        let entry = match entry {
            Err(Refusal { remark, step_of: None }) => {
                import.remarks.push(remark);
                continue;
            }
            other => other,
        };
        let group = groups.entry(key.clone()).or_insert_with(|| {
            order.push(key);
            Group::default()
        });
        match entry {
            Err(Refusal { remark, .. }) => {
                import.remarks.push(remark);
                group.incomplete = true;
            }
            Ok(entry) => match (&entry.step, &group.allocation) {
                (Some(_), _) => group.steps.push(entry),
                (None, None) => group.allocation = Some(entry),
                (None, Some(first)) => import.remarks.push(twice(&entry, first.place)),
            },
        }
    }
    for key in order {
        let Some(group) = groups.remove(&key) else { continue };
        add(group, site, &mut import);
    }
    import.remarks.sort_by_key(|remark| remark.place);
    Ok(import)
}

fn twice(entry: &Entry, first: Place) -> Remark {
    let why =
        format!("the job stands on {first} already; a requeued job's runs cannot be told apart");
    Remark::refused(entry.place, Wrong::new("JobID", why))
}

fn add(group: Group, site: &Site, import: &mut Import) {
    let Some(job) = &group.allocation else {
        import.remarks.extend(group.steps.iter().map(|step| {
            let why = "a step whose job's own line is not in the file, or is refused";
            Remark::refused(step.place, Wrong::new("JobID", why))
        }));
        return;
    };
    if job.state.is_empty() {
        import.remarks.push(Remark::refused(job.place, Wrong::new("State", "it is empty")));
        return;
    }
    if !has_ended(&job.state) {
        let state: String = job.state.chars().take(32).collect();
        let why = format!("{state}: its energy is known when it has ended");
        import.remarks.push(Remark::left_out(job.place, "State", why));
        return;
    }
    match record(job, &group, site) {
        Ok(record) => import.records.push(record),
        Err(wrong) => import.remarks.push(Remark::refused(job.place, wrong)),
    }
}

/// By the states of Slurm's documents; `CANCELLED by 1000` has a user behind it.
fn has_ended(state: &str) -> bool {
    const ENDS: [&str; 10] = [
        "COMPLETED",
        "FAILED",
        "TIMEOUT",
        "CANCELLED",
        "OUT_OF_MEMORY",
        "NODE_FAIL",
        "PREEMPTED",
        "BOOT_FAIL",
        "DEADLINE",
        "REVOKED",
    ];
    let word = state.split_whitespace().next().unwrap_or_default().trim_end_matches('+');
    ENDS.contains(&word)
}

fn record(job: &Entry, group: &Group, site: &Site) -> Result<Record, Wrong> {
    let (Some(start), Some(end)) = (job.start, job.end) else {
        return Err(Wrong::new("Start", "its start or its end is not known"));
    };
    if end < start {
        return Err(Wrong::new("End", "it ended before it began"));
    }
    let seconds = job.seconds.unwrap_or_else(|| end.duration_since(start).as_secs_f64());
    let id = id(job)?;
    let labels = [
        ("slurm_state", Some(job.state.clone())),
        ("slurm_partition", job.partition.clone()),
        ("slurm_nodes", job.node_list.clone()),
        ("slurm_cluster", Some(job.cluster.clone())),
    ];
    let labels = labels.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let mut record = bare(JobPart {
        name: job.name.clone().unwrap_or_else(|| id.clone()),
        id,
        user: job.user.clone().unwrap_or_else(|| UNKNOWN.to_owned()),
        project: project("Account", job.account.clone())?,
        labels: labels.filter(|(_, value)| !value.is_empty()).collect(),
        origin: ORIGIN.to_owned(),
        command: Vec::new(),
        exit_code: job.exit_code,
        state: "finished".to_owned(),
        started_at: written(start),
        ended_at: Some(written(end)),
        duration_seconds: Some(seconds),
    });
    let one_node = job.nodes == Some(1);
    let name = job.node_list.clone().filter(|_| one_node);
    record.host = HostPart { name, ..HostPart::default() };
    add_energy(&mut record, job, group, site.cpus_per_node, seconds)?;
    let times = job.notes.iter().cloned();
    record.quality.notes.extend(times);
    if matches!(job.place, Place::Line(_)) {
        record.quality.notes.push(site.clock.note());
    }
    Ok(record)
}

fn id(job: &Entry) -> Result<String, Wrong> {
    let name = job.job.replace('+', "-het");
    let cluster = &job.cluster;
    let id = if cluster.is_empty() {
        format!("slurm-{name}")
    } else {
        format!("slurm-{cluster}-{name}")
    };
    job_id("JobID", &id)
}

fn add_energy(
    record: &mut Record,
    job: &Entry,
    group: &Group,
    cpus_per_node: Option<u64>,
    seconds: f64,
) -> Result<(), Wrong> {
    let found = energy::consumed(job, &group.steps, group.incomplete);
    let notes = &mut record.quality.notes;
    let joules = match energy::checked(found, job, seconds) {
        Ok((joules, how)) => {
            notes.push(format!("energy by Slurm's accounting: {how}"));
            joules
        }
        Err(why) => {
            notes.push(format!("energy is not known: {why}"));
            return Ok(());
        }
    };
    if joules as f64 > MOST_JOULES {
        return Err(Wrong::new("ConsumedEnergyRaw", format!("{joules} J is out of range")));
    }
    notes.push(
        "the file does not say of what the energy is (CPUs, GPUs or whole nodes: the site's \
         AcctGatherEnergyType), and has no uncertainty of it"
            .to_owned(),
    );
    let (provenance, note) = held(job, cpus_per_node);
    notes.push(note);
    record.quality.coverage = vec!["other".to_owned()];
    record.energy.total_joules = Some(joules as f64);
    record.energy.provenance = Some(provenance.to_owned());
    record.energy.domains = vec![DomainPart {
        id: "slurm:nodes".to_owned(),
        kind: "other".to_owned(),
        source: "slurm".to_owned(),
        method: if provenance == "measured" { "unknown" } else { "estimate" }.to_owned(),
        provenance: provenance.to_owned(),
        joules: joules as f64,
        uncertainty_joules: None,
        sensor_gain_percent: None,
        share: None,
        domain_joules: None,
    }];
    Ok(())
}

/// Whether the job held its nodes alone, on which all hangs: Slurm reads whole nodes.
fn held(job: &Entry, cpus_per_node: Option<u64>) -> (&'static str, String) {
    let all = job.nodes.zip(cpus_per_node).map(|(nodes, cpus)| nodes.saturating_mul(cpus));
    match (job.cpus.zip(all), cpus_per_node) {
        (Some((cpus, all)), _) if cpus >= all => {
            ("measured", format!("it held whole nodes: all of their {all} CPUs"))
        }
        (Some((cpus, all)), _) => (
            "estimated",
            format!(
                "it held {cpus} of {all} CPUs of its nodes, and Slurm counted all that the \
                 nodes used: too much"
            ),
        ),
        (None, None) => (
            "estimated",
            "whether it held whole nodes is not known; if not, the energy is too much, since \
             Slurm counts all that the nodes used. --cpus-per-node tells them apart"
                .to_owned(),
        ),
        (None, Some(_)) => (
            "estimated",
            "whether it held whole nodes is not known: AllocCPUS or the number of nodes is not \
             in the file. If not, the energy is too much"
                .to_owned(),
        ),
    }
}
