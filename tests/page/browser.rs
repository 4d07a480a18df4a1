// SPDX-License-Identifier: Apache-2.0
//! The page in a real Chromium, driven by `browser.mjs`.
//!
//! What it needs is told in `tests/common/chromium.rs`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::chromium;
use crate::rig::{Wrapped, burn};
use crate::world::{Listener, daemon, machine, with_a_day};

/// A name that would do harm where it is not taken as text.
const NAME: &str = "<img src=x onerror=alert(1)> train";

/// `node SCRIPT ARGUMENTS` of a script beside this file; see [`chromium::node`].
pub fn node(script: &str, arguments: &[&str]) -> Command {
    chromium::node(&format!("tests/page/{script}"), arguments)
}

#[test]
fn a_person_sees_what_is_used_as_it_is_used() {
    let rig = machine();
    let config = with_a_day(&rig, |step| if step == 0 { 164 } else { (180 + step) as u32 });
    let start = |arguments: &[&str]| daemon(&rig, &[&["--config", &config], arguments].concat());
    let mut running = Some(start(&[]));
    let address = running.as_ref().expect("a daemon").address.clone();
    let stop = rig.path("stop");
    let mut job: Option<Wrapped> = None;
    let mut crowd: Vec<Listener> = Vec::new();
    crate::rig::eventually("a slot and the feed's figure", || {
        let daemon = running.as_ref()?;
        let slots = crate::world::json(daemon, "/api/v1/history")["slots"].as_array()?.len();
        let now = crate::world::json(daemon, "/api/v1/now");
        (slots > 0 && now["intensity"]["grams_per_kwh"] == 164.0).then_some(())
    });

    let mut browser = node("browser.mjs", &[&format!("http://{address}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("this test needs node: install nodejs ({error})"));
    let mut answer = browser.stdin.take().expect("its input");
    let wishes = BufReader::new(browser.stdout.take().expect("its output"));
    let mut done = false;
    for wish in wishes.lines() {
        let wish = wish.expect("a line");
        let mut told = "yes";
        match wish.as_str() {
            "start" => {
                let burn = burn();
                let until = stop.to_str().expect("a path of text");
                let command = [burn.to_str().expect("a path of text"), "--until-file", until];
                job = Some(rig.start(&["--gpus", "all", "--name", NAME], &command));
                told = NAME;
            }
            "end" => {
                std::fs::write(&stop, "").expect("a file");
                job.take().expect("a job").finish();
            }
            wish if wish.starts_with("mark ") => {
                for what in ["train", "tokens=4096"] {
                    let mut mark = rig.aimeter("mark");
                    let status = mark.args([what, "--job", &wish["mark ".len()..]]).status();
                    assert!(status.expect("the binary").success());
                }
            }
            "kill" => running.take().expect("a daemon").kill(),
            "again" => running = Some(start(&["--listen", &address])),
            // The place of a page that was closed is free a moment later.
            "crowd" => crate::rig::eventually("every place taken", || {
                let (status, listener) = Listener::join(&address);
                crowd.extend((status == 200).then_some(listener));
                (crowd.len() == 8).then_some(())
            }),
            "done" => {
                done = true;
                continue;
            }
            other => panic!("the browser says: {other}"),
        }
        writeln!(answer, "{told}").expect("an answer");
    }
    let status = browser.wait().expect("its end");
    assert!(status.success() && done, "the browser's test failed; what it said is above");
}
