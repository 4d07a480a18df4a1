// SPDX-License-Identifier: Apache-2.0
//! Configuration: flags, environment, TOML file and defaults, merged into one
//! checked [`Options`] that knows where each value comes from.
//!
//! A flag wins over the environment, the environment over the file, the file
//! over the default. The whole is checked before anything of the system is
//! touched. The settings are declared once, in [`keys`]; the environment is an
//! argument, so that the merge is tested without one.

pub mod carbon;
mod error;
pub mod feeds;
pub mod file;
pub mod keys;
mod nearest;
pub mod reference;
pub mod show;
mod source;
pub mod value;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use crate::attribution::IdlePolicy;
use crate::carbon::resources::Accounting;
use crate::engine::Settings;
use crate::export::prometheus::bounds::Limits;
use crate::grid;
use crate::grid::chain::GridSettings;
use crate::grid::facts::FactBook;
use crate::grid::feeds::{Boundary, Coordinates, Feed};
use crate::grid::place::Found;
use crate::sensors::{DomainId, Roots};
use crate::server::bind::Listen;

use carbon::PueSettings;
pub use error::{ConfigError, Origin};
use keys::{Form, KEYS};
use source::Source;

/// The configuration file that is read when none is named.
pub const DEFAULT_FILE: &str = "/etc/aimeter/aimeter.toml";
/// The ledger's folder of a daemon that runs as root.
pub const SYSTEM_STATE_DIR: &str = "/var/lib/aimeter";
/// The socket of a daemon that runs as root.
pub const SYSTEM_SOCKET: &str = "/run/aimeter/aimeter.sock";

/// A calibrated device.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// The id of its domain.
    pub domain: String,
    /// Its sensor's remaining gain error, ± percent at 95 %.
    pub gain_percent: f64,
}

/// Which file to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FileChoice {
    /// [`DEFAULT_FILE`], if it is there.
    #[default]
    Search,
    /// This one, which must be there.
    Named(PathBuf),
    /// None.
    None,
}

/// Everything the options are made of.
pub struct Sources<'a> {
    /// Flags: place in [`KEYS`] and values.
    pub flags: Vec<(usize, Vec<String>)>,
    /// The environment.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// Which file.
    pub file: FileChoice,
    /// Whether we are root: the defaults of paths depend on it.
    pub root: bool,
}

/// The checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The ledger's folder.
    pub state_dir: PathBuf,
    /// The control socket, as the daemon makes it.
    pub socket: PathBuf,
    /// Whose members may use the socket.
    pub socket_group: Option<String>,
    /// Where HTTP is served.
    pub listen: Vec<Listen>,
    /// TLS and basic auth of HTTP.
    pub web_config_file: Option<PathBuf>,
    /// Time between readings.
    pub period: Duration,
    /// sysfs and procfs.
    pub roots: Roots,
    /// NVIDIA's library.
    pub nvml_library: Option<PathBuf>,
    /// Calibrated devices.
    pub calibration: Vec<Calibration>,
    /// Who pays for idle CPU energy.
    pub idle_policy: IdlePolicy,
    /// Length of a booking's interval.
    pub interval: Duration,
    /// How long finished jobs stay in metrics.
    pub keep_finished: Duration,
    /// Carbon zone.
    pub zone: Option<String>,
    /// How the zone came about.
    pub zone_by: String,
    /// The cloud region that the zone is taken from, where it is not set.
    pub cloud_region: Option<String>,
    /// Whether the instance's own metadata may be asked.
    pub cloud_metadata: bool,
    /// Where the machine stands, for feeds that know places by it.
    pub coordinates: Option<Coordinates>,
    /// Power usage effectiveness, in thousandths.
    pub pue_thousandths: Option<u32>,
    /// Where it comes from otherwise.
    pub pue: PueSettings,
    /// What a job is accounted for beside energy and electricity.
    pub accounting: Accounting,
    /// Where intensities come from.
    pub grid: GridSettings,
    /// What feeds of both boundaries are asked for.
    boundary: Boundary,
    /// How many series metrics may have.
    pub limits: Limits,
    /// Log level.
    pub log_level: LevelFilter,
    /// The file that was read.
    pub file: Option<PathBuf>,
    origins: Vec<Origin>,
    /// What was written for each key, where it was set.
    texts: Vec<Option<Vec<String>>>,
    /// The lines of the file's lists of tables.
    tables: Vec<(&'static str, usize)>,
}

