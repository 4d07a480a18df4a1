-- SPDX-License-Identifier: Apache-2.0
-- What a record says of a device, and what a restarted daemon needs to go on.

ALTER TABLE domain ADD COLUMN driver TEXT;
ALTER TABLE domain ADD COLUMN power_limit_uw INTEGER;

-- JSON: the cgroup, or the process tree, that ties the job to its CPU time.
ALTER TABLE job RENAME COLUMN cgroup TO claim;

-- What a domain had counted in all when the job's claim on it began.
CREATE TABLE before (
    job      INTEGER NOT NULL REFERENCES job (key),
    domain   INTEGER NOT NULL REFERENCES domain (key),
    total_uj INTEGER NOT NULL CHECK (total_uj >= 0),
    PRIMARY KEY (job, domain)
) STRICT, WITHOUT ROWID;
