// SPDX-License-Identifier: Apache-2.0
//! The parts of a campaign in their order: idle baseline, warm-up, repetitions, and the
//! time between two of them.

use std::path::Path;
use std::time::Duration;

use super::folder::Folder;
use super::job::{Job, NoRecord, sleep};
use super::machine::Machine;
use super::progress::Progress;
use super::ready::Ready;
use super::signals;
use super::watch::{Watch, jobs_on};
use crate::benchmark::campaign::{self, Campaign, Measured, WarmUp};
use crate::benchmark::measured::{self, Periods};
use crate::benchmark::protocol::{Next, SETTLED_WITHIN, next};
use crate::benchmark::record::{ExceptionPart, Rule, StoppedBy, WarmUpPart};
use crate::benchmark::summary;
use crate::benchmark::window::WindowReport;
use crate::clock;
use crate::commands::exit::{Code, Failure};
use crate::commands::{connect, start};
use crate::config::Options;
use crate::jobs::JobId;
use crate::record::{Record, text};
use crate::server::client::Client;
use crate::server::protocol::SensorList;
use crate::units::BootTime;

/// The variable that names the job that this process is in.
const INSIDE_JOB: &str = "AIMETER_INSIDE_JOB";
/// Between two looks at the daemon's figures of power.
const TICK: Duration = Duration::from_secs(1);

/// Why a campaign goes no further.
pub enum Ended {
    /// A signal asked for it.
    Interrupted,
    /// Something failed.
    Failed(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Ended {
        Ended::Failed(failure)
    }
}

/// One process's part of a campaign.
pub struct Session<'a> {
    ready: &'a Ready,
    folder: &'a Folder,
    options: &'a Options,
    machine: Machine,
    /// As `aimeter run --gpus` takes them.
    gpus: String,
    periods: Periods,
    client: Option<Client>,
    progress: Progress,
    /// When it began, and what the campaign had taken before that.
    since: (BootTime, f64),
    /// Whether an earlier session was interrupted.
    resumed: bool,
    /// All that is complete.
    pub measured: campaign::Progress,
}

