// SPDX-License-Identifier: Apache-2.0
//! The real daemon from a scratch folder: what it does to the system, in which
//! order, and how it ends. The test plays the service manager.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The longest that anything is waited for; never reached where all is well.
const WAIT: Duration = Duration::from_secs(30);

struct Daemon {
    folder: tempfile::TempDir,
    child: Child,
    log: Receiver<String>,
    notify: UnixDatagram,
}

impl Daemon {
    /// Starts with this configuration, a socket and a port in a scratch folder.
    fn start(config: &str, arguments: &[&str]) -> Daemon {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("aimeter.toml"), config).unwrap();
        let notify = UnixDatagram::bind(path("notify")).unwrap();
        notify.set_read_timeout(Some(WAIT)).unwrap();
        let mut child = aimeter()
            .args(["daemon", "--listen", "127.0.0.1:0", "--config"])
            .arg(path("aimeter.toml"))
            .arg("--state-dir")
            .arg(path("state"))
            .args(arguments)
            .env("AIMETER_SOCKET", path("sock"))
            .env("NOTIFY_SOCKET", path("notify"))
            .env("WATCHDOG_USEC", "3000000")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = lines(child.stderr.take().unwrap());
        Daemon { folder, child, log, notify }
    }

    /// The rest of the first log line from now on that contains `text`.
    fn wait_for(&self, text: &str) -> String {
        let mut seen = Vec::new();
        loop {
            let Ok(line) = self.log.recv_timeout(WAIT) else {
                panic!("no `{text}` in the log, but:\n{}", seen.join("\n"));
            };
            if let Some((_, rest)) = line.split_once(text) {
                return rest.to_owned();
            }
            seen.push(line);
        }
    }

    /// Takes messages to the service manager until one contains `text`.
    fn notified(&self, text: &str) -> Vec<String> {
        let mut messages = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let got = self.notify.recv(&mut buffer).unwrap();
            let message = String::from_utf8_lossy(&buffer[..got]).into_owned();
            let found = message.contains(text);
            messages.push(message);
            if found {
                return messages;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ended already where the test went well.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The program without any setting of the machine it runs on.
fn aimeter() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aimeter"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AIMETER_") {
            command.env_remove(name);
        }
    }
    command.env_remove("JOURNAL_STREAM").env("NO_COLOR", "1");
    command
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // The test may have seen enough.
            _ = sender.send(line);
        }
    });
    receiver
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn it_binds_then_ticks_then_is_ready_then_feeds_the_watchdog_and_ends_clean() {
    let mut daemon = Daemon::start("[sensors]\nperiod = \"500ms\"\n", &[]);
    assert!(daemon.wait_for("aimeter ").contains("pid="), "what runs is said first");
    let address = daemon.wait_for("listening on http://");
    let before_ready = daemon.notified("READY=1");
    assert_eq!(before_ready.len(), 1, "nothing is said before: {before_ready:?}");
    let page = get(&address, "/metrics");
    assert!(!page.contains("\naimeter_ticks_total 0\n"), "ready before the first tick");
    daemon.wait_for("ready: metering");
    daemon.notified("STATUS=metering");
    daemon.notified("WATCHDOG=1");
    daemon.notified("WATCHDOG=1");
    assert!(get(&address, "/healthz").ends_with("\r\n\r\nok\n"));
    assert!(get(&address, "/metrics").contains("\naimeter_build_info{version="));
    let socket = daemon.folder.path().join("sock");
    assert!(socket.exists());
    daemon.signal(Signal::SIGTERM);
    daemon.notified("STOPPING=1");
    daemon.wait_for("ended: the books are closed");
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn a_reload_takes_a_good_file_up_and_leaves_a_bad_one() {
    let mut daemon = Daemon::start("[sensors]\nperiod = \"100ms\"\n", &[]);
    daemon.wait_for("ready: metering");
    daemon.notified("READY=1");
    let reload = |text: &str| {
        std::fs::write(daemon.folder.path().join("aimeter.toml"), text).unwrap();
        daemon.signal(Signal::SIGHUP);
        let messages = daemon.notified("READY=1");
        assert!(messages.iter().any(|message| message.contains("RELOADING=1\nMONOTONIC_USEC=")));
    };
    reload("[sensors]\nperiode = \"1s\"\n");
    let why = daemon.wait_for("not taken up, the earlier one stays: ");
    assert!(
        why.ends_with("aimeter.toml:2: unknown key `periode`; did you mean `period`?"),
        "{why}"
    );

    reload("[sensors]\nperiod = \"200ms\"\nsysfs = \"/elsewhere\"\n");
    daemon.wait_for("sensors.sysfs changed: restart the daemon");
    daemon.wait_for("configuration taken up");
    daemon.signal(Signal::SIGINT);
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn two_daemons_never_share_a_socket_and_a_crash_leaves_no_obstacle() {
    let mut first = Daemon::start("", &["--period", "100ms"]);
    first.wait_for("ready: metering");
    let socket = first.folder.path().join("sock");
    let second = Daemon::start("", &["--socket", socket.to_str().unwrap()]);
    second.wait_for("another daemon answers on");
    first.signal(Signal::SIGKILL);
    assert_eq!(first.wait().signal(), Some(9));
    assert!(socket.exists());
    let third = Daemon::start("", &["--period", "100ms", "--socket", socket.to_str().unwrap()]);
    third.wait_for("ready: metering");
}

#[test]
fn a_wrong_configuration_touches_nothing() {
    let mut daemon = Daemon::start("[carbon]\npue = 0.5\n", &[]);
    let said = daemon.wait_for("aimeter: ");
    assert!(
        said.ends_with(
            "aimeter.toml:2: carbon.pue: `0.5` is no PUE: write a factor from 1 to 10, such as 1.2"
        ),
        "{said}"
    );
    assert_eq!(daemon.wait().code(), Some(2));
    let left: Vec<_> = std::fs::read_dir(daemon.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "aimeter.toml" && name != "notify")
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

/// One call of the program: exit code, standard output, standard error.
fn call(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = aimeter().args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A second daemon on a ledger metered on in memory and kept nothing, which only
/// its log said.
#[test]
fn a_second_daemon_on_a_ledger_is_refused() {
    let first = Daemon::start("", &[]);
    first.wait_for("ready");
    let state = first.folder.path().join("state");
    let socket = first.folder.path().join("second");
    let mut second = aimeter()
        .args(["daemon", "--listen", "127.0.0.1:0", "--config"])
        .arg(first.folder.path().join("aimeter.toml"))
        .arg("--state-dir")
        .arg(&state)
        .arg("--socket")
        .arg(&socket)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = lines(second.stderr.take().unwrap());
    let mut said = Vec::new();
    while let Ok(line) = log.recv_timeout(WAIT) {
        said.push(line);
        if said.last().is_some_and(|line| line.contains("ready")) {
            second.kill().unwrap();
        }
    }
    assert_eq!(second.wait().unwrap().code(), Some(1), "{said:?}");
    let expected = format!(
        "aimeter: cannot start metering: the ledger {} is being written by process {}; end it, \
         or choose another state directory",
        state.join("ledger.db").display(),
        first.child.id()
    );
    assert_eq!(said.last(), Some(&expected), "{said:?}");
    assert!(!socket.exists());
}

#[test]
fn a_wrong_option_is_one_line_and_code_2() {
    let check = |arguments: &[&str], expected: &str| {
        let (code, out, err) = call(arguments);
        assert_eq!((code, out.as_str(), err.as_str()), (Some(2), "", expected));
    };
    check(
        &["run", "--nmae", "x", "--", "true"],
        "aimeter: unexpected argument '--nmae' found; did you mean '--name'?\n",
    );
    check(&["frob"], "aimeter: unrecognized subcommand 'frob'; see 'aimeter --help'\n");
    check(
        &["daemon", "--period", "1"],
        "aimeter: --period: `1` is no duration: write a number and a unit, such as 500ms, 1s or 5min\n",
    );
    check(
        &["run", "--config", "/nonexistent", "--", "true"],
        "aimeter: cannot read the configuration /nonexistent: No such file or directory\n",
    );
    check(
        &["run", "--label", "x", "--", "true"],
        "aimeter: --label: `x` is no label: write KEY=VALUE\n",
    );
    check(
        &["run"],
        "aimeter: the following required arguments were not provided: <COMMAND>...; see 'aimeter run --help'\n",
    );
}

#[test]
fn an_empty_variable_is_no_option() {
    let mut command = aimeter();
    for name in ["CONFIG", "PERIOD", "SOCKET", "NVML_LIBRARY", "SENSORS_JSON"] {
        command.env(format!("AIMETER_{name}"), "");
    }
    let output = command.arg("sensors").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!output.stdout.starts_with(b"{"));
    let output = aimeter().arg("sensors").env("AIMETER_SENSORS_JSON", "1").output().unwrap();
    assert!(output.stdout.starts_with(b"{"));
}

#[test]
fn no_daemon_is_code_3_and_help_is_0() {
    let (code, _, err) = call(&["gpu", "release", "--socket", "/nonexistent/sock"]);
    assert_eq!(code, Some(3));
    assert!(err.starts_with("aimeter: no daemon answers on /nonexistent/sock"), "{err}");
    assert_eq!(call(&["--help"]).0, Some(0));
    assert_eq!(call(&["--version"]).1, format!("aimeter {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_commands_reach_the_daemon() {
    let daemon = Daemon::start("", &["--period", "100ms"]);
    daemon.wait_for("ready: metering");
    let socket = daemon.folder.path().join("sock");
    let socket = socket.to_str().unwrap();
    let (code, out, err) = call(&["sensors", "--json", "--socket", socket]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("{\n  \"domains\": ["), "{out}");
    let (code, _, err) = call(&["end", "no-such-job", "--socket", socket]);
    assert_eq!((code, err.as_str()), (Some(5), "aimeter: no running job `no-such-job`\n"));
    if rustix::process::geteuid().is_root() {
        assert_eq!(call(&["gpu", "--socket", socket, "release"]).0, Some(0));
        assert_eq!(call(&["gpu", "reclaim", "--socket", socket]).0, Some(0));
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = aimeter()
        .args(["sensors", "--json", "--socket", "/nonexistent/sock"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}
