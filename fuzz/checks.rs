// SPDX-License-Identifier: Apache-2.0
//! One check for each parser of foreign bytes: whatever the bytes, it returns,
//! and what it returns holds together.
//!
//! Two drivers share these: the fuzz targets beside this file, and the property
//! tests of `tests/foreign_bytes.rs`, which change the samples of `seeds/`.

use std::collections::BTreeSet;
use std::path::Path;

use aimeter::benchmark::validate::validate;
use aimeter::benchmark::{hash, read as benchmark};
use aimeter::config::{ConfigError, FileChoice, Options, Sources, file, keys};
use aimeter::export::prometheus::negotiation::{Format, takes_gzip};
use aimeter::grid::feeds::{Ask, Feed, MOST_GRAMS, PROVIDERS, Want, facts};
use aimeter::grid::table;
use aimeter::jobs::gpus::{GpuIdentity, MigInstance, resolve};
use aimeter::jobs::{GpuRequest, JobId, cgroup, cpu, processes};
use aimeter::record;
use aimeter::record::import::{Clock, Import, codecarbon, slurm};
use aimeter::sensors::{cpuinfo, estimate, files};
use aimeter::server::protocol::Request;
use aimeter::server::web::users::credentials;
use aimeter::server::web::{WebError, file as web};

/// A check.
pub type Check = fn(&[u8]);

/// Every check by its name, which is also its target's and its seeds' folder's.
pub const ALL: [(&str, Check); 16] = [
    ("control_request", control_request),
    ("config_file", config_file),
    ("config_values", config_values),
    ("gpu_list", gpu_list),
    ("proc_files", proc_files),
    ("integers", integers),
    ("zones", zones),
    ("record_json", record_json),
    ("benchmark_record", benchmark_record),
    ("job_id", job_id),
    ("feed_answer", feed_answer),
    ("pue_reading", pue_reading),
    ("web_file", web_file),
    ("http_headers", http_headers),
    ("codecarbon_csv", codecarbon_csv),
    ("sacct", sacct),
];

/// A line on the control socket: what was understood is written and read alike.
pub fn control_request(data: &[u8]) {
    let Ok(request) = serde_json::from_slice::<Request>(data) else { return };
    let text = serde_json::to_string(&request).expect("a request can be written");
    let again: Request = serde_json::from_str(&text).expect("and read again");
    assert_eq!(format!("{request:?}"), format!("{again:?}"));
}

/// The configuration file: an error names a line that is there.
pub fn config_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match file::parse(Path::new("f"), text) {
        Ok(settings) => {
            for entry in settings.entries {
                assert!(entry.key < keys::KEYS.len());
                assert!((1..=text.lines().count()).contains(&entry.line), "line {}", entry.line);
            }
        }
        Err(ConfigError::InFile { line, .. }) => {
            assert!((1..=text.lines().count() + 1).contains(&line), "line {line}");
        }
        Err(other) => panic!("not an error of a line: {other}"),
    }
}

/// The value of any one setting, as an environment variable: the first byte
/// chooses which.
pub fn config_values(data: &[u8]) {
    let Some((&which, value)) = data.split_first() else { return };
    let Ok(value) = std::str::from_utf8(value) else { return };
    let key = &keys::KEYS[usize::from(which) % keys::KEYS.len()];
    let environment = |name: &str| (name == key.environment).then(|| value.to_owned());
    let sources = Sources {
        flags: Vec::new(),
        environment: &environment,
        file: FileChoice::None,
        root: true,
    };
    if let Err(error) = Options::resolve(&sources) {
        assert!(matches!(error, ConfigError::Given { .. }), "{error}");
        assert!(error.to_string().contains(key.environment), "{error}");
    }
}

/// `CUDA_VISIBLE_DEVICES` and `--gpus`: claims of GPUs that are there, each once,
/// of no more than the whole.
pub fn gpu_list(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let gpus = gpus();
    let order = text.len().is_multiple_of(2).then(|| "PCI_BUS_ID".to_owned());
    let auto = GpuRequest::Auto { visible_devices: Some(text.to_owned()), device_order: order };
    let list = GpuRequest::List(text.split(',').map(str::to_owned).collect());
    for request in [auto, list] {
        for some in [&gpus[..], &gpus[..1], &[]] {
            let resolved = resolve(&request, some);
            for (place, claim) in resolved.claims.iter().enumerate() {
                assert!(claim.gpu < some.len());
                assert!(claim.weight >= 1 && claim.weight <= claim.whole, "{claim:?}");
                let earlier = &resolved.claims[..place];
                assert!(earlier.iter().all(|other| other.gpu != claim.gpu), "{resolved:?}");
            }
        }
    }
}

