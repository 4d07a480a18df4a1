// SPDX-License-Identifier: Apache-2.0
//! The GPU threads on the stand-in library, loaded by `dlopen` like the real one.
//!
//! Events are waited for, however long they take on a busy machine; what is
//! compared are values with the stand-in's truth, and orders of events.

use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

use nvml_standin::{
    Fault, FaultKind, Gpu, Installed, MigInstance, Process, SampleBuffer, Script, Trace,
};
use tempfile::TempDir;

use super::*;
use crate::clock;
use crate::sensors::{Method, Value};
use crate::units::Power;

const PATIENCE: Duration = Duration::from_secs(30);
const ENERGY_CALL: &str = "nvmlDeviceGetTotalEnergyConsumption";

struct Bench {
    folder: TempDir,
    standin: Installed,
    monitor: GpuMonitor,
    events: Receiver<GpuEvent>,
}

fn squares() -> Vec<Gpu> {
    let square = |hz| Trace::Square { low_mw: 90_000, high_mw: 600_000, hz, phase: 0.1, duty: 0.5 };
    let mut gpus = vec![Gpu::numbered(0, square(1.0)), Gpu::numbered(1, square(7.0))];
    for gpu in &mut gpus {
        gpu.sensor.samples = Some(SampleBuffer { every_ms: 20, length: 100 });
    }
    gpus
}

impl Bench {
    fn new(gpus: Vec<Gpu>) -> Bench {
        Bench::with(gpus, 1_024, |_| {})
    }

    fn with(gpus: Vec<Gpu>, room: usize, change: impl FnOnce(&mut Script)) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let mut script = Script::starting_now(gpus);
        // The machine has run for a minute.
        script.epoch_ns = script.epoch_ns.saturating_sub(60_000_000_000);
        script.call_log = Some(folder.path().join("calls"));
        change(&mut script);
        let standin = Installed::new(folder.path(), &script).unwrap();
        let (monitor, events) = start(&standin.library, folder.path(), room);
        Bench { folder, standin, monitor, events }
    }

    fn script(&self) -> Script {
        Script::load(&self.standin.script).unwrap()
    }

    /// Waits for the first event that `pick` takes; others are left out.
    fn wait<T>(&self, pick: impl FnMut(GpuEvent) -> Option<T>) -> T {
        wait(&self.events, pick)
    }

    fn opened(&self) -> (Vec<(GpuIdentity, Domain)>, Vec<Missing>, String) {
        self.wait(|event| match event {
            GpuEvent::Opened { devices, missing, epoch } => Some((devices, missing, epoch)),
            _ => None,
        })
    }

    fn closed(&self) -> Missing {
        self.wait(|event| match event {
            GpuEvent::Closed { why } => Some(why),
            _ => None,
        })
    }

    fn reading(&self, of: usize) -> Result<Reading, ReadError> {
        self.wait(|event| match event {
            GpuEvent::Reading { gpu, result } if gpu == of => Some(result),
            _ => None,
        })
    }

    fn point(&self, of: usize) -> Result<Point, ReadError> {
        self.wait(|event| match event {
            GpuEvent::Edge { gpu, result, .. } if gpu == of => Some(result),
            _ => None,
        })
    }

    fn fault(&self, fault: Fault) {
        self.standin.update(|script| script.faults = vec![fault]).unwrap();
    }

    fn mend(&self) {
        self.standin.update(|script| script.faults.clear()).unwrap();
    }

    fn calls(&self) -> Vec<(String, String, u64)> {
        let text = std::fs::read_to_string(self.folder.path().join("calls")).unwrap();
        let call = |line: &str| {
            let mut words = line.split(' ').map(str::to_owned);
            Some((words.next()?, words.next()?, words.next()?.parse().ok()?))
        };
        text.lines().map(|line| call(line).unwrap()).collect()
    }
}

