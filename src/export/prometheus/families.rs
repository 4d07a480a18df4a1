// SPDX-License-Identifier: Apache-2.0
//! Every metric family: name, type, labels and help, declared once.
//!
//! Names follow Prometheus's practices: prefix, base unit, `_total` for counters.
//! `docs/metrics.md` is compared with [`ALL`] by a test. The grid's zone is
//! `grid_zone`, since `zone` is what service discovery calls a cloud's zone.

use std::collections::HashMap;
use std::fmt::Write;

use ::prometheus::core::Desc;

/// One family.
#[derive(Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// A counter, else a gauge.
    pub counter: bool,
    /// Its labels, in order.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence.
    pub help: &'static str,
}

const DOMAIN: &[&str] = &["domain", "kind", "source", "counted"];
const JOB: &[&str] = &["job_id", "job_name", "user", "project"];
const GPU_CLAIM: &[&str] = &["domain", "job_id", "job_name", "user", "project"];
const JOB_KIND: &[&str] = &["job_id", "job_name", "user", "project", "kind"];

macro_rules! families {
    ($($name:ident = $kind:ident $text:literal $labels:expr, $help:literal;)*) => {
        $(#[doc = $help] pub static $name: Family = Family {
            name: $text, counter: families!(@$kind), labels: $labels, help: $help,
        };)*
        /// Every family, in the order of the documentation.
        pub static ALL: &[&Family] = &[$(&$name),*];
    };
    (@counter) => { true };
    (@gauge) => { false };
}

