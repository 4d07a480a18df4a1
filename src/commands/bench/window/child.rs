// SPDX-License-Identifier: Apache-2.0
//! The processes of a window: one command at a time, its output passed through.
//!
//! One thread: it sleeps in the kernel until there is output, a signal or the end of a
//! grace. The command stays in this process's group, so that what the terminal sends
//! reaches it from the kernel and is not sent again; a signal that was sent to this process
//! alone is passed on (as `aimeter run` does, see `wrapper`). A command that has reached
//! its quality is asked to end with all below it: this process is their reaper, so that
//! what loses its parent comes here.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, WaitOptions, kill_process};

use crate::benchmark::window::Stream;
use crate::clock;
use crate::commands::exit::{Code, Failure};
use crate::jobs::Exit;
use crate::units::BootTime;

/// Reads of a pipe before anything else is looked at: 1 MiB, the largest pipe that a user may
/// have (pipe(7)).
const READS: usize = 64;
/// From a command's end to the request to end of what it left behind, and from a request
/// to the kill.
const GRACE: Duration = Duration::from_secs(10);
/// Signals that end a window, once its command has ended.
const INTERRUPTS: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];
/// Signals that are only passed on.
const PASSED_ON: [Signal; 2] = [Signal::SIGUSR1, Signal::SIGUSR2];

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) exit: Exit,
    /// Whether processes that it started had to be ended.
    pub(super) left_behind: bool,
}

/// What was asked of a command.
#[derive(Clone, Copy, Debug)]
enum Request {
    None,
    /// To end, since then.
    End(BootTime),
    /// It was killed.
    Killed,
}

impl Request {
    /// How long it has been asked to end, while there is a grace.
    fn since(self) -> Option<Duration> {
        match self {
            Request::End(since) => Some(clock::now().since(since)),
            Request::None | Request::Killed => None,
        }
    }

    /// Asks where it is to end, and kills where the grace is over.
    fn next(self, enough: bool, pid: Pid) -> Request {
        match self {
            Request::None if enough => {
                send(pid, Signal::SIGTERM);
                Request::End(clock::now())
            }
            Request::End(since) if clock::now().since(since) >= GRACE => {
                send(pid, Signal::SIGKILL);
                Request::Killed
            }
            request => request,
        }
    }
}

/// Hears output of the command; says whether it is to end.
type Hear<'a> = dyn FnMut(Stream, &[u8]) -> bool + 'a;

/// The window's processes and signals.
#[derive(Debug)]
pub(super) struct Children {
    signals: SignalFd,
    /// The mask that the command is to have.
    original: SigSet,
    interrupted: Option<i32>,
}

impl Children {
    /// Takes this process's signals. To be called before any thread is started.
    pub(super) fn take_signals() -> Result<Children, Failure> {
        let mut taken = SigSet::empty();
        taken.add(Signal::SIGCHLD);
        for signal in INTERRUPTS.into_iter().chain(PASSED_ON) {
            // What `nohup` ignores stays ignored.
            if !is_ignored(signal) {
                taken.add(signal);
            }
        }
        let original = taken
            .thread_swap_mask(SigmaskHow::SIG_BLOCK)
            .map_err(|errno| failed("pthread_sigmask")(errno.into()))?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&taken, flags)
            .map_err(|errno| failed("signalfd")(errno.into()))?;
        // Without it what loses its parent is no longer seen, and goes on.
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
        Ok(Children { signals, original, interrupted: None })
    }

    /// The signal that asked for the window's end.
    pub(super) const fn interrupted(&self) -> Option<i32> {
        self.interrupted
    }

    /// Runs the command to its end. Where `read`, its output goes through `hear`.
    pub(super) fn run(
        &mut self,
        command: &[OsString],
        read: bool,
        hear: &mut Hear<'_>,
    ) -> Result<Ended, Failure> {
        let mut child = self.spawn(command, read)?;
        let mut pipes = Pipes::of(&mut child)?;
        let mut request = Request::None;
        loop {
            let limit = request.since().map(|since| GRACE.saturating_sub(since));
            pipes.wait(self.signals.as_fd(), limit)?;
            let enough = pipes.pass_on(hear);
            request = request.next(enough, Pid::from_child(&child));
            self.look(Some(&child))?;
            let ended = child.try_wait().map_err(failed("wait4"))?;
            let Some(status) = ended else { continue };
            // What it wrote last; a reach of its quality at its own end asks nobody.
            pipes.pass_on(hear);
            let asked = !matches!(request, Request::None);
            let left_behind = self.see_out(&mut pipes, hear, asked)? && !asked;
            return Ok(Ended { exit: exit_of(status), left_behind });
        }
    }

    fn spawn(&self, command: &[OsString], read: bool) -> Result<Child, Failure> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(Failure::new(Code::Usage, "no command"));
        };
        let mut launch = Command::new(program);
        launch.args(arguments);
        if read {
            launch.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        let mask = self.original;
        // SAFETY: it makes one async-signal-safe call (signal-safety(7)).
        unsafe {
            launch.pre_exec(move || mask.thread_set_mask().map_err(io::Error::from));
        }
        launch.spawn().map_err(|error| {
            let name = program.to_string_lossy();
            match error.kind() {
                ErrorKind::NotFound => {
                    Failure::new(Code::NotFound, format!("cannot run `{name}`: command not found"))
                }
                _ => Failure::new(Code::NotExecutable, format!("cannot run `{name}`: {error}")),
            }
        })
    }

    /// Takes what signals there are, and passes on what the command has not had.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub(super) fn look(&mut self, child: Option<&Child>) -> Result<(), Failure> {
        while let Some(info) =
            self.signals.read_signal().map_err(|errno| failed("read")(errno.into()))?
        {
            let Ok(signal) = Signal::try_from(info.ssi_signo as i32) else { continue };
            if INTERRUPTS.contains(&signal) {
                self.interrupted = Some(signal as i32);
            }
            // Above 0: the kernel's, which the command's group has had too.
            if let Some(child) = child
                && signal != Signal::SIGCHLD
                && info.ssi_code <= 0
            {
                send(Pid::from_child(child), signal);
            }
        }
        Ok(())
    }

    /// Waits for the processes that a command left behind, such as workers that see its end;
    /// those that stay are ended, so that the next run has the machine to itself. Says
    /// whether any had to be; `at_once`: none is waited for.
    fn see_out(
        &mut self,
        pipes: &mut Pipes,
        hear: &mut Hear<'_>,
        at_once: bool,
    ) -> Result<bool, Failure> {
        let begun = clock::now();
        let mut asked: Option<BootTime> = None;
        while reap() {
            let now = clock::now();
            if at_once || self.interrupted.is_some() || now.since(begun) >= GRACE {
                asked = asked.or(Some(now));
            }
            let since = asked.map(|since| now.since(since));
            // A kernel that does not tell them, or a process that not even SIGKILL ends.
            if since.is_some_and(|since| since >= 2 * GRACE) {
                break;
            }
            if let Some(since) = since {
                let signal = if since < GRACE { Signal::SIGTERM } else { Signal::SIGKILL };
                own_children().into_iter().for_each(|pid| send(pid, signal));
            }
            // The end of one of them is a signal.
            pipes.wait(self.signals.as_fd(), Some(Duration::from_millis(100)))?;
            pipes.pass_on(hear);
            self.look(None)?;
        }
        Ok(asked.is_some())
    }
}

