// SPDX-License-Identifier: Apache-2.0
//! Several addresses at once, and a Unix socket among them.

use std::os::unix::fs::PermissionsExt;

use crate::daemon::{Daemon, Folder, hash};

#[test]
fn every_address_and_the_unix_socket_serve_the_same_pages() {
    let folder = Folder::new();
    let socket = folder.path("http.sock");
    let place = format!("unix:{}", socket.display());
    let mut command = folder.command();
    // Both names of the flag.
    command.args(["--web.listen-address", "127.0.0.1:0", "--listen", "[::1]:0", "--listen"]);
    let daemon = Daemon::start({
        command.arg(&place);
        command
    });
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o7777, 0o660);
    let path = socket.display().to_string();
    let (page, error) = folder.curl("http://aimeter/metrics", &["--unix-socket", &path]);
    assert!(page.contains("\naimeter_ticks_total "), "{error}");
    assert_eq!(folder.status(&daemon.http("/metrics"), &["-4"]), "200");
    let post = folder.status("http://aimeter/metrics", &["--unix-socket", &path, "-X", "POST"]);
    assert_eq!(post, "405");
    assert!(daemon.end().0.success());
    assert!(!socket.exists(), "the file goes with the daemon");
}

#[test]
fn the_web_file_holds_on_a_unix_socket_too() {
    let folder = Folder::new();
    let socket = folder.path("http.sock").display().to_string();
    let web = format!(
        "tls_server_config: {{cert_file: cert.pem, key_file: key.pem}}\n\
         basic_auth_users: {{alice: {}}}\n",
        hash("right")
    );
    let _daemon = folder.daemon(&web, &["--listen", &format!("unix:{socket}")]);
    let url = "https://localhost/metrics";
    let unix = ["--unix-socket", &socket];
    assert_eq!(folder.status(url, &unix), "401");
    assert_eq!(folder.status(url, &[&unix[..], &["-u", "alice:right"]].concat()), "200");
    assert_eq!(folder.status("http://localhost/metrics", &unix), "000");
}

#[test]
fn what_cannot_be_taken_is_said_and_nothing_is_left_behind() {
    let folder = Folder::new();
    folder.put("file", "precious");
    let check = |place: &str, says: &str| {
        let output = folder.command().args(["--listen", place]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(says), "{error}");
        assert!(!folder.path("sock").exists());
    };
    check(&format!("unix:{}", folder.path("file").display()), "is there and is no socket");
    check("systemd", "none was handed over");
    check("192.0.2.1:0", "cannot listen on 192.0.2.1:0");
    assert_eq!(std::fs::read_to_string(folder.path("file")).unwrap(), "precious");
}