families! {
    DOMAIN_ENERGY = counter "aimeter_domain_energy_joules_total" DOMAIN,
        "Energy booked of a domain since the ledger began. Sum only over counted=\"true\": the others overlap these.";
    DOMAIN_UNATTRIBUTED = counter "aimeter_domain_unattributed_joules_total" DOMAIN,
        "The part of a domain's energy that no job used.";
    DOMAIN_POWER = gauge "aimeter_domain_power_watts" DOMAIN,
        "Power of a domain over the last tick.";
    DOMAIN_POWER_LIMIT = gauge "aimeter_domain_power_limit_watts" DOMAIN,
        "Enforced power limit of a GPU, as it was when the GPU was found.";
    DOMAIN_INFO = gauge "aimeter_domain_info" &["domain", "device"],
        "Always 1; what device a domain is, for people.";
    GPU_CLAIMED = gauge "aimeter_gpu_claimed" GPU_CLAIM,
        "1 for each running job that holds a GPU: it named it, so that idle energy is the job's too.";
    JOB_ENERGY = counter "aimeter_job_energy_joules_total" JOB_KIND,
        "Energy of a job by kind, jobs nested in it included. Shown from its start, at 0, until some time after its end.";
    JOB_NODE_ENERGY = counter "aimeter_job_node_energy_joules_total" JOB,
        "The job's part of the node's own meter. Overlaps the job's other energies: never add them.";
    JOB_EMISSIONS = counter "aimeter_job_emissions_grams_total" JOB,
        "CO2e of a job's electricity at the intensity known when it was used; the job's record has later, better figures.";
    JOB_SETTLED = gauge "aimeter_job_emissions_settled_grams" JOB,
        "The part of a job's CO2e, as it is known now, that rests on final intensities. Nested jobs are in it.";
    JOB_UNSETTLED = gauge "aimeter_job_emissions_unsettled_grams" JOB,
        "The part of a job's CO2e, as it is known now, for which a better intensity may still come.";
    JOB_EMBODIED = counter "aimeter_job_embodied_grams_total" JOB,
        "CO2e of making the hardware that a job held, for the time in which it did; apart from that of its electricity.";
    JOB_POWER = gauge "aimeter_job_power_watts" JOB,
        "Power of a running job over the last tick.";
    JOB_RUNNING = gauge "aimeter_job_running" JOB,
        "1 while the job runs, 0 after its end.";
    JOB_START = gauge "aimeter_job_start_timestamp_seconds" JOB,
        "When the job started, in seconds since 1970 UTC.";
    JOB_END = gauge "aimeter_job_end_timestamp_seconds" JOB,
        "When a job ended, in seconds since 1970 UTC; of finished jobs only.";
    PHASE_ENERGY = counter "aimeter_job_phase_energy_joules_total" &["job_id", "phase"],
        "Energy of a job in a phase that it marked (docs/marks.md), counted domains and nested jobs included; the rest of the job's energy is in no phase. At most 65 phases a job.";
    PHASE_SECONDS = counter "aimeter_job_phase_seconds_total" &["job_id", "phase"],
        "Time that a job was in a phase that it marked.";
    JOB_UNITS = counter "aimeter_job_units_total" &["job_id", "unit"],
        "Units of work that a job counted: tokens, samples, steps. At most 33 units a job.";
    JOBS_RUNNING = gauge "aimeter_jobs_running" &[],
        "Jobs that run now.";
    USER_ENERGY = counter "aimeter_user_energy_joules_total" &["user", "kind"],
        "Energy of a user's jobs by kind since the ledger began, finished jobs included; each joule once, also of nested jobs.";
    USER_EMISSIONS = counter "aimeter_user_emissions_grams_total" &["user"],
        "CO2e of a user's jobs at the intensity known when the energy was used.";
    USER_SETTLED = gauge "aimeter_user_emissions_settled_grams" &["user"],
        "CO2e of a user's jobs since the ledger began, as it is known now: the part that rests on final intensities.";
    USER_UNSETTLED = gauge "aimeter_user_emissions_unsettled_grams" &["user"],
        "CO2e of a user's jobs since the ledger began, as it is known now: the part for which a better intensity may still come.";
    USER_EMBODIED = counter "aimeter_user_embodied_grams_total" &["user"],
        "CO2e of making the hardware that a user's jobs held; apart from that of their electricity.";
    PROJECT_ENERGY = counter "aimeter_project_energy_joules_total" &["project", "kind"],
        "Energy of a project's jobs by kind since the ledger began, finished jobs included; each joule once, also of nested jobs.";
    PROJECT_EMISSIONS = counter "aimeter_project_emissions_grams_total" &["project"],
        "CO2e of a project's jobs at the intensity known when the energy was used.";
    PROJECT_SETTLED = gauge "aimeter_project_emissions_settled_grams" &["project"],
        "CO2e of a project's jobs since the ledger began, as it is known now: the part that rests on final intensities.";
    PROJECT_UNSETTLED = gauge "aimeter_project_emissions_unsettled_grams" &["project"],
        "CO2e of a project's jobs since the ledger began, as it is known now: the part for which a better intensity may still come.";
    PROJECT_EMBODIED = counter "aimeter_project_embodied_grams_total" &["project"],
        "CO2e of making the hardware that a project's jobs held; apart from that of their electricity.";
    PUE = gauge "aimeter_pue_ratio" &["source"],
        "The building's power usage effectiveness in force, and who says so; absent where none is set.";
    HIDDEN = gauge "aimeter_metrics_hidden" &["of"],
        "Jobs, users or projects without series of their own: beyond the configured number they stand together as \"other\".";
    SETTLEMENT_TIME = gauge "aimeter_settlement_timestamp_seconds" &[],
        "When the settled and unsettled grams were last derived from the ledger, in seconds since 1970 UTC.";
    INTENSITY = gauge "aimeter_grid_intensity_grams_per_kwh" &["grid_zone", "source", "signal", "quality"],
        "Carbon intensity of the electricity now, in grams CO2e per kWh, of every zone in use, and who says so. Quality: actual, provisional, estimated, forecast, held (its interval is over and no newer one is known) or table (yearly mean).";
    INTENSITY_AGE = gauge "aimeter_grid_intensity_age_seconds" &["grid_zone"],
        "Time since the start of the interval that the intensity is of; none for a yearly mean.";
    FEED_REQUESTS = counter "aimeter_grid_feed_requests_total" &["feed", "result"],
        "Requests to a feed since the daemon started, by result: ok, or why there was no figure.";
    FEED_UP = gauge "aimeter_grid_feed_up" &["feed"],
        "1 where the feed's last answer about now was good; a feed that was never needed is not shown.";
    FEED_LAST_SUCCESS = gauge "aimeter_grid_feed_last_success_timestamp_seconds" &["feed"],
        "Last good answer of a feed, in seconds since 1970 UTC.";
    SOURCE_UP = gauge "aimeter_sensor_up" &["source"],
        "1 where at least one domain of the source was read at the last tick.";
    SOURCE_DOMAINS = gauge "aimeter_sensor_domains" &["source"],
        "Domains of the source.";
    SOURCE_MISSING = gauge "aimeter_sensor_missing" &["source"],
        "Domains or parts of the source that are missing; `aimeter sensors` says why.";
    SENSOR_STATE = gauge "aimeter_sensor_state" &["domain", "state"],
        "1 for the state in which the domain is, 0 for the others.";
    READ_ERRORS = counter "aimeter_sensor_read_errors_total" &["domain", "reason"],
        "Reads of a domain that gave no value, by reason.";
    REFUSED = counter "aimeter_sensor_refused_total" &["domain"],
        "Values of a domain that were refused as absurd.";
    RESETS = counter "aimeter_sensor_resets_total" &["domain"],
        "Restarts of a domain's counter, such as a driver reload; a wrap is none.";
    LAST_READ = gauge "aimeter_sensor_last_read_timestamp_seconds" &["domain"],
        "Last good reading of a domain, in seconds since 1970 UTC.";
    LEDGER_UP = gauge "aimeter_ledger_up" &[],
        "1 where the last write of the ledger went well; else metering goes on in memory.";
    LEDGER_ERRORS = counter "aimeter_ledger_write_errors_total" &[],
        "Writes of the ledger that failed.";
    LEDGER_PENDING = gauge "aimeter_ledger_pending_bookings" &[],
        "Bookings that wait in memory for a ledger that fails.";
    LEDGER_LAST_WRITE = gauge "aimeter_ledger_last_write_timestamp_seconds" &[],
        "Last good write of the ledger, in seconds since 1970 UTC.";
    TICKS = counter "aimeter_ticks_total" &[],
        "Readings of all counters since the daemon started.";
    MISSED_TICKS = counter "aimeter_missed_ticks_total" &[],
        "Ticks that came too late to be taken; the next one books their energy.";
    LAST_TICK = gauge "aimeter_last_tick_timestamp_seconds" &[],
        "The moment of the values on this page, in seconds since 1970 UTC.";
    BUILD_INFO = gauge "aimeter_build_info" &["version"],
        "Always 1; the labels say what runs.";
}

