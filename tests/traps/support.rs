// SPDX-License-Identifier: Apache-2.0
//! What the trap tests share: a job that ends when it is told, metrics and books
//! as numbers, and the row of a figure against its truth.

use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use nvml_standin::{Gpu, Trace};
use serde_json::Value;

use crate::rig::{self, Daemon, Rig, Run, burn, domain, eventually, interval};

/// A GPU of 100 to 300 W in a square wave, whose counter steps every 0.1 s at a
/// phase of its own.
pub fn square(index: usize, hz: f64) -> Gpu {
    let wave = Trace::Square { low_mw: 100_000, high_mw: 300_000, hz, phase: 0.0, duty: 0.5 };
    let mut gpu = Gpu::numbered(index, wave);
    gpu.counter.phase_ms = 37.0 * index as f64;
    gpu
}

/// Two GPUs, of 1 and 7 Hz.
pub fn two_gpus() -> Vec<Gpu> {
    vec![square(0, 1.0), square(1, 7.0)]
}

/// The domain of a GPU.
pub fn gpu_id(rig: &Rig, index: usize) -> String {
    format!("nvml:{}", rig.script.gpus[index].uuid)
}

/// Now, in milliseconds of the NVML script.
pub fn script_ms(rig: &Rig) -> u64 {
    (nvml_standin::now_ns() - rig.script.epoch_ns) / 1_000_000
}

/// Lets time pass: a trap needs a while to be a trap. Never used to wait for
/// something to happen.
pub fn let_pass(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// A job under `aimeter run` that works until it is told to end.
pub struct Job {
    wrapper: Child,
    end: PathBuf,
    json: PathBuf,
    said: PathBuf,
}

impl Job {
    /// Starts it and waits until it runs.
    pub fn start(rig: &Rig, name: &str, args: &[&str]) -> Job {
        Job::with(rig.aimeter("run"), rig, name, args, &[])
    }

    /// The same with another command line and options of the workload.
    pub fn with(mut run: Command, rig: &Rig, name: &str, args: &[&str], work: &[&str]) -> Job {
        let path = |kind: &str| rig.path(&format!("{name}.{kind}"));
        let said = std::fs::File::create(path("stderr")).expect("a scratch file");
        run.arg("--json").arg(path("json")).args(["--name", name]).args(args).arg("--");
        run.arg(burn()).args(work).arg("--stamp").arg(path("stamp"));
        run.arg("--until-file").arg(path("end"));
        let wrapper = run.stderr(said).spawn().expect("the binary");
        let job = Job { wrapper, end: path("end"), json: path("json"), said: path("stderr") };
        eventually("the job to run", || path("stamp").exists().then_some(()));
        job
    }

    /// Lets it end; gives what the wrapper said, where another one has the record.
    pub fn finish_member(self) -> String {
        self.end().1
    }

    fn end(self) -> (std::process::Output, String) {
        std::fs::write(&self.end, "").expect("a scratch file");
        let output = self.wrapper.wait_with_output().expect("its end");
        let stderr = std::fs::read_to_string(&self.said).expect("what it said");
        assert!(output.status.success(), "the job's own exit code is 0: {stderr}");
        (output, stderr)
    }

    /// Lets it end, and gives what the wrapper wrote.
    pub fn finish(self) -> Run {
        let json = self.json.clone();
        let (output, stderr) = self.end();
        let text = std::fs::read_to_string(json)
            .unwrap_or_else(|error| panic!("no record: {error}\n{stderr}"));
        Run { record: serde_json::from_str(&text).expect("a JSON record"), stderr, output }
    }
}

/// A figure against its truth.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    pub joules: f64,
    pub uncertainty: f64,
    pub truth: f64,
}

impl Figure {
    /// A domain of a record against the stand-in's truth over the job's time.
    pub fn of_gpu(rig: &Rig, run: &Run, index: usize) -> Figure {
        let (from, to) = interval(&run.record);
        let part = run.domain(&gpu_id(rig, index));
        Figure {
            joules: number(&part["joules"]),
            uncertainty: number(&part["uncertainty_joules"]),
            truth: rig.gpu_joules(index, from, to),
        }
    }

    /// How far it is from the truth, as a part of it.
    pub fn error(self) -> f64 {
        rig::error(self.joules, self.truth)
    }

    /// Prints its row.
    pub fn print(self, trap: &str) -> Figure {
        let Figure { joules, uncertainty, truth } = self;
        let percent = 100.0 * (joules - truth) / truth;
        let stated = 100.0 * uncertainty / truth;
        println!("| {trap} | {joules:.2} J | {truth:.2} J | {percent:+.3} % | ± {stated:.2} % |");
        self
    }

    /// Prints its row; the truth is inside what is stated, and within `part`: wide
    /// enough for a busy machine that tells of a job's end late, far below any trap.
    pub fn check(self, trap: &str, part: f64) -> Figure {
        self.print(trap).contains_the_truth();
        assert!(self.error() < part, "{trap}: {self:?}");
        self
    }

