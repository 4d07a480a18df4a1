// SPDX-License-Identifier: Apache-2.0
//! From facts of intensity in a real ledger to settled figures: what comes late is
//! followed, what was told stays told, and no energy changes.

mod accounts;
mod clocks;
mod late;
mod oracle;
mod shown;
mod support;
