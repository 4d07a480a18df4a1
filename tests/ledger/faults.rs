// SPDX-License-Identifier: Apache-2.0
//! What goes wrong on real machines: kills, power cuts, full disks, rotten files,
//! other processes, older and newer releases.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use aimeter::jobs::Exit;
use aimeter::ledger::query::{Filter, Reader};
use aimeter::ledger::schema::{self, LedgerError};
use aimeter::ledger::writer::Writer;
use aimeter::ledger::{Batch, DomainKey, Event, JobKey};
use aimeter::sensors::{DomainId, Missing};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::*;

/// Tells the child processes of these tests what to do, and in which folder.
const CHILD: &str = "AIMETER_LEDGER_TEST_CHILD";

/// This test binary again, running only the test of that name.
fn again(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env(CHILD, folder);
    command
}

/// Writes batch after batch for ever and says the number of each committed one.
/// Each of four accounts has used 1 µJ more of its interval of five batches.
#[test]
#[ignore = "the child of other tests"]
fn child_that_writes() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let (writer, _) = open(Path::new(&folder));
    let mut batch = Batch { events: domains(), ..Batch::default() };
    batch.events.extend((1..4).map(|key| job_event(&job(key, &format!("j{key}"), None))));
    for number in 1.. {
        batch.events.push(job_event(&job(number + 3, &format!("j{}", number + 3), None)));
        for account in 0..4 {
            // A new interval every fifth batch.
            let within = (number - 1) % 5 + 1;
            batch.bookings.push(line(account, 1, (number - 1) / 5, within as u64));
        }
        let before = writer.health().last_write;
        writer.submit(&mut batch);
        until("committed", || writer.health().last_write != before);
        println!("committed {number}");
    }
}

fn start_child(folder: &Path) -> (Child, impl FnMut() -> i64) {
    let mut child =
        again("faults::child_that_writes", folder).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let next = move || loop {
        let line = lines.next().expect("the child writes on").unwrap();
        if let Some(number) = line.strip_prefix("committed ") {
            return number.parse().unwrap();
        }
    };
    (child, next)
}

/// The last batch in a ledger, after checking that it and all before it are there
/// whole, and nothing of a later one.
fn whole_batches(folder: &Path) -> i64 {
    let (writer, found) = open(folder);
    writer.close().unwrap();
    check_sound(folder);
    // Batch n brings job n + 3.
    let number = (found.next_job - 4).max(0);
    let sum: i64 =
        (1..=number).map(|n| if n % 5 == 0 || n == number { (n - 1) % 5 + 1 } else { 0 }).sum();
    if number > 0 {
        let gpu = &found.domains[&DomainId::new("nvml:GPU-1")];
        assert_eq!((gpu.total, gpu.unattributed), (uj(4 * sum as u64), uj(sum as u64)));
    }
    number
}

#[test]
fn kill_9_at_any_moment_loses_nothing_that_was_committed() {
    for wait in [1, 2, 3, 5, 9, 14, 33] {
        let folder = tempfile::tempdir().unwrap();
        let (mut child, mut next) = start_child(folder.path());
        let mut committed = 0;
        while committed < wait {
            committed = next();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(whole_batches(folder.path()) >= committed, "killed after batch {committed}");
    }
}

#[test]
fn a_power_cut_leaves_a_log_that_ends_anywhere_and_the_ledger_opens_with_whole_batches() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, mut next) = start_child(folder.path());
    while next() < 40 {}
    kill(Pid::from_raw(child.id() as i32), Signal::SIGSTOP).unwrap();
    let file = fs::read(folder.path().join("ledger.db")).unwrap();
    let log = fs::read(folder.path().join("ledger.db-wal")).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for step in 0..24 {
        // A prefix of what was written, then a torn block of what never arrived.
        let cut = log.len() - log.len() * step / 30 - step * 7 % 97;
        let mut torn = log[..cut].to_vec();
        torn.extend((0..step * 700).map(|n| (n * 31 % 251) as u8));
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("ledger.db"), &file).unwrap();
        fs::write(other.path().join("ledger.db-wal"), torn).unwrap();
        seen.insert(whole_batches(other.path()));
    }
    assert!(seen.len() > 10, "the cuts met different batches: {seen:?}");
}

