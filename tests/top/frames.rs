// SPDX-License-Identifier: Apache-2.0
//! Frames of a made-up machine, as text in `tests/golden/`; `AIMETER_UPDATE=1` writes
//! them anew.

use std::path::Path;

use aimeter::server::now::{DomainNow, Intensity, JobNow, Now, PhaseNow, UnitNow};
use aimeter::top::state::{Event, Top};
use aimeter::top::{Look, draw, plain};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;

const LOOK: Look = Look { colour: false, unicode: true };

pub fn time(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_795_000_000 + second).unwrap()
}

fn domain(id: &str, kind: &str, device: &str, watts: f64, second: i64) -> DomainNow {
    DomainNow {
        id: id.into(),
        kind: kind.into(),
        device: device.into(),
        source: id.split(':').next().unwrap().into(),
        method: "counter".into(),
        counted: kind != "node",
        state: "ok".into(),
        watts: Some(watts),
        joules: watts * second as f64,
        // 10 % of each.
        unattributed_joules: watts / 10.0 * second as f64,
        read_at: Some(time(second)),
    }
}

pub fn job(id: &str, name: &str, user: &str, watts: Option<f64>, joules: f64) -> JobNow {
    JobNow {
        id: id.into(),
        name: name.into(),
        user: user.into(),
        project: (user == "ada").then(|| "vision".into()),
        state: if watts.is_some() { "running" } else { "finished" }.into(),
        started_at: time(-(joules as i64) % 90_000),
        watts,
        joules,
        gpu_joules: joules * 0.75,
        cpu_joules: joules * 0.25,
        dram_joules: 0.0,
        emissions_grams: joules / 3.6e6 * 211.0,
        phase: None,
        phases: Vec::new(),
        work: Vec::new(),
    }
}

/// After two minutes, with a job that marks phases and units of work.
fn top_with_marks() -> Top {
    let mut now = now(119);
    let phase = |name: &str, seconds, joules| PhaseNow { name: name.into(), seconds, joules };
    let unit = |unit: &str, count, joules: f64| UnitNow {
        unit: unit.into(),
        count,
        joules_per_unit: Some(joules / count),
    };
    let marking = &mut now.jobs[1];
    marking.phase = Some("eval".into());
    marking.phases = vec![
        phase("load", 12.0, 9_000.0),
        phase("train", 18_000.0, 1_700_000.0),
        phase("eval", 1_800.5, 140_000.0),
        phase("checkpoint:every-1000-steps.of-a-long-name", 61.0, 5_000.0),
        phase("export", 2.0, 400.0),
    ];
    marking.work =
        vec![unit("steps", 12_000.0, marking.joules), unit("tokens", 24_576_000.0, marking.joules)];
    let mut top = top();
    top.handle(Event::Look(Box::new(now)));
    top
}

/// The machine at a second: two GPUs whose power climbs, a package, the whole node.
pub fn now(second: i64) -> Now {
    let climbing = 100.0 + second as f64;
    let gpu = "NVIDIA H100 80GB HBM3";
    let mut asleep = domain("nvml:GPU-2", "gpu", gpu, 0.0, second);
    asleep.state = "no_data".into();
    asleep.watts = None;
    Now {
        at: Some(time(second)),
        release: "0.1.0".into(),
        host: "node7".into(),
        trouble: None,
        watts: Some(climbing * 2.0 + 80.0),
        unattributed_watts: None,
        grams_per_hour: Some((climbing * 2.0 + 80.0) * 0.211),
        intensity: Some(Intensity {
            zone: "GB".into(),
            grams_per_kwh: 211.0,
            source: "uk".into(),
            signal: "average".into(),
            quality: "actual".into(),
            from: Some(time(second - 1_500)),
        }),
        other_intensities: vec![Intensity {
            zone: "FR".into(),
            grams_per_kwh: 33.0,
            source: "rte".into(),
            signal: "average".into(),
            quality: "held".into(),
            from: Some(time(second - 9_000)),
        }],
        domains: vec![
            domain("hwmon:node", "node", "power meter", climbing * 3.0, second),
            domain("nvml:GPU-0", "gpu", gpu, climbing, second),
            domain("nvml:GPU-1", "gpu", gpu, climbing, second),
            asleep,
            domain("rapl:package-0", "cpu", "package-0", 80.0, second),
        ],
        jobs: vec![
            job("01A", "train.py", "ada", Some(220.5), 1_000.0),
            job("01B", "evaluate \u{1b}[2J", "bob", Some(90.0), 2_000_000.0),
            job("01C", "übersetzung-mit-langem-namen-der-nicht-passt", "eve", None, 5e9),
        ],
        jobs_running: 2,
        jobs_left_out: 0,
    }
}

/// After two minutes.
pub fn top() -> Top {
    let mut top = Top::default();
    for second in 0..120 {
        top.handle(Event::Look(Box::new(now(second))));
    }
    top
}