fn start(library: &Path, sysfs: &Path, room: usize) -> (GpuMonitor, Receiver<GpuEvent>) {
    let (sender, events) = sync_channel(room);
    let options = GpuOptions {
        library: Some(library.to_owned()),
        period: SHORTEST_PERIOD,
        roots: Roots { sysfs: sysfs.into(), ..Roots::default() },
    };
    (GpuMonitor::start(options, sender, Box::new(|| {})).unwrap(), events)
}

fn wait<T>(events: &Receiver<GpuEvent>, mut pick: impl FnMut(GpuEvent) -> Option<T>) -> T {
    let started = clock::now();
    loop {
        let event = events.recv_timeout(PATIENCE).expect("an event in time");
        if let Some(picked) = pick(event) {
            return picked;
        }
        assert!(clock::now().since(started) < PATIENCE, "the event awaited did not come");
    }
}

#[test]
fn the_points_of_a_job_hold_its_true_energy_on_each_gpu() {
    let bench = Bench::new(squares());
    let (devices, missing, epoch) = bench.opened();
    assert_eq!(devices.len(), 2);
    assert!(missing.is_empty());
    assert_eq!(epoch, "nvidia-580.95.05");
    assert_eq!(devices[1].1.id.as_str(), "nvml:GPU-00000000-0000-0000-0000-000000000001");
    assert_eq!(devices[1].1.max_power, Power::from_watts(1_050));
    assert_eq!(devices[1].0.pci_address.as_deref(), Some("0000:02:00.0"));
    let start = clock::now();
    assert!(bench.monitor.edge(0, start) && bench.monitor.edge(1, start));
    let mut starts = [None; 2];
    while starts.contains(&None) {
        let (gpu, point) = bench.wait(|event| match event {
            GpuEvent::Edge { gpu, asked, result } if asked == start => Some((gpu, result)),
            _ => None,
        });
        starts[gpu] = Some(point.unwrap());
    }
    // The job: as long as twenty readings take.
    for _ in 0..20 {
        bench.reading(0).unwrap();
    }
    for (gpu, start) in starts.into_iter().enumerate() {
        bench.monitor.edge(gpu, clock::now());
        let (start, end) = (start.unwrap(), bench.point(gpu).unwrap());
        let energy = end.value.checked_sub(start.value).unwrap().microjoules();
        let moments = (start.at.nanoseconds(), end.at.nanoseconds());
        let truth = bench.script().energy_between(gpu, moments.0, moments.1);
        // Each bound holds in 95 % of cases; twice their sum holds always.
        let stated = 2 * start.uncertainty.saturating_add(end.uncertainty).microjoules();
        let error = energy.abs_diff(truth);
        assert!(error <= stated, "GPU {gpu}: {error} µJ off, {stated} µJ stated");
    }
    bench.monitor.stop();
}

#[test]
fn events_of_a_gpu_never_go_back_in_time_nor_down_in_energy() {
    let bench = Bench::new(squares());
    bench.opened();
    let (mut last, mut edges) = ((BootTime::default(), Default::default()), 0);
    for i in 0..60 {
        // Noticed late: a later reading is out already.
        if i % 3 == 1 {
            bench.monitor.edge(1, last.0.minus(Duration::from_millis(5)));
        }
        let (at, value) = bench.wait(|event| match event {
            GpuEvent::Reading {
                gpu: 1,
                result: Ok(Reading { at, value: Value::Counter(value) }),
            } => Some((at, value)),
            GpuEvent::Edge { gpu: 1, result: Ok(point), .. } => {
                edges += 1;
                Some((point.at, point.value))
            }
            _ => None,
        });
        assert!(at >= last.0 && value >= last.1, "{at:?} {value} after {last:?}");
        last = (at, value);
    }
    assert!(edges > 5);
}

