// SPDX-License-Identifier: Apache-2.0
//! Sockets that systemd opened, handed over by systemd's own program.

use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use crate::daemon::{Daemon, Folder, eventually};

/// `systemd-socket-activate` on a TCP port called `net` and a Unix socket called
/// `local`. It starts the daemon when somebody connects to one of them.
fn activate(folder: &Folder, listen: &[&str]) -> (Command, String, String) {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).unwrap();
    let path = folder.path("activated.sock").display().to_string();
    let mut command = Command::new("systemd-socket-activate");
    command.arg(format!("--listen={port}")).arg(format!("--listen={path}"));
    command.arg("--fdname=net:local");
    command.args(["-E", "NO_COLOR=1"]);
    let daemon = folder.command();
    command.arg(daemon.get_program()).args(daemon.get_args());
    for place in listen {
        command.args(["--listen", place]);
    }
    (command, port.to_string(), path)
}

/// Starts it, and the daemon by a first connection, which the daemon will serve.
fn start(command: Command, path: &str) -> Daemon {
    let first = path.to_owned();
    let client = std::thread::spawn(move || eventually(|| UnixStream::connect(&first).ok()));
    let daemon = Daemon::start(command);
    drop(client.join().unwrap());
    daemon
}

#[test]
fn handed_over_sockets_are_served_by_their_names() {
    let folder = Folder::new();
    let (command, address, path) = activate(&folder, &["systemd:net", "systemd:local"]);
    let daemon = start(command, &path);
    assert_eq!(folder.status(&format!("http://{address}/metrics"), &[]), "200");
    let unix = ["--unix-socket", path.as_str()];
    assert_eq!(folder.status("http://aimeter/metrics", &unix), "200");
    assert!(daemon.end().0.success());
    assert!(std::path::Path::new(&path).exists(), "the file is systemd's");
}

#[test]
fn all_of_them_are_served_where_no_name_is_asked_for() {
    let folder = Folder::new();
    let (command, address, path) = activate(&folder, &["systemd", "127.0.0.1:0"]);
    let daemon = start(command, &path);
    assert_eq!(folder.status(&format!("http://{address}/metrics"), &[]), "200");
    assert_eq!(folder.status("http://aimeter/", &["--unix-socket", &path]), "200");
    drop(daemon);
}

#[test]
fn what_nobody_asks_for_and_what_is_not_there_is_said() {
    let folder = Folder::new();
    let (command, _, path) = activate(&folder, &["127.0.0.1:0"]);
    let (log, status) = said(command, &path);
    assert!(log.contains("that nobody serves (net, local)"), "{log}");
    assert_eq!(status, None);
    std::fs::remove_file(&path).unwrap();
    let (command, _, path) = activate(&folder, &["systemd:net"]);
    let (log, status) = said(command, &path);
    assert!(log.contains("that nobody serves (local)"), "{log}");
    assert_eq!(status, None);
    std::fs::remove_file(&path).unwrap();
    let (command, _, path) = activate(&folder, &["systemd:other"]);
    let (log, status) = said(command, &path);
    assert!(log.contains("none is called `other`; there are `net`, `local`"), "{log}");
    assert_eq!(status, Some(1));
}

/// The log until the daemon is ready (`None`), or until it ended, and how.
fn said(mut command: Command, path: &str) -> (String, Option<i32>) {
    use std::io::{BufRead, BufReader};
    let mut child = command.stderr(Stdio::piped()).spawn().expect("systemd-socket-activate");
    let _client = eventually(|| UnixStream::connect(path).ok());
    let mut log = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok) {
        log.push_str(&line);
        log.push('\n');
        if line.contains("ready: metering") {
            child.kill().unwrap();
            child.wait().unwrap();
            return (log, None);
        }
    }
    (log, child.wait().unwrap().code())
}
