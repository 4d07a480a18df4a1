// SPDX-License-Identifier: Apache-2.0
//! The client of the control socket, for the wrapper and the commands.
//!
//! Blocking, without a runtime, and bounded in every wait: a daemon that is dead
//! or stands still must never delay a job by more than [`CONNECT_TIMEOUT`].
//! The connection made by [`Client::connect`] serves the first request; each
//! later one makes its own, so that neither an idle timeout nor a daemon that was
//! restarted in between matters.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::carbon::Known;
use crate::clock;
use crate::jobs::{Exit, JobId, JobSpec};
use crate::ledger::JobReport;
use crate::record::Record;
use crate::units::BootTime;

use super::now::Now;
use super::protocol::{MAX_LINE, MarkLine, Request, Response, SensorList, VERSION};

/// The longest time that connecting and `Hello` take together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(200);
/// The longest wait for an answer that takes no measurement.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest wait for a listing or for the GPUs' driver.
const SLOW_TIMEOUT: Duration = Duration::from_secs(12);
/// The largest answer: a record of years.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// Bytes of a command line that are sent; the rest is left out and said so.
const MAX_COMMAND: usize = 64 * 1024;

/// Why the daemon did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers.
    #[error("no daemon answers on {}: {source}; start one with `aimeter daemon`", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The socket may not be used.
    #[error("you may not use {}: {remedy}", path.display())]
    NotPermitted {
        /// The socket.
        path: PathBuf,
        /// What to do about it.
        remedy: String,
    },
    /// It is of another release.
    #[error("the daemon is of another release: {0}; restart it")]
    Version(String),
    /// It refused.
    #[error("{message}")]
    Refused {
        /// A code of the protocol's closed set.
        code: String,
        /// For people.
        message: String,
    },
    /// The connection broke or the answer did not come in time.
    #[error("the daemon did not answer: {0}")]
    Lost(#[from] io::Error),
    /// It answered something else.
    #[error("the daemon gave an answer that is none to this request")]
    Unexpected,
}

impl ClientError {
    /// Whether it may go well a moment later: nobody answered, or too many ask.
    pub fn passes(&self) -> bool {
        match self {
            ClientError::Lost(_) | ClientError::Unreachable { .. } => true,
            ClientError::Refused { code, .. } => code == "busy",
            _ => false,
        }
    }
}

/// What a start or join gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The moment from which energy is the job's.
    pub at: BootTime,
    /// What the user should know at once.
    pub warnings: Vec<String>,
}

/// The daemon as a command sees it.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    connection: Option<UnixStream>,
}

impl Client {
    /// Connects and says `Hello`, in at most [`CONNECT_TIMEOUT`].
    ///
    /// # Errors
    /// Where nobody answers in time, or it is another release.
    pub fn connect(path: &Path) -> Result<Client, ClientError> {
        let connection = greet(path)?;
        Ok(Client { path: path.to_owned(), connection: Some(connection) })
    }

    /// Asks for a job to be metered. Its process waits for the answer before it
    /// execs, so `wait` is the most that the job can be delayed by.
    ///
    /// # Errors
    /// Where the daemon is lost or refuses.
    pub fn start(&mut self, spec: &JobSpec, wait: Duration) -> Result<Started, ClientError> {
        self.started(&Request::Start(Box::new(fitting(spec))), wait)
    }

    /// One more process of a running job.
    ///
    /// # Errors
    /// Where the daemon is lost or refuses.
    pub fn join(
        &mut self,
        job: &JobId,
        pid: i32,
        wrapper_pid: i32,
        wait: Duration,
    ) -> Result<Started, ClientError> {
        self.started(&Request::Join { job: job.clone(), pid, wrapper_pid }, wait)
    }

