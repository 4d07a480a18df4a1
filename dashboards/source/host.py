# SPDX-License-Identifier: Apache-2.0
"""One host: its domains, its GPUs, and the jobs on it."""

from source.fleet import JOB
from source.grafana import (
    HOSTS,
    dashboard,
    query,
    row,
    short_domains,
    stat,
    steps,
    table,
    timeseries,
)
from source.queries import (
    GPU_LIMIT,
    GPU_POWER,
    GRAMS_PER_HOUR,
    IDLE_HELD,
    INTENSITY,
    POWER,
    job_marks,
    rise,
    unattributed_share,
)


def figures():
    counted = f'{HOSTS}, counted="true"'
    energy = rise("aimeter_domain_energy_joules_total", counted)
    return [
        stat("Power", "Of all counted domains.", "watt", f"sum({POWER})"),
        stat("GPU power", "Of all GPUs.", "watt", f"sum({GPU_POWER})"),
        stat(
            "Energy",
            "Used in the time range, as far as it was scraped.",
            "watth",
            f"sum({energy}) / 3600",
        ),
        stat(
            "Nobody's energy",
            "The part that no job used.",
            "percentunit",
            unattributed_share(""),
            thresholds=steps("green", 0.5, "orange", 0.8, "red"),
            max=1,
        ),
        stat(
            "CO2e per hour",
            "Of all power now, at the grid's intensity now, with the building's PUE if one is set.",
            "massg",
            f"sum({GRAMS_PER_HOUR})",
        ),
        stat(
            "Carbon intensity",
            "Grams CO2e per kWh of the grid, now.",
            "none",
            f"avg({INTENSITY})",
            decimals=0,
        ),
    ]


def gpus():
    by = "by (instance, domain)"
    who = "by (instance, domain, job_id, job_name, user)"
    # Also of a GPU that cannot be read now.
    known = f'aimeter_domain_energy_joules_total{{{HOSTS}, kind="gpu"}}'
    return table(
        "GPUs",
        "What each draws and which job holds it. A click leads to the job.",
        {
            "instance": ("Host", None),
            "domain": ("GPU", None),
            f"max by (instance, domain, device) (aimeter_domain_info{{{HOSTS}}})"
            f" and on (instance, domain) {known}": None,
            "device": ("Device", None),
            f"max {by} ({GPU_POWER})": ("Power", "watt"),
            f"max {by} ({GPU_LIMIT})": ("Limit", "watt"),
            f"max {who} (aimeter_gpu_claimed{{{HOSTS}}})": None,
            "job_id": ("Job", None),
            "job_name": ("Name", None),
            "user": ("User", None),
        },
        links=[("Job", JOB)],
    )


def jobs():
    who = "by (instance, job_id, job_name, user, project)"
    # All kinds of a job at its last value, running or not.
    energy = f"last_over_time(aimeter_job_energy_joules_total{{{HOSTS}}}[$__range])"
    grams = f"last_over_time(aimeter_job_emissions_grams_total{{{HOSTS}}}[$__range])"
    start = f"last_over_time(aimeter_job_start_timestamp_seconds{{{HOSTS}}}[$__range])"
    return table(
        "Jobs in the time range",
        "Running and finished, with the figures that were scraped last; a job's figures "
        "include the jobs nested in it. A click leads to the job.",
        {
            "job_id": ("Job", None),
            "job_name": ("Name", None),
            "user": ("User", None),
            "project": ("Project", None),
            "instance": ("Host", None),
            f"max {who} ({start} * 1000)": ("Started", "dateTimeAsIso"),
            f"sum {who} ({energy})": ("Energy", "joule"),
            f"sum {who} ({grams})": ("CO2e", "massg"),
        },
        sort="Started",
        links=[("Job", JOB)],
    )


def build():
    none = f"sum by (instance, domain) ({GPU_POWER}) * 0"
    idle = f"sum by (instance, domain) ({IDLE_HELD}) or {none}"
    overlapping = f'aimeter_domain_power_watts{{{HOSTS}, counted="false"}}'
    return dashboard(
        "host",
        "Host",
        "One host, or some: domains, GPUs, and the jobs on them.",
        [
            *figures(),
            row("Power"),
            short_domains(
                timeseries(
                    "Power by domain",
                    "Counted domains only: none of them contains another.",
                    "watt",
                    [query(POWER, "{{instance}} {{domain}}")],
                    stack=True,
                )
            ),
            timeseries(
                "Power by job",
                "Not stacked: a job's power includes the jobs nested in it.",
                "watt",
                [query(f"aimeter_job_power_watts{{{HOSTS}}}", "{{job_name}} {{job_id}}")],
            ),
            short_domains(
                timeseries(
                    "GPU power and limit",
                    "The part of each GPU's enforced power limit that it draws.",
                    "percentunit",
                    [query(f"{GPU_POWER} / {GPU_LIMIT}", "{{instance}} {{domain}}")],
                )
            ),
            timeseries(
                "The node's own meters",
                "Meters that contain other domains or parts of them, beside the sum of those "
                "that are counted. Never add these.",
                "watt",
                [
                    query(f"sum by (instance) ({POWER})", "{{instance}} counted"),
                    query(overlapping, "{{instance}} {{domain}}"),
                ],
            ),
            row("GPUs"),
            gpus(),
            short_domains(
                timeseries(
                    "Idle GPUs that a job holds",
                    "Power of GPUs that a job holds and that drew under a quarter of their limit "
                    "for 5 minutes.",
                    "watt",
                    [query(idle, "{{instance}} {{domain}}")],
                    size=(24, 7),
                    stack=True,
                )
            ),
            row("Jobs"),
            jobs(),
        ],
        annotations=job_marks(HOSTS),
    )
