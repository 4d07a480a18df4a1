// SPDX-License-Identifier: Apache-2.0
//! The hwmon source on a stand-in tree: what each chip's sensors are, and that
//! none is counted twice.

use std::path::Path;

use aimeter::sensors::hwmon::Hwmon;
use aimeter::sensors::{
    Discovery, Domain, Kind, Method, ReadError, Reading, Roots, Source, Value, local_sources,
};
use aimeter::units::{Energy, Power};
use powercap_standin::{Chip, Fault, PowercapTree, Trace};

fn roots(folder: &Path) -> Roots {
    let roots = Roots { sysfs: folder.join("sys"), procfs: folder.join("proc") };
    std::fs::create_dir(&roots.sysfs).unwrap();
    std::fs::create_dir(&roots.procfs).unwrap();
    roots
}

/// The source on plain files; the folder lives as long as the first of the result.
fn plain(tree: PowercapTree) -> (tempfile::TempDir, Hwmon, Discovery) {
    let folder = tempfile::tempdir().unwrap();
    let roots = roots(folder.path());
    tree.write_to(&roots.sysfs).unwrap();
    let mut hwmon = Hwmon::new(&roots);
    let found = hwmon.discover();
    (folder, hwmon, found)
}

fn read(hwmon: &mut Hwmon, domains: usize) -> Vec<Result<Reading, ReadError>> {
    let mut slots = vec![Err(ReadError::NoData("not read")); domains];
    hwmon.read(&mut slots);
    slots
}

fn domain<'a>(found: &'a Discovery, id: &str) -> &'a Domain {
    let ids: Vec<_> = found.domains.iter().map(|domain| domain.id.as_str()).collect();
    let position = ids.iter().position(|other| *other == id);
    &found.domains[position.unwrap_or_else(|| panic!("{id} in {ids:?}"))]
}

fn grace(index: u32, rail: &str, watts: u64) -> Chip {
    Chip::new("power_meter", &format!("ACPI000D:0{index}"))
        .device_text("power1_oem_info", rail)
        .device_text("power1_average_interval", "50")
        .device_sensor("power1_average", Trace::constant(watts))
}

fn amd_energy() -> Chip {
    Chip::new("amd_energy", "amd_energy.0")
        .text("energy1_label", "Ecore000")
        .sensor("energy1_input", Trace::constant(2))
        .text("energy2_label", "Ecore001")
        .sensor("energy2_input", Trace::constant(2))
        .text("energy3_label", "Esocket0")
        .sensor("energy3_input", Trace::constant(120))
}

#[test]
fn of_graces_nested_rails_only_the_socket_is_counted() {
    let tree = PowercapTree::builder()
        .hwmon(grace(0, "Module Power Socket 0", 600))
        .hwmon(grace(1, "Grace Power Socket 0", 250))
        .hwmon(grace(2, "CPU Power Socket 0", 200))
        .hwmon(grace(3, "SysIO Power Socket 0", 30));
    let (_folder, mut hwmon, found) = plain(tree);
    let counted: Vec<_> = found.domains.iter().filter(|domain| domain.counted()).collect();
    assert_eq!(counted.len(), 1);
    assert_eq!(counted[0].id.as_str(), "hwmon:power_meter@ACPI000D:01/power1");
    assert_eq!((counted[0].kind, counted[0].method), (Kind::Cpu, Method::Power));
    assert_eq!(counted[0].update_period.as_millis(), 50);
    assert!(counted[0].device.contains("Grace Power Socket 0"));
    assert_eq!(domain(&found, "hwmon:power_meter@ACPI000D:00/power1").kind, Kind::Node);
    let readings = read(&mut hwmon, 4);
    assert_eq!(readings[1].unwrap().value, Value::Power(Power::from_watts(250)));
}

#[test]
fn a_nodes_power_meter_is_shown_and_never_added() {
    let chip = Chip::new("power_meter", "ACPI000D:00")
        .device_sensor("power1_average", Trace::constant(800));
    let (_folder, _, found) = plain(PowercapTree::builder().hwmon(chip));
    let node = &found.domains[0];
    assert_eq!((node.kind, node.counted()), (Kind::Node, false));
}

#[test]
fn amd_energys_sockets_count_and_its_cores_are_said_to_be_parts() {
    let (_folder, mut hwmon, found) = plain(PowercapTree::builder().hwmon(amd_energy()));
    assert_eq!(found.domains.len(), 1);
    let socket = domain(&found, "hwmon:amd_energy@amd_energy.0/energy3");
    assert!(socket.counted() && socket.method == Method::Counter && socket.range.is_none());
    assert_eq!(socket.resolution, Energy::from_microjoules(15));
    assert_eq!(found.missing[0].state, "overlap");
    assert!(found.missing[0].why.starts_with("2 cores"));
    assert!(matches!(read(&mut hwmon, 1)[0], Ok(Reading { value: Value::Counter(_), .. })));
}

