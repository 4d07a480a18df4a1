// SPDX-License-Identifier: Apache-2.0
//! Which GPUs a job claims: from `--gpus` and `CUDA_VISIBLE_DEVICES` to claims.
//!
//! Pure: it knows what the user said and which GPUs there are, and asks no
//! driver. The variable's rules are those of the CUDA programming guide
//! ("CUDA Environment Variables") and the MIG user guide. A text that names no
//! GPU is said to be so, never guessed at; nothing here fails on any text.

use super::GpuRequest;

/// A GPU as NVML names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuIdentity {
    /// NVML's index, in the order of PCI bus ids.
    pub index: u32,
    /// `GPU-…`.
    pub uuid: String,
    /// As NVML writes it: `00000000:17:00.0`.
    pub pci_bus_id: String,
    /// The model: `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// Its MIG instances; empty where MIG is off.
    pub mig: Vec<MigInstance>,
}

/// A MIG instance of a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigInstance {
    /// `MIG-…`.
    pub uuid: String,
    /// Its compute slices, of 7 on most GPUs.
    pub slices: u32,
}

/// How sure a claim is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// The job can see the GPU; whether it uses it, only NVML's process list tells.
    Visible,
    /// The job was given the GPU: its idle energy is the job's too.
    Held,
}

/// A job's claim on one GPU, or on `weight` of `whole` slices of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuClaim {
    /// The place of the GPU in the slice given to [`resolve`].
    pub gpu: usize,
    /// How sure.
    pub strength: Strength,
    /// Slices claimed; 1 for a whole GPU.
    pub weight: u32,
    /// Slices of all instances of the GPU together; 1 for a whole GPU.
    pub whole: u32,
}

/// What a request came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// At most one claim a GPU, in the order of the request.
    pub claims: Vec<GpuClaim>,
    /// What could not be followed or trusted, a line each, for people. For
    /// [`GpuRequest::List`] each is the user's mistake (exit code 2); for
    /// [`GpuRequest::Auto`] the job goes on.
    pub problems: Vec<String>,
}

/// What one entry of a list names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Gpu(usize),
    Instance {
        gpu: usize,
        instance: usize,
    },
    /// An instance of this GPU in the older notation, one of several of different size.
    SomeInstance {
        gpu: usize,
    },
}

/// The GPUs that a request claims.
pub fn resolve(request: &GpuRequest, gpus: &[GpuIdentity]) -> Resolved {
    match request {
        GpuRequest::None => Resolved::default(),
        GpuRequest::All => every(gpus, Strength::Held),
        GpuRequest::List(entries) => listed(entries, gpus),
        GpuRequest::Auto { visible_devices: None, .. } => every(gpus, Strength::Visible),
        GpuRequest::Auto { visible_devices: Some(text), device_order } => {
            visible(text, device_order.as_deref(), gpus)
        }
    }
}

fn every(gpus: &[GpuIdentity], strength: Strength) -> Resolved {
    let claims = (0..gpus.len()).map(|gpu| GpuClaim { gpu, strength, weight: 1, whole: 1 });
    Resolved { claims: claims.collect(), problems: Vec::new() }
}

/// `--gpus LIST`: NVML indices, GPU UUIDs or their unique beginnings, MIG UUIDs.
fn listed(entries: &[String], gpus: &[GpuIdentity]) -> Resolved {
    let mut targets = Vec::new();
    let mut problems = Vec::new();
    for entry in entries {
        match target(entry.trim(), gpus) {
            Ok(target) => targets.push(target),
            Err(why) => problems.push(format!("no GPU `{}`: {why}", entry.trim())),
        }
    }
    if entries.is_empty() {
        problems.push("an empty list of GPUs; `none` claims none".to_owned());
    }
    claim(&targets, gpus, problems)
}

/// `CUDA_VISIBLE_DEVICES`: the first entry that names nothing ends the list.
fn visible(text: &str, device_order: Option<&str>, gpus: &[GpuIdentity]) -> Resolved {
    let mut targets = Vec::new();
    let mut problems = Vec::new();
    let mut by_index = false;
    for entry in text.split(',').map(str::trim) {
        match target(entry, gpus) {
            Ok(target) => {
                by_index |= is_index(entry);
                targets.push(target);
            }
            Err(why) => {
                // These are the usual words for "no more"; Slurm's for "no GPU".
                if !matches!(entry, "" | "-1" | "NoDevFiles") {
                    problems.push(format!(
                        "CUDA_VISIBLE_DEVICES: `{entry}` and all after it are ignored, as CUDA does: {why}"
                    ));
                }
                break;
            }
        }
    }
    let one_model = gpus.iter().all(|gpu| gpu.name == gpus[0].name);
    if by_index && !one_model && device_order != Some("PCI_BUS_ID") {
        problems.push(
            "CUDA_VISIBLE_DEVICES numbers GPUs of several models and CUDA_DEVICE_ORDER is not PCI_BUS_ID: \
             taken in nvidia-smi's order, which CUDA may not use; set CUDA_DEVICE_ORDER=PCI_BUS_ID or use UUIDs"
                .to_owned(),
        );
    }
    claim(&targets, gpus, problems)
}

fn is_index(entry: &str) -> bool {
    !entry.is_empty() && entry.bytes().all(|byte| byte.is_ascii_digit())
}

/// What one entry names, or why it names nothing.
fn target(entry: &str, gpus: &[GpuIdentity]) -> Result<Target, &'static str> {
    if is_index(entry) {
        let index = entry.parse::<u32>().map_err(|_| "no such index")?;
        let gpu = gpus.iter().position(|gpu| gpu.index == index).ok_or("no such index")?;
        return Ok(Target::Gpu(gpu));
    }
    if entry.starts_with("MIG-") {
        return instance(entry, gpus);
    }
    if !entry.starts_with("GPU-") {
        return Err("neither an index nor a UUID that begins with GPU- or MIG-");
    }
    unique(entry, gpus).map(Target::Gpu)
}

