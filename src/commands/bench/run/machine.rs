// SPDX-License-Identifier: Apache-2.0
//! The machine of a campaign: what it is, what is set on it, what state it is in, who else
//! uses its accelerators.
//!
//! Small reads of procfs, sysfs and NVML. What cannot be read is absent, never guessed.

use std::path::Path;

use crate::benchmark::record::{AcceleratorPart, AcceleratorState, MachinePart, StatePart};
use crate::benchmark::spec::{Gpus, Spec};
use crate::commands::exit::{Code, Failure};
use crate::config::Options;
use crate::jobs::gpus::{GpuIdentity, MigInstance, resolve};
use crate::jobs::{GpuRequest, processes};
use crate::record::{GpuPart, host};
use crate::sensors::Roots;
use crate::sensors::nvml::{Library, NvmlGpu};

/// The variable that says which accelerators are the work's.
const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

/// The machine with the accelerators that are reserved for the work.
pub struct Machine {
    gpus: Vec<NvmlGpu>,
    roots: Roots,
    /// As `aimeter run --gpus` takes them.
    pub choice: String,
}

impl Machine {
    /// Looks for them.
    ///
    /// # Errors
    /// Where the spec names an accelerator that is not there.
    pub fn open(spec: &Spec, options: &Options) -> Result<Machine, Failure> {
        let of_work = |name: &str| {
            let own = spec.work.environment.get(name).cloned();
            own.or_else(|| std::env::var(name).ok())
        };
        let (request, choice) = match &spec.work.gpus {
            Gpus::Auto if of_work(VISIBLE).is_some() => {
                let order = of_work("CUDA_DEVICE_ORDER");
                let visible_devices = of_work(VISIBLE);
                (GpuRequest::Auto { visible_devices, device_order: order }, "auto".to_owned())
            }
            Gpus::Auto | Gpus::All => (GpuRequest::All, "all".to_owned()),
            Gpus::None => (GpuRequest::None, "none".to_owned()),
            Gpus::List(names) => (GpuRequest::List(names.clone()), names.join(",")),
        };
        let all = Library::open(options.nvml_library.as_deref(), &options.roots)
            .map_or_else(|_| Vec::new(), |library| library.gpus().0);
        let identities: Vec<GpuIdentity> = all.iter().map(identity).collect();
        let resolved = resolve(&request, &identities);
        if let (GpuRequest::List(_), Some(problem)) = (&request, resolved.problems.first()) {
            return Err(Failure::new(Code::Usage, format!("work.gpus: {problem}")));
        }
        let wanted = |place: &usize| resolved.claims.iter().any(|claim| claim.gpu == *place);
        let gpus = all.into_iter().enumerate().filter(|(place, _)| wanted(place));
        Ok(Machine {
            gpus: gpus.map(|(_, gpu)| gpu).collect(),
            roots: options.roots.clone(),
            choice,
        })
    }

    /// What it is and what is set on it.
    pub fn part(&self) -> MachinePart {
        let gpus = self.gpus.iter().map(|gpu| {
            let identity = gpu.identity();
            GpuPart {
                uuid: identity.uuid.clone(),
                model: Some(identity.name.clone()),
                driver: Some(identity.driver_version.clone()),
                power_limit_watts: identity.power_limit.map(|limit| limit.watts()),
            }
        });
        let accelerators = self.gpus.iter().map(|gpu| {
            let setting = gpu.setting();
            AcceleratorPart {
                uuid: gpu.identity().uuid.clone(),
                memory_bytes: setting.memory_bytes,
                power_limit_watts: setting.power_limit.map(|limit| limit.watts()),
                default_power_limit_watts: setting.default_power_limit.map(|limit| limit.watts()),
            }
        });
        let kernel = rustix::system::uname();
        let governor = "devices/system/cpu/cpu0/cpufreq/scaling_governor";
        MachinePart {
            host: crate::record::HostPart { gpus: gpus.collect(), ..host::gather(&self.roots) },
            nodes: 1,
            memory_bytes: memory(&self.roots.procfs),
            kernel: kernel.release().to_str().ok().map(str::to_owned),
            cpu_governor: word(&self.roots.sysfs.join(governor)),
            accelerators: accelerators.collect(),
        }
    }

    /// The ids of its accelerators' domains.
    pub fn domains(&self) -> Vec<&str> {
        self.gpus.iter().map(|gpu| gpu.domain().id.as_str()).collect()
    }

    /// The state that it is in.
    pub fn state(&self) -> StatePart {
        StatePart {
            accelerators: self.gpus.iter().map(state).collect(),
            cpu_mhz: cpu_mhz(&self.roots),
            cpu_celsius: cpu_celsius(&self.roots.sysfs),
        }
    }

    /// Processes on its accelerators that are not below `ours`, for people.
    pub fn others(&mut self, ours: i32) -> Vec<String> {
        let mut found = Vec::new();
        for gpu in &mut self.gpus {
            // What cannot be listed now is looked at again at the next look.
            let users = gpu.users(false).unwrap_or_default();
            let foreign = users.iter().filter_map(|user| i32::try_from(user.pid).ok());
            let foreign: Vec<i32> =
                foreign.filter(|pid| !is_below(&self.roots.procfs, *pid, ours)).collect();
            if foreign.is_empty() {
                continue;
            }
            // One that has just ended is nobody.
            let again = gpu.users(false).unwrap_or_default();
            for pid in foreign {
                if again.iter().any(|user| i32::try_from(user.pid) == Ok(pid)) {
                    let name = word(&self.roots.procfs.join(pid.to_string()).join("comm"));
                    let name = name.unwrap_or_else(|| "of another pid namespace".to_owned());
                    let uuid = &gpu.identity().uuid;
                    found.push(format!("process {pid} ({name}) on {uuid}"));
                }
            }
        }
        found
    }
}