pub fn press(top: &mut Top, keys: &str) {
    for key in keys.chars() {
        let code = if key == '\n' { KeyCode::Enter } else { KeyCode::Char(key) };
        top.handle(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }
}

fn terminal(top: &Top, look: Look, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(top, look, frame.area(), frame.buffer_mut())).unwrap();
    terminal
}

pub fn frame(top: &Top, width: u16, height: u16) -> String {
    let terminal = terminal(top, LOOK, width, height);
    let buffer = terminal.backend().buffer();
    let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| row(y).trim_end().to_owned() + "\n").collect()
}

fn check(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("AIMETER_UPDATE").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "AIMETER_UPDATE=1 cargo test --test top writes {name}");
}

#[test]
fn frames_of_three_sizes_are_as_they_were_looked_at() {
    check("top-80x24.txt", &frame(&top(), 80, 24));
    check("top-40x10.txt", &frame(&top(), 40, 10));
    check("top-200x60.txt", &frame(&top(), 200, 60));
}

#[test]
fn a_job_and_the_keys_are_as_they_were_looked_at() {
    let mut top = top();
    press(&mut top, "j\n");
    check("top-job.txt", &frame(&top, 80, 24));
    press(&mut top, "q?");
    check("top-help.txt", &frame(&top, 80, 24));
}

#[test]
fn a_job_that_marks_has_its_phase_in_the_list_and_all_of_it_on_its_page() {
    let mut top = top_with_marks();
    let list = frame(&top, 80, 24);
    check("top-marks.txt", &list);
    assert!(list.lines().all(|line| line.chars().count() <= 80));
    press(&mut top, "j\n");
    check("top-marks-job.txt", &frame(&top, 80, 24));
    let whole = frame(&top, 100, 60);
    for (part, times) in [(" more\n", 0), ("export", 1), (", now\n", 1), (" each", 2)] {
        assert_eq!(whole.matches(part).count(), times, "{part} in\n{whole}");
    }
}

#[test]
fn a_plain_frame_has_every_job_and_no_line_of_power() {
    let text = plain(&top(), 120);
    check("top-once.txt", &text);
    assert!(!text.contains('▁'));
}

#[test]
fn no_size_is_too_small() {
    let mut top = top();
    for over in ["", "\n", "q?"] {
        press(&mut top, over);
        for (width, height) in [(0, 0), (1, 1), (3, 2), (9, 3), (20, 5), (500, 4), (12, 200)] {
            frame(&top, width, height);
        }
    }
    frame(&Top::default(), 80, 24);
}

#[test]
fn without_colour_no_cell_has_one_and_with_colour_some_have() {
    let colours = |look| {
        let terminal = terminal(&top(), look, 80, 24);
        let cells = &terminal.backend().buffer().content;
        cells.iter().filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert_eq!(colours(LOOK), 0);
    assert!(colours(Look { colour: true, ..LOOK }) > 0);
}

#[test]
fn without_unicode_the_frame_is_ascii_but_for_names() {
    let terminal = terminal(&top(), Look::default(), 80, 24);
    let cells = terminal.backend().buffer().content.iter();
    let foreign: String = cells.map(|cell| cell.symbol()).filter(|sign| !sign.is_ascii()).collect();
    assert_eq!(foreign, "ü");
}

#[test]
fn a_lost_daemon_is_said_and_the_last_figures_stay() {
    let mut top = top();
    top.handle(Event::Lost("no daemon answers on /run/x.sock: connection refused".into()));
    let lost = frame(&top, 80, 24);
    assert!(lost.contains("trying again: no daemon answers on /run/x.sock: connection refused"));
    assert!(lost.contains("220.5 W"));
    top.handle(Event::Look(Box::new(now(500))));
    assert!(!frame(&top, 80, 24).contains("trying again"));
}

#[test]
fn a_sampler_that_stands_still_is_said_in_the_place_of_the_grid() {
    let mut top = Top::default();
    let trouble = Some("the sampler stands still: no reading for 9 s".to_owned());
    top.handle(Event::Look(Box::new(Now { trouble, ..now(5) })));
    let frame = frame(&top, 80, 24);
    assert!(frame.contains("the sampler stands still: no reading for 9 s"));
    assert!(!frame.contains("g/kWh"));
}

#[test]
fn many_domains_are_summed_up_and_none_is_lost() {
    let mut many = now(0);
    many.domains = (0..16).map(|n| domain(&format!("nvml:{n}"), "gpu", "H100", 10.0, 1)).collect();
    let mut top = Top::default();
    top.handle(Event::Look(Box::new(many)));
    let frame = frame(&top, 80, 24);
    let shown = frame.lines().filter(|line| line.starts_with("GPU")).count();
    let more = frame.lines().find(|line| line.contains(" more ")).unwrap();
    assert!(more.starts_with(&format!("{} more", 16 - shown)), "{more}");
    assert!(more.contains(&format!("{}.0 W", (16 - shown) * 10)), "{more}");
    assert!(frame.contains("train.py"));
}
