// SPDX-License-Identifier: Apache-2.0
//! `/metrics`: the snapshot in Prometheus's text format 0.0.4 and in OpenMetrics 1.0.
//!
//! Both forms are written from the same families of the same moment. One collector over the latest snapshot builds every family anew, so that a
//! counter is exactly the book's value and all values are of one moment. Units
//! are base units (joules, watts, grams); names, types and labels stand in
//! [`families`], from which `docs/metrics.md` is checked. Command lines never
//! appear here, and no label is called `job` or `instance`, which are
//! Prometheus's own.

pub mod bounds;
pub mod families;
pub mod negotiation;
mod open_metrics;
mod work;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use ::prometheus::core::{Collector, Desc};
use ::prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use ::prometheus::{Encoder, Registry, TextEncoder};
use jiff::Timestamp;

use crate::engine::snapshot::{
    AccountView, ByKind, ClaimView, DomainView, JobMeta, JobView, SensorState, Snapshot, SourceView,
};
use crate::sensors::{Kind, ReadError};
use crate::settlement::task::Shared;
use crate::settlement::{Figure, Settlement};

use bounds::{Limits, OTHER, Split};
use families::Family;
use negotiation::Format;

/// Failures by reason, in the order of [`DomainView::read_errors`].
const REASONS: [&str; 4] = [
    ReadError::NoData("").reason(),
    ReadError::Failed("").reason(),
    ReadError::NotPermitted("").reason(),
    ReadError::Lost("").reason(),
];

/// Every state, for the state set.
const STATES: [SensorState; 7] = [
    SensorState::Ok,
    SensorState::NoData,
    SensorState::Failed,
    SensorState::NotPermitted,
    SensorState::Lost,
    SensorState::Stalled,
    SensorState::Dead,
];

/// Writes the exposition.
pub struct Exporter {
    registry: Registry,
}

impl Exporter {
    /// An exporter of whatever `latest` gives, with the settled view beside it, within
    /// the default [`Limits`].
    pub fn new(
        latest: impl Fn() -> Arc<Snapshot> + Send + Sync + 'static,
        settlement: Shared,
    ) -> Exporter {
        Exporter::within(Limits::default, latest, settlement)
    }

    /// The same within the limits that `limits` gives at each scrape.
    pub fn within(
        limits: impl Fn() -> Limits + Send + Sync + 'static,
        latest: impl Fn() -> Arc<Snapshot> + Send + Sync + 'static,
        settlement: Shared,
    ) -> Exporter {
        let registry = Registry::new();
        let (latest, limits) = (Box::new(latest), Box::new(limits));
        let descs = families::descs();
        let collector = SnapshotCollector { descs, latest, limits, settlement };
        let registered = registry.register(Box::new(collector));
        // Fails only for names that clash in `families`, which a test reads.
        debug_assert!(registered.is_ok());
        Exporter { registry }
    }

    /// The page in this format.
    ///
    /// # Errors
    /// Where the encoder refuses a family.
    pub fn page(&self, format: Format) -> Result<Vec<u8>, ::prometheus::Error> {
        match format {
            Format::Text => self.text(),
            Format::OpenMetrics => Ok(open_metrics::page(&self.registry.gather()).into_bytes()),
        }
    }

    /// The page in text format 0.0.4.
    ///
    /// # Errors
    /// Where the encoder refuses a family.
    pub fn text(&self) -> Result<Vec<u8>, ::prometheus::Error> {
        let mut page = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut page)?;
        Ok(page)
    }
}

struct SnapshotCollector {
    descs: Vec<Desc>,
    latest: Box<dyn Fn() -> Arc<Snapshot> + Send + Sync>,
    settlement: Shared,
    limits: Box<dyn Fn() -> Limits + Send + Sync>,
}

