// SPDX-License-Identifier: Apache-2.0
//! `aimeter gpu`: lets the daemon go of the GPUs' driver and take it up again.

use crate::config::Options;

use super::cli::GpuAction;
use super::exit::Failure;

/// Asks the daemon; it takes root.
///
/// # Errors
/// Where the daemon is not there or refuses.
pub fn run(action: GpuAction, options: &Options) -> Result<(), Failure> {
    let mut client = super::connect(options)?;
    match action {
        GpuAction::Release => {
            client.gpu_release()?;
            super::complain(
                "GPUs released: they can be reset now; `aimeter gpu reclaim` takes them up again",
            );
        }
        GpuAction::Reclaim => {
            client.gpu_reclaim()?;
            super::complain("GPUs taken up again");
        }
    }
    Ok(())
}
