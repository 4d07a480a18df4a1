// SPDX-License-Identifier: Apache-2.0
//! A running daemon as the kernel sees it: CPU time, memory, system calls.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aimeter::clock;

use crate::machine::Machine;

/// How long a daemon may take to be ready.
const PATIENCE: Duration = Duration::from_secs(30);

/// A daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    address: String,
}

impl Daemon {
    /// Starts one and waits until it meters.
    pub fn start(machine: &Machine, arguments: &[&str]) -> Daemon {
        let mut command = machine.aimeter("daemon");
        command.args(["--listen", "127.0.0.1:0"]).args(arguments).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the release binary");
        let mut log = BufReader::new(child.stderr.take().expect("its log")).lines();
        let (mut address, mut said) = (String::new(), String::new());
        for line in log.by_ref().map_while(Result::ok) {
            if let Some((_, found)) = line.split_once("listening on http://") {
                address = found.trim().to_owned();
            }
            if line.contains("ready: metering") {
                break;
            }
            said += &(line + "\n");
        }
        assert!(!address.is_empty(), "the daemon did not start:\n{said}");
        // Its log is read on, so that the pipe never fills, and shown where it complains.
        std::thread::spawn(move || {
            for line in log.map_while(Result::ok) {
                if line.contains("WARN") || line.contains("ERROR") {
                    eprintln!("daemon: {line}");
                }
            }
        });
        Daemon { child, address }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `GET` of a page, and the bytes of its body.
    pub fn get(&self, page: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.address).expect("its port");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        write!(stream, "GET {page} HTTP/1.1\r\nHost: aimeter\r\nConnection: close\r\n\r\n")
            .expect("a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
        answer.split_off(head + 4)
    }

    /// The value of a metric without labels.
    pub fn metric(&self, name: &str) -> f64 {
        let page = String::from_utf8(self.get("/metrics")).expect("text");
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}")).parse().expect("a number")
    }

    /// CPU time of each of its threads so far, in nanoseconds, by name.
    pub fn cpu(&self) -> BTreeMap<String, u64> {
        let mut threads = BTreeMap::new();
        for task in tasks(self.pid()) {
            let read = |file: &str| std::fs::read_to_string(task.join(file)).unwrap_or_default();
            let spent = read("schedstat");
            let spent = spent.split(' ').next().and_then(|word| word.parse::<u64>().ok());
            *threads.entry(read("comm").trim().to_owned()).or_insert(0) += spent.unwrap_or(0);
        }
        threads
    }

    /// Resident and anonymous memory, in bytes.
    pub fn memory(&self) -> (f64, f64) {
        let path = format!("/proc/{}/smaps_rollup", self.pid());
        let text = std::fs::read_to_string(path).expect("smaps_rollup");
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
            let kib = line.trim().trim_end_matches("kB").trim();
            kib.parse::<f64>().expect("a number") * 1024.0
        };
        (field("Rss:"), field("Anonymous:"))
    }

    /// The descriptor of a file that it has open.
    pub fn descriptor(&self, path: &str) -> Option<String> {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.pid())).ok()?;
        let descriptor = open.flatten().find(|entry| {
            std::fs::read_link(entry.path()).is_ok_and(|target| target == Path::new(path))
        })?;
        descriptor.file_name().into_string().ok()
    }

    /// Its system calls over a time, by thread name and call, as strace sees them.
    pub fn calls(&self, time: Duration, log: &Path) -> Vec<(String, String)> {
        let names: BTreeMap<String, String> = tasks(self.pid())
            .filter_map(|task| {
                let tid = task.file_name()?.to_string_lossy().into_owned();
                let name = std::fs::read_to_string(task.join("comm")).ok()?;
                Some((tid, name.trim().to_owned()))
            })
            .collect();
        let mut strace = Command::new("strace")
            .args(["-f", "-qq", "-s", "64", "-o"])
            .arg(log)
            .args(["-p", &self.pid().to_string()])
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run strace ({error}); apt-get install strace"));
        std::thread::sleep(time);
        let strace_pid = rustix::process::Pid::from_child(&strace);
        // Interrupted, it lets go of the daemon and writes its log out.
        rustix::process::kill_process(strace_pid, rustix::process::Signal::INT).expect("kill");
        strace.wait().expect("the end of strace");
        let text = std::fs::read_to_string(log).expect("the log of strace");
        let line = |line: &str| {
            let (tid, call) = line.split_once(' ')?;
            let call = call.trim_start();
            // The second half of a call that was seen already, or no call at all.
            if call.starts_with("<...") || call.starts_with(['-', '+']) {
                return None;
            }
            Some((names.get(tid)?.clone(), call.to_owned()))
        };
        text.lines().filter_map(line).collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // It may have ended by itself; there is nothing to kill then.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

fn tasks(pid: u32) -> impl Iterator<Item = PathBuf> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
    tasks.flatten().map(|task| task.path())
}

/// Runs something and gives how long it took, in milliseconds.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = clock::now();
    let made = work();
    (made, clock::now().since(start).as_secs_f64() * 1e3)
}

/// The middle one, and the one that nineteen in twenty do not exceed.
pub fn median_and_p95(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 95 / 100])
}
