# SPDX-License-Identifier: Apache-2.0
"""The meter itself: whether it ticks, reads, asks, writes, and whether its books balance."""

from source.fleet import HOST
from source.grafana import (
    HOSTS,
    dashboard,
    query,
    row,
    stat,
    states,
    steps,
    table,
    timeseries,
)

COUNTED = f'{HOSTS}, counted="true"'
AGE = f"time() - aimeter_last_tick_timestamp_seconds{{{HOSTS}}}"
IMBALANCE = f"""abs(sum by (job, instance) (aimeter_user_energy_joules_total{{{HOSTS}}})
    + sum by (job, instance) (aimeter_domain_unattributed_joules_total{{{COUNTED}}})
    - sum by (job, instance) (aimeter_domain_energy_joules_total{{{COUNTED}}}))"""
GOOD = {1: ("yes", "green"), 0: ("no", "red")}


def figures():
    bad = steps("green", 1, "red")
    up = f"count(up{{{HOSTS}}} == 0) or vector(0)"
    # A source without any domain is one that the machine does not have.
    sensors = f"""count(aimeter_sensor_up{{{HOSTS}}} == 0
        and aimeter_sensor_domains{{{HOSTS}}} > 0) or vector(0)"""
    domains = f"""count(max by (instance, domain)
        (aimeter_sensor_state{{{HOSTS}, state=~"failed|lost|stalled|dead|not_permitted"}}) == 1)
        or vector(0)"""
    ledgers = f"count(aimeter_ledger_up{{{HOSTS}}} == 0) or vector(0)"
    books = f"max({IMBALANCE})"
    return [
        stat("Hosts not scraped", "Of those that are configured.", "none", up, thresholds=bad),
        stat(
            "Oldest tick",
            "How old the values of the host are that ticked longest ago.",
            "s",
            f"max({AGE})",
            thresholds=steps("green", 30, "orange", 60, "red"),
        ),
        stat("Sources down", "No domain of them is read.", "none", sensors, thresholds=bad),
        stat("Sick domains", "Failed, lost, stalled or dead.", "none", domains, thresholds=bad),
        stat("Ledgers failing", "Books in memory only.", "none", ledgers, thresholds=bad),
        stat(
            "Books out of balance",
            "Jobs and nobody against the counters; only the sum's rounding is allowed.",
            "joule",
            books,
            thresholds=steps("green", 0.01, "red"),
        ),
    ]


def build():
    errors = f"aimeter_sensor_read_errors_total{{{HOSTS}}}"
    missed = f"rate(aimeter_missed_ticks_total{{{HOSTS}}}[$__rate_interval])"
    ticks = f"rate(aimeter_ticks_total{{{HOSTS}}}[$__rate_interval])"
    odd = f"""sum by (instance, domain) (aimeter_sensor_resets_total{{{HOSTS}}})
        + sum by (instance, domain) (aimeter_sensor_refused_total{{{HOSTS}}})"""
    read = f"time() - aimeter_sensor_last_read_timestamp_seconds{{{HOSTS}}}"
    state = f"aimeter_sensor_state{{{HOSTS}}}"
    written = f"time() - aimeter_ledger_last_write_timestamp_seconds{{{HOSTS}}}"
    answered = f"time() - aimeter_grid_feed_last_success_timestamp_seconds{{{HOSTS}}}"
    settlement = f"time() - aimeter_settlement_timestamp_seconds{{{HOSTS}}}"
    return dashboard(
        "health",
        "Health of the meter",
        "Whether aimeter itself does well: ticks, sensors, feeds, ledger, books, scrapes.",
        [
            *figures(),
            row("Ticks and scrapes"),
            timeseries(
                "Ticks",
                "Readings of all counters each second, and those that came too late.",
                "rps",
                [query(ticks, "{{instance}}"), query(missed, "{{instance}} missed")],
            ),
            timeseries(
                "Scrape",
                "How long a scrape takes. A scrape reads no sensor.",
                "s",
                [query(f"scrape_duration_seconds{{{HOSTS}}}", "{{instance}}")],
            ),
            timeseries(
                "Series",
                "Samples of a scrape: how many series the host has.",
                "none",
                [query(f"scrape_samples_scraped{{{HOSTS}}}", "{{instance}}")],
            ),
            timeseries(
                "Left out of the metrics",
                "Jobs, users and projects beyond the bounds of the configuration: they have no "
                "series of their own, their sums are in `other`.",
                "none",
                [query(f"aimeter_metrics_hidden{{{HOSTS}}}", "{{instance}} {{of}}")],
            ),
            row("Sensors"),
            states(
                "Sources",
                "Whether at least one domain of the source was read.",
                [query(f"aimeter_sensor_up{{{HOSTS}}}", "{{instance}} {{source}}")],
                GOOD,
                size=(12, 8),
            ),
            timeseries(
                "Reads without a value",
                "Each second, by reason.",
                "rps",
                [
                    query(
                        f"sum by (instance, reason) (rate({errors}[$__rate_interval]))",
                        "{{instance}} {{reason}}",
                    )
                ],
            ),
            table(
                "Domains",
                "The state of each; resets and refused values since the daemon started.",
                {
                    "instance": ("Host", None),
                    "domain": ("Domain", None),
                    "state": ("State", None),
                    f"max by (instance, domain, state) ({state} == 1)": None,
                    f"({odd})": ("Resets and refused", "none"),
                    f"max by (instance, domain) ({read})": ("Last read", "s"),
                },
                sort="Last read",
                links=[("Host", HOST)],
            ),
            row("Feeds of carbon intensity"),
            states(
                "Feeds",
                "Whether the feed's last answer about now was good.",
                [query(f"aimeter_grid_feed_up{{{HOSTS}}}", "{{instance}} {{feed}}")],
                GOOD,
                size=(8, 8),
            ),
            timeseries(
                "Requests to feeds",
                "Since the daemon started, by result: ok, or why there was no figure.",
                "none",
                [
                    query(
                        f"sum by (feed, result) (aimeter_grid_feed_requests_total{{{HOSTS}}})",
                        "{{feed}} {{result}}",
                    )
                ],
                size=(8, 8),
            ),
            timeseries(
                "Last good answer of a feed",
                "How long ago.",
                "s",
                [query(answered, "{{instance}} {{feed}}")],
                size=(8, 8),
            ),
            row("Ledger and books"),
            states(
                "Ledger",
                "Whether its last write went well.",
                [query(f"aimeter_ledger_up{{{HOSTS}}}", "{{instance}}")],
                GOOD,
                size=(8, 8),
            ),
            timeseries(
                "Bookings that wait",
                "In memory, for a ledger that fails.",
                "none",
                [query(f"aimeter_ledger_pending_bookings{{{HOSTS}}}", "{{instance}}")],
                size=(8, 8),
            ),
            timeseries(
                "Last write and settlement",
                "How long ago the ledger was written, and emissions were settled from it.",
                "s",
                [query(written, "{{instance}}"), query(settlement, "{{instance}} settled")],
                size=(8, 8),
            ),
            timeseries(
                "Balance of the books",
                "|jobs + nobody - counters|: 0 but for the rounding of the sum.",
                "joule",
                [query(IMBALANCE, "{{instance}}")],
                soft_max=0.01,
            ),
            table(
                "Versions",
                "What runs where.",
                {
                    "instance": ("Host", None),
                    "version": ("Version", None),
                    f"max by (instance, version) (aimeter_build_info{{{HOSTS}}})": None,
                },
                size=(12, 8),
                links=[("Host", HOST)],
            ),
        ],
    )
