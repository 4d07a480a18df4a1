// SPDX-License-Identifier: Apache-2.0
//! One energy for a job out of those of its lines, which overlap.
//!
//! As slurmctld counts (`step_mgr.c`, `_internal_step_complete`): a step's energy is of
//! its nodes, whole, while it ran. The step `extern` is on all nodes all the time; where
//! there is one (`PrologFlags=Contain`) the allocation has its energy. Where there is
//! none, the allocation has the sum of the batch step and of all steps inside it: the
//! first node's energy twice. sacct shows an allocation without energy as 0.

use super::Entry;
use crate::record::import::MOST_WATTS;

/// Slurm's words for no value: `NO_VAL`, `INFINITE`, in 32 and 64 bits, and 0, which it
/// shows where nothing was counted.
const NOTHING: [u64; 5] = [0, 0xffff_fffe, 0xffff_ffff, u64::MAX - 1, u64::MAX];

/// An energy and how it came about, or why there is none.
pub type Consumed = Result<(u64, String), String>;

/// A figure of Slurm's that is one.
pub fn some(joules: u64) -> Option<u64> {
    (!NOTHING.contains(&joules)).then_some(joules)
}

/// The energy of a job; `incomplete` where a step's line could not be read.
pub fn consumed(job: &Entry, steps: &[Entry], incomplete: bool) -> Consumed {
    let named = |name: &str| steps.iter().find(|step| step.step.as_deref() == Some(name));
    if let Some(joules) = named("extern").and_then(|step| step.joules) {
        return Ok((joules, "the step extern, on all of its nodes all the time".to_owned()));
    }
    if incomplete {
        return Err("a line of one of its steps is refused".to_owned());
    }
    let counted: Vec<&Entry> = steps.iter().filter(|step| step.joules.is_some()).collect();
    if counted.is_empty() {
        let joules = job.joules.ok_or("Slurm counted none")?;
        let how = "the job's own line, without those of its steps; on a site whose PrologFlags \
                   have no Contain, it has its first node's energy twice";
        return Ok((joules, how.to_owned()));
    }
    let (numbered, outer): (Vec<&Entry>, Vec<&Entry>) =
        counted.into_iter().partition(|step| is_number(step.step.as_deref()));
    let outer = outer.iter().filter_map(|step| step.joules).max();
    let numbered_joules = numbered.iter().filter_map(|step| step.joules);
    let sum = in_turn(&numbered).then(|| numbered_joules.fold(0, u64::saturating_add));
    match (job.nodes == Some(1), outer, sum) {
        (true, Some(outer), Some(sum)) if outer >= sum => {
            Ok((outer, "its batch step, which is there all the time on its one node".to_owned()))
        }
        (true, Some(outer), None) => {
            Ok((outer, "its batch step, which is there all the time on its one node".to_owned()))
        }
        (_, _, Some(sum)) if sum > 0 => {
            let how = "the sum of its steps, one after the other; what its nodes used between \
                       them is not in it";
            Ok((sum.max(outer.unwrap_or(0)), how.to_owned()))
        }
        (_, _, Some(_)) => {
            Err("only the first of its nodes was counted, by the batch step".to_owned())
        }
        (_, _, None) => {
            Err("its steps ran side by side, and may have counted a node twice".to_owned())
        }
    }
}

fn is_number(step: Option<&str>) -> bool {
    step.is_some_and(|step| !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether no two of these ran at a time.
fn in_turn(steps: &[&Entry]) -> bool {
    if steps.len() < 2 {
        return true;
    }
    let spans: Option<Vec<_>> = steps.iter().map(|step| step.start.zip(step.end)).collect();
    let Some(mut spans) = spans else { return false };
    spans.sort();
    spans.windows(2).all(|pair| pair[0].1 <= pair[1].0)
}

/// An energy that nodes can have used in this time.
pub fn checked(found: Consumed, job: &Entry, seconds: f64) -> Consumed {
    let (joules, how) = found?;
    let nodes = job.nodes.unwrap_or(u64::from(u32::MAX)).max(1);
    let most = MOST_WATTS * seconds * nodes as f64;
    if joules as f64 > most {
        return Err(format!("{joules} J are more than {MOST_WATTS} W a node all the time"));
    }
    Ok((joules, how))
}
