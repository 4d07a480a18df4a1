// SPDX-License-Identifier: Apache-2.0
//! Changes of the web file and of certificates are taken up without a restart.

use nix::sys::signal::Signal;

use crate::daemon::{Folder, dns, hash};

#[test]
fn users_come_and_go_and_a_wrong_file_changes_nothing() {
    let folder = Folder::new();
    let users =
        |user: &str, password: &str| format!("basic_auth_users:\n  {user}: {}\n", hash(password));
    let daemon = folder.daemon(&users("alice", "one"), &[]);
    let url = daemon.http("/metrics");
    assert_eq!(folder.status(&url, &["-u", "alice:one"]), "200");

    // A new password: the old one, which was known to be right, is not any more.
    folder.put("web.yml", &users("alice", "two"));
    assert_eq!(folder.status(&url, &["-u", "alice:one"]), "401");
    assert_eq!(folder.status(&url, &["-u", "alice:two"]), "200");
    daemon.log_until("was taken up");
    folder.put("web.yml", &users("bob", "three"));
    assert_eq!(folder.status(&url, &["-u", "alice:two"]), "401");
    assert_eq!(folder.status(&url, &["-u", "bob:three"]), "200");

    for wrong in ["basic_auth_user: {}\n", "", "basic_auth_users: {bob: plain}\n"] {
        folder.put("web.yml", wrong);
        assert_eq!(folder.status(&url, &[]), "401", "{wrong}");
        assert_eq!(folder.status(&url, &["-u", "bob:three"]), "200", "{wrong}");
        daemon.log_until("the web file was not taken up, the earlier one stays: ");
    }
    folder.put("web.yml", &users("carol", "four"));
    daemon.signal(Signal::SIGHUP);
    daemon.log_until("was taken up");
    daemon.log_until("configuration taken up");
    assert_eq!(folder.status(&url, &["-u", "carol:four"]), "200");
}

#[test]
fn a_rotated_certificate_is_shown_to_the_next_client() {
    let folder = Folder::new();
    let web = "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n";
    let daemon = folder.daemon(web, &[]);
    let url = daemon.https("/healthz");
    let elsewhere = format!("https://elsewhere.test:{}/healthz", daemon.port);
    let resolve = format!("elsewhere.test:{}:127.0.0.1", daemon.port);
    let elsewhere = || folder.status(&elsewhere, &["--resolve", &resolve]);
    assert_eq!((folder.status(&url, &[]), elsewhere()), ("200".into(), "000".into()));

    // The certificate first, as a careless program does: until the key fits, the
    // earlier ones serve.
    let (certificate, key) = folder.authority.sign(&[dns("elsewhere.test")]);
    folder.put("cert.pem", &certificate);
    assert_eq!(folder.status(&url, &[]), "200");
    folder.put("key.pem", &key);
    assert_eq!((folder.status(&url, &[]), elsewhere()), ("000".into(), "200".into()));
}

#[test]
fn a_wrong_web_file_keeps_the_daemon_from_starting_before_it_touches_anything() {
    let folder = Folder::new();
    folder.put("web.yml", "tls_server_config:\n  cert_file: none.pem\n  key_file: key.pem\n");
    let mut command = folder.command();
    command.args(["--listen", "127.0.0.1:0", "--web-config-file"]).arg(folder.path("web.yml"));
    let output = command.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("cannot read `cert_file`"), "{error}");
    assert!(!folder.path("sock").exists() && !folder.path("state").exists());
}
