// SPDX-License-Identifier: Apache-2.0
//! Server-sent events: one text for all who listen.
//!
//! A text is made once and handed to every listener by a queue of [`QUEUE`] texts. Who
//! does not take them in time is let go, as is everyone after [`LIFE`]: browsers come
//! back by themselves, and no connection is kept at its end by force. Listeners are few,
//! so that scrapers always find a connection.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::units::BootTime;

/// Listeners at a time.
pub const LISTENERS: usize = 8;
/// Texts that may wait for a listener.
const QUEUE: usize = 8;
/// After so long a listener is asked to come back: half of a connection's life.
const LIFE: Duration = Duration::from_secs(60);

/// Everyone who listens.
#[derive(Clone, Debug, Default)]
pub struct Listeners(Arc<Mutex<Vec<Listener>>>);

#[derive(Debug)]
struct Listener {
    queue: Sender<Bytes>,
    since: BootTime,
}

impl Listeners {
    /// One more, with what it should know at once; `None` where there are enough.
    pub fn join(&self, now: BootTime, first: Bytes) -> Option<Events> {
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| !listener.queue.is_closed());
        if listeners.len() >= LISTENERS {
            return None;
        }
        let (queue, events) = channel(QUEUE);
        queue.try_send(first).ok()?;
        listeners.push(Listener { queue, since: now });
        Some(Events(events))
    }

    /// Whether nobody listens.
    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Tells all; those who have gone, are too slow or have been here long enough are
    /// let go.
    pub fn tell(&self, now: BootTime, text: &Bytes) {
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| {
            listener.queue.try_send(text.clone()).is_ok() && now.since(listener.since) < LIFE
        });
    }
}

/// What one listener is told, as the body of an answer.
#[derive(Debug)]
pub struct Events(Receiver<Bytes>);

impl Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|text| text.map(|text| Ok(Frame::data(text))))
    }
}

/// An event in the form of the HTML standard. `data` is one line.
pub fn event(name: &str, data: &str) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: BootTime = BootTime::from_nanoseconds(0);

    fn told(events: &mut Events) -> Option<Bytes> {
        events.0.try_recv().ok()
    }

    #[test]
    fn listeners_are_few_and_a_place_that_is_left_is_free_again() {
        let listeners = Listeners::default();
        let mut held: Vec<Events> =
            (0..LISTENERS).map(|_| listeners.join(NOW, Bytes::new()).unwrap()).collect();
        assert!(listeners.join(NOW, Bytes::new()).is_none());
        held.pop();
        assert!(listeners.join(NOW, Bytes::new()).is_some());
    }

    #[test]
    fn who_is_slow_or_has_stayed_long_is_let_go_and_nobody_else() {
        let listeners = Listeners::default();
        let mut slow = listeners.join(NOW, "hello".into()).unwrap();
        let mut quick = listeners.join(NOW, "hello".into()).unwrap();
        for i in 0..QUEUE {
            let text = event("now", &i.to_string());
            listeners.tell(NOW, &text);
            while told(&mut quick).is_some() {}
        }
        let mut late = listeners.join(NOW.plus(LIFE), "hello".into()).unwrap();
        listeners.tell(NOW.plus(LIFE), &"last".into());
        assert_eq!(told(&mut quick), Some("last".into()));
        assert!(quick.0.is_closed());
        assert_eq!((told(&mut late), told(&mut late)), (Some("hello".into()), Some("last".into())));
        assert!(!late.0.is_closed());
        // The slow one gets what was there for it and then the end.
        let all = std::iter::from_fn(|| told(&mut slow)).count();
        assert_eq!(all, QUEUE);
        assert!(slow.0.is_closed());
        drop((late, slow, quick));
        listeners.tell(NOW, &"nobody".into());
        assert!(listeners.is_empty());
    }

    #[test]
    fn an_event_is_as_the_standard_has_it() {
        assert_eq!(event("now", "{}"), Bytes::from_static(b"event: now\ndata: {}\n\n"));
    }
}
