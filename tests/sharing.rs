// SPDX-License-Identifier: Apache-2.0
//! Who gets which joules: several jobs at once, on cores and on GPUs, against what
//! the workloads say they burnt and what the stand-ins drew. Powers are constant, so
//! that a sum over ticks has a closed form, whatever the machine's speed.

#[path = "common/books.rs"]
mod books;
#[path = "common/procfs.rs"]
mod procfs;
#[path = "common/rig.rs"]
mod rig;

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::libc;
use nvml_standin::{Gpu, MigInstance, now_ns};
use powercap_standin::{PowercapTree, Trace};
use serde_json::Value;

use books::{booked, check_balance, origins, until_written};
use procfs::Procfs;
use rig::{Daemon, Rig, Run, Stamp, Wrapped, burn, domain, error, eventually, interval, stamp};

const PACKAGE: &str = "rapl:package-0";
const DRAM: &str = "rapl:package-0/dram";
const PACKAGE_WATTS: f64 = 100.0;
const DRAM_WATTS: f64 = 20.0;
const GPU_WATTS: f64 = 200.0;

/// A package of 100 W, its memory of 20 W, and GPUs of 200 W.
fn machine(gpus: Vec<Gpu>) -> Rig {
    let tree = PowercapTree::builder()
        .package(0, Trace::constant(PACKAGE_WATTS as u64))
        .dram(0, Trace::constant(DRAM_WATTS as u64));
    Rig::new(tree, gpus)
}

fn gpu(index: usize) -> Gpu {
    Gpu::numbered(index, nvml_standin::Trace::Constant { mw: (GPU_WATTS * 1e3) as u64 })
}

fn gpu_id(rig: &Rig, index: usize) -> String {
    format!("nvml:{}", rig.script.gpus[index].uuid)
}

/// Starts a workload under the wrapper, with its stamp in `NAME.json`.
fn start(rig: &Rig, name: &str, options: &[&str], change: impl FnOnce(&mut Command)) -> Wrapped {
    let burn = burn();
    let file = rig.path(&format!("{name}.json"));
    let mut command = vec![burn.to_str().unwrap(), "--stamp", file.to_str().unwrap()];
    command.extend(options);
    rig.start_with(&["--name", name], &command, change)
}

fn visible(gpus: &str) -> impl FnOnce(&mut Command) {
    let gpus = gpus.to_owned();
    move |run| {
        run.env("CUDA_VISIBLE_DEVICES", gpus);
    }
}

fn stamp_of(rig: &Rig, name: &str) -> Stamp {
    stamp(&rig.path(&format!("{name}.json")))
}

/// The pid of a workload, once it runs.
fn pid_of(rig: &Rig, name: &str) -> u64 {
    eventually("a workload's start", || {
        let text = std::fs::read_to_string(rig.path(&format!("{name}.json"))).ok()?;
        serde_json::from_str::<Value>(&text).ok()?["pid"].as_u64()
    })
}

/// A file that the workloads wait for.
fn go(rig: &Rig) -> PathBuf {
    rig.path("go")
}

fn until(moment_ns: u64) {
    eventually("the time to pass", || (now_ns() >= moment_ns).then_some(()));
}

/// Waits until so many jobs have ended by the ledger.
fn until_finished(rig: &Rig, jobs: i64) {
    eventually("the jobs' ends in the ledger", || {
        let sql = "SELECT count(*) FROM job WHERE state = 'finished'";
        let ended: i64 = rig.ledger().query_row(sql, [], |row| row.get(0)).unwrap();
        (ended == jobs).then_some(())
    });
}

fn cores() -> f64 {
    std::thread::available_parallelism().unwrap().get() as f64
}

fn joules(run: &Run, id: &str) -> f64 {
    run.domain(id)["joules"].as_f64().unwrap()
}

#[track_caller]
fn check(what: &str, figure: f64, truth: f64, part: f64) {
    println!(
        "{what}: {figure:.3} J, truth {truth:.3}, error {:.3} %",
        100.0 * error(figure, truth)
    );
    assert!(error(figure, truth) < part, "{what}: {figure} J is not {truth} J");
}

// === Cores ===

