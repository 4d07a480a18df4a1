// SPDX-License-Identifier: Apache-2.0
//! Sending events without ever waiting for their taker.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

use super::GpuEvent;

/// One thread's way out.
pub(super) struct Outbox {
    events: SyncSender<GpuEvent>,
    wake: Arc<dyn Fn() + Send + Sync>,
    dropped: Arc<AtomicU64>,
    /// What did not fit yet, in order; readings are never here.
    unsent: VecDeque<GpuEvent>,
}

impl Outbox {
    pub(super) fn new(
        events: SyncSender<GpuEvent>,
        wake: Arc<dyn Fn() + Send + Sync>,
        dropped: Arc<AtomicU64>,
    ) -> Self {
        Outbox { events, wake, dropped, unsent: VecDeque::new() }
    }

    /// The same way out for another thread.
    pub(super) fn another(&self) -> Outbox {
        Outbox::new(self.events.clone(), self.wake.clone(), self.dropped.clone())
    }

    /// Sends a reading, or drops and counts it.
    pub(super) fn reading(&mut self, event: GpuEvent) {
        if !self.flush() || self.events.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends what must not be lost, now or at the next [`Outbox::flush`].
    pub(super) fn important(&mut self, event: GpuEvent) {
        self.unsent.push_back(event);
        self.flush();
        (self.wake)();
    }

    /// Sends what is left; whether nothing is.
    pub(super) fn flush(&mut self) -> bool {
        while let Some(event) = self.unsent.pop_front() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.unsent.push_front(event);
                    return false;
                }
                // Nobody will ever take it.
                Err(TrySendError::Disconnected(_)) => self.unsent.clear(),
            }
        }
        true
    }

    /// Whether something is left to send.
    pub(super) fn is_waiting(&self) -> bool {
        !self.unsent.is_empty()
    }
}
