// SPDX-License-Identifier: Apache-2.0
//! A machine with sensors and jobs, and all that aimeter keeps of it: real meters,
//! splits and books, a ledger that is a map, and an account of what the readings
//! prove, made from the machine's true energy.

use std::collections::BTreeMap;
use std::time::Duration;

use aimeter::attribution::cpu::{CpuUse, NodeUse};
use aimeter::attribution::gpu::{Claimant, Tie};
use aimeter::attribution::{IdlePolicy, cpu, gpu};
use aimeter::ledger::books::{Books, Slot};
use aimeter::ledger::{Amount, Booking, DomainKey, JobKey, Uncertainty};
use aimeter::meter::domain::{Delta, Meter, Metered};
use aimeter::sensors::{Domain, DomainId, Kind, Method, Reading, Value};
use aimeter::units::{BootTime, Energy, Power};
use proptest::prelude::prop;

pub const PERIOD: Duration = Duration::from_secs(1);
/// The step of the package's counter, µJ.
pub const UNIT: u64 = 61;
/// It counts to 2^22 units: 256 J, 2.5 s at the least at full power.
pub const UNITS: u64 = 1 << 22;
pub const MAX_WATTS: u64 = 100;
pub const CORES: u32 = 8;
pub const PACKAGE: usize = 0;
pub const GPU: usize = 1;
pub const FAN: usize = 2;

/// What a job does in a tick, and its ties to the GPU.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    pub microseconds: u64,
    pub reserved: u32,
    pub held: bool,
    pub utilisation: u32,
    pub slices: u32,
}

#[derive(Clone, Debug)]
pub enum Step {
    /// Time passes at these powers (mW); then all sensors are read, those with a
    /// `false` in vain, and `absurd` gives a value that no device can have.
    Tick {
        milliseconds: u64,
        milliwatts: [u64; 3],
        read: [bool; 3],
        absurd: Option<usize>,
    },
    /// What jobs do from now on.
    Uses(Vec<Use>),
    Start,
    End(prop::sample::Index),
    /// The GPU's driver is loaded anew; the meter may be told.
    Restart {
        told: bool,
    },
    /// The batch goes to the ledger.
    Write,
    /// All open intervals end, as every five minutes.
    CloseIntervals,
    /// The daemon dies and is started again in the same boot.
    Crash,
    /// So does the machine.
    Boot,
}

fn domains() -> [Domain; 3] {
    let domain = |id: &str, kind, method, resolution: u64, range: Option<u64>| Domain {
        id: DomainId::new(id),
        kind,
        source: "model".into(),
        method,
        resolution: Energy::from_microjoules(resolution),
        range: range.map(Energy::from_microjoules),
        update_period: Duration::from_millis(1),
        max_power: Power::from_watts(MAX_WATTS),
        overlap: None,
        gain_percent: None,
        model_percent: None,
        device: id.into(),
        driver: None,
        power_limit: None,
    };
    [
        domain("package", Kind::Cpu, Method::Counter, UNIT, Some((UNITS - 1) * UNIT)),
        domain("gpu", Kind::Gpu, Method::Counter, 1_000, None),
        domain("fan", Kind::Cpu, Method::Power, 1, None),
    ]
}

/// A reading that the meter must have taken.
#[derive(Clone, Copy, Debug)]
struct Taken {
    /// True energy of this life of the counter, µJ as the counter's steps show it.
    energy: u128,
    /// What it showed.
    shown: u64,
    /// Which life.
    life: u32,
    /// True energy over all lives, µJ.
    drawn: u128,
}

/// What the readings of one domain prove.
#[derive(Clone, Copy, Debug, Default)]
pub struct Proof {
    /// Energy, µJ.
    pub energy: u128,
    last: Option<Taken>,
    /// A power sensor's last sample: ns, µW.
    sample: Option<(u64, u64)>,
    /// Its area that is no whole microjoule yet, in half µW·ns.
    area: u128,
}

/// The machine and all that aimeter keeps of it.
pub struct Model {
    now: u64,
    /// Energy of this life of each counter, pJ.
    true_energy: [u128; 3],
    /// Energy of all lives, pJ.
    drawn: [u128; 3],
    /// An absurd value came after the last good one.
    doubted: [bool; 3],
    milliwatts: [u64; 3],
    life: [u32; 3],
    policy: IdlePolicy,
    all_slices: u32,