impl Options {
    /// Merges and checks.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn resolve(sources: &Sources<'_>) -> Result<Options, ConfigError> {
        let mut options = Options::defaults(sources);
        if let Some(Source { path, text, mode }) = source::read(&sources.file)? {
            let settings = file::parse(&path, &text)?;
            if settings.holds_secret() && mode & 0o077 != 0 {
                return Err(ConfigError::Exposed { path, mode });
            }
            for entry in settings.entries {
                options.set(entry.key, &entry.values, Origin::File(path.clone(), entry.line))?;
            }
            options.calibration = settings.calibration;
            options.grid.chain = settings.feeds;
            options.tables = settings.tables;
            options.file = Some(path);
        }
        for (place, key) in KEYS.iter().enumerate() {
            // An empty variable counts as unset, as is the custom.
            let text = (sources.environment)(key.environment).filter(|text| !text.is_empty());
            if let Some(text) = text {
                let values = match key.form {
                    Form::List => text.split(',').map(|item| item.trim().to_owned()).collect(),
                    _ => vec![text],
                };
                options.set(place, &values, Origin::Environment(key.environment))?;
            }
        }
        for (place, values) in &sources.flags {
            options.set(*place, values, Origin::Flag(KEYS[*place].flag()))?;
        }
        if let Some((name, what)) = options.wrong_carbon() {
            let path = format!("carbon.{name}");
            return Err(wrong(options.origin("carbon", name), &path, what.to_owned()));
        }
        options.settle();
        Ok(options)
    }

    /// What follows from several settings at once.
    fn settle(&mut self) {
        let boundary = self.boundary;
        let free = |feed: &&mut Feed| feed.provider.both_boundaries && !feed.own_boundary;
        for feed in self.grid.chain.iter_mut().flatten().filter(free) {
            feed.boundary = boundary;
        }
        match (&self.zone, &self.cloud_region) {
            (Some(_), _) => self.zone_by = self.origin("carbon", "zone").to_string(),
            (None, Some(region)) => {
                if let Ok(found) = grid::place::of_region(region) {
                    self.take_zone(found);
                }
            }
            (None, None) => {}
        }
    }

    /// A zone that was found out.
    pub fn take_zone(&mut self, found: Found) {
        self.zone = Some(found.zone);
        self.zone_by = found.by;
    }

    /// Where the value of `section.name` comes from.
    pub fn origin(&self, section: &str, name: &str) -> Origin {
        keys::position(section, name).map(|place| self.origins[place].clone()).unwrap_or_default()
    }

    /// The engine's settings, with the facts of intensity at hand.
    pub fn settings(&self, facts: Arc<FactBook>) -> Settings {
        Settings {
            period: self.period,
            interval: self.interval,
            keep_finished: self.keep_finished,
            idle_policy: self.idle_policy,
            zone: self.zone.clone(),
            pue: self.pue_plan(),
            embodied: self.accounting.embodied.clone(),
            facts,
            stale_after: self.grid.stale_after,
            calibration: self
                .calibration
                .iter()
                .map(|device| (DomainId::new(&device.domain), device.gain_percent))
                .collect(),
        }
    }

    /// Where a client looks for the daemon, in this order: the socket that was
    /// set, else the system's, then the user's own.
    pub fn client_sockets(&self) -> Vec<PathBuf> {
        let system = PathBuf::from(SYSTEM_SOCKET);
        let set = self.origin("daemon", "socket") != Origin::Default;
        if set || self.socket == system {
            vec![self.socket.clone()]
        } else {
            vec![system, self.socket.clone()]
        }
    }

    /// The ledger's folder for a command that reads it: the one that was set,
    /// else the user's own if it is there, else the system's.
    pub fn ledger_to_read(&self) -> PathBuf {
        let set = self.origin("daemon", "state_dir") != Origin::Default;
        if set || self.state_dir.exists() {
            self.state_dir.clone()
        } else {
            PathBuf::from(SYSTEM_STATE_DIR)
        }
    }

    /// The keys (`section.name`) that differ from `earlier` and need a restart.
    pub fn needs_restart(&self, earlier: &Options) -> Vec<String> {
        let mut changed = Vec::new();
        let mut note = |differs: bool, name: &str| {
            if differs {
                changed.push(name.to_owned());
            }
        };
        note(self.state_dir != earlier.state_dir, "daemon.state_dir");
        note(self.socket != earlier.socket, "daemon.socket");
        note(self.socket_group != earlier.socket_group, "daemon.socket_group");
        note(self.listen != earlier.listen, "daemon.listen");
        note(self.web_config_file != earlier.web_config_file, "daemon.web_config_file");
        note(self.roots.sysfs != earlier.roots.sysfs, "sensors.sysfs");
        note(self.roots.procfs != earlier.roots.procfs, "sensors.procfs");
        note(self.nvml_library != earlier.nvml_library, "sensors.nvml_library");
        note(self.calibration != earlier.calibration, "sensors.calibration");
        changed
    }

    /// `new` as far as it takes effect without a restart; the rest stays.
    pub fn reloaded(&self, new: Options) -> Options {
        let running = self.clone();
        Options {
            state_dir: running.state_dir,
            socket: running.socket,
            socket_group: running.socket_group,
            listen: running.listen,
            web_config_file: running.web_config_file,
            roots: running.roots,
            nvml_library: running.nvml_library,
            calibration: running.calibration,
            ..new
        }
    }

    fn defaults(sources: &Sources<'_>) -> Options {
        let get = |name: &str| (sources.environment)(name).filter(|text| !text.is_empty());
        let home = |service: &str, variable: &str, below: &str, system: &str| -> PathBuf {
            // The folder that systemd made for a service of our own, which has no home
            // (systemd.exec(5)); another service's folder has another name.
            let given = get(service).map(PathBuf::from).filter(|path| path.ends_with("aimeter"));
            let user =
                get(variable).map(|folder| Path::new(&folder).join("aimeter")).or_else(|| {
                    (!below.is_empty())
                        .then(|| get("HOME").map(|home| Path::new(&home).join(below)))?
                });
            if sources.root {
                system.into()
            } else {
                given.or(user).unwrap_or_else(|| system.into())
            }
        };
        let runtime = home("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR", "", "/run/aimeter");
        let below = ".local/state/aimeter";
        Options {
            state_dir: home("STATE_DIRECTORY", "XDG_STATE_HOME", below, SYSTEM_STATE_DIR),
            socket: runtime.join("aimeter.sock"),
            socket_group: None,
            listen: vec![Listen::Tcp(([127, 0, 0, 1], 10077).into())],
            web_config_file: None,
            period: Duration::from_secs(1),
            roots: Roots::default(),
            nvml_library: None,
            calibration: Vec::new(),
            idle_policy: IdlePolicy::default(),
            interval: Duration::from_secs(300),
            keep_finished: Duration::from_secs(900),
            zone: None,
            zone_by: String::new(),
            cloud_region: None,
            cloud_metadata: false,
            coordinates: None,
            boundary: Boundary::Lifecycle,
            pue_thousandths: None,
            pue: PueSettings::default(),
            accounting: Accounting::default(),
            grid: GridSettings::default(),
            limits: Limits::default(),
            log_level: LevelFilter::INFO,
            file: None,
            origins: vec![Origin::Default; KEYS.len()],
            texts: vec![None; KEYS.len()],
            tables: Vec::new(),
        }
    }

    fn set(&mut self, place: usize, values: &[String], origin: Origin) -> Result<(), ConfigError> {
        self.take(place, values)
            .map_err(|what| wrong(origin.clone(), &KEYS[place].path(), what))?;
        self.origins[place] = origin;
        self.texts[place] = Some(values.to_vec());
        Ok(())
    }

    fn take(&mut self, place: usize, values: &[String]) -> Result<(), String> {
        let text = values.last().map(String::as_str).unwrap_or_default();
        match (KEYS[place].section, KEYS[place].name) {
            ("daemon", "state_dir") => self.state_dir = value::path(text)?,
            ("daemon", "socket") => self.socket = value::socket_path(text)?,
            ("daemon", "socket_group") => self.socket_group = Some(text.to_owned()),
            ("daemon", "listen") => {
                self.listen =
                    values.iter().map(|text| value::listen(text)).collect::<Result<_, _>>()?;
            }
            ("daemon", "web_config_file") => self.web_config_file = Some(value::path(text)?),
            ("sensors", "period") => {
                self.period =
                    value::duration(text, Duration::from_millis(100), Duration::from_secs(10))?;
            }
            ("sensors", "sysfs") => self.roots.sysfs = value::path(text)?,
            ("sensors", "procfs") => self.roots.procfs = value::path(text)?,
            ("sensors", "nvml_library") => self.nvml_library = Some(value::path(text)?),
            ("attribution", "idle") => self.idle_policy = value::idle_policy(text)?,
            ("ledger", "interval") => {
                self.interval =
                    value::duration(text, Duration::from_secs(10), Duration::from_secs(3_600))?;
            }
            ("ledger", "keep_finished") => {
                self.keep_finished =
                    value::duration(text, Duration::ZERO, Duration::from_secs(86_400))?;
            }
            ("carbon", name) if self.take_carbon(name, values)? => {}
            ("carbon", "cloud_region") => self.cloud_region = Some(value::cloud_region(text)?),
            ("carbon", "cloud_metadata") => self.cloud_metadata = value::switch(text)?,
            ("carbon", "coordinates") => self.coordinates = Some(value::coordinates(text)?),
            ("grid", "signal") => self.grid.signal = value::signal(text)?,
            ("grid", "boundary") => self.boundary = value::boundary(text)?,
            ("grid", "stale_after") => {
                let (least, most) = (Duration::from_secs(600), Duration::from_secs(86_400));
                self.grid.stale_after = value::duration(text, least, most)?;
            }
            ("grid", "poll") => self.grid.poll = value::poll(text)?,
            ("grid", "ca") => self.grid.network.ca = Some(value::path(text)?),
            ("grid", "proxy") => self.grid.network.proxy = Some(value::proxy(text)?),
            ("metrics", "max_jobs") => self.limits.jobs = value::count(text)?,
            ("metrics", "max_users") => self.limits.users = value::count(text)?,
            ("metrics", "max_projects") => self.limits.projects = value::count(text)?,
            ("log", "level") => self.log_level = value::level(text)?,
            (section, name) => return Err(format!("`{section}.{name}` cannot be set")),
        }
        Ok(())
    }
}

/// What is wrong with a value, where it stands.
fn wrong(origin: Origin, name: &str, what: String) -> ConfigError {
    match origin {
        Origin::File(path, line) => {
            ConfigError::InFile { path, line, what: format!("{name}: {what}") }
        }
        origin => ConfigError::Given { origin, what },
    }
}

#[cfg(test)]
mod tests;
