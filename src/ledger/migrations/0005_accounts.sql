-- SPDX-License-Identifier: Apache-2.0
-- What a job's account needs beside energy: the building's PUE, and what was held.

-- The PUE in force from a moment on, until the next row's.
CREATE TABLE pue (
    from_us     INTEGER PRIMARY KEY,
    thousandths INTEGER,              -- NULL: none was set
    source      TEXT NOT NULL         -- config, schedule, file or http
) STRICT;

-- For people.
CREATE VIEW pue_interval AS
SELECT from_us, lead(from_us) OVER (ORDER BY from_us) AS to_us, thousandths, source FROM pue;

-- How long a job held a GPU, or the machine (domain 0), alone: of what several share
-- each has its part of the time. Its own: what runs nested in it has rows of its own.
CREATE TABLE held (
    job      INTEGER NOT NULL REFERENCES job (key),
    domain   INTEGER NOT NULL,
    held_us  INTEGER NOT NULL CHECK (held_us >= 0),
    until_ns INTEGER NOT NULL,        -- on the boot's clock: where a restarted daemon goes on
    PRIMARY KEY (job, domain)
) STRICT, WITHOUT ROWID;
