// SPDX-License-Identifier: Apache-2.0
//! The same files are taken and refused as by Prometheus's own exporter-toolkit
//! (`promtool check web-config`), save where docs/http.md says that we refuse more.

use std::process::Command;

use crate::daemon::{Folder, aimeter};

const TLS: &str = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n";
const HASH: &str = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";

/// Whether promtool and `aimeter config check` take this file.
fn verdicts(folder: &Folder, web: &str) -> (bool, bool) {
    folder.put("web.yml", web);
    let web = folder.path("web.yml");
    let toolkit = Command::new("promtool").args(["check", "web-config"]).arg(&web).output();
    let toolkit = toolkit.expect("promtool (Debian package prometheus; tests/run installs it)");
    let config = format!("[daemon]\nweb_config_file = '{}'\n", web.display());
    folder.put("check.toml", &config);
    let ours = aimeter().args(["config", "check"]).arg(folder.path("check.toml")).output().unwrap();
    let error = String::from_utf8_lossy(&ours.stderr).into_owned();
    assert_eq!(ours.status.success(), error.is_empty(), "{error}");
    assert_eq!(ours.status.code(), Some(if error.is_empty() { 0 } else { 2 }));
    assert!(!error.contains(HASH) && !error.contains("BEGIN"), "{error}");
    (toolkit.status.success(), ours.status.success())
}

#[test]
fn both_take_and_refuse_the_same_files() {
    let folder = Folder::new();
    let tls = |more: &str| format!("{TLS}  {more}\n");
    for (web, taken) in [
        (String::new(), true),
        (TLS.to_owned(), true),
        (format!("{TLS}basic_auth_users:\n  alice: {HASH}\n"), true),
        (format!("basic_auth_users:\n  alice: {HASH}\n  bob: \"{HASH}\"\n"), true),
        ("basic_auth_users: {}\n".into(), true),
        (tls("min_version: TLS13"), true),
        (tls("max_version: TLS12"), true),
        (tls("client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert"), true),
        (tls("client_ca_file: ca.pem\n  client_auth_type: VerifyClientCertIfGiven"), true),
        (tls("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]"), true),
        (tls("cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]"), true),
        (tls("cipher_suites: [TLS_AES_128_GCM_SHA256]"), true),
        (tls("prefer_server_cipher_suites: false"), true),
        (tls("curve_preferences: [CurveP256, X25519]"), true),
        ("http_server_config: {http2: false}\n".into(), true),
        ("http_server_config: {headers: {X-Frame-Options: deny}}\n".into(), true),
        ("http_server_config: {headers: {Strict-Transport-Security: max-age=1}}\n".into(), true),
        (tls("colour: blue"), false),
        ("basic_auth: {}\n".into(), false),
        ("http_server_config: {headers: {X-Other: a}}\n".into(), false),
        ("http_server_config: {headers: {X-Content-Type-Options: sniff}}\n".into(), false),
        ("basic_auth_users: {alice: plain}\n".into(), false),
        ("basic_auth_users: [alice]\n".into(), false),
        (format!("basic_auth_users:\n  alice: {HASH}\n  alice: {HASH}\n"), false),
        ("tls_server_config: {cert_file: cert.pem}\n".into(), false),
        ("tls_server_config: {key_file: key.pem}\n".into(), false),
        ("tls_server_config: {cert_file: none.pem, key_file: key.pem}\n".into(), false),
        ("tls_server_config: {cert_file: ca.pem, key_file: key.pem}\n".into(), false),
        (tls("client_ca_file: ca.pem"), false),
        (tls("client_ca_file: none.pem\n  client_auth_type: RequireAndVerifyClientCert"), false),
        (tls("client_auth_type: Perhaps"), false),
        (tls("min_version: TLS14"), false),
        (tls("cipher_suites: [TLS_NONE]"), false),
        (tls("curve_preferences: [Curve25519]"), false),
        ("tls_server_config: [\n".into(), false),
    ] {
        assert_eq!(verdicts(&folder, &web), (taken, taken), "{web}");
    }
}

#[test]
fn what_is_not_safe_or_not_done_here_is_refused_although_the_toolkit_takes_it() {
    let folder = Folder::new();
    let tls = |more: &str| format!("{TLS}  {more}\n");
    let dear = HASH.replace("$10$", "$18$");
    for web in [
        tls("min_version: TLS10"),
        tls("client_auth_type: RequestClientCert"),
        tls("client_auth_type: RequireAnyClientCert"),
        tls("client_auth_type: RequireAndVerifyClientCert"),
        tls("cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]"),
        tls("curve_preferences: [CurveP521]"),
        format!("basic_auth_users: {{alice: {dear}}}\n"),
    ] {
        assert_eq!(verdicts(&folder, &web), (true, false), "{web}");
    }
}