impl<'a> Session<'a> {
    /// Looks at the machine; refuses what makes a campaign senseless.
    ///
    /// # Errors
    /// No sensor, others on the accelerators, a machine that is not the campaign's.
    pub fn begin(
        ready: &'a Ready,
        folder: &'a Folder,
        options: &'a Options,
        found: Option<campaign::Progress>,
        progress: Progress,
    ) -> Result<Session<'a>, Failure> {
        let mut machine = Machine::open(&ready.spec, options)?;
        let client = connect(options).ok();
        let list = sensors(client.as_ref(), options, start::sensor_list);
        let refused = |what: String| Failure::new(Code::Refused, what);
        if !list.domains.iter().any(|row| row.domain.counted()) {
            let what =
                "no energy sensor can be read here: nothing can be measured; see `aimeter sensors`";
            return Err(refused(what.to_owned()));
        }
        let mut others = machine.others(own_pid());
        let around = std::env::var(INSIDE_JOB).unwrap_or_default();
        others.extend(jobs_on(client.as_ref(), &machine.domains(), &[&around]));
        if !others.is_empty() && !ready.allow_shared {
            let others = others.join(", ");
            return Err(refused(format!(
                "others use the accelerators: {others}; wait for their end, or measure beside them \
                 with --allow-shared, which costs the level"
            )));
        }
        let part = machine.part();
        let resumed = found.is_some();
        let measured = found.unwrap_or_else(|| campaign::Progress {
            campaign: Campaign {
                id: JobId::generate().to_string(),
                spec_hash: ready.spec_hash.clone(),
                started_at: format!("{:.3}", clock::wall()),
                machine: part.clone(),
                seconds: 0.0,
            },
            idle: None,
            warm_ups: Vec::new(),
            repetitions: Vec::new(),
        });
        let begun = &measured.campaign.machine;
        let same = begun.host.machine_id_hash == part.host.machine_id_hash
            && begun.host.name == part.host.name
            && begun.host.gpus.iter().map(|gpu| &gpu.uuid).eq(part
                .host
                .gpus
                .iter()
                .map(|gpu| &gpu.uuid));
        if !same {
            return Err(refused(format!(
                "the campaign in {} was begun on another machine or other accelerators: give \
                 another --dir",
                folder.path().display()
            )));
        }
        folder.keep_campaign(&measured.campaign)?;
        let period = |row: &crate::server::protocol::SensorRow| {
            let domain = &row.domain;
            (domain.id.to_string(), domain.update_period.as_secs_f64())
        };
        let periods = list.domains.iter().map(period).collect();
        let since = (clock::now(), measured.campaign.seconds);
        Ok(Session {
            ready,
            folder,
            options,
            gpus: machine.choice.clone(),
            machine,
            periods,
            client,
            progress,
            since,
            resumed,
            measured,
        })
    }

    /// Measures until the campaign has what it wants.
    ///
    /// # Errors
    /// An interruption, or a part that failed; what was complete before is kept.
    pub fn measure(&mut self) -> Result<StoppedBy, Ended> {
        if self.measured.idle.is_none() && !self.ready.spec.protocol.idle.is_zero() {
            self.idle()?;
        }
        let mut first = true;
        loop {
            let spec = &self.ready.spec;
            let number = match next(&spec.protocol, &spec.stop, &self.measured.done()) {
                Next::Stop(by) => return Ok(by),
                Next::Repetition(number) => number,
            };
            let mut exceptions = Vec::new();
            if std::mem::take(&mut first) {
                let taken_up = self.resumed && number > 1;
                if !spec.protocol.warm_up.is_zero() {
                    self.warm_up()?;
                }
                if taken_up {
                    exceptions.push(note(
                        Rule::WarmUp,
                        number,
                        "the campaign was interrupted before it and taken up with another warm-up",
                    ));
                }
            } else if let Some(found) = self.settle()? {
                exceptions.push(note(Rule::Settling, number, &found));
            }
            self.repetition(number, exceptions)?;
        }
    }

    fn idle(&mut self) -> Result<(), Ended> {
        let time = self.ready.spec.protocol.idle;
        self.progress.say(&format!("idle baseline: {}", text::duration(time.as_secs_f64())));
        let name = format!("{} idle", self.ready.spec.name);
        let record =
            self.job("idle", 1, &name, sleep(time), &mut Outlook::plain("idle baseline", time))?;
        let idle = measured::idle(&record)
            .map_err(|error| Failure::new(Code::Refused, format!("idle baseline: {error}")))?;
        self.folder.keep_idle(&idle)?;
        self.progress.say(&format!("idle: {} W", text::number(idle.watts)));
        self.measured.idle = Some(idle);
        self.keep_time()?;
        Ok(())
    }

    fn warm_up(&mut self) -> Result<(), Ended> {
        let time = self.ready.spec.protocol.warm_up;
        let number = self.measured.warm_ups.len() + 1;
        self.progress.say(&format!("warm-up: {}", text::duration(time.as_secs_f64())));
        let name = format!("{} warm-up", self.ready.spec.name);
        let (record, report) =
            self.window("warm-up", number, &name, time, &mut Outlook::plain("warm-up", time))?;
        let warm_up = WarmUp {
            part: WarmUpPart {
                seconds: record.job.duration_seconds.unwrap_or(0.0),
                runs: report.runs,
                units: measured::units(&record, &self.ready.spec.unit.name),
            },
            joules: measured::joules(&record),
        };
        self.folder.keep_warm_up(number, &warm_up)?;
        self.measured.warm_ups.push(warm_up);
        self.keep_time()?;
        Ok(())
    }

    fn repetition(&mut self, number: u32, mut exceptions: Vec<ExceptionPart>) -> Result<(), Ended> {
        let spec = &self.ready.spec;
        let most = match spec.stop.confidence_percent {
            Some(_) => spec.protocol.max_repetitions,
            None => spec.protocol.repetitions,
        };
        let title = format!("repetition {number} of {most}");
        self.progress.say(&title);
        let name = format!("{} {number}", spec.name);
        let around = std::env::var(INSIDE_JOB).unwrap_or_default();
        let mut watch = Watch::start(&self.machine, self.options);
        watch.add(self.jobs_on(&[&around]));
        let least = spec.protocol.window;
        let so_far = match self.so_far() {
            value if value.is_empty() => value,
            value => format!("; {value}"),
        };
        let mut outlook = Outlook { title: title.clone(), least, so_far, watch: Some(watch) };
        let (record, report) =
            self.window("repetition", number as usize, &name, least, &mut outlook)?;
        let seen = outlook.watch.map_or_else(Default::default, |mut watch| {
            watch.add(self.jobs_on(&[&around, &record.job.id]));
            watch.end(&self.machine)
        });
        if let Some(counted) = report.units
            && (counted - measured::units(&record, &spec.unit.name)).abs() > 0.5e-3
        {
            let marked = measured::units(&record, &spec.unit.name);
            let found = format!("{counted} were counted and {marked} were marked");
            exceptions.push(note(Rule::Units, number, &found));
        }
        let runs = (number, report.runs);
        let part = measured::repetition(&record, runs, &spec.unit.name, &self.periods, seen)
            .map_err(|error| {
                let log = self.folder.file("repetition", number as usize, "log");
                let what =
                    format!("repetition {number}: {error}; its output is in {}", log.display());
                Failure::new(Code::Refused, what)
            })?;
        let one = Measured { part, pue: record.energy.pue.clone(), exceptions };
        self.folder.keep_repetition(&one)?;
        self.measured.repetitions.push(one);
        self.keep_time()?;
        self.progress.say(&format!("{title}: {}", self.so_far()));
        Ok(())
    }

    /// Waits until the power is near idle, at most the settle time; says where it is not.
    fn settle(&mut self) -> Result<Option<String>, Ended> {
        let most = self.ready.spec.protocol.settle;
        let Some(idle) = self.measured.idle.clone().filter(|_| !most.is_zero()) else {
            return Ok(None);
        };
        let since = clock::now();
        loop {
            if signals::came().is_some() {
                return Err(Ended::Interrupted);
            }
            let list = sensors(self.client.as_ref(), self.options, start::sensors_in_motion);
            let rows = list.domains.iter().filter(|row| {
                row.domain.counted() && idle.domains.contains_key(row.domain.id.as_str())
            });
            let watts: Option<f64> = rows.map(|row| row.power_watts).sum();
            let calm = watts.is_some_and(|watts| watts <= idle.watts * (1.0 + SETTLED_WITHIN));
            let waited = clock::now().since(since);
            if calm {
                return Ok(None);
            }
            if waited >= most {
                let now = watts.map_or("unknown".to_owned(), |watts| format!("{watts:.1} W"));
                return Ok(Some(format!(
                    "the power was {now} after {:.0} s, and {:.1} W when idle",
                    waited.as_secs_f64(),
                    idle.watts
                )));
            }
            self.progress.draw(&format!(
                "settling: {} of {} at most",
                text::duration(waited.as_secs_f64()),
                text::duration(most.as_secs_f64())
            ));
            std::thread::sleep(TICK.min(most - waited));
        }
    }

    /// Jobs that the daemon knows on the accelerators, but for those named.
    fn jobs_on(&self, but: &[&str]) -> Vec<String> {
        jobs_on(self.client.as_ref(), &self.machine.domains(), but)
    }

    /// The value so far, for people.
    fn so_far(&self) -> String {
        let unit = summary::unit(&self.ready.spec.unit);
        self.measured.value().map_or(String::new(), |(mean, half_width)| {
            let percent = text::percent(half_width / mean * 100.0);
            format!("{} per {unit} ± {percent} so far", text::energy(mean))
        })
    }

    /// The time that the campaign has taken.
    fn keep_time(&mut self) -> Result<(), Failure> {
        let (since, before) = self.since;
        self.measured.campaign.seconds = before + clock::now().since(since).as_secs_f64();
        self.folder.keep_campaign(&self.measured.campaign)
    }

    /// A job that runs the work; its window's report beside its record.
    fn window(
        &mut self,
        part: &str,
        number: usize,
        name: &str,
        least: Duration,
        outlook: &mut Outlook,
    ) -> Result<(Record, WindowReport), Ended> {
        let path = self.folder.file(part, number, "window.json");
        let _ = std::fs::remove_file(&path);
        let command = self.ready.window(least, &path).map_err(|error| {
            Failure::new(Code::Failed, format!("cannot find my own executable: {error}"))
        })?;
        let record = self.job(part, number, name, command, outlook)?;
        Ok((record, report(&path)?))
    }

    fn job(
        &mut self,
        part: &str,
        number: usize,
        name: &str,
        command: Vec<std::ffi::OsString>,
        outlook: &mut Outlook,
    ) -> Result<Record, Ended> {
        let job = Job {
            name: name.to_owned(),
            campaign: &self.measured.campaign.id,
            gpus: &self.gpus,
            command,
            directory: &self.ready.directory,
            environment: &self.ready.environment,
            record: self.folder.file(part, number, "job.json"),
            log: self.folder.file(part, number, "log"),
        };
        let since = clock::now();
        let (progress, machine) = (&mut self.progress, &mut self.machine);
        let done = job.run(&mut |pid| {
            if let Some(watch) = &mut outlook.watch {
                watch.look(machine, pid);
            }
            let seconds = clock::now().since(since).as_secs_f64();
            let least = text::duration(outlook.least.as_secs_f64());
            let now = text::duration(seconds);
            progress
                .draw(&format!("{}: {now} of {least} at least{}", outlook.title, outlook.so_far));
        });
        progress.clear();
        done.map_err(|error| match error {
            NoRecord::Interrupted => Ended::Interrupted,
            NoRecord::Failed(what) => Ended::Failed(Failure::new(Code::Failed, what)),
        })
    }
}

/// What is drawn and looked at while a job runs.
struct Outlook {
    title: String,
    least: Duration,
    /// The value until now.
    so_far: String,
    watch: Option<Watch>,
}

impl Outlook {
    /// Of a part that is not measured.
    fn plain(title: &str, least: Duration) -> Outlook {
        Outlook { title: title.to_owned(), least, so_far: String::new(), watch: None }
    }
}

fn note(rule: Rule, number: u32, found: &str) -> ExceptionPart {
    ExceptionPart { rule, repetition: Some(number), found: found.to_owned() }
}

fn report(path: &Path) -> Result<WindowReport, Failure> {
    let failed =
        |what: String| Failure::new(Code::Failed, format!("cannot use {}: {what}", path.display()));
    let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))
}

/// The sensors as the daemon sees them, else as this process does.
fn sensors(
    client: Option<&Client>,
    options: &Options,
    discover: fn(&Options) -> SensorList,
) -> SensorList {
    let of_daemon = client.and_then(|client| client.another().sensors().ok());
    of_daemon.unwrap_or_else(|| discover(options))
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}