    /// Whether the truth is inside the stated uncertainty, and the half millisecond to
    /// which the record gives the job's start, at 300 W.
    pub fn is_inside(self) -> bool {
        (self.joules - self.truth).abs() <= self.uncertainty + 0.15
    }

    /// The truth is where the stated uncertainty says. It is a half-width at 95 %: one
    /// figure in twenty may be outside, none by as much again.
    pub fn contains_the_truth(self) -> Figure {
        let twice = Figure { uncertainty: 2.0 * self.uncertainty, ..self };
        assert!(twice.is_inside(), "{self:?}");
        self
    }

    /// Nothing is invented: the figure is not above the truth by more than `part` of it.
    pub fn invents_nothing(self, part: f64) -> Figure {
        assert!(self.joules <= self.truth * (1.0 + part), "{self:?}");
        self
    }
}

/// A number of a record.
pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Whether the record tells of something in its notes.
pub fn tells(record: &Value, text: &str) -> bool {
    record["quality"]["notes"]
        .as_array()
        .is_some_and(|notes| notes.iter().any(|note| note.as_str().unwrap_or("").contains(text)))
}

/// Asserts that the record and the summary tell of it.
pub fn assert_tells(run: &Run, text: &str) {
    let notes = &run.record["quality"]["notes"];
    assert!(tells(&run.record, text), "no `{text}` in {notes:#}");
    assert!(run.stderr.contains(text), "no `{text}` in {}", run.stderr);
}

/// The sum of a metric's values over the series whose labels contain all of `labels`.
pub fn metric(daemon: &Daemon, name: &str, labels: &[&str]) -> f64 {
    let page = daemon.get("/metrics");
    let series = page.lines().filter(|line| {
        let rest = line.strip_prefix(name).unwrap_or("");
        rest.starts_with(['{', ' ']) && labels.iter().all(|label| rest.contains(label))
    });
    series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Waits until a metric is at least `least`.
pub fn wait_for_metric(daemon: &Daemon, name: &str, labels: &[&str], least: f64) {
    eventually(&format!("{name} {labels:?} to be {least}"), || {
        (metric(daemon, name, labels) >= least).then_some(())
    });
}

/// Waits until a domain is in a state.
pub fn wait_for_state(daemon: &Daemon, id: &str, state: &str) {
    let labels = [&*format!("domain=\"{id}\""), &*format!("state=\"{state}\"")];
    wait_for_metric(daemon, "aimeter_sensor_state", &labels, 1.0);
}

/// All that the ledger has of a domain, jobs and unattributed: the joules, what
/// they may be more, and the moments between which they were used.
pub struct Booked {
    pub joules: f64,
    pub more: f64,
    pub from: u64,
    pub to: u64,
}

/// The ledger's lines of a domain.
pub fn booked(rig: &Rig, id: &str) -> Booked {
    rig.ledger()
        .query_row(
            "SELECT sum(energy_uj) / 1e6, sum(gap_uj) / 1e6, min(from_us), max(to_us)
             FROM line JOIN domain ON domain.key = line.domain WHERE domain.id = ?1",
            [id],
            |row| {
                let moment = |place: usize| -> rusqlite::Result<u64> {
                    let at = jiff::Timestamp::from_microsecond(row.get(place)?);
                    Ok(aimeter::clock::moment_of(at.expect("a time")).nanoseconds())
                };
                Ok(Booked {
                    joules: row.get(0)?,
                    more: row.get(1)?,
                    from: moment(2)?,
                    to: moment(3)?,
                })
            },
        )
        .expect("the books")
}

/// All that was booked of a zone, against the truth of the same time.
pub fn zone_books(rig: &Rig, zone: &str) -> Figure {
    let books = booked(rig, &format!("rapl:{zone}"));
    Figure {
        joules: books.joules,
        uncertainty: books.more,
        truth: rig.zone_joules(zone, books.from, books.to),
    }
}

/// The sum of the record's domains of a kind.
pub fn sum_of_kind(record: &Value, kind: &str) -> f64 {
    let domains = record["energy"]["domains"].as_array().expect("domains");
    let of_kind = domains.iter().filter(|domain| domain["kind"] == kind);
    of_kind.map(|domain| number(&domain["joules"])).sum()
}

/// Whether the record has a domain.
pub fn has_domain(record: &Value, id: &str) -> bool {
    let domains = record["energy"]["domains"].as_array().expect("domains");
    domains.iter().any(|domain| domain["id"] == id)
}

/// What the job's part of a domain is part of: all that the domain used meanwhile.
pub fn whole(record: &Value, id: &str) -> f64 {
    let part = domain(record, id);
    number(&part["joules"]) / number(&part["share"])
}
