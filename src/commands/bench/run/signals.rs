// SPDX-License-Identifier: Apache-2.0
//! Ctrl-C and its like: they end a campaign between two looks, never in the middle of a
//! file.

use std::sync::atomic::{AtomicI32, Ordering};

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static CAME: AtomicI32 = AtomicI32::new(0);

extern "C" fn note(number: libc::c_int) {
    CAME.store(number, Ordering::Relaxed);
}

/// From now on these signals are noted instead of ending the process; one that is ignored
/// (nohup) stays so.
pub fn note_from_now_on() {
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only stores to an atomic.
        let old = unsafe { sigaction(signal, &action) };
        if old.is_ok_and(|old| matches!(old.handler(), SigHandler::SigIgn)) {
            let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
            // SAFETY: no handler at all.
            let _ = unsafe { sigaction(signal, &ignore) };
        }
    }
}

/// The number of the last signal that came.
pub fn came() -> Option<i32> {
    let number = CAME.load(Ordering::Relaxed);
    (number != 0).then_some(number)
}
