// SPDX-License-Identifier: Apache-2.0
//! Which CPU this is, from `/proc/cpuinfo`: its first processor stands for all.

use super::{Roots, files};

/// The CPU's identity; what the kernel does not say is `None` or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuInfo {
    /// `GenuineIntel`, `AuthenticAMD`, `HygonGenuine`; empty on Arm.
    pub vendor: String,
    /// The CPUID family, model and stepping.
    pub family: Option<u32>,
    /// See `family`.
    pub model: Option<u32>,
    /// See `family`.
    pub stepping: Option<u32>,
    /// For people, such as `AMD EPYC 7763 64-Core Processor`.
    pub name: String,
    /// Whether the CPU says that a hypervisor is above it.
    pub virtual_machine: bool,
}

impl CpuInfo {
    /// Reads it from `procfs`.
    pub(crate) fn of(roots: &Roots) -> Self {
        files::text(&roots.procfs.join("cpuinfo")).map_or_else(CpuInfo::default, |t| parse(&t))
    }

    /// Whether AMD's rules for RAPL hold: Hygon's cores are AMD's design.
    pub(crate) fn is_amd(&self) -> bool {
        matches!(self.vendor.as_str(), "AuthenticAMD" | "HygonGenuine")
    }

    /// Whether it is of a vendor whose CPUs have RAPL.
    pub(crate) fn may_have_rapl(&self) -> bool {
        self.is_amd() || self.vendor == "GenuineIntel"
    }
}

/// The first processor of a `/proc/cpuinfo`.
pub fn parse(text: &str) -> CpuInfo {
    let mut cpu = CpuInfo::default();
    for line in text.lines().take_while(|line| !line.trim().is_empty()) {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match key.trim() {
            "vendor_id" => cpu.vendor = value.to_owned(),
            "cpu family" => cpu.family = value.parse().ok(),
            "model" => cpu.model = value.parse().ok(),
            "stepping" => cpu.stepping = value.parse().ok(),
            "model name" => cpu.name = value.to_owned(),
            "flags" => cpu.virtual_machine = value.split(' ').any(|flag| flag == "hypervisor"),
            _ => {}
        }
    }
    cpu
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_processor_is_read_and_a_hypervisor_seen() {
        let text = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\n\
                    model name\t: AMD EPYC 7763 64-Core Processor\nstepping\t: 1\n\
                    flags\t\t: fpu hypervisor lm\n\nprocessor\t: 1\nvendor_id\t: Other\n";
        let cpu = parse(text);
        assert!(cpu.is_amd() && cpu.virtual_machine);
        assert_eq!((cpu.family, cpu.model, cpu.stepping), (Some(25), Some(1), Some(1)));
        assert_eq!(cpu.name, "AMD EPYC 7763 64-Core Processor");
        assert_eq!(parse("processor : 0\nCPU part : 0xd0c\n"), CpuInfo::default());
    }
}
