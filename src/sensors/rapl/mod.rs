// SPDX-License-Identifier: Apache-2.0
//! CPU and memory energy by RAPL, through the kernel's powercap tree.
//!
//! Zones are known by their `name`, never by their number, which changes from
//! boot to boot. Packages and their dram are counted; core and uncore are inside
//! a package, psys contains the packages: shown, never added. This file must
//! never add a zone twice: duplicates by `intel-rapl-mmio` are dropped, mirrored
//! dies are marked. Layout and units: the kernel's `powercap.rst` and
//! `intel_rapl_common.c`; see `docs/sensors.md`.

mod absent;
mod units;
mod zones;

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::io::Errno;

use super::cpuinfo::CpuInfo;
use super::files::{self, ValueFile};
use super::{
    Discovery, Domain, DomainId, Kind, Method, Missing, ReadError, Reading, Roots, Source, Value,
};
use crate::units::Energy;
use zones::Zone;

/// The hardware refreshes its counters about every millisecond (Khan et al.,
/// "RAPL in Action", ACM TOMPECS 2018; LLNL/variorum#575).
const UPDATE_PERIOD: Duration = Duration::from_millis(1);

/// Reads the powercap zones of this machine.
#[derive(Debug)]
pub struct Rapl {
    roots: Roots,
    counters: Vec<ValueFile>,
    folders: Vec<PathBuf>,
}

impl Rapl {
    /// A source that looks under `roots`; nothing is opened before
    /// [`Source::discover`].
    pub fn new(roots: &Roots) -> Self {
        Rapl { roots: roots.clone(), counters: Vec::new(), folders: Vec::new() }
    }

    /// Opens one zone's counter and adds its domain.
    fn add(&mut self, zone: &Zone, kind: Kind, found: &mut Discovery) -> Result<(), Errno> {
        let counter = ValueFile::open(zone.folder.join("energy_uj"))?;
        found.domains.push(domain(zone, kind));
        self.counters.push(counter);
        self.folders.push(zone.folder.clone());
        Ok(())
    }
}

impl Source for Rapl {
    fn name(&self) -> &'static str {
        "rapl"
    }

    fn discover(&mut self) -> Discovery {
        self.counters.clear();
        self.folders.clear();
        let mut found = Discovery::default();
        let cpu = CpuInfo::of(&self.roots);
        let all = zones::walk(&self.roots);
        if all.is_empty() {
            found.missing.push(absent::explain(&self.roots, &cpu));
            return found;
        }
        let (zones, dropped) = zones::once_each(all);
        found.missing.extend(dropped);
        let mut forbidden: Vec<String> = Vec::new();
        for zone in &zones {
            let added = match zones::role(zone, &cpu) {
                Ok(kind) => self.add(zone, kind, &mut found),
                Err(left_out) => {
                    found.missing.push(left_out);
                    continue;
                }
            };
            match added {
                Ok(()) => {}
                Err(Errno::ACCESS | Errno::PERM) => forbidden.push(zone.path()),
                Err(errno) => found.missing.push(unreadable(zone, errno)),
            }
        }
        if !forbidden.is_empty() {
            found.missing.push(absent::forbidden(&forbidden));
        }
        mark_mirrors(&mut self.counters, &mut found.domains);
        found
    }

    fn read(&mut self, slots: &mut [Result<Reading, ReadError>]) {
        for (counter, slot) in self.counters.iter_mut().zip(slots) {
            *slot = counter.read().map(|(at, microjoules)| Reading {
                at,
                value: Value::Counter(Energy::from_microjoules(microjoules)),
            });
        }
    }

    /// The inodes of the zones' folders: new when the module is loaded anew or a
    /// zone is made anew at CPU hot-plug. Their times are no help, as the kernel
    /// sets those when it happens to cache the inode.
    fn epoch(&self) -> String {
        let inode = |folder: &PathBuf| {
            std::fs::metadata(folder).map_or_else(|_| "-".to_owned(), |meta| meta.ino().to_string())
        };
        self.folders.iter().map(inode).collect::<Vec<_>>().join(",")
    }
}

fn domain(zone: &Zone, kind: Kind) -> Domain {
    let range = files::number(&zone.folder.join("max_energy_range_uj")).filter(|range| *range > 0);
    let path = zone.path();
    let overlap = match kind {
        Kind::Node => Some("contains the packages".to_owned()),
        Kind::Core | Kind::Uncore => {
            zone.parent.as_ref().map(|parent| format!("part of rapl:{parent}"))
        }
        _ => None,
    };
    Domain {
        id: DomainId::new(&format!("rapl:{path}")),
        kind,
        source: "rapl".into(),
        method: Method::Counter,
        resolution: Energy::from_microjoules(range.map_or(1, units::counter_unit)),
        range: range.map(Energy::from_microjoules),
        update_period: UPDATE_PERIOD,
        max_power: units::highest_power(&zone.folder, kind),
        overlap,
        // No figure is published for any one part; see docs/sensors.md.
        gain_percent: None,
        model_percent: None,
        driver: None,
        power_limit: None,
        device: path,
    }
}

fn unreadable(zone: &Zone, errno: Errno) -> Missing {
    let (state, why) = match files::read_error(errno) {
        ReadError::Lost(_) => ("no_counter", "the zone has no energy_uj".to_owned()),
        error => ("failed", format!("opening energy_uj {error}")),
    };
    Missing { source: "rapl".into(), what: zone.path(), state: state.into(), why, remedy: None }
}

/// Marks a package that shows the counter of an earlier one, as several dies of
/// one Threadripper or EPYC do (mlco2/codecarbon#1274).
///
/// Two counters of 2^32 steps that agree to within one read, twice, are one: by
/// chance they would do so once in some 1e14 times.
fn mark_mirrors(counters: &mut [ValueFile], domains: &mut [Domain]) {
    for later in 1..domains.len() {
        if domains[later].kind != Kind::Cpu {
            continue;
        }
        let original = (0..later).find(|earlier| {
            domains[*earlier].kind == Kind::Cpu
                && domains[*earlier].counted()
                && agree(counters, *earlier, later)
                && agree(counters, *earlier, later)
        });
        if let Some(original) = original {
            domains[later].overlap = Some(format!("shows the counter of {}", domains[original].id));
        }
    }
}

/// Whether the second counter lies between two readings of the first.
fn agree(counters: &mut [ValueFile], first: usize, second: usize) -> bool {
    let mut value = |index: usize| counters[index].read().ok().map(|(_, value)| value);
    match (value(first), value(second), value(first)) {
        (Some(before), Some(other), Some(after)) => before > 0 && before <= other && other <= after,
        _ => false,
    }
}
