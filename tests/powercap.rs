// SPDX-License-Identifier: Apache-2.0
//! The RAPL source on a stand-in tree, against its known truth.
//!
//! Mounting needs root and /dev/fuse; without them these tests fail.

use std::path::Path;
use std::time::Duration;

use aimeter::meter::counter::{CounterTracker, Movement};
use aimeter::sensors::rapl::Rapl;
use aimeter::sensors::{
    Discovery, Domain, Kind, Method, Missing, ReadError, Reading, Roots, Source, Value,
};
use aimeter::units::{BootTime, Energy};
use powercap_standin::{Fault, Mounted, PowercapTree, Scale, Trace, Zone, now};

const INTEL: &str = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\n\
                     model name\t: Intel(R) Xeon(R) Platinum 8480+\nstepping\t: 8\nflags\t\t: fpu\n";
const AMD: &str = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\n\
                   model name\t: AMD EPYC 9654 96-Core Processor\nstepping\t: 1\nflags\t\t: fpu\n";

/// A mounted tree with a procfs beside it; unmounted before the folder goes.
struct Bench {
    mounted: Mounted,
    roots: Roots,
    _folder: tempfile::TempDir,
}

fn bench(tree: PowercapTree, cpuinfo: &str) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let roots = roots(folder.path(), cpuinfo);
    let mounted = tree.mount(&roots.sysfs).expect("mounting needs root and /dev/fuse");
    Bench { mounted, roots, _folder: folder }
}

fn roots(folder: &Path, cpuinfo: &str) -> Roots {
    let roots = Roots { sysfs: folder.join("sys"), procfs: folder.join("proc") };
    std::fs::create_dir(&roots.sysfs).unwrap();
    std::fs::create_dir(&roots.procfs).unwrap();
    std::fs::write(roots.procfs.join("cpuinfo"), cpuinfo).unwrap();
    roots
}

fn server() -> PowercapTree {
    PowercapTree::builder()
        .psys(Trace::constant(600))
        .package(0, Trace::square(50, 250, 7))
        .dram(0, Trace::constant(31))
        .core(0, Trace::constant(120))
        .package(1, Trace::constant(180))
        .dram(1, Trace::constant(29))
        .mmio_duplicate()
}

fn ids(found: &Discovery) -> Vec<&str> {
    found.domains.iter().map(|domain| domain.id.as_str()).collect()
}

fn domain<'a>(found: &'a Discovery, id: &str) -> &'a Domain {
    found.domains.iter().find(|domain| domain.id.as_str() == id).unwrap()
}

fn missing<'a>(found: &'a Discovery, what: &str) -> &'a Missing {
    let of = |missing: &&Missing| missing.what.contains(what);
    found.missing.iter().find(of).unwrap_or_else(|| panic!("{what} in {:?}", found.missing))
}

fn read(source: &mut dyn Source, domains: usize) -> Vec<Result<Reading, ReadError>> {
    let mut slots = vec![Err(ReadError::NoData("not read")); domains];
    source.read(&mut slots);
    slots
}

fn counter(slot: Result<Reading, ReadError>) -> (BootTime, Energy) {
    match slot {
        Ok(Reading { at, value: Value::Counter(energy) }) => (at, energy),
        other => panic!("no counter: {other:?}"),
    }
}

#[test]
fn a_server_is_packages_and_dram_counted_and_everything_else_shown_apart() {
    let bench = bench(server(), INTEL);
    let mut rapl = Rapl::new(&bench.roots);
    let found = rapl.discover();
    let expected = [
        "rapl:package-0",
        "rapl:package-0/core",
        "rapl:package-0/dram",
        "rapl:package-1",
        "rapl:package-1/dram",
        "rapl:psys",
    ];
    assert_eq!(ids(&found), expected);
    let counted: Vec<&str> = found
        .domains
        .iter()
        .filter(|domain| domain.counted())
        .map(|domain| domain.id.as_str())
        .collect();
    assert_eq!(
        counted,
        ["rapl:package-0", "rapl:package-0/dram", "rapl:package-1", "rapl:package-1/dram"]
    );
    let psys = domain(&found, "rapl:psys");
    assert_eq!((psys.kind, psys.overlap.as_deref()), (Kind::Node, Some("contains the packages")));
    let core = domain(&found, "rapl:package-0/core");
    assert_eq!(core.overlap.as_deref(), Some("part of rapl:package-0"));
    let package = domain(&found, "rapl:package-0");
    assert_eq!(package.resolution, Energy::from_microjoules(61));
    assert_eq!(package.range, Some(Energy::from_microjoules(262_143_328_850)));
    assert_eq!((package.gain_percent, package.method), (None, Method::Counter));
    let duplicate = missing(&found, "package-0 (intel-rapl-mmio)");
    assert_eq!(duplicate.state, "overlap");
    assert_eq!(found.missing.len(), 2, "{:?}", found.missing);
}

