// SPDX-License-Identifier: Apache-2.0
//! A scratch folder with certificates and a web file, a daemon that uses it, and curl.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};

/// The longest that anything is waited for; never reached where all is well.
pub const WAIT: Duration = Duration::from_secs(60);

/// Cost 4: a test's hash is not meant to be dear.
pub fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

/// Somebody who signs certificates.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for these names, and its key, as PEM.
    pub fn sign(&self, names: &[SanType]) -> (String, String) {
        let mut params = CertificateParams::new([]).unwrap();
        params.subject_alt_names = names.to_vec();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

pub fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

/// A scratch folder.
pub struct Folder {
    folder: tempfile::TempDir,
    pub authority: Authority,
}

impl Folder {
    /// With `ca.pem`, `cert.pem` and `key.pem` of a server called localhost.
    pub fn new() -> Folder {
        let folder = tempfile::tempdir().unwrap();
        let folder = Folder { folder, authority: Authority::new("the CA of a test") };
        folder.put("ca.pem", &folder.authority.pem);
        folder.put_certificate("cert.pem", "key.pem", &[dns("localhost")]);
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces a file at once.
    pub fn put(&self, name: &str, text: &str) {
        let new = self.path(&format!(".{name}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }

    pub fn put_certificate(&self, certificate: &str, key: &str, names: &[SanType]) {
        let (pem, key_pem) = self.authority.sign(names);
        self.put(certificate, &pem);
        self.put(key, &key_pem);
    }

    /// `aimeter daemon` in this folder, not started yet.
    pub fn command(&self) -> Command {
        let mut command = aimeter();
        command.args(["daemon", "--config"]).arg(self.path("aimeter.toml"));
        command.arg("--state-dir").arg(self.path("state"));
        command.arg("--socket").arg(self.path("sock"));
        self.put("aimeter.toml", "");
        command
    }

    /// A daemon with this web file on a free port, ready.
    pub fn daemon(&self, web: &str, args: &[&str]) -> Daemon {
        self.put("web.yml", web);
        let mut command = self.command();
        command.arg("--web.config.file").arg(self.path("web.yml"));
        command.args(["--listen", "127.0.0.1:0"]).args(args);
        Daemon::start(command)
    }

    /// curl with our CA, of a URL's status: `000` where there was no answer.
    pub fn status(&self, url: &str, args: &[&str]) -> String {
        let out = self.curl(url, &[&["-o", "/dev/null", "-w", "%{http_code}"], args].concat());
        out.0
    }

    /// curl with our CA: what it wrote to standard output and to standard error.
    pub fn curl(&self, url: &str, args: &[&str]) -> (String, String) {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "60", "--noproxy", "*"]);
        command.arg("--cacert").arg(self.path("ca.pem")).args(args).arg(url);
        let output = command.output().expect("curl (Debian package curl; tests/run installs it)");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (text(output.stdout), text(output.stderr))
    }
}

/// The program without any setting of the machine it runs on.
pub fn aimeter() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aimeter"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AIMETER_") {
            command.env_remove(name);
        }
    }
    command.env_remove("JOURNAL_STREAM").env("NO_COLOR", "1");
    command
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    pub child: Child,
    pub port: String,
    log: Receiver<String>,
}

impl Daemon {
    /// Starts it and waits until it is ready.
    pub fn start(mut command: Command) -> Daemon {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary");
        let log = lines(child.stderr.take().unwrap());
        let mut daemon = Daemon { child, port: String::new(), log };
        let before = daemon.log_until("ready: metering");
        let listening = before.iter().find_map(|line| line.split_once("listening on http"));
        if let Some((_, address)) = listening {
            daemon.port = address.rsplit(':').next().unwrap().to_owned();
        }
        daemon
    }

    /// One that was started otherwise, whose log goes elsewhere.
    pub fn of(child: Child, port: String) -> Daemon {
        Daemon { child, port, log: channel().1 }
    }

    pub fn https(&self, page: &str) -> String {
        format!("https://localhost:{}{page}", self.port)
    }

    pub fn http(&self, page: &str) -> String {
        format!("http://localhost:{}{page}", self.port)
    }

    /// The log up to the next line that contains `text`.
    pub fn log_until(&self, text: &str) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let Ok(line) = self.log.recv_timeout(WAIT) else {
                panic!("no `{text}` in the log, but:\n{}", seen.join("\n"));
            };
            let found = line.contains(text);
            seen.push(line);
            if found {
                return seen;
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// SIGTERM; its exit status and the rest of its log.
    pub fn end(mut self) -> (ExitStatus, Vec<String>) {
        self.signal(Signal::SIGTERM);
        let status = self.child.wait().unwrap();
        (status, self.log.iter().collect())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ended already where the test went well.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            eprintln!("daemon: {line}");
            // The test may have seen enough.
            _ = sender.send(line);
        }
    });
    receiver
}

/// All texts of a folder's files and what is below it, by name.
pub fn files_below(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => files.extend(files_below(&entry.path())),
            kind if kind.is_file() => {
                files.push((entry.path(), std::fs::read(entry.path()).unwrap()));
            }
            _ => {}
        }
    }
    files
}

/// Waits until something holds; for what has no event to wait for.
pub fn eventually<T>(mut probe: impl FnMut() -> Option<T>) -> T {
    let tries = WAIT.as_millis() / 20;
    for _ in 0..tries {
        if let Some(value) = probe() {
            return value;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("waited in vain");
}
