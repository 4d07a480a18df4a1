// SPDX-License-Identifier: Apache-2.0
//! `aimeter bench validate` and `bench sign` as a user has them: records that are sound,
//! tampered with, badly signed, hostile.

mod bench_record;
#[path = "common/python.rs"]
mod python;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use aimeter::benchmark::hash;
use aimeter::benchmark::read::read;
use aimeter::benchmark::record::{BenchmarkRecord, Level};
use aimeter::benchmark::validate::{Check, Violation, validate};
use serde_json::Value;
use tempfile::TempDir;

/// Figures that nothing else in a record follows from or must agree with: whoever changes
/// one and makes the hash anew is caught by a signature alone. `docs/benchmark.md` lists
/// them.
const FREE: [&str; 30] = [
    "/idle/domains/*",
    "/idle/seconds",
    "/machine/accelerators/*/default_power_limit_watts",
    "/machine/accelerators/*/memory_bytes",
    "/machine/host/cpus/*/cores",
    "/machine/host/cpus/*/sockets",
    "/machine/host/gpus/*/power_limit_watts",
    "/machine/memory_bytes",
    "/machine/nodes",
    "/protocol/idle_seconds",
    "/protocol/max_repetitions",
    "/protocol/repetitions",
    "/protocol/warm_up_seconds",
    "/protocol/window_seconds",
    "/repetitions/*/after/accelerators/*/celsius",
    "/repetitions/*/after/accelerators/*/clock_mhz",
    "/repetitions/*/after/cpu_celsius",
    "/repetitions/*/after/cpu_mhz",
    "/repetitions/*/before/accelerators/*/celsius",
    "/repetitions/*/before/accelerators/*/clock_mhz",
    "/repetitions/*/before/cpu_celsius",
    "/repetitions/*/before/cpu_mhz",
    "/repetitions/*/domains/*/share",
    "/repetitions/*/domains/*/update_period_seconds",
    "/repetitions/*/intensity/parts/*/grams_per_kwh",
    "/repetitions/*/other_cpu_share",
    "/repetitions/*/runs",
    "/warm_up/runs",
    "/warm_up/seconds",
    "/warm_up/units",
];

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file.
    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    fn record(&self, name: &str, change: impl FnOnce(&mut BenchmarkRecord)) -> PathBuf {
        let mut record = bench_record::record();
        change(&mut record);
        self.file(name, bench_record::text(&record))
    }

    /// `aimeter bench …` in this folder.
    fn bench(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aimeter"));
        command.arg("bench").args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        Said::of(&mut command)
    }

    /// A key without a passphrase.
    fn key(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let mut command = keygen();
        command.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&path);
        let said = Said::of(&mut command);
        assert_eq!(said.code, 0, "{said:?}");
        path
    }

    /// A file that allows the key to this identity.
    fn allow(&self, name: &str, identity: &str, key: &Path) -> String {
        let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
        self.file(name, format!("{identity} {public}"));
        name.to_owned()
    }
}

fn keygen() -> Command {
    Command::new("ssh-keygen")
}

#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn of(command: &mut Command) -> Said {
        let Output { status, stdout, stderr } = command
            .output()
            .unwrap_or_else(|error| panic!("{command:?} (openssh-client has ssh-keygen): {error}"));
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
    }

    #[track_caller]
    fn is(&self, code: i32, has: &str) {
        assert_eq!(self.code, code, "{self:#?}");
        assert!(self.out.contains(has), "{has:?} is not in {self:#?}");
    }
}

#[test]
fn a_sound_record_is_valid() {
    let folder = Folder::new();
    folder.record("a.json", |_| ());
    let said = folder.bench(&["validate", "a.json"]);
    said.is(0, "a.json: valid, level A, 2.85 J a unit of tokens; sha256:");
    assert!(said.out.ends_with("; not signed\n") && said.out.lines().count() == 1, "{said:?}");
    folder
        .bench(&["validate", "a.json", "--require-signature"])
        .is(7, "a.json: a.json.sig: signature: says nothing; a signature is required\n");

    let said = folder.bench(&["validate", "a.json", "--json"]);
    said.is(0, "");
    let list: Value = serde_json::from_str(&said.out).unwrap();
    let one = &list[0];
    assert_eq!((one["file"].as_str(), one["valid"].as_bool()), (Some("a.json"), Some(true)));
    assert_eq!((one["level"].as_str(), one["claimed_level"].as_str()), (Some("A"), Some("A")));
    assert_eq!(one["signature"]["state"], "none");
    assert_eq!(one["violations"], serde_json::json!([]));
    assert_eq!(one["error"], Value::Null);
}

