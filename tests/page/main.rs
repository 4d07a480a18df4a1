// SPDX-License-Identifier: Apache-2.0
//! The live page and the JSON behind it, with the real daemon on the stand-ins: figures
//! against their truth and the ledger, what is not told, bounds, and a real Chromium.

mod api;
mod browser;
#[path = "../common/chromium.rs"]
mod chromium;
mod pictures;
mod report;
#[path = "../common/rig.rs"]
mod rig;
mod world;