#[test]
fn readings_are_the_true_integral_to_one_step_and_the_time_of_the_read() {
    let bench = bench(server(), INTEL);
    let mut rapl = Rapl::new(&bench.roots);
    let found = rapl.discover();
    let first = read(&mut rapl, found.domains.len());
    std::thread::sleep(Duration::from_millis(300));
    let last = read(&mut rapl, found.domains.len());
    for (index, domain) in found.domains.iter().enumerate() {
        let (from, before) = counter(first[index]);
        let (to, after) = counter(last[index]);
        let shown = after.microjoules() - before.microjoules();
        let truth = bench.mounted.truth(domain.id.as_str(), from.nanoseconds(), to.nanoseconds());
        // The stand-in takes its time within the read, whose middle we stamp; a
        // machine under load may stretch a read to some milliseconds.
        let slack = 600 * 20_000 + 2 * domain.resolution.microjoules();
        assert!(shown.abs_diff(truth) <= slack, "{}: {shown} against {truth}", domain.id);
    }
}

#[test]
fn several_wraps_in_a_row_sum_to_the_truth() {
    // 2,000 J at 700 W: a wrap each 2.9 s, two or three of them in 7 s.
    let zone = Zone::new(Trace::constant(700)).scale(Scale::wrapping_after(2_000));
    let bench = bench(PowercapTree::builder().zone("package-0", zone), INTEL);
    let mut rapl = Rapl::new(&bench.roots);
    let found = rapl.discover();
    let mut tracker = CounterTracker::new(&found.domains[0]);
    let (from, value) = counter(read(&mut rapl, 1)[0]);
    tracker.feed(from, value, Duration::from_millis(20));
    let (mut least, mut most, mut wraps, mut to) = (0, 0, 0, from);
    while to.since(from) < Duration::from_secs(7) {
        std::thread::sleep(Duration::from_millis(20));
        let (at, value) = counter(read(&mut rapl, 1)[0]);
        let movement = tracker.feed(at, value, Duration::from_millis(20)).movement;
        wraps += u32::from(matches!(movement, Movement::Wrapped { .. }));
        least += movement.energy().microjoules();
        most += match movement {
            // Only on a machine that stalls for a second or longer.
            Movement::Ambiguous { most, .. } => most.microjoules(),
            _ => movement.energy().microjoules(),
        };
        to = at;
    }
    let truth = bench.mounted.truth("package-0", from.nanoseconds(), to.nanoseconds());
    let slack = 700 * 20_000;
    assert!(wraps >= 1, "{wraps} wraps");
    assert!(least <= truth + slack && truth <= most + slack, "{least} to {most}: {truth}");
}

#[test]
fn a_wrap_is_counted_once_and_a_restart_by_its_new_value_only() {
    let zone = Zone::new(Trace::constant(300)).scale(Scale::AMD);
    let tree = PowercapTree::builder().zone("package-0", zone);
    let bench = bench(tree, AMD);
    let mut rapl = Rapl::new(&bench.roots);
    let found = rapl.discover();
    let mut tracker = CounterTracker::new(&found.domains[0]);
    let mut feed = |rapl: &mut Rapl| {
        let (at, value) = counter(read(rapl, 1)[0]);
        (at, tracker.feed(at, value, Duration::from_secs(1)).movement)
    };
    bench.mounted.meter("package-0").wrap_after(6_000_000);
    let (from, first) = feed(&mut rapl);
    assert_eq!(first, Movement::First);
    std::thread::sleep(Duration::from_millis(100));
    let (to, movement) = feed(&mut rapl);
    let Movement::Wrapped { energy } = movement else { panic!("{movement:?}") };
    let truth = bench.mounted.truth("package-0", from.nanoseconds(), to.nanoseconds());
    assert!(energy.microjoules().abs_diff(truth) < 300 * 20_000, "{energy} against {truth} µJ");

    // Far from the range's end, so that nobody could take it for a wrap.
    bench.mounted.meter("package-0").wrap_after(40_000_000_000);
    let restart = now();
    tracker = CounterTracker::new(&found.domains[0]);
    let mut feed = |rapl: &mut Rapl| {
        let (at, value) = counter(read(rapl, 1)[0]);
        (at, tracker.feed(at, value, Duration::from_secs(1)).movement)
    };
    feed(&mut rapl);
    bench.mounted.meter("package-0").reset_at(now());
    std::thread::sleep(Duration::from_millis(50));
    let (to, movement) = feed(&mut rapl);
    let Movement::Reset { energy, .. } = movement else { panic!("{movement:?}") };
    let truth = bench.mounted.truth("package-0", restart, to.nanoseconds());
    assert!(energy.microjoules() <= truth + 300 * 20_000 && energy > Energy::ZERO);
}