/// Four GPUs: a plain one, two with MIG in unlike and in like instances, one of
/// another model.
fn gpus() -> Vec<GpuIdentity> {
    let mig = |letter: char, slices: &[u32]| {
        let instance = |(place, &slices): (usize, &u32)| MigInstance {
            uuid: format!("MIG-{letter}{place}"),
            slices,
        };
        slices.iter().enumerate().map(instance).collect()
    };
    let gpu = |index: u32, name: &str, mig: Vec<MigInstance>| GpuIdentity {
        index,
        uuid: format!("GPU-{index}a"),
        pci_bus_id: format!("00000000:{index:02X}:00.0"),
        name: name.to_owned(),
        mig,
    };
    vec![
        gpu(0, "A", Vec::new()),
        gpu(1, "A", mig('b', &[3, 2, 1, 0])),
        gpu(2, "A", mig('c', &[1, 1])),
        gpu(10, "B", Vec::new()),
    ]
}

/// The kernel's files: `/proc/stat`, `/proc/PID/stat`, `cpu.stat`, `mountinfo`,
/// `cpuinfo`.
pub fn proc_files(data: &[u8]) {
    if let Some(stat) = cpu::parse_stat(data) {
        assert!(usize::try_from(stat.cores).is_ok_and(|cores| cores <= data.len()));
    }
    if let (Some(times), Some(stat)) = (estimate::Times::parse(data), cpu::parse_stat(data)) {
        assert_eq!(times.busy, stat.busy_ticks, "two readers of one line");
    }
    if let Some(process) = processes::parse(7, data) {
        assert_eq!(process.pid, 7);
        assert!(process.parent >= 0);
    }
    for key in ["usage_usec ", "populated "] {
        if let Some(number) = cgroup::keyed_number(data, key.as_bytes()) {
            let text = String::from_utf8_lossy(data);
            let shown = number.to_string();
            assert!(text.contains(key) && text.contains(&shown), "{number} is not in {text:?}");
        }
    }
    if let Some(mount) = cgroup::Mount::parse(data) {
        assert!(mount.root.len() <= data.len());
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let cpu = cpuinfo::parse(text);
        assert!(cpu.name.len() <= text.len());
    }
}

/// Files of one number, as powercap and hwmon have them: a number or nothing,
/// and what was read is what was written.
pub fn integers(data: &[u8]) {
    let standard = std::str::from_utf8(data)
        .ok()
        .map(|text| text.trim_matches(|c: char| c.is_ascii_whitespace()))
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok());
    assert_eq!(files::parse_integer(data), standard);
}

/// A table of zones: every row is one that a figure can be made of.
pub fn zones(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for entry in table::parse(text) {
        assert!(entry.intensity.grams_per_kwh().is_finite());
        assert!(["lifecycle", "direct"].contains(&entry.boundary.as_str()));
    }
    // The same bytes as the zone that somebody writes.
    match table::find(text) {
        Ok(entry) => assert!(entry.zone.eq_ignore_ascii_case(text)),
        Err(unknown) => assert_eq!(unknown.zone, text),
    }
}

/// A record of anybody's: what was understood is written and read alike.
pub fn record_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(read) = record::read(text) else { return };
    let written = serde_json::to_string(&read).expect("a record can be written");
    assert_eq!(record::read(&written).expect("and read again"), read);
}

/// A benchmark record of anybody's: what is found does not depend on how it is written,
/// and an error is in one line.
pub fn benchmark_record(data: &[u8]) {
    let read = match benchmark::read(data) {
        Ok(read) => read,
        Err(error) => return assert!(!error.to_string().contains('\n'), "{error}"),
    };
    let found = validate(&read);
    let written = serde_json::to_vec(&read.value).expect("a record can be written");
    let again = benchmark::read(&written).expect("and read again");
    assert_eq!(hash::of(again.value.clone()).ok(), hash::of(read.value).ok());
    assert_eq!(validate(&again), found);
}

/// `AIMETER_JOB_ID`: what is accepted can stand in a path and in a label.
pub fn job_id(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(id) = text.parse::<JobId>() else { return };
    assert_eq!(id.as_str(), text);
    assert!((1..=64).contains(&text.len()) && !text.starts_with('.') && !text.contains('/'));
    let json = serde_json::to_string(&id).expect("an id can be written");
    assert_eq!(serde_json::from_str::<JobId>(&json).expect("and read again"), id);
}

/// A building's document: a plausible PUE, or an error in one line.
pub fn pue_reading(data: &[u8]) {
    for pointer in ["", "/pue", "/data/0/pue"] {
        match aimeter::grid::pue::parse(data, pointer) {
            Ok(thousandths) => {
                assert!(aimeter::grid::pue::PLAUSIBLE.contains(&thousandths), "{thousandths}");
            }
            Err(error) => assert!(!error.to_string().contains('\n'), "{error:?}"),
        }
    }
}

