# SPDX-License-Identifier: Apache-2.0
"""One job: what it used, of what, at which power, for what work, and its neighbours."""

from source.fleet import HOST
from source.grafana import (
    HOSTS,
    KIND_COLOURS,
    dashboard,
    data_link,
    query,
    row,
    short_domains,
    stat,
    table,
    timeseries,
    variable,
)
from source.queries import JOBS, job_marks, last

JOB = f'{HOSTS}, job_id=~"$job_id"'
WHO = "by (instance, job_id, job_name, user, project)"
OTHER = data_link("This job", "job", instance="${__data.fields.Host}", job_id="${__value.text}")
START = f"max(last_over_time(aimeter_job_start_timestamp_seconds{{{JOB}}}[$__range]))"
END = f"max(last_over_time(aimeter_job_end_timestamp_seconds{{{JOB}}}[$__range]))"
DURATION = f"(({END} or vector(time())) - {START})"
ENERGY = f"sum({last('aimeter_job_energy_joules_total', JOB)})"


GRAMS = f"sum({last('aimeter_job_emissions_grams_total', JOB)})"


def figures():
    return [
        stat(
            "Energy",
            "All kinds together, by the last scrape; after the job's end it is the record's "
            "total.",
            "joule",
            ENERGY,
        ),
        stat(
            "CO2e",
            "Of its electricity, at the intensity known when it was used, with the building's "
            "PUE where one is set. The job's record has later, better figures.",
            "massg",
            GRAMS,
        ),
        stat(
            "CO2e of its hardware",
            "Of making what it held, for the time in which it did: beside that of electricity.",
            "massg",
            f"sum({last('aimeter_job_embodied_grams_total', JOB)})",
        ),
        stat("Mean power", "Energy by duration.", "watt", f"{ENERGY} / {DURATION}"),
        stat("Duration", "Until its end, or until now.", "dtdhms", DURATION),
        stat(
            "Grams per kWh",
            "What a kWh of this job emitted, with the building's PUE where one is set.",
            "none",
            f"{GRAMS} / {ENERGY} * 3.6e6",
            decimals=0,
        ),
    ]


def about():
    return table(
        "About the job",
        "Who ran it, where and when. A click on the host leads there.",
        {
            "job_id": ("Job", None),
            "job_name": ("Name", None),
            "user": ("User", None),
            "project": ("Project", None),
            "instance": ("Host", None),
            f"max {WHO} ({last('aimeter_job_start_timestamp_seconds', JOB)} * 1000)": (
                "Started",
                "dateTimeAsIso",
            ),
            f"max {WHO} ({last('aimeter_job_running', JOB)})": ("Running", "bool_yes_no"),
        },
        size=(24, 4),
        links=[("Host", HOST)],
    )


def neighbours():
    power = f"max_over_time(aimeter_job_power_watts{{{JOBS}}}[$__range])"
    return table(
        "Jobs of the chosen users and projects",
        "In the time range, with the figures that were scraped last; a job's figures include "
        "the jobs nested in it.",
        {
            "job_id": ("Job", None),
            "job_name": ("Name", None),
            "user": ("User", None),
            "project": ("Project", None),
            "instance": ("Host", None),
            f"sum {WHO} ({last('aimeter_job_energy_joules_total', JOBS)})": ("Energy", "joule"),
            f"sum {WHO} ({last('aimeter_job_emissions_grams_total', JOBS)})": ("CO2e", "massg"),
            f"max {WHO} ({power})": ("Peak power", "watt"),
        },
        sort="Energy",
        links=[("Job", OTHER), ("Host", HOST)],
    )


