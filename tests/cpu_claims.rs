// SPDX-License-Identifier: Apache-2.0
//! The CPU time that claims give, against what real processes say they burnt.
//!
//! The workload (`tests/workload/burn.rs`) measures itself, so that nothing here
//! depends on the machine's speed. These tests make cgroups: they need root and a
//! cgroup2 mount, say so where that is missing, and are not skipped.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aimeter::jobs::cgroup::{CgroupError, JobCgroup};
use aimeter::jobs::cpu::{CpuClaim, NodeCpu};
use aimeter::jobs::processes::ProcessTable;
use aimeter::jobs::tree::TreeClaim;
use aimeter::jobs::{GpuRequest, JobId, JobSpec};
use aimeter::sensors::Roots;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// What starting, waiting for files and ending may cost a process, in µs of CPU.
const OVERHEAD: u64 = 25_000;

/// Two ticks (user, system) of 10 ms that each of two sums may be rounded by.
const TICKS: u64 = 40_000;

/// A running workload, and the folder of its files.
struct Burn {
    process: Child,
    folder: tempfile::TempDir,
}

impl Burn {
    /// Starts `burn`, which waits until [`Burn::go`].
    fn new(options: &[&str]) -> Burn {
        let test = std::env::current_exe().unwrap();
        let program = test.ancestors().nth(2).unwrap().join("examples/burn");
        assert!(program.exists(), "{} is missing: cargo build --example burn", program.display());
        let folder = tempfile::tempdir().unwrap();
        let process = Command::new(program)
            .args(options)
            .arg("--start-file")
            .arg(folder.path().join("start"))
            .arg("--stamp")
            .arg(folder.path().join("stamp"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Burn { process, folder }
    }

    fn pid(&self) -> i32 {
        self.process.id() as i32
    }

    /// The child of a workload that is a wrapper.
    fn root(&mut self) -> i32 {
        let mut line = String::new();
        BufReader::new(self.process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn go(&self) {
        std::fs::write(self.path("start"), "").unwrap();
    }

    /// Microseconds burnt since the start, once it is known.
    fn burnt(&self) -> Option<u64> {
        let text = std::fs::read_to_string(self.path("stamp")).ok()?;
        let stamp: serde_json::Value = serde_json::from_str(&text).unwrap();
        Some((stamp["cpu_ns"].as_u64()? - stamp["cpu_before_ns"].as_u64()?) / 1000)
    }

    /// Whether it has ended, leaving it a zombie that shows what it reaped.
    fn ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        waitid(WaitId::Pid(Pid::from_raw(self.pid()).unwrap()), options).unwrap().is_some()
    }
}

impl Drop for Burn {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits for what has to come; gives up after a time that only a broken program takes.
fn until(what: &str, mut true_now: impl FnMut() -> bool) {
    for _ in 0..60_000 {
        if true_now() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("waited in vain until {what}");
}

fn id() -> JobId {
    JobId::generate()
}

/// A job's cgroup that a failed test does not leave behind.
struct Cleaned(JobCgroup);

impl std::ops::Deref for Cleaned {
    type Target = JobCgroup;

    fn deref(&self) -> &JobCgroup {
        &self.0
    }
}

impl Drop for Cleaned {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.kill();
            until("its processes are dead", || !self.0.alive().unwrap_or(false));
        }
        let _ = self.0.remove();
    }
}

fn cgroup_of(pid: i32, id: &JobId) -> Cleaned {
    Cleaned(JobCgroup::create(&Roots::default(), pid, id).unwrap_or_else(|error| {
        panic!("this test needs root and a writable cgroup2 mount: {error}")
    }))
}

/// Not less than was burnt, and not more than that and what a process costs.
fn check(what: &str, used: u64, burnt: u64, rounding: u64, processes: u64) {
    let most = burnt + rounding + OVERHEAD + 5_000 * processes;
    let least = burnt.saturating_sub(rounding);
    assert!((least..=most).contains(&used), "{what}: {used} µs, but {burnt} µs were burnt");
}

/// The shapes that a workload can take: options, and how many processes that is.
const SHAPES: [(&[&str], u64); 8] = [
    (&["--cpu", "200ms"], 1),
    (&["--cpu", "200ms", "--exec"], 1),
    (&["--cpu", "200ms", "--setsid"], 2),
    (&["--cpu", "200ms", "--double-fork"], 3),
    (&["--cpu", "200ms", "--double-fork", "--setsid"], 3),
    (&["--children", "20", "--each", "20ms"], 21),
    (&["--children", "20", "--each", "5ms", "--orphan-children"], 41),
    (&["--cpu", "100ms", "--signal-self", "9"], 1),
];

#[test]
fn a_cgroup_counts_whatever_its_processes_do() {
    let ignoring: (&[&str], u64) = (&["--children", "20", "--each", "5ms", "--ignore-sigchld"], 21);
    for (options, processes) in SHAPES.into_iter().chain([ignoring]) {
        let burn = Burn::new(options);
        let cgroup = cgroup_of(burn.pid(), &id());
        burn.go();
        until("the job ends", || !cgroup.alive().unwrap());
        let what = format!("cgroup {options:?}");
        check(&what, cgroup.used_microseconds().unwrap(), burn.burnt().unwrap(), 0, processes);
        cgroup.remove().unwrap();
        assert!(!cgroup.path().exists());
        assert!(matches!(cgroup.used_microseconds(), Err(CgroupError::Gone(_))));
        assert!(!cgroup.alive().unwrap());
    }
}

#[test]
fn a_killed_cgroup_is_dead_and_keeps_its_time() {
    let mut burn = Burn::new(&["--cpu", "100ms", "--until-file", "/tmp/no-such-file-ever"]);
    let cgroup = cgroup_of(burn.pid(), &id());
    burn.go();
    until("all is burnt", || burn.burnt().is_some());
    assert!(cgroup.alive().unwrap());
    cgroup.kill().unwrap();
    assert_eq!(burn.process.wait().unwrap().signal(), Some(9));
    assert!(!cgroup.alive().unwrap());
    check("killed", cgroup.used_microseconds().unwrap(), burn.burnt().unwrap(), 0, 1);
    cgroup.remove().unwrap();
}

#[test]
fn a_nested_jobs_time_is_its_own_and_the_outer_ones_too() {
    let burn = Burn::new(&["--cpu", "100ms"]);
    let outer = cgroup_of(burn.pid(), &id());
    let inner = cgroup_of(burn.pid(), &id());
    assert_eq!(inner.path().parent(), Some(outer.path()));
    assert!(inner.contains(burn.pid()) && outer.contains(burn.pid()));
    assert!(!outer.contains(std::process::id() as i32));
    assert_eq!(outer.pids().unwrap(), [burn.pid()]);
    burn.go();
    until("the job ends", || !outer.alive().unwrap());
    for cgroup in [&inner, &outer] {
        check("nested", cgroup.used_microseconds().unwrap(), burn.burnt().unwrap(), 0, 1);
    }
    outer.remove().unwrap();
    assert!(!inner.path().exists() && !outer.path().exists());
}

#[test]
fn a_cgroup_is_found_again_and_an_empty_one_is_replaced() {
    let id = id();
    let mut burn = Burn::new(&["--cpu", "100ms"]);
    let first = cgroup_of(burn.pid(), &id);
    let path = first.path().to_owned();
    let again = JobCgroup::open(&Roots::default(), &path).unwrap();
    assert!(again.contains(burn.pid()) && again.alive().unwrap());

    let other = Burn::new(&["--cpu", "1ms"]);
    let taken = JobCgroup::create(&Roots::default(), other.pid(), &id);
    assert_eq!(taken.err(), Some(CgroupError::Exists(path.clone())));

    burn.go();
    burn.process.wait().unwrap();
    check("opened again", again.used_microseconds().unwrap(), burn.burnt().unwrap(), 0, 1);
    let fresh = cgroup_of(other.pid(), &id);
    assert!(fresh.used_microseconds().unwrap() < 50_000, "the earlier job's time was taken over");
    other.go();
    until("the job ends", || !fresh.alive().unwrap());
    fresh.remove().unwrap();
    assert!(matches!(JobCgroup::open(&Roots::default(), &path), Err(CgroupError::Gone(_))));
}

#[test]
fn a_process_that_is_gone_leaves_no_cgroup_behind() {
    let mut burn = Burn::new(&[]);
    let pid = burn.pid();
    burn.process.kill().unwrap();
    burn.process.wait().unwrap();
    let answer = JobCgroup::create(&Roots::default(), pid, &id());
    assert_eq!(answer.err(), Some(CgroupError::NoCgroup(pid)));
}

#[test]
fn without_a_cgroup2_mount_the_claim_is_the_tree() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("self")).unwrap();
    std::fs::write(folder.path().join("self/mountinfo"), "1 0 0:1 / / rw - ext4 a rw\n").unwrap();
    let mut burn = Burn::new(&["--subreaper"]);
    let roots = Roots { procfs: folder.path().into(), ..Roots::default() };
    let claim = start(&roots, &mut burn);
    assert!(claim.notes().iter().any(|note| note.contains("no cgroup2 file system is mounted")));
}

#[test]
fn without_the_right_to_make_one_the_claim_is_the_tree() {
    let mut burn = Burn::new(&["--subreaper"]);
    // Of this thread alone: the other tests stay root.
    let unprivileged = std::thread::spawn(move || {
        let nobody = rustix::thread::Uid::from_raw(65534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody)
            .expect("this test needs root, to drop it");
        let claim = start(&Roots::default(), &mut burn);
        (claim, burn)
    });
    let (claim, _burn) = unprivileged.join().unwrap();
    assert!(claim.needs_processes());
    assert!(claim.notes().iter().any(|note| note.contains("not permitted to make")));
}

fn start(roots: &Roots, burn: &mut Burn) -> CpuClaim {
    let mut table = ProcessTable::open(&Roots::default()).unwrap();
    let pid = burn.root();
    let job = JobSpec {
        id: id(),
        name: "burn".into(),
        user: "nobody".into(),
        uid: 65534,
        project: None,
        labels: Default::default(),
        command: Vec::new(),
        pid,
        wrapper_pid: burn.pid(),
        gpus: GpuRequest::None,
        zone: None,
        pue_thousandths: None,
        parent: None,
        reserved_cores: 1,
        timing: None,
    };
    let claim = CpuClaim::start(roots, &job, &mut table).unwrap();
    assert!(claim.contains(pid) && claim.alive().unwrap());
    claim
}

/// A tree and its table, read one after the other.
struct Tree {
    table: ProcessTable,
    claim: TreeClaim,
}

impl Tree {
    fn of(burn: &mut Burn) -> Tree {
        let mut table = ProcessTable::open(&Roots::default()).unwrap();
        let claim = TreeClaim::start(&mut table, burn.pid(), burn.root()).unwrap();
        Tree { table, claim }
    }

