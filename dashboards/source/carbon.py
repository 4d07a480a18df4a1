# SPDX-License-Identifier: Apache-2.0
"""CO2e: where it comes from, whose it is, and what could have been spared."""

from source.fleet import HOST, JOB
from source.grafana import (
    HOSTS,
    bars,
    dashboard,
    query,
    row,
    stat,
    table,
    timeseries,
    variable,
)
from source.queries import (
    GRAMS_PER_HOUR,
    IDLE_HELD,
    INTENSITY,
    JOBS,
    last,
    rise,
)

USERS = f'{HOSTS}, user=~"$user"'
PROJECTS = f'{HOSTS}, project=~"$project"'
ELECTRICITY = (
    "Of electricity, at the intensity known when it was used, with the building's PUE where one "
    "is set."
)


def figures():
    grams = f"sum({rise('aimeter_user_emissions_grams_total', USERS)})"
    joules = f"sum({rise('aimeter_user_energy_joules_total', USERS)})"
    idle = f"sum(({IDLE_HELD}) * on (job, instance) group_left {INTENSITY}) / 1000"
    return [
        stat("CO2e of jobs", f"In the time range. {ELECTRICITY}", "massg", grams, size=(5, 4)),
        stat("Energy of jobs", "In the time range.", "watth", f"{joules} / 3600", size=(5, 4)),
        stat(
            "Grams per kWh of jobs",
            "What a kWh of a job emitted in the time range, with PUE where one is set.",
            "none",
            f"{grams} / ({joules} > 0) * 3.6e6",
            size=(5, 4),
            decimals=0,
        ),
        stat(
            "CO2e per hour",
            "Of all power now, jobs' and nobody's, at the grid's intensity now, without PUE.",
            "massg",
            f"sum({GRAMS_PER_HOUR})",
            size=(5, 4),
        ),
        stat(
            "of that by idle GPUs",
            "By GPUs that a job holds and that drew under a quarter of their limit for 5 minutes.",
            "massg",
            f"{idle} or vector(0)",
            size=(4, 4),
        ),
    ]


def jobs():
    who = "by (instance, job_id, job_name, user, project)"
    return table(
        "Jobs by CO2e",
        "In the time range, with the figures that were scraped last; a job's figures include "
        "the jobs nested in it. A click leads to the job.",
        {
            "job_id": ("Job", None),
            "job_name": ("Name", None),
            "user": ("User", None),
            "project": ("Project", None),
            "instance": ("Host", None),
            f"sum {who} ({last('aimeter_job_emissions_grams_total', JOBS)})": ("CO2e", "massg"),
            f"sum {who} ({last('aimeter_job_energy_joules_total', JOBS)})": ("Energy", "joule"),
        },
        sort="CO2e",
        links=[("Job", JOB), ("Host", HOST)],
    )


def build():
    by_zone = f"max by (grid_zone, source) (aimeter_grid_intensity_grams_per_kwh{{{HOSTS}}})"
    nobody = f"""sum(sum by (job, instance) (
        rate(aimeter_domain_unattributed_joules_total{{{HOSTS}, counted="true"}}[$__rate_interval])
        ) * on (job, instance) {INTENSITY}) / 1000"""
    rate = f"rate(aimeter_project_emissions_grams_total{{{PROJECTS}}}[$__rate_interval]) * 3600"
    projects = rise("aimeter_project_emissions_grams_total", PROJECTS)
    users = rise("aimeter_user_emissions_grams_total", USERS)
    return dashboard(
        "carbon",
        "Carbon",
        "CO2e of electricity: by project, by user, by job, and what no job used.",
        [
            *figures(),
            row("The grid"),
            timeseries(
                "Carbon intensity",
                "Grams CO2e per kWh of each zone in use, and who says so.",
                "none",
                [query(by_zone, "{{grid_zone}} {{source}}")],
            ),
            timeseries(
                "CO2e per hour by host",
                "Of all power, at the grid's intensity of the moment, without PUE.",
                "massg",
                [query(f"sum by (instance) ({GRAMS_PER_HOUR})", "{{instance}}")],
                stack=True,
            ),
            row("Whose it is"),
            timeseries(
                "CO2e per hour by project",
                "Of running jobs; too low in the first minutes of a project's first job.",
                "massg",
                [query(f"sum by (project) ({rate})", "{{project}}"), query(nobody, "nobody")],
                stack=True,
                colours={"nobody": "text"},
            ),
            bars(
                "CO2e by project",
                f"In the time range. {ELECTRICITY}",
                "massg",
                f"sum by (project) ({projects})",
                "{{project}}",
                size=(6, 8),
            ),
            bars(
                "CO2e by user",
                f"In the time range. {ELECTRICITY}",
                "massg",
                f"sum by (user) ({users})",
                "{{user}}",
                size=(6, 8),
                color={"mode": "fixed", "fixedColor": "blue"},
            ),
            jobs(),
        ],
        variables=[
            variable("user", "User", "aimeter_user_energy_joules_total", HOSTS, all_value=".*"),
            variable(
                "project", "Project", "aimeter_project_energy_joules_total", HOSTS, all_value=".*"
            ),
        ],
    )
