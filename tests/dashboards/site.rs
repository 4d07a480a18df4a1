// SPDX-License-Identifier: Apache-2.0
//! Two hosts with jobs of two users and several projects, scraped by one Prometheus
//! that has the shipped rules. One GPU does nothing while a job holds it.

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use nvml_standin::{Gpu, Level};
use powercap_standin::{PowercapTree, Trace};

use crate::model::path;
use crate::rig::{Daemon, Rig, eventually};
use crate::server::Prometheus;

/// Debian's `nobody`.
const NOBODY: &str = "65534";

/// What a job of root's marks: it loads, then trains and evaluates in turn, and counts images.
const MARKS: &str = concat!(
    "mark() { ",
    env!("CARGO_BIN_EXE_aimeter"),
    " mark \"$@\"; }; ",
    "case $((n % 40)) in 1) [ $n -gt 1 ] || mark load;; 2) mark train;; 32) mark eval;; esac; ",
    "mark images=64;",
);

/// A host of the site.
pub struct Host {
    pub rig: Rig,
    pub daemon: Daemon,
}

/// What a job asks for.
pub struct Job {
    pub name: &'static str,
    pub project: &'static str,
    pub gpus: &'static str,
}

/// What each host's GPUs draw.
pub struct Powers {
    pub alpha: Vec<nvml_standin::Trace>,
    pub beta: Vec<nvml_standin::Trace>,
}

impl Powers {
    /// At work, idle; and at work.
    pub fn ordinary() -> Powers {
        let idle = nvml_standin::Trace::Constant { mw: 95_000 };
        Powers {
            alpha: vec![training(620_000, 340_000, 45, 0), idle],
            beta: vec![training(410_000, 250_000, 70, 20)],
        }
    }
}

/// The whole.
pub struct Site {
    pub alpha: Host,
    pub beta: Host,
    pub server: Prometheus,
    _folder: tempfile::TempDir,
}

impl Site {
    /// Starts daemons and Prometheus, and waits until both hosts are scraped.
    pub fn start(scrape: &str, powers: Powers) -> Site {
        let alpha = Host::start(powers.alpha, "GB");
        let beta = Host::start(powers.beta, "FR");
        let folder = tempfile::tempdir().unwrap();
        let rules = path("dashboards/rules");
        let target = |name, host: &Host| {
            let address = &host.daemon.address;
            format!("{{targets: ['{address}'], labels: {{instance: {name}}}}}")
        };
        let config = format!(
            "global: {{scrape_interval: {scrape}, scrape_timeout: 900ms, evaluation_interval: 1s}}\n\
             rule_files: ['{}/*.yml']\n\
             scrape_configs: [{{job_name: aimeter, static_configs: [{}, {}]}}]\n",
            rules.display(),
            target("alpha", &alpha),
            target("beta", &beta),
        );
        let server = Prometheus::configured(folder.path(), &config);
        let site = Site { alpha, beta, server, _folder: folder };
        site.wait_for("both hosts", "count(aimeter_domain_power_watts{kind='gpu'}) == 3");
        site.wait_for("the feed", "aimeter_grid_intensity_age_seconds");
        site
    }

    /// Waits until an expression of the scraped data holds.
    pub fn wait_for(&self, what: &str, expression: &str) {
        eventually(what, || {
            let answer = self.server.query(expression);
            (!answer.is_empty()).then_some(())
        });
    }
}

/// A GPU's power as in training: steps, then an evaluation that needs less.
fn training(high: u64, low: u64, seconds: u64, offset: u64) -> nvml_standin::Trace {
    let mut levels = Vec::new();
    for round in 0..40 {
        // Some seconds of loading data before each, and never twice the same power.
        let begin = (offset + round * (seconds + 15)) * 1_000;
        let jitter = (round * 7_919) % 23 * 1_000;
        levels.push(Level { at_ms: begin, mw: low * 3 / 4 + jitter });
        levels.push(Level { at_ms: begin + 3_000, mw: high - jitter });
        levels.push(Level { at_ms: begin + 1_000 * seconds, mw: low + jitter });
    }
    nvml_standin::Trace::Levels(levels)
}

