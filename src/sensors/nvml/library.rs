// SPDX-License-Identifier: Apache-2.0
//! Loading NVML, listing its GPUs, and letting go of it again.

use std::mem::ManuallyDrop;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

use super::device::NvmlGpu;
use super::errors::read_error;
use crate::sensors::{Missing, ReadError, Roots};

/// Why NVML cannot be used now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There is no such library: no NVIDIA driver.
    #[error("no NVML library: {0}")]
    Absent(String),
    /// Nor is there a GPU of NVIDIA's on the PCI bus: the usual case.
    #[error("this machine has no NVIDIA GPU")]
    NoDevice,
    /// The library is there, its kernel module is not.
    #[error("the NVIDIA driver is not loaded")]
    NotLoaded,
    /// The driver package was upgraded and the kernel module is still the old one.
    #[error("the NVIDIA library and the loaded kernel module have different versions")]
    Mismatch,
    /// We may not talk to the driver.
    #[error("the NVIDIA driver refuses access: {0}")]
    NotPermitted(String),
    /// Anything else.
    #[error("NVML does not start: {0}")]
    Failed(String),
}

impl OpenError {
    fn from_nvml(error: NvmlError) -> OpenError {
        match error {
            NvmlError::LibloadingError(error) => OpenError::Absent(error.to_string()),
            NvmlError::DriverNotLoaded => OpenError::NotLoaded,
            NvmlError::LibRmVersionMismatch => OpenError::Mismatch,
            NvmlError::NoPermission | NvmlError::OperatingSystem => {
                OpenError::NotPermitted(error.to_string())
            }
            error => OpenError::Failed(error.to_string()),
        }
    }

    /// The same for people, with what to do about it.
    pub fn missing(&self) -> Missing {
        let (state, remedy) = match self {
            OpenError::Absent(_) => ("absent", Some("install NVIDIA's driver")),
            OpenError::NoDevice => ("no_device", None),
            OpenError::NotLoaded => ("absent", Some("modprobe nvidia")),
            OpenError::Mismatch => (
                "failed",
                Some("reload the nvidia kernel modules, or reboot, after a driver upgrade"),
            ),
            OpenError::NotPermitted(_) => {
                ("not_permitted", Some("allow access to /dev/nvidiactl and /dev/nvidia*"))
            }
            OpenError::Failed(_) => ("failed", Some("run `nvidia-smi` and see its message")),
        };
        Missing {
            source: "nvml".into(),
            what: "all GPUs".into(),
            state: state.into(),
            why: self.to_string(),
            remedy: remedy.map(Into::into),
        }
    }
}

/// The running library, shared by the GPUs; shut down with the last of them.
///
/// Because a GPU holds it through each of its calls, it is never shut down while
/// a call is stuck in the driver.
pub(super) struct Session(ManuallyDrop<Nvml>);

impl Session {
    pub(super) fn nvml(&self) -> &Nvml {
        &self.0
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // nvml-wrapper's own drop panics without this symbol; then the library
        // stays loaded, which harms nobody.
        if self.0.lib().nvmlShutdown.is_ok() {
            // SAFETY: `self.0` is not used after this: `self` is being dropped.
            unsafe { ManuallyDrop::drop(&mut self.0) };
        }
    }
}

/// Whether a device of NVIDIA's (PCI vendor 0x10de) is on the bus; `true` where
/// that cannot be seen.
fn has_device(roots: &Roots) -> bool {
    let Ok(devices) = std::fs::read_dir(roots.sysfs.join("bus/pci/devices")) else { return true };
    devices.flatten().any(|device| {
        let vendor = std::fs::read_to_string(device.path().join("vendor"));
        vendor.is_ok_and(|vendor| vendor.trim() == "0x10de")
    })
}

/// NVML, open.
pub struct Library {
    session: Arc<Session>,
    roots: Roots,
    driver_version: String,
}

