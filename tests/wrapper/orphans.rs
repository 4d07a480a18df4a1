// SPDX-License-Identifier: Apache-2.0
//! Processes that lose their parent are the wrapper's to reap.

#![allow(clippy::disallowed_methods, reason = "patience, outside the program")]

use std::time::{Duration, Instant};

use tempfile::tempdir;

use super::support::*;
use crate::pty::ended;

#[test]
fn an_orphan_is_adopted_and_reaped_while_the_command_runs() {
    let folder = tempdir().unwrap();
    let mut command =
        script("mkfifo fifo; (sh -c 'echo $$; read line < fifo; exit 0' &); read line; exit 8");
    command.current_dir(&folder);
    let (mut wrapper, mut output) = start(command);
    let orphan: i32 = line(&mut output).parse().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while process(orphan).unwrap().1 != pid_of(&wrapper) {
        assert!(Instant::now() < deadline, "not adopted: {:?}", process(orphan));
        std::thread::sleep(Duration::from_millis(1));
    }
    std::fs::write(folder.path().join("fifo"), "\n").unwrap();
    until_state(orphan, None);
    assert!(wrapper.try_wait().unwrap().is_none());
    drop(wrapper.stdin.take());
    assert_eq!(ended(&mut wrapper).code(), Some(8));
}
