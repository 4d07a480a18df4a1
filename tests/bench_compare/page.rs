// SPDX-License-Identifier: Apache-2.0
//! The leaderboard's HTML in a real Chromium, driven by `page.mjs`.
//!
//! `AIMETER_PICTURES=FOLDER` puts pictures of it there; `docs/pictures/bench-table.png` is
//! one of them.

use aimeter::benchmark::record::{Level, Role, UnitKind};
use serde_json::json;

use crate::campaigns::{Folder, Truth};
use crate::{aimeter, chromium, printed};

/// A name that would do harm where it is not taken as text.
const NAME: &str = "<img src=x onerror=alert(1)> \u{202e}train";
const SHOWN: &str = "<img src=x onerror=alert(1)> train";

/// A small leaderboard; one of its records has this name.
fn leaderboard(name: &'static str) -> Folder {
    let folder = Folder::new();
    let put = |truth: Truth| {
        let record = truth.changed(|record| {
            record.workload.disclosures.insert("model".into(), "Llama-3-8B".into());
        });
        folder.put(&format!("{}.json", truth.seed), &record);
    };
    let one = |name, seed, joules, machine, zone, grams_per_kwh| Truth {
        name,
        seed,
        joules,
        machine,
        zone,
        grams_per_kwh,
        ..Truth::default()
    };
    put(one("llama-bf16", 1, 0.37, "node-1", "FR", 57.0));
    put(one("llama-fp8", 2, 0.29, "node-1", "FR", 57.0));
    put(one("llama-fp8 again", 3, 0.29, "node-2", "PL", 650.0));
    put(one(name, 4, 0.52, "node-3", "SE", 12.0));
    put(Truth {
        level: Level::A,
        ..one("llama-bf16 with node power", 5, 0.38, "node-4", "GB", 164.0)
    });
    put(Truth { level: Level::C, ..one("llama, CPU estimated", 6, 0.33, "node-5", "DE", 332.0) });
    put(Truth { level: Level::D, ..one("llama, all estimated", 7, 0.12, "laptop", "DE", 332.0) });
    for (seed, name, joules) in [(11, "batch 1", 4.1), (12, "batch 8", 1.3), (13, "batch 32", 0.8)]
    {
        let truth = one(name, seed, joules, "node-1", "FR", 57.0);
        let record = truth.changed(|record| {
            record.unit.role = Role::Consumer;
            record.unit.kind = UnitKind::Token;
        });
        folder.put(&format!("{seed}.json"), &record);
    }
    let mut bad = Truth { seed: 30, ..Truth::default() }.record();
    bad.repetitions[0].domains[0].joules *= 0.9;
    folder.put("changed.json", &bad);
    folder
}

#[test]
fn a_person_sees_the_leaderboard_and_it_asks_for_nothing() {
    let pictures = std::env::var("AIMETER_PICTURES").ok();
    let (name, shown) = match pictures {
        None => (NAME, SHOWN),
        Some(_) => ("llama-fp32", "llama-fp32"),
    };
    let folder = leaderboard(name);
    let page = printed(aimeter(&["bench", "table", "--format", "html"]).arg(folder.path()));
    let file = folder.write("leaderboard.html", &page);
    let wanted = json!({ "names": [shown, "llama-fp8"], "bars": 7 }).to_string();
    let pictures = pictures.unwrap_or_else(|| "-".to_owned());
    let file = file.to_str().expect("a path of text");
    let done = chromium::node("tests/bench_compare/page.mjs", &[file, &wanted, &pictures]).status();
    let done =
        done.unwrap_or_else(|error| panic!("this test needs node: install nodejs ({error})"));
    assert!(done.success(), "what it said is above");
    assert!(!page.contains("<script") && !page.contains("://"), "it names no place");
}
