// SPDX-License-Identifier: Apache-2.0
//! `aimeter top`: what the machine draws now and who uses it, live in the terminal.
//!
//! The edges of `crate::top`: the terminal, which is given back in every case, the
//! signals, the keys and the daemon, each on a thread that only sends events. A daemon
//! that goes while it runs is waited for.

use std::io::{self, IsTerminal, Write};
use std::mem::ManuallyDrop;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, raise};
use ratatui::DefaultTerminal;
use ratatui::crossterm::terminal::{EnterAlternateScreen, enable_raw_mode};
use ratatui::crossterm::{event, execute};

use super::cli::TopArgs;
use super::exit::{Code, Failure};
use crate::config::Options;
use crate::jobs::Exit;
use crate::server::now::Now;
use crate::top::{Effect, Event, Look, Top, draw, plain};
use crate::wrapper::exit_like;

/// The width of a plain frame that goes to no terminal.
const WIDTH: u16 = 120;
/// Looks that a plain frame takes at most for two readings to compare.
const LOOKS: usize = 4;

/// Shows it, until the user quits.
///
/// # Errors
/// Where no daemon answers at the start, or the terminal fails.
pub fn run(args: &TopArgs, options: &Options, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    if !(args.once || args.json || dumb) && io::stdout().is_terminal() {
        super::connect(options)?;
        return live(args.interval, options.clone());
    }
    let (first, last) = looks(args.interval, options)?;
    let text = if args.json {
        serde_json::to_string_pretty(&last.since(&first)).map_err(anyhow::Error::from)? + "\n"
    } else {
        let mut top = Top::default();
        for look in [first, last] {
            top.handle(Event::Look(Box::new(look)));
        }
        let width = ratatui::crossterm::terminal::size().map_or(0, |(width, _)| width);
        plain(&top, if io::stdout().is_terminal() && width > 0 { width } else { WIDTH })
    };
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::of_output)?;
    Ok(Code::Success.into())
}

/// Two looks with a reading between them, where one comes in time.
fn looks(interval: Duration, options: &Options) -> Result<(Now, Now), Failure> {
    let first = look(options)?;
    let mut last = first.clone();
    for _ in 0..LOOKS {
        if last.at != first.at {
            break;
        }
        thread::sleep(interval);
        last = look(options)?;
    }
    Ok((first, last))
}

fn look(options: &Options) -> Result<Now, Failure> {
    Ok(super::connect(options)?.now(None)?)
}

/// What the threads tell.
enum Told {
    Event(Event),
    Signal(Signal),
    /// The terminal is gone.
    NoKeys,
}

/// The terminal, given back when dropped; on a panic by the hook of `try_init`. Its own
/// drop is never run: that panics where the terminal is gone.
struct Screen(ManuallyDrop<DefaultTerminal>);

impl Screen {
    fn take() -> io::Result<Screen> {
        Ok(Screen(ManuallyDrop::new(ratatui::try_init()?)))
    }
}

impl Screen {
    /// Has the next frame drawn whole. (`Terminal::clear` would ask the terminal where its
    /// cursor is, and the answer would go to the thread that reads keys.)
    fn clear(&mut self) -> io::Result<()> {
        let size = self.0.size()?;
        self.0.resize(size.into())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = self.0.show_cursor();
        let _ = ratatui::try_restore();
    }
}

fn live(interval: Duration, options: Options) -> Result<ExitCode, Failure> {
    // Before any other thread, so that all have them blocked and one takes them.
    let signals = SigSet::from_iter([
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTSTP,
    ]);
    signals.thread_block().map_err(io::Error::from).context("cannot block signals")?;
    let mut screen = Screen::take().context("cannot use the terminal")?;
    let (sender, told) = channel();
    let threads = || {
        spawn("signals", &sender, move |sender| tell_signals(signals, &sender))?;
        spawn("keys", &sender, |sender| tell_keys(&sender))?;
        spawn("looks", &sender, move |sender| tell_looks(interval, &options, &sender))
    };
    threads().context("cannot start a thread")?;
    let by = show(&mut screen, &told).context("the terminal failed")?;
    drop(screen);
    match by {
        Some(signal) => exit_like(Exit::Signal(signal as i32)),
        None => Ok(Code::Success.into()),
    }
}

/// Draws and takes events up until the user or a signal ends it.
fn show(screen: &mut Screen, told: &Receiver<Told>) -> io::Result<Option<Signal>> {
    let look = look_of_terminal();
    let mut top = Top::default();
    loop {
        let drawn = screen.0.draw(|frame| draw(&top, look, frame.area(), frame.buffer_mut()));
        match drawn {
            Err(error) if error.raw_os_error() == Some(Errno::EIO as i32) => {
                return Ok(Some(Signal::SIGHUP));
            }
            drawn => _ = drawn?,
        }
        let effect = match told.recv() {
            Ok(Told::Event(event)) => top.handle(event),
            Ok(Told::Signal(Signal::SIGTSTP)) => Effect::Suspend,
            Ok(Told::Signal(signal)) => return Ok(Some(signal)),
            Ok(Told::NoKeys) | Err(_) => return Ok(Some(Signal::SIGHUP)),
        };
        match effect {
            Effect::Nothing => {}
            Effect::Clear => screen.clear()?,
            Effect::Suspend => suspend(screen)?,
            Effect::Quit => return Ok(None),
        }
    }
}

/// Gives the terminal back, stops all of the process, and takes the terminal again.
fn suspend(screen: &mut Screen) -> io::Result<()> {
    screen.0.show_cursor()?;
    ratatui::try_restore()?;
    raise(Signal::SIGSTOP)?;
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen)?;
    screen.clear()
}

/// Colours unless `NO_COLOR` is set; lines of blocks where the locale is of UTF-8.
fn look_of_terminal() -> Look {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
    let locale = locale.to_lowercase();
    Look {
        colour: set("NO_COLOR").is_none(),
        unicode: locale.contains("utf-8") || locale.contains("utf8"),
    }
}

fn spawn(
    name: &str,
    sender: &Sender<Told>,
    work: impl FnOnce(Sender<Told>) + Send + 'static,
) -> io::Result<()> {
    let sender = sender.clone();
    thread::Builder::new().name(name.to_owned()).spawn(move || work(sender)).map(drop)
}

/// Ends when nobody listens any more, as the others do.
fn tell_signals(signals: SigSet, sender: &Sender<Told>) {
    while let Ok(signal) = signals.wait() {
        if sender.send(Told::Signal(signal)).is_err() {
            return;
        }
    }
}

fn tell_keys(sender: &Sender<Told>) {
    loop {
        let told = match event::read() {
            Ok(event::Event::Key(key)) => Told::Event(Event::Key(key)),
            Ok(event::Event::Resize(..)) => Told::Event(Event::Redraw),
            Ok(_) => continue,
            Err(_) => Told::NoKeys,
        };
        let over = matches!(told, Told::NoKeys);
        if sender.send(told).is_err() || over {
            return;
        }
    }
}

fn tell_looks(interval: Duration, options: &Options, sender: &Sender<Told>) {
    loop {
        let event = match look(options) {
            Ok(now) => Event::Look(Box::new(now)),
            Err(failure) => Event::Lost(super::without_error_numbers(&failure.message)),
        };
        if sender.send(Told::Event(event)).is_err() {
            return;
        }
        thread::sleep(interval);
    }
}
