// SPDX-License-Identifier: Apache-2.0
//! The ledger's books against the counters: what must hold at every moment.
//!
//! A counter's last value in the ledger, less all that is booked of it, is the
//! value that it was first read at: a constant, to the microjoule, whatever ended
//! the daemon in between. A joule lost or booked twice moves it.

#![allow(dead_code, reason = "each test crate uses a part of it")]

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::rig::{Rig, eventually};

/// One domain's counter and what is booked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// When the counter was last read, `CLOCK_BOOTTIME` in nanoseconds.
    pub at_ns: u64,
    /// What it showed, in microjoules.
    pub value: u64,
    /// All that is booked of it.
    pub booked: u64,
    /// Where it begins anew.
    pub modulus: Option<u64>,
}

impl Standing {
    /// The value at the first reading.
    pub fn origin(&self) -> u64 {
        match self.modulus {
            // Of any size: a counter may have wrapped several times.
            Some(modulus) => (self.value + modulus - self.booked % modulus) % modulus,
            None => self.value - self.booked,
        }
    }
}

/// Every domain that has a mark, by id: one consistent look.
pub fn standing(ledger: &Connection) -> BTreeMap<String, Standing> {
    let sql = "SELECT domain.id, counter.at_ns, counter.value_uj,
                      (SELECT ifnull(sum(energy_uj), 0) FROM line WHERE line.domain = domain.key),
                      domain.range_uj + domain.resolution_uj
               FROM domain JOIN counter ON counter.domain = domain.key";
    let mut statement = ledger.prepare(sql).expect("the ledger's tables");
    let rows = statement.query_map([], |row| {
        let standing = Standing {
            at_ns: row.get::<_, i64>(1)? as u64,
            value: row.get::<_, i64>(2)? as u64,
            booked: row.get::<_, i64>(3)? as u64,
            modulus: row.get::<_, Option<i64>>(4)?.map(|modulus| modulus as u64),
        };
        Ok((row.get(0)?, standing))
    });
    rows.expect("rows").collect::<Result<_, _>>().expect("rows")
}

/// The origins of so many domains, once all have been read and written.
pub fn origins(rig: &Rig, domains: usize) -> BTreeMap<String, u64> {
    eventually("all domains in the ledger", || {
        let found = standing(&rig.ledger());
        let origins = found.iter().map(|(id, one)| (id.clone(), one.origin())).collect();
        (found.len() == domains).then_some(origins)
    })
}

/// Nothing was lost and nothing booked twice since these origins.
#[track_caller]
pub fn check_balance(rig: &Rig, origins: &BTreeMap<String, u64>) {
    let ledger = rig.ledger();
    let check: String =
        ledger.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
    assert_eq!(check, "ok");
    for (id, one) in standing(&ledger) {
        let off = one.origin() as i128 - origins[&id] as i128;
        assert_eq!(off, 0, "{id}: µJ lost (+) or booked twice (-): {one:?}");
    }
}

/// Waits until the ledger has all domains as of a moment.
pub fn until_written(rig: &Rig, moment_ns: u64) {
    eventually("a later reading in the ledger", || {
        standing(&rig.ledger()).values().all(|one| one.at_ns >= moment_ns).then_some(())
    });
}

/// What is booked to a job of this name, in microjoules; to nobody for `None`.
pub fn booked(ledger: &Connection, name: Option<&str>, domain: &str) -> u64 {
    let sql = "SELECT ifnull(sum(energy_uj), 0) FROM line
               WHERE domain = (SELECT key FROM domain WHERE id = ?1)
                 AND job = ifnull((SELECT max(key) FROM job WHERE name = ?2), 0)";
    ledger.query_row(sql, (domain, name), |row| row.get::<_, i64>(0)).expect("a sum") as u64
}
