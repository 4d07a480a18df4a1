// SPDX-License-Identifier: Apache-2.0
//! `aimeter config check` and `config show`: exit codes, messages with their places,
//! values with their origins, and no secret.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

struct Folder(tempfile::TempDir);

impl Folder {
    /// With this configuration, which its owner alone may read.
    fn new(config: &str) -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        std::fs::write(folder.file(), config).unwrap();
        let own = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(folder.file(), own).unwrap();
        folder
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("aimeter.toml")
    }

    /// Exit code, standard output and standard error, without the folder's path.
    fn call(&self, args: &[&str], change: impl FnOnce(&mut Command)) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aimeter"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AIMETER_") {
                command.env_remove(name);
            }
        }
        command.arg("config").args(args);
        change(&mut command);
        let output = command.output().unwrap();
        let folder = format!("{}/", self.0.path().display());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&folder, "");
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    fn check(&self) -> (i32, String, String) {
        self.call(&["check"], |command| _ = command.arg(self.file()))
    }
}

#[test]
fn a_file_that_the_daemon_would_take_is_said_to_be_without_mistake() {
    let folder = Folder::new("[sensors]\nperiod = \"2s\"\n");
    let said = (0, "aimeter.toml: no mistake found\n".to_owned(), String::new());
    assert_eq!(folder.check(), said);
    // The same by --config and by the variable; the environment's values do not count.
    let by_flag = folder.call(&["check", "--config"], |command| _ = command.arg(folder.file()));
    assert_eq!(by_flag, said);
    let by_variable = folder.call(&["check"], |command| {
        command.env("AIMETER_CONFIG", folder.file()).env("AIMETER_PERIOD", "nonsense");
    });
    assert_eq!(by_variable, said);
    let shipped = folder.call(&["check", "config/aimeter.toml"], |_| {});
    assert_eq!((shipped.0, shipped.2.as_str()), (0, ""));
}

#[test]
fn each_mistake_ends_with_2_and_names_its_place() {
    for (text, says) in [
        ("[sensors]\nperiode = \"1s\"\n", "aimeter.toml:2: unknown key `periode`; did you mean"),
        ("[sensors]\n\nperiod = \"1h\"\n", "aimeter.toml:3: sensors.period: `1h` is out of range"),
        ("[daemon]\nlisten = [\"x\"]\n", "aimeter.toml:2: daemon.listen: `x` is no address"),
        ("[metrics]\nmax_jobs = 1.5\n", "aimeter.toml:2: metrics.max_jobs: `1.5` is no number"),
        ("[metrics\n", "aimeter.toml:1: "),
        (
            "[daemon]\nweb_config_file = \"/none/web.yml\"\n",
            "cannot read the web file /none/web.yml: No such file or directory",
        ),
    ] {
        let (code, out, error) = Folder::new(text).check();
        assert_eq!((code, out.as_str()), (2, ""), "{text}");
        assert!(error.starts_with(&format!("aimeter: {says}")), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let folder = Folder::new("");
    std::fs::remove_file(folder.file()).unwrap();
    let (code, _, error) = folder.check();
    assert_eq!(code, 2);
    assert!(error.starts_with("aimeter: cannot read the configuration aimeter.toml: No such"));
}

#[test]
fn the_web_file_is_checked_too() {
    let folder = Folder::new("");
    let web = folder.0.path().join("web.yml");
    std::fs::write(folder.file(), format!("[daemon]\nweb_config_file = '{}'\n", web.display()))
        .unwrap();
    std::fs::write(&web, "rate_limit: {interval: 1s, burst: 10}\n").unwrap();
    let said = "aimeter.toml: no mistake found\nweb.yml: no mistake found\n";
    assert_eq!(folder.check(), (0, said.to_owned(), String::new()));
    std::fs::write(&web, "rate_limit:\n  burts: 10\n").unwrap();
    let (code, out, error) = folder.check();
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(error, "aimeter: web.yml:2:3: unknown key `burts`; known are interval, burst\n");
}

const CONFIG: &str = "[sensors]\nperiod = \"2s\"\n[carbon]\nzone = \"GB\"\n\
    [grid]\nproxy = \"http://me:s3cr3t@proxy:1\"\n\
    [[grid.feeds]]\nfeed = \"electricity-maps\"\ntoken = \"s3cr3t\"\n";

#[test]
fn values_are_shown_with_their_origins_and_secrets_are_not() {
    let folder = Folder::new(CONFIG);
    let show = |json: &[&str]| {
        folder.call(
            &[&["show"], json, &["--listen", "[::1]:0", "--listen", "systemd"]].concat(),
            |command| {
                command.arg("--config").arg(folder.file()).env("AIMETER_LOG_LEVEL", "warn");
            },
        )
    };
    let (code, out, error) = show(&[]);
    assert_eq!((code, error.as_str()), (0, ""));
    let row = |key: &str| -> Vec<String> {
        let line = out.lines().find(|line| line.split_whitespace().next() == Some(key));
        let line = line.unwrap_or_else(|| panic!("no {key} in\n{out}"));
        line.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(row("KEY"), ["KEY", "VALUE", "FROM"]);
    assert_eq!(row("sensors.period"), ["sensors.period", "\"2s\"", "aimeter.toml:2"]);
    assert_eq!(row("log.level"), ["log.level", "\"warn\"", "AIMETER_LOG_LEVEL"]);
    let listen = ["daemon.listen", "[\"[::1]:0\",\"systemd\"]", "--listen"];
    assert_eq!(row("daemon.listen"), listen);
    assert_eq!(row("carbon.pue"), ["carbon.pue", "unset", "default"]);
    assert_eq!(row("metrics.max_jobs"), ["metrics.max_jobs", "1000", "default"]);
    assert_eq!(row("grid.proxy"), ["grid.proxy", "\"[hidden]\"", "aimeter.toml:6"]);
    assert!(!out.contains("s3cr3t"), "{out}");

    let (code, out, error) = show(&["--json"]);
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(!out.contains("s3cr3t"), "{out}");
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(shown["file"], "aimeter.toml");
    let settings = shown["settings"].as_array().unwrap();
    let find = |key: &str| settings.iter().find(|setting| setting["key"] == key).unwrap();
    let period = serde_json::json!({
        "key": "sensors.period", "value": "2s", "origin": {
            "kind": "file", "path": "aimeter.toml", "line": 2, "variable": null, "flag": null,
        }
    });
    assert_eq!(*find("sensors.period"), period);
    assert_eq!(find("daemon.listen")["origin"]["flag"], "--listen");
    assert_eq!(find("log.level")["origin"]["variable"], "AIMETER_LOG_LEVEL");
    assert_eq!(find("grid.feeds[0]")["value"]["token"], "[hidden]");
    assert_eq!(find("grid.feeds[0]")["origin"]["line"], 7);
    assert_eq!(find("carbon.pue")["value"], Value::Null);
}

#[test]
fn a_configuration_that_is_wrong_is_not_shown() {
    let folder = Folder::new("[sensors]\nperiod = \"1h\"\n");
    let (code, out, error) =
        folder.call(&["show", "--config"], |command| _ = command.arg(folder.file()));
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(error.starts_with("aimeter: aimeter.toml:2: sensors.period"), "{error}");
}