#[test]
fn amd_energys_sockets_are_not_counted_beside_rapls_packages() {
    let tree = PowercapTree::builder().package(0, Trace::constant(120)).hwmon(amd_energy());
    let folder = tempfile::tempdir().unwrap();
    let roots = roots(folder.path());
    tree.write_to(&roots.sysfs).unwrap();
    let mut sources = local_sources(&roots);
    let counted = sources.iter_mut().flat_map(|source| source.discover().domains);
    let counted: Vec<_> = counted.filter(Domain::counted).map(|domain| domain.id).collect();
    assert_eq!(counted.len(), 1);
    assert_eq!(counted[0].as_str(), "rapl:package-0");
}

#[test]
fn ceems_456_two_chips_of_one_name_are_two_domains() {
    let gpu = |device: &str| {
        Chip::new("amdgpu", device)
            .text("power1_cap_max", "750000000")
            .sensor("power1_average", Trace::constant(300))
    };
    let tree = PowercapTree::builder().hwmon(gpu("0000:03:00.0")).hwmon(gpu("0000:83:00.0"));
    let (_folder, _, found) = plain(tree);
    let first = domain(&found, "hwmon:amdgpu@0000:03:00.0/power1");
    let second = domain(&found, "hwmon:amdgpu@0000:83:00.0/power1");
    assert!(first.counted() && second.counted());
    assert_eq!((first.kind, first.max_power), (Kind::Gpu, Power::from_watts(1_500)));
}

#[test]
fn two_chips_without_a_device_of_their_own_are_still_told_apart() {
    let chip =
        || Chip::new("power_meter", "shared").device_sensor("power1_input", Trace::constant(5));
    let tree = PowercapTree::builder().hwmon(chip()).hwmon(chip());
    let (_folder, _, found) = plain(tree);
    assert_ne!(found.domains[0].id, found.domains[1].id);
}

#[test]
fn a_gpu_inside_a_cpu_package_is_not_counted_again() {
    let chip = Chip::new("amdgpu", "0000:04:00.0").sensor("power1_input", Trace::constant(15));
    let (_folder, _, found) = plain(PowercapTree::builder().hwmon(chip));
    assert!(!found.domains[0].counted());
}

#[test]
fn an_intel_card_contains_its_package() {
    let chip = Chip::new("xe", "0000:03:00.0")
        .text("energy1_label", "card")
        .sensor("energy1_input", Trace::constant(150))
        .text("energy2_label", "pkg")
        .sensor("energy2_input", Trace::constant(120));
    let (_folder, _, found) = plain(PowercapTree::builder().hwmon(chip));
    let counted: Vec<_> = found.domains.iter().map(Domain::counted).collect();
    assert_eq!(counted, [true, false]);
}

#[test]
fn a_chip_that_nobody_knows_is_named_and_not_added() {
    let tree = PowercapTree::builder()
        .hwmon(Chip::new("ina226", "1-0040").sensor("power1_input", Trace::constant(5)))
        .hwmon(Chip::new("coretemp", "coretemp.0").text("temp1_input", "45000"));
    let (_folder, _, found) = plain(tree);
    assert!(found.domains.is_empty());
    assert_eq!(found.missing.len(), 1);
    assert_eq!(found.missing[0].what, "ina226 on 1-0040");
}

#[test]
fn a_machine_without_hwmon_has_nothing_to_say() {
    let (_folder, _, found) = plain(PowercapTree::builder());
    assert!(found.domains.is_empty() && found.missing.is_empty());
}

#[test]
fn a_sleeping_gpu_is_not_read() {
    let (device, key) = ("0000:03:00.0", "0000:03:00.0/power1_average");
    let chip = Chip::new("amdgpu", device)
        .text("power1_cap", "300000000")
        .sensor("power1_average", Trace::constant(40));
    let tree = PowercapTree::builder().hwmon(chip).runtime_status(device, key);
    let folder = tempfile::tempdir().unwrap();
    let roots = roots(folder.path());
    let mounted = tree.mount(&roots.sysfs).expect("mounting needs root and /dev/fuse");
    let mut hwmon = Hwmon::new(&roots);
    assert_eq!(hwmon.discover().domains[0].max_power, Power::from_watts(600));
    assert!(read(&mut hwmon, 1)[0].is_ok());
    let reads = mounted.meter(key).reads();
    mounted.meter(key).fail(Fault::Io);
    assert!(matches!(read(&mut hwmon, 1)[0], Err(ReadError::NoData(_))));
    assert_eq!(mounted.meter(key).reads(), reads, "the sensor itself was not touched");
    // Nor is its limit read when it is looked for: the general bound is taken.
    let asleep = Hwmon::new(&roots).discover();
    assert_eq!(asleep.domains[0].max_power, Power::from_watts(2_000));
    assert!(asleep.domains[0].counted());
    mounted.meter(key).heal();
    assert!(read(&mut hwmon, 1)[0].is_ok());
}