#[test]
fn a_stuck_call_of_one_gpu_stalls_no_other_and_is_left_behind_on_release() {
    let bench = Bench::new(squares());
    bench.opened();
    bench.reading(0).unwrap();
    bench.fault(Fault::standing(ENERGY_CALL, Some(0), FaultKind::Stuck));
    // More than two periods of the healthy one, and its edges.
    for _ in 0..5 {
        bench.monitor.edge(1, clock::now());
        bench.point(1).unwrap();
    }
    assert!(bench.monitor.since_last_call(0, clock::now()).unwrap() > Duration::from_millis(100));
    bench.monitor.release();
    let why = bench.closed();
    assert_eq!(why.state, "failed");
    assert!(why.why.contains("GPU-00000000-0000-0000-0000-000000000000"), "{}", why.why);
    assert!(
        !bench.calls().iter().any(|(call, ..)| call == "nvmlShutdown"),
        "shut down under a call"
    );
    bench.mend();
    bench.monitor.reclaim();
    bench.opened();
    bench.reading(0).unwrap();
}

#[test]
fn a_lost_gpu_is_told_and_taken_up_again_while_the_other_runs_on() {
    let bench = Bench::new(squares());
    bench.opened();
    bench.reading(0).unwrap();
    bench.fault(Fault::standing("*", Some(0), FaultKind::Error(15)));
    let lost = |event| match event {
        GpuEvent::Reading { gpu: 0, result: Err(ReadError::Lost(_)) } => Some(()),
        _ => None,
    };
    bench.wait(lost);
    bench.monitor.edge(0, clock::now());
    assert!(matches!(bench.point(0), Err(ReadError::Lost(_))));
    bench.reading(1).unwrap();
    bench.mend();
    bench.wait(|event| match event {
        GpuEvent::Reading { gpu: 0, result: Ok(_) } => Some(()),
        _ => None,
    });
}

#[test]
fn a_gpu_that_is_dead_from_the_start_hides_no_other() {
    let dead = Fault::standing("*", Some(0), FaultKind::Error(15));
    let bench = Bench::with(squares(), 1_024, |script| script.faults = vec![dead]);
    let (devices, missing, _) = bench.opened();
    assert_eq!(devices[0].0.index, 1);
    assert_eq!((devices.len(), missing.len()), (1, 1));
    assert_eq!((missing[0].what.as_str(), missing[0].state.as_str()), ("GPU 0", "lost"));
    bench.reading(0).unwrap();
}

#[test]
fn an_absent_library_is_told_once_and_found_when_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libnvidia-ml.so.1");
    let (monitor, events) = start(&library, folder.path(), 8);
    assert!(monitor.wait_ready(PATIENCE));
    let absent = wait(&events, |event| match event {
        GpuEvent::Closed { why } => Some(why),
        _ => None,
    });
    assert_eq!(absent.state, "absent");
    assert!(!monitor.edge(0, clock::now()));
    Installed::new(folder.path(), &Script::starting_now(squares())).unwrap();
    // The very next event: the absence was not told a second time.
    let next = events.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(next, GpuEvent::Opened { .. }), "{next:?}");
}

#[test]
fn a_mismatched_driver_is_told_with_its_remedy() {
    let fault = Fault::standing("nvmlInit_v2", None, FaultKind::Error(18));
    let bench = Bench::with(squares(), 1_024, |script| script.faults = vec![fault]);
    let why = bench.closed();
    assert_eq!(why.state, "failed");
    assert!(why.remedy.unwrap().contains("reload"));
    bench.mend();
    bench.opened();
}

#[test]
fn an_unloaded_driver_is_opened_anew_as_another_epoch() {
    let bench = Bench::new(squares());
    let module = bench.folder.path().join("module/nvidia");
    let (_, _, before) = bench.opened();
    bench.reading(0).unwrap();
    bench.fault(Fault::standing("*", None, FaultKind::Error(9)));
    assert_eq!(bench.closed().state, "absent");
    std::fs::create_dir_all(&module).unwrap();
    bench.mend();
    let (_, _, after) = bench.opened();
    assert_ne!(before, after);
    bench.reading(0).unwrap();
}

#[test]
fn release_shuts_nvml_down_and_reclaim_opens_it_again() {
    let bench = Bench::new(squares());
    bench.opened();
    bench.reading(0).unwrap();
    bench.monitor.release();
    assert_eq!(bench.closed().state, "absent");
    assert_eq!(bench.calls().last().unwrap().0, "nvmlShutdown");
    assert!(!bench.monitor.edge(0, clock::now()));
    bench.monitor.reclaim();
    assert_eq!(bench.opened().0.len(), 2);
    bench.reading(1).unwrap();
}

