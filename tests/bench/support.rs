// SPDX-License-Identifier: Apache-2.0
//! A machine of stand-ins, a spec of seconds, `aimeter bench run` on both, its record.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use aimeter::benchmark::record::{BenchmarkRecord, Rule};
use nvml_standin::Gpu;
use powercap_standin::{PowercapTree, Trace};

use crate::procfs::Procfs;
use crate::rig::{Daemon, Rig, eventually};

/// Watts of the package and its memory.
pub const PACKAGE_WATTS: u64 = 100;
pub const DRAM_WATTS: u64 = 20;
/// Milliwatts of the GPU, the mean of its square wave.
pub const GPU_MILLIWATTS: u64 = 200_000;

/// A machine with a procfs whose CPU times stand still: what others do on this machine
/// while the tests run is not seen.
pub struct Bench {
    pub procfs: Procfs,
    pub rig: Rig,
}

impl Bench {
    /// One GPU of a square wave, one package, its memory.
    pub fn new() -> Bench {
        let tree = PowercapTree::builder()
            .package(0, Trace::constant(PACKAGE_WATTS))
            .dram(0, Trace::constant(DRAM_WATTS));
        let wave = nvml_standin::Trace::Square {
            low_mw: GPU_MILLIWATTS / 2,
            high_mw: GPU_MILLIWATTS / 2 * 3,
            hz: 3.0,
            phase: 0.0,
            duty: 0.5,
        };
        Bench::of(tree, vec![Gpu::numbered(0, wave)])
    }

    /// That tree and these GPUs.
    pub fn of(tree: PowercapTree, gpus: Vec<Gpu>) -> Bench {
        let rig = Rig::new(tree, gpus);
        let procfs = Procfs::mount(rig.folder.path());
        procfs.replace("stat", STILL);
        let text = "[sensors]\nperiod = \"200ms\"\n[carbon]\nzone = \"GB\"\n";
        std::fs::write(rig.path("aimeter.toml"), text).unwrap();
        Bench { procfs, rig }
    }

    /// The file that stands in the place of `/proc/stat`, to be written in place.
    pub fn stat(&self) -> PathBuf {
        self.rig.path("proc-files").join("stat")
    }

    /// Writes a spec: [`SPEC`] with these changes, `old -> new`.
    pub fn spec(&self, changes: &[(&str, &str)]) -> PathBuf {
        let mut text = SPEC.to_owned();
        for (old, new) in changes {
            assert!(text.contains(old), "{old}");
            text = text.replacen(old, new, 1);
        }
        let path = self.rig.path("bench.toml");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// `aimeter bench ARGS` on this machine.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.rig.aimeter("bench");
        command.args(args).env("AIMETER_CONFIG", self.rig.path("aimeter.toml"));
        command.env("AIMETER_PROCFS", self.procfs.root()).current_dir(self.rig.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts `aimeter bench run bench.toml ARGS`.
    pub fn start(&self, args: &[&str]) -> Child {
        let mut command = self.command(&["run", "bench.toml"]);
        command.args(args).spawn().expect("the binary")
    }

    /// Runs it to its end, whatever that is.
    pub fn end(&self, args: &[&str]) -> Output {
        self.start(args).wait_with_output().expect("its end")
    }

    /// Runs it; it must come to a record.
    pub fn run(&self, args: &[&str]) -> BenchmarkRecord {
        let output = self.end(args);
        assert!(output.status.success(), "{}", said(&output));
        self.record()
    }

    /// The record in the campaign's folder.
    pub fn record(&self) -> BenchmarkRecord {
        let text = std::fs::read(self.part("record.json")).expect("a record");
        serde_json::from_slice(&text).expect("a benchmark record")
    }

    /// A file of the campaign's folder.
    pub fn part(&self, name: &str) -> PathBuf {
        self.rig.path("bench.campaign").join(name)
    }

    /// Waits for it.
    pub fn wait_for(&self, name: &str) {
        eventually(name, || self.part(name).exists().then_some(()));
    }

    /// A daemon that knows GB's figures of a file, as [`Bench::figures`] writes it.
    pub fn daemon(&self, row: &str) -> Daemon {
        self.figures(row);
        let feed = format!(
            "[grid]\npoll = \"auto\"\n[[grid.feeds]]\nfeed = \"file\"\nzone = \"GB\"\npath = \"{}\"\n",
            self.rig.path("figures.csv").display()
        );
        let path = self.rig.path("aimeter.toml");
        let text = std::fs::read_to_string(&path).unwrap() + &feed;
        std::fs::write(&path, text).unwrap();
        let daemon = self.rig.daemon_with(&[], |command| {
            command.env_remove("AIMETER_POLL").env("AIMETER_CONFIG", &path);
            command.env("AIMETER_PROCFS", self.procfs.root());
        });
        let figure = "aimeter_grid_intensity_grams_per_kwh{grid_zone=\"GB\",source=\"file\"";
        eventually("the file's figure", || daemon.get("/metrics").contains(figure).then_some(()));
        daemon
    }

    /// Writes the file of figures anew, in one step: `kind,grams` for the hour until now
    /// and for the next one.
    pub fn figures(&self, row: &str) {
        let (kind, grams) = row.split_once(',').unwrap();
        let hour = std::time::Duration::from_secs(3_600);
        let now = aimeter::clock::wall();
        let (from, to) = (now - hour, now + hour);
        let text = format!(
            "from,to,grams_per_kwh,kind\n{from},{now},{grams},{kind}\n{now},{to},{grams},{kind}\n"
        );
        std::fs::write(self.rig.path("figures.partial"), text).unwrap();
        std::fs::rename(self.rig.path("figures.partial"), self.rig.path("figures.csv")).unwrap();
    }
}

/// CPU times that stand still, of two CPUs.
pub const STILL: &str = "cpu  1000 0 0 9000 0 0 0 0 0 0\ncpu0 500 0 0 0 0 0 0 0 0 0\n\
    cpu1 500 0 0 0 0 0 0 0 0 0\nintr 0\n";

/// Seconds in place of minutes, which breaks the rules of time.
pub const SPEC: &str = r#"name = "seconds"
[unit]
kind = "run"
name = "runs"
role = "provider"
counted_by = "exit"
[work]
command = ["sleep", "0.3"]
[protocol]
idle = "500ms"
warm_up = "100ms"
window = "1s"
repetitions = 3
settle = "0s"
[disclosures]
framework = "none"
"#;

/// Output and errors, for a failed assertion.
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// What was found of a rule: repetition and words.
pub fn found(record: &BenchmarkRecord, rule: Rule) -> Vec<(Option<u32>, String)> {
    let of_rule = record.exceptions.iter().filter(|one| one.rule == rule);
    of_rule.map(|one| (one.repetition, one.found.clone())).collect()
}

/// In which repetitions a rule was not kept; of the whole campaign: 0.
pub fn places(record: &BenchmarkRecord, rule: Rule) -> Vec<u32> {
    found(record, rule).into_iter().map(|(repetition, _)| repetition.unwrap_or(0)).collect()
}
