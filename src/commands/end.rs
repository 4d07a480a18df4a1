// SPDX-License-Identifier: Apache-2.0
//! `aimeter end`: asks the daemon to end a running job.

use crate::config::Options;
use crate::jobs::JobId;

use super::exit::Failure;

/// SIGTERM to all processes of the job: one's own, or as root anyone's.
///
/// # Errors
/// Where the daemon is not there or refuses.
pub fn run(job: &JobId, options: &Options) -> Result<(), Failure> {
    super::connect(options)?.terminate(job)?;
    super::complain(&format!("job {job}: SIGTERM sent to its processes"));
    Ok(())
}
