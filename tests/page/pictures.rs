// SPDX-License-Identifier: Apache-2.0
//! Takes the pictures of `docs/page.md` from a machine that works for a while:
//!
//! ```sh
//! AIMETER_PICTURES=30 cargo test --test page pictures -- --ignored --nocapture
//! ```
//!
//! for 30 minutes of history in the chart.

use std::path::Path;
use std::time::Duration;

use nvml_standin::{Gpu, Level, Trace as GpuTrace};
use powercap_standin::{PowercapTree, Trace};

use crate::browser::node;
use crate::rig::{Rig, Wrapped};
use crate::world::with_a_day;

/// A job: when it starts and ends (minutes), the GPUs it holds, and its name and user's
/// project.
struct Planned {
    from: f64,
    to: f64,
    gpus: &'static str,
    name: &'static str,
    project: &'static str,
}

/// What runs, in parts of the whole time, 0 to 1.
const PLAN: [Planned; 6] = [
    planned(0.10, 9.0, "0,1", "llama-finetune", "nlp"),
    planned(0.06, 0.22, "2", "resnet50-sweep-01", "vision"),
    planned(0.28, 0.41, "2", "resnet50-sweep-02", "vision"),
    planned(0.46, 0.62, "2", "resnet50-sweep-03", "vision"),
    planned(0.70, 9.0, "2", "resnet50-sweep-04", "vision"),
    planned(0.35, 0.55, "3", "embeddings-batch", "search"),
];

const fn planned(
    from: f64,
    to: f64,
    gpus: &'static str,
    name: &'static str,
    project: &'static str,
) -> Planned {
    Planned { from, to, gpus, name, project }
}

/// A GPU that draws 62 W, and more while a job holds it: it trains, and every so often it
/// evaluates.
fn gpu(index: usize, whole_ms: f64) -> Gpu {
    let mut levels = vec![Level { at_ms: 0, mw: 62_000 }];
    let holds = |plan: &&Planned| plan.gpus.split(',').any(|gpu| gpu == index.to_string());
    let mut plans: Vec<&Planned> = PLAN.iter().filter(holds).collect();
    plans.sort_by(|one, other| one.from.total_cmp(&other.from));
    for plan in plans {
        let (mut at, end) = (plan.from * whole_ms, plan.to.min(1.5) * whole_ms);
        let (full, some) =
            if plan.gpus.len() > 1 { (615_000, 390_000) } else { (430_000, 300_000) };
        let mut epoch = 0u64;
        while at < end {
            let ripple = (epoch * 37 + index as u64 * 53) % 17 * 1_000;
            levels.push(Level { at_ms: at as u64, mw: full - ripple });
            levels.push(Level { at_ms: (at + 95_000.0).min(end) as u64, mw: some + ripple });
            at += 118_000.0;
            epoch += 1;
        }
        levels.push(Level { at_ms: end as u64, mw: 62_000 });
    }
    let gpu = Gpu::numbered(index, GpuTrace::Levels(levels));
    Gpu { name: "NVIDIA H100 80GB HBM3".into(), ..gpu }
}

#[test]
#[ignore = "takes pictures for the documents; see the head of tests/page/pictures.rs"]
fn pictures() {
    let minutes = std::env::var("AIMETER_PICTURES").ok().and_then(|text| text.parse().ok());
    let minutes: f64 = minutes.unwrap_or(10.0);
    let tree = PowercapTree::builder()
        .package(0, Trace::Square { low: 128_000_000, high: 151_000_000, period: 47_000_000_000 })
        .dram(0, Trace::constant(24))
        .package(1, Trace::constant(96))
        .dram(1, Trace::constant(19));
    let rig = Rig::new(tree, (0..4).map(|index| gpu(index, minutes * 60e3)).collect());
    // The sun at noon, people in the evening.
    let config = with_a_day(&rig, |step| {
        let turn = (step as f64 / 48.0 + 0.1) * std::f64::consts::TAU;
        (208.0 + 62.0 * turn.sin() - 25.0 * (2.0 * turn).cos()) as u32
    });
    let daemon = rig.daemon_with(&["--config", &config], |command| {
        command.env_remove("AIMETER_POLL").env("AIMETER_KEEP_FINISHED", "2h");
    });
    eprintln!("the page: http://{}", daemon.address);
    let started = aimeter::clock::now();
    let minute = || aimeter::clock::now().since(started).as_secs_f64() / 60.0;
    let mut jobs: Vec<Option<Wrapped>> = PLAN.iter().map(|_| None).collect();
    while minute() < minutes {
        for (place, (plan, job)) in PLAN.iter().zip(&mut jobs).enumerate() {
            let (from, to) = (plan.from * minutes, plan.to * minutes);
            let until = rig.path(&format!("until-{place}"));
            if job.is_none() && minute() >= from && minute() < to {
                let args = ["--gpus", plan.gpus, "--name", plan.name, "--project", plan.project];
                let wait = format!("while [ ! -e {} ]; do sleep 1; done", until.display());
                *job = Some(rig.start(&args, &["sh", "-c", &wait]));
            } else if minute() >= to && job.is_some() {
                std::fs::write(until, "").expect("a file");
            }
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures");
    std::fs::create_dir_all(&folder).expect("a folder");
    let folder = folder.to_str().expect("a path of text");
    let done = node("pictures.mjs", &[&format!("http://{}", daemon.address), folder]).status();
    assert!(done.expect("node").success(), "the pictures were not taken");
    for place in 0..jobs.len() {
        std::fs::write(rig.path(&format!("until-{place}")), "").expect("a file");
    }
    for job in jobs.into_iter().flatten() {
        job.end();
    }
}
