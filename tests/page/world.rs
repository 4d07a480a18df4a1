// SPDX-License-Identifier: Apache-2.0
//! The machine whose page is looked at, and HTTP spoken by hand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use nvml_standin::Gpu;
use powercap_standin::{PowercapTree, Trace};
use serde_json::Value;

use crate::rig::{Daemon, PATIENCE, Rig};

/// Watts of the package, the memory and the GPU.
pub const WATTS: [f64; 3] = [100.0, 20.0, 250.0];

/// A package with its memory and one GPU, each of a constant power.
pub fn machine() -> Rig {
    let tree =
        PowercapTree::builder().package(0, Trace::constant(100)).dram(0, Trace::constant(20));
    let gpu = Gpu::numbered(0, nvml_standin::Trace::Constant { mw: 250_000 });
    Rig::new(tree, vec![gpu])
}

/// A configuration for GB with a file that tells of a day to either side.
pub fn with_a_day(rig: &Rig, grams: impl Fn(i64) -> u32) -> String {
    let now = aimeter::clock::wall().as_second() / 1_800;
    let row = |step: i64| {
        let time = |step: i64| jiff::Timestamp::from_second(step * 1_800).expect("a time");
        let kind = if step > now { "forecast" } else { "actual" };
        format!("{},{},{},{kind}\n", time(step), time(step + 1), grams(step - now))
    };
    let rows: String = (now - 60..now + 60).map(row).collect();
    let day = rig.path("day.csv");
    std::fs::write(&day, format!("from,to,grams_per_kwh,kind\n{rows}")).expect("a file");
    let path = rig.path("aimeter.toml");
    let text = format!(
        "[carbon]\nzone = \"GB\"\n[[grid.feeds]]\nfeed = \"file\"\nzone = \"GB\"\npath = \"{}\"\n",
        day.display()
    );
    std::fs::write(&path, text).expect("a configuration file");
    path.to_str().expect("a path of text").to_owned()
}

/// A daemon that asks that file.
pub fn daemon(rig: &Rig, arguments: &[&str]) -> Daemon {
    rig.daemon_with(arguments, |command| {
        command.env_remove("AIMETER_POLL");
    })
}

/// An answer of HTTP.
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub fn json(&self) -> Value {
        let kind = self.header("content-type");
        assert_eq!(kind, Some("application/json"), "{} {}", self.head, self.body);
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// A request with these further header lines, each ended by a line break.
pub fn request(address: &str, method: &str, path: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("its port");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n")
        .expect("a request");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

pub fn get(daemon: &Daemon, path: &str) -> Answer {
    request(&daemon.address, "GET", path, "")
}

/// The JSON of a page that is there.
pub fn json(daemon: &Daemon, path: &str) -> Value {
    let answer = get(daemon, path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

/// One who listens.
pub struct Listener(BufReader<TcpStream>);

impl Listener {
    /// Begins; the status and, where it is one, the stream.
    pub fn join(address: &str) -> (u16, Listener) {
        let mut stream = TcpStream::connect(address).expect("its port");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        write!(stream, "GET /api/v1/events HTTP/1.1\r\nHost: a\r\n\r\n").expect("a request");
        let mut listener = Listener(BufReader::new(stream));
        let status = listener.line();
        let status = status.split(' ').nth(1).and_then(|word| word.parse().ok());
        (status.expect("a status"), listener)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        line
    }

    /// The next line that begins so, without that.
    pub fn next(&mut self, start: &str) -> String {
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "the stream ended before `{start}`");
            if let Some(rest) = line.strip_prefix(start) {
                return rest.trim_end().to_owned();
            }
        }
    }

    /// The data of the next event of that name.
    pub fn event(&mut self, name: &str) -> Value {
        while self.next("event: ") != name {}
        serde_json::from_str(&self.next("data: ")).expect("JSON")
    }
}
