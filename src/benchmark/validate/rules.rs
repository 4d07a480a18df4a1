// SPDX-License-Identifier: Apache-2.0
//! The protocol's rules: what the parts show to be broken stands among the exceptions.

use super::{Check, Findings};
use crate::benchmark::exceptions;
use crate::benchmark::record::{BenchmarkRecord, ExceptionPart, Origin};

pub(super) fn check(record: &BenchmarkRecord, findings: &mut Findings) {
    let count = record.repetitions.len();
    for (i, exception) in record.exceptions.iter().enumerate() {
        let Some(number) = exception.repetition else { continue };
        let is = usize::try_from(number).is_ok_and(|number| (1..=count).contains(&number));
        let at = format!("/exceptions/{i}/repetition");
        findings.expect(is, Check::Protocol, at, number, &format!("they are 1 to {count}"));
    }
    // A publication followed no protocol of ours, and has level D for it.
    if record.campaign.origin == Origin::Literature {
        return;
    }
    for broken in exceptions::broken(record).iter().filter(|broken| !is_told(record, broken)) {
        let rule = exceptions::word(broken.rule);
        let index = broken.repetition.and_then(|number| number.checked_sub(1));
        let of = index.map_or_else(String::new, |index| format!(" in /repetitions/{index}"));
        let found = format!("the rule {rule} is broken{of}: {}", broken.found);
        findings.add(Check::Protocol, "/exceptions", "nothing of it", found);
    }
}

/// Whether an exception names the rule, for this repetition or the whole campaign.
fn is_told(record: &BenchmarkRecord, broken: &ExceptionPart) -> bool {
    record.exceptions.iter().any(|told| {
        told.rule == broken.rule
            && (told.repetition.is_none() || told.repetition == broken.repetition)
    })
}
