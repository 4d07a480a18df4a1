// SPDX-License-Identifier: Apache-2.0
//! The tree on a written `/proc`, where each race is one state of its files.

use std::path::PathBuf;

use super::*;
use crate::sensors::Roots;

const WRAPPER: i32 = 100;
const ROOT: i32 = 200;

struct Proc {
    folder: tempfile::TempDir,
    table: ProcessTable,
}

impl Proc {
    /// A wrapper that used 7 ticks itself and reaped 5 before the job, and the
    /// job's first process, which has used 1.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let roots = Roots { procfs: folder.path().into(), ..Roots::default() };
        let table = ProcessTable::open(&roots).unwrap();
        let proc = Proc { folder, table };
        proc.set(1, 0, 0, 0);
        proc.set(WRAPPER, 1, 7, 5);
        proc.set(ROOT, WRAPPER, 1, 0);
        proc
    }

    fn path(&self, pid: i32) -> PathBuf {
        self.folder.path().join(pid.to_string())
    }

    fn set(&self, pid: i32, parent: i32, own: u64, reaped: u64) {
        self.write(pid, parent, own, reaped, u64::from(pid.unsigned_abs()));
    }

    fn write(&self, pid: i32, parent: i32, own: u64, reaped: u64, start: u64) {
        std::fs::create_dir_all(self.path(pid)).unwrap();
        let text = format!(
            "{pid} (x) S {parent} 1 1 0 -1 0 0 0 0 0 {own} 0 {reaped} 0 20 0 1 0 {start} 0\n"
        );
        std::fs::write(self.path(pid).join("stat"), text).unwrap();
    }

    fn end(&self, pid: i32) {
        std::fs::remove_dir_all(self.path(pid)).unwrap();
    }

    fn start(&mut self) -> TreeClaim {
        TreeClaim::start(&mut self.table, WRAPPER, ROOT).unwrap()
    }

    fn used(&mut self, tree: &mut TreeClaim) -> u64 {
        self.table.scan().unwrap();
        tree.used_ticks(&mut self.table).unwrap()
    }
}

#[test]
fn the_wrappers_own_time_and_what_was_before_are_not_the_jobs() {
    let mut proc = Proc::new();
    let mut tree = proc.start();
    assert_eq!(proc.used(&mut tree), 0);
    proc.set(WRAPPER, 1, 70, 5);
    proc.set(ROOT, WRAPPER, 4, 0);
    assert_eq!(proc.used(&mut tree), 3);
    assert_eq!(tree.pids().collect::<Vec<_>>(), [ROOT]);
    assert!(!tree.contains(WRAPPER));
}

#[test]
fn a_reaped_childs_time_is_its_parents_and_counted_once() {
    let mut proc = Proc::new();
    let mut tree = proc.start();
    proc.set(300, ROOT, 40, 0);
    assert_eq!(proc.used(&mut tree), 40);
    proc.end(300);
    proc.set(ROOT, WRAPPER, 1, 42);
    assert_eq!(proc.used(&mut tree), 42);
    proc.end(ROOT);
    proc.set(WRAPPER, 1, 7, 5 + 1 + 42);
    assert_eq!(proc.used(&mut tree), 42);
    assert!(!tree.alive());
}

#[test]
fn an_orphan_that_the_wrapper_adopted_stays_in_the_job() {
    let mut proc = Proc::new();
    let mut tree = proc.start();
    proc.set(300, WRAPPER, 9, 0);
    proc.end(ROOT);
    proc.set(WRAPPER, 1, 7, 6);
    assert_eq!(proc.used(&mut tree), 9);
    assert!(tree.alive() && tree.contains(300));
}

/// The child was read alive, then its parent with the child's time in it. One of
/// the two cases has the child first in the directory, whichever way it lists.
#[test]
fn a_child_reaped_between_its_read_and_its_parents_is_not_counted_twice() {
    for (parent, child) in [(300, 400), (400, 300)] {
        let mut proc = Proc::new();
        proc.set(parent, ROOT, 0, 0);
        proc.set(child, parent, 50, 0);
        let mut tree = proc.start();
        let before = proc.used(&mut tree);
        proc.set(parent, ROOT, 0, 60);
        proc.set(child, parent, 60, 0);
        proc.table.scan().unwrap();
        let child_first =
            proc.table.get(child).unwrap().order < proc.table.get(parent).unwrap().order;
        if child_first {
            proc.end(child);
            assert_eq!(tree.used_ticks(&mut proc.table).unwrap(), before + 10);
        }
    }
}

/// It was read below its parent; both ended and were reaped before the wrapper
/// was read.
#[test]
fn an_orphan_reaped_by_the_wrapper_during_the_scan_is_not_counted_twice() {
    let mut proc = Proc::new();
    let mut tree = proc.start();
    proc.set(300, ROOT, 50, 0);
    assert_eq!(proc.used(&mut tree), 50);
    proc.end(ROOT);
    proc.set(WRAPPER, 1, 7, 5 + 51);
    proc.table.scan().unwrap();
    proc.end(300);
    assert_eq!(tree.used_ticks(&mut proc.table).unwrap(), 50);
    assert!(!tree.alive());
}

#[test]
fn both_orders_of_a_directory_occur_in_the_test_above() {
    let orders = [(300, 400), (400, 300)].map(|(parent, child)| {
        let mut proc = Proc::new();
        proc.set(parent, ROOT, 0, 0);
        proc.set(child, parent, 50, 0);
        proc.table.scan().unwrap();
        proc.table.get(child).unwrap().order < proc.table.get(parent).unwrap().order
    });
    assert!(orders.contains(&true), "no listing had the child first");
}