impl Collector for SnapshotCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let snapshot = (self.latest)();
        let mut page = Page::default();
        page.daemon(&snapshot);
        page.grid(&snapshot);
        for domain in &snapshot.domains {
            page.domain(domain);
        }
        for source in &snapshot.sources {
            page.source(source);
        }
        let shown = Shown::of(&snapshot);
        let limits = (self.limits)();
        let jobs = bounds::jobs(&snapshot.jobs, limits.jobs);
        for job in jobs.views() {
            page.job(job, &shown);
            page.work(job);
        }
        for claim in &snapshot.claims {
            page.claim(claim);
        }
        let users = bounds::accounts(&snapshot.users, limits.users);
        for user in users.views() {
            page.account(&USER, user, &shown);
        }
        let projects = bounds::accounts(&snapshot.projects, limits.projects);
        for project in projects.views() {
            page.account(&PROJECT, project, &shown);
        }
        let hidden =
            [("jobs", jobs.hidden), ("users", users.hidden), ("projects", projects.hidden)];
        for (of, hidden) in hidden {
            page.put(&families::HIDDEN, &[of], hidden as f64);
        }
        page.settlement(&self.settlement.load(), &snapshot, &jobs, &users, &projects);
        page.families.into_iter().map(|(_, family)| family).collect()
    }
}

/// The families of a user's or a project's totals.
struct AccountFamilies {
    energy: &'static Family,
    emissions: &'static Family,
    embodied: &'static Family,
}

static USER: AccountFamilies = AccountFamilies {
    energy: &families::USER_ENERGY,
    emissions: &families::USER_EMISSIONS,
    embodied: &families::USER_EMBODIED,
};

static PROJECT: AccountFamilies = AccountFamilies {
    energy: &families::PROJECT_ENERGY,
    emissions: &families::PROJECT_EMISSIONS,
    embodied: &families::PROJECT_EMBODIED,
};

/// Which kinds of energy this host has: those series exist from a job's start,
/// at 0, so that their rise is seen.
struct Shown {
    kinds: [bool; Kind::ALL.len()],
    node: bool,
}

impl Shown {
    fn of(snapshot: &Snapshot) -> Shown {
        let has = |kind: Kind, counted: bool| {
            let mut domains = snapshot.domains.iter().map(|view| &view.domain);
            domains.any(|domain| domain.kind == kind && domain.counted() == counted)
        };
        Shown { kinds: Kind::ALL.map(|kind| has(kind, true)), node: has(Kind::Node, false) }
    }

    /// The kinds to show of these energies. A kind whose device has gone is still
    /// shown where it has energy: a counter must not vanish.
    fn of_energy<'a>(&'a self, energy: &'a ByKind) -> impl Iterator<Item = (&'static str, f64)> {
        Kind::ALL
            .iter()
            .zip(energy)
            .zip(self.kinds)
            .filter(|((_, energy), shown)| *shown || energy.microjoules() > 0)
            .map(|((kind, energy), _)| (kind.as_str(), energy.joules()))
    }
}