/// Takes every cgroup2 mount away from a process that is to be started.
fn without_cgroups(command: &mut Command) {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points: Vec<std::ffi::CString> = mounts
        .lines()
        .filter(|line| line.contains(" - cgroup2 "))
        .map(|line| std::ffi::CString::new(line.split(' ').nth(4).unwrap()).unwrap())
        .collect();
    // SAFETY: system calls only.
    unsafe {
        command.pre_exec(move || {
            let private = libc::MS_REC | libc::MS_PRIVATE;
            let none = std::ptr::null();
            if libc::unshare(libc::CLONE_NEWNS) != 0
                || libc::mount(none, c"/".as_ptr(), none, private, none.cast()) != 0
                || points.iter().any(|at| libc::umount2(at.as_ptr(), libc::MNT_DETACH) != 0)
            {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        })
    };
}

/// One job burns twice what the two others do, of which one forks away.
fn three_jobs(change: impl FnOnce(&mut Command), part: f64) -> (Rig, Daemon) {
    let rig = machine(Vec::new());
    let daemon = rig.daemon_with(&[], change);
    let origins = origins(&rig, 2);
    let jobs = [
        ("twice", start(&rig, "twice", &["--cpu", "4s"], |_| {})),
        ("once", start(&rig, "once", &["--cpu", "2s"], |_| {})),
        ("forker", start(&rig, "forker", &["--cpu", "2s", "--double-fork", "--setsid"], |_| {})),
    ];
    let names = jobs.map(|(name, job)| {
        assert!(job.finish().output.status.success());
        name
    });
    until_finished(&rig, 3);
    until_written(&rig, now_ns());
    check_balance(&rig, &origins);
    let ledger = rig.ledger();
    for name in names {
        let burnt = stamp_of(&rig, name).cpu_ns as f64 / 1e9;
        for (id, watts) in [(PACKAGE, PACKAGE_WATTS), (DRAM, DRAM_WATTS)] {
            let joules = booked(&ledger, Some(name), id) as f64 / 1e6;
            check(&format!("{name}, {id}"), joules, watts * burnt / cores(), part);
        }
    }
    (rig, daemon)
}

fn notes_in_ledger(rig: &Rig) -> String {
    let sql = "SELECT ifnull(group_concat(text, char(10)), '') FROM note";
    rig.ledger().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn shares_are_as_the_cpu_time_of_cgroups_was() {
    let (rig, _daemon) = three_jobs(|_| {}, 0.02);
    let notes = notes_in_ledger(&rig);
    assert!(!notes.contains("no cgroup"), "needs root and a cgroup2 mount: {notes}");
}

#[test]
fn shares_are_as_the_cpu_time_of_process_trees_was() {
    let (rig, _daemon) = three_jobs(without_cgroups, 0.04);
    assert!(notes_in_ledger(&rig).contains("no cgroup for the job"));
}

/// Four cores, of which three are busy: rewritten in place each millisecond.
fn three_of_four_cores_are_busy(procfs: &Procfs) {
    let text = |ticks: u64| {
        let lines: String = (0..4).map(|core| format!("cpu{core} 0 0 0 0 0 0 0\n")).collect();
        format!("cpu  {ticks:20} 0 0 0 0 0 0 0 0 0\n{lines}intr 0\n")
    };
    let file = procfs.replace("stat", &text(0));
    std::thread::spawn(move || {
        use std::os::unix::fs::FileExt;
        let file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
        loop {
            // Ticks of 10 ms.
            let ticks = now_ns() * 3 / 10_000_000;
            if file.write_all_at(text(ticks).as_bytes(), 0).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

/// What a job gets that is pinned to one of the four cores, by a policy: its
/// figure, its CPU seconds and its seconds.
fn under_policy(policy: &str) -> (f64, f64, f64) {
    let rig = machine(Vec::new());
    let procfs = Procfs::mount(rig.folder.path());
    three_of_four_cores_are_busy(&procfs);
    let root = procfs.root().to_str().unwrap();
    let _daemon = rig.daemon(&["--procfs", root, "--idle-policy", policy]);
    let origins = origins(&rig, 2);
    let job = start(&rig, "one", &["--cpu", "3s", "--sleep", "1s"], |run| {
        // SAFETY: a system call only.
        unsafe {
            run.pre_exec(|| {
                let own = nix::unistd::Pid::from_raw(0);
                let allowed = nix::sched::sched_getaffinity(own)?;
                let first = (0..1024).find(|core| allowed.is_set(*core).unwrap_or(false));
                let mut one = nix::sched::CpuSet::new();
                one.set(first.unwrap_or(0))?;
                nix::sched::sched_setaffinity(own, &one)?;
                Ok(())
            })
        };
    });
    let run = job.finish();
    until_written(&rig, now_ns());
    check_balance(&rig, &origins);
    let (from, to) = interval(&run.record);
    let burnt = stamp_of(&rig, "one").cpu_ns as f64 / 1e9;
    (joules(&run, PACKAGE), burnt, (to - from) as f64 / 1e9)
}

#[test]
fn idle_energy_that_nobody_pays_for() {
    let (joules, burnt, _) = under_policy("unattributed");
    check("unattributed", joules, PACKAGE_WATTS * burnt / 4.0, 0.02);
}

#[test]
fn idle_energy_that_whoever_runs_pays_for() {
    let (joules, burnt, _) = under_policy("proportional");
    check("proportional", joules, PACKAGE_WATTS * burnt / 3.0, 0.02);
}

#[test]
fn idle_energy_that_whoever_reserves_pays_for() {
    let (joules, burnt, time) = under_policy("reserved");
    let truth = PACKAGE_WATTS * burnt / 4.0 + PACKAGE_WATTS * time * (1.0 - 0.75) * (1.0 / 4.0);
    check("reserved", joules, truth, 0.02);
}

// === GPUs ===

#[test]
fn each_job_pays_for_the_gpu_that_it_sees() {
    let rig = machine(vec![gpu(0), gpu(1)]);
    let _daemon = rig.daemon(&[]);
    let origins = origins(&rig, 4);
    let jobs = ["0", "1"].map(|index| start(&rig, index, &["--sleep", "3s"], visible(index)));
    for (index, job) in jobs.into_iter().enumerate() {
        let run = job.finish();
        let (from, to) = interval(&run.record);
        let truth = rig.gpu_joules(index, from, to);
        check("its own", joules(&run, &gpu_id(&rig, index)), truth, 0.005);
        let text = run.record["energy"]["domains"].to_string();
        assert!(!text.contains(&gpu_id(&rig, 1 - index)), "{text}");
    }
    until_written(&rig, now_ns());
    check_balance(&rig, &origins);
}

#[test]
fn two_jobs_on_one_gpu_pay_half_each_while_both_run() {
    let rig = machine(vec![gpu(0)]);
    let _daemon = rig.daemon(&[]);
    let origins = origins(&rig, 3);
    let go = go(&rig);
    let long = start(&rig, "long", &["--until-file", go.to_str().unwrap()], visible("0"));
    pid_of(&rig, "long");
    until(stamp_start(&rig, "long") + 1_000_000_000);
    let short = start(&rig, "short", &["--sleep", "2s"], visible("0")).finish();
    until(now_ns() + 1_000_000_000);
    std::fs::write(&go, "").unwrap();
    let long = long.finish();
    let id = gpu_id(&rig, 0);
    let truth = |run: &Run| {
        let (from, to) = interval(&run.record);
        rig.gpu_joules(0, from, to)
    };
    let shared = truth(&short) / 2.0;
    check("the short one", joules(&short, &id), shared, 0.01);
    check("the long one", joules(&long, &id), truth(&long) - shared, 0.01);
    until_written(&rig, now_ns());
    check_balance(&rig, &origins);
}

fn stamp_start(rig: &Rig, name: &str) -> u64 {
    let text = std::fs::read_to_string(rig.path(&format!("{name}.json"))).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["start_ns"].as_u64().unwrap()
}

/// Waits until a GPU's energy goes in these parts to these accounts, in two looks
/// at the ledger in a row: NVML's process list is read now and then only.
fn until_split(rig: &Rig, expected: &[(Option<&str>, f64)]) {
    let id = gpu_id(rig, 0);
    let look = || -> Vec<u64> {
        let ledger = rig.ledger();
        let all = ledger.unchecked_transaction().unwrap();
        expected.iter().map(|(name, _)| booked(&all, *name, &id)).collect()
    };
    let mut before = look();
    let mut agreed = 0;
    eventually("the split by what NVML says", || {
        let after = look();
        let moved: Vec<f64> =
            after.iter().zip(&before).map(|(after, before)| (after - before) as f64).collect();
        let all: f64 = moved.iter().sum();
        if all < 50e6 {
            return None;
        }
        before = after;
        let fits = moved.iter().zip(expected).all(|(moved, (_, part))| {
            // Some microjoules are left over by rounding.
            (moved / all - part).abs() < 1e-4
        });
        println!("{moved:?} of {all}");
        agreed = if fits { agreed + 1 } else { 0 };
        (agreed == 2).then_some(())
    });
}

/// A GPU whose process list stands in a file.
fn gpu_with_processes(folder: &tempfile::TempDir) -> (Gpu, PathBuf) {
    let file = folder.path().join("processes");
    std::fs::write(&file, "").unwrap();
    (Gpu { processes_file: Some(file.clone()), ..gpu(0) }, file)
}

#[test]
fn two_jobs_on_one_gpu_pay_by_utilisation_where_nvml_tells_it() {
    let folder = tempfile::tempdir().unwrap();
    let (gpu, processes) = gpu_with_processes(&folder);
    let rig = machine(vec![gpu]);
    let _daemon = rig.daemon(&[]);
    let origins = origins(&rig, 3);
    let go = go(&rig);
    let wait = ["--until-file", go.to_str().unwrap()];
    let jobs = ["busy", "lazy"].map(|name| start(&rig, name, &wait, visible("0")));
    let (busy, lazy) = (pid_of(&rig, "busy"), pid_of(&rig, "lazy"));
    std::fs::write(&processes, format!("{busy} 1000 60\n{lazy} 1000 20\n")).unwrap();
    until_split(&rig, &[(Some("busy"), 0.75), (Some("lazy"), 0.25), (None, 0.0)]);
    std::fs::write(&go, "").unwrap();
    for job in jobs {
        assert!(job.finish().output.status.success());
    }
    until_written(&rig, now_ns());
    check_balance(&rig, &origins);
}

#[test]
fn a_foreign_process_pays_only_while_it_is_active() {
    let folder = tempfile::tempdir().unwrap();
    let (gpu, processes) = gpu_with_processes(&folder);
    let rig = machine(vec![gpu]);
    let _daemon = rig.daemon(&[]);
    let go = go(&rig);
    let job = start(&rig, "job", &["--until-file", go.to_str().unwrap()], visible("0"));
    let (own, foreign) = (pid_of(&rig, "job"), std::process::id());
    std::fs::write(&processes, format!("{own} 1000 50\n{foreign} 1000\n")).unwrap();
    until_split(&rig, &[(Some("job"), 1.0), (None, 0.0)]);
    std::fs::write(&processes, format!("{own} 1000 20\n{foreign} 1000 60\n")).unwrap();
    until_split(&rig, &[(Some("job"), 0.25), (None, 0.75)]);
    std::fs::write(&go, "").unwrap();
    assert!(job.finish().output.status.success());
}

#[test]
fn jobs_in_mig_instances_pay_by_slices() {
    let instance = |number: u32, slices| MigInstance {
        uuid: format!("MIG-00000000-0000-0000-0000-{number:012}"),
        gpu_instance: number,
        compute_instance: 0,
        slices,
    };
    let instances = vec![instance(1, 3), instance(2, 2), instance(3, 2)];
    let rig = machine(vec![Gpu { mig: Some(instances.clone()), ..gpu(0) }]);
    let _daemon = rig.daemon(&[]);
    let origins = origins(&rig, 3);
    let jobs = [(0, 3.0), (1, 2.0)].map(|(place, slices)| {
        let name = format!("slices-{slices}");
        (slices, start(&rig, &name, &["--sleep", "3s"], visible(&instances[place].uuid)))
    });
    for (slices, job) in jobs {
        let run = job.finish();
        let (from, to) = interval(&run.record);
        let truth = rig.gpu_joules(0, from, to) * slices / 7.0;
        check(&format!("{slices} of 7 slices"), joules(&run, &gpu_id(&rig, 0)), truth, 0.005);
    }
    until_written(&rig, now_ns());
    check_balance(&rig, &origins);
}

// === Ranks and nested jobs ===

#[test]
fn ranks_are_one_job_with_each_joule_once() {
    let rig = machine(vec![gpu(0)]);
    let _daemon = rig.daemon(&[]);
    let origins = origins(&rig, 3);
    let jobs = ["rank-0", "rank-1"].map(|name| {
        start(&rig, name, &["--cpu", "1s", "--sleep", "1s"], |run| {
            run.env("AIMETER_JOB_ID", "the-ranks");
        })
    });
    for job in jobs {
        assert!(job.end().0.status.success());
    }
    until_finished(&rig, 1);
    until_written(&rig, now_ns());
    check_balance(&rig, &origins);
    let output = rig.aimeter("show").args(["--json", "the-ranks"]).output().unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (from, to) = interval(&shown);
    let of = |id: &str| domain(&shown, id)["joules"].as_f64().unwrap();
    check("the GPU", of(&gpu_id(&rig, 0)), rig.gpu_joules(0, from, to), 0.005);
    let burnt = ["rank-0", "rank-1"].map(|name| stamp_of(&rig, name).cpu_ns as f64 / 1e9);
    let truth = PACKAGE_WATTS * (burnt[0] + burnt[1]) / cores();
    check("the package", of(PACKAGE), truth, 0.03);
    let jobs: i64 =
        rig.ledger().query_row("SELECT count(*) FROM job", [], |row| row.get(0)).unwrap();
    assert_eq!(jobs, 1);
}

#[test]
fn a_nested_run_has_its_record_and_its_outer_job_includes_it() {
    let rig = machine(vec![gpu(0)]);
    let _daemon = rig.daemon(&[]);
    let origins = origins(&rig, 3);
    let inner_json = rig.path("inner-record.json");
    let burn = burn().display().to_string();
    let text = format!(
        "{burn} --cpu 1s --stamp {} && {} run --name inner --json {} -- {burn} --cpu 2s --stamp {}",
        rig.path("own.json").display(),
        env!("CARGO_BIN_EXE_aimeter"),
        inner_json.display(),
        rig.path("inner.json").display(),
    );
    let outer = rig.run(&["--name", "outer", "--project", "p"], &["sh", "-c", &text]);
    assert!(outer.output.status.success(), "{}", outer.stderr);
    let inner: Value = serde_json::from_slice(&std::fs::read(inner_json).unwrap()).unwrap();
    let burnt = ["own", "inner"].map(|name| stamp_of(&rig, name).cpu_ns as f64 / 1e9);
    let watts = PACKAGE_WATTS / cores();
    let inner_joules = domain(&inner, PACKAGE)["joules"].as_f64().unwrap();
    check("inner", inner_joules, watts * burnt[1], 0.02);
    check("outer", joules(&outer, PACKAGE), watts * (burnt[0] + burnt[1]), 0.02);
    let id = gpu_id(&rig, 0);
    for (name, record) in [("inner", &inner), ("outer", &outer.record)] {
        let (from, to) = interval(record);
        let figure = domain(record, &id)["joules"].as_f64().unwrap();
        check(&format!("the GPU of the {name} job"), figure, rig.gpu_joules(0, from, to), 0.01);
    }
    // What was said to the outer job is not said to the inner one.
    assert_eq!(inner["job"]["name"], "inner");
    assert_eq!(inner["job"]["project"], Value::Null);
    until_written(&rig, now_ns());
    check_balance(&rig, &origins);
    let ledger = rig.ledger();
    let of: BTreeMap<&str, u64> = [("outer", 0), ("inner", 0)]
        .map(|(name, _)| (name, booked(&ledger, Some(name), PACKAGE)))
        .into();
    assert_eq!(of["inner"] as f64 / 1e6, inner_joules);
    let both = (of["inner"] + of["outer"]) as f64 / 1e6;
    assert!((both - joules(&outer, PACKAGE)).abs() < 1e-5, "{both}");
}
