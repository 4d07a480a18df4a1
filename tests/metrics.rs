// SPDX-License-Identifier: Apache-2.0
//! `/metrics` from a fixed snapshot in which every field has its own number, so
//! that a swapped field shows. `AIMETER_UPDATE=1` writes the golden page anew.

#[path = "common/python.rs"]
mod python;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use aimeter::carbon::pue::PueNow;
use aimeter::engine::snapshot::*;
use aimeter::export::prometheus::negotiation::Format;
use aimeter::export::prometheus::{Exporter, families};
use aimeter::jobs::marks::Count;
use aimeter::sensors::{Domain, DomainId, Kind, Method};
use aimeter::settlement::task::Shared;
use aimeter::settlement::{Figure, Settlement};
use aimeter::units::{Emissions, Energy, Intensity, Power};
use jiff::Timestamp;

const GOLDEN: &str = "tests/golden/metrics.txt";
const GOLDEN_OPEN_METRICS: &str = "tests/golden/metrics.openmetrics.txt";

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + seconds).unwrap()
}

fn energy(microjoules: u64) -> Energy {
    Energy::from_microjoules(microjoules)
}

fn grams(grams: u64) -> Emissions {
    // 1 kWh at 1 g/kWh is 1 g.
    let kwh = energy(3_600_000_000_000);
    let one = Emissions::of(kwh, Intensity::from_milligrams_per_kwh(1_000), 1_000);
    (0..grams).fold(Emissions::ZERO, |sum, _| sum.saturating_add(one))
}

fn domain(id: &str, kind: Kind, source: &str, overlap: Option<&str>, base: u64) -> DomainView {
    let domain = Domain {
        id: DomainId::new(id),
        kind,
        source: source.into(),
        method: Method::Counter,
        resolution: energy(61),
        range: None,
        update_period: Duration::from_millis(1),
        max_power: Power::from_watts(1_000),
        overlap: overlap.map(str::to_owned),
        gain_percent: None,
        model_percent: None,
        driver: None,
        power_limit: (kind == Kind::Gpu).then(|| Power::from_watts(base + 10)),
        device: format!("device {base}"),
    };
    DomainView {
        domain: Arc::new(domain),
        total: energy(base * 1_000_000 + 1),
        unattributed: energy(base * 100_000 + 2),
        power: (kind != Kind::Dram).then(|| Power::from_microwatts(base * 10_000 + 3)),
        state: if kind == Kind::Gpu { SensorState::Stalled } else { SensorState::Ok },
        read_errors: [base + 4, base + 5, base + 6, base + 7],
        refused: base + 8,
        resets: base + 9,
        last_read: Some(time(base as i64)),
    }
}

fn job(id: &str, name: &str, project: Option<&str>, running: bool, base: u64) -> JobView {
    let meta = JobMeta {
        id: id.parse().unwrap(),
        uid: 1000,
        name: name.into(),
        user: "alice".into(),
        project: project.map(str::to_owned),
    };
    let mut by_kind = ByKind::default();
    for (place, energy) in by_kind.iter_mut().enumerate().take(3) {
        *energy = Energy::from_microjoules((base + place as u64) * 1_000_000);
    }
    JobView {
        meta: Arc::new(meta),
        running,
        started: time(base as i64),
        ended: (!running).then(|| time(base as i64 + 6)),
        duration: (!running).then_some(Duration::from_secs(6)),
        energy: by_kind,
        node: energy((base + 3) * 1_000_000),
        emissions: grams(base + 4),
        embodied: grams(base + 6),
        power: Power::from_watts(base + 5),
        work: None,
    }
}

/// The job with two phases and a unit.
fn marked(mut job: JobView) -> JobView {
    let phase = |name: &str, joules: u64, seconds| PhaseView {
        name: name.into(),
        energy: energy(joules * 1_000_000),
        time: Duration::from_secs(seconds),
    };
    let count = Count::from_thousandths(2_119_500);
    job.work = Some(Arc::new(WorkView {
        phases: vec![phase("epoch", 2_115, 2_116), phase("eval", 2_117, 2_118)],
        current: None,
        units: vec![UnitView { name: "tokens".into(), count }],
    }));
    job
}

fn account(name: &str, base: u64) -> AccountView {
    let mut by_kind = ByKind::default();
    by_kind[0] = energy(base * 1_000_000);
    AccountView {
        name: name.into(),
        energy: by_kind,
        emissions: grams(base + 1),
        embodied: grams(base + 2),
    }
}

fn intensity(
    zone: &str,
    grams_per_kwh: f64,
    source: &str,
    quality: &'static str,
    from: Option<Timestamp>,
) -> IntensityView {
    IntensityView {
        asked: Some(zone.into()),
        since: time(0),
        zone: zone.into(),
        grams_per_kwh,
        source: source.into(),
        signal: "average".into(),
        quality,
        from,
    }
}

fn figure(all: u64, open: u64) -> Figure {
    Figure { emissions: grams(all), unsettled: grams(open), ..Figure::default() }
}

/// Of a job that is shown, one that is not, and the accounts.
fn settlement() -> Shared {
    let jobs = [("j1", figure(5_200, 1_100)), ("gone", figure(1, 1))];
    let settlement = Settlement {
        at: Some(time(8)),
        jobs: jobs.map(|(id, figure)| (id.parse().unwrap(), figure)).into(),
        users: [("alice".to_owned(), figure(5_400, 1_200))].into(),
        projects: [("vision".to_owned(), figure(5_600, 0))].into(),
    };
    let view = Shared::default();
    view.store(Arc::new(settlement));
    view
}