    domains: [Domain; 3],
    meters: [Meter; 3],
    books: Books,
    uses: Vec<Use>,
    /// CPU time since a domain's last delta, as the engine keeps it.
    pending: [(NodeUse, Vec<CpuUse>); 3],
    running: Vec<(JobKey, Slot)>,
    next_job: i64,
    proofs: [Proof; 3],

    pub ledger: BTreeMap<(i64, i64, i64), Booking>,
    marks: [Option<(BootTime, Energy, u32)>; 3],
    pub written: [Proof; 3],
    boot_id: u32,
    marks_of_boot: u32,
    pub wraps: u32,
}

impl Model {
    pub fn new(policy: IdlePolicy, all_slices: u32, start: u64) -> Model {
        let domains = domains();
        let mut model = Model {
            now: 1_000_000_000,
            // Near its end, so that wraps come at once.
            true_energy: [u128::from(start) * 1_000_000, u128::from(start) * 1_000_000, 0],
            drawn: [0; 3],
            doubted: [false; 3],
            milliwatts: [1_000; 3],
            life: [0; 3],
            policy,
            all_slices,
            meters: std::array::from_fn(|place| Meter::new(&domains[place], PERIOD)),
            domains,
            books: Books::new(),
            uses: Vec::new(),
            pending: Default::default(),
            running: Vec::new(),
            next_job: 1,
            proofs: Default::default(),
            ledger: BTreeMap::new(),
            marks: [None; 3],
            written: Default::default(),
            boot_id: 0,
            marks_of_boot: 0,
            wraps: 0,
        };
        model.add_domains();
        model
    }

    fn add_domains(&mut self) {
        for place in 0..3 {
            assert_eq!(self.books.add_domain(DomainKey(place as i64)), place);
        }
    }

    pub fn play(&mut self, step: &Step) {
        match step {
            Step::Tick { milliseconds, milliwatts, read, absurd } => {
                self.milliwatts = *milliwatts;
                self.pass(*milliseconds);
                for (place, &good) in read.iter().enumerate() {
                    if *absurd == Some(place) {
                        self.refuse(place);
                    } else if good {
                        self.read(place);
                    }
                }
            }
            Step::Uses(uses) => self.uses.clone_from(uses),
            Step::Start => {
                let key = JobKey(self.next_job);
                self.next_job += 1;
                let slot = self.books.open_account(key);
                self.running.push((key, slot));
            }
            Step::End(which) => {
                if !self.running.is_empty() {
                    self.write();
                    let (_, slot) = self.running.remove(which.index(self.running.len()));
                    self.books.close_account(slot);
                    for (_, jobs) in &mut self.pending {
                        if let Some(job) = jobs.get_mut(slot.0) {
                            *job = CpuUse::default();
                        }
                    }
                }
            }
            Step::Restart { told } => {
                self.true_energy[GPU] = 0;
                self.life[GPU] += 1;
                if *told {
                    self.meters[GPU].start_epoch();
                }
            }
            Step::Write => self.write(),
            Step::CloseIntervals => {
                self.write();
                self.books.close_intervals();
            }
            Step::Crash => self.start_again(),
            Step::Boot => {
                self.true_energy = [0; 3];
                self.life = self.life.map(|life| life + 1);
                self.boot_id += 1;
                self.start_again();
            }
        }
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now += milliseconds * 1_000_000;
        for (place, milliwatts) in self.milliwatts.into_iter().enumerate() {
            // mW × ms = µJ, in pJ.
            let energy = u128::from(milliwatts) * u128::from(milliseconds) * 1_000_000;
            self.true_energy[place] += energy;
            self.drawn[place] += energy;
        }
        let capacity = milliseconds * 1_000 * u64::from(CORES);
        for (node, jobs) in &mut self.pending {
            node.capacity_microseconds += capacity;
            node.cores = CORES;
            for ((_, slot), job) in self.running.iter().zip(&self.uses) {
                if jobs.len() <= slot.0 {
                    jobs.resize(slot.0 + 1, CpuUse::default());
                }
                let used = job.microseconds.min(capacity);
                jobs[slot.0].used_microseconds += used;
                jobs[slot.0].reserved_cores = job.reserved;
                node.busy_microseconds += used;
            }
        }
    }

