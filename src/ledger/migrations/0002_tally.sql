-- SPDX-License-Identifier: Apache-2.0
-- The sum of the closed lines of each (job, domain), kept by triggers, so that
-- neither a list of jobs nor a start of the daemon reads every line there is.

CREATE TABLE tally (
    job       INTEGER NOT NULL,
    domain    INTEGER NOT NULL REFERENCES domain (key),
    energy_uj INTEGER NOT NULL CHECK (energy_uj >= 0),
    PRIMARY KEY (job, domain)
) STRICT, WITHOUT ROWID;

INSERT INTO tally SELECT job, domain, sum(energy_uj) FROM booking GROUP BY job, domain;

CREATE TRIGGER tally_insert AFTER INSERT ON booking
BEGIN
    INSERT INTO tally VALUES (new.job, new.domain, new.energy_uj)
    ON CONFLICT (job, domain) DO UPDATE SET energy_uj = energy_uj + excluded.energy_uj;
END;

CREATE TRIGGER tally_update AFTER UPDATE OF energy_uj ON booking
BEGIN
    UPDATE tally SET energy_uj = energy_uj + new.energy_uj - old.energy_uj
    WHERE job = new.job AND domain = new.domain;
END;

-- Energy of each (job, domain), the open line included.
CREATE VIEW total AS
SELECT job, domain, sum(energy_uj) AS energy_uj
FROM (SELECT * FROM tally UNION ALL SELECT job, domain, energy_uj FROM booking_open)
GROUP BY job, domain;

-- For people. A job's own energy; what runs nested in it is in its own row.
CREATE VIEW job_energy AS
SELECT job.key, job.id, job.name, job.user, job.project, job.state,
       strftime('%Y-%m-%dT%H:%M:%SZ', job.started_ns / 1000000000, 'unixepoch') AS started,
       job.duration_ns / 1e9 AS duration_seconds,
       domain.id AS domain, domain.kind, domain.method,
       domain.overlap IS NULL AS counted,
       total.energy_uj / 1e6 AS joules
FROM job JOIN total ON total.job = job.key JOIN domain ON domain.key = total.domain;

-- For people. What no job used.
CREATE VIEW unattributed_energy AS
SELECT domain.id AS domain, domain.kind, domain.method, total.energy_uj / 1e6 AS joules
FROM total JOIN domain ON domain.key = total.domain WHERE total.job = 0;