/// A feed's answer to the question that the first byte chooses: plausible facts of
/// the zone asked for, by time and without overlaps, or an error of bounded length.
pub fn feed_answer(data: &[u8]) {
    let Some((&which, body)) = data.split_first() else { return };
    let which = usize::from(which);
    let provider = PROVIDERS[which % PROVIDERS.len()];
    let (zone, place) = match provider.name {
        "uk-carbon-intensity" => ("GB", (which >= 128).then_some("11")),
        "energinet" => ("DK", Some("DK1")),
        "rte" => ("FR", None),
        "watttime" => ("US-CA", Some("CAISO_NORTH")),
        "entsoe" => ("BE", Some("10YBE----------2")),
        "eia" => ("US-OR", Some("BPAT")),
        _ => ("DE", None),
    };
    let time = |text: &str| text.parse().expect("a time");
    let range = Want::Range { from: time("2000-01-01T00:00Z"), to: time("2100-01-01T00:00Z") };
    let want = [Want::Now, range, Want::Forecast][which / PROVIDERS.len() % 3];
    let mut feed = Feed::of(provider);
    feed.place = place.map(str::to_owned);
    feed.pointer = Some("/data/0/gco2eq_kwh".into());
    feed.time_pointer = Some("/data/0/ts".into());
    let ask = Ask { zone: zone.to_owned(), want, now: time("2026-12-01T00:00Z") };
    match facts(&feed, &ask, body) {
        Ok(facts) => {
            assert!(!facts.is_empty());
            assert!(facts.windows(2).all(|pair| pair[0].to <= pair[1].from), "{facts:?}");
            for fact in facts {
                assert!(fact.from < fact.to && fact.zone == zone, "{fact:?}");
                assert!(fact.intensity.grams_per_kwh() <= MOST_GRAMS, "{fact:?}");
            }
        }
        Err(error) => assert!(error.to_string().len() <= 300, "{error}"),
    }
}

/// The web file: an error names a place that can be there, in one line.
pub fn web_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match web::parse(Path::new("f"), text) {
        Ok(_) => {}
        Err(error @ WebError::Form { line, column, .. }) => {
            assert!(line >= 1 && column >= 1, "{error}");
        }
        Err(other) => panic!("not an error of a line: {other}"),
    }
}

/// `Accept`, `Accept-Encoding` and `Authorization`, as any client may send them.
pub fn http_headers(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let format = Format::accepted(text);
        // What is asked for by name is what is answered with.
        let again = Format::accepted(format.content_type().trim_end_matches("; charset=utf-8"));
        assert_eq!(again, format);
        assert!(!takes_gzip(text) || text.to_ascii_lowercase().contains("gzip"));
    }
    if let Some((name, _)) = credentials(data) {
        assert!(!name.contains(':'));
    }
}

/// CodeCarbon's `emissions.csv`: each row is a record that holds together or is named.
pub fn codecarbon_csv(data: &[u8]) {
    if let Ok(import) = codecarbon::read(data, &Clock::of(None)) {
        imported(&import, data);
    }
}

/// sacct's output, as text or JSON.
pub fn sacct(data: &[u8]) {
    let site = slurm::Site { clock: Clock::of(None), cpus_per_node: Some(64) };
    if let Ok(import) = slurm::read(data, &site) {
        imported(&import, data);
    }
}

/// Records that can be written and read, of bounded figures, each with an id of its own
/// that can name a file; remarks in bounded words.
fn imported(import: &Import, data: &[u8]) {
    let mut ids = BTreeSet::new();
    for record in &import.records {
        assert!(record.job.id.parse::<JobId>().is_ok(), "{}", record.job.id);
        assert!(ids.insert(record.job.id.clone()) || record.job.origin == "sacct");
        let energy = &record.energy;
        assert_eq!(energy.uncertainty_joules, None);
        if let Some(total) = energy.total_joules {
            assert!((0.0..=1.8e13).contains(&total), "{total}");
            let sum: f64 = energy.domains.iter().map(|one| one.joules).sum();
            assert!((sum - total).abs() <= total * 1e-5 + 1e-5, "{sum} {total}");
        }
        let grams = record.emissions.operational_grams.unwrap_or(0.0);
        assert!(grams.is_finite() && grams >= 0.0, "{grams}");
        let written = serde_json::to_string(record).expect("a record can be written");
        assert_eq!(&record::read(&written).expect("and read again"), record);
    }
    for remark in &import.remarks {
        assert!(remark.why.len() <= 400 && remark.field.len() <= 40, "{remark:?}");
        if let aimeter::record::import::Place::Line(line) = remark.place {
            assert!(line <= 1 + data.iter().filter(|byte| **byte == b'\n').count() as u64);
        }
    }
}
