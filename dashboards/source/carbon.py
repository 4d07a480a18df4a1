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
    GRAMS,
    GRAMS_PER_HOUR,
    IDLE_HELD,
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
    made = f"sum({rise('aimeter_user_embodied_grams_total', USERS)})"
    idle = f"sum(({IDLE_HELD}) * on (job, instance) group_left () ({GRAMS}))"
    return [
        stat("CO2e of jobs", f"In the time range. {ELECTRICITY}", "massg", grams),
        stat(
            "and of their hardware",
            "Of making what the jobs held, for the time in which they did: beside that of "
            "electricity, in the time range.",
            "massg",
            made,
        ),
        stat("Energy of jobs", "In the time range.", "watth", f"{joules} / 3600"),
        stat(
            "Grams per kWh of jobs",
            "What a kWh of a job emitted in the time range, with PUE where one is set.",
            "none",
            f"{grams} / ({joules} > 0) * 3.6e6",
            decimals=0,
        ),
        stat(
            "CO2e per hour",
            "Of all power now, jobs' and nobody's, at the grid's intensity now, with the "
            "building's PUE if one is set.",
            "massg",
            f"sum({GRAMS_PER_HOUR})",
        ),
        stat(
            "of that by idle GPUs",
            "By GPUs that a job holds and that drew under a quarter of their limit for 5 minutes.",
            "massg",
            f"{idle} or vector(0)",
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
            f"sum {who} ({last('aimeter_job_emissions_unsettled_grams', JOBS)})": (
                "Not settled",
                "massg",
            ),
            f"sum {who} ({last('aimeter_job_embodied_grams_total', JOBS)})": ("Hardware", "massg"),
            f"sum {who} ({last('aimeter_job_energy_joules_total', JOBS)})": ("Energy", "joule"),
        },
        sort="CO2e",
        links=[("Job", JOB), ("Host", HOST)],
    )


def build():
    by_zone = f"""max by (grid_zone, source, quality)
        (aimeter_grid_intensity_grams_per_kwh{{{HOSTS}}})"""
    age = f"max by (grid_zone) (aimeter_grid_intensity_age_seconds{{{HOSTS}}})"
    settled = f"sum(aimeter_user_emissions_settled_grams{{{USERS}}})"
    unsettled = f"sum(aimeter_user_emissions_unsettled_grams{{{USERS}}})"
    counted = f'{HOSTS}, counted="true"'
    nobody = f"""sum(sum by (job, instance) (
        rate(aimeter_domain_unattributed_joules_total{{{counted}}}[$__rate_interval])
        ) * on (job, instance) {GRAMS})"""
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
                "Grams CO2e per kWh of each zone in use, who says so, and how good it is.",
                "none",
                [query(by_zone, "{{grid_zone}} {{source}} {{quality}}")],
            ),
            timeseries(
                "Age of the intensity",
                "Time since the start of the interval that it is of; none for a yearly mean.",
                "s",
                [query(age, "{{grid_zone}}")],
                size=(6, 8),
            ),
            timeseries(
                "Settled and not",
                "CO2e of all jobs since the ledger began, as it is known now: what rests on final "
                "intensities, and that for which a better one may still come.",
                "massg",
                [query(settled, "settled"), query(unsettled, "unsettled")],
                size=(6, 8),
                stack=True,
                colours={"settled": "green", "unsettled": "orange"},
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
            timeseries(
                "CO2e per hour by host",
                "Of all power, at the grid's intensity of the moment, with PUE if one is set.",
                "massg",
                [query(f"sum by (instance) ({GRAMS_PER_HOUR})", "{{instance}}")],
                stack=True,
            ),
            bars(
                "CO2e by project",
                f"In the time range. {ELECTRICITY}",
                "massg",
                f"sum by (project) ({projects})",
                "{{project}}",
            ),
            bars(
                "CO2e by user",
                f"In the time range. {ELECTRICITY}",
                "massg",
                f"sum by (user) ({users})",
                "{{user}}",
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
