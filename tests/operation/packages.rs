// SPDX-License-Identifier: Apache-2.0
//! The lists of files for the .deb and the .rpm in `Cargo.toml`: CI builds the .deb only,
//! so what is in one must be in the other.

use std::collections::BTreeSet;
use std::path::Path;

/// Sources that only the .deb has: what Debian's policy asks for.
const DEB_ONLY: [&str; 3] = [
    "packaging/lintian-overrides",
    "target/release/changelog.Debian.gz",
    "target/release/changelog.gz",
];
/// Sources that only the .rpm lists; the .deb has its own way to them: `systemd-units`,
/// `license-file` and `changelog.gz`.
const RPM_ONLY: [&str; 3] = ["systemd/aimeter.service", "LICENSE", "CHANGELOG.md"];

#[test]
fn both_packages_have_the_same_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).expect("the manifest");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    let metadata = &manifest["package"]["metadata"];
    let list = |package: &str| metadata[package]["assets"].as_array().expect("a list").clone();
    let text = |value: &toml::Value| value.as_str().expect("a text").to_owned();
    let deb: BTreeSet<String> = list("deb").iter().map(|asset| text(&asset[0])).collect();
    let rpm: BTreeSet<String> =
        list("generate-rpm").iter().map(|asset| text(&asset["source"])).collect();

    for source in deb.union(&rpm).filter(|source| !source.starts_with("target/")) {
        // Of several files, their folder.
        let path = root.join(source.split('*').next().unwrap_or(source));
        assert!(path.exists(), "{source} is packaged and is not there");
    }
    let own = |sources: [&str; 3]| sources.map(str::to_owned).into_iter().collect();
    assert_eq!(deb.difference(&rpm).cloned().collect::<BTreeSet<_>>(), own(DEB_ONLY));
    assert_eq!(rpm.difference(&deb).cloned().collect::<BTreeSet<_>>(), own(RPM_ONLY));
}

/// Every file that a reader of docs/grafana.md needs is in the packages.
#[test]
fn the_packages_have_all_dashboards_rules_and_provisioning() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).expect("the manifest");
    let packaged = |path: &str| manifest.contains(&format!("[\"{path}\","));
    let folders = ["provisioning", "provisioning/dashboards", "provisioning/datasources"];
    for folder in folders {
        for entry in std::fs::read_dir(root.join("dashboards").join(folder)).expect(folder) {
            let entry = entry.expect(folder);
            let path =
                format!("dashboards/{folder}/{}", entry.file_name().to_str().expect("UTF-8"));
            assert!(entry.path().is_dir() || packaged(&path), "{path}");
        }
    }
    for entry in std::fs::read_dir(root.join("dashboards/rules")).expect("rules") {
        assert!(entry.expect("rules").path().extension().is_some_and(|end| end == "yml"));
    }
    assert!(packaged("dashboards/rules/*.yml") && packaged("dashboards/*.json"));
}
