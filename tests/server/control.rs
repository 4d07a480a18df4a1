// SPDX-License-Identifier: Apache-2.0
//! The control socket: jobs, rights and bad manners.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command as Process;

use aimeter::jobs::timing::Policy;
use aimeter::jobs::{Exit, JobId, Timing};
use aimeter::server::client::{Client, ClientError};
use aimeter::server::protocol::MAX_LINE;
use aimeter::units::{BootTime, Intensity};

use super::bench::*;

#[test]
fn a_job_is_started_joined_shown_and_ended() {
    let bench = Bench::new();
    let mut client = bench.client();
    let job: JobId = "j1".parse().unwrap();
    let mut spec = spec("j1", own_pid());
    let started = client.start(&spec, WAIT).unwrap();
    assert_eq!((started.at.nanoseconds(), started.warnings.join("")), (7, "w".into()));
    client.join(&job, own_pid(), own_pid(), WAIT).unwrap();
    let (shown, _) = client.show(&job).unwrap();
    if !is_root() {
        spec.uid = shown.job.spec.uid;
        spec.user = shown.job.spec.user.clone();
    }
    assert_eq!(shown.job.spec, spec);
    let at = BootTime::from_nanoseconds(99);
    let record = client.end(&job, own_pid(), Exit::Code(3), at, WAIT).unwrap();
    assert_eq!(record.job.command, ["python", "train.py"]);
    client.end_quietly(&job, own_pid(), Exit::Signal(9), at).unwrap();
    client.terminate(&job).unwrap();
    assert_eq!(client.sensors().unwrap().domains.len(), 0);
    assert_eq!(
        bench.log()[1..],
        [
            format!("join j1 {}", own_pid()),
            "end j1 Code(3) 99".into(),
            "end j1 Signal(9) 99".into(),
            "terminate j1".into()
        ]
    );
    // No mistake of the user's: `invalid` would keep the job from being run.
    assert_eq!(code(client.start(&spec, WAIT)), "failed");
    assert_eq!(code(client.show(&"j2".parse().unwrap())), "unknown_job");
}

#[test]
fn a_user_is_who_the_kernel_says_and_meters_only_its_own() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let (own, roots) = (Sleeper::of(NOBODY), Sleeper::of(0));
    bench.client().start(&spec("of-root", roots.pid()), WAIT).unwrap();
    as_nobody(|| {
        let mut client = bench.client();
        client.start(&spec("own", own.pid()), WAIT).unwrap();
        assert_eq!(code(client.start(&spec("b", roots.pid()), WAIT)), "not_permitted");
        let mut mixed = spec("c", own.pid());
        mixed.wrapper_pid = roots.pid();
        assert_eq!(code(client.start(&mixed, WAIT)), "not_permitted");

        let (own_job, root_job): (JobId, JobId) =
            ("own".parse().unwrap(), "of-root".parse().unwrap());
        let at = BootTime::default();
        assert_eq!(client.show(&own_job).unwrap().0.job.spec.uid, NOBODY);
        assert_eq!(code(client.show(&root_job)), "not_permitted");
        assert_eq!(code(client.terminate(&root_job)), "not_permitted");
        assert_eq!(code(client.end(&root_job, 1, Exit::Unknown, at, WAIT)), "not_permitted");
        assert_eq!(code(client.end_quietly(&root_job, 1, Exit::Unknown, at)), "not_permitted");
        let (pid, root_pid) = (own.pid(), roots.pid());
        assert_eq!(code(client.join(&root_job, pid, pid, WAIT)), "not_permitted");
        assert_eq!(code(client.join(&own_job, root_pid, pid, WAIT)), "not_permitted");
        assert_eq!(code(client.gpu_release()), "not_permitted");
        assert_eq!(code(client.gpu_reclaim()), "not_permitted");
        client.terminate(&own_job).unwrap();
    });
    bench.client().show(&"own".parse().unwrap()).unwrap();
    bench.client().gpu_release().unwrap();
    bench.client().gpu_reclaim().unwrap();
    let nobody = nix::unistd::User::from_uid(NOBODY.into()).unwrap().map(|user| user.name);
    let nobody = nobody.unwrap_or(NOBODY.to_string());
    assert_eq!(
        bench.log(),
        [
            "start of-root of somebody-else 4711".to_owned(),
            format!("start own of {nobody} {NOBODY}"),
            "terminate own".into(),
            "release".into(),
            "reclaim".into()
        ]
    );
}

#[test]
fn a_jobs_processes_that_mark_do_not_keep_its_wrapper_out() {
    assert!(is_root());
    let bench = Bench::new();
    let line = b"{\"mark\":{\"job\":\"j\",\"end\":true}}\n";
    as_nobody(|| {
        let marking = || {
            let mut stream = UnixStream::connect(&bench.socket).unwrap();
            stream.write_all(line).unwrap();
            let mut answer = String::new();
            BufReader::new(&stream).read_line(&mut answer).unwrap();
            (stream, answer)
        };
        let mut held: Vec<_> = (0..256).map(|_| marking()).collect();
        assert!(held.iter().all(|(_, answer)| answer.contains("unknown_job")), "{held:?}");
        assert!(marking().1.contains("busy"));
        bench.client().sensors().unwrap();
        held.pop();
        eventually(|| marking().1.contains("unknown_job"));
    });
}