#[test]
fn a_digit_changed_is_named_by_the_hash_and_by_what_no_longer_follows() {
    let folder = Folder::new();
    let text = bench_record::text(&bench_record::record());
    let tampered = text.replacen("\"joules\": 1710000.0", "\"joules\": 1700000.0", 1);
    assert_ne!(text, tampered);
    folder.file("b.json", tampered);
    let said = folder.bench(&["validate", "b.json"]);
    said.is(7, "b.json: /hash: hash: says sha256:");
    for line in [
        "b.json: /repetitions/0/joules: arithmetic: says 1700000; the summed domains make 1710000\n",
        "b.json: /derived/values/0: arithmetic: says 2.85; 2.8333333333333335 follows\n",
        "b.json: /derived/score/joules_per_unit: arithmetic: says ",
        "violations; not signed\n",
    ] {
        said.is(7, line);
    }
}

/// Every number of a JSON value, by its pointer.
fn numbers(at: &str, value: &Value, all: &mut Vec<String>) {
    match value {
        Value::Number(_) => all.push(at.to_owned()),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, one)| numbers(&format!("{at}/{i}"), one, all));
        }
        Value::Object(fields) => fields.iter().for_each(|(name, one)| {
            let name = name.replace('~', "~0").replace('/', "~1");
            numbers(&format!("{at}/{name}"), one, all);
        }),
        _ => {}
    }
}

/// The value with another digit in its place of that index; `None`: it has no such digit.
fn other_digit(number: &Value, index: usize) -> Option<Value> {
    let text = number.to_string();
    let digits: Vec<(usize, char)> =
        text.char_indices().filter(|(_, c)| c.is_ascii_digit()).collect();
    let (place, digit) = *digits.get(index)?;
    let other = char::from_digit((digit.to_digit(10)? + 1) % 10, 10)?;
    let mut changed = text.clone();
    changed.replace_range(place..=place, &other.to_string());
    // `10` becomes `00`, which is no number: then nothing reads it.
    serde_json::from_str(&changed).ok().or(Some(Value::from(0))).filter(|new| new != number)
}

fn violations(value: &Value) -> Vec<Violation> {
    match read(value.to_string().as_bytes()) {
        Ok(read) => validate(&read).violations,
        Err(error) => vec![Violation {
            check: Check::Form,
            at: String::new(),
            said: String::new(),
            found: error.to_string(),
        }],
    }
}

#[test]
fn whatever_digit_is_changed_the_hash_catches_it() {
    let record = serde_json::to_value(bench_record::small()).unwrap();
    assert_eq!(violations(&record), []);
    let mut all = Vec::new();
    numbers("", &record, &mut all);
    assert!(all.len() > 100, "{}", all.len());
    for at in &all {
        let number = record.pointer(at).unwrap().clone();
        for index in (0..).map_while(|index| other_digit(&number, index).map(|_| index)) {
            let mut tampered = record.clone();
            *tampered.pointer_mut(at).unwrap() = other_digit(&number, index).unwrap();
            let found = violations(&tampered);
            let caught = found.iter().any(|one| one.check == Check::Hash || one.at.is_empty());
            assert!(caught, "{at}: {found:?}");
        }
    }
}

/// A little more and a little less, so that no bound of what can be is the reason.
fn near(number: &Value) -> [Option<Value>; 2] {
    match number.as_u64() {
        Some(whole) => [Some((whole + 1).into()), whole.checked_sub(1).map(Value::from)],
        None => {
            let value = number.as_f64().unwrap();
            let less = value * 0.999 - 1e-6;
            [Some((value * 1.001 + 1e-6).into()), Some(less.into())]
        }
    }
}

