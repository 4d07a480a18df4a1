// SPDX-License-Identifier: Apache-2.0
//! `aimeter top` in a terminal, with a daemon and two jobs whose power is known: job
//! `small` holds a GPU of 100 W, job `large` one of 300 W, and a third one of 50 W is idle.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use nix::libc;
use nvml_standin::{Gpu, Trace};
use powercap_standin::PowercapTree;
use serde_json::Value;

use super::pty::Pty;
use super::rig::{Daemon, Rig, Wrapped, eventually};

const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

pub fn machine() -> Rig {
    let gpu = |(index, mw)| Gpu::numbered(index, Trace::Constant { mw });
    let tree = PowercapTree::builder().package(0, powercap_standin::Trace::constant(20));
    Rig::new(tree, [(0, 100_000), (1, 300_000), (2, 50_000)].map(gpu).into())
}

/// The job with its GPU, whose power is known by now.
pub fn job(rig: &Rig, daemon: &Daemon, name: &str, gpu: &str) -> Wrapped {
    let wrapped = rig.start(&["--name", name, "--gpus", gpu], &["sleep", "1000"]);
    eventually("the job's power", || {
        let page = daemon.get("/metrics");
        let wanted = format!("name=\"{name}\"");
        let mut lines = page.lines().filter(|line| line.starts_with("aimeter_job_power_watts{"));
        let line = lines.find(|line| line.contains(&wanted))?;
        let watts: f64 = line.rsplit(' ').next()?.parse().ok()?;
        (watts > 50.0).then_some(())
    });
    wrapped
}

