-- SPDX-License-Identifier: Apache-2.0
-- When a job was last in each of its phases, so that a daemon that comes back gives energy
-- that had not been booked to the phase of its time.

-- On the boot's clock; NULL: not known.
ALTER TABLE phase ADD COLUMN began_ns INTEGER;
-- NULL: not known, or the job is in it.
ALTER TABLE phase ADD COLUMN ended_ns INTEGER;
