// SPDX-License-Identifier: Apache-2.0
//! What this process was started with, before Rust's runtime changed it.
//!
//! Before `main`, the runtime sets SIGPIPE to be ignored and opens `/dev/null`
//! on standard descriptors that are closed; both would pass to the command.
//! There is no way to ask afterwards what was there, so it is noted before: a
//! function in `.init_array` is run by the C runtime ahead of Rust's.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use nix::libc;

static SIGPIPE_IGNORED: AtomicBool = AtomicBool::new(false);
/// One bit for each of the descriptors 0, 1 and 2.
static CLOSED: AtomicU8 = AtomicU8::new(0);

#[used]
// SAFETY: the section takes pointers to functions of the C calling convention
// that return nothing; superfluous arguments are ignored by that convention.
#[unsafe(link_section = ".init_array")]
static NOTE: extern "C" fn() = note;

extern "C" fn note() {
    for descriptor in 0..=2 {
        // SAFETY: F_GETFD takes no pointer and changes nothing.
        if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } == -1 {
            CLOSED.fetch_or(1 << descriptor, Ordering::Relaxed);
        }
    }
    // SAFETY: all zeroes is a valid `sigaction` to be written to.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: only reads the action, into a valid place.
    let read = unsafe { libc::sigaction(libc::SIGPIPE, std::ptr::null(), &mut action) };
    SIGPIPE_IGNORED.store(read == 0 && action.sa_sigaction == libc::SIG_IGN, Ordering::Relaxed);
}

/// Whether SIGPIPE was ignored when this process started.
pub(super) fn sigpipe_was_ignored() -> bool {
    SIGPIPE_IGNORED.load(Ordering::Relaxed)
}

/// Whether this standard descriptor (0, 1 or 2) was closed when this process started.
pub(super) fn was_closed(descriptor: i32) -> bool {
    CLOSED.load(Ordering::Relaxed) & (1 << descriptor) != 0
}