fn identity(gpu: &NvmlGpu) -> GpuIdentity {
    let own = gpu.identity();
    let mig = own
        .mig
        .iter()
        .flatten()
        .map(|instance| MigInstance { uuid: instance.uuid.clone(), slices: instance.slices });
    GpuIdentity {
        index: own.index,
        uuid: own.uuid.clone(),
        pci_bus_id: own.pci_address.clone().unwrap_or_default(),
        name: own.name.clone(),
        mig: mig.collect(),
    }
}

fn state(gpu: &NvmlGpu) -> AcceleratorState {
    let state = gpu.state();
    AcceleratorState {
        uuid: gpu.identity().uuid.clone(),
        celsius: state.celsius.map(f64::from),
        clock_mhz: state.clock_mhz.map(f64::from),
        power_limit_watts: state.power_limit.map(|limit| limit.watts()),
        throttle_reasons: state.throttle_reasons.iter().map(|&reason| reason.to_owned()).collect(),
    }
}

/// Whether a process is `ours` or below it. One that cannot be seen is not.
fn is_below(procfs: &Path, pid: i32, ours: i32) -> bool {
    let mut at = pid;
    // No chain of parents is longer, also where ids are used anew meanwhile.
    for _ in 0..1_000 {
        if at == ours {
            return true;
        }
        let text = std::fs::read(procfs.join(at.to_string()).join("stat")).unwrap_or_default();
        match processes::parse(at, &text) {
            Some(process) if process.parent > 1 => at = process.parent,
            _ => return false,
        }
    }
    false
}

/// `MemTotal` of proc_meminfo(5), which is in KiB.
fn memory(procfs: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(procfs.join("meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// Mean of the CPUs' present frequencies: cpufreq's in kHz, else `/proc/cpuinfo`'s.
fn cpu_mhz(roots: &Roots) -> Option<f64> {
    let folder = roots.sysfs.join("devices/system/cpu");
    let of_cpu = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_prefix("cpu")?.parse::<u32>().ok()?;
        word(&entry.path().join("cpufreq/scaling_cur_freq"))?.parse::<f64>().ok()
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let kilohertz: Vec<f64> = entries.filter_map(of_cpu).collect();
    if let Some(mean) = mean(&kilohertz) {
        return Some(mean / 1e3);
    }
    let text = std::fs::read_to_string(roots.procfs.join("cpuinfo")).ok()?;
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    let megahertz: Vec<f64> = fields
        .filter(|(name, _)| name.trim() == "cpu MHz")
        .filter_map(|(_, value)| value.trim().parse().ok())
        .collect();
    mean(&megahertz)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The hottest package, by the drivers whose first sensor is the package's or the die's.
fn cpu_celsius(sysfs: &Path) -> Option<f64> {
    let of_chip = |entry: std::fs::DirEntry| {
        let name = word(&entry.path().join("name"))?;
        let cpus = ["coretemp", "k10temp", "zenpower", "cpu_thermal"];
        if !cpus.contains(&name.as_str()) {
            return None;
        }
        let millidegrees: f64 = word(&entry.path().join("temp1_input"))?.parse().ok()?;
        Some(millidegrees / 1e3)
    };
    let entries = std::fs::read_dir(sysfs.join("class/hwmon")).into_iter().flatten().flatten();
    entries.filter_map(of_chip).reduce(f64::max)
}

/// What a small file says.
fn word(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_below_its_ancestors_and_below_no_other() {
        let procfs = Path::new("/proc");
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let parent = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
        assert!(is_below(procfs, own, own));
        assert!(is_below(procfs, own, parent));
        assert!(!is_below(procfs, parent, own));
        assert!(!is_below(procfs, i32::MAX, own));
    }

    #[test]
    fn memory_frequency_and_temperature_are_read_where_the_kernel_shows_them() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let roots = Roots { sysfs: root.into(), procfs: root.into() };
        assert_eq!((memory(root), cpu_mhz(&roots), cpu_celsius(root)), (None, None, None));
        write("meminfo", "MemTotal:        2048 kB\nMemFree: 1 kB\n");
        write("cpuinfo", "processor: 0\ncpu MHz\t: 1000.0\n\ncpu MHz : 3000.0\n");
        assert_eq!((memory(root), cpu_mhz(&roots)), (Some(2_097_152), Some(2_000.0)));
        write("devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1400000\n");
        write("devices/system/cpu/cpufreq/x", "");
        write("class/hwmon/hwmon0/name", "nvme\n");
        write("class/hwmon/hwmon0/temp1_input", "99000\n");
        write("class/hwmon/hwmon1/name", "k10temp\n");
        write("class/hwmon/hwmon1/temp1_input", "51500\n");
        assert_eq!((cpu_mhz(&roots), cpu_celsius(root)), (Some(1_400.0), Some(51.5)));
    }
}
