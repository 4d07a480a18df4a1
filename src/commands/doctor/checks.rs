// SPDX-License-Identifier: Apache-2.0
//! The checks, one function each: what is looked at, and what it means.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::clock;
use crate::config::{ConfigError, Options};
use crate::grid::chain;
use crate::jobs::JobId;
use crate::jobs::cgroup::Cradle;
use crate::ledger::query::Reader;
use crate::ledger::schema::LedgerError;
use crate::sensors::{Method, Missing};
use crate::server::bind::Listen;
use crate::server::client::{Client, ClientError};
use crate::server::protocol::{SensorList, SensorRow};
use crate::server::web::Web;

use super::super::{grid, start};
use super::{Finding, Severity};

/// Less room than this and the ledger will soon fail: a month of a busy machine's
/// bookings (docs/ledger.md).
const LEAST_ROOM: u64 = 200 << 20;
/// How long a port is knocked at.
const KNOCK: Duration = Duration::from_secs(1);

/// Makes every check, in the order of the data's way.
pub fn all(options: &Options, problem: Option<&ConfigError>, say: &mut dyn FnMut(Finding)) {
    say(config(options, problem));
    say(clock_is_set());
    let (client, answer) = socket(options);
    let served = client.is_some();
    sensors(options, client, say);
    say(cgroup(options, served));
    say(answer);
    say(ledger(options, served));
    for place in &options.listen {
        say(http(place, served));
    }
    if let Some(path) = &options.web_config_file {
        say(web_file(path));
    }
    intensity(options, say);
}

fn config(options: &Options, problem: Option<&ConfigError>) -> Finding {
    match (problem, &options.file) {
        (Some(error), _) => Finding::new("config", Severity::Error, error.to_string())
            .with("mend it; what follows is checked with the defaults"),
        (None, Some(path)) => Finding::new("config", Severity::Ok, path.display().to_string()),
        (None, None) => Finding::new("config", Severity::Ok, "no file: the defaults"),
    }
}

/// Energy is counted on the boot's clock; intensities hold by the wall's.
fn clock_is_set() -> Finding {
    let now = clock::wall();
    match clock::synchronised() {
        Some(true) => Finding::new("clock", Severity::Ok, format!("synchronised, {now:.0}")),
        Some(false) => Finding::new(
            "clock",
            Severity::Warning,
            format!("nothing keeps it right: it says {now:.0}, and intensities go by it"),
        )
        .with("timedatectl set-ntp true, or run chrony"),
        None => Finding::new("clock", Severity::Note, format!("{now:.0}, as far as is known")),
    }
}

/// The daemon, if one answers.
fn socket(options: &Options) -> (Option<Client>, Finding) {
    let mut last = None;
    for path in options.client_sockets() {
        match Client::connect(&path) {
            Ok(client) => {
                let what = format!("the daemon answers on {}", path.display());
                return (Some(client), Finding::new("socket", Severity::Ok, what));
            }
            Err(error) => last = Some(error),
        }
    }
    let Some(error) = last else {
        return (None, Finding::new("socket", Severity::Error, "no socket to try"));
    };
    let finding = match &error {
        ClientError::Unreachable { path, .. } => Finding::new(
            "socket",
            Severity::Warning,
            format!(
                "no daemon answers on {}: `aimeter run` meters by itself and keeps no books",
                path.display()
            ),
        )
        .with("systemctl enable --now aimeter, or `aimeter daemon`"),
        ClientError::NotPermitted { path, remedy } => {
            let what = format!("you may not use {}", path.display());
            Finding::new("socket", Severity::Error, what).with(remedy.clone())
        }
        ClientError::Version(_) => Finding::new("socket", Severity::Error, error.to_string())
            .with("systemctl restart aimeter"),
        _ => {
            Finding::new("socket", Severity::Error, error.to_string()).with("journalctl -u aimeter")
        }
    };
    (None, finding)
}

fn sensors(options: &Options, client: Option<Client>, say: &mut dyn FnMut(Finding)) {
    let list = match client.map(|mut client| client.sensors()) {
        Some(Ok(list)) => list,
        None => start::sensors_in_motion(options),
        Some(Err(error)) => {
            let what = format!("the daemon does not tell of its sensors: {error}");
            say(Finding::new("sensors", Severity::Error, what).with(
                "journalctl -u aimeter, then systemctl restart aimeter; what follows was read \
                 without it",
            ));
            start::sensors_in_motion(options)
        }
    };
    say(of_what_is_read(&list));
    list.missing.iter().map(of_missing).for_each(&mut *say);
    list.domains.iter().filter_map(of_domain).for_each(say);
}