    /// What the sensor shows now, and the energy behind it in µJ.
    fn shown(&self, place: usize) -> (Value, Taken) {
        let microjoules = self.true_energy[place] / 1_000_000;
        let drawn = self.drawn[place] / 1_000_000;
        let (energy, shown) = match place {
            PACKAGE => {
                let units = microjoules / u128::from(UNIT);
                let shown = (units % u128::from(UNITS)) as u64 * UNIT;
                (units * u128::from(UNIT), shown)
            }
            GPU => (microjoules / 1_000 * 1_000, (microjoules / 1_000 * 1_000) as u64),
            _ => {
                let power = Power::from_microwatts(self.milliwatts[FAN] * 1_000);
                return (
                    Value::Power(power),
                    Taken { energy: 0, shown: 0, life: self.life[FAN], drawn },
                );
            }
        };
        let value = Value::Counter(Energy::from_microjoules(shown));
        (value, Taken { energy, shown, life: self.life[place], drawn })
    }

    fn read(&mut self, place: usize) {
        self.doubted[place] = false;
        let (value, taken) = self.shown(place);
        let reading = Reading { at: BootTime::from_nanoseconds(self.now), value };
        let metered = self.meters[place].feed(reading, PERIOD);
        self.prove(place, taken, &metered);
        match metered {
            Metered::Delta(delta) | Metered::Dead(delta) => self.book(place, delta),
            Metered::First => {}
            Metered::Refused(why) => panic!("a true reading was refused: {why}"),
        }
    }

    /// An absurd value, which must change nothing.
    fn refuse(&mut self, place: usize) {
        let value = match self.shown(place).0 {
            Value::Power(_) => Value::Power(Power::from_watts(MAX_WATTS * 1_000)),
            Value::Counter(_) if place == PACKAGE => {
                Value::Counter(Energy::from_microjoules(UNITS * UNIT))
            }
            Value::Counter(_) => Value::Counter(Energy::from_microjoules(0xFFFF_FFFF * 1_000)),
        };
        let at = BootTime::from_nanoseconds(self.now);
        // Once between two good ones: several that agree are believed to be a restart.
        if std::mem::replace(&mut self.doubted[place], true) {
            return;
        }
        let metered = self.meters[place].feed(Reading { at, value }, PERIOD);
        assert!(matches!(metered, Metered::Refused(_)), "taken for a value: {metered:?}");
    }

    /// What a taken reading proves: the true energy since the last one of this
    /// life; over a restart the rise, or the new value where it fell. Where a whole
    /// range may be hidden, the meter says how much less it books.
    fn prove(&mut self, place: usize, taken: Taken, metered: &Metered) {
        let proof = &mut self.proofs[place];
        if place == FAN {
            let power = self.milliwatts[FAN] * 1_000;
            if let Some((then, before)) = proof.sample {
                let time = self.now - then;
                if time <= 3 * PERIOD.as_nanos() as u64 {
                    proof.area += u128::from(before + power) * u128::from(time);
                    proof.energy += proof.area / 2_000_000_000;
                    proof.area %= 2_000_000_000;
                }
            }
            proof.sample = Some((self.now, power));
            return;
        }
        let last = proof.last.replace(taken);
        let Some(last) = last else {
            assert_eq!(*metered, Metered::First);
            return;
        };
        let Metered::Delta(delta) = metered else { panic!("no delta: {metered:?}") };
        let more = u128::from(delta.more.microjoules());
        let booked = u128::from(delta.energy.microjoules());
        let rise = if last.life == taken.life {
            taken.energy - last.energy
        } else {
            u128::from(taken.shown.checked_sub(last.shown).unwrap_or(taken.shown))
        };
        if last.life != taken.life {
            // What came before the restart is not known, but it is bounded; a step of
            // the counter at each end is.
            let (drawn, steps) = (taken.drawn - last.drawn, 2_000);
            assert_eq!(booked, rise, "a restart");
            assert!(booked <= drawn + steps, "{delta:?}: {drawn}");
            // One that nobody told of and that has counted further than before is
            // a rise like any other.
            let seen = delta.reset || taken.shown < last.shown;
            assert!(!seen || drawn <= booked + more + steps, "{delta:?}: {drawn}");
            proof.energy += rise;
        } else if more == 0 {
            self.wraps += u32::from(taken.shown < last.shown);
            proof.energy += rise;
        } else {
            assert!(place == PACKAGE, "only a wrap can hide a range: {delta:?}");
            assert!(booked <= rise && rise <= booked + more, "{booked} + {more}: {rise}");
            proof.energy += booked;
        }
    }