#[test]
fn a_reader_sees_whole_batches_while_the_writer_writes() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, mut next) = start_child(folder.path());
    let mut committed = next();
    while committed < 60 {
        let reader = Reader::open(folder.path()).unwrap();
        let jobs = reader.jobs(&Filter { limit: Some(1_000), ..Filter::default() }).unwrap();
        assert!(jobs.len() as i64 >= committed);
        let totals = &reader.totals(at(0), at(1_000_000)).unwrap()[0];
        assert_eq!(totals.total.microjoules(), 4 * totals.unattributed.microjoules());
        committed = next();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Reads as it is told and says how many jobs there are.
#[test]
#[ignore = "the child of another test"]
fn child_that_reads() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let filter = Filter { limit: Some(1_000), ..Filter::default() };
    println!("jobs {}", Reader::open(Path::new(&folder)).unwrap().jobs(&filter).unwrap().len());
}

#[test]
fn the_group_may_read_and_others_may_not_with_a_daemon_a_killed_one_or_none() {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("not tested: only root can be another user");
        return;
    }
    let (nobody, group) = (65_534, 4_242);
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(folder.path(), None, Some(group)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o2750)).unwrap();
    // The test's own binary where another user may run it.
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = place.path().join("reader");
    fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    let read_as = |uid: u32, gid: u32| {
        let output = Command::new(&binary)
            .args(["--exact", "faults::child_that_reads", "--ignored", "--nocapture"])
            .env(CHILD, folder.path())
            .current_dir("/")
            .uid(uid)
            .gid(gid)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let count = text.lines().find_map(|line| line.split("jobs ").nth(1)?.parse::<i64>().ok());
        output.status.success().then_some(count).flatten()
    };
    let (mut child, mut next) = start_child(folder.path());
    while next() < 5 {}
    assert!(read_as(nobody, group) >= Some(8), "while the daemon writes");
    assert_eq!(read_as(nobody, nobody), None, "others");
    child.kill().unwrap();
    child.wait().unwrap();
    let left = read_as(nobody, group);
    assert!(left >= Some(8), "after a kill");
    open(folder.path()).0.close().unwrap();
    assert_eq!(read_as(nobody, group), left, "after an end");
}

