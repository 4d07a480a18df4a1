# SPDX-License-Identifier: Apache-2.0
"""All hosts: what they draw, for whom, and what of it does nothing."""

from source.grafana import (
    HOSTS,
    KIND_COLOURS,
    bars,
    dashboard,
    data_link,
    query,
    row,
    stat,
    steps,
    table,
    timeseries,
)
from source.queries import (
    GRAMS_PER_HOUR,
    IDLE_HELD,
    POWER,
    job_marks,
    rise,
    unattributed_share,
)

HOST = data_link("Host ${__value.text}", "host", instance="${__value.text}")
JOB = data_link("This job", "job", instance="${__data.fields.Host}", job_id="${__value.text}")
WHO = "sum by (instance, job_id, job_name, user, project)"
COUNTED = f'{HOSTS}, counted="true"'
RUNNING = f"and on (instance, job_id) (aimeter_job_running{{{HOSTS}}} == 1)"


def figures():
    return [
        stat("Power", "Of all counted domains.", "watt", f"sum({POWER})"),
        stat(
            "CO2e per hour",
            "Of all power now, at the grid's intensity now, with the building's PUE if one is set.",
            "massg",
            f"sum({GRAMS_PER_HOUR})",
        ),
        stat("Hosts", "That are scraped.", "none", f"count(aimeter_build_info{{{HOSTS}}})"),
        stat("Jobs", "Running now, on all hosts.", "none", f"sum(aimeter_jobs_running{{{HOSTS}}})"),
        stat(
            "Nobody's energy",
            "The part that no job used: idle machines, and work that nobody wrapped.",
            "percentunit",
            unattributed_share(""),
            thresholds=steps("green", 0.5, "orange", 0.8, "red"),
            max=1,
        ),
        stat(
            "Idle GPUs held",
            "GPUs that a job holds and that drew under a quarter of their limit for 5 minutes.",
            "none",
            f"count({IDLE_HELD}) or vector(0)",
            thresholds=steps("green", 1, "orange"),
        ),
    ]


def hosts():
    return table(
        "Host by host",
        "A click on a host leads to its own dashboard.",
        {
            "instance": ("Host", None),
            f"sum by (instance) ({POWER})": ("Power", "watt"),
            f"sum by (instance) (aimeter_jobs_running{{{HOSTS}}})": ("Jobs", "none"),
            unattributed_share(" by (instance)"): ("Nobody's", "percentunit"),
            f"sum by (instance) ({rise('aimeter_domain_energy_joules_total', COUNTED)})"
            " / 3600": ("Energy", "watth"),
            f"max by (instance, grid_zone) (aimeter_grid_intensity_grams_per_kwh{{{HOSTS}}})": (
                "g/kWh",
                "none",
            ),
            "grid_zone": ("Zone", None),
        },
        sort="Power",
        links=[("Host", HOST)],
    )


def running():
    return table(
        "Running jobs",
        "A job's figures include the jobs nested in it. A click leads to the job.",
        {
            "job_id": ("Job", None),
            "job_name": ("Name", None),
            "user": ("User", None),
            "project": ("Project", None),
            "instance": ("Host", None),
            f"{WHO} (aimeter_job_power_watts{{{HOSTS}}})": ("Power", "watt"),
            f"{WHO} (aimeter_job_energy_joules_total{{{HOSTS}}})"
            f" {RUNNING}": (
                "Energy",
                "joule",
            ),
            f"{WHO} (aimeter_job_emissions_grams_total{{{HOSTS}}})"
            f" {RUNNING}": ("CO2e", "massg"),
            f"{WHO} (time() - aimeter_job_start_timestamp_seconds{{{HOSTS}}})"
            f" {RUNNING}": (
                "Runs for",
                "dtdhms",
            ),
        },
        sort="Power",
        links=[("Host", HOST), ("Job", JOB)],
    )


def build():
    by_kind = query(f"sum by (kind) ({POWER})", "{{kind}}")
    by_host = query(f"sum by (instance) ({POWER})", "{{instance}}")
    none = f"sum by (instance) ({POWER}) * 0"
    idle = query(f"sum by (instance) ({IDLE_HELD}) or {none}", "{{instance}}")
    share = query(unattributed_share(" by (instance)"), "{{instance}}")
    projects = rise("aimeter_project_energy_joules_total")
    users = rise("aimeter_user_energy_joules_total")
    return dashboard(
        "fleet",
        "Fleet",
        "All hosts: power, jobs, and what is wasted. Leads on to hosts and jobs.",
        [
            *figures(),
            row("Power"),
            timeseries(
                "Power by kind",
                "Counted domains only: none of them contains another.",
                "watt",
                [by_kind],
                stack=True,
                colours=KIND_COLOURS,
            ),
            timeseries("Power by host", "Counted domains only.", "watt", [by_host], stack=True),
            row("Hosts and jobs"),
            hosts(),
            running(),
            row("Who used it"),
            bars(
                "Energy by project",
                "Used in the time range, finished jobs included; each joule once.",
                "watth",
                f"sum by (project) ({projects}) / 3600",
                "{{project}}",
            ),
            bars(
                "Energy by user",
                "Used in the time range, finished jobs included; each joule once.",
                "watth",
                f"sum by (user) ({users}) / 3600",
                "{{user}}",
                color={"mode": "fixed", "fixedColor": "blue"},
            ),
            row("What of it did nothing"),
            timeseries(
                "Idle GPUs that a job holds",
                "Power of GPUs that a job holds and that drew under a quarter of their limit for "
                "5 minutes.",
                "watt",
                [idle],
                stack=True,
            ),
            timeseries(
                "Energy that no job used",
                "Idle machines, and work that nobody wrapped.",
                "percentunit",
                [share],
                max=1,
            ),
        ],
        annotations=job_marks(HOSTS),
    )
