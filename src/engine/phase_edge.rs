// SPDX-License-Identifier: Apache-2.0
//! A GPU's counter at a change of phase: found as at a job's start or end, but the same job
//! has both sides, so that its own figure becomes no more uncertain by it.

use crate::clock;
use crate::meter::Point;
use crate::sensors::{ReadError, Reading, Value};
use crate::units::BootTime;

use super::core::Engine;
use super::gpus::KNOWN_STEPS;

impl Engine {
    /// Asks for the counter's value at a change of phase, unless it is being asked already.
    pub(super) fn ask_phase_edge(&mut self, gpu: usize, at: BootTime) {
        let state = &self.gpus[gpu];
        let recent = clock::now().since(at) < KNOWN_STEPS;
        if let (Some(monitor), Some(line), None, true) =
            (&self.monitor, state.line, state.phase_edge, recent)
            && monitor.edge(line, at)
        {
            self.gpus[gpu].phase_edge = Some(at);
        }
    }

    /// Books up to a change of phase, whose value has come; false: it is the edge of a
    /// claim. Both sides are the same job's: its own figure becomes no more uncertain.
    pub(super) fn take_phase_edge(
        &mut self,
        gpu: usize,
        asked: BootTime,
        result: &Result<Point, ReadError>,
    ) -> bool {
        let state = &mut self.gpus[gpu];
        if state.phase_edge != Some(asked) {
            return false;
        }
        state.phase_edge = None;
        let place = state.place;
        if state.changes.iter().any(|change| change.edge_asked && change.at == asked) {
            return false;
        }
        if let Ok(point) = result {
            self.gpu_reading(gpu, Ok(Reading { at: point.at, value: Value::Counter(point.value) }));
            self.tell_soon();
        } else if let Err(error @ (ReadError::Failed(_) | ReadError::Lost(_))) = result {
            self.domains[place].take(Err(*error), self.settings.period);
        }
        true
    }
}
