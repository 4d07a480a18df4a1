// SPDX-License-Identifier: Apache-2.0
//! A real Prometheus server as a child process, scraping daemons.

#![allow(dead_code, reason = "each test crate uses a part of it")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::rig::{PATIENCE, eventually};

/// Slower than the shortest job of the tests.
const SCRAPE_SECONDS: u32 = 2;

pub struct Prometheus {
    child: Child,
    pub address: String,
}

/// A series' last sample: moment and value.
pub struct Last {
    pub at: f64,
    pub value: f64,
}

impl Prometheus {
    /// Starts one in this folder that scrapes `target`, and waits until it is ready.
    pub fn start(folder: &Path, target: &str) -> Prometheus {
        Prometheus::start_with(folder, target, "")
    }

    /// The same with more lines of YAML in the scrape job.
    pub fn start_with(folder: &Path, target: &str, more: &str) -> Prometheus {
        let text = format!(
            "global: {{scrape_interval: {SCRAPE_SECONDS}s, scrape_timeout: 1900ms}}\n\
             scrape_configs:\n  - job_name: aimeter\n    \
             static_configs: [{{targets: ['{target}']}}]\n{more}"
        );
        Prometheus::configured(folder, &text)
    }

    /// The same with a configuration of the caller's.
    pub fn configured(folder: &Path, text: &str) -> Prometheus {
        let config = folder.join("prometheus.yml");
        std::fs::write(&config, text).expect("its configuration");
        // A port that was free a moment ago: Prometheus cannot say which it takes.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let address = address.expect("a free port").to_string();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("prometheus.log")).expect("its log"))
            .spawn()
            .expect("prometheus (Debian package prometheus; tests/run installs it)");
        let server = Prometheus { child, address };
        eventually("Prometheus to be ready", || {
            server.request("/-/ready").filter(|answer| answer.contains(" 200 "))
        });
        server
    }

    fn request(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        // 1.0: an answer in one piece.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: prometheus\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// The result of an instant query.
    pub fn query(&self, expression: &str) -> Vec<Value> {
        let answer = self.ask("query", &[("query", expression)]);
        answer["result"].as_array().expect("a list").clone()
    }

    /// The data that a page of its API answers with.
    pub fn ask(&self, page: &str, parameters: &[(&str, &str)]) -> Value {
        let encode =
            |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let encoded = parameters.iter().map(|(name, value)| format!("{name}={}", encode(value)));
        let encoded = encoded.collect::<Vec<_>>().join("&");
        let answer = self.request(&format!("/api/v1/{page}?{encoded}")).expect("an answer");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        let mut body: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body["status"], "success", "{page} {parameters:?}: {body}");
        body["data"].take()
    }

    /// The last sample, as it was scraped, of each series of the last hour.
    pub fn last(&self, selector: &str) -> Vec<Last> {
        let series = self.query(&format!("{selector}[1h]"));
        let last = |series: &Value| {
            let sample = series["values"].as_array().expect("samples").last().expect("one").clone();
            Last { at: sample[0].as_f64().expect("a time"), value: number(&sample[1]) }
        };
        series.iter().map(last).collect()
    }

    /// Waits for a scrape that began after this call; its moment.
    pub fn next_scrape(&self) -> f64 {
        let newest = || self.last("aimeter_ticks_total").first().map(|last| last.at);
        let now = newest().unwrap_or(0.0);
        // The next one may have begun before this call; the one after has not.
        let mut seen = now;
        let mut scrapes = 0;
        eventually("two more scrapes", || {
            let at = newest()?;
            if at > seen {
                seen = at;
                scrapes += 1;
            }
            (scrapes >= 2).then_some(at)
        })
    }
}

fn number(value: &Value) -> f64 {
    value.as_str().expect("a number as text").parse().expect("a number")
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
