// SPDX-License-Identifier: Apache-2.0
//! Attribution: who used a delta.
//!
//! Pure functions over integers. Every split balances to the microjoule: what
//! rounding leaves over stays with `unattributed`, never with a job. No sensor
//! splits a shared device, so a split is an allocation by a rule, and the rule is
//! named here.

use serde::{Deserialize, Serialize};

/// Who pays for the energy of idle cores. Formulas in `docs/accuracy.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdlePolicy {
    /// Nobody: it is booked to `unattributed`.
    #[default]
    Unattributed,
    /// Whoever runs, in proportion to CPU time.
    Proportional,
    /// Whoever reserved cores, by cores reserved.
    Reserved,
}
