-- SPDX-License-Identifier: Apache-2.0
-- The facts: domains, jobs, energy by (job, domain, interval), intensity, marks.
-- A column's suffix is its unit: _uj microjoules, _us microseconds since 1970
-- UTC, _ns nanoseconds (since 1970 UTC for times of the wall clock, since boot
-- for `at_ns` and `started_at_ns`).

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE domain (
    key              INTEGER PRIMARY KEY,
    id               TEXT NOT NULL UNIQUE,
    kind             TEXT NOT NULL,
    source           TEXT NOT NULL,
    method           TEXT NOT NULL,
    resolution_uj    INTEGER NOT NULL,
    range_uj         INTEGER,
    update_period_ns INTEGER NOT NULL,
    max_power_uw     INTEGER NOT NULL,
    overlap          TEXT,              -- NULL: counted in totals; else why not
    gain_percent     REAL,              -- a property as published, no energy
    model_percent    REAL,
    device           TEXT NOT NULL,
    epoch            TEXT NOT NULL,     -- the life of its counter
    boot             TEXT NOT NULL      -- the boot in which this was said
) STRICT;

CREATE TABLE job (
    key                  INTEGER PRIMARY KEY,
    id                   TEXT NOT NULL,      -- users may choose one again: the newest counts
    name                 TEXT NOT NULL,
    user                 TEXT NOT NULL,
    uid                  INTEGER NOT NULL,
    project              TEXT,
    labels               TEXT NOT NULL,      -- JSON object of texts
    command              TEXT NOT NULL,      -- JSON array of texts
    pid                  INTEGER NOT NULL,
    wrapper_pid          INTEGER NOT NULL,
    gpus                 TEXT NOT NULL,      -- JSON: what the user asked for
    asked_zone           TEXT,
    asked_pue_thousandths INTEGER,
    parent               TEXT,               -- id of the job around it
    parent_key           INTEGER,            -- the same, found when this row came
    reserved_cores       INTEGER NOT NULL,
    origin               TEXT NOT NULL,
    state                TEXT NOT NULL CHECK (state IN ('running', 'finished', 'lost')),
    exit                 TEXT CHECK (exit IN ('code', 'signal', 'unknown')),
    exit_value           INTEGER,
    started_ns           INTEGER NOT NULL,
    started_at_ns        INTEGER NOT NULL,
    ended_ns             INTEGER,
    duration_ns          INTEGER,
    boot                 TEXT NOT NULL,
    cgroup               TEXT,
    zone                 TEXT,
    pue_thousandths      INTEGER
) STRICT;

CREATE INDEX job_id ON job (id, key);
CREATE INDEX job_started ON job (started_ns);
CREATE INDEX job_ended ON job (ended_ns);
CREATE INDEX job_parent ON job (parent_key) WHERE parent_key IS NOT NULL;
CREATE INDEX job_running ON job (key) WHERE state = 'running';

-- Closed lines of the books. Job 0 is the account `unattributed`, which is no
-- row of `job`: so that column carries no foreign key.
CREATE TABLE booking (
    job           INTEGER NOT NULL,
    domain        INTEGER NOT NULL REFERENCES domain (key),
    from_us       INTEGER NOT NULL,
    to_us         INTEGER NOT NULL,
    energy_uj     INTEGER NOT NULL CHECK (energy_uj >= 0),
    edge_uj       INTEGER NOT NULL,
    split_uj      INTEGER NOT NULL,
    gap_uj        INTEGER NOT NULL,
    resolution_uj INTEGER NOT NULL,
    gap_ns        INTEGER NOT NULL,
    PRIMARY KEY (job, domain, from_us)
) STRICT, WITHOUT ROWID;

-- The line of each (job, domain) that still grows. Apart from the closed ones,
-- so that a second's writing touches two pages instead of one a line.
CREATE TABLE booking_open (
    job           INTEGER NOT NULL,
    domain        INTEGER NOT NULL REFERENCES domain (key),
    from_us       INTEGER NOT NULL,
    to_us         INTEGER NOT NULL,
    energy_uj     INTEGER NOT NULL CHECK (energy_uj >= 0),
    edge_uj       INTEGER NOT NULL,
    split_uj      INTEGER NOT NULL,
    gap_uj        INTEGER NOT NULL,
    resolution_uj INTEGER NOT NULL,
    gap_ns        INTEGER NOT NULL,
    PRIMARY KEY (job, domain)
) STRICT, WITHOUT ROWID;

-- A line closes when a later one takes its place, or when it is taken out.
CREATE TRIGGER booking_open_next BEFORE UPDATE OF from_us ON booking_open
WHEN new.from_us <> old.from_us
BEGIN
    INSERT INTO booking VALUES (
        old.job, old.domain, old.from_us, old.to_us, old.energy_uj, old.edge_uj,
        old.split_uj, old.gap_uj, old.resolution_uj, old.gap_ns);
END;

CREATE TRIGGER booking_open_end BEFORE DELETE ON booking_open
BEGIN
    INSERT INTO booking VALUES (
        old.job, old.domain, old.from_us, old.to_us, old.energy_uj, old.edge_uj,
        old.split_uj, old.gap_uj, old.resolution_uj, old.gap_ns);
END;

CREATE VIEW line AS SELECT * FROM booking UNION ALL SELECT * FROM booking_open;

CREATE TABLE share (
    job      INTEGER NOT NULL REFERENCES job (key),
    domain   INTEGER NOT NULL REFERENCES domain (key),
    moved_uj INTEGER NOT NULL CHECK (moved_uj >= 0),
    PRIMARY KEY (job, domain)
) STRICT, WITHOUT ROWID;

CREATE TABLE note (
    job  INTEGER NOT NULL REFERENCES job (key),
    seq  INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (job, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE missing (
    job    INTEGER NOT NULL REFERENCES job (key),
    source TEXT NOT NULL,
    what   TEXT NOT NULL,
    state  TEXT NOT NULL,
    why    TEXT NOT NULL,
    remedy TEXT,
    PRIMARY KEY (job, source, what)
) STRICT, WITHOUT ROWID;

CREATE TABLE intensity (
    zone                   TEXT NOT NULL,
    from_ns                INTEGER NOT NULL,
    to_ns                  INTEGER NOT NULL,
    milligrams_per_kwh     INTEGER NOT NULL,
    signal                 TEXT NOT NULL,
    boundary               TEXT NOT NULL,
    source                 TEXT NOT NULL,
    kind                   TEXT NOT NULL,
    fetched_ns             INTEGER NOT NULL,
    provider_updated_ns    INTEGER,
    PRIMARY KEY (zone, from_ns, signal, boundary, source, kind, fetched_ns)
) STRICT, WITHOUT ROWID;

-- Where a restarted daemon reads on.
CREATE TABLE counter (
    domain   INTEGER PRIMARY KEY REFERENCES domain (key),
    boot     TEXT NOT NULL,
    epoch    TEXT NOT NULL,
    at_ns    INTEGER NOT NULL,
    value_uj INTEGER NOT NULL,
    wall_ns  INTEGER NOT NULL
) STRICT;

CREATE TABLE cpu (
    job     INTEGER PRIMARY KEY REFERENCES job (key),
    used_us INTEGER NOT NULL
) STRICT;
