// SPDX-License-Identifier: Apache-2.0
//! Who may mark, what becomes of a flood, and that a script never fails because of it.

use serde_json::Value;

use crate::rig::{Rig, eventually};
use crate::support::{check_sum, examples, machine, python, stamps, unit};

/// Sends raw lines and reads one answer for each that wants one.
const RAW: &str = "
def connect():
    raw = socket.socket(socket.AF_UNIX)
    raw.connect(os.environ['AIMETER_MARK_SOCKET'])
    return raw
job = os.environ['AIMETER_JOB_ID']
def line(**mark):
    return json.dumps({'mark': dict(mark, job=job)}).encode() + b'\\n'
";

fn notes(record: &Value) -> String {
    record["quality"]["notes"].to_string()
}

#[test]
fn a_flood_of_names_is_bounded_and_every_unit_is_counted() {
    let rig = machine();
    let daemon = rig.daemon(&[]);
    let job = python(
        &rig,
        &format!(
            "{RAW}
raw = connect()
for n in range(3000):
    raw.sendall(line(phase='p%d' % n, answer=False) + line(unit='u%d' % (n % 100), add=1, answer=False))
raw.sendall(line(unit='u0', add=0))
assert json.loads(raw.recv(1000)) == {{'marked': True}}
"
        ),
    );
    let run = rig.run(&[], &["python3", job.to_str().unwrap()]);
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr);
    check_sum(&run.record);
    // 64 names, `other`, and what is outside.
    let phases = run.record["phases"].as_array().unwrap().len();
    assert!(phases <= 66, "{phases}");
    let work = run.record["work"].as_array().unwrap();
    assert!(work.len() <= 33, "{}", work.len());
    let counted: f64 = work.iter().map(|unit| unit["count"].as_f64().unwrap()).sum();
    assert_eq!(counted, 3000.0);
    assert!(notes(&run.record).contains("more than 64 phases or 32 units"), "{}", run.record);
    let page = daemon.get("/metrics");
    let series = |name: &str| page.lines().filter(|line| line.starts_with(name)).count();
    assert!(series("aimeter_job_phase_energy_joules_total{") <= 65);
    assert!(series("aimeter_job_units_total{") <= 33);
}

#[test]
fn answers_say_what_is_wrong_with_a_mark() {
    let rig = machine();
    let _daemon = rig.daemon(&[]);
    let job = python(
        &rig,
        &format!(
            "{RAW}
def answer(text):
    raw = connect()
    raw.sendall(text)
    return json.loads(raw.makefile().readline())
def code(text): return answer(text)['error']['code']
assert answer(line(phase='epoch')) == {{'marked': True}}
assert answer(line(phase='epoch', future='field')) == {{'marked': True}}
assert code(line(phase='a b')) == 'invalid'
assert code(line(phase='a', end=True)) == 'invalid'
assert code(line()) == 'invalid'
assert code(line(unit='tokens')) == 'invalid'
assert code(line(unit='tokens', add=-1)) == 'invalid'
assert code(line(unit='tokens', add=True)) == 'invalid'
assert code(b'nonsense\\n') == 'invalid'
job = 'nobodys'
assert code(line(phase='epoch')) == 'unknown_job'
"
        ),
    );
    let run = rig.run(&[], &["python3", job.to_str().unwrap()]);
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr);
}

#[test]
fn another_users_marks_are_refused() {
    let rig = machine();
    let _daemon = rig.daemon(&[]);
    let open = std::os::unix::fs::PermissionsExt::from_mode;
    std::fs::set_permissions(rig.socket(), open(0o666)).unwrap();
    std::fs::set_permissions(rig.folder.path(), open(0o755)).unwrap();
    let job = python(
        &rig,
        &format!(
            "{RAW}
raw = connect()
raw.sendall(line(phase='mine'))
assert json.loads(raw.recv(1000)) == {{'marked': True}}
if os.fork() == 0:
    os.setuid(65534)
    raw = connect()
    raw.sendall(line(phase='others'))
    assert json.loads(raw.makefile().readline())['error']['code'] == 'not_permitted'
    os._exit(0)
assert os.wait()[1] == 0
"
        ),
    );
    let run = rig.run(&[], &["python3", job.to_str().unwrap()]);
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr);
    let names: Vec<&Value> =
        run.record["phases"].as_array().unwrap().iter().map(|phase| &phase["name"]).collect();
    assert_eq!(names, [&Value::from("mine"), &Value::Null]);
}

