// SPDX-License-Identifier: Apache-2.0
//! NVML's return codes as the four states of a reading.

use nvml_wrapper::error::NvmlError;

use crate::sensors::ReadError;

/// Codes of `nvml.h` (API 13) that nvml-wrapper 0.13 has no variant for.
const NOT_READY: u32 = 27;
const GPU_NOT_FOUND: u32 = 28;

/// Said of every GPU when the driver itself has gone.
const DRIVER_GONE: ReadError = ReadError::Lost("the driver is not loaded");

/// Whether NVML must be opened anew, not just the GPU looked up again.
pub fn driver_gone(error: ReadError) -> bool {
    error == DRIVER_GONE
}

/// The state that an NVML error stands for.
///
/// "Lost" are the codes after which only a new look-up of the GPU, a GPU reset or
/// a reload of the driver helps; the reader tries that with back-off.
pub fn read_error(error: &NvmlError) -> ReadError {
    match error {
        NvmlError::NotFound | NvmlError::NoData => ReadError::NoData("the driver has no data"),
        NvmlError::UnexpectedVariant(NOT_READY) => ReadError::NoData("the GPU is not ready"),
        NvmlError::NoPermission => ReadError::NotPermitted("the driver refuses access"),
        NvmlError::OperatingSystem => {
            ReadError::NotPermitted("the operating system blocks the GPU (device cgroup)")
        }
        NvmlError::GpuLost => ReadError::Lost("the GPU has fallen off the bus"),
        NvmlError::ResetRequired => ReadError::Lost("the GPU needs a reset"),
        NvmlError::UnexpectedVariant(GPU_NOT_FOUND) => ReadError::Lost("the GPU was removed"),
        NvmlError::InvalidArg => ReadError::Lost("the GPU's handle is no longer valid"),
        NvmlError::Uninitialized | NvmlError::DriverNotLoaded => DRIVER_GONE,
        NvmlError::NotSupported => ReadError::Failed("the GPU does not support this call"),
        NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound => {
            ReadError::Failed("the driver is too old for this call")
        }
        NvmlError::LibRmVersionMismatch => {
            ReadError::Failed("driver and library have different versions")
        }
        NvmlError::Timeout => ReadError::Failed("the driver timed out"),
        NvmlError::InUse => ReadError::Failed("the GPU is in use by another client"),
        NvmlError::InsufficientMemory => ReadError::Failed("the driver is out of memory"),
        _ => ReadError::Failed("the driver returned an error"),
    }
}

/// Whether an error says that the GPU can never answer this call.
pub(super) fn unsupported(error: &NvmlError) -> bool {
    matches!(
        error,
        NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_states_are_told_apart() {
        let reason = |code: u32| read_error(&NvmlError::from(code)).reason();
        // 6 NOT_FOUND, 21 NO_DATA, 27 NOT_READY.
        assert_eq!([6, 21, 27].map(reason), ["no_data"; 3]);
        // 4 NO_PERMISSION, 17 OPERATING_SYSTEM.
        assert_eq!([4, 17].map(reason), ["not_permitted"; 2]);
        // 15 GPU_IS_LOST, 16 RESET_REQUIRED, 28 GPU_NOT_FOUND, 9 DRIVER_NOT_LOADED,
        // 1 UNINITIALIZED, 2 INVALID_ARGUMENT (a stale handle).
        assert_eq!([15, 16, 28, 9, 1, 2].map(reason), ["lost"; 6]);
        // 3 NOT_SUPPORTED, 10 TIMEOUT, 18 mismatch, 23 INSUFFICIENT_RESOURCES, 999 UNKNOWN.
        assert_eq!([3, 10, 18, 23, 29, 999].map(reason), ["failed"; 6]);
    }
}
