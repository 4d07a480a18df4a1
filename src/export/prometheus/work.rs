// SPDX-License-Identifier: Apache-2.0
//! What jobs mark of themselves: phases and units of work. Both are bounded in number where
//! they are taken in, and their names are short and plain.

use crate::engine::snapshot::JobView;

use super::{Page, families};

impl Page {
    /// A job's phases and units, where it has marked any.
    pub(super) fn work(&mut self, view: &JobView) {
        let Some(work) = &view.work else { return };
        let id = view.meta.id.as_str();
        for phase in &work.phases {
            self.put(&families::PHASE_ENERGY, &[id, &phase.name], phase.energy.joules());
            self.put(&families::PHASE_SECONDS, &[id, &phase.name], phase.time.as_secs_f64());
        }
        for unit in &work.units {
            self.put(&families::JOB_UNITS, &[id, &unit.name], unit.count.units());
        }
    }
}
