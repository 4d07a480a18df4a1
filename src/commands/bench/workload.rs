// SPDX-License-Identifier: Apache-2.0
//! `aimeter bench workload`: one run of a built-in workload, its units marked.

use std::io::{self, Write};
use std::process::ExitCode;
use std::thread::available_parallelism;

use super::super::cli::WorkloadArgs;
use super::super::exit::{Code, Failure};
use super::marker::Marker;
use crate::benchmark::workload::News;
use crate::jobs::marks::Count;

/// Runs it; what it says goes to standard output.
///
/// # Errors
/// A size that it cannot be run at, a wrong result, a closed output.
pub fn run(args: &WorkloadArgs) -> Result<ExitCode, Failure> {
    let kind = args.workload.kind();
    let size = args.size.unwrap_or(kind.standard_size());
    kind.check_size(size).map_err(|sizes| {
        Failure::new(Code::Usage, format!("{} has no size {size}: take {sizes}", kind.word()))
    })?;
    let cores = || available_parallelism().map_or(1, usize::from);
    let threads = args.threads.map_or_else(cores, usize::from);
    let unit =
        kind.unit().parse().map_err(|error| Failure::new(Code::Failed, format!("{error}")))?;
    let mut out = io::stdout();
    writeln!(out, "{} size {size} threads {threads}", kind.name()).map_err(Failure::of_output)?;
    let mut marker = Marker::of_job();
    let (mut units, mut written) = (0, Ok(()));
    let mut hear = |news: News| {
        units += news.units;
        marker.add(&unit, Count::from_thousandths(news.units.saturating_mul(1_000)));
        if let (Some(line), true) = (news.line, written.is_ok()) {
            written = writeln!(out, "{line}");
        }
    };
    let result = kind.run(size, threads, &mut hear);
    marker.flush();
    let digest =
        result.map_err(|wrong| Failure::new(Code::Failed, format!("{}: {wrong}", kind.name())))?;
    written
        .and_then(|()| writeln!(out, "{units} {}, digest {digest:016x}", kind.unit()))
        .map_err(Failure::of_output)?;
    Ok(Code::Success.into())
}