impl Library {
    /// Loads `path`, else `libnvidia-ml.so.1`, and starts it.
    ///
    /// # Errors
    /// As [`OpenError`] says; all may pass later, so try again with back-off.
    pub fn open(path: Option<&Path>, roots: &Roots) -> Result<Library, OpenError> {
        let mut builder = Nvml::builder();
        if let Some(path) = path {
            builder.lib_path(path.as_os_str());
        }
        let nvml = builder.init().map_err(|error| match OpenError::from_nvml(error) {
            OpenError::Absent(_) if path.is_none() && !has_device(roots) => OpenError::NoDevice,
            error => error,
        })?;
        let driver_version = nvml.sys_driver_version().unwrap_or_default();
        let session = Arc::new(Session(ManuallyDrop::new(nvml)));
        Ok(Library { session, roots: roots.clone(), driver_version })
    }

    /// The GPUs that answer, and those that do not. One dead card does not hide
    /// the others.
    pub fn gpus(&self) -> (Vec<NvmlGpu>, Vec<Missing>) {
        let count = match self.session.nvml().device_count() {
            Ok(count) => count,
            Err(error) => return (Vec::new(), vec![gpu_missing("all GPUs", read_error(&error))]),
        };
        let mut gpus = Vec::new();
        let mut missing = Vec::new();
        for index in 0..count {
            match NvmlGpu::at(&self.session, index, &self.roots, &self.driver_version) {
                Ok(gpu) => gpus.push(gpu),
                Err(error) => {
                    missing.push(gpu_missing(&format!("GPU {index}"), read_error(&error)));
                }
            }
        }
        (gpus, missing)
    }

    /// Which load of the driver this is: its version, and the identity of its
    /// module in sysfs.
    pub fn epoch(&self) -> String {
        driver_epoch(&self.roots, &self.driver_version)
    }
}

/// The inode number of `/sys/module/nvidia` is new with each load of the module
/// (kernfs numbers its nodes in sequence); its times are those of the inode cache
/// and tell nothing. Without sysfs the version alone remains.
pub(super) fn driver_epoch(roots: &Roots, driver_version: &str) -> String {
    match std::fs::metadata(roots.sysfs.join("module/nvidia")) {
        Ok(metadata) => format!("nvidia-{driver_version}-{}", metadata.ino()),
        Err(_) => format!("nvidia-{driver_version}"),
    }
}

fn gpu_missing(what: &str, error: ReadError) -> Missing {
    let remedy = match error {
        ReadError::Lost(_) => Some("see `dmesg` for an Xid message; reset the GPU or reboot"),
        ReadError::NotPermitted(_) => Some("allow access to /dev/nvidia*"),
        ReadError::NoData(_) | ReadError::Failed(_) => None,
    };
    Missing {
        source: "nvml".into(),
        what: what.into(),
        state: if error.reason() == "no_data" { "absent" } else { error.reason() }.into(),
        why: error.to_string(),
        remedy: remedy.map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_library_is_a_state_with_words() {
        let path = Path::new("/nonexistent/libnvidia-ml.so.1");
        let error = Library::open(Some(path), &Roots::default()).err().unwrap();
        assert!(matches!(error, OpenError::Absent(_)), "{error:?}");
        assert_eq!(error.missing().state, "absent");
    }

    #[test]
    fn a_new_load_of_the_module_is_a_new_epoch() {
        let folder = tempfile::tempdir().unwrap();
        let roots = Roots { sysfs: folder.path().into(), ..Roots::default() };
        assert_eq!(driver_epoch(&roots, "1.2"), "nvidia-1.2");
        let module = folder.path().join("module/nvidia");
        std::fs::create_dir_all(&module).unwrap();
        let first = driver_epoch(&roots, "1.2");
        assert_eq!(first, driver_epoch(&roots, "1.2"));
        std::fs::rename(&module, folder.path().join("module/old")).unwrap();
        std::fs::create_dir(&module).unwrap();
        assert_ne!(first, driver_epoch(&roots, "1.2"));
    }
}