/// Runs a test in a mount namespace of its own, on a tmpfs of 1 MiB.
fn in_small_disk(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=1m tmpfs \"$1\" || exit 77; shift; exec \"$@\"";
    let child = again(test, folder.path());
    let status = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(folder.path())
        .arg(child.get_program())
        .args(child.get_args())
        .env(CHILD, folder.path())
        .status();
    match status.map(|status| status.code()) {
        Ok(Some(0)) => {}
        Ok(Some(77 | 1)) | Err(_) if nix::unistd::Uid::effective().as_raw() != 0 => {
            eprintln!("not tested: this user may make no mount namespace");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_full_disk_delays_the_books_and_changes_no_microjoule() {
    in_small_disk("faults::child_on_a_full_disk");
}

#[test]
#[ignore = "the child of another test"]
fn child_on_a_full_disk() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let folder = Path::new(&folder);
    let log = Log::default();
    let to_log = log.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || to_log.clone()).init();
    let (writer, _) = open(folder);
    let mut events = domains();
    events.push(job_event(&job(1, "a", None)));
    writer.submit(&mut Batch { events, bookings: vec![line(1, 1, 0, 1)], ..Batch::default() });
    until("a first write", || writer.health().last_write.is_some());
    let ballast = folder.join("ballast");
    let full = fs::write(&ballast, vec![0; 2 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);

    // What is already allocated in the log may take some more.
    let (mut truth, mut interval) = (1, 0);
    let mut book_on = |writer: &Writer| {
        interval += 1;
        truth += 1_000 + interval as u64;
        let bookings = vec![line(1, 1, interval, 1_000 + interval as u64)];
        writer.submit(&mut Batch { bookings, ..Batch::default() });
        truth
    };
    until("the disk is full", || {
        book_on(&writer);
        !writer.health().up
    });
    for _ in 0..500 {
        book_on(&writer);
    }
    let truth = book_on(&writer);
    until("tried again", || writer.health().errors >= 2);
    let health = writer.health();
    assert!(!health.up && health.errors >= 2 && health.pending >= 500, "{health:?}");

    fs::remove_file(&ballast).unwrap();
    until("written again", || writer.health().up);
    assert_eq!(writer.health().pending, 0);
    let energy = || {
        let jobs = Reader::open(folder).unwrap().jobs(&Filter::default()).unwrap();
        jobs[0].total().unwrap()
    };
    assert_eq!(energy(), uj(truth));
    writer.close().unwrap();
    check_sound(folder);
    assert_eq!(energy(), uj(truth));

    let said = |text: &str| log.text().matches(text).count();
    assert_eq!(said("the disk of the ledger is full"), 1, "{}", log.text());
    assert_eq!(said("the ledger is written again"), 1, "{}", log.text());
    assert_eq!(said("dropped_lines=0"), 2, "{}", log.text());

    // A disk that stays full: the end is told, with what is lost.
    let (writer, _) = open(folder);
    fs::write(&ballast, vec![0; 2 << 20]).unwrap_err();
    let bookings = (100_000..103_000).map(|n| line(1, 2, n, 1)).collect();
    writer.submit(&mut Batch { bookings, ..Batch::default() });
    let lost = writer.close().unwrap_err();
    assert!(matches!(lost, LedgerError::Unsaved { lines: 3_000, .. }), "{lost}");
    fs::remove_file(&ballast).unwrap();
    check_sound(folder);
    reads_from_a_read_only_disk(folder, uj(truth));
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Without log and index, and where none can be made.
fn reads_from_a_read_only_disk(folder: &Path, truth: aimeter::units::Energy) {
    let (writer, _) = open(folder);
    writer.close().unwrap();
    let _ = fs::remove_file(folder.join("ledger.db-wal"));
    let _ = fs::remove_file(folder.join("ledger.db-shm"));
    let mounted = Command::new("mount").args(["-o", "remount,ro"]).arg(folder).status().unwrap();
    assert!(mounted.success());
    let jobs = Reader::open(folder).unwrap().jobs(&Filter::default()).unwrap();
    assert_eq!(jobs[0].total(), Some(truth));
    let refused = Writer::open(folder, BOOT, at(0)).unwrap_err();
    assert!(matches!(refused, LedgerError::Open { .. }), "{refused}");
}

#[test]
fn what_is_no_database_is_set_aside_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let garbage: Vec<u8> = (0..20_000u32).map(|n| (n * 37 % 251) as u8).collect();
    fs::write(folder.path().join("ledger.db"), &garbage).unwrap();
    for round in 0..2 {
        let (writer, found) = open(folder.path());
        let aside = found.set_aside.expect("set aside");
        assert_eq!(fs::read(&aside).unwrap(), garbage);
        assert!(aside.to_string_lossy().contains("ledger.db.corrupt-"), "{round}: {aside:?}");
        writer.close().unwrap();
        check_sound(folder.path());
        fs::write(folder.path().join("ledger.db"), &garbage).unwrap();
    }
    let kept = fs::read_dir(folder.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("corrupt-"))
        .count();
    assert_eq!(kept, 2, "two of one second have two names");
}

/// Overwrites the first page of a table.
fn spoil(folder: &Path, table: &str) {
    let path = folder.join("ledger.db");
    let file = rusqlite::Connection::open(&path).unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?";
    let page: u64 = file.query_row(sql, [table], |row| row.get::<_, i64>(0)).unwrap() as u64;
    drop(file);
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&[0xA5; 4096], (page - 1) * 4096).unwrap();
}

#[test]
fn a_file_found_corrupt_at_the_start_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), domains(), vec![line(0, 1, 0, 5)]);
    spoil(folder.path(), "tally");
    let (writer, found) = open(folder.path());
    assert!(found.set_aside.is_some());
    assert_eq!((found.next_domain, found.open.len()), (1, 0));
    writer.close().unwrap();
    check_sound(folder.path());
}

