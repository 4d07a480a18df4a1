// SPDX-License-Identifier: Apache-2.0
//! The pictures of `docs/pictures`: eight minutes of two hosts at work, scraped by a
//! real Prometheus, drawn with Grafana's own components.

use std::process::Command;
use std::time::Duration;

use nvml_standin::{Level, Trace};

use crate::model::path;
use crate::site::{Job, Powers, Site};

const RESNET: Job = Job { name: "train-resnet", project: "vision", gpus: "0" };
const PREPARE: Job = Job { name: "prepare-data", project: "vision", gpus: "none" };
const VIT: Job = Job { name: "train-vit", project: "vision", gpus: "0" };
const NOTEBOOK: Job = Job { name: "notebook", project: "speech", gpus: "1" };
const FINETUNE: Job = Job { name: "finetune-asr", project: "speech", gpus: "0" };
const TRY_OUT: Job = Job { name: "try-out", project: "", gpus: "0" };

/// From and to in seconds, at these watts with pauses as in training.
fn at_work(levels: &mut Vec<Level>, from: u64, to: u64, watts: u64, idle: u64) {
    for (round, second) in (from..to).step_by(4).enumerate() {
        let pause = (second - from) % 60 >= 52;
        let ripple = (round as u64 * 7_919) % 41;
        let watts = if pause { watts * 2 / 5 } else { watts - ripple };
        levels.push(Level { at_ms: second * 1_000, mw: watts * 1_000 });
    }
    levels.push(Level { at_ms: to * 1_000, mw: idle * 1_000 });
}

fn powers() -> Powers {
    let begin = |watts: u64| vec![Level { at_ms: 0, mw: watts * 1_000 }];
    let (mut first, mut second, mut other) = (begin(74), begin(72), begin(61));
    at_work(&mut first, 35, 210, 640, 76);
    at_work(&mut first, 260, 900, 560, 76);
    second.push(Level { at_ms: 100_000, mw: 118_000 });
    at_work(&mut other, 55, 395, 430, 63);
    at_work(&mut other, 425, 900, 300, 63);
    Powers {
        alpha: vec![Trace::Levels(first), Trace::Levels(second)],
        beta: vec![Trace::Levels(other)],
    }
}

#[test]
#[ignore = "writes docs/pictures: dashboards/pictures/run installs what it needs and starts it"]
fn write_the_pictures() {
    let site = Site::start("2s", powers());
    println!("http://{}", site.server.address);
    let (alpha, beta) = (&site.alpha, &site.beta);
    let mut seconds = 0;
    // A story, not a test: it takes the time that it takes.
    let mut at = |second: u64| {
        std::thread::sleep(Duration::from_secs(second - seconds));
        seconds = second;
    };
    at(20);
    let resnet = alpha.start_job(&RESNET);
    at(40);
    let finetune = beta.start_job(&FINETUNE);
    at(90);
    let mut notebook = alpha.start_job_of_nobody(&NOTEBOOK);
    at(120);
    let prepare = alpha.start_job(&PREPARE);
    at(170);
    alpha.stop(&PREPARE);
    prepare.finish();
    at(200);
    alpha.stop(&RESNET);
    resnet.finish();
    at(245);
    let vit = alpha.start_job(&VIT);
    at(380);
    beta.stop(&FINETUNE);
    finetune.finish();
    at(410);
    let try_out = beta.start_job(&TRY_OUT);
    at(480);
    let status = Command::new("node")
        .arg(path("dashboards/pictures/render.mjs"))
        .args([&format!("http://{}", site.server.address), "480", VIT.name])
        .status()
        .expect("node (Debian package nodejs)");
    assert!(status.success());
    for job in [&VIT, &NOTEBOOK] {
        alpha.stop(job);
    }
    beta.stop(&TRY_OUT);
    vit.finish();
    try_out.finish();
    assert!(notebook.wait().unwrap().success());
}