#[test]
fn with_the_hash_made_anew_arithmetic_catches_all_but_the_figures_that_are_free() {
    let record = serde_json::to_value(bench_record::small()).unwrap();
    let mut all = Vec::new();
    numbers("", &record, &mut all);
    let (mut free, mut beside) = (BTreeSet::new(), BTreeSet::new());
    for at in &all {
        for other in near(record.pointer(at).unwrap()).into_iter().flatten() {
            let mut tampered = record.clone();
            *tampered.pointer_mut(at).unwrap() = other;
            tampered["hash"] = hash::of(tampered.clone()).unwrap().into();
            if violations(&tampered).is_empty() {
                let domain = at.rsplit_once('/').and_then(|(domain, _)| record.pointer(domain));
                let summed = domain.and_then(|domain| domain.get("summed"));
                let set = if summed == Some(&Value::Bool(false)) { &mut beside } else { &mut free };
                set.insert(pattern(at));
            }
        }
    }
    let known: BTreeSet<String> = FREE.iter().map(|at| (*at).to_owned()).collect();
    assert_eq!(free, known);
    let beside_the_sum = ["joules", "share", "uncertainty_joules", "update_period_seconds"];
    let of_domain = |name| format!("/repetitions/*/domains/*/{name}");
    assert_eq!(beside, BTreeSet::from(beside_the_sum.map(of_domain)));
    let page = include_str!("../docs/benchmark.md");
    for at in FREE {
        assert!(page.contains(&format!("`{at}`")), "docs/benchmark.md does not list {at}");
    }
}

/// A pointer with `*` for each index and each domain's id.
fn pattern(at: &str) -> String {
    let part = |part: &str| {
        let any = part.parse::<usize>().is_ok() || part.contains(':');
        if any { "*".to_owned() } else { part.to_owned() }
    };
    at.split('/').map(part).collect::<Vec<String>>().join("/")
}

#[test]
fn a_level_claimed_too_high_is_named_although_the_hash_is_right() {
    let folder = Folder::new();
    folder.record("c.json", |record| {
        record.pue = None;
        let mut new = bench_record::again(record.clone());
        assert_eq!(new.derived.level.level, Level::C);
        new.derived.level.level = Level::A;
        *record = hash::sealed(new).unwrap();
    });
    let said = folder.bench(&["validate", "c.json"]);
    said.is(
        7,
        "c.json: /derived/level/level: level: says A; claimed too high: C follows (PUE: none)\n",
    );
    said.is(7, "c.json: not valid: 1 violation; not signed\n");
    let said = folder.bench(&["validate", "c.json", "--json"]);
    let list: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (list[0]["level"].as_str(), list[0]["claimed_level"].as_str()),
        (Some("C"), Some("A"))
    );
    assert_eq!(list[0]["violations"][0]["check"], "level");
}

#[test]
fn the_hash_is_that_of_somebody_elses_canonical_json() {
    const PROGRAM: &str = "\
import hashlib, json, rfc8785, sys
record = json.load(sys.stdin)
claimed = record.pop('hash')
print(claimed == 'sha256:' + hashlib.sha256(rfc8785.dumps(record)).hexdigest())
";
    let python = python::with_package("rfc8785", ">=0.1,<1", "rfc8785");
    let text = bench_record::text(&bench_record::record());
    let (ok, said) = python::fed(Command::new(python).args(["-c", PROGRAM]), &text);
    assert!(ok && said == "True\n", "{said}");
}