/// The read ends of the command's outputs.
#[derive(Debug, Default)]
struct Pipes {
    output: Option<File>,
    error: Option<File>,
}

impl Pipes {
    fn of(child: &mut Child) -> Result<Pipes, Failure> {
        let file = |pipe: OwnedFd| {
            rustix::io::ioctl_fionbio(&pipe, true)
                .map_err(|error| failed("ioctl")(error.into()))?;
            Ok::<_, Failure>(File::from(pipe))
        };
        let output = child.stdout.take().map(|pipe| file(pipe.into())).transpose()?;
        let error = child.stderr.take().map(|pipe| file(pipe.into())).transpose()?;
        Ok(Pipes { output, error })
    }

    /// Waits for output, for a signal, or so long.
    fn wait(&self, signals: BorrowedFd<'_>, limit: Option<Duration>) -> Result<(), Failure> {
        let mut wanted = vec![PollFd::from_borrowed_fd(signals, PollFlags::IN)];
        let pipes = self.output.iter().chain(&self.error);
        wanted.extend(pipes.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        let limit = limit.map(|limit| Timespec {
            tv_sec: limit.as_secs() as i64,
            tv_nsec: limit.subsec_nanos().into(),
        });
        match poll(&mut wanted, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(failed("poll")(error.into())),
        }
    }

    /// Passes on what there is; says whether the command is to end.
    fn pass_on(&mut self, hear: &mut Hear<'_>) -> bool {
        let output = pass(&mut self.output, Stream::Output, hear);
        let error = pass(&mut self.error, Stream::Error, hear);
        output || error
    }
}

/// Passes on what a pipe holds. It is closed at its end, and where nobody takes what it
/// gives, so that the command sees what it would see without us.
fn pass(pipe: &mut Option<File>, stream: Stream, hear: &mut Hear<'_>) -> bool {
    let mut part = [0; 16 * 1_024];
    let mut enough = false;
    for _ in 0..READS {
        let Some(open) = pipe else { break };
        match open.read(&mut part) {
            Ok(0) => *pipe = None,
            Ok(got) => {
                enough |= hear(stream, &part[..got]);
                if write(stream, &part[..got]).is_err() {
                    *pipe = None;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => *pipe = None,
        }
    }
    enough
}

/// Writes all of it to our own output of that name, at once.
fn write(stream: Stream, mut bytes: &[u8]) -> Result<(), rustix::io::Errno> {
    let target = match stream {
        Stream::Output => rustix::stdio::stdout(),
        Stream::Error => rustix::stdio::stderr(),
    };
    while !bytes.is_empty() {
        match rustix::io::write(target, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(rustix::io::Errno::INTR) => {}
            // Somebody else made it so.
            Err(rustix::io::Errno::AGAIN) => {
                poll(&mut [PollFd::from_borrowed_fd(target, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Takes the ends of all processes that lost their parent to us; says whether some run.
fn reap() -> bool {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// Processes whose parent is this one; none where the kernel does not tell.
fn own_children() -> Vec<Pid> {
    let text = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    let numbers = text.split_whitespace().filter_map(|number| number.parse().ok());
    numbers.filter_map(Pid::from_raw).collect()
}

/// Sends a signal; one to a process that has gone is no error.
fn send(pid: Pid, signal: Signal) {
    if let Some(signal) = rustix::process::Signal::from_named_raw(signal as i32) {
        // Not reaped yet, so that the pid is still its own.
        _ = kill_process(pid, signal);
    }
}

fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown,
    }
}

fn is_ignored(signal: Signal) -> bool {
    // SAFETY: all zeroes is a valid place to write to.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: no new action is given, and the place for the old one is ours.
    let asked = unsafe { libc::sigaction(signal as i32, std::ptr::null(), &raw mut action) };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}

fn failed(call: &'static str) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| Failure::new(Code::Failed, format!("cannot run a window: {call} failed: {error}"))
}