/// A configuration with a feed that is a file: intervals of two minutes, as an
/// afternoon's intensities go, known for certain up to some minutes from now.
fn feed(rig: &Rig, zone: &str) -> String {
    let now = aimeter::clock::wall().as_second() / 120 * 120;
    let mut file = String::from("from,to,grams_per_kwh,kind\n");
    for step in -30..60_i64 {
        let moment = |second| jiff::Timestamp::from_second(second).expect("a time");
        let (from, to) = (moment(now + step * 120), moment(now + (step + 1) * 120));
        let grams = 190 + (step * step) % 37 + step;
        let kind = if step < 10 { "actual" } else { "forecast" };
        file.push_str(&format!("{from},{to},{grams},{kind}\n"));
    }
    let path = rig.path("intensity.csv");
    std::fs::write(&path, file).expect("the feed");
    let config = rig.path("aimeter.toml");
    let text = format!("[[grid.feeds]]\nfeed = \"file\"\nzone = \"{zone}\"\npath = {path:?}\n");
    std::fs::write(&config, text).expect("a configuration");
    config.to_str().expect("a path of text").to_owned()
}

impl Host {
    fn start(powers: Vec<nvml_standin::Trace>, zone: &str) -> Host {
        let tree = PowercapTree::builder()
            .package(0, Trace::constant(120))
            .dram(0, Trace::constant(25))
            .psys(Trace::constant(400));
        let gpus = powers.into_iter().enumerate();
        // As real ones: each differs in its first digits.
        let uuid = |index: usize| {
            let first = [0x2f6a_41d8, 0x9c03_b7e5][index % 2] + u32::from(zone == "FR");
            format!("GPU-{first:08x}-5b1e-4c77-a0d2-{index:012}")
        };
        let gpus = gpus.map(|(index, power)| Gpu {
            name: "NVIDIA H100 80GB HBM3".into(),
            uuid: uuid(index),
            ..Gpu::numbered(index, power)
        });
        let rig = Rig::new(tree, gpus.collect());
        let mut args = vec!["--zone", zone, "--pue", "1.2", "--socket-group", "nogroup"];
        // One has a feed of carbon intensity, the other the yearly mean.
        let config = feed(&rig, zone);
        if zone == "GB" {
            args.extend(["--config", &config, "--poll", "auto"]);
        }
        let daemon = rig.daemon(&args);
        Host { rig, daemon }
    }

    fn arguments(job: &Job) -> Vec<&'static str> {
        let mut arguments = vec!["--name", job.name, "--gpus", job.gpus];
        if !job.project.is_empty() {
            arguments.extend(["--project", job.project]);
        }
        arguments
    }

    /// Starts a job of root's that runs until [`Host::stop`] is called with its name.
    pub fn start_job(&self, job: &Job) -> crate::rig::Wrapped {
        let arguments = Host::arguments(job);
        let script = self.script(job, MARKS);
        self.rig.start(&arguments, &["/bin/sh", "-c", &script])
    }

    /// The same as `nobody`.
    pub fn start_job_of_nobody(&self, job: &Job) -> Child {
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.rig.folder.path(), open).expect("chmod");
        let program = self.rig.path("aimeter-for-all");
        std::fs::copy(env!("CARGO_BIN_EXE_aimeter"), &program).expect("a copy of the binary");
        let own = self.rig.aimeter("run");
        let mut command = Command::new("setpriv");
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
        command.arg(program).args(["run", "--quiet"]).args(Host::arguments(job));
        command.args(["--", "/bin/sh", "-c", &self.script(job, "")]);
        for (name, value) in own.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::null());
        command.spawn().expect("setpriv (Debian package util-linux)")
    }

    /// Some work now and then, until the job is told to end or the rig is gone; `marks` in
    /// each of its rounds.
    fn script(&self, job: &Job, marks: &str) -> String {
        let folder = self.rig.folder.path().display();
        let stop = self.rig.path(job.name);
        format!(
            "n=0; while [ -d {folder} ] && [ ! -e {} ]; do n=$((n+1)); {marks} i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 0.3; done",
            stop.display()
        )
    }

    /// Tells a job to end.
    pub fn stop(&self, job: &Job) {
        std::fs::write(self.rig.path(job.name), "").expect("the sign to end");
    }
}