pub fn end(mut wrapped: Wrapped) {
    let pid = rustix::process::Pid::from_child(&wrapped.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    wrapped.child.wait().unwrap();
}

/// A terminal of 80 columns and 24 rows, and what stands on it.
pub struct Screen {
    pub pty: Pty,
    parser: vt100::Parser,
}

impl Screen {
    pub fn of(mut command: Command) -> Screen {
        command.env("TERM", "xterm-256color").env("LC_ALL", "C").env_remove("NO_COLOR");
        let pty = Pty::spawn(command);
        pty.resize(24, 80);
        Screen { pty, parser: vt100::Parser::new(24, 80, 0) }
    }

    fn resize(&mut self, rows: u16, columns: u16) {
        self.parser.screen_mut().set_size(rows, columns);
        self.pty.resize(rows, columns);
    }

    /// Waits until the screen is so; returns its text.
    #[track_caller]
    pub fn until(&mut self, what: &str, holds: impl Fn(&[&str]) -> bool) -> String {
        loop {
            let text = self.parser.screen().contents();
            if holds(&text.lines().collect::<Vec<_>>()) {
                return text;
            }
            let more = self.pty.more();
            assert_ne!(more, "", "waited in vain for {what}; on the screen:\n{text}");
            self.parser.process(more.as_bytes());
        }
    }
}

/// The row that begins so.
fn place(lines: &[&str], start: &str) -> Option<usize> {
    lines.iter().position(|line| line.starts_with(start))
}

fn has(lines: &[&str], text: &str) -> bool {
    lines.iter().any(|line| line.contains(text))
}

#[test]
fn it_shows_jobs_with_their_power_sorts_by_keys_and_gives_the_terminal_back() {
    let rig = machine();
    let daemon = rig.daemon(&["--zone", "GB"]);
    let small = job(&rig, &daemon, "small", "0");
    let large = job(&rig, &daemon, "large", "1");
    let mut screen = Screen::of(rig.aimeter("top"));
    let shown = screen.until("both jobs", |lines| {
        place(lines, "large")
            .is_some_and(|row| lines[row].contains(" 300.") || lines[row].contains(" 299."))
            && place(lines, "large") < place(lines, "small")
    });
    assert!(!screen.pty.is_cooked());
    assert!(shown.contains("GB 211 g/kWh  yearly mean"), "{shown}");
    // The idle GPU's power, and what the package gives to nobody.
    screen.until("the power that no job used", |lines| {
        let row = place(lines, "no job").map(|row| lines[row].split_whitespace().nth(2));
        let watts: Option<f64> = row.flatten().and_then(|watts| watts.parse().ok());
        watts.is_some_and(|watts| (49.0..72.0).contains(&watts))
    });
    // `small` began first: it is the one that runs longest.
    screen.pty.send("T");
    screen.until("jobs by time", |lines| {
        place(lines, "small") < place(lines, "large") && has(lines, "TIMEv")
    });
    screen.pty.send("/larg\r");
    screen.until("the filter", |lines| place(lines, "small").is_none() && has(lines, "large"));
    screen.pty.send("\r");
    screen.until("the job's page", |lines| has(lines, "aimeter show ") && has(lines, "GPU "));
    screen.pty.send("q");
    // A key pressed at the very moment of a resize waits in crossterm 0.29 for the next key
    // (its epoll is edge-triggered and reads the signal first): one after the other.
    screen.until("the list", |lines| has(lines, "NAME"));
    screen.resize(10, 40);
    screen.until("a small frame", |lines| {
        lines.len() <= 10
            && place(lines, "large").is_some()
            && has(lines, "POWER")
            && !has(lines, "USER")
    });
    screen.pty.send("q");
    screen.pty.expect(LEAVE);
    assert!(screen.pty.is_cooked());
    assert!(screen.pty.wait().success());
    end(small);
    end(large);
}

#[test]
fn a_job_that_marks_shows_its_phase_and_what_a_unit_took() {
    let rig = machine();
    let _daemon = rig.daemon(&[]);
    // Again and again: on a busy machine a mark from a shell may be lost.
    let script = format!(
        "while :; do {0} mark epoch; {0} mark tokens=2048; sleep 1; done",
        env!("CARGO_BIN_EXE_aimeter")
    );
    let marking = rig.start(&["--name", "marking", "--gpus", "1"], &["sh", "-c", &script]);
    let mut screen = Screen::of(rig.aimeter("top"));
    screen.until("its phase", |lines| {
        has(lines, "PHASE")
            && place(lines, "marking").is_some_and(|row| lines[row].contains(" epoch "))
    });
    screen.pty.send("\r");
    screen.until("its page", |lines| {
        let has = |start: &str, end: &str| {
            lines.iter().any(|line| line.trim_start().starts_with(start) && line.ends_with(end))
        };
        has("work     ", "J each") && has("phases   epoch ", ", now")
    });
    screen.pty.send("qq");
    screen.pty.expect(LEAVE);
    assert!(screen.pty.wait().success());
    end(marking);
}

#[test]
fn a_daemon_that_goes_is_said_and_one_that_comes_back_is_found() {
    let rig = machine();
    let daemon = rig.daemon(&[]);
    let mut screen = Screen::of(rig.aimeter("top"));
    screen.until("a reading", |lines| has(lines, " 300.") || has(lines, " 299."));
    daemon.kill();
    let lost = screen.until("the loss", |lines| has(lines, "no daemon answers on "));
    assert!(lost.contains(" W in all"), "the last figures stay:\n{lost}");
    let _daemon = rig.daemon(&[]);
    screen.until("its return", |lines| !has(lines, "no daemon answers on "));
    screen.pty.send("\x03");
    screen.pty.expect(LEAVE);
    assert!(screen.pty.wait().success());
}

#[test]
fn a_signal_ends_it_with_the_terminal_given_back() {
    let rig = machine();
    let _daemon = rig.daemon(&[]);
    for (signal, number) in [
        (rustix::process::Signal::TERM, libc::SIGTERM),
        (rustix::process::Signal::INT, libc::SIGINT),
    ] {
        let mut screen = Screen::of(rig.aimeter("top"));
        screen.until("a frame", |lines| place(lines, "no job").is_some());
        let pid = rustix::process::Pid::from_raw(screen.pty.pid()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
        screen.pty.expect(LEAVE);
        assert!(screen.pty.is_cooked());
        assert_eq!(screen.pty.wait().signal(), Some(number));
    }
    let mut screen = Screen::of(rig.aimeter("top"));
    screen.until("a frame", |lines| place(lines, "no job").is_some());
    assert_eq!(screen.pty.hang_up().signal(), Some(libc::SIGHUP));
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_again() {
    let rig = machine();
    let _daemon = rig.daemon(&[]);
    let top = rig.aimeter("top");
    let mut shell = Command::new("bash");
    shell.args(["--norc", "--noprofile", "--noediting", "-i"]).env("PS1", "<ready>");
    for (name, value) in top.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let mut screen = Screen::of(shell);
    screen.pty.send(&format!("{} top\n", top.get_program().to_string_lossy()));
    for _ in 0..2 {
        screen.pty.expect(ENTER);
        screen.pty.expect("no");
        screen.pty.send("\x1a");
        screen.pty.expect(LEAVE);
        screen.pty.expect("Stopped");
        assert!(screen.pty.is_cooked());
        screen.pty.send("fg\n");
    }
    screen.pty.expect(ENTER);
    screen.pty.send("q");
    screen.pty.expect(LEAVE);
    // What is typed before may still be read by the view, which is about to end.
    screen.pty.expect("<ready>");
    screen.pty.send("echo code\"\"=$?; exit\n");
    screen.pty.expect("code=0");
    assert!(screen.pty.wait().success());
}

#[test]
fn a_plain_frame_and_json_go_to_scripts_and_to_a_dumb_terminal() {
    let rig = machine();
    let daemon = rig.daemon(&[]);
    let small = job(&rig, &daemon, "small", "0");
    let output = |args: &[&str]| {
        let output = rig.aimeter("top").args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for args in [&["--once"][..], &[]] {
        let text = output(args);
        assert!(text.is_ascii() && !text.contains('\x1b'), "{text}");
        let row = text.lines().find(|line| line.starts_with("small")).unwrap();
        assert!(row.contains(" W "), "{row}");
    }
    let now: Value = serde_json::from_str(&output(&["--json"])).unwrap();
    assert_eq!(now["jobs"][0]["name"], "small");
    // A counter that steps ten times a second shows one step more or less in a second.
    let close =
        |figure: &Value, truth: f64| (figure.as_f64().unwrap() - truth).abs() < truth * 0.15;
    assert!(close(&now["jobs"][0]["watts"], 100.0), "{now:#}");
    let gpu =
        now["domains"].as_array().unwrap().iter().find(|one| one["watts"].as_f64() > Some(200.0));
    assert!(close(&gpu.unwrap()["watts"], 300.0), "{now:#}");
    assert!(now["unattributed_watts"].as_f64() > Some(300.0), "{now:#}");

    let mut dumb = rig.aimeter("top");
    dumb.env("TERM", "dumb");
    let mut pty = Pty::spawn(dumb);
    let text = pty.expect("small");
    assert!(!text.contains('\x1b'), "{text:?}");
    assert!(pty.wait().success());
    end(small);
}

#[test]
fn without_a_daemon_it_says_so_with_the_remedy() {
    let rig = machine();
    for args in [&[][..], &["--once"], &["--json"]] {
        let output = rig.aimeter("top").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("start one with `aimeter daemon`"), "{said}");
    }
    let mut pty = Pty::spawn(rig.aimeter("top"));
    let before = pty.expect("start one with `aimeter daemon`");
    assert!(!before.contains(ENTER));
    assert_eq!(pty.wait().code(), Some(3));
}
