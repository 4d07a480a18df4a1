// SPDX-License-Identifier: Apache-2.0
//! The protocol's rules: what the parts show to be broken stands among the exceptions.

use std::collections::BTreeSet;

use super::{Check, Findings};
use crate::benchmark::exceptions;
use crate::benchmark::record::{BenchmarkRecord, ExceptionPart, Origin, Rule};

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
    let told: BTreeSet<(Rule, Option<u32>)> =
        record.exceptions.iter().map(|told| (told.rule, told.repetition)).collect();
    // An exception names the rule for this repetition or for the whole campaign.
    let is_told = |broken: &ExceptionPart| {
        told.contains(&(broken.rule, broken.repetition)) || told.contains(&(broken.rule, None))
    };
    for broken in exceptions::broken(record).iter().filter(|broken| !is_told(broken)) {
        let rule = exceptions::word(broken.rule);
        let index = broken.repetition.and_then(|number| number.checked_sub(1));
        let of = index.map_or_else(String::new, |index| format!(" in /repetitions/{index}"));
        let found = format!("the rule {rule} is broken{of}: {}", broken.found);
        findings.add(Check::Protocol, "/exceptions", "nothing of it", found);
    }
}