/// After a reclaim on a machine without NVML the daemon went on saying that it had
/// been let go of, for ever: why it is closed was told before, and not again.
#[test]
fn why_nvml_is_closed_is_told_again_after_a_reclaim() {
    let folder = tempfile::tempdir().unwrap();
    let (monitor, events) = start(&folder.path().join("no-library.so"), folder.path(), 64);
    let closed = || match events.recv_timeout(PATIENCE) {
        Ok(GpuEvent::Closed { why }) => why,
        other => panic!("{other:?}"),
    };
    let before = closed();
    monitor.release();
    assert_ne!(closed(), before);
    monitor.reclaim();
    assert_eq!(closed(), before);
}

#[test]
fn a_library_without_shutdown_is_let_go_of_without_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let standin = Installed::new(folder.path(), &Script::starting_now(squares())).unwrap();
    let mut library = std::fs::read(&standin.library).unwrap();
    let name = b"nvmlShutdown";
    let places: Vec<usize> =
        (0..library.len() - name.len()).filter(|&i| library[i..].starts_with(name)).collect();
    for place in places {
        library[place + name.len() - 1] = b'_';
    }
    std::fs::write(&standin.library, library).unwrap();
    let (monitor, events) = start(&standin.library, folder.path(), 64);
    let opened = |event| matches!(event, GpuEvent::Opened { .. }).then_some(());
    wait(&events, opened);
    monitor.release();
    wait(&events, |event| matches!(event, GpuEvent::Closed { .. }).then_some(()));
    monitor.reclaim();
    wait(&events, opened);
}

#[test]
fn a_full_channel_drops_readings_and_keeps_edges() {
    let bench = Bench::with(squares(), 2, |_| {});
    bench.opened();
    while bench.monitor.dropped_readings() < 3 {
        std::thread::yield_now();
    }
    let asked = clock::now();
    bench.monitor.edge(0, asked);
    let dropped = bench.monitor.dropped_readings();
    while bench.monitor.dropped_readings() < dropped + 6 {
        std::thread::yield_now();
    }
    bench.point(0).unwrap();
}

#[test]
fn a_gpu_without_a_counter_gives_its_power_samples_in_order_and_all_of_them() {
    let mut gpu = squares().remove(1);
    gpu.counter.present = false;
    let bench = Bench::new(vec![gpu]);
    assert_eq!(bench.opened().0[0].1.method, Method::Power);
    let mut samples = Vec::new();
    while samples.len() < 40 {
        let Reading { at, value } = bench.reading(0).unwrap();
        let Value::Power(power) = value else { panic!("{value:?} from a GPU without a counter") };
        samples.push((at, power));
    }
    // The first may be the power of now, before the ring had a new sample.
    let microjoules: u64 = samples[2..]
        .windows(2)
        .map(|pair| pair[1].1.during(pair[1].0.since(pair[0].0)).microjoules())
        .sum();
    let (first, last) = (samples[2].0.nanoseconds(), samples[39].0.nanoseconds());
    let truth = bench.script().energy_between(0, first, last);
    assert!(microjoules.abs_diff(truth) < truth / 50, "{microjoules} µJ, truth {truth} µJ");
    bench.monitor.edge(0, clock::now());
    assert!(matches!(bench.point(0), Err(ReadError::NoData(_))));
}

#[test]
fn a_sentinel_is_refused_and_a_refusal_is_not_a_loss() {
    let bench = Bench::new(squares());
    bench.opened();
    let next_error = |bench: &Bench| {
        bench.wait(|event| match event {
            GpuEvent::Reading { gpu: 0, result } => result.err(),
            _ => None,
        })
    };
    bench.fault(Fault::standing(ENERGY_CALL, Some(0), FaultKind::Value(u64::MAX)));
    assert_eq!(next_error(&bench).reason(), "failed");
    bench.fault(Fault::standing(ENERGY_CALL, Some(0), FaultKind::Value(0xFFFF_FFFF)));
    assert_eq!(next_error(&bench).reason(), "failed");
    bench.fault(Fault::standing(ENERGY_CALL, Some(0), FaultKind::Error(4)));
    bench.wait(|event| match event {
        GpuEvent::Reading { gpu: 0, result: Err(ReadError::NotPermitted(_)) } => Some(()),
        _ => None,
    });
}

