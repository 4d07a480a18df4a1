-- SPDX-License-Identifier: Apache-2.0
-- Later, better figures of the grid: what was first told of a job, and finding the
-- facts of a time among those of years.

-- What was first said of an ended job's emissions. Emissions themselves are derived.
CREATE TABLE told (
    job                     INTEGER PRIMARY KEY REFERENCES job (key),
    at_ns                   INTEGER NOT NULL,
    micrograms              INTEGER NOT NULL CHECK (micrograms >= 0),
    mean_milligrams_per_kwh INTEGER NOT NULL CHECK (mean_milligrams_per_kwh >= 0)
) STRICT;

-- Few facts are longer than a day: yearly means. All others of a time are found by
-- their start, a day around it.
CREATE INDEX intensity_long ON intensity (zone, from_ns) WHERE to_ns - from_ns > 86400000000000;
