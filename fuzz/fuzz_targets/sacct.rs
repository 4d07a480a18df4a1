// SPDX-License-Identifier: Apache-2.0
#![no_main]

#[path = "../checks.rs"]
#[expect(dead_code, reason = "a target runs one of the checks")]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::sacct(data));
