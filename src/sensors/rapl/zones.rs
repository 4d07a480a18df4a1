// SPDX-License-Identifier: Apache-2.0
//! Finding the powercap zones, each once, and what each of them is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::sensors::cpuinfo::CpuInfo;
use crate::sensors::{Kind, Missing, Roots, files};

/// The control types that are RAPL, the first preferred: the second shows the
/// same counters by another way.
const CONTROL_TYPES: [&str; 2] = ["intel-rapl", "intel-rapl-mmio"];

/// One zone of the tree.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    /// `intel-rapl` or another control type.
    pub(super) control: String,
    /// The content of its `name`.
    pub(super) name: String,
    /// The name of the zone it is in.
    pub(super) parent: Option<String>,
    /// Its folder.
    pub(super) folder: PathBuf,
}

impl Zone {
    /// Its names from the top: `package-0/dram`.
    pub(super) fn path(&self) -> String {
        match &self.parent {
            Some(parent) => format!("{parent}/{}", self.name),
            None => self.name.clone(),
        }
    }

    fn missing(&self, state: &str, why: String) -> Missing {
        Missing {
            source: "rapl".into(),
            what: format!("{} ({})", self.path(), self.control),
            state: state.into(),
            why,
            remedy: None,
        }
    }
}

/// All zones, each once: the class folder shows nested ones a second time as
/// flat links. Also found where a container mounts only a control type's folder.
pub(super) fn walk(roots: &Roots) -> Vec<Zone> {
    let mut folders = BTreeMap::new();
    for root in ["class/powercap", "devices/virtual/powercap"] {
        collect(&roots.sysfs.join(root), 3, &mut folders);
    }
    let name = |number: &str| {
        folders.get(number).and_then(|folder: &PathBuf| files::text(&folder.join("name")))
    };
    let zones = folders.iter().filter_map(|(number, folder)| {
        // The parent of `intel-rapl:0:1` is `intel-rapl:0`.
        let (above, _) = number.rsplit_once(':')?;
        Some(Zone {
            control: number.split(':').next()?.to_owned(),
            name: name(number)?,
            parent: name(above),
            folder: folder.clone(),
        })
    });
    let mut zones: Vec<Zone> = zones.collect();
    // By name, a package before its parts: the number says nothing.
    zones.sort_by_key(|zone| (zone.control.clone(), zone.path()));
    zones
}

/// Adds the folders named like a zone, and looks into those named like a control
/// type or a zone; other links (`device`, `subsystem`) lead in circles.
fn collect(folder: &Path, depth: usize, folders: &mut BTreeMap<String, PathBuf>) {
    for name in files::names(folder) {
        let path = folder.join(&name);
        let zone = name.contains(':');
        if zone && path.join("name").exists() {
            folders.entry(name.clone()).or_insert_with(|| path.clone());
        }
        if depth > 0 && (zone || CONTROL_TYPES.contains(&name.as_str())) {
            collect(&path, depth - 1, folders);
        }
    }
}

/// The zones without those that show another's counter, and why those are left out.
pub(super) fn once_each(all: Vec<Zone>) -> (Vec<Zone>, Vec<Missing>) {
    let mut kept: Vec<Zone> = Vec::new();
    let mut dropped = Vec::new();
    let rank = |zone: &Zone| CONTROL_TYPES.iter().position(|control| *control == zone.control);
    let (known, other): (Vec<Zone>, Vec<Zone>) =
        all.into_iter().partition(|zone| rank(zone).is_some());
    for zone in known {
        match kept.iter().find(|earlier| earlier.path() == zone.path()) {
            Some(earlier) => {
                let why = format!("the same counter as {} by {}", earlier.path(), earlier.control);
                dropped.push(zone.missing("overlap", why));
            }
            None => kept.push(zone),
        }
    }
    for zone in other.iter().filter(|zone| zone.folder.join("energy_uj").exists()) {
        let why = "named by the firmware: what contains what is not known".to_owned();
        dropped.push(zone.missing("overlap", why));
    }
    (kept, dropped)
}

/// What a zone counts, or why it is left out.
pub(super) fn role(zone: &Zone, cpu: &CpuInfo) -> Result<Kind, Missing> {
    match zone.name.as_str() {
        name if name.starts_with("package-") => Ok(Kind::Cpu),
        "dram" => Ok(Kind::Dram),
        "psys" => Ok(Kind::Node),
        "core" if cpu.is_amd() => {
            let why = "on AMD this zone counts one core only, not the package's cores".to_owned();
            Err(zone.missing("overlap", why))
        }
        "core" => Ok(Kind::Core),
        "uncore" => Ok(Kind::Uncore),
        _ => {
            let why = "a zone of a name that aimeter does not know: it is not added".to_owned();
            Err(zone.missing("overlap", why))
        }
    }
}
