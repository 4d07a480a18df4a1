// SPDX-License-Identifier: Apache-2.0
//! A command that tells which signals it gets: `probe NUMBER…`.
//!
//! Prints `ready PID PARENT`, then `got NUMBER` for each of these signals that
//! comes, in order; SIGUSR2 ends it with exit code 3. Real-time signals work.

use std::io::Write;

use nix::libc;

fn say(line: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}

fn main() {
    // SAFETY: the set is initialised before its use.
    let set = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGUSR2);
        for number in std::env::args().skip(1) {
            libc::sigaddset(&mut set, number.parse().unwrap());
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        set
    };
    say(&format!("ready {} {}", std::process::id(), std::os::unix::process::parent_id()));
    loop {
        // SAFETY: the set is alive; the information is not asked for.
        let number = unsafe { libc::sigwaitinfo(&set, std::ptr::null_mut()) };
        match number {
            libc::SIGUSR2 => std::process::exit(3),
            -1 => {}
            number => say(&format!("got {number}")),
        }
    }
}