/// `aimeter mark ARGS`, its exit code and what it says.
fn mark(rig: &Rig, args: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = rig.aimeter("mark").args(args).envs(environment.iter().copied()).output().unwrap();
    assert!(output.stdout.is_empty());
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_script_does_not_fail_because_of_a_mark() {
    let rig = machine();
    let warned = |said: (Option<i32>, String), what: &str| {
        assert_eq!(said.0, Some(0), "{}", said.1);
        assert!(said.1.contains(what) && said.1.lines().count() == 1, "{}", said.1);
    };
    warned(mark(&rig, &["epoch"], &[]), "this is no job");
    let job = ("AIMETER_JOB_ID", "some-job");
    warned(mark(&rig, &["epoch"], &[job]), "no daemon answers");
    warned(mark(&rig, &["epoch"], &[("AIMETER_JOB_ID", "no job id")]), "is no job id");
    warned(mark(&rig, &["epoch"], &[job, ("AIMETER_CONFIG", "/none/such.toml")]), "no daemon");
    let daemon = rig.daemon(&[]);
    warned(mark(&rig, &["epoch"], &[job]), "no running job");
    drop(daemon);
    for wrong in [&["1st"][..], &["a b"], &["tokens=x"], &["tokens=-1"], &[], &["a", "--end"]] {
        let (code, said) = mark(&rig, wrong, &[job]);
        assert_eq!(code, Some(2), "{wrong:?}: {said}");
    }
}

#[test]
fn the_python_module_does_nothing_without_aimeter_and_never_waits() {
    let rig = machine();
    let script = "
import time
import aimeter
began = time.monotonic()
for n in range(20000):
    with aimeter.phase('epoch'):
        aimeter.count('tokens', 5)
aimeter.mark('eval'); aimeter.end(); aimeter.flush()
for wrong in [lambda: aimeter.mark('a b'), lambda: aimeter.count('a', -1), lambda: aimeter.mark(3)]:
    try: wrong()
    except ValueError: continue
    raise SystemExit('taken')
print(time.monotonic() - began)
";
    let socket = rig.path("dead.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let dead = [("AIMETER_JOB_ID", "a"), ("AIMETER_MARK_SOCKET", socket.to_str().unwrap())];
    // Without a job; with a socket that nobody listens on; with one that nobody reads.
    let nobody = [("AIMETER_JOB_ID", "a"), ("AIMETER_MARK_SOCKET", "/none/such.sock")];
    for environment in [&[][..], &nobody, &dead] {
        let output = std::process::Command::new("python3")
            .args(["-c", script])
            .current_dir(examples())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env_remove("AIMETER_JOB_ID")
            .env_remove("AIMETER_MARK_SOCKET")
            .envs(environment.iter().copied())
            .output()
            .expect("python3: install it");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{said}");
        println!("{environment:?}: {} s", String::from_utf8_lossy(&output.stdout).trim());
    }
    drop(listener);
}

#[test]
fn threads_and_forked_processes_count_together() {
    let rig = machine();
    let _daemon = rig.daemon(&[]);
    let job = python(
        &rig,
        "
import threading
aimeter.mark('train')
def work():
    for n in range(5000): aimeter.count('steps')
threads = [threading.Thread(target=work) for n in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
for n in range(3):
    if os.fork() == 0:
        work()
        aimeter.flush()
        os._exit(0)
for n in range(3): assert os.wait()[1] == 0
aimeter.count('steps', 1)
",
    );
    let run = rig.run(&[], &["python3", job.to_str().unwrap()]);
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr);
    assert_eq!(unit(&run.record, "steps")["count"], 35_001.0);
    assert_eq!(unit(&run.record, "steps")["phases"][0]["count"], 35_001.0);
}

#[test]
fn a_signal_handler_marks_while_a_mark_is_under_way() {
    let rig = machine();
    let _daemon = rig.daemon(&[]);
    let job = python(
        &rig,
        "
import faulthandler, signal
faulthandler.dump_traceback_later(50, exit=True)
signals = steps = 0
def handler(*_):
    global signals
    signals += 1
    aimeter.count('signals')
    aimeter.mark('asked')
    aimeter.mark('train')
    signal.setitimer(signal.ITIMER_REAL, 0.0005)
aimeter.mark('train')
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0005)
while signals < 300:
    aimeter.count('steps')
    steps += 1
signal.signal(signal.SIGALRM, signal.SIG_IGN)
stamps.extend([signals, steps])
write()
",
    );
    let run = rig.run(&[], &["python3", job.to_str().unwrap()]);
    assert_eq!(run.output.status.code(), Some(0), "{}", run.stderr);
    let told = stamps(&rig);
    assert_eq!(unit(&run.record, "signals")["count"], told[0] as f64);
    assert_eq!(unit(&run.record, "steps")["count"], told[1] as f64);
}

#[test]
fn ranks_without_a_daemon_mark_the_job_of_all() {
    let rig = machine();
    let aimeter = env!("CARGO_BIN_EXE_aimeter");
    let shared = |command: &mut std::process::Command| {
        command.env("AIMETER_JOB_ID", "ranks");
    };
    let go = rig.path("go");
    let wait = format!(
        "{aimeter} mark train; touch {0}.up; while [ ! -e {0} ]; do sleep 0.05; done",
        go.display()
    );
    let first = rig.start_with(&["--standalone"], &["sh", "-c", &wait], shared);
    eventually("the first rank", || rig.path("go.up").exists().then_some(()));
    let count = format!("{aimeter} mark steps=3");
    let second = rig.start_with(&["--standalone"], &["sh", "-c", &count], shared).end().0;
    assert!(!String::from_utf8_lossy(&second.stderr).contains("not marked"), "{second:?}");
    std::fs::write(&go, "").unwrap();
    let run = first.finish();
    assert_eq!(unit(&run.record, "steps")["count"], 3.0, "{}", run.stderr);
    assert_eq!(unit(&run.record, "steps")["phases"][0]["name"], "train");
}
