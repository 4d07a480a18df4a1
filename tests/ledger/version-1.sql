-- SPDX-License-Identifier: Apache-2.0
-- A ledger as schema version 1 left it: one running job, one nested in it that was killed.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
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
INSERT INTO domain VALUES(1,'nvml:GPU-1','gpu','nvml','counter',61,262143328850,1000000,700000000,NULL,7.5,NULL,'device','e732b0ec-98bd-4576-9cc6-af36d16b383d 1','e732b0ec-98bd-4576-9cc6-af36d16b383d');
INSERT INTO domain VALUES(2,'nvml:GPU-2','gpu','nvml','counter',61,262143328850,1000000,700000000,NULL,7.5,NULL,'device','e732b0ec-98bd-4576-9cc6-af36d16b383d 1','e732b0ec-98bd-4576-9cc6-af36d16b383d');
INSERT INTO domain VALUES(3,'rapl:package-0','cpu','rapl','counter',61,262143328850,1000000,700000000,NULL,7.5,NULL,'device','e732b0ec-98bd-4576-9cc6-af36d16b383d 1','e732b0ec-98bd-4576-9cc6-af36d16b383d');
INSERT INTO domain VALUES(4,'hwmon:node','node','hwmon','counter',61,262143328850,1000000,700000000,'contains the others',7.5,NULL,'device','e732b0ec-98bd-4576-9cc6-af36d16b383d 1','e732b0ec-98bd-4576-9cc6-af36d16b383d');
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
INSERT INTO job VALUES(1,'outer','name of outer','ada',1000,'vision','{"team":"b\"l\\ue"}','["python3","train.py","--x=é"]',4242,4241,'{"list":["0"]}','GB',1200,NULL,NULL,8,'run','running',NULL,NULL,1790000001000000000,5000000000,NULL,NULL,'e732b0ec-98bd-4576-9cc6-af36d16b383d','aimeter/job','GB',1200);
INSERT INTO job VALUES(2,'inner','name of inner','ada',1000,'vision','{"team":"b\"l\\ue"}','["python3","train.py","--x=é"]',4242,4241,'{"list":["0"]}','GB',1200,'outer',1,8,'run','finished','signal',9,1790000002000000000,5000000000,1790000062000000000,60000000000,'e732b0ec-98bd-4576-9cc6-af36d16b383d','aimeter/job','GB',1200);
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
INSERT INTO booking VALUES(0,1,1790000000000000,1790000300000000,1000,3,4,5,6,7);
INSERT INTO booking VALUES(1,1,1790000000000000,1790000300000000,10,3,4,5,6,7);
INSERT INTO booking VALUES(2,1,1790000300000000,1790000600000000,100,3,4,5,6,7);
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
INSERT INTO booking_open VALUES(0,1,1790000300000000,1790000600000000,1001,3,4,5,6,7);
INSERT INTO booking_open VALUES(1,1,1790000300000000,1790000600000000,1,3,4,5,6,7);
CREATE TABLE share (
    job      INTEGER NOT NULL REFERENCES job (key),
    domain   INTEGER NOT NULL REFERENCES domain (key),
    moved_uj INTEGER NOT NULL CHECK (moved_uj >= 0),
    PRIMARY KEY (job, domain)
) STRICT, WITHOUT ROWID;
INSERT INTO share VALUES(2,1,100);
CREATE TABLE note (
    job  INTEGER NOT NULL REFERENCES job (key),
    seq  INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (job, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO note VALUES(1,1,'a gap of 2 s');
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
CREATE TABLE counter (
    domain   INTEGER PRIMARY KEY REFERENCES domain (key),
    boot     TEXT NOT NULL,
    epoch    TEXT NOT NULL,
    at_ns    INTEGER NOT NULL,
    value_uj INTEGER NOT NULL,
    wall_ns  INTEGER NOT NULL
) STRICT;
INSERT INTO counter VALUES(1,'e732b0ec-98bd-4576-9cc6-af36d16b383d','e732b0ec-98bd-4576-9cc6-af36d16b383d 1',6000000000,9999,1795509897099639670);
CREATE TABLE cpu (
    job     INTEGER PRIMARY KEY REFERENCES job (key),
    used_us INTEGER NOT NULL
) STRICT;
INSERT INTO cpu VALUES(1,5);
CREATE INDEX job_id ON job (id, key);
CREATE INDEX job_started ON job (started_ns);
CREATE INDEX job_ended ON job (ended_ns);
CREATE INDEX job_parent ON job (parent_key) WHERE parent_key IS NOT NULL;
CREATE INDEX job_running ON job (key) WHERE state = 'running';
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
COMMIT;
PRAGMA user_version=1;
PRAGMA journal_mode=WAL;