/// The only GPU whose UUID begins so.
fn unique(start: &str, gpus: &[GpuIdentity]) -> Result<usize, &'static str> {
    let mut found = (0..gpus.len()).filter(|gpu| gpus[*gpu].uuid.starts_with(start));
    match (found.next(), found.next()) {
        (Some(gpu), None) => Ok(gpu),
        (Some(_), Some(_)) => Err("more than one GPU's UUID begins so"),
        (None, _) => Err("no GPU has this UUID"),
    }
}

/// `MIG-<uuid>`, or the notation of drivers before 470,
/// `MIG-GPU-<uuid>/<GPU instance>/<compute instance>` (MIG user guide).
fn instance(entry: &str, gpus: &[GpuIdentity]) -> Result<Target, &'static str> {
    for (gpu, identity) in gpus.iter().enumerate() {
        if let Some(instance) = identity.mig.iter().position(|mig| mig.uuid == entry) {
            return Ok(Target::Instance { gpu, instance });
        }
    }
    let older = entry.strip_prefix("MIG-").filter(|rest| rest.starts_with("GPU-"));
    let mut parts = older.ok_or("no MIG instance has this UUID")?.split('/');
    let uuid = parts.next().unwrap_or_default();
    let numbers = parts.by_ref().take(2).filter(|part| is_index(part)).count();
    if numbers != 2 || parts.next().is_some() {
        return Err("not of the form MIG-GPU-<uuid>/<GPU instance>/<compute instance>");
    }
    let gpu = gpus.iter().position(|gpu| gpu.uuid == uuid).ok_or("no GPU has this UUID")?;
    match gpus[gpu].mig.len() {
        0 => Err("this GPU has no MIG instances"),
        1 => Ok(Target::Instance { gpu, instance: 0 }),
        _ => Ok(Target::SomeInstance { gpu }),
    }
}

/// One claim a GPU: a whole GPU holds its instances, and instances add up.
fn claim(targets: &[Target], gpus: &[GpuIdentity], mut problems: Vec<String>) -> Resolved {
    let mut claims: Vec<GpuClaim> = Vec::new();
    for (place, target) in targets.iter().enumerate() {
        // Naming the same thing twice does not claim it twice; two entries in the
        // older notation may be two instances.
        let repeated = !matches!(target, Target::SomeInstance { .. });
        if repeated && targets[..place].contains(target) {
            continue;
        }
        let new = match *target {
            Target::Gpu(gpu) => {
                if !gpus[gpu].mig.is_empty() {
                    problems.push(format!(
                        "GPU {} is split by MIG and was named as a whole: name the MIG UUIDs to share it",
                        gpus[gpu].index
                    ));
                }
                GpuClaim { gpu, strength: Strength::Held, weight: 1, whole: 1 }
            }
            Target::Instance { gpu, instance } => slices(gpu, &gpus[gpu], instance),
            Target::SomeInstance { gpu } => some_instance(gpu, &gpus[gpu], &mut problems),
        };
        match claims.iter_mut().find(|claim| claim.gpu == new.gpu) {
            Some(claim) => *claim = merge(*claim, new),
            None => claims.push(new),
        }
    }
    Resolved { claims, problems }
}

fn slices(gpu: usize, identity: &GpuIdentity, instance: usize) -> GpuClaim {
    let whole = identity.mig.iter().fold(0u32, |sum, mig| sum.saturating_add(mig.slices));
    let weight = identity.mig[instance].slices;
    if weight == 0 {
        // Their sizes are unknown: each is as large as the next.
        let whole = u32::try_from(identity.mig.len()).unwrap_or(u32::MAX);
        return GpuClaim { gpu, strength: Strength::Held, weight: 1, whole };
    }
    GpuClaim { gpu, strength: Strength::Held, weight, whole }
}

/// Instances of one size share alike, whichever it is; else we cannot know.
fn some_instance(gpu: usize, identity: &GpuIdentity, problems: &mut Vec<String>) -> GpuClaim {
    if identity.mig.iter().all(|mig| mig.slices == identity.mig[0].slices) {
        return slices(gpu, identity, 0);
    }
    problems.push(format!(
        "the MIG instance of GPU {} was named by its number, which does not tell its size: use its MIG UUID",
        identity.index
    ));
    GpuClaim { gpu, strength: Strength::Visible, weight: 1, whole: 1 }
}

fn merge(one: GpuClaim, other: GpuClaim) -> GpuClaim {
    let strength = one.strength.max(other.strength);
    if one.whole != other.whole || one.whole == 1 {
        return GpuClaim { strength, weight: 1, whole: 1, ..one };
    }
    let weight = one.weight.saturating_add(other.weight).min(one.whole);
    GpuClaim { strength, weight, ..one }
}

/// Whose a process on a GPU is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GpuUser {
    /// The job at this place.
    Job(usize),
    /// No job's.
    Other,
}

/// Whose the processes seen on a GPU are. `contains(job, pid)` is asked job by
/// job; the first that says yes has it, so that nested jobs come before those
/// that they run in.
pub fn users_to_jobs(
    pids: &[i32],
    jobs: usize,
    contains: impl Fn(usize, i32) -> bool,
) -> Vec<GpuUser> {
    let user = |pid: &i32| (0..jobs).find(|job| contains(*job, *pid));
    pids.iter().map(|pid| user(pid).map_or(GpuUser::Other, GpuUser::Job)).collect()
}

#[cfg(test)]
mod tests;
