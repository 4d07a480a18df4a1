// SPDX-License-Identifier: Apache-2.0
//! Tests of the web file as a whole: what it takes, and how a change is taken up.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::users::Verdict;
use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replaces a file at once, as a careful program does.
    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.path("new"), text).unwrap();
        std::fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    fn put_certificate(&self) -> Vec<u8> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        self.put("cert.pem", &made.cert.pem());
        self.put("key.pem", &made.signing_key.serialize_pem());
        made.cert.der().to_vec()
    }

    fn open(&self, text: &str) -> Result<Web, WebError> {
        self.put("web.yml", text);
        Web::open(&self.path("web.yml"))
    }

    fn mistake(&self, text: &str) -> String {
        let folder = format!("{}/", self.0.path().display());
        self.open(text).map(drop).unwrap_err().to_string().replace(&folder, "")
    }
}

const TLS: &str = "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n";
const USERS: &str =
    "basic_auth_users:\n  alice: $2y$04$7pMa1iRyqUdmlDnxtxEb0eFCf0nlS1dfuc9VUY1OxnWzQoVpxbkJe\n";

#[test]
fn files_are_found_beside_the_web_file() {
    let folder = Folder::new();
    folder.put_certificate();
    let web = folder.open(&format!("{TLS}{USERS}")).unwrap();
    assert!(web.latest().tls.is_some() && web.latest().has_users());
    let plain = folder.open("").unwrap();
    assert!(plain.latest().tls.is_none() && !plain.latest().has_users());
}

#[test]
fn every_mistake_is_said() {
    let folder = Folder::new();
    assert_eq!(
        folder.mistake(TLS),
        "web.yml: cannot read `cert_file` cert.pem: No such file or directory (os error 2)"
    );
    assert_eq!(
        folder.mistake("basic_auth_users: {alice: s3cr3t}\n"),
        "web.yml: the password of `alice` is no bcrypt hash"
    );
    assert!(
        folder
            .mistake("http_server_config: {headers: {X-Other: a}}\n")
            .starts_with("web.yml: the header `X-Other` cannot be set; known are Content-")
    );
    assert_eq!(
        folder.mistake("http_server_config: {headers: {X-Frame-Options: maybe}}\n"),
        "web.yml: `X-Frame-Options` takes deny or sameorigin"
    );
    assert_eq!(
        folder.mistake("rate_limit: {interval: soon, burst: 1}\n"),
        "web.yml: `rate_limit`: `interval` takes a number and a unit, such as 100ms or 1s"
    );
    assert!(folder.mistake("rate_limit: {interval: 1s}\n").contains("a `burst` of 0"));
    let long = folder.mistake("rate_limit: {interval: 5000000000s, burst: 4294967295}\n");
    assert!(long.contains("more than a year"), "{long}");
    folder.put("web.yml", &"#".repeat(2 * 1024 * 1024));
    let long = Web::open(&folder.path("web.yml")).map(drop).unwrap_err();
    assert!(long.to_string().ends_with("it has more than 1 MiB"), "{long}");
}

#[test]
fn a_changed_file_is_taken_up_and_a_wrong_one_is_not() {
    let folder = Folder::new();
    let web = folder.open("").unwrap();
    let first = web.look();
    assert!(Arc::ptr_eq(&first, &web.look()), "nothing changed");
    folder.put("web.yml", USERS);
    assert!(web.look().has_users());
    folder.put("web.yml", "basic_auth_users: {alice: wrong}\n");
    let kept = web.look();
    assert!(kept.has_users());
    assert!(Arc::ptr_eq(&kept, &web.look()), "a wrong file is read once");
    std::fs::remove_file(folder.path("web.yml")).unwrap();
    assert!(web.look().has_users());
    folder.put("web.yml", &format!("{USERS}rate_limit: {{interval: 1s, burst: 2}}\n"));
    assert!(web.look().rate.is_some());
}

#[test]
fn who_has_logged_in_does_so_again_after_a_change_that_is_not_of_the_password() {
    let folder = Folder::new();
    folder.put_certificate();
    let hash = bcrypt::hash("right", 4).unwrap();
    let users = format!("{TLS}basic_auth_users:\n  alice: {hash}\n");
    let web = folder.open(&users).unwrap();
    let credentials = format!("Basic {}", STANDARD.encode("alice:right"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let login = |gate: &Gate| {
        let look = web.look();
        runtime.block_on(look.users.look(Some(credentials.as_bytes()), gate))
    };
    assert_eq!(login(&Gate::default()), Verdict::Welcome);
    folder.put_certificate();
    // Guessers have taken every turn.
    assert_eq!(login(&Gate::closed()), Verdict::Welcome);
    let hash = bcrypt::hash("right", 4).unwrap();
    folder.put("web.yml", &format!("{TLS}basic_auth_users:\n  alice: {hash}\n"));
    assert_eq!(login(&Gate::closed()), Verdict::Busy);
    assert_eq!(login(&Gate::default()), Verdict::Welcome);
}

#[test]
fn certificates_rotated_on_disk_are_taken_up_when_both_fit() {
    let folder = Folder::new();
    folder.put_certificate();
    let web = folder.open(TLS).unwrap();
    let first = web.latest().tls.clone().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    folder.put("cert.pem", &made.cert.pem());
    assert!(Arc::ptr_eq(&web.look().tls.clone().unwrap(), &first), "the key does not fit yet");
    folder.put("key.pem", &made.signing_key.serialize_pem());
    assert!(!Arc::ptr_eq(&web.look().tls.clone().unwrap(), &first));
}

#[test]
fn a_file_that_is_just_being_written_opens_no_door() {
    let folder = Folder::new();
    folder.put_certificate();
    let certified = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n  \
        client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: cert.pem\n";
    let web = folder.open(&format!("{certified}{USERS}")).unwrap();
    let first = web.look();
    let half = format!("{TLS}{USERS}");
    for text in ["", TLS, USERS, certified, &half] {
        std::fs::write(folder.path("web.yml"), text).unwrap();
        assert!(Arc::ptr_eq(&web.look(), &first), "{text}");
    }
    let names = format!("{certified}  client_allowed_sans: [scraper.test]\n{USERS}");
    let named = folder.open(&names).unwrap();
    folder.put("web.yml", &format!("{certified}{USERS}"));
    assert!(named.look().clients_named, "any certificate of the CA would do");
    std::fs::write(folder.path("web.yml"), format!("{certified}{USERS}")).unwrap();
    assert!(!Arc::ptr_eq(&web.look(), &first));
    let web = folder.open(TLS).unwrap();
    folder.put("web.yml", "");
    assert!(web.look().tls.is_some());
}
