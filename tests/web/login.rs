// SPDX-License-Identifier: Apache-2.0
//! TLS with basic auth: without, with wrong and with right credentials.

use crate::daemon::{Folder, hash};

fn web(user: &str, hash: &str) -> String {
    format!(
        "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n\
         http_server_config:\n  headers:\n    X-Frame-Options: deny\n\
         basic_auth_users:\n  {user}: {hash}\n"
    )
}

#[test]
fn only_right_credentials_over_tls_see_a_page() {
    let folder = Folder::new();
    // As htpasswd writes it.
    let hash = hash("right").replacen("$2b$", "$2y$", 1);
    let daemon = folder.daemon(&web("alice", &hash), &[]);
    for page in ["/metrics", "/healthz", "/", "/none"] {
        let url = daemon.https(page);
        assert_eq!(folder.status(&url, &[]), "401", "{page}");
        assert_eq!(folder.status(&url, &["-u", "alice:wrong"]), "401", "{page}");
        assert_eq!(folder.status(&url, &["-u", "carol:right"]), "401", "{page}");
        let right = if page == "/none" { "404" } else { "200" };
        assert_eq!(folder.status(&url, &["-u", "alice:right"]), right, "{page}");
    }
    let url = daemon.https("/metrics");
    let (refused, _) = folder.curl(&url, &["-i"]);
    let refused = refused.to_ascii_lowercase();
    assert!(refused.contains("www-authenticate: basic realm=\"aimeter\""), "{refused}");
    assert!(refused.contains("x-frame-options: deny"), "{refused}");
    assert!(!refused.contains("aimeter_"), "{refused}");
    let (page, _) = folder.curl(&url, &["-u", "alice:right", "-i"]);
    assert!(page.contains("\naimeter_ticks_total "), "{page}");
    assert!(page.to_ascii_lowercase().contains("x-frame-options: deny"), "{page}");

    // Neither without TLS nor with somebody else's certificate.
    assert_eq!(folder.status(&daemon.http("/metrics"), &["-u", "alice:right"]), "000");
    let (_, error) = folder.curl(&url, &["--cacert", "/etc/ssl/certs/ca-certificates.crt"]);
    assert!(error.contains("certificate"), "{error}");
    assert!(daemon.end().0.success());
}

#[test]
fn nothing_but_reading_is_answered() {
    let folder = Folder::new();
    let daemon = folder.daemon(&web("alice", &hash("right")), &[]);
    for page in ["/metrics", "/", "/healthz", "/none"] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
            let url = daemon.https(page);
            let status = folder.status(&url, &["-u", "alice:right", "-X", method]);
            assert_eq!(status, "405", "{method} {page}");
            assert_eq!(folder.status(&url, &["-X", method]), "401", "{method} {page}");
        }
    }
    let (answer, _) = folder.curl(&daemon.https("/"), &["-u", "alice:right", "-d", "x", "-i"]);
    assert!(answer.to_ascii_lowercase().contains("\nallow: get, head\r\n"), "{answer}");
}

#[test]
fn versions_of_tls_are_those_of_the_file() {
    let folder = Folder::new();
    let web =
        "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n  max_version: TLS12\n";
    let daemon = folder.daemon(web, &[]);
    let url = daemon.https("/healthz");
    assert_eq!(folder.status(&url, &["--tls-max", "1.2"]), "200");
    assert_eq!(folder.status(&url, &["--tlsv1.3"]), "000");
    folder.put("web.yml", &web.replace("max_version: TLS12", "min_version: TLS13"));
    assert_eq!(folder.status(&url, &["--tls-max", "1.2"]), "000");
    assert_eq!(folder.status(&url, &["--tlsv1.3"]), "200");
}

#[test]
fn requests_beyond_the_rate_are_told_so() {
    let folder = Folder::new();
    let daemon = folder.daemon("rate_limit: {interval: 1h, burst: 2}\n", &[]);
    let url = daemon.http("/healthz");
    let statuses = [(); 4].map(|()| folder.status(&url, &[]));
    assert_eq!(statuses, ["200", "200", "429", "429"]);
}
