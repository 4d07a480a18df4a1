// SPDX-License-Identifier: Apache-2.0
//! The open books in memory: for each account and domain the current interval
//! and the sum so far.
//!
//! An account is a job, or `unattributed`, which is always there. What has grown
//! since the last call goes to the ledger by [`Books::drain`]; a closed interval is
//! never touched again. Booking allocates nothing. All in integer microjoules.

use super::{Amount, Booking, DomainKey, JobKey, Uncertainty};
use crate::units::Energy;

/// Where an account stands in [`Books`]; reused after [`Books::close_account`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub usize);

impl Slot {
    /// The account of energy that no job used.
    pub const UNATTRIBUTED: Slot = Slot(0);
}

/// The open books.
#[derive(Clone, Debug)]
pub struct Books {
    domains: Vec<DomainKey>,
    accounts: Vec<Option<Account>>,
}

#[derive(Clone, Debug)]
struct Account {
    key: JobKey,
    lines: Vec<Line>,
}

/// One account's energy of one domain.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// Start of the open interval; `None`: nothing booked since the last close.
    from: Option<i64>,
    to: i64,
    open: Amount,
    total: Amount,
    grown: bool,
}

impl Books {
    /// Books without domains, with the account `unattributed`.
    pub fn new() -> Self {
        let unattributed = Account { key: JobKey::UNATTRIBUTED, lines: Vec::new() };
        Books { domains: Vec::new(), accounts: vec![Some(unattributed)] }
    }

    /// Adds a domain; its place is the number of domains before.
    pub fn add_domain(&mut self, key: DomainKey) -> usize {
        self.domains.push(key);
        let domains = self.domains.len();
        for account in self.accounts.iter_mut().flatten() {
            account.lines.resize(domains, Line::default());
        }
        domains - 1
    }

    /// Opens an account.
    pub fn open_account(&mut self, key: JobKey) -> Slot {
        let account = Account { key, lines: vec![Line::default(); self.domains.len()] };
        match self.accounts.iter().position(Option::is_none) {
            Some(free) => {
                self.accounts[free] = Some(account);
                Slot(free)
            }
            None => {
                self.accounts.push(Some(account));
                Slot(self.accounts.len() - 1)
            }
        }
    }

    /// Removes an account whose lines were drained. `unattributed` stays.
    pub fn close_account(&mut self, slot: Slot) {
        if slot != Slot::UNATTRIBUTED
            && let Some(account) = self.accounts.get_mut(slot.0)
        {
            *account = None;
        }
    }

    /// Books an amount for the time up to `to` (microseconds since 1970). `from` is
    /// the start of the interval where none is open.
    pub fn book(&mut self, slot: Slot, domain: usize, from: i64, to: i64, amount: Amount) {
        let Some(line) = self.line_mut(slot, domain) else { return };
        line.from.get_or_insert(from);
        line.to = to.max(line.to);
        add(&mut line.open, amount);
        add(&mut line.total, amount);
        line.grown = true;
    }

    /// Books what is uncertain about energy that is booked already: no line becomes
    /// longer by it. `at` is its time where none is open.
    pub fn book_doubt(&mut self, slot: Slot, domain: usize, at: i64, doubt: Uncertainty) {
        let Some(line) = self.line_mut(slot, domain) else { return };
        let to = if line.from.is_some() { line.to } else { at };
        let amount = Amount { uncertainty: doubt, ..Amount::default() };
        self.book(slot, domain, at, to, amount);
    }

    /// What the account used of the domain since it was opened.
    pub fn total(&self, slot: Slot, domain: usize) -> Amount {
        self.accounts
            .get(slot.0)
            .and_then(Option::as_ref)
            .and_then(|account| account.lines.get(domain))
            .map_or(Amount::default(), |line| line.total)
    }

    /// Closes the open intervals of one account: what comes later is a new line.
    /// Call [`Books::drain`] first.
    pub fn close_interval(&mut self, slot: Slot) {
        if let Some(account) = self.accounts.get_mut(slot.0).and_then(Option::as_mut) {
            for line in &mut account.lines {
                line.from = None;
                line.open = Amount::default();
            }
        }
    }

    /// Closes the open intervals of all accounts.
    pub fn close_intervals(&mut self) {
        for slot in 0..self.accounts.len() {
            self.close_interval(Slot(slot));
        }
    }

    /// Appends every line that has grown since the last call.
    pub fn drain(&mut self, out: &mut Vec<Booking>) {
        for account in self.accounts.iter_mut().flatten() {
            for (line, &domain) in account.lines.iter_mut().zip(&self.domains) {
                if let (true, Some(from)) = (line.grown, line.from) {
                    out.push(Booking {
                        job: account.key,
                        domain,
                        from_microseconds: from,
                        to_microseconds: line.to,
                        amount: line.open,
                    });
                }
                line.grown = false;
            }
        }
    }

    fn line_mut(&mut self, slot: Slot, domain: usize) -> Option<&mut Line> {
        self.accounts.get_mut(slot.0)?.as_mut()?.lines.get_mut(domain)
    }
}

