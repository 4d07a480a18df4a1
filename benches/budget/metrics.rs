// SPDX-License-Identifier: Apache-2.0
//! A scrape of a thousand jobs, as a scraper sees it.

use crate::growth::run_jobs;
use crate::machine::Machine;
use crate::process::{Daemon, median_and_p95, timed};
use crate::table::{Table, Unit};

/// Of the budget.
const JOBS: usize = 1_000;
/// Scrapes.
const SCRAPES: usize = 100;

/// A daemon that shows a thousand finished jobs.
pub fn measure(table: &mut Table) {
    let machine = Machine::new(0);
    let daemon = Daemon::start(&machine, &[]);
    run_jobs(&machine, JOBS);
    let page = daemon.get("/metrics");
    let shown = String::from_utf8_lossy(&page).matches("\naimeter_job_running{").count();
    assert!(shown >= JOBS, "only {shown} jobs are shown");
    let times = (0..SCRAPES).map(|_| timed(|| daemon.get("/metrics")).1).collect();
    let (median, p95) = median_and_p95(times);
    let how =
        format!("median of {SCRAPES} GETs (19 of 20: {p95:.2} ms), {} KiB each", page.len() / 1024);
    table.judge("/metrics with 1,000 jobs", median, 10.0, Unit::Milliseconds, &how);
}