#[test]
fn a_parent_read_before_it_reaped_is_looked_at_again() {
    let mut proc = Proc::new();
    proc.set(300, ROOT, 50, 0);
    let mut tree = proc.start();
    proc.set(300, ROOT, 60, 0);
    assert_eq!(proc.used(&mut tree), 10);
    // The scan sees the child gone and its parent as it was.
    proc.end(300);
    proc.table.scan().unwrap();
    // Before the job is asked, the parent's figures come.
    proc.set(ROOT, WRAPPER, 1, 65);
    assert_eq!(tree.used_ticks(&mut proc.table).unwrap(), 15);
    assert_eq!(proc.used(&mut tree), 15, "retained though it was reaped");
}

#[test]
fn time_that_nobody_reaps_is_retained_and_later_time_counts_on_top() {
    let mut proc = Proc::new();
    let mut tree = proc.start();
    proc.set(300, ROOT, 50, 0);
    assert_eq!(proc.used(&mut tree), 50);
    proc.end(300);
    proc.set(ROOT, WRAPPER, 3, 0);
    assert_eq!(proc.used(&mut tree), 52);
    assert!(tree.notes().iter().any(|note| note.contains("nobody waited for")));
}

#[test]
fn the_job_is_followed_past_its_wrappers_end() {
    let mut proc = Proc::new();
    let mut tree = proc.start();
    proc.set(WRAPPER, 1, 7, 25);
    proc.set(300, ROOT, 10, 0);
    assert_eq!(proc.used(&mut tree), 30);
    proc.end(WRAPPER);
    proc.set(ROOT, 1, 2, 0);
    proc.set(400, 300, 5, 0);
    assert_eq!(proc.used(&mut tree), 36, "the wrapper's reaped time is kept");
    assert!(tree.contains(400));
    assert!(tree.notes().iter().any(|note| note.contains("wrapper has ended")));
    proc.end(ROOT);
    proc.set(300, 1, 11, 0);
    assert_eq!(proc.used(&mut tree), 37);
    assert!(tree.alive());
    proc.end(300);
    proc.end(400);
    assert_eq!(proc.used(&mut tree), 37);
    assert!(!tree.alive());
}

#[test]
fn a_reused_pid_is_another_process() {
    let mut proc = Proc::new();
    let mut tree = proc.start();
    proc.end(ROOT);
    proc.write(ROOT, 1, 900, 900, 5_000);
    assert_eq!(proc.used(&mut tree), 0);
    assert!(!tree.contains(ROOT) && !tree.alive());
}

#[test]
fn a_failed_read_is_not_the_end_of_a_process() {
    let mut proc = Proc::new();
    let mut tree = proc.start();
    proc.set(ROOT, WRAPPER, 10, 0);
    assert_eq!(proc.used(&mut tree), 9);
    std::fs::write(proc.path(ROOT).join("stat"), "half a li").unwrap();
    assert_eq!(proc.table.scan(), Err(TableError::Malformed(ROOT)));
    assert_eq!(tree.used_ticks(&mut proc.table), Err(TableError::Malformed(ROOT)));
    proc.set(ROOT, WRAPPER, 12, 0);
    assert_eq!(proc.used(&mut tree), 11);
}

#[test]
fn a_saved_tree_is_taken_up_by_another_table() {
    let mut proc = Proc::new();
    let mut tree = proc.start();
    proc.set(300, ROOT, 50, 0);
    assert_eq!(proc.used(&mut tree), 50);
    let saved = serde_json::to_string(&tree).unwrap();
    // While nobody looked: one child reaped, one born.
    proc.end(300);
    proc.set(ROOT, WRAPPER, 1, 58);
    proc.set(400, ROOT, 3, 0);
    let mut tree: TreeClaim = serde_json::from_str(&saved).unwrap();
    let roots = Roots { procfs: proc.folder.path().into(), ..Roots::default() };
    proc.table = ProcessTable::open(&roots).unwrap();
    assert_eq!(proc.used(&mut tree), 61);
    assert!(tree.contains(400));
}

#[test]
fn a_job_whose_process_has_ended_is_refused() {
    let mut proc = Proc::new();
    proc.end(ROOT);
    let answer = TreeClaim::start(&mut proc.table, WRAPPER, ROOT);
    assert_eq!(answer.err(), Some(TreeError::Gone(ROOT)));
}

#[test]
fn a_zombie_has_its_time_and_no_life() {
    let mut proc = Proc::new();
    let mut tree = proc.start();
    let text = format!("{ROOT} (x) Z {WRAPPER} 1 1 0 -1 0 0 0 0 0 21 0 0 0 20 0 1 0 {ROOT} 0\n");
    std::fs::write(proc.path(ROOT).join("stat"), text).unwrap();
    assert_eq!(proc.used(&mut tree), 20);
    assert!(!tree.alive());
}

#[test]
fn a_strangers_processes_are_read_once_and_its_children_never_join() {
    let mut proc = Proc::new();
    proc.set(50, 1, 9, 9);
    let mut tree = proc.start();
    proc.set(60, 50, 9, 9);
    assert_eq!(proc.used(&mut tree), 0);
    let order = proc.table.get(60).unwrap().order;
    assert_eq!(proc.used(&mut tree), 0);
    assert_eq!(proc.table.get(60).unwrap().order, order);
    assert!(!tree.contains(60));
}