/// The descriptors as the crate `prometheus` wants them for registration.
pub fn descs() -> Vec<Desc> {
    let desc = |family: &&Family| {
        let labels = family.labels.iter().map(|label| (*label).to_owned()).collect();
        Desc::new(family.name.into(), family.help.into(), labels, HashMap::new()).ok()
    };
    ALL.iter().filter_map(desc).collect()
}

/// The table of `docs/metrics.md`.
pub fn table() -> String {
    let mut text = String::from("| metric | type | labels | what |\n| --- | --- | --- | --- |\n");
    for family in ALL {
        let kind = if family.counter { "counter" } else { "gauge" };
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = labels.join(", ");
        _ = writeln!(text, "| `{}` | {kind} | {labels} | {} |", family.name, family.help);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_labels_and_descriptors_are_sound() {
        assert_eq!(descs().len(), ALL.len());
        for (i, family) in ALL.iter().enumerate() {
            assert!(family.name.starts_with("aimeter_"), "{}", family.name);
            assert_eq!(family.counter, family.name.ends_with("_total"), "{}", family.name);
            for label in family.labels {
                assert!(!["job", "instance", "zone", "le", "quantile"].contains(label));
            }
            assert!(ALL[i + 1..].iter().all(|other| other.name != family.name));
            // OpenMetrics takes the end of a counter's or info's name off.
            let short = ["_total", "_info"].iter().find_map(|end| family.name.strip_suffix(end));
            assert!(ALL.iter().all(|other| Some(other.name) != short), "{}", family.name);
        }
    }
}