#[test]
fn a_failing_zone_has_its_own_state_and_stops_no_other() {
    let bench = bench(server(), INTEL);
    let mut rapl = Rapl::new(&bench.roots);
    let found = rapl.discover();
    let sick = found.domains.iter().position(|d| d.id.as_str() == "rapl:package-0/dram").unwrap();
    let cases = [
        (Fault::NotPermitted, "not_permitted"),
        (Fault::Io, "failed"),
        (Fault::Empty, "failed"),
        (Fault::Text("-5\n".into()), "failed"),
        (Fault::NoDevice, "lost"),
    ];
    for (fault, reason) in cases {
        bench.mounted.meter("package-0/dram").fail(fault.clone());
        let slots = read(&mut rapl, found.domains.len());
        bench.mounted.meter("package-0/dram").heal();
        for (index, slot) in slots.iter().enumerate() {
            match slot {
                Err(error) => assert_eq!((index, error.reason()), (sick, reason), "{fault:?}"),
                Ok(_) => assert_ne!(index, sick, "{fault:?}"),
            }
        }
    }
    // After ENODEV the file is opened anew, and what it counts is said to be new.
    assert!(matches!(read(&mut rapl, found.domains.len())[sick], Err(ReadError::Lost(_))));
    assert!(read(&mut rapl, found.domains.len())[sick].is_ok());
}

#[test]
fn a_zone_made_anew_is_lost_then_read_again_and_changes_the_epoch() {
    let bench = bench(server(), INTEL);
    let mut rapl = Rapl::new(&bench.roots);
    let found = rapl.discover();
    let epoch = rapl.epoch();
    assert_eq!(epoch, rapl.epoch());
    let mut other = Rapl::new(&bench.roots);
    other.discover();
    assert_eq!(epoch, other.epoch(), "a restarted daemon sees the same epoch");

    bench.mounted.meter("package-1").vanish();
    for _ in 0..2 {
        let slots = read(&mut rapl, found.domains.len());
        let lost = slots.iter().filter(|slot| matches!(slot, Err(ReadError::Lost(_)))).count();
        assert_eq!(lost, 2, "the package and its dram: {slots:?}");
    }
    bench.mounted.meter("package-1").reappear();
    let back = read(&mut rapl, found.domains.len());
    assert_eq!(back.iter().filter(|slot| slot.is_err()).count(), 2, "{back:?}");
    assert!(read(&mut rapl, found.domains.len()).iter().all(Result::is_ok));
    assert_ne!(epoch, rapl.epoch());
}

#[test]
fn a_slow_read_is_stamped_with_its_middle() {
    let bench = bench(server(), INTEL);
    let mut rapl = Rapl::new(&bench.roots);
    let found = rapl.discover();
    let index = found.domains.iter().position(|d| d.id.as_str() == "rapl:package-1").unwrap();
    let (from, before) = counter(read(&mut rapl, found.domains.len())[index]);
    bench.mounted.meter("package-1").delay(Duration::from_millis(200));
    let (to, after) = counter(read(&mut rapl, found.domains.len())[index]);
    let shown = after.microjoules() - before.microjoules();
    let truth = bench.mounted.truth("package-1", from.nanoseconds(), to.nanoseconds());
    // Stamped at its start or its end it would be 18 J off.
    assert!(shown.abs_diff(truth) < 180 * 30_000, "{shown} against {truth}");
}

