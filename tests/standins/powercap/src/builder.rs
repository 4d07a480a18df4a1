// SPDX-License-Identifier: Apache-2.0
//! Building the tree: which zones and chips there are, and their traces.

use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use crate::meter::{Meter, Scale, now};
use crate::mount::{Mounted, mount};
use crate::trace::Trace;
use crate::tree::{Node, Tree};

const DEVICES: &str = "devices/virtual/powercap";

/// A tree to be mounted, or written out as plain files.
#[derive(Debug)]
pub struct PowercapTree {
    tree: Tree,
    meters: Vec<Meter>,
    zones: Vec<(String, String)>,
    tops: usize,
    chips: usize,
}

/// One zone and how it is to be; more by its fields.
#[derive(Clone, Debug)]
pub struct Zone {
    /// The true power.
    pub trace: Trace,
    /// How the counter shows it.
    pub scale: Scale,
    /// `constraint_0_max_power_uw`; 0 as on many machines, `None`: no such file.
    pub max_power: Option<u64>,
}

impl Zone {
    /// A zone with Intel's counter, rated at three quarters of the trace's peak,
    /// as a peak above the rated power is usual.
    pub fn new(trace: Trace) -> Self {
        Zone { trace, scale: Scale::INTEL, max_power: Some(trace.peak() / 4 * 3) }
    }

    /// The same with another counter.
    pub fn scale(mut self, scale: Scale) -> Self {
        self.scale = scale;
        self
    }
}

/// One hwmon chip: its name, the device it is on, its sensors.
#[derive(Clone, Debug)]
pub struct Chip {
    /// `amd_energy`, `power_meter`, `amdgpu`.
    pub name: String,
    /// The device's folder name, such as `0000:03:00.0`.
    pub device: String,
    /// Fixed files in the chip's folder.
    pub texts: Vec<(String, String)>,
    /// Fixed files in the device's folder.
    pub device_texts: Vec<(String, String)>,
    /// The sensors: file name, in the device's folder or not, trace.
    pub sensors: Vec<(String, bool, Trace)>,
}

impl Chip {
    /// A chip without sensors.
    pub fn new(name: &str, device: &str) -> Self {
        Chip {
            name: name.into(),
            device: device.into(),
            texts: Vec::new(),
            device_texts: Vec::new(),
            sensors: Vec::new(),
        }
    }

    /// With a sensor in the chip's folder; `energyN_input` counts, `powerN_…` shows power.
    pub fn sensor(mut self, file: &str, trace: Trace) -> Self {
        self.sensors.push((file.into(), false, trace));
        self
    }

    /// With a sensor in the device's folder, as ACPI's power meters have it.
    pub fn device_sensor(mut self, file: &str, trace: Trace) -> Self {
        self.sensors.push((file.into(), true, trace));
        self
    }

    /// With a fixed file in the chip's folder.
    pub fn text(mut self, file: &str, text: &str) -> Self {
        self.texts.push((file.into(), text.into()));
        self
    }

    /// With a fixed file in the device's folder.
    pub fn device_text(mut self, file: &str, text: &str) -> Self {
        self.device_texts.push((file.into(), text.into()));
        self
    }
}

impl PowercapTree {
    /// An empty tree without powercap: as a machine without RAPL shows itself.
    pub fn builder() -> Self {
        PowercapTree { tree: Tree::new(), meters: Vec::new(), zones: Vec::new(), tops: 0, chips: 0 }
    }

    /// A package of Intel's usual kind.
    pub fn package(self, number: u32, trace: Trace) -> Self {
        self.zone(&format!("package-{number}"), Zone::new(trace))
    }

    /// The memory of a package.
    pub fn dram(self, package: u32, trace: Trace) -> Self {
        self.zone(&format!("package-{package}/dram"), Zone::new(trace))
    }

    /// The cores of a package.
    pub fn core(self, package: u32, trace: Trace) -> Self {
        self.zone(&format!("package-{package}/core"), Zone::new(trace))
    }

    /// The graphics part of a package.
    pub fn uncore(self, package: u32, trace: Trace) -> Self {
        self.zone(&format!("package-{package}/uncore"), Zone::new(trace))
    }

    /// The platform: a zone at the top, like a package.
    pub fn psys(self, trace: Trace) -> Self {
        self.zone("psys", Zone::new(trace))
    }

    /// A zone by its path of names: `package-0-die-1`, `package-0/dram`. Each
    /// counter starts elsewhere, as real ones do.
    pub fn zone(mut self, path: &str, mut zone: Zone) -> Self {
        let index = self.meters.len();
        let start = (1_000_000_007 * (index as u64 + 1)) % zone.scale.steps;
        zone.scale.start = if zone.scale.start == 0 { start } else { zone.scale.start };
        let parent_path = path.rsplit_once('/').map(|(parent, _)| parent);
        let parent =
            parent_path.and_then(|parent| self.meters.iter().position(|meter| meter.key == parent));
        self.meters.push(Meter::new(path.into(), zone.trace, zone.scale, parent));
        let number = self.number(parent_path);
        self.place("intel-rapl", &number, path, index, &zone);
        self.zones.push((path.into(), number));
        self
    }

    /// Another zone that shows an earlier one's counter: a mirrored die.
    pub fn mirror(mut self, path: &str, of: &str) -> Self {
        let index = self.index(of);
        let zone =
            Zone { scale: self.meters[index].state().scale, ..Zone::new(self.meters[index].trace) };
        let number = self.number(None);
        self.place("intel-rapl", &number, path, index, &zone);
        self
    }

