// SPDX-License-Identifier: Apache-2.0
//! Why there is no RAPL figure, and what to do about it, for people.

use crate::sensors::cpuinfo::CpuInfo;
use crate::sensors::{Missing, Roots, files};

/// No zone at all: a container, a virtual machine, another CPU or no driver.
pub(super) fn explain(roots: &Roots, cpu: &CpuInfo) -> Missing {
    let dangling = !files::names(&roots.sysfs.join("class/powercap")).is_empty();
    let (why, remedy) = if dangling && !roots.sysfs.join("devices/virtual/powercap").exists() {
        (
            "the links in class/powercap lead nowhere: a container sees only a part of /sys",
            Some(
                "mount the host's /sys read-only and pass it as --sysfs, or run the daemon on the host",
            ),
        )
    } else if cpu.virtual_machine {
        (
            "this is a virtual machine, and hypervisors hide RAPL",
            Some("run the daemon on the host; here the CPU's energy can only be estimated"),
        )
    } else if cpu.may_have_rapl() {
        (
            "the kernel shows no powercap zone: the driver is not loaded, or a container hides it",
            Some("on the host: sudo modprobe intel_rapl_msr (also for AMD)"),
        )
    } else {
        ("this CPU has no RAPL", None)
    };
    Missing {
        source: "rapl".into(),
        what: "powercap".into(),
        state: "absent".into(),
        why: why.into(),
        remedy: remedy.map(Into::into),
    }
}

/// Zones whose counter only root may read: so since CVE-2020-8694 (PLATYPUS).
pub(super) fn forbidden(zones: &[String]) -> Missing {
    Missing {
        source: "rapl".into(),
        what: zones.join(", "),
        state: "not_permitted".into(),
        why: "energy_uj is readable by root only (CVE-2020-8694)".into(),
        remedy: Some(
            "use the daemon: sudo systemctl enable --now aimeter; where the daemon itself says \
             this, give its group the right (docs/install.md): sudo udevadm trigger --action=add \
             --subsystem-match=powercap --settle && sudo systemctl restart aimeter"
                .into(),
        ),
    }
}
