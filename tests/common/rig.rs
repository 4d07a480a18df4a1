// SPDX-License-Identifier: Apache-2.0
//! The real binary on stand-ins: a folder with a mounted sysfs, an NVML library,
//! a ledger, a socket; a daemon that can be killed; and the truth of it all.
//!
//! Each test makes its own rig; nothing is shared and nothing of the system's own
//! aimeter is touched.

#![allow(dead_code, reason = "each test crate uses a part of it")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nvml_standin::Installed;
use nvml_standin::{Gpu, Script};
use powercap_standin::{Mounted, PowercapTree};
use serde_json::Value;

/// How long anything may take before a test says that it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The stand-ins and the paths that a test's aimeter uses.
pub struct Rig {
    pub sysfs: Mounted,
    pub nvml: Option<Installed>,
    pub script: Script,
    pub folder: tempfile::TempDir,
}

impl Rig {
    /// A machine with this tree and these GPUs. Mounting needs root and /dev/fuse.
    pub fn new(tree: PowercapTree, gpus: Vec<Gpu>) -> Rig {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let mount = folder.path().join("sys");
        std::fs::create_dir(&mount).expect("the mount point");
        let sysfs = tree.mount(&mount).expect("mounting needs root and /dev/fuse");
        let mut script = Script::starting_now(gpus);
        // The driver was loaded a while ago: its counters have stepped before.
        script.epoch_ns -= 10_000_000_000;
        let nvml = (!script.gpus.is_empty())
            .then(|| Installed::new(folder.path(), &script).expect("the stand-in library"));
        Rig { sysfs, nvml, script, folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("aimeter.sock")
    }

    /// `aimeter SUBCOMMAND` on this rig, without the caller's own variables.
    pub fn aimeter(&self, subcommand: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aimeter"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("AIMETER_") || name.starts_with("CUDA_") {
                command.env_remove(&*name);
            }
        }
        command.arg(subcommand);
        command.env("AIMETER_SYSFS", self.sysfs.root());
        command.env("AIMETER_SOCKET", self.socket());
        command.env("AIMETER_STATE_DIR", self.path("state"));
        command.env("XDG_RUNTIME_DIR", self.folder.path());
        let library = self
            .nvml
            .as_ref()
            .map_or_else(|| self.path("no-such-library.so"), |installed| installed.library.clone());
        command.env("AIMETER_NVML_LIBRARY", library);
        // No test asks a real feed; those of live figures say where theirs is.
        command.env("AIMETER_POLL", "off");
        command
    }

    /// `aimeter run ARGS -- COMMAND`, whose record comes back.
    pub fn run(&self, args: &[&str], command: &[&str]) -> Run {
        self.start(args, command).finish()
    }

    /// Starts `aimeter run ARGS -- COMMAND`.
    pub fn start(&self, args: &[&str], command: &[&str]) -> Wrapped {
        self.start_with(args, command, |_| {})
    }

    /// The same, after a change to how the wrapper is started.
    pub fn start_with(
        &self,
        args: &[&str],
        command: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> Wrapped {
        let json = self.path(&format!("record-{}.json", unique()));
        let mut run = self.aimeter("run");
        run.arg("--json").arg(&json).args(args).arg("--").args(command);
        run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        change(&mut run);
        Wrapped { child: run.spawn().expect("the binary"), json }
    }

    /// Starts `aimeter daemon` and waits until it is ready.
    pub fn daemon(&self, args: &[&str]) -> Daemon {
        self.daemon_with(args, |_| {})
    }

    /// The same, after a change to how it is started.
    pub fn daemon_with(&self, args: &[&str], change: impl FnOnce(&mut Command)) -> Daemon {
        let mut command = self.aimeter("daemon");
        change(&mut command);
        self.daemon_from(command, args)
    }

    /// The same with a command of the caller's.
    pub fn daemon_from(&self, mut command: Command, args: &[&str]) -> Daemon {
        command.args(["--listen", "127.0.0.1:0"]).args(args);
        command.env("NO_COLOR", "1");
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary");
        let log = BufReader::new(child.stderr.take().expect("its log"));
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                eprintln!("daemon: {line}");
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut daemon = Daemon { child, address: String::new(), lines };
        daemon.address = daemon
            .wait_for("listening on http")
            .rsplit("://")
            .next()
            .expect("an address")
            .to_owned();
        daemon.wait_for("ready: metering");
        daemon
    }

    /// The truth of a GPU between two moments, in joules.
    pub fn gpu_joules(&self, gpu: usize, from_ns: u64, to_ns: u64) -> f64 {
        self.script.energy_between(gpu, from_ns, to_ns) as f64 / 1e6
    }

    /// The truth of a zone between two moments, in joules.
    pub fn zone_joules(&self, zone: &str, from_ns: u64, to_ns: u64) -> f64 {
        self.sysfs.truth(zone, from_ns, to_ns) as f64 / 1e6
    }

    /// The ledger, read as anyone may.
    pub fn ledger(&self) -> rusqlite::Connection {
        let path = self.path("state").join("ledger.db");
        rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)
            .expect("the ledger")
    }
}

