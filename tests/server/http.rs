// SPDX-License-Identifier: Apache-2.0
//! HTTP, spoken well and badly.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use aimeter::clock;

use super::bench::*;

/// One HTTP exchange, by hand.
fn http(address: SocketAddr, request: &str) -> String {
    String::from_utf8(http_bytes(address, request)).unwrap()
}

fn http_bytes(address: SocketAddr, request: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
}

#[test]
fn the_pages_are_three_and_read_only() {
    let bench = Bench::new();
    let status = |method: &str, path: &str| {
        let answer = http(bench.address, &request(method, path));
        answer.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(status("GET", "/"), "200");
    assert_eq!(status("HEAD", "/metrics"), "200");
    assert_eq!(status("POST", "/metrics"), "405");
    assert_eq!(status("DELETE", "/"), "405");
    assert_eq!(status("POST", "/jobs"), "405");
    assert_eq!(status("GET", "/jobs"), "404");
    assert_eq!(status("GET", "/../etc/passwd"), "404");
    let metrics = http(bench.address, &request("GET", "/metrics"));
    assert!(metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert!(metrics.contains("\naimeter_ticks_total 0\n"));
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    assert!(http(bench.address, &head).starts_with("HTTP/1.1 431"));
}

#[test]
fn metrics_come_in_the_format_and_the_coding_that_are_asked_for() {
    let bench = Bench::new();
    let ask = |headers: &str| {
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n");
        let answer = http_bytes(bench.address, &request);
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end + 4..].to_vec())
    };
    let (head, open_metrics) = ask("Accept: application/openmetrics-text;version=1.0.0\r\n");
    let content_type =
        "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    assert!(head.contains(content_type), "{head}");
    assert!(open_metrics.ends_with(b"\n# EOF\n"));
    let (plain, text) = ask("Accept: image/png\r\nAccept: */*;q=0.1\r\n");
    assert!(plain.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert!(plain.contains("vary: accept, accept-encoding") && !plain.contains("encoding: gzip"));
    let (packed, bytes) = ask("Accept-Encoding: br, gzip\r\n");
    assert!(packed.contains("content-encoding: gzip\r\n"), "{packed}");
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, text);
}

#[test]
fn health_follows_the_sampler() {
    let bench = Bench::new();
    let health = || http(bench.address, &request("GET", "/healthz"));
    assert!(health().starts_with("HTTP/1.1 503"));
    assert!(health().ends_with("\r\n\r\nstarting: no reading has been taken yet\n"));
    bench.heartbeat.observe(1, clock::now(), Duration::from_secs(1));
    assert!(health().ends_with("\r\n\r\nok\n"));
    let long_ago = clock::now().minus(Duration::from_secs(3_600));
    bench.heartbeat.observe(2, long_ago, Duration::from_secs(1));
    assert!(health().contains("the sampler stands still"));
}

#[test]
fn slow_clients_on_every_connection_are_cut_and_the_next_one_is_served() {
    let bench = Bench::new();
    let slow: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = TcpStream::connect(bench.address).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHo").unwrap();
            stream
        })
        .collect();
    // Nothing here waits on purpose: the answer comes when the slow ones are cut.
    let answer = http(bench.address, &request("GET", "/metrics"));
    assert!(answer.starts_with("HTTP/1.1 200"));
    drop(slow);
}