#[test]
fn a_file_found_corrupt_while_writing_is_set_aside_and_the_books_go_on_in_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut events = domains();
    events.push(job_event(&job(1, "a", None)));
    write(folder.path(), events, vec![line(1, 1, 0, 5)]);
    spoil(folder.path(), "missing");
    let (writer, found) = open(folder.path());
    assert_eq!(found.set_aside, None, "nothing read that page");
    writer.submit(&mut Batch { events: domains(), ..Batch::default() });
    until("written", || writer.health().last_write.is_some());
    let missing = Missing {
        source: "rapl".to_owned(),
        what: "dram".to_owned(),
        state: "absent".to_owned(),
        why: "meets the page".to_owned(),
        remedy: None,
    };
    let events = vec![Event::Missing { job: JobKey(1), missing: missing.clone() }];
    let bookings = vec![line(1, 1, 1, 70), line(0, 1, 1, 30)];
    writer.submit(&mut Batch { events, bookings, ..Batch::default() });
    until("set aside", || writer.health().errors > 0 && writer.health().up);
    writer.close().unwrap();
    check_sound(folder.path());
    let report = Reader::open(folder.path()).unwrap().report(&"a".parse().unwrap()).unwrap();
    let report = report.expect("the running job is known in the new file");
    assert_eq!(report.domains[0].amount.energy, uj(70));
    assert_eq!(report.missing, [missing]);
}

#[test]
fn a_ledger_of_a_newer_release_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), domains(), vec![line(0, 1, 0, 5)]);
    let path = folder.path().join("ledger.db");
    let file = rusqlite::Connection::open(&path).unwrap();
    file.pragma_update(None, "user_version", schema::VERSION + 1).unwrap();
    drop(file);
    let before = fs::read(&path).unwrap();
    let refused = Writer::open(folder.path(), BOOT, at(0)).unwrap_err();
    assert!(matches!(refused, LedgerError::Newer { .. }), "{refused}");
    let refused = Reader::open(folder.path()).unwrap_err();
    assert!(matches!(refused, LedgerError::Newer { .. }), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_second_writer_is_refused_by_the_name_of_the_first_and_a_killed_one_leaves_no_claim() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, mut next) = start_child(folder.path());
    next();
    let refused = Writer::open(folder.path(), BOOT, at(0)).unwrap_err();
    assert!(refused.to_string().contains(&format!("by process {}", child.id())), "{refused}");
    child.kill().unwrap();
    child.wait().unwrap();
    open(folder.path()).0.close().unwrap();
}

#[test]
fn reading_where_there_is_no_ledger_says_so_and_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let refused = Reader::open(folder.path()).unwrap_err();
    assert!(matches!(refused, LedgerError::Absent(_)), "{refused}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_ledger_of_schema_version_1_is_brought_up_to_date_with_all_that_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch(include_str!("version-1.sql")).unwrap();
    drop(file);
    let refused = Reader::open(folder.path()).unwrap_err();
    assert!(matches!(refused, LedgerError::Older { found: 1, .. }), "{refused}");

    let (writer, found) = open(folder.path());
    assert_eq!((found.next_domain, found.next_job), (5, 3));
    assert_eq!(found.running[0].row, job(1, "outer", None));
    let gpu = &found.domains[&DomainId::new("nvml:GPU-1")];
    assert_eq!((gpu.total, gpu.unattributed), (uj(2_112), uj(2_001)));
    assert_eq!((gpu.key, &gpu.domain), (DomainKey(1), &domain("nvml:GPU-1", gpu.domain.kind)));
    let over = ended(job(1, "outer", None), Exit::Code(0));
    writer.submit(&mut Batch {
        events: vec![job_event(&over)],
        bookings: vec![line(1, 1, 1, 21)],
        ..Batch::default()
    });
    writer.close().unwrap();
    check_sound(folder.path());
    let jobs = Reader::open(folder.path()).unwrap().jobs(&Filter::default()).unwrap();
    let energies: Vec<_> = jobs.iter().map(|job| (job.row.clone(), job.total())).collect();
    let inner = ended(job(2, "inner", Some("outer")), Exit::Signal(9));
    assert_eq!(energies, [(inner, Some(uj(100))), (over, Some(uj(131)))]);
}