    /// The packages once more, as `intel-rapl-mmio`.
    pub fn mmio_duplicate(mut self) -> Self {
        for (path, number) in self.zones.clone() {
            if path.starts_with("package-") && !path.contains('/') {
                let index = self.index(&path);
                let scale = self.meters[index].state().scale;
                let zone = Zone { scale, ..Zone::new(self.meters[index].trace) };
                let number = number.replace("intel-rapl", "intel-rapl-mmio");
                self.place("intel-rapl-mmio", &number, &path, index, &zone);
            }
        }
        self
    }

    /// A hwmon chip; its sensors' keys are `device/file`.
    pub fn hwmon(mut self, chip: Chip) -> Self {
        let number = self.chips;
        self.chips += 1;
        let device = format!("devices/platform/{}", chip.device);
        let folder = format!("{device}/hwmon/hwmon{number}");
        self.tree.folder(&folder, None);
        self.tree.text(&format!("{folder}/name"), &chip.name, None);
        self.link(&format!("{folder}/device"), &format!("../../../{}", chip.device));
        let target = format!("../../{folder}");
        self.link(&format!("class/hwmon/hwmon{number}"), &target);
        for (file, text) in &chip.texts {
            self.tree.text(&format!("{folder}/{file}"), text, None);
        }
        for (file, text) in &chip.device_texts {
            self.tree.text(&format!("{device}/{file}"), text, None);
        }
        for (file, on_device, trace) in chip.sensors {
            let index = self.meters.len();
            let key = format!("{}/{file}", chip.device);
            self.meters.push(Meter::new(key, trace, Scale::HWMON, None));
            let above = if on_device { &device } else { &folder };
            let node = if file.starts_with("energy") {
                Node::Energy(index, 0o444)
            } else {
                Node::Power(index)
            };
            self.tree.put(&format!("{above}/{file}"), node, Some(index));
        }
        self
    }

    /// A `power/runtime_status` on a chip's device that says `suspended` while
    /// the given sensor's meter has a fault, `active` else.
    pub fn runtime_status(mut self, device: &str, key: &str) -> Self {
        let index = self.index(key);
        let path = format!("devices/platform/{device}/power/runtime_status");
        self.tree.put(&path, Node::Status(index), None);
        self
    }

    /// Mounts the tree at an existing folder, until the result is dropped.
    pub fn mount(self, folder: &Path) -> io::Result<Mounted> {
        mount(self.tree, self.meters.into_iter().map(Arc::new).collect(), folder)
    }

    /// Writes the tree as plain files that show this moment, without a mount.
    pub fn write_to(&self, folder: &Path) -> io::Result<()> {
        let time = now();
        for (path, node) in self.tree.paths() {
            let at = folder.join(path);
            match node {
                Node::Folder => std::fs::create_dir_all(at)?,
                Node::Link(target) => symlink(target, at)?,
                Node::Text(text) => std::fs::write(at, text)?,
                Node::Energy(meter, _) => {
                    std::fs::write(at, format!("{}\n", self.meters[*meter].shown_at(time)))?;
                }
                Node::Power(meter) => {
                    std::fs::write(at, format!("{}\n", self.meters[*meter].power_at(time)))?;
                }
                Node::Status(_) => std::fs::write(at, "active\n")?,
            }
        }
        Ok(())
    }

    fn index(&self, key: &str) -> usize {
        let found = self.meters.iter().position(|meter| meter.key == key);
        found.unwrap_or_else(|| panic!("the stand-in has no {key} yet"))
    }

    /// The next number at the top, or below the given zone.
    fn number(&mut self, parent: Option<&str>) -> String {
        let Some(parent) = parent else {
            self.tops += 1;
            return format!("intel-rapl:{}", self.tops - 1);
        };
        let above = self.zones.iter().find(|(path, _)| path == parent);
        let (_, above) = above.unwrap_or_else(|| panic!("the stand-in has no {parent} yet"));
        let prefix = format!("{above}:");
        let siblings = self.zones.iter().filter(|(_, number)| number.starts_with(&prefix)).count();
        format!("{prefix}{siblings}")
    }

    /// The folder of a zone, and its flat link in the class.
    fn place(&mut self, control: &str, number: &str, path: &str, meter: usize, zone: &Zone) {
        let parts: Vec<&str> = number.split(':').collect();
        let mut nested = format!("{DEVICES}/{control}");
        for depth in 2..=parts.len() {
            nested = format!("{nested}/{}", parts[..depth].join(":"));
        }
        let control_folder = format!("{DEVICES}/{control}");
        self.tree.folder(&control_folder, None);
        let class_link = format!("class/powercap/{control}");
        if !self.tree.paths().any(|(path, _)| path == class_link) {
            self.link(&class_link, &format!("../../{control_folder}"));
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        let owner = Some(meter);
        self.tree.folder(&nested, owner);
        self.tree.text(&format!("{nested}/name"), name, owner);
        let range = zone.scale.range_microjoules().to_string();
        self.tree.text(&format!("{nested}/max_energy_range_uj"), &range, owner);
        self.tree.text(&format!("{nested}/enabled"), "1", owner);
        if let Some(microwatts) = zone.max_power {
            let file = format!("{nested}/constraint_0_max_power_uw");
            self.tree.text(&file, &microwatts.to_string(), owner);
        }
        self.tree.put(&format!("{nested}/energy_uj"), Node::Energy(meter, 0o400), owner);
        self.tree.put(&format!("{nested}/subsystem"), self.up(&nested, "class/powercap"), owner);
        let link = Node::Link(format!("../../{nested}"));
        self.tree.put(&format!("class/powercap/{number}"), link, owner);
    }

    fn up(&self, from: &str, to: &str) -> Node {
        Node::Link(format!("{}{to}", "../".repeat(from.split('/').count())))
    }

    fn link(&mut self, path: &str, target: &str) {
        self.tree.put(path, Node::Link(target.into()), None);
    }
}
