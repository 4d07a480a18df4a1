// SPDX-License-Identifier: Apache-2.0
//! Signatures by the real `ssh-keygen`: good, of somebody else's, broken, not there.

use std::process::Command;

use crate::folder::{Folder, Said, keygen};

#[test]
fn a_signature_is_openssh_s_own_and_of_the_bytes() {
    let folder = Folder::new();
    folder.record("a.json", |_| ());
    let key = folder.key("mine");
    let said = folder.bench(&["sign", "a.json", "--key", "mine"]);
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{said:?}");
    assert_eq!(said.err, "aimeter: signed a.json in a.json.sig\n");

    // As the documentation says that anybody checks it.
    folder.allow("signers", "lab@example.org", &key);
    let plain = |record: &str| {
        let line = "ssh-keygen -Y verify -n aimeter-benchmark -f signers -I lab@example.org \
            -s a.json.sig < ";
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{line}{record}")).current_dir(folder.root());
        Said::of(&mut command)
    };
    plain("a.json").is(0, "Good \"aimeter-benchmark\" signature for lab@example.org");
    let page = include_str!("../../docs/benchmark.md");
    assert!(page.contains("ssh-keygen -Y verify -n aimeter-benchmark -f SIGNERS"));

    let said = folder.bench(&["validate", "a.json"]);
    said.is(0, "; signed by key SHA256:");
    said.is(0, ", not checked against anybody\n");
    let signers = ["validate", "a.json", "--allowed-signers", "signers", "--require-signature"];
    folder.bench(&signers).is(0, "; signed by lab@example.org with key SHA256:");
    let by = |identity| folder.bench(&[&signers[..], &["--identity", identity]].concat());
    by("lab@example.org").is(0, "; signed by lab@example.org");
    by("other@example.org").is(7, "a.json.sig: signature: says signed by key SHA256:");

    // Somebody else's key, and nobody's.
    let other = folder.key("other");
    folder.allow("others", "other@example.org", &other);
    let said = folder.bench(&["validate", "a.json", "--allowed-signers", "others"]);
    said.is(7, "; its key is not among the allowed signers\n");
    let said = folder.bench(&["validate", "a.json", "--allowed-signers", "nobody"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.starts_with("aimeter: cannot read the allowed signers nobody: "), "{said:?}");

    // A space more is another file, although the record is the same.
    let text = std::fs::read_to_string(folder.path("a.json")).unwrap();
    folder.file("a.json", text + " ");
    let said = folder.bench(&["validate", "a.json"]);
    said.is(7, "a.json: a.json.sig: signature: says a signature; Signature verification failed");
    said.is(7, "a.json: not valid: 1 violation; its signature does not count\n");
    assert_ne!(plain("a.json").code, 0);
}

#[test]
fn a_broken_signature_is_named() {
    let folder = Folder::new();
    folder.record("a.json", |_| ());
    folder.key("mine");
    folder.bench(&["sign", "a.json", "--key", "mine"]).is(0, "");
    let signature = std::fs::read_to_string(folder.path("a.json.sig")).unwrap();
    let middle = signature.len() / 2;
    let other = if signature.as_bytes()[middle] == b'A' { "B" } else { "A" };
    let mut broken = signature.clone();
    broken.replace_range(middle..=middle, other);
    for text in [broken.as_str(), "", "garbage\n", &signature[..middle]] {
        folder.file("a.json.sig", text);
        let said = folder.bench(&["validate", "a.json"]);
        said.is(7, "a.json: a.json.sig: signature: says a signature; ");
    }
    // Of the right bytes, for another purpose.
    let mut command = keygen();
    command.args(["-q", "-Y", "sign", "-n", "file", "-f", "mine", "a.json"]);
    std::fs::remove_file(folder.path("a.json.sig")).unwrap();
    assert_eq!(Said::of(command.current_dir(folder.root())).code, 0);
    folder.bench(&["validate", "a.json"]).is(7, "namespace does not match");
}

#[test]
fn what_is_not_valid_is_not_signed_and_nothing_is_written_over() {
    let folder = Folder::new();
    folder.key("mine");
    folder.record("bad.json", |record| record.repetitions[0].joules += 1.0);
    let said = folder.bench(&["sign", "bad.json", "--key", "mine"]);
    assert_eq!(said.code, 7, "{said:?}");
    assert!(
        said.err.starts_with("aimeter: bad.json is not valid and was not signed ("),
        "{said:?}"
    );
    assert!(!folder.path("bad.json.sig").exists());

    folder.record("a.json", |_| ());
    folder.file("a.json.sig", "somebody's");
    let said = folder.bench(&["sign", "a.json", "--key", "mine"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("a.json.sig is there already; remove it"), "{said:?}");
    assert_eq!(std::fs::read_to_string(folder.path("a.json.sig")).unwrap(), "somebody's");

    folder.record("b.json", |_| ());
    let said = folder.bench(&["sign", "b.json", "--key", "nokey"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("ssh-keygen does not sign with nokey"), "{said:?}");
    assert!(!folder.path("b.json.sig").exists());
}

#[test]
fn without_ssh_keygen_it_is_said() {
    let folder = Folder::new();
    folder.record("a.json", |_| ());
    let bench = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aimeter"));
        command.arg("bench").args(arguments).current_dir(folder.root()).env("PATH", "/nowhere");
        Said::of(&mut command)
    };
    // Nobody needs it for a record that is not signed.
    bench(&["validate", "a.json"]).is(0, "valid");
    folder.file("a.json.sig", "a signature");
    let said = bench(&["validate", "a.json"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("ssh-keygen is not there"), "{said:?}");
    std::fs::remove_file(folder.path("a.json.sig")).unwrap();
    let said = bench(&["sign", "a.json", "--key", "mine"]);
    assert!(said.code == 1 && said.err.contains("install OpenSSH's client"), "{said:?}");
}