#[test]
fn a_sleeping_gpu_is_left_asleep() {
    let bench = Bench::with(squares(), 1_024, |_| {});
    bench.opened();
    bench.reading(0).unwrap();
    bench.monitor.release();
    bench.closed();
    let power = bench.folder.path().join("bus/pci/devices/0000:01:00.0/power");
    std::fs::create_dir_all(&power).unwrap();
    std::fs::write(power.join("runtime_status"), "suspended\n").unwrap();
    bench.monitor.reclaim();
    bench.opened();
    assert_eq!(bench.reading(0), Err(ReadError::NoData("asleep")));
    let calls = bench.calls().len();
    let touched = |bench: &Bench| {
        bench.calls()[calls..].iter().any(|(call, gpu, _)| call == ENERGY_CALL && gpu == "0")
    };
    for _ in 0..3 {
        bench.reading(1).unwrap();
    }
    assert!(!touched(&bench));
    std::fs::write(power.join("runtime_status"), "active\n").unwrap();
    bench.wait(|event| match event {
        GpuEvent::Reading { gpu: 0, result: Ok(_) } => Some(()),
        _ => None,
    });
}

#[test]
fn users_come_with_their_use_and_their_slices() {
    let mut gpus = squares();
    let process =
        |pid, sm_percent, gpu_instance| Process { pid, used_memory: 0, sm_percent, gpu_instance };
    gpus[0].processes = vec![process(10, Some(60), None), process(11, Some(20), None)];
    let instance = |gpu_instance, slices| MigInstance {
        uuid: format!("MIG-{gpu_instance}"),
        gpu_instance,
        compute_instance: 0,
        slices,
    };
    gpus[1].mig = Some(vec![instance(1, 4), instance(5, 2)]);
    gpus[1].processes = vec![process(20, None, Some(5)), process(21, None, Some(1))];
    let bench = Bench::new(gpus);
    let (devices, ..) = bench.opened();
    assert_eq!(devices[0].0.mig, None);
    assert_eq!(devices[1].0.mig.as_ref().unwrap()[0].slices, 4);
    let users = |gpu, utilization| {
        bench.monitor.refresh_users(gpu, utilization);
        let users = bench.wait(|event| match event {
            GpuEvent::Users { gpu: of, result } if of == gpu => Some(result.unwrap()),
            _ => None,
        });
        users
            .iter()
            .map(|user| (user.pid, user.sm_percent, user.mig.map(|mig| mig.slices)))
            .collect::<Vec<_>>()
    };
    assert_eq!(users(0, true), [(10, Some(60), None), (11, Some(20), None)]);
    assert_eq!(users(0, false), [(10, None, None), (11, None, None)]);
    assert_eq!(users(1, true), [(20, None, Some(2)), (21, None, Some(4))]);
}

#[test]
fn ticks_are_never_closer_than_the_period_and_bursts_end() {
    let bench = Bench::new(vec![squares().remove(0)]);
    bench.opened();
    for _ in 0..30 {
        bench.reading(0).unwrap();
    }
    bench.monitor.release();
    bench.closed();
    let reads: Vec<u64> =
        bench.calls().iter().filter(|(call, ..)| call == ENERGY_CALL).map(|call| call.2).collect();
    // After the learning burst (at most 5 s, by far shorter here) one read a tick:
    // never two in one tenth of a second by the clock.
    let tenth = |time: u64| time / 100_000_000;
    let quiet: Vec<u64> = reads[reads.len() - 15..].iter().copied().map(tenth).collect();
    assert!(quiet.windows(2).all(|pair| pair[0] < pair[1]), "{quiet:?}");
}