/// A running `aimeter run`.
pub struct Wrapped {
    pub child: Child,
    json: PathBuf,
}

impl Wrapped {
    /// Waits for its end; its record must be there.
    pub fn finish(self) -> Run {
        let (output, record) = self.end();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let record = record.unwrap_or_else(|| panic!("no record\n{stderr}"));
        Run { record, stderr, output }
    }

    /// Waits for its end, with or without a record.
    pub fn end(self) -> (std::process::Output, Option<Value>) {
        let output = self.child.wait_with_output().expect("its end");
        let text = std::fs::read_to_string(&self.json).ok();
        (output, text.map(|text| serde_json::from_str(&text).expect("a JSON record")))
    }
}

/// A finished `aimeter run`.
pub struct Run {
    pub record: Value,
    pub stderr: String,
    pub output: std::process::Output,
}

impl Run {
    /// A domain's part of the record.
    pub fn domain(&self, id: &str) -> &Value {
        domain(&self.record, id)
    }
}

/// When a job ran by its record, `CLOCK_BOOTTIME` in nanoseconds: the interval that
/// its energy must be the energy of.
pub fn interval(record: &Value) -> (u64, u64) {
    let started: jiff::Timestamp =
        record["job"]["started_at"].as_str().expect("a start").parse().expect("a time");
    // Cut to a millisecond: half of one is lost on average.
    let start = aimeter::clock::moment_of(started).nanoseconds() + 500_000;
    let seconds = record["job"]["duration_seconds"].as_f64().expect("a duration");
    (start, start + (seconds * 1e9) as u64)
}

/// A domain's part of a record.
pub fn domain<'a>(record: &'a Value, id: &str) -> &'a Value {
    record["energy"]["domains"]
        .as_array()
        .and_then(|domains| domains.iter().find(|domain| domain["id"] == id))
        .unwrap_or_else(|| panic!("no domain {id} in {record:#}"))
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    pub child: Child,
    pub address: String,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Daemon {
    /// Waits for a line of its log.
    pub fn wait_for(&self, text: &str) -> String {
        let deadline = now() + PATIENCE;
        while let Some(wait) = deadline.checked_duration_since(now()) {
            match self.lines.recv_timeout(wait) {
                Ok(line) if line.contains(text) => return line,
                Ok(_) => {}
                Err(error) => panic!("the daemon's log ended before `{text}`: {error}"),
            }
        }
        panic!("the daemon never said `{text}`");
    }

    /// `GET` of one of its pages.
    pub fn get(&self, page: &str) -> String {
        self.get_with(page, "")
    }

    /// The same with more header lines, each with its line end.
    pub fn get_with(&self, page: &str, headers: &str) -> String {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(&self.address).expect("its port");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        let request =
            format!("GET {page} HTTP/1.1\r\nHost: aimeter\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        text.split_once("\r\n\r\n").expect("a body").1.to_owned()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("its end");
    }

    /// SIGTERM, and its exit status.
    pub fn terminate(mut self) -> std::process::ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("kill");
        self.child.wait().expect("its end")
    }

    /// SIGTERM, its exit status, and what it logged since the last line waited for.
    pub fn log_to_end(mut self) -> (std::process::ExitStatus, Vec<String>) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("kill");
        let status = self.child.wait().expect("its end");
        (status, self.lines.iter().collect())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The workload program with its stamps.
pub fn burn() -> PathBuf {
    let mut path = std::env::current_exe().expect("the path of the running executable");
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    let path = path.join("examples/burn");
    assert!(path.exists(), "{} is not built: cargo build --example burn", path.display());
    path
}

/// Start and end of a workload, `CLOCK_BOOTTIME` in nanoseconds, as it wrote them.
pub struct Stamp {
    pub start_ns: u64,
    pub end_ns: u64,
    pub cpu_ns: u64,
}

/// Reads what `burn --stamp FILE` has written.
pub fn stamp(file: &Path) -> Stamp {
    let text = std::fs::read_to_string(file).expect("a stamp file");
    let stamp: Value = serde_json::from_str(&text).expect("JSON");
    let number = |name: &str| stamp[name].as_u64().unwrap_or_else(|| panic!("{name} in {stamp}"));
    Stamp { start_ns: number("start_ns"), end_ns: number("end_ns"), cpu_ns: number("cpu_ns") }
}

/// How far a figure is from the truth, as a part of the truth.
pub fn error(figure: f64, truth: f64) -> f64 {
    (figure - truth).abs() / truth
}

/// Waits until something holds; for what has no event to wait for.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = now() + PATIENCE;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's patience, not a measurement")]
fn now() -> Instant {
    Instant::now()
}

fn unique() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}
