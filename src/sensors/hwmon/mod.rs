// SPDX-License-Identifier: Apache-2.0
//! Energy and power sensors of the kernel's hwmon: amd_energy, NVIDIA Grace and
//! node power by ACPI, AMD and Intel GPUs.
//!
//! Only chips whose meaning is known are read (see `chips.rs`); others are named
//! and never added. A sensor is known by its chip and device, never by the
//! number of its folder. A sleeping GPU is left asleep. Attributes: the kernel's
//! `Documentation/hwmon/sysfs-interface.rst`, µJ and µW.

mod chips;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::files::{self, ValueFile};
use super::rapl::Rapl;
use super::{Discovery, Kind, Method, Missing, ReadError, Reading, Roots, Source, Value};
use crate::units::{Energy, Power};
use chips::Sensor;

/// Reads the hwmon sensors of this machine.
#[derive(Debug)]
pub struct Hwmon {
    roots: Roots,
    meters: Vec<Meter>,
}

/// One open sensor.
#[derive(Debug)]
struct Meter {
    value: ValueFile,
    method: Method,
    /// Its device's `power/runtime_status`, which can be read without waking it.
    status: Option<OwnedFd>,
}

/// One chip's folder.
#[derive(Debug)]
struct Chip {
    /// The content of `name`.
    name: String,
    /// What it is on, such as `0000:03:00.0`: stable where `hwmon3` is not.
    device: String,
    folder: PathBuf,
}

impl Chip {
    fn find(roots: &Roots) -> Vec<Chip> {
        let class = roots.sysfs.join("class/hwmon");
        let chip = |number: String| {
            let folder = class.join(&number);
            let name = files::text(&folder.join("name"))?;
            let device = std::fs::canonicalize(folder.join("device")).ok();
            let device =
                device.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
            let device = device.map_or(number, |name| name.into_owned());
            Some(Chip { name, device, folder })
        };
        files::names(&class).into_iter().filter_map(chip).collect()
    }

    /// A file of the chip or, as ACPI's meters have it, of its device.
    fn file(&self, name: &str) -> Option<PathBuf> {
        [self.folder.join(name), self.folder.join("device").join(name)]
            .into_iter()
            .find(|path| path.exists())
    }

    /// The number in such a file.
    fn number(&self, name: &str) -> Option<u64> {
        self.file(name).and_then(|path| files::number(&path))
    }

    /// The first of the given limits, µW, that the chip has and names. Reading
    /// one would wake a sleeping device: 0 then.
    fn limit(&self, names: &[&str]) -> Option<u64> {
        let file = names.iter().find_map(|name| self.file(name))?;
        let asleep = self.text("device/power/runtime_status").is_some_and(|s| s == "suspended");
        if asleep { Some(0) } else { files::number(&file) }
    }

    /// The text in such a file.
    fn text(&self, name: &str) -> Option<String> {
        self.file(name).and_then(|path| files::text(&path))
    }

    /// The sensors `energyN_input`, in the order of their names.
    fn energies(&self) -> Vec<String> {
        let names = files::names(&self.folder).into_iter();
        let sensor = |name: String| {
            let sensor = name.strip_suffix("_input")?;
            sensor.starts_with("energy").then(|| sensor.to_owned())
        };
        names.filter_map(sensor).collect()
    }

    fn missing(&self, what: &str, state: &str, why: &str) -> Missing {
        Missing {
            source: "hwmon".into(),
            what: format!("{} on {}{what}", self.name, self.device),
            state: state.into(),
            why: why.into(),
            remedy: None,
        }
    }
}

impl Hwmon {
    /// A source that looks under `roots`; nothing is opened before
    /// [`Source::discover`].
    pub fn new(roots: &Roots) -> Self {
        Hwmon { roots: roots.clone(), meters: Vec::new() }
    }

    fn add(&mut self, chip: &Chip, sensor: Sensor, found: &mut Discovery) {
        let mut domain = sensor.domain;
        let same = found.domains.iter().filter(|other| other.id == domain.id).count();
        if same > 0 {
            // Two chips of one name on one device (ceems-dev/ceems#456).
            domain.id = super::DomainId::new(&format!("{}#{}", domain.id, same + 1));
        }
        let status = chip.file("device/power/runtime_status").filter(|_| domain.kind == Kind::Gpu);
        let status = status.and_then(|path| {
            rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
        });
        match ValueFile::open(sensor.file) {
            Ok(value) => {
                self.meters.push(Meter { value, method: domain.method, status });
                found.domains.push(domain);
            }
            Err(errno) => found.missing.push(unreadable(chip, &domain.device, errno)),
        }
    }
}

impl Source for Hwmon {
    fn name(&self) -> &'static str {
        "hwmon"
    }

    fn discover(&mut self) -> Discovery {
        self.meters.clear();
        let mut found = Discovery::default();
        for chip in Chip::find(&self.roots) {
            let (sensors, missing) = chips::sensors(&chip);
            found.missing.extend(missing);
            for sensor in sensors {
                self.add(&chip, sensor, &mut found);
            }
        }
        // amd_energy counts the same packages as RAPL where both drivers are loaded.
        let sockets = found.domains.iter_mut().filter(|domain| {
            domain.kind == Kind::Cpu && domain.method == Method::Counter && domain.counted()
        });
        let sockets: Vec<_> = sockets.collect();
        if !sockets.is_empty() && rapl_has_packages(&self.roots) {
            for socket in sockets {
                socket.overlap = Some("the same packages as rapl's".into());
            }
        }
        found
    }

    fn read(&mut self, slots: &mut [Result<Reading, ReadError>]) {
        for (meter, slot) in self.meters.iter_mut().zip(slots) {
            *slot = meter.read();
        }
    }
}

impl Meter {
    fn read(&mut self) -> Result<Reading, ReadError> {
        if self.status.as_ref().is_some_and(is_suspended) {
            return Err(ReadError::NoData("asleep, and a read would wake it"));
        }
        let (at, number) = self.value.read()?;
        let value = match self.method {
            Method::Power => Value::Power(Power::from_microwatts(number)),
            _ => Value::Counter(Energy::from_microjoules(number)),
        };
        Ok(Reading { at, value })
    }
}

fn is_suspended(status: &OwnedFd) -> bool {
    let mut buffer = [0; 16];
    let length = rustix::io::retry_on_intr(|| rustix::io::pread(status, &mut buffer, 0));
    length.is_ok_and(|length| buffer[..length].trim_ascii() == b"suspended")
}

fn rapl_has_packages(roots: &Roots) -> bool {
    let found = Rapl::new(roots).discover();
    found.domains.iter().any(|domain| domain.kind == Kind::Cpu && domain.counted())
}

fn unreadable(chip: &Chip, sensor: &str, errno: Errno) -> Missing {
    let error = files::read_error(errno);
    let mut missing = chip.missing("", error.reason(), &format!("opening it {error}"));
    missing.what = sensor.to_owned();
    if matches!(error, ReadError::NotPermitted(_)) {
        let folder = chip.folder.display();
        missing.remedy = Some(format!(
            "use the daemon: sudo systemctl enable --now aimeter; or give a group the right: \
             sudo sh -c 'chgrp aimeter {folder}/energy*_input && chmod 0440 {folder}/energy*_input'"
        ));
    }
    missing
}