/// Waits until something holds that another thread brings about.
fn eventually(mut holds: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("waited in vain");
}

#[test]
fn a_socket_that_may_not_be_used_says_so() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    std::fs::set_permissions(&bench.socket, PermissionsExt::from_mode(0o600)).unwrap();
    let error = as_nobody(|| Client::connect(&bench.socket).unwrap_err());
    assert!(matches!(error, ClientError::NotPermitted { .. }), "{error:?}");
}

#[test]
fn projects_that_would_swell_metrics_and_dead_processes_are_refused() {
    let bench = Bench::new();
    let mut long = spec("long", own_pid());
    long.project = Some("x".repeat(129));
    assert_eq!(code(bench.client().start(&long, WAIT)), "invalid");
    let now = aimeter::clock::wall();
    let mut told = spec("told", own_pid());
    told.timing = Some(Box::new(Timing {
        policy: Policy::Greenest,
        asked_at: now,
        waited_milliseconds: 1,
        window_from: now,
        window_to: now,
        expected_at_once: Intensity::from_milligrams_per_kwh(2),
        expected_window: Intensity::from_milligrams_per_kwh(1),
        zone: "GB".into(),
        signal: "average".into(),
        boundary: "direct".into(),
        source: "x".repeat(129),
        fetched_at: now,
    }));
    assert_eq!(code(bench.client().start(&told, WAIT)), "invalid");
    let mut ended = Process::new("true").spawn().unwrap();
    ended.wait().unwrap();
    assert_eq!(code(bench.client().start(&spec("dead", ended.id() as i32), WAIT)), "failed");
    assert_eq!(bench.log(), Vec::<String>::new());
}

#[test]
fn a_long_name_is_cut_between_characters_and_said() {
    let bench = Bench::new();
    let mut long = spec("long", own_pid());
    long.name = "x".repeat(127) + "é";
    let started = bench.client().start(&long, WAIT).unwrap();
    assert_eq!(started.warnings, ["w", "the job's name was cut after 128 bytes"]);
    let (shown, _) = bench.client().show(&"long".parse().unwrap()).unwrap();
    assert_eq!(shown.job.spec.name, "x".repeat(127));
}

#[test]
fn a_long_command_line_is_cut_and_never_keeps_a_job_from_its_metering() {
    let bench = Bench::new();
    let mut long = spec("long", own_pid());
    long.command = vec!["\u{1}".repeat(1_000); 3_000];
    bench.client().start(&long, WAIT).unwrap();
    let (shown, _) = bench.client().show(&"long".parse().unwrap()).unwrap();
    assert_eq!(shown.job.spec.command.len(), 66);
    assert_eq!(shown.job.spec.command[65], "…");
}

/// What the daemon answers to raw bytes, up to its end of the connection.
fn raw(socket: &Path, text: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    // The daemon may hang up before all is sent.
    _ = stream.write_all(text);
    _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

#[test]
fn who_does_not_speak_the_protocol_is_told_and_cut_off() {
    let bench = Bench::new();
    let check = |text: &[u8], expected: &str| {
        let answer = raw(&bench.socket, text);
        assert!(answer.contains(expected), "{answer}");
    };
    check(b"GET / HTTP/1.1\r\n\r\n", "\"invalid\"");
    check(b"\"sensors\"\n", "say hello first");
    check(b"{\"hello\":{\"version\":999}}\n", "the client speaks version 999, the daemon 1");
    check(&vec![b'x'; MAX_LINE + 2], "longer than");
    check(b"{\"hello\":{\"version\":1}}\n{\"hello\":{\"version\":1}}\n", "hello was said already");
    assert_eq!(raw(&bench.socket, b""), "");
    assert!(bench.client().sensors().is_ok());
}

#[test]
fn the_end_takes_the_socket_away_and_cuts_no_answer() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.sensors().unwrap();
    let idle = bench.client();
    bench.server.stop();
    assert!(!bench.socket.exists());
    assert!(TcpStream::connect(bench.address).is_err());
    assert!(matches!(client.sensors().unwrap_err(), ClientError::Unreachable { .. }));
    drop(idle);
}

#[test]
fn what_is_drawn_now_is_told_to_all_and_says_that_no_reading_was_taken() {
    let bench = Bench::new();
    let now = bench.client().now(None).unwrap();
    assert_eq!((now.at, now.watts, now.jobs.len()), (None, None, 0));
    assert_eq!(now.trouble.unwrap(), "starting: no reading has been taken yet");
    if is_root() {
        as_nobody(|| assert!(bench.client().now(Some(&"j1".parse().unwrap())).is_ok()));
    }
    assert_eq!(bench.log().len(), 0, "the engine was not asked");
}