/// The families of one scrape, in the order of their first value.
#[derive(Default)]
struct Page {
    families: Vec<(&'static str, MetricFamily)>,
}

impl Page {
    fn daemon(&mut self, snapshot: &Snapshot) {
        self.put(&families::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
        self.put(&families::TICKS, &[], snapshot.ticks as f64);
        self.put(&families::MISSED_TICKS, &[], snapshot.missed_ticks as f64);
        self.put_time(&families::LAST_TICK, &[], snapshot.at);
        let running = snapshot.jobs.iter().filter(|job| job.running).count();
        self.put(&families::JOBS_RUNNING, &[], running as f64);
        self.put(&families::LEDGER_UP, &[], flag(snapshot.ledger.up));
        self.put(&families::LEDGER_ERRORS, &[], snapshot.ledger.errors as f64);
        self.put(&families::LEDGER_PENDING, &[], snapshot.ledger.pending as f64);
        self.put_time(&families::LEDGER_LAST_WRITE, &[], snapshot.ledger.last_write);
        if let Some(pue) = snapshot.pue {
            self.put(&families::PUE, &[pue.source], f64::from(pue.thousandths) / 1e3);
        }
    }

    /// The intensity of each zone once: zones that are not known are all the world.
    fn grid(&mut self, snapshot: &Snapshot) {
        for (place, view) in snapshot.zones.iter().enumerate() {
            if snapshot.zones[..place].iter().any(|before| before.zone == view.zone) {
                continue;
            }
            let labels = [&*view.zone, &*view.source, &*view.signal, view.quality];
            self.put(&families::INTENSITY, &labels, view.grams_per_kwh);
            if let (Some(from), Some(at)) = (view.from, snapshot.at) {
                let age = at.duration_since(from).as_secs_f64().max(0.0);
                self.put(&families::INTENSITY_AGE, &[&view.zone], age);
            }
        }
        for feed in snapshot.feeds.iter() {
            for (result, count) in &feed.requests {
                self.put(&families::FEED_REQUESTS, &[&feed.source, result], *count as f64);
            }
            if let Some(up) = feed.up {
                self.put(&families::FEED_UP, &[&feed.source], flag(up));
            }
            self.put_time(&families::FEED_LAST_SUCCESS, &[&feed.source], feed.last_success);
        }
    }

    fn domain(&mut self, view: &DomainView) {
        let id = view.domain.id.as_str();
        let counted = if view.domain.counted() { "true" } else { "false" };
        let labels = [id, view.domain.kind.as_str(), &view.domain.source, counted];
        self.put(&families::DOMAIN_ENERGY, &labels, view.total.joules());
        self.put(&families::DOMAIN_UNATTRIBUTED, &labels, view.unattributed.joules());
        if let Some(power) = view.power {
            self.put(&families::DOMAIN_POWER, &labels, power.watts());
        }
        if let Some(limit) = view.domain.power_limit {
            self.put(&families::DOMAIN_POWER_LIMIT, &labels, limit.watts());
        }
        self.put(&families::DOMAIN_INFO, &[id, &view.domain.device], 1.0);
        for (reason, count) in REASONS.iter().zip(view.read_errors) {
            self.put(&families::READ_ERRORS, &[id, reason], count as f64);
        }
        for state in STATES {
            let is = flag(state == view.state);
            self.put(&families::SENSOR_STATE, &[id, state.as_str()], is);
        }
        self.put(&families::REFUSED, &[id], view.refused as f64);
        self.put(&families::RESETS, &[id], view.resets as f64);
        self.put_time(&families::LAST_READ, &[id], view.last_read);
    }

    fn source(&mut self, view: &SourceView) {
        self.put(&families::SOURCE_UP, &[view.name], flag(view.up));
        self.put(&families::SOURCE_DOMAINS, &[view.name], f64::from(view.domains));
        self.put(&families::SOURCE_MISSING, &[view.name], f64::from(view.missing));
    }

    fn job(&mut self, view: &JobView, shown: &Shown) {
        let meta = &view.meta;
        let project = meta.project.as_deref().unwrap_or_default();
        let who = [meta.id.as_str(), &meta.name, &meta.user, project];
        let [id, name, user, project] = who;
        for (kind, joules) in shown.of_energy(&view.energy) {
            self.put(&families::JOB_ENERGY, &[id, name, user, project, kind], joules);
        }
        if shown.node || view.node.microjoules() > 0 {
            self.put(&families::JOB_NODE_ENERGY, &who, view.node.joules());
        }
        self.put(&families::JOB_EMISSIONS, &who, view.emissions.grams());
        self.put(&families::JOB_EMBODIED, &who, view.embodied.grams());
        self.put(&families::JOB_RUNNING, &who, flag(view.running));
        self.put_time(&families::JOB_START, &who, Some(view.started));
        self.put_time(&families::JOB_END, &who, view.ended);
        if view.running {
            self.put(&families::JOB_POWER, &who, view.power.watts());
        }
    }

    /// Emissions as they are known now: gauges, since they may fall. What has no series
    /// of its own stands in `other` here too.
    fn settlement(
        &mut self,
        view: &Settlement,
        snapshot: &Snapshot,
        jobs: &Split<'_, JobView>,
        users: &Split<'_, AccountView>,
        projects: &Split<'_, AccountView>,
    ) {
        self.put_time(&families::SETTLEMENT_TIME, &[], view.at);
        let families = (&families::JOB_SETTLED, &families::JOB_UNSETTLED);
        let shown: HashSet<&str> = jobs.shown.iter().map(|job| job.meta.id.as_str()).collect();
        let mut rest = (0.0, 0.0);
        for job in &snapshot.jobs {
            let meta = &job.meta;
            let Some(figure) = view.jobs.get(&meta.id) else { continue };
            let project = meta.project.as_deref().unwrap_or_default();
            let who = [meta.id.as_str(), &meta.name, &meta.user, project];
            if jobs.hidden == 0 || shown.contains(meta.id.as_str()) {
                self.figure(families, &who, grams(figure));
            } else {
                add_grams(&mut rest, figure);
            }
        }
        if jobs.hidden > 0 {
            self.figure(families, &[OTHER, OTHER, "", ""], rest);
        }
        let families = (&families::USER_SETTLED, &families::USER_UNSETTLED);
        self.figures(families, &view.users, users);
        let families = (&families::PROJECT_SETTLED, &families::PROJECT_UNSETTLED);
        self.figures(families, &view.projects, projects);
    }

    fn figures(
        &mut self,
        families: (&'static Family, &'static Family),
        figures: &BTreeMap<String, Figure>,
        split: &Split<'_, AccountView>,
    ) {
        let shown: HashSet<&str> = split.shown.iter().map(|view| &*view.name).collect();
        let mut rest = (0.0, 0.0);
        for (name, figure) in figures {
            if split.hidden == 0 || shown.contains(name.as_str()) {
                self.figure(families, &[name], grams(figure));
            } else {
                add_grams(&mut rest, figure);
            }
        }
        if split.hidden > 0 {
            self.figure(families, &[OTHER], rest);
        }
    }

    fn figure(
        &mut self,
        families: (&'static Family, &'static Family),
        labels: &[&str],
        (settled, unsettled): (f64, f64),
    ) {
        self.put(families.0, labels, settled);
        self.put(families.1, labels, unsettled);
    }

    fn claim(&mut self, view: &ClaimView) {
        let JobMeta { id, uid: _, name, user, project } = &*view.job;
        let project = project.as_deref().unwrap_or_default();
        let labels = [view.domain.id.as_str(), id.as_str(), name, user, project];
        self.put(&families::GPU_CLAIMED, &labels, 1.0);
    }

    fn account(&mut self, families: &AccountFamilies, view: &AccountView, shown: &Shown) {
        for (kind, joules) in shown.of_energy(&view.energy) {
            self.put(families.energy, &[&view.name, kind], joules);
        }
        self.put(families.emissions, &[&view.name], view.emissions.grams());
        self.put(families.embodied, &[&view.name], view.embodied.grams());
    }

    /// A moment, where there is one.
    fn put_time(&mut self, family: &'static Family, labels: &[&str], time: Option<Timestamp>) {
        if let Some(time) = time {
            self.put(family, labels, time.as_millisecond() as f64 / 1e3);
        }
    }

    fn put(&mut self, family: &'static Family, labels: &[&str], value: f64) {
        debug_assert_eq!(family.labels.len(), labels.len(), "{}", family.name);
        let pairs = family.labels.iter().zip(labels).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        let mut metric = Metric::from_label(pairs.collect());
        if family.counter {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.family(family).mut_metric().push(metric);
    }

    fn family(&mut self, family: &'static Family) -> &mut MetricFamily {
        // Some thirty names: looking through them is cheaper than hashing one.
        let place = self.families.iter().position(|(name, _)| std::ptr::eq(*name, family.name));
        let place = place.unwrap_or_else(|| {
            let mut new = MetricFamily::default();
            new.set_name(family.name.to_owned());
            new.set_help(family.help.to_owned());
            new.set_field_type(if family.counter {
                MetricType::COUNTER
            } else {
                MetricType::GAUGE
            });
            self.families.push((family.name, new));
            self.families.len() - 1
        });
        &mut self.families[place].1
    }
}

fn flag(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

/// Settled and unsettled grams.
fn grams(figure: &Figure) -> (f64, f64) {
    (figure.settled_grams(), figure.unsettled.grams())
}

fn add_grams(sum: &mut (f64, f64), figure: &Figure) {
    let (settled, unsettled) = grams(figure);
    sum.0 += settled;
    sum.1 += unsettled;
}
