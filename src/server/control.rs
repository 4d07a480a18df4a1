// SPDX-License-Identifier: Apache-2.0
//! The control socket: connections, lines and their limits.
//!
//! A connection says `Hello` first, in time, then asks one thing after another; marks need
//! no `Hello`, and no answer where none is wanted.
//! A line, a wait and the number of connections are bounded, each user's too, so
//! that nobody keeps others (or root) out. What a request means is
//! the business of `requests`.

mod requests;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::Context;
use super::protocol::{MAX_LINE, Request, Response, VERSION};
use super::rights::Peer;
use crate::clock;
use crate::units::BootTime;

/// Time for `Hello`, and for the rest of a line once asked.
const HELLO_TIMEOUT: Duration = Duration::from_secs(2);
/// Time between two requests of a connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time in which the peer must take an answer.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that ask.
const ASKING: Limit = Limit { users: 256, user: 64 };
/// Connections that mark: each process of a job may hold one, and together they must not
/// keep the job's own wrapper out.
const MARKING: Limit = Limit { users: 512, user: 256 };

/// Marks that a connection may send in [`MARKS_TIME`].
const MARKS: u32 = 64;
/// See [`MARKS`].
const MARKS_TIME: Duration = Duration::from_millis(20);

/// How many connections there may be at a time.
#[derive(Clone, Copy, Debug)]
struct Limit {
    /// Of all users but root.
    users: usize,
    /// Of one user.
    user: usize,
}

/// Open connections by user id.
#[derive(Clone, Debug)]
struct Slots {
    open: Arc<Mutex<HashMap<u32, usize>>>,
    limit: Limit,
}

/// One connection's place; given back when dropped.
struct Slot(Slots, u32);

impl Slots {
    fn new(limit: Limit) -> Slots {
        Slots { open: Arc::default(), limit }
    }

    fn take(&self, peer: Peer) -> Option<Slot> {
        let mut users = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let others: usize = users.iter().filter(|(uid, _)| **uid != 0).map(|(_, n)| n).sum();
        let own = users.get(&peer.uid).copied().unwrap_or(0);
        let full = own >= self.limit.user || others >= self.limit.users;
        if full && !peer.is_root() {
            return None;
        }
        users.insert(peer.uid, own + 1);
        Some(Slot(self.clone(), peer.uid))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut users = self.0.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(open) = users.get_mut(&self.1) {
            *open -= 1;
            if *open == 0 {
                users.remove(&self.1);
            }
        }
    }
}