    fn book(&mut self, place: usize, delta: Delta) {
        let slots = self.running.iter().map(|(_, slot)| slot.0).max().unwrap_or(0) + 1;
        let mut shares = vec![Energy::ZERO; slots];
        let rest = if place == GPU {
            let idle = Use { microseconds: 0, reserved: 0, held: false, utilisation: 0, slices: 0 };
            let claimants: Vec<Claimant> = (0..self.running.len())
                .map(|job| self.uses.get(job).copied().unwrap_or(idle))
                .map(|job| Claimant {
                    tie: if job.held { Tie::Held } else { Tie::Visible },
                    utilisation: job.utilisation,
                    slices: job.slices,
                })
                .collect();
            let mut parts = vec![Energy::ZERO; claimants.len()];
            let rest = gpu::split(delta.energy, self.all_slices, &claimants, &mut parts);
            for ((_, slot), part) in self.running.iter().zip(parts) {
                shares[slot.0] = part;
            }
            rest
        } else {
            let (node, jobs) = &mut self.pending[place];
            jobs.resize(slots, CpuUse::default());
            let rest = cpu::split(delta.energy, self.policy, *node, jobs, &mut shares);
            *node = NodeUse::default();
            jobs.fill(CpuUse::default());
            rest
        };
        shares[Slot::UNATTRIBUTED.0] = shares[Slot::UNATTRIBUTED.0].saturating_add(rest);
        let microseconds = |at: BootTime| (at.nanoseconds() / 1_000) as i64;
        for (slot, energy) in shares.into_iter().enumerate() {
            if energy > Energy::ZERO {
                let amount =
                    Amount { energy, uncertainty: Uncertainty::default(), gap_nanoseconds: 0 };
                let (from, to) = (microseconds(delta.from), microseconds(delta.to));
                self.books.book(Slot(slot), place, from, to, amount);
            }
        }
    }

    /// A batch: lines and marks in one transaction.
    pub fn write(&mut self) {
        let mut batch = Vec::new();
        self.books.drain(&mut batch);
        for line in batch {
            let key = (line.job.0, line.domain.0, line.from_microseconds);
            if let Some(earlier) = self.ledger.insert(key, line) {
                assert!(earlier.amount.energy <= line.amount.energy, "a line shrank");
            }
        }
        for place in 0..3 {
            self.marks[place] = self.meters[place].mark().map(|(at, value)| {
                let life = self.proofs[place].last.map_or(self.life[place], |taken| taken.life);
                (at, value, life)
            });
        }
        self.marks_of_boot = self.boot_id;
        self.written = self.proofs;
        self.check();
    }

    /// A new process with what the ledger holds.
    fn start_again(&mut self) {
        self.books = Books::new();
        self.add_domains();
        for (key, slot) in &mut self.running {
            *slot = self.books.open_account(*key);
        }
        self.pending = Default::default();
        self.proofs = self.written;
        for place in 0..3 {
            self.meters[place] = Meter::new(&self.domains[place], PERIOD);
            let mark = self.marks[place].filter(|(_, _, life)| {
                self.marks_of_boot == self.boot_id && *life == self.life[place]
            });
            match mark {
                Some((at, value, _)) => self.meters[place].resume(&self.domains[place], at, value),
                None => {
                    self.proofs[place].last = None;
                    self.proofs[place].sample = None;
                    self.proofs[place].area = 0;
                }
            }
        }
        self.check();
    }

    /// The ledger holds what was proved when it was written, to the microjoule.
    fn check(&self) {
        for place in 0..3 {
            let lines = self.ledger.values().filter(|line| line.domain.0 == place as i64);
            let booked: u128 = lines.map(|line| u128::from(line.amount.energy.microjoules())).sum();
            let proved = self.written[place].energy;
            assert_eq!(booked, proved, "{}: booked and moved", self.domains[place].id);
        }
    }
}
