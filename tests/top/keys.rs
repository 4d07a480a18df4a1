// SPDX-License-Identifier: Apache-2.0
//! What keys do to the list of jobs.

use aimeter::server::now::Now;
use aimeter::top::state::{Effect, Event, Over, Top};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::frames::{job, now, press, time, top};

fn names(top: &Top) -> Vec<&str> {
    top.jobs().iter().map(|job| job.name.split(' ').next().unwrap()).collect()
}

/// Three running jobs and one that has ended, each largest in something else.
fn list() -> Top {
    let mut now = now(1_000);
    let make = |name: &str, watts, joules, grams, started| {
        let mut job = job(name, name, "ada", watts, joules);
        (job.emissions_grams, job.started_at) = (grams, time(started));
        job
    };
    now.jobs = vec![
        make("power", Some(9.0), 1.0, 2.0, 900),
        make("energy", Some(1.0), 9.0, 1.0, 800),
        make("grams", Some(2.0), 2.0, 9.0, 700),
        make("ended", None, 99.0, 99.0, 0),
    ];
    let mut top = Top::default();
    top.handle(Event::Look(Box::new(now)));
    top
}

#[test]
fn jobs_are_sorted_by_each_figure_and_those_that_run_come_first() {
    let mut top = list();
    assert_eq!(names(&top), ["power", "grams", "energy", "ended"]);
    for (key, expected) in [
        ("E", ["energy", "grams", "power", "ended"]),
        ("C", ["grams", "power", "energy", "ended"]),
        ("T", ["grams", "energy", "power", "ended"]),
        ("P", ["power", "grams", "energy", "ended"]),
        ("I", ["energy", "grams", "power", "ended"]),
        ("P", ["power", "grams", "energy", "ended"]),
    ] {
        press(&mut top, key);
        assert_eq!(names(&top), expected, "after {key}");
    }
}

#[test]
fn a_chosen_job_is_followed_and_one_that_goes_leaves_its_row() {
    let mut top = list();
    press(&mut top, "j");
    assert_eq!(top.row, 1);
    press(&mut top, "C");
    assert_eq!(top.row, 0, "the job `grams` is first now");
    press(&mut top, "G");
    assert_eq!(top.row, 3);
    press(&mut top, "jjk");
    assert_eq!(top.row, 2);
    let mut later = top.now.clone().unwrap();
    later.at = Some(time(1_001));
    later.jobs.truncate(2);
    top.handle(Event::Look(Box::new(later)));
    assert_eq!(top.row, 1, "`energy` is followed: the second of two by CO2e");
}

#[test]
fn the_filter_finds_names_users_and_projects_and_goes_by_escape() {
    let mut top = top();
    press(&mut top, "/BOB");
    assert!(top.typing);
    assert_eq!(names(&top), ["evaluate"]);
    press(&mut top, "\n");
    assert!(!top.typing);
    // Keys are commands again.
    press(&mut top, "E");
    assert_eq!(top.filter, "BOB");
    top.handle(Event::Key(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE)));
    assert_eq!(names(&top).len(), 3);
    press(&mut top, "Fvision\n");
    assert_eq!(names(&top), ["train.py"]);
    press(&mut top, "/q");
    assert_eq!(names(&top), [""; 0]);
}

#[test]
fn the_page_of_a_job_closes_when_the_job_goes() {
    let mut top = top();
    press(&mut top, "\n");
    assert_eq!(top.over, Over::Job);
    let gone = Now { jobs: Vec::new(), ..now(121) };
    top.handle(Event::Look(Box::new(gone)));
    assert_eq!(top.over, Over::Nothing);
}

#[test]
fn what_ends_and_what_does_not() {
    let with =
        |top: &mut Top, code, modifiers| top.handle(Event::Key(KeyEvent::new(code, modifiers)));
    let (none, control) = (KeyModifiers::NONE, KeyModifiers::CONTROL);
    assert_eq!(with(&mut top(), KeyCode::Char('q'), none), Effect::Quit);
    assert_eq!(with(&mut top(), KeyCode::Char('z'), control), Effect::Suspend);
    for keys in ["", "/", "?", "\n"] {
        let mut top = top();
        press(&mut top, keys);
        assert_eq!(with(&mut top, KeyCode::F(10), none), Effect::Quit);
        assert_eq!(with(&mut top, KeyCode::Char('c'), control), Effect::Quit);
        if !keys.is_empty() {
            assert_eq!(with(&mut top, KeyCode::Char('q'), none), Effect::Nothing);
        }
    }
}

#[test]
fn what_no_job_used_is_derived_from_energy_between_two_readings() {
    let mut top = Top::default();
    top.handle(Event::Look(Box::new(now(10))));
    assert_eq!(top.now.as_ref().unwrap().unattributed_watts, None);
    let mut constant = now(20);
    for domain in &mut constant.domains {
        domain.unattributed_joules = 50.0;
    }
    let mut later = constant.clone();
    later.at = Some(time(25));
    for domain in &mut later.domains {
        domain.unattributed_joules += 100.0;
        domain.read_at = Some(time(25));
    }
    top.handle(Event::Look(Box::new(constant.clone())));
    top.handle(Event::Look(Box::new(later.clone())));
    // 20 W in each of the four counted domains; the whole node overlaps them.
    assert_eq!(top.now.as_ref().unwrap().unattributed_watts, Some(80.0));
    // The same reading again says the same; books that began anew say nothing.
    top.handle(Event::Look(Box::new(later)));
    assert_eq!(top.now.as_ref().unwrap().unattributed_watts, Some(80.0));
    constant.at = Some(time(30));
    constant.domains.iter_mut().for_each(|domain| domain.read_at = Some(time(30)));
    top.handle(Event::Look(Box::new(constant)));
    assert_eq!(top.now.as_ref().unwrap().unattributed_watts, None);
}