fn snapshot() -> Snapshot {
    let gpu = domain("nvml:GPU-1", Kind::Gpu, "nvml", None, 1_100);
    let holder = job("j1", "hostile \"name\"\\\nwith} 1 lines{", Some("vision"), true, 2_100);
    Snapshot {
        at: Some(time(1)),
        ticks: 2,
        missed_ticks: 3,
        domains: vec![
            gpu.clone(),
            domain("rapl:package-0", Kind::Cpu, "rapl", None, 1_200),
            domain("rapl:package-0/dram", Kind::Dram, "rapl", None, 1_300),
            domain("rapl:psys", Kind::Node, "rapl", Some("contains the packages"), 1_400),
        ],
        jobs: vec![
            job("new", "just started", None, true, 0),
            marked(holder.clone()),
            job("j2", "é漢", Some("vision"), false, 2_200),
        ],
        claims: vec![ClaimView { domain: gpu.domain, job: holder.meta }],
        users: vec![account("alice", 3_100)],
        projects: vec![account("vision", 3_200)],
        sources: vec![
            SourceView { name: "nvml", up: true, domains: 4_101, missing: 4_102 },
            SourceView { name: "rapl", up: false, domains: 4_201, missing: 4_202 },
        ],
        ledger: LedgerView { up: true, errors: 5, last_write: Some(time(6)), pending: 7 },
        zones: Arc::new([
            intensity("GB", 209.5, "uk", "forecast", Some(time(-899))),
            intensity("WORLD", 473.0, "table:2024", "table", None),
            // A second zone that nobody knows.
            intensity("WORLD", 473.0, "table:2024", "table", None),
        ]),
        feeds: Arc::new(vec![
            FeedView {
                source: "uk".into(),
                up: Some(false),
                requests: [("ok", 8), ("no_answer", 9)].into(),
                last_success: Some(time(10)),
            },
            FeedView { source: "file".into(), ..FeedView::default() },
        ]),
        pue: Some(PueNow { thousandths: 1_234, source: "schedule" }),
    }
}

fn page(snapshot: Snapshot) -> String {
    page_in(Format::Text, snapshot)
}

fn page_in(format: Format, snapshot: Snapshot) -> String {
    let snapshot = Arc::new(snapshot);
    let page = Exporter::new(move || snapshot.clone(), settlement()).page(format).unwrap();
    String::from_utf8(page).unwrap()
}

fn check_golden(format: Format, golden: &str) {
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    let text = page_in(format, snapshot()).replace(&version, "version=\"VERSION\"");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(golden);
    if std::env::var_os("AIMETER_UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "if it is meant: AIMETER_UPDATE=1 cargo test --test metrics");
}

#[test]
fn the_pages_are_the_golden_ones() {
    check_golden(Format::Text, GOLDEN);
    check_golden(Format::OpenMetrics, GOLDEN_OPEN_METRICS);
}

#[test]
fn both_formats_say_the_same() {
    let samples = |format| -> Vec<String> {
        let page = page_in(format, snapshot());
        page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    let text = samples(Format::Text);
    assert!(text.len() > 100);
    assert_eq!(text, samples(Format::OpenMetrics));
}

/// The parser that Prometheus's own Python client checks itself with.
#[test]
fn a_strict_parser_takes_the_open_metrics_page() {
    for snapshot in [snapshot(), Snapshot::default()] {
        let page = page_in(Format::OpenMetrics, snapshot);
        let said = python::open_metrics(&page).unwrap_or_else(|error| panic!("{error}\n{page}"));
        let samples = page.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(said.lines().count(), samples, "{said}");
        assert!(said.contains("aimeter_build info - aimeter_build_info\n"), "{said}");
        let ticks = "aimeter_ticks counter - aimeter_ticks_total\n";
        assert!(said.contains(ticks), "{said}");
    }
    // It would refuse a page that is cut.
    let page = page_in(Format::OpenMetrics, snapshot());
    let cut = page.trim_end().strip_suffix("# EOF").unwrap();
    assert!(python::open_metrics(cut).is_err());
}

#[test]
fn every_family_of_the_reference_is_on_the_page_and_no_other() {
    let text = page(snapshot());
    let mut on_page: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let mut known: Vec<&str> = families::ALL.iter().map(|family| family.name).collect();
    on_page.sort_unstable();
    known.sort_unstable();
    assert_eq!(on_page, known);
}

#[test]
fn a_new_job_is_there_at_zero_before_its_first_joule() {
    let text = page(snapshot());
    for kind in ["gpu", "cpu", "dram"] {
        let mut fresh = snapshot();
        fresh.jobs.truncate(1);
        fresh.jobs[0].energy = ByKind::default();
        let series = format!(
            "aimeter_job_energy_joules_total{{job_id=\"new\",job_name=\"just started\",user=\"alice\",project=\"\",kind=\"{kind}\"}} 0\n"
        );
        assert!(page(fresh).contains(&series), "{text}");
    }
}

#[test]
fn energy_of_a_device_that_has_gone_stays_on_the_page() {
    let mut gone = snapshot();
    gone.domains.clear();
    let text = page(gone);
    assert!(text.contains("aimeter_user_energy_joules_total{user=\"alice\",kind=\"gpu\"} 3100\n"));
    assert!(!text.contains("kind=\"dram\"} 0"));
}

#[test]
fn an_empty_snapshot_is_a_sound_page() {
    let text = page(Snapshot::default());
    assert!(text.contains("aimeter_jobs_running 0\n"));
    promtool(&text);
}

#[test]
fn promtool_finds_nothing() {
    promtool(&page(snapshot()));
}

fn promtool(text: &str) {
    let (ok, said) = python::fed(Command::new("promtool").args(["check", "metrics"]), text);
    assert!(ok && said.is_empty(), "{said}");
}
