// SPDX-License-Identifier: Apache-2.0
//! No password, hash or key is ever written anywhere: not to the log at its most
//! talkative, not to the journal, not to a page, not to the ledger.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use crate::daemon::{Daemon, Folder, eventually, files_below, hash};

const PASSWORD: &str = "s3cr3t-pa55word";
const WRONG: &str = "wr0ng-gue55";

/// What must not be seen, by name. Parts that survive any line break.
fn secrets(folder: &Folder, hash: &str) -> Vec<(&'static str, String)> {
    use base64::Engine as _;
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let key = std::fs::read_to_string(folder.path("key.pem")).unwrap();
    vec![
        ("the password", PASSWORD.into()),
        ("a wrong password", WRONG.into()),
        ("the hash", hash[7..].into()),
        ("the credentials as they are sent", base64(&format!("alice:{PASSWORD}"))),
        ("the key", key.lines().nth(1).unwrap().into()),
    ]
}

/// Uses the daemon in all ways that come near a secret; what curl got back.
fn use_it(folder: &Folder, daemon: &Daemon, hash: &str) -> String {
    let mut seen = String::new();
    let url = daemon.https("/metrics");
    for user in [format!("alice:{PASSWORD}"), format!("alice:{WRONG}"), format!("{WRONG}:x")] {
        let (out, error) = folder.curl(&url, &["-i", "-u", &user]);
        seen.push_str(&(out + &error));
    }
    // Into the wrong place, and without TLS.
    seen.push_str(&folder.curl(&format!("{url}?password={PASSWORD}"), &["-i"]).0);
    seen.push_str(&folder.curl(&daemon.http("/"), &["-u", &format!("alice:{PASSWORD}")]).1);
    // Mistakes in the file, each with the secret in it.
    for wrong in [
        format!("basic_auth_users: alice:{hash}\n"),
        format!("basic_auth_users: {{alice: {PASSWORD}}}\n"),
        format!("basic_auth_users:\n  alice: [\"{hash}\"]\n"),
        format!("basic_auth_users:\n  alice: \"{hash}\n"),
        format!("tls_server_config:\n  key: {PASSWORD}\n  cert_file: cert.pem\n"),
        format!(
            "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n  min_version: {PASSWORD}\n"
        ),
        format!(
            "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n  client_auth_type: {PASSWORD}\n"
        ),
        format!("http_server_config: {{headers: {{X-Frame-Options: {PASSWORD}}}}}\n"),
        format!("rate_limit: {{interval: {PASSWORD}}}\n"),
    ] {
        folder.put("web.yml", &wrong);
        seen.push_str(&folder.curl(&url, &["-i"]).0);
    }
    seen
}

fn web(hash: &str) -> String {
    format!(
        "tls_server_config: {{cert_file: cert.pem, key_file: key.pem}}\n\
         basic_auth_users: {{alice: {hash}}}\n"
    )
}

fn check(secrets: &[(&str, String)], place: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for (name, secret) in secrets {
        assert!(!text.contains(secret), "{name} is in {place}:\n{text}");
    }
}

#[test]
fn no_secret_is_in_the_log_on_a_page_or_in_the_ledger() {
    let folder = Folder::new();
    let hash = hash(PASSWORD);
    let secrets = secrets(&folder, &hash);
    let daemon = folder.daemon(&web(&hash), &["--log-level", "trace"]);
    let mut log = Vec::new();
    let seen = use_it(&folder, &daemon, &hash);
    log.extend(daemon.log_until("`interval` takes a number"));
    let command_line = std::fs::read(format!("/proc/{}/cmdline", daemon.child.id())).unwrap();
    let show = |json: &[&str]| {
        let mut command = crate::daemon::aimeter();
        command.args(["config", "show", "--web-config-file"]).arg(folder.path("web.yml"));
        command.args(json).output().unwrap().stdout
    };
    log.extend(daemon.end().1);
    let log = log.join("\n");
    assert!(log.matches("the web file was not taken up").count() == 9, "{log}");
    assert!(seen.contains("aimeter_ticks_total") && seen.contains("401"), "{seen}");
    check(&secrets, "the log", log.as_bytes());
    check(&secrets, "the command line", &command_line);
    check(&secrets, "config show", &show(&[]));
    check(&secrets, "config show --json", &show(&["--json"]));
    // Headers that curl sent are not in what it got.
    check(&secrets, "an answer", seen.as_bytes());
    for (path, bytes) in files_below(&folder.path("state")) {
        check(&secrets, &path.display().to_string(), &bytes);
    }
}

/// The test plays the journal: its socket, in a mount namespace of the daemon's own.
#[test]
fn no_secret_is_in_the_journal() {
    let folder = Folder::new();
    let hash = hash(PASSWORD);
    let secrets = secrets(&folder, &hash);
    folder.put("web.yml", &web(&hash));
    std::fs::create_dir(folder.path("journal")).unwrap();
    let journal = UnixDatagram::bind(folder.path("journal/socket")).unwrap();
    let errors = std::fs::File::create(folder.path("stderr")).unwrap();
    let stream = errors.metadata().map(|file| format!("{}:{}", file.dev(), file.ino())).unwrap();
    let mut daemon = folder.command();
    daemon.args(["--listen", "127.0.0.1:0", "--log-level", "trace", "--web-config-file"]);
    daemon.arg(folder.path("web.yml"));
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec"]).arg(
        "mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/journal; \
         mount --bind \"$1\" /run/systemd/journal; shift; exec \"$@\"",
    );
    command.arg("sh").arg(folder.path("journal")).arg(daemon.get_program());
    command.args(daemon.get_args()).env("JOURNAL_STREAM", stream).stderr(errors);
    let child = command.stdout(Stdio::null()).spawn().expect("unshare (Debian package util-linux)");
    let mut entries = Vec::new();
    let until = |text: &str, entries: &mut Vec<u8>| {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let got = journal.recv(&mut buffer).unwrap();
            entries.extend(&buffer[..got]);
            if String::from_utf8_lossy(&buffer[..got]).contains(text) {
                return String::from_utf8_lossy(&buffer[..got]).into_owned();
            }
        }
    };
    journal.set_read_timeout(Some(crate::daemon::WAIT)).unwrap();
    let listening = until("listening on https://", &mut entries);
    until("ready: metering", &mut entries);
    let address = listening.split_once("listening on https://").unwrap().1;
    let port = address.lines().next().unwrap().rsplit(':').next().unwrap().to_owned();
    let mut daemon = Daemon::of(child, port);
    use_it(&folder, &daemon, &hash);
    until("`interval` takes a number", &mut entries);
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    eventually(|| daemon.child.try_wait().unwrap());
    until("ended: the books are closed", &mut entries);
    check(&secrets, "the journal", &entries);
    assert!(String::from_utf8_lossy(&entries).contains("PRIORITY"));
    check(&secrets, "standard error", &std::fs::read(folder.path("stderr")).unwrap());
}