    /// Microseconds, from ticks of 10 ms.
    fn used(&mut self) -> u64 {
        self.table.scan().unwrap();
        let ticks = self.claim.used_ticks(&mut self.table).unwrap();
        ticks * 1_000_000 / rustix::param::clock_ticks_per_second()
    }
}

#[test]
fn a_tree_counts_what_its_wrapper_reaps() {
    for (options, processes) in SHAPES {
        let mut burn = Burn::new(&[&["--subreaper"], options].concat());
        let mut tree = Tree::of(&mut burn);
        burn.go();
        let mut before = 0;
        // Read as often as can be, so that every race has its chance.
        while !burn.ended() {
            let used = tree.used();
            assert!(used >= before, "{options:?} fell from {before} to {used}");
            before = used;
        }
        let used = tree.used();
        check(&format!("tree {options:?}"), used, burn.burnt().unwrap(), TICKS, processes);
        assert!(!tree.claim.alive(), "{options:?}");
    }
}

#[test]
fn children_that_nobody_waits_for_keep_the_time_they_were_seen_with() {
    let options = ["--subreaper", "--ignore-sigchld", "--children", "2", "--each", "300ms"];
    let mut burn = Burn::new(&options);
    let mut tree = Tree::of(&mut burn);
    burn.go();
    let mut scans_while_running = 0;
    while !burn.ended() {
        tree.used();
        scans_while_running += 1;
    }
    // How much was seen depends on when it was looked at: never more than there was.
    assert!(scans_while_running > 0);
    let used = tree.used();
    let burnt = burn.burnt().unwrap();
    assert!(used <= burnt + TICKS + OVERHEAD, "{used} µs of {burnt} µs");
    assert!(used > burnt / 2, "{used} µs of {burnt} µs: the dead were forgotten");
}

#[test]
fn a_tree_is_followed_when_its_wrapper_is_killed() {
    let end = tempfile::tempdir().unwrap();
    let file = end.path().join("end");
    let mut burn =
        Burn::new(&["--subreaper", "--cpu", "200ms", "--until-file", file.to_str().unwrap()]);
    let mut tree = Tree::of(&mut burn);
    kill_process(Pid::from_raw(burn.pid()).unwrap(), Signal::KILL).unwrap();
    burn.process.wait().unwrap();
    tree.used();
    burn.go();
    until("all is burnt", || burn.burnt().is_some());
    let used = tree.used();
    check("without a wrapper", used, burn.burnt().unwrap(), TICKS, 1);
    assert!(tree.claim.alive());
    assert!(tree.claim.notes().iter().any(|note| note.contains("wrapper has ended")));
    std::fs::write(&file, "").unwrap();
    until("the job ends", || {
        let now = tree.used();
        assert!(now >= used);
        !tree.claim.alive()
    });
}

#[test]
fn the_nodes_busy_time_grows_with_what_is_burnt() {
    let mut node = NodeCpu::open(&Roots::default()).unwrap();
    let before = node.read().unwrap();
    let mut burn = Burn::new(&["--cpu", "500ms"]);
    burn.go();
    burn.process.wait().unwrap();
    let after = node.read().unwrap();
    let busy = after.busy_microseconds - before.busy_microseconds;
    // Ticks are sampled: half of it is there on any kernel, all of it on most.
    assert!(busy > 250_000, "{busy} µs");
    let available = after.capacity_microseconds(after.at.since(before.at));
    assert!(after.cores > 0 && busy <= available + 20_000 * u64::from(after.cores));
}
