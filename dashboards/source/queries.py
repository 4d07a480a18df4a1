# SPDX-License-Identifier: Apache-2.0
"""Expressions that several dashboards share, each with why it is written so.

Energy and grams are last values and differences of values that were scraped,
never `increase()`: that loses what a series had at its first scrape and guesses
at the edges (`docs/metrics.md`). Power is the gauge of watts, not `rate()` of
joules, which is too low for the first window of a job.
"""

from source.grafana import HOSTS, annotation

JOBS = f'{HOSTS}, user=~"$user", project=~"$project"'

# A GPU that draws less than this part of its limit does no work worth naming: an
# idle H100 with an open context draws 130 of 700 W, an idle A100 80 of 400 W. The
# rules in dashboards/rules use the same.
IDLE = 0.25

POWER = f'aimeter_domain_power_watts{{{HOSTS}, counted="true"}}'
GPU_POWER = f'aimeter_domain_power_watts{{{HOSTS}, kind="gpu"}}'
GPU_LIMIT = f'aimeter_domain_power_limit_watts{{{HOSTS}, kind="gpu"}}'

# The zone of the host; where jobs name others too, the highest.
INTENSITY = f"max by (job, instance) (aimeter_grid_intensity_grams_per_kwh{{{HOSTS}}})"

# The building's power usage effectiveness, 1 where none is set.
PUE = f"""(max by (job, instance) (aimeter_pue_ratio{{{HOSTS}}})
    or count by (job, instance) (aimeter_build_info{{{HOSTS}}}))"""

# W * g/kWh * PUE / 1000 = g/h.
GRAMS = f"{INTENSITY} * on (job, instance) {PUE} / 1000"
GRAMS_PER_HOUR = f"sum by (job, instance) ({POWER}) * on (job, instance) {GRAMS}"

# Watts of GPUs that a job holds and that have done nothing for 5 minutes.
IDLE_HELD = f"""({GPU_POWER} and max_over_time({GPU_POWER}[5m]) < {IDLE} * {GPU_LIMIT})
    and on (job, instance, domain) aimeter_gpu_claimed{{{HOSTS}}}"""


def rise(metric, labels=HOSTS):
    """How much a lasting counter rose in the time range, by what was scraped. Also
    of a host that has gone meanwhile; of a new ledger, what it has."""
    series = f"{metric}{{{labels}}}[$__range]"
    return f"(last_over_time({series}) - min_over_time({series}))"


def last(metric, labels):
    """The last value in the time range: a finished job's figure is its last one."""
    return f"last_over_time({metric}{{{labels}}}[$__range])"


def unattributed_share(by):
    """The part of the energy that no job used, of what was used in `$__rate_interval`."""
    labels = f'{HOSTS}, counted="true"'
    nobody = f"rate(aimeter_domain_unattributed_joules_total{{{labels}}}[$__rate_interval])"
    all_of_it = f"rate(aimeter_domain_energy_joules_total{{{labels}}}[$__rate_interval])"
    return f"sum{by} ({nobody}) / sum{by} ({all_of_it})"


def job_marks(labels):
    """Marks at the start and the end of jobs."""
    text = "{{job_name}} ({{job_id}}) on {{instance}}"
    start = f"aimeter_job_start_timestamp_seconds{{{labels}}} * 1000"
    end = f"aimeter_job_end_timestamp_seconds{{{labels}}} * 1000"
    return [
        annotation("Job started", start, "green", text),
        annotation("Job ended", end, "red", text),
    ]