fn of_what_is_read(list: &SensorList) -> Finding {
    let counted = |row: &&SensorRow| row.domain.method != Method::Estimate;
    let ids: Vec<String> =
        list.domains.iter().filter(counted).map(|row| row.domain.id.to_string()).collect();
    if ids.is_empty() {
        let what = "no energy sensor can be read: energy is estimated, or not known at all";
        return Finding::new("sensors", Severity::Warning, what).with("see docs/sensors.md");
    }
    let driver = list.domains.iter().find_map(|row| row.domain.driver.as_ref());
    let driver = driver.map_or(String::new(), |version| format!("; NVIDIA driver {version}"));
    Finding::new("sensors", Severity::Ok, format!("{} read{driver}", ids.join(", ")))
}

fn of_missing(missing: &Missing) -> Finding {
    let severity = match missing.state.as_str() {
        "no_device" | "overlap" => Severity::Note,
        "absent" | "no_counter" => Severity::Warning,
        _ => Severity::Error,
    };
    let what = format!("{} {}: {}", missing.source, missing.what, missing.why);
    Finding { remedy: missing.remedy.clone(), ..Finding::new("sensors", severity, what) }
}

/// What is wrong with a domain's counter.
fn of_domain(row: &SensorRow) -> Option<Finding> {
    let id = &row.domain.id;
    let finding = |severity, what: String| Finding::new("counters", severity, what);
    let still = row.power_watts == Some(0.0) && row.domain.method == Method::Counter;
    Some(match row.state.as_str() {
        "ok" | "no_data" if !still => return None,
        "ok" | "no_data" => {
            finding(Severity::Warning, format!("{id} did not move between two readings"))
                .with("see it again under load; a counter that stays is booked as 0 J")
        }
        "dead" => finding(Severity::Error, format!("{id} stays at 0: it counts nothing"))
            .with("update firmware and driver; virtual machines often have such counters"),
        "lost" => finding(Severity::Error, format!("{id} is gone"))
            .with("dmesg | grep -i -e nvrm -e xid, then reset or replace the device"),
        "not_permitted" => finding(Severity::Error, format!("{id} may not be read"))
            .with("run the daemon as its package does, see docs/sensors.md"),
        "stalled" => finding(Severity::Error, format!("reading {id} does not come back"))
            .with("nvidia-smi; if it hangs too, reload the driver or reboot"),
        other => finding(Severity::Error, format!("{id}: its last reading {other}"))
            .with("journalctl -u aimeter"),
    })
}

/// Whether a job can have a cgroup of its own, tried with an empty one.
fn cgroup(options: &Options, served: bool) -> Finding {
    match Cradle::make(&options.roots, &JobId::generate()) {
        Ok(cradle) => {
            cradle.remove();
            Finding::new("cgroup", Severity::Ok, "each job gets one of its own")
        }
        Err(error) if served => Finding::new(
            "cgroup",
            Severity::Note,
            format!(
                "you may make none ({error}): the daemon tries for each job, else its CPU time \
                 is taken from its process tree (docs/install.md)"
            ),
        ),
        Err(error) => Finding::new(
            "cgroup",
            Severity::Warning,
            format!("none for jobs ({error}): CPU time is taken from the process tree"),
        )
        .with(
            "systemd-run --user --scope -p Delegate=yes aimeter run …; or give the daemon the \
             right (docs/install.md)",
        ),
    }
}

fn ledger(options: &Options, served: bool) -> Finding {
    let directory = options.ledger_to_read();
    let finding = |severity, what: String| Finding::new("ledger", severity, what);
    let reader = match Reader::open(&directory) {
        Ok(reader) => reader,
        Err(error @ LedgerError::Absent(_)) if served => {
            return finding(Severity::Error, format!("{error}, though a daemon runs"))
                .with("set --state-dir to the daemon's, or see its log: journalctl -u aimeter");
        }
        Err(LedgerError::Absent(directory)) => {
            let what = format!("none yet at {}", directory.display());
            return finding(Severity::Note, what);
        }
        Err(error @ LedgerError::Open { .. }) => {
            return finding(Severity::Warning, error.to_string())
                .with("ask as root, or as the ledger's owner");
        }
        Err(error) => return finding(Severity::Error, error.to_string()),
    };
    if let Err(error) = reader.check() {
        return finding(Severity::Error, error.to_string())
            .with("stop the daemon, keep a copy of the file, start it again: it begins a new one");
    }
    match room(&directory) {
        Some(bytes) if bytes < LEAST_ROOM => finding(
            Severity::Warning,
            format!("{} has {} MiB left on its disk", directory.display(), bytes >> 20),
        )
        .with("free some room: what cannot be written is kept in memory and lost at a crash"),
        _ => finding(Severity::Ok, format!("{} is sound", directory.display())),
    }
}