#[test]
fn mirrored_dies_are_marked_and_counted_once() {
    let tree = PowercapTree::builder()
        .zone("package-0-die-0", Zone::new(Trace::constant(90)))
        .mirror("package-0-die-1", "package-0-die-0")
        .zone("package-1-die-0", Zone::new(Trace::constant(90)));
    let bench = bench(tree, AMD);
    let found = Rapl::new(&bench.roots).discover();
    assert_eq!(domain(&found, "rapl:package-0-die-0").overlap, None);
    assert_eq!(domain(&found, "rapl:package-1-die-0").overlap, None);
    let mirror = domain(&found, "rapl:package-0-die-1").overlap.as_deref();
    assert_eq!(mirror, Some("shows the counter of rapl:package-0-die-0"));
}

#[test]
fn amds_core_zone_is_one_core_and_left_out() {
    let tree = PowercapTree::builder().package(0, Trace::constant(200)).core(0, Trace::constant(3));
    let bench = bench(tree, AMD);
    let found = Rapl::new(&bench.roots).discover();
    assert_eq!(ids(&found), ["rapl:package-0"]);
    assert!(missing(&found, "package-0/core").why.contains("one core only"));
}

#[test]
fn a_counter_for_root_only_is_explained_once_with_the_remedy() {
    let bench = bench(server(), INTEL);
    for zone in ["package-0", "package-0/dram", "package-0/core", "package-1", "package-1/dram"] {
        bench.mounted.meter(zone).fail(Fault::NotPermitted);
    }
    let found = Rapl::new(&bench.roots).discover();
    assert_eq!(ids(&found), ["rapl:psys"]);
    let forbidden: Vec<&Missing> =
        found.missing.iter().filter(|missing| missing.state == "not_permitted").collect();
    assert_eq!(forbidden.len(), 1);
    assert!(forbidden[0].what.contains("package-0, package-0/core, package-0/dram"));
    let remedy = forbidden[0].remedy.as_deref().unwrap();
    assert!(remedy.contains("systemctl enable") && remedy.contains("udevadm trigger"));
}

#[test]
fn a_machine_without_powercap_says_which_kind_it_is() {
    let cases = [
        (INTEL.to_owned(), "driver is not loaded"),
        (INTEL.replace("fpu", "fpu hypervisor"), "virtual machine"),
        ("processor\t: 0\nCPU part\t: 0xd0c\n".to_owned(), "has no RAPL"),
    ];
    for (cpuinfo, words) in cases {
        let folder = tempfile::tempdir().unwrap();
        let found = Rapl::new(&roots(folder.path(), &cpuinfo)).discover();
        assert!(found.domains.is_empty());
        assert_eq!(found.missing[0].state, "absent");
        assert!(found.missing[0].why.contains(words), "{}", found.missing[0].why);
    }
}

#[test]
fn a_container_with_dangling_links_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let roots = roots(folder.path(), INTEL);
    let class = roots.sysfs.join("class/powercap");
    std::fs::create_dir_all(&class).unwrap();
    let target = "../../devices/virtual/powercap/intel-rapl/intel-rapl:0";
    std::os::unix::fs::symlink(target, class.join("intel-rapl:0")).unwrap();
    let found = Rapl::new(&roots).discover();
    assert!(found.missing[0].why.contains("container"), "{}", found.missing[0].why);
}

#[test]
fn plain_files_and_a_lone_control_type_folder_are_read_too() {
    let folder = tempfile::tempdir().unwrap();
    let roots = roots(folder.path(), INTEL);
    server().write_to(&roots.sysfs).unwrap();
    let mut rapl = Rapl::new(&roots);
    let found = rapl.discover();
    assert_eq!(found.domains.len(), 6);
    assert!(read(&mut rapl, 6).iter().all(Result::is_ok));
    // As a container that mounts only devices/virtual/powercap/intel-rapl.
    std::fs::remove_dir_all(roots.sysfs.join("class")).unwrap();
    assert_eq!(Rapl::new(&roots).discover().domains.len(), 6);
}

#[test]
fn a_zone_without_a_counter_or_with_an_unknown_name_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let roots = roots(folder.path(), INTEL);
    server().write_to(&roots.sysfs).unwrap();
    let zone = roots.sysfs.join("class/powercap/intel-rapl:1");
    std::fs::remove_file(zone.join("energy_uj")).unwrap();
    std::fs::write(roots.sysfs.join("class/powercap/intel-rapl:0/name"), "npu\n").unwrap();
    let found = Rapl::new(&roots).discover();
    let no_counter = |missing: &&Missing| missing.state == "no_counter";
    assert_eq!(found.missing.iter().find(no_counter).unwrap().what, "package-0");
    assert_eq!(missing(&found, "npu").state, "overlap");
    assert!(!ids(&found).contains(&"rapl:package-0"));
}
