// SPDX-License-Identifier: Apache-2.0
//! The budgets: what aimeter costs, against what it may cost.
//!
//! `cargo bench --bench budget` prints one table; `cargo bench --bench budget --
//! daemon run` measures only those parts. It runs the real release binary on the
//! stand-ins of the tests: a machine of 8 GPUs and 2 packages with dram, and 20
//! jobs that each use a little CPU time. What each figure means is written in
//! `docs/benchmarks.md`. Ends with 1 where a budget does not hold.

mod allocations;
mod daemon;
mod growth;
mod jobs;
mod ledger;
mod machine;
mod metrics;
mod process;
mod run;
mod table;

use std::process::ExitCode;

use table::Table;

/// A part's name, and what measures it.
type Part = (&'static str, fn(&mut Table));

const PARTS: &[Part] = &[
    ("daemon", daemon::measure),
    ("allocations", allocations::measure),
    ("run", run::measure),
    ("metrics", metrics::measure),
    ("ledger", ledger::measure),
    ("growth", growth::measure),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == jobs::WORK) {
        jobs::work();
        return ExitCode::SUCCESS;
    }
    // Cargo adds `--bench`.
    let wanted: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let known = |word: &&String| PARTS.iter().any(|(name, _)| name == word);
    if let Some(unknown) = wanted.iter().find(|word| !known(word)) {
        let names: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
        eprintln!("budget: there is no part `{unknown}`; the parts are {}", names.join(", "));
        return ExitCode::from(2);
    }
    let mut table = Table::default();
    for (name, measure) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            eprintln!("measuring: {name}");
            measure(&mut table);
        }
    }
    print!("{table}");
    if table.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
