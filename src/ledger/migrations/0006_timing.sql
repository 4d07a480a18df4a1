-- SPDX-License-Identifier: Apache-2.0
-- How the moment of a job's start was chosen, as JSON; NULL: it began when it was told to.

ALTER TABLE job ADD COLUMN timing TEXT;
