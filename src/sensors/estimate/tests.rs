// SPDX-License-Identifier: Apache-2.0
//! The estimate against sums done by hand, on a `/proc` of plain files.

use super::*;

const CPUINFO: &str = "vendor_id : AuthenticAMD\ncpu family : 25\nmodel : 1\nstepping : 1\n";

fn machine(stat: &str) -> (tempfile::TempDir, Estimate) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cpuinfo"), CPUINFO).unwrap();
    std::fs::write(folder.path().join("stat"), stat).unwrap();
    let roots = Roots { sysfs: folder.path().into(), procfs: folder.path().into() };
    let estimate = Estimate::new(&roots);
    (folder, estimate)
}

fn read(estimate: &mut Estimate) -> Result<u64, ReadError> {
    let mut slots = [Err(ReadError::NoData("not read"))];
    estimate.read(&mut slots);
    slots[0].map(|reading| match reading.value {
        Value::Counter(energy) => energy.microjoules(),
        Value::Power(_) => panic!("an estimate is a counter"),
    })
}

#[test]
fn energy_is_idle_and_full_power_by_the_kernels_times() {
    let stat = "cpu  100 20 30 4000 50 6 7 1000 99 0\ncpu0 1 1 1 1\ncpu1 1 1 1 1\nintr 5\n";
    let (folder, mut estimate) = machine(stat);
    let found = estimate.discover();
    let domain = &found.domains[0];
    assert_eq!((domain.id.as_str(), domain.method), ("estimate:cpu", Method::Estimate));
    assert_eq!(domain.model_percent, Some(50.0));
    assert_eq!(domain.max_power, Power::from_milliwatts(2 * 2 * 1_957));
    // 163 busy ticks at 1,957 mW and 4,050 idle ticks at 456 mW, 10 ms each.
    let expected = 163 * 1_957 * 10 + 4_050 * 456 * 10;
    assert_eq!(read(&mut estimate), Ok(expected));

    // One second later, one of two threads busy.
    let later = stat.replace("cpu  100 20 30 4000", "cpu  200 20 30 4100");
    std::fs::write(folder.path().join("stat"), later).unwrap();
    assert_eq!(read(&mut estimate), Ok(expected + 1_957_000 + 456_000));

    // An idle time that goes back by a tick is not a restart.
    let back = stat.replace("cpu  100 20 30 4000", "cpu  200 20 30 4099");
    std::fs::write(folder.path().join("stat"), back).unwrap();
    assert_eq!(read(&mut estimate), Ok(expected + 1_957_000 + 456_000));
}

#[test]
fn a_daemon_that_starts_anew_goes_on_from_the_same_counter() {
    let (folder, mut first) = machine("cpu  100 0 0 100 0 0 0 0 0 0\ncpu0 1\n");
    first.discover();
    let before = read(&mut first);
    let roots = Roots { sysfs: folder.path().into(), procfs: folder.path().into() };
    let mut second = Estimate::new(&roots);
    second.discover();
    assert_eq!((read(&mut second), second.epoch()), (before, first.epoch()));
}

#[test]
fn what_is_no_stat_file_is_an_error_and_no_number() {
    for stat in ["", "cpu 1 2 3\n", "cpu0 1 2 3 4 5 6 7\n", "cpu  a b c d e f g\n"] {
        let (_folder, mut estimate) = machine(stat);
        estimate.discover();
        assert!(matches!(read(&mut estimate), Err(ReadError::Failed(_))), "{stat:?}");
    }
    let (folder, mut estimate) = machine("");
    std::fs::remove_file(folder.path().join("stat")).unwrap();
    let found = estimate.discover();
    assert!(found.domains.is_empty());
    assert_eq!(found.missing.len(), 1);
    assert!(read(&mut estimate).is_err());
}

#[test]
fn it_is_needed_only_where_no_cpu_is_counted() {
    let (_folder, mut estimate) = machine("cpu  1 1 1 1 1 1 1\n");
    let estimated = estimate.discover().domains.remove(0);
    let measured = Domain { method: Method::Counter, ..estimated.clone() };
    let overlapping = Domain { overlap: Some("part of another".into()), ..measured.clone() };
    let gpu = Domain { kind: Kind::Gpu, ..measured.clone() };
    assert!(is_needed([].into_iter()));
    assert!(is_needed([&estimated, &overlapping, &gpu].into_iter()));
    assert!(!is_needed([&gpu, &measured].into_iter()));
}

#[test]
fn this_machines_own_times_can_be_read() {
    let mut estimate = Estimate::new(&Roots::default());
    assert_eq!(estimate.discover().domains.len(), 1);
    assert!(read(&mut estimate).is_ok_and(|energy| energy > 0));
}
