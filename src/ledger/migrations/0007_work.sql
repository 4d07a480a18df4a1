-- SPDX-License-Identifier: Apache-2.0
-- What jobs marked: phases with their energy, and units of work.

-- A phase of a job. Its energy is of counted domains, what ran nested in the job included;
-- what is in no phase is the job's energy less that of its phases.
CREATE TABLE phase (
    job        INTEGER NOT NULL REFERENCES job (key),
    place      INTEGER NOT NULL,      -- in the order of their first beginning, from 0
    name       TEXT NOT NULL,
    times      INTEGER NOT NULL CHECK (times >= 0),
    elapsed_ns INTEGER NOT NULL CHECK (elapsed_ns >= 0),
    energy_uj  INTEGER NOT NULL CHECK (energy_uj >= 0),
    until_ns   INTEGER,               -- of the present phase: up to when elapsed_ns counts, on the boot's clock
    PRIMARY KEY (job, place)
) STRICT, WITHOUT ROWID;

-- Units of work that a job counted in a phase ('': in none).
CREATE TABLE work (
    job               INTEGER NOT NULL REFERENCES job (key),
    unit              TEXT NOT NULL,
    phase             TEXT NOT NULL,
    count_thousandths INTEGER NOT NULL CHECK (count_thousandths >= 0),
    PRIMARY KEY (job, unit, phase)
) STRICT, WITHOUT ROWID;