impl Default for Books {
    fn default() -> Self {
        Books::new()
    }
}

/// Adds an amount within one interval. Edges are independent: in quadrature. Split
/// and gap errors may all lean the same way: linearly. The counter's own step
/// counts once, at the interval's two ends: what lies between cancels.
pub fn add(sum: &mut Amount, more: Amount) {
    let (old, new) = (sum.uncertainty, more.uncertainty);
    *sum = Amount {
        energy: sum.energy.saturating_add(more.energy),
        uncertainty: Uncertainty {
            edge: quadrature(old.edge, new.edge),
            split: old.split.saturating_add(new.split),
            gap: old.gap.saturating_add(new.gap),
            resolution: old.resolution.max(new.resolution),
        },
        gap_nanoseconds: sum.gap_nanoseconds.saturating_add(more.gap_nanoseconds),
    };
}

/// √(a² + b²), rounded down.
pub fn quadrature(a: Energy, b: Energy) -> Energy {
    let square = |energy: Energy| u128::from(energy.microjoules()).pow(2);
    let root = square(a).saturating_add(square(b)).isqrt();
    Energy::from_microjoules(u64::try_from(root).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(microjoules: u64) -> Amount {
        Amount { energy: Energy::from_microjoules(microjoules), ..Amount::default() }
    }

    fn energies(bookings: &[Booking]) -> Vec<(i64, i64, i64, u64)> {
        bookings
            .iter()
            .map(|b| {
                (b.job.0, b.from_microseconds, b.to_microseconds, b.amount.energy.microjoules())
            })
            .collect()
    }

    #[test]
    fn an_open_interval_grows_and_is_drained_only_when_it_has_grown() {
        let mut books = Books::new();
        let domain = books.add_domain(DomainKey(7));
        let job = books.open_account(JobKey(3));
        books.book(job, domain, 10, 20, amount(5));
        books.book(job, domain, 20, 30, amount(6));
        let mut out = Vec::new();
        books.drain(&mut out);
        assert_eq!(energies(&out), [(3, 10, 30, 11)]);
        out.clear();
        books.drain(&mut out);
        assert!(out.is_empty());
        books.book(job, domain, 30, 40, amount(1));
        books.drain(&mut out);
        assert_eq!(energies(&out), [(3, 10, 40, 12)]);
    }

    #[test]
    fn a_closed_interval_is_left_alone_and_the_total_runs_on() {
        let mut books = Books::new();
        let domain = books.add_domain(DomainKey(1));
        books.book(Slot::UNATTRIBUTED, domain, 0, 10, amount(5));
        let mut out = Vec::new();
        books.drain(&mut out);
        books.close_intervals();
        books.book(Slot::UNATTRIBUTED, domain, 10, 20, amount(2));
        books.drain(&mut out);
        assert_eq!(energies(&out), [(0, 0, 10, 5), (0, 10, 20, 2)]);
        assert_eq!(books.total(Slot::UNATTRIBUTED, domain).energy.microjoules(), 7);
    }

    #[test]
    fn doubt_makes_no_line_longer() {
        let mut books = Books::new();
        let domain = books.add_domain(DomainKey(1));
        let doubt = Uncertainty { edge: Energy::from_microjoules(3), ..Uncertainty::default() };
        books.book(Slot::UNATTRIBUTED, domain, 0, 10, amount(5));
        books.book_doubt(Slot::UNATTRIBUTED, domain, 15, doubt);
        let mut out = Vec::new();
        books.drain(&mut out);
        books.close_intervals();
        books.book_doubt(Slot::UNATTRIBUTED, domain, 20, doubt);
        books.drain(&mut out);
        assert_eq!(energies(&out), [(0, 0, 10, 5), (0, 20, 20, 0)]);
        assert!(out.iter().all(|booking| booking.amount.uncertainty == doubt));
    }

    #[test]
    fn slots_are_reused_and_start_empty() {
        let mut books = Books::new();
        let domain = books.add_domain(DomainKey(1));
        let first = books.open_account(JobKey(1));
        books.book(first, domain, 0, 1, amount(9));
        books.close_account(first);
        let second = books.open_account(JobKey(2));
        assert_eq!(first, second);
        assert_eq!(books.total(second, domain), Amount::default());
        books.close_account(Slot::UNATTRIBUTED);
        books.book(Slot::UNATTRIBUTED, domain, 0, 1, amount(1));
        assert_eq!(books.total(Slot::UNATTRIBUTED, domain).energy.microjoules(), 1);
    }

    #[test]
    fn uncertainties_add_by_cause() {
        let uncertain = |edge, split, gap, resolution| Amount {
            uncertainty: Uncertainty {
                edge: Energy::from_microjoules(edge),
                split: Energy::from_microjoules(split),
                gap: Energy::from_microjoules(gap),
                resolution: Energy::from_microjoules(resolution),
            },
            ..Amount::default()
        };
        let mut sum = uncertain(3, 10, 1, 61);
        add(&mut sum, uncertain(4, 10, 2, 61));
        assert_eq!(sum, uncertain(5, 20, 3, 61));
    }
}
