// SPDX-License-Identifier: Apache-2.0
//! Whether a GPU sleeps, as the kernel's PCI power management says, so that
//! asking after its energy does not wake it.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::sensors::Roots;

/// The kernel's word on one device; read without touching the device.
pub(super) struct PowerState(Option<File>);

impl PowerState {
    /// Of the device at that PCI address. Where the kernel shows nothing, the
    /// device counts as awake.
    pub(super) fn of(roots: &Roots, pci_address: Option<&str>) -> PowerState {
        let file = pci_address.and_then(|address| {
            let folder = roots.sysfs.join("bus/pci/devices").join(address);
            File::open(folder.join("power/runtime_status")).ok()
        });
        PowerState(file)
    }

    /// Whether it is suspended, or on the way there: neither is to be disturbed.
    pub(super) fn asleep(&self) -> bool {
        let mut text = [0u8; 16];
        let Some(file) = &self.0 else { return false };
        let read = file.read_at(&mut text, 0).unwrap_or(0);
        text[..read].starts_with(b"suspend")
    }
}