/// Bytes that are free to everybody.
fn room(directory: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(directory).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn http(place: &Listen, served: bool) -> Finding {
    let finding = |severity, what: String| Finding::new("port", severity, what);
    match place {
        Listen::Tcp(address) => port(*address, served),
        Listen::Unix(path) => socket_of_http(path, served),
        Listen::Systemd(_) => finding(
            Severity::Note,
            "HTTP is served on the service manager's sockets: systemctl list-sockets".into(),
        ),
    }
}

fn socket_of_http(path: &Path, served: bool) -> Finding {
    let finding = |severity, what: String| Finding::new("port", severity, what);
    let shown = path.display();
    let there = std::fs::symlink_metadata(path).ok();
    if there.is_some_and(|metadata| !metadata.file_type().is_socket()) {
        return finding(Severity::Error, format!("{shown} is there and is no socket"))
            .with("remove it, or set daemon.listen");
    }
    match (UnixStream::connect(path), served) {
        (Ok(_), true) => finding(Severity::Ok, format!("{shown} answers")),
        (Ok(_), false) => finding(Severity::Error, format!("somebody answers on {shown}"))
            .with("stop who does, or set daemon.listen"),
        (Err(error), _) if error.kind() == ErrorKind::PermissionDenied => {
            finding(Severity::Note, format!("{shown} is closed to you"))
        }
        (Err(error), true) => finding(
            Severity::Warning,
            format!("nothing answers on {shown}, though a daemon runs: {error}"),
        )
        .with("set daemon.listen here as it is for the daemon, or look into its log"),
        (Err(_), false) => finding(Severity::Ok, format!("{shown} is the daemon's to make")),
    }
}

/// The web file with all that it names.
fn web_file(path: &Path) -> Finding {
    match Web::open(path) {
        Ok(_) => Finding::new("web", Severity::Ok, path.display().to_string()),
        Err(error) if error.is_closed() => Finding::new("web", Severity::Note, error.to_string()),
        Err(error) => Finding::new("web", Severity::Error, error.to_string()).with(
            "mend it: a daemon does not start with it, and one that runs keeps the earlier one",
        ),
    }
}

fn port(address: SocketAddr, served: bool) -> Finding {
    let finding = |severity, what: String| Finding::new("port", severity, what);
    if address.port() == 0 {
        return finding(Severity::Note, format!("{address} takes a free port: the log says which"));
    }
    if served {
        return match TcpStream::connect_timeout(&address, KNOCK) {
            Ok(_) => finding(Severity::Ok, format!("{address} answers")),
            Err(error) => finding(
                Severity::Warning,
                format!("nothing answers at {address}, though a daemon runs: {error}"),
            )
            .with("set daemon.listen here as it is for the daemon, or look into its log"),
        };
    }
    match TcpListener::bind(address) {
        Ok(_) => finding(Severity::Ok, format!("{address} is free for the daemon")),
        Err(error) => {
            let remedy = match error.kind() {
                ErrorKind::AddrInUse => {
                    format!(
                        "see who has it: ss -ltnp 'sport = :{}'; or set daemon.listen",
                        address.port()
                    )
                }
                _ => "set daemon.listen to an address of this machine".to_owned(),
            };
            finding(Severity::Error, format!("{address} cannot be taken: {error}")).with(remedy)
        }
    }
}

fn intensity(options: &Options, say: &mut dyn FnMut(Finding)) {
    let finding = |severity, what: String| Finding::new("grid", severity, what);
    let Some(zone) = options.zone.as_deref() else {
        let what = "no zone is set: emissions are by the world's mean";
        say(finding(Severity::Warning, what.into())
            .with("set carbon.zone, such as \"GB\", in the configuration"));
        return;
    };
    let feeds = options.grid.feeds(zone);
    if feeds.is_empty() {
        say(finding(Severity::Note, format!("{}: the yearly mean is used", chain::key_hint(zone))));
    }
    let rows = grid::wait_for(grid::ask_all(&feeds, options)).unwrap_or_default();
    for row in rows {
        say(match &row.outcome {
            Ok(fact) => finding(
                Severity::Ok,
                format!("{}: {} g/kWh in {}", row.feed, fact.intensity.grams_per_kwh(), row.zone),
            ),
            Err(error) => finding(Severity::Warning, format!("{}: {error}", row.feed))
                .with("aimeter grid check; the next feed, else the yearly mean, is used meanwhile"),
        });
    }
}