def phases():
    """Energy, grams and time of each phase; what is in none is the job's energy less theirs."""
    energy = f"sum by (phase) ({last('aimeter_job_phase_energy_joules_total', JOB)})"
    time = f"sum by (phase) ({last('aimeter_job_phase_seconds_total', JOB)})"
    outside = f"""label_replace({ENERGY} - sum({last('aimeter_job_phase_energy_joules_total', JOB)}),
        "phase", "(in none)", "", "")"""
    part = f"({energy} or {outside})"
    return table(
        "Phases",
        "What the job marked of itself: the phases and what is in none are its energy. CO2e is "
        "that of the job by the phase's part of its energy.",
        {
            "phase": ("Phase", None),
            part: ("Energy", "joule"),
            f"{part} * scalar({GRAMS} / {ENERGY})": ("CO2e", "massg"),
            time: ("Time", "dtdhms"),
            f"{energy} / {time}": ("Mean power", "watt"),
        },
        size=(12, 8),
        sort="Energy",
    )


def units():
    """Units of work with the whole job's energy and grams for each."""
    count = f"sum by (unit) ({last('aimeter_job_units_total', JOB)})"
    return table(
        "Units of work",
        "What the job counted, and what each took of the whole job's energy and CO2e.",
        {
            "unit": ("Unit", None),
            count: ("Count", "none"),
            f"scalar({ENERGY}) / ({count} > 0)": ("Each", "joule"),
            f"scalar({GRAMS}) / ({count} > 0)": ("CO2e of each", "massg"),
        },
        size=(12, 8),
        sort="Count",
    )


def build():
    held = f"max by (instance, domain) (aimeter_gpu_claimed{{{JOB}}})"
    gpus = f'aimeter_domain_power_watts{{{HOSTS}, kind="gpu"}} and on (instance, domain) {held}'
    by_phase = f"sum by (phase) (aimeter_job_phase_energy_joules_total{{{JOB}}})"
    by_unit = f"""sum(aimeter_job_energy_joules_total{{{JOB}}})
        / on () group_right () (sum by (unit) (aimeter_job_units_total{{{JOB}}}) > 0)"""
    by_kind = f"sum by (kind) (aimeter_job_energy_joules_total{{{JOB}}})"
    grams = f"sum by (job_id) (aimeter_job_emissions_grams_total{{{JOB}}})"
    labels = f'{HOSTS}, user=~"$user"'
    return dashboard(
        "job",
        "Job",
        "One job: energy, CO2e, power, phases, units of work; and the other jobs of its users "
        "and projects.",
        [
            *figures(),
            about(),
            row("Power"),
            timeseries(
                "Power",
                "Of the job with all that is nested in it.",
                "watt",
                [query(f"aimeter_job_power_watts{{{JOB}}}", "{{job_name}}")],
            ),
            short_domains(
                timeseries(
                    "The GPUs that it holds",
                    "What each draws, whoever else uses it.",
                    "watt",
                    [query(gpus, "{{instance}} {{domain}}")],
                )
            ),
            row("Energy and CO2e"),
            timeseries(
                "Energy so far",
                "By kind. A finished job stays for ledger.keep_finished.",
                "joule",
                [query(by_kind, "{{kind}}")],
                stack=True,
                colours=KIND_COLOURS,
            ),
            timeseries(
                "CO2e so far",
                "Of its electricity, at the intensity known when it was used.",
                "massg",
                [query(grams, "CO2e")],
                colours={"CO2e": "orange"},
            ),
            row("Phases and work"),
            phases(),
            units(),
            timeseries(
                "Energy by phase so far",
                "Of what the job marked; what is in no phase is not here.",
                "joule",
                [query(by_phase, "{{phase}}")],
                stack=True,
            ),
            timeseries(
                "Energy of each unit so far",
                "Of the whole job, for each unit that it counted.",
                "joule",
                [query(by_unit, "{{unit}}")],
            ),
            row("Compared with others"),
            neighbours(),
        ],
        variables=[
            variable("user", "User", "aimeter_job_start_timestamp_seconds", HOSTS, all_value=".*"),
            # A job may have no project: the empty one is among all.
            variable(
                "project",
                "Project",
                "aimeter_job_start_timestamp_seconds",
                labels,
                all_value=".*",
            ),
            variable(
                "job_id",
                "aimeter job",
                "aimeter_job_start_timestamp_seconds",
                JOBS,
                multi=False,
            ),
        ],
        annotations=job_marks(JOB),
    )