/// Accepts and serves until `stop` turns true, then lets answers under way leave.
pub async fn serve(listener: UnixListener, context: Context, mut stop: watch::Receiver<bool>) {
    let (asking, marking) = (Slots::new(ASKING), Slots::new(MARKING));
    let mut open = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = open.join_next() => continue,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let slots = (asking.clone(), marking.clone());
                open.spawn(connection(stream, context.clone(), slots, stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection on the socket");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
    while open.join_next().await.is_some() {}
}

async fn connection(
    stream: UnixStream,
    context: Context,
    (asking, marking): (Slots, Slots),
    mut stop: watch::Receiver<bool>,
) {
    let Ok(credentials) = stream.peer_cred() else { return };
    let peer = Peer { uid: credentials.uid() };
    let (read, write) = stream.into_split();
    let mut line = Line { read: BufReader::new(read), write, buffer: Vec::new() };
    let Some(slot) = asking.take(peer) else { return line.turn_away().await };
    let Some(mut first) = hello(&mut line).await else { return };
    let _slot = if first.is_none() {
        slot
    } else {
        drop(slot);
        let Some(slot) = marking.take(peer) else { return line.turn_away().await };
        slot
    };
    let mut pace = Pace::default();
    loop {
        let request = match first.take() {
            Some(mark) => Ok(Some(mark)),
            None => tokio::select! {
                request = line.request(IDLE_TIMEOUT) => request,
                _ = stop.wait_for(|stop| *stop) => return,
            },
        };
        let mut quiet = false;
        if let Ok(Some(Request::Mark(mark))) = &request {
            quiet = !mark.answer;
            pace.keep().await;
        }
        let response = match request {
            Ok(Some(request)) => requests::handle(&context, peer, request).await,
            Ok(None) => return,
            Err(error) => {
                _ = line.answer(&refusal("invalid", &error.to_string())).await;
                return;
            }
        };
        if !quiet && line.answer(&response).await.is_err() {
            return;
        }
    }
}

/// The first exchange; `None` where the connection is over, `Some(Some)` where it began
/// with a mark, which is still to be taken.
async fn hello(line: &mut Line) -> Option<Option<Request>> {
    let (response, go_on) = match line.request(HELLO_TIMEOUT).await {
        Ok(Some(Request::Hello { version })) if version == VERSION => {
            let release = env!("CARGO_PKG_VERSION").to_owned();
            (Response::Hello { version: VERSION, release }, true)
        }
        Ok(Some(Request::Hello { version })) => {
            let both = format!("the client speaks version {version}, the daemon {VERSION}");
            (refusal("version", &both), false)
        }
        Ok(Some(mark @ Request::Mark(_))) => return Some(Some(mark)),
        Ok(Some(_)) => (refusal("invalid", "say hello first"), false),
        Ok(None) => return None,
        Err(error) => (refusal("invalid", &error.to_string()), false),
    };
    (line.answer(&response).await.is_ok() && go_on).then_some(None)
}

/// Holds a connection's marks to [`MARKS`] in each [`MARKS_TIME`]: a flood waits in the
/// sender's own buffer.
#[derive(Default)]
struct Pace {
    since: BootTime,
    marks: u32,
}

impl Pace {
    async fn keep(&mut self) {
        self.marks += 1;
        if self.marks < MARKS {
            return;
        }
        let passed = clock::now().since(self.since);
        tokio::time::sleep(MARKS_TIME.saturating_sub(passed)).await;
        (self.since, self.marks) = (clock::now(), 0);
    }
}

/// A refusal with a code of the protocol's closed set.
fn refusal(code: &str, message: &str) -> Response {
    Response::Error { code: code.to_owned(), message: message.to_owned() }
}

/// A connection as lines.
struct Line {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    buffer: Vec<u8>,
}

impl Line {
    /// The next request; `None` at the end, or where nothing came in time.
    async fn request(&mut self, wait: Duration) -> io::Result<Option<Request>> {
        self.buffer.clear();
        // One byte more than allowed tells a line that is too long from one that fits.
        let mut limited = (&mut self.read).take(MAX_LINE as u64 + 1);
        match timeout(wait, limited.read_until(b'\n', &mut self.buffer)).await {
            Err(_) | Ok(Ok(0)) => return Ok(None),
            Ok(Err(error)) => return Err(error),
            Ok(Ok(_)) => {}
        }
        if self.buffer.len() > MAX_LINE {
            return Err(io::Error::other(format!("the line is longer than {MAX_LINE} bytes")));
        }
        let request = serde_json::from_slice(&self.buffer)?;
        // A line may be large (a command line); what it took is given back.
        self.buffer.shrink_to(4_096);
        Ok(Some(request))
    }

    async fn turn_away(&mut self) {
        // Who has gone again needs no answer.
        _ = self.answer(&refusal("busy", "too many connections; try again")).await;
    }

    async fn answer(&mut self, response: &Response) -> io::Result<()> {
        let mut text = serde_json::to_vec(response)?;
        text.push(b'\n');
        match timeout(SEND_TIMEOUT, self.write.write_all(&text)).await {
            Ok(result) => result,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_cannot_take_every_place_and_root_always_finds_one() {
        let slots = Slots::new(ASKING);
        let mut held = Vec::new();
        for uid in 1..=4 {
            for _ in 0..ASKING.user {
                held.push(slots.take(Peer { uid }).unwrap());
            }
            assert!(slots.take(Peer { uid }).is_none());
        }
        assert!(slots.take(Peer { uid: 5 }).is_none());
        held.push(slots.take(Peer { uid: 0 }).unwrap());
        held.clear();
        assert!(slots.open.lock().unwrap().is_empty());
    }
}
