// SPDX-License-Identifier: Apache-2.0
//! The line of `aimeter run --progress`.

use crate::record::text;
use crate::server::now::{JobNow, Now};

use super::draw::{elapsed, fitting, watts};

/// What a job uses, used, emitted, and for how long, in at most `width` columns.
pub fn progress(job: &JobNow, now: &Now, width: u16) -> String {
    let parts = [
        format!("aimeter: {}", watts(job.watts)),
        text::energy(job.joules),
        format!("{} CO2e", text::emissions(job.emissions_grams)),
        elapsed(job, now),
    ];
    let line = fitting(&parts, width);
    line.chars().take(width.into()).collect()
}