    /// The main process ended; waits at most `wait` for the record.
    ///
    /// # Errors
    /// Where the daemon is lost or refuses.
    pub fn end(
        &mut self,
        job: &JobId,
        pid: i32,
        exit: Exit,
        at: BootTime,
        wait: Duration,
    ) -> Result<Record, ClientError> {
        let request = Request::End { job: job.clone(), pid, exit, at, want_record: true };
        match self.ask(&request, wait)? {
            Response::Ended(record) => Ok(*record),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// A rank's main process ended, or nobody wants the record.
    ///
    /// # Errors
    /// Where the daemon is lost or refuses.
    pub fn end_quietly(
        &mut self,
        job: &JobId,
        pid: i32,
        exit: Exit,
        at: BootTime,
    ) -> Result<(), ClientError> {
        let request = Request::End { job: job.clone(), pid, exit, at, want_record: false };
        match self.ask(&request, ANSWER_TIMEOUT)? {
            Response::Noted => Ok(()),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// All that is known of a job that runs or ended recently.
    ///
    /// # Errors
    /// Where the daemon is lost or refuses.
    pub fn show(&mut self, job: &JobId) -> Result<(JobReport, Known), ClientError> {
        match self.ask(&Request::Show { job: job.clone() }, SLOW_TIMEOUT)? {
            Response::Job { report, known } => Ok((*report, *known)),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// SIGTERM to a job's processes.
    ///
    /// # Errors
    /// Where the daemon is lost or refuses.
    pub fn terminate(&mut self, job: &JobId) -> Result<(), ClientError> {
        self.done(&Request::Terminate { job: job.clone() })
    }

    /// The domains and what is missing.
    ///
    /// # Errors
    /// Where the daemon is lost or refuses.
    pub fn sensors(&mut self) -> Result<SensorList, ClientError> {
        match self.ask(&Request::Sensors, SLOW_TIMEOUT)? {
            Response::Sensors(list) => Ok(list),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// What is drawn now and who uses it; of the jobs only `job`, where one is named.
    ///
    /// # Errors
    /// Where the daemon is lost or refuses.
    pub fn now(&mut self, job: Option<&JobId>) -> Result<Now, ClientError> {
        match self.ask(&Request::Now { job: job.cloned() }, ANSWER_TIMEOUT)? {
            Response::Now(now) => Ok(*now),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Another client of the same daemon; it connects at its first request.
    pub fn another(&self) -> Client {
        Client { path: self.path.clone(), connection: None }
    }

    /// Lets go of the GPUs' driver.
    ///
    /// # Errors
    /// Where the daemon is lost or refuses.
    pub fn gpu_release(&mut self) -> Result<(), ClientError> {
        self.done(&Request::GpuRelease)
    }

    /// Takes the GPUs up again.
    ///
    /// # Errors
    /// Where the daemon is lost or refuses.
    pub fn gpu_reclaim(&mut self) -> Result<(), ClientError> {
        self.done(&Request::GpuReclaim)
    }

    fn started(&mut self, request: &Request, wait: Duration) -> Result<Started, ClientError> {
        match self.ask(request, wait)? {
            Response::Started { at, warnings, .. } => Ok(Started { at, warnings }),
            _ => Err(ClientError::Unexpected),
        }
    }

    fn done(&mut self, request: &Request) -> Result<(), ClientError> {
        match self.ask(request, SLOW_TIMEOUT)? {
            Response::Done => Ok(()),
            _ => Err(ClientError::Unexpected),
        }
    }

    fn ask(&mut self, request: &Request, wait: Duration) -> Result<Response, ClientError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => greet(&self.path)?,
        };
        exchange(&mut connection, request, clock::now().plus(wait))
    }
}

/// What to do to be let in: the group that may use the socket.
fn who_may(socket: &Path) -> String {
    let Ok(metadata) = std::fs::symlink_metadata(socket) else {
        return "its folder is closed to you".to_owned();
    };
    let group = nix::unistd::Group::from_gid(nix::unistd::Gid::from_raw(metadata.gid()));
    match group {
        _ if metadata.gid() == 0 => {
            "it is root's alone, until `daemon.socket_group` names a group for it".to_owned()
        }
        Ok(Some(group)) => format!("join its group `{}`", group.name),
        _ => format!("join its group {}", metadata.gid()),
    }
}

/// Connects and says `Hello`.
fn greet(path: &Path) -> Result<UnixStream, ClientError> {
    let deadline = clock::now().plus(CONNECT_TIMEOUT);
    let unreachable = |source| not_reached(path, source);
    let mut stream = connect(path).map_err(unreachable)?;
    match exchange(&mut stream, &Request::Hello { version: VERSION }, deadline) {
        Ok(Response::Hello { version, .. }) if version == VERSION => Ok(stream),
        Ok(Response::Hello { version, .. }) => Err(ClientError::Version(format!(
            "the client speaks version {VERSION}, the daemon {version}"
        ))),
        Ok(_) => Err(ClientError::Unexpected),
        Err(ClientError::Refused { code, message }) if code == "version" => {
            Err(ClientError::Version(message))
        }
        Err(ClientError::Lost(source)) => Err(unreachable(source)),
        Err(other) => Err(other),
    }
}

fn not_reached(path: &Path, source: io::Error) -> ClientError {
    match source.kind() {
        ErrorKind::PermissionDenied => {
            ClientError::NotPermitted { path: path.to_owned(), remedy: who_may(path) }
        }
        _ => ClientError::Unreachable { path: path.to_owned(), source },
    }
}

/// Sends one mark and takes its answer, in at most [`CONNECT_TIMEOUT`].
///
/// # Errors
/// Where nobody answers in time, or the mark is refused.
pub fn mark(path: &Path, line: MarkLine) -> Result<(), ClientError> {
    let deadline = clock::now().plus(CONNECT_TIMEOUT);
    let mut stream = connect(path).map_err(|source| not_reached(path, source))?;
    match exchange(&mut stream, &Request::Mark(line), deadline)? {
        Response::Marked(_) => Ok(()),
        _ => Err(ClientError::Unexpected),
    }
}

/// Connects without waiting: a full queue is a daemon that stands still.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &address)?;
    Ok(UnixStream::from(socket))
}

/// One request and its answer, before `deadline`.
fn exchange(
    stream: &mut UnixStream,
    request: &Request,
    deadline: BootTime,
) -> Result<Response, ClientError> {
    let mut text = serde_json::to_vec(request).map_err(io::Error::from)?;
    text.push(b'\n');
    send(stream, &text, deadline)?;
    let answer = receive(stream, deadline)?;
    match serde_json::from_slice(&answer).map_err(io::Error::from)? {
        Response::Error { code, message } => Err(ClientError::Refused { code, message }),
        response => Ok(response),
    }
}

fn send(stream: &mut UnixStream, mut text: &[u8], deadline: BootTime) -> io::Result<()> {
    while !text.is_empty() {
        match stream.write(text) {
            Ok(sent) => text = &text[sent..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                wait(stream, PollFlags::OUT, deadline)?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn receive(stream: &mut UnixStream, deadline: BootTime) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut part = [0; 16 * 1024];
    loop {
        match stream.read(&mut part) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(got) => answer.extend_from_slice(&part[..got]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                wait(stream, PollFlags::IN, deadline)?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if answer.last() == Some(&b'\n') {
            return Ok(answer);
        }
        if answer.len() > MAX_ANSWER {
            return Err(io::Error::other("the answer is too long"));
        }
    }
}

/// Waits until the stream is ready, or the deadline has passed.
fn wait(stream: &UnixStream, ready: PollFlags, deadline: BootTime) -> io::Result<()> {
    let left = deadline.since(clock::now());
    if left.is_zero() {
        return Err(ErrorKind::TimedOut.into());
    }
    let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
    match poll(&mut [PollFd::new(stream, ready)], Some(&left)) {
        // Signals belong to the wrapper; the deadline bounds the repetition.
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The spec with a command line that fits into a request.
fn fitting(spec: &JobSpec) -> JobSpec {
    // JSON writes a control character in six bytes.
    const { assert!(MAX_COMMAND * 6 < MAX_LINE / 2) };
    let mut spec = spec.clone();
    let mut room = MAX_COMMAND;
    let whole = spec.command.iter().position(|argument| {
        let fits = argument.len() < room;
        room = room.saturating_sub(argument.len() + 1);
        !fits
    });
    if let Some(first_left_out) = whole {
        spec.command.truncate(first_left_out);
        spec.command.push("…".into());
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_there_is_said_with_the_remedy() {
        let error = Client::connect(Path::new("/nonexistent/aimeter.sock")).unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }));
        assert!(error.to_string().contains("start one with `aimeter daemon`"));
    }

    #[test]
    fn a_daemon_that_stands_still_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        // Listens and never answers: the time-out is the only way out of here.
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        match Client::connect(&path).unwrap_err() {
            ClientError::Unreachable { source, .. } => {
                assert_eq!(source.kind(), ErrorKind::TimedOut);
            }
            other => panic!("{other:?}"),
        }
    }
}