#[test]
fn a_signature_is_openssh_s_own_and_of_the_bytes() {
    let folder = Folder::new();
    folder.record("a.json", |_| ());
    let key = folder.key("mine");
    let said = folder.bench(&["sign", "a.json", "--key", "mine"]);
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{said:?}");
    assert_eq!(said.err, "aimeter: signed a.json in a.json.sig\n");

    // As the documentation says that anybody checks it.
    folder.allow("signers", "lab@example.org", &key);
    let plain = |record: &str| {
        let line = "ssh-keygen -Y verify -n aimeter-benchmark -f signers -I lab@example.org \
            -s a.json.sig < ";
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{line}{record}")).current_dir(folder.0.path());
        Said::of(&mut command)
    };
    plain("a.json").is(0, "Good \"aimeter-benchmark\" signature for lab@example.org");
    let page = include_str!("../docs/benchmark.md");
    assert!(page.contains("ssh-keygen -Y verify -n aimeter-benchmark -f SIGNERS"));

    let said = folder.bench(&["validate", "a.json"]);
    said.is(0, "; signed by key SHA256:");
    said.is(0, ", not checked against anybody\n");
    let signers = ["validate", "a.json", "--allowed-signers", "signers", "--require-signature"];
    folder.bench(&signers).is(0, "; signed by lab@example.org with key SHA256:");
    let by = |identity| folder.bench(&[&signers[..], &["--identity", identity]].concat());
    by("lab@example.org").is(0, "; signed by lab@example.org");
    by("other@example.org").is(7, "a.json.sig: signature: says signed by key SHA256:");

    // Somebody else's key, and nobody's.
    let other = folder.key("other");
    folder.allow("others", "other@example.org", &other);
    let said = folder.bench(&["validate", "a.json", "--allowed-signers", "others"]);
    said.is(7, "; its key is not among the allowed signers\n");
    let said = folder.bench(&["validate", "a.json", "--allowed-signers", "nobody"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.starts_with("aimeter: cannot read the allowed signers nobody: "), "{said:?}");

    // A space more is another file, although the record is the same.
    let text = std::fs::read_to_string(folder.path("a.json")).unwrap();
    folder.file("a.json", text + " ");
    let said = folder.bench(&["validate", "a.json"]);
    said.is(7, "a.json: a.json.sig: signature: says a signature; Signature verification failed");
    said.is(7, "a.json: not valid: 1 violation; its signature does not count\n");
    assert_ne!(plain("a.json").code, 0);
}

#[test]
fn a_broken_signature_is_named() {
    let folder = Folder::new();
    folder.record("a.json", |_| ());
    folder.key("mine");
    folder.bench(&["sign", "a.json", "--key", "mine"]).is(0, "");
    let signature = std::fs::read_to_string(folder.path("a.json.sig")).unwrap();
    let middle = signature.len() / 2;
    let other = if signature.as_bytes()[middle] == b'A' { "B" } else { "A" };
    let mut broken = signature.clone();
    broken.replace_range(middle..=middle, other);
    for text in [broken.as_str(), "", "garbage\n", &signature[..middle]] {
        folder.file("a.json.sig", text);
        let said = folder.bench(&["validate", "a.json"]);
        said.is(7, "a.json: a.json.sig: signature: says a signature; ");
    }
    // Of the right bytes, for another purpose.
    let mut command = keygen();
    command.args(["-q", "-Y", "sign", "-n", "file", "-f", "mine", "a.json"]);
    std::fs::remove_file(folder.path("a.json.sig")).unwrap();
    assert_eq!(Said::of(command.current_dir(folder.0.path())).code, 0);
    folder.bench(&["validate", "a.json"]).is(7, "namespace does not match");
}

#[test]
fn what_is_not_valid_is_not_signed_and_nothing_is_written_over() {
    let folder = Folder::new();
    folder.key("mine");
    folder.record("bad.json", |record| record.repetitions[0].joules += 1.0);
    let said = folder.bench(&["sign", "bad.json", "--key", "mine"]);
    assert_eq!(said.code, 7, "{said:?}");
    assert!(
        said.err.starts_with("aimeter: bad.json is not valid and was not signed ("),
        "{said:?}"
    );
    assert!(!folder.path("bad.json.sig").exists());

    folder.record("a.json", |_| ());
    folder.file("a.json.sig", "somebody's");
    let said = folder.bench(&["sign", "a.json", "--key", "mine"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("a.json.sig is there already; remove it"), "{said:?}");
    assert_eq!(std::fs::read_to_string(folder.path("a.json.sig")).unwrap(), "somebody's");

    folder.record("b.json", |_| ());
    let said = folder.bench(&["sign", "b.json", "--key", "nokey"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("ssh-keygen does not sign with nokey"), "{said:?}");
    assert!(!folder.path("b.json.sig").exists());
}

#[test]
fn without_ssh_keygen_it_is_said() {
    let folder = Folder::new();
    folder.record("a.json", |_| ());
    let bench = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aimeter"));
        command.arg("bench").args(arguments).current_dir(folder.0.path()).env("PATH", "/nowhere");
        Said::of(&mut command)
    };
    // Nobody needs it for a record that is not signed.
    bench(&["validate", "a.json"]).is(0, "valid");
    folder.file("a.json.sig", "a signature");
    let said = bench(&["validate", "a.json"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("ssh-keygen is not there"), "{said:?}");
    std::fs::remove_file(folder.path("a.json.sig")).unwrap();
    let said = bench(&["sign", "a.json", "--key", "mine"]);
    assert!(said.code == 1 && said.err.contains("install OpenSSH's client"), "{said:?}");
}

#[test]
fn hostile_files_are_refused_in_a_line() {
    let folder = Folder::new();
    let text = bench_record::text(&bench_record::record());
    let sparse = std::fs::File::create(folder.path("huge.json")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    let twice = text.replacen("\"nodes\": 1,", "\"nodes\": 1, \"nodes\": 1,", 1);
    let nan = text.replacen("\"nodes\": 1,", "\"nodes\": NaN,", 1);
    let terminal = text.replacen("aimeter-benchmark/1", "\\u001b[2Jx\\n", 1);
    for (name, text, has) in [
        ("deep.json", "[".repeat(1 << 20), "recursion limit exceeded at line 1"),
        ("cut.json", text[..text.len() / 2].to_owned(), "EOF while parsing"),
        ("nan.json", nan, "expected value at line "),
        ("twice.json", twice, "the field \"nodes\" stands twice at line "),
        ("empty.json", String::new(), "EOF while parsing"),
        (
            "other.json",
            "{\"schema\": \"aimeter-record/1\"}".to_owned(),
            "no benchmark record schema",
        ),
        ("newer.json", "{\"schema\": \"aimeter-benchmark/2\"}".to_owned(), "update aimeter"),
        ("terminal.json", terminal, "no benchmark record schema"),
    ] {
        folder.file(name, text);
        let said = folder.bench(&["validate", name]);
        said.is(8, has);
        assert!(said.out.starts_with(&format!("{name}: cannot be read: ")), "{said:?}");
        assert!(said.out.lines().count() == 1 && !said.out.contains('\u{1b}'), "{said:?}");
    }
    folder.bench(&["validate", "huge.json"]).is(8, "more than 32 MiB");
    folder.bench(&["validate", "none.json"]).is(8, "cannot open it: ");
    folder.bench(&["validate", "."]).is(8, "cannot ");

    let wrong = text.replacen("\"nodes\": 1,", "\"nodes\": \"one\",", 1);
    let line = text.lines().position(|line| line.contains("\"nodes\": 1,")).unwrap() + 1;
    folder.file("wrong.json", wrong);
    let said = folder.bench(&["validate", "wrong.json"]);
    said.is(7, "wrong.json: /machine/nodes: form: says something else; invalid type: string");
    said.is(7, &format!("at line {line} column "));
    folder.file("missing.json", text.replacen("\"nodes\": 1,", "", 1));
    folder.bench(&["validate", "missing.json"]).is(7, "/machine: form: ");
}

/// Many fields of everything that is looked up in something else: the check's time rises
/// with their number and not with its square, which would be hours here.
#[test]
fn a_record_of_great_length_is_checked_and_its_violations_are_counted_out() {
    let folder = Folder::new();
    folder.record("long.json", |record| {
        let gpu = record.machine.host.gpus[0].clone();
        let more = (0..40_000).map(|index| {
            let mut more = gpu.clone();
            more.uuid = format!("GPU-{index}");
            more
        });
        record.machine.host.gpus.extend(more);
        let domain = record.repetitions[0].domains[0].clone();
        let more = (0..40_000).map(|index| {
            let mut more = domain.clone();
            more.id = format!("nvml:GPU-other-{index}");
            more
        });
        record.repetitions[0].domains.extend(more);
    });
    let said = folder.bench(&["validate", "long.json"]);
    said.is(7, "/machine/accelerators: disclosure: says nothing of \"GPU-0\"; ");
    let disclosures = said.out.lines().filter(|line| line.contains(": disclosure: ")).count();
    assert_eq!(disclosures, 200);
}

#[test]
fn of_several_files_each_is_told_and_the_worst_code_is_the_end() {
    let folder = Folder::new();
    folder.record("a.json", |_| ());
    folder.record("b.json", |record| record.repetitions[0].joules += 1.0);
    folder.file("c.json", "{}");
    let said = folder.bench(&["validate", "a.json", "b.json"]);
    said.is(7, "a.json: valid");
    said.is(7, "b.json: not valid");
    let said = folder.bench(&["validate", "c.json", "b.json", "a.json", "--json"]);
    assert_eq!(said.code, 8);
    let list: Value = serde_json::from_str(&said.out).unwrap();
    let valid: Vec<Option<bool>> =
        list.as_array().unwrap().iter().map(|one| one["valid"].as_bool()).collect();
    assert_eq!(valid, [Some(false), Some(false), Some(true)]);
    assert_eq!(list[0]["error"], "no benchmark record: it has no field `schema`");
}
