// SPDX-License-Identifier: Apache-2.0
//! Client certificates: who has none, one of a stranger, one of ours, and one of
//! ours with the wrong name.

use rcgen::SanType;

use crate::daemon::{Authority, Folder, dns};

const WEB: &str = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n  \
    client_ca_file: ca.pem\n  client_auth_type: ";

impl Folder {
    fn as_client(&self, url: &str, name: &str) -> String {
        let path = |end: &str| self.path(&format!("{name}.{end}")).display().to_string();
        self.status(url, &["--cert", &path("pem"), "--key", &path("key")])
    }
}

#[test]
fn a_client_needs_a_certificate_of_ours() {
    let folder = Folder::new();
    folder.put_certificate("ours.pem", "ours.key", &[dns("prometheus.example.org")]);
    let (stranger, key) = Authority::new("a stranger").sign(&[dns("prometheus.example.org")]);
    folder.put("stranger.pem", &stranger);
    folder.put("stranger.key", &key);
    let daemon = folder.daemon(&format!("{WEB}RequireAndVerifyClientCert\n"), &[]);
    let url = daemon.https("/metrics");
    assert_eq!(folder.status(&url, &[]), "000");
    assert_eq!(folder.as_client(&url, "stranger"), "000");
    assert_eq!(folder.as_client(&url, "ours"), "200");
}

#[test]
fn a_certificate_that_may_be_missing_must_still_be_right() {
    let folder = Folder::new();
    folder.put_certificate("ours.pem", "ours.key", &[dns("a")]);
    let (stranger, key) = Authority::new("a stranger").sign(&[dns("a")]);
    folder.put("stranger.pem", &stranger);
    folder.put("stranger.key", &key);
    let daemon = folder.daemon(&format!("{WEB}VerifyClientCertIfGiven\n"), &[]);
    let url = daemon.https("/metrics");
    assert_eq!(folder.status(&url, &[]), "200");
    assert_eq!(folder.as_client(&url, "stranger"), "000");
    assert_eq!(folder.as_client(&url, "ours"), "200");
}

#[test]
fn only_the_names_that_are_allowed_come_in() {
    let folder = Folder::new();
    let clients = [
        ("dns", dns("prometheus.example.org"), "200"),
        ("uri", SanType::URI("spiffe://example.org/prometheus".try_into().unwrap()), "200"),
        ("address", SanType::IpAddress("192.0.2.7".parse().unwrap()), "200"),
        ("other", dns("other.example.org"), "000"),
        ("below", dns("x.prometheus.example.org"), "000"),
        ("wide", dns("*.example.org"), "000"),
        ("far", SanType::IpAddress("192.0.2.8".parse().unwrap()), "000"),
    ];
    let web = format!(
        "{WEB}RequireAndVerifyClientCert\n  client_allowed_sans:\n    - prometheus.example.org\n    \
         - spiffe://example.org/prometheus\n    - 192.0.2.7\n"
    );
    let daemon = folder.daemon(&web, &[]);
    for (name, san, status) in clients {
        folder.put_certificate(&format!("{name}.pem"), &format!("{name}.key"), &[san]);
        assert_eq!(folder.as_client(&daemon.https("/healthz"), name), status, "{name}");
    }
}
