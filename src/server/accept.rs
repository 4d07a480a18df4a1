// SPDX-License-Identifier: Apache-2.0
//! Connections of HTTP, with TLS or without, on every kind of socket.
//!
//! They are few, short-lived and bounded in every direction, from the handshake on,
//! so that a slow client holds nothing but its own connection.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::bind::{Listener, UnixSocket};
use super::web::Web;

/// Connections at a time on one socket; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 32;
/// Time for TLS's handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a request's head, and between two requests of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Time in which the peer must take what we send, by the kernel's `TCP_USER_TIMEOUT`.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Life of a connection; a scraper opens another.
const LIFETIME: Duration = Duration::from_secs(120);
/// Time for the answer under way when a connection is asked to end.
const GRACE: Duration = Duration::from_millis(200);
/// Header lines of a request.
const MAX_HEADERS: usize = 64;
/// Bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;

/// A socket that connections come from.
pub enum Door {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket; its file goes with it, where it is ours.
    Unix(UnixListener, Option<UnixSocket>),
}

impl Door {
    /// On this runtime.
    ///
    /// # Errors
    /// Where the system gives no event queue.
    pub fn new(listener: Listener) -> io::Result<Door> {
        Ok(match listener {
            Listener::Tcp(listener) => Door::Tcp(TcpListener::from_std(listener)?),
            Listener::Unix(socket) => {
                let listener = UnixListener::from_std(socket.listener.try_clone()?)?;
                Door::Unix(listener, Some(socket))
            }
            Listener::HandedUnix(listener) => Door::Unix(UnixListener::from_std(listener)?, None),
        })
    }

    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Door::Tcp(listener) => listener.accept().await.map(|(stream, _)| Stream::Tcp(stream)),
            Door::Unix(listener, _) => {
                listener.accept().await.map(|(stream, _)| Stream::Unix(stream))
            }
        }
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What is served, and how.
#[derive(Clone)]
pub struct Service {
    /// The pages.
    pub pages: Router,
    /// TLS, where there is a web file.
    pub web: Option<Arc<Web>>,
}

/// Accepts and serves until `stop` turns true.
pub async fn serve(door: Door, service: Service, mut stop: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let next = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, door.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok(stream) => {
                let (service, stop) = (service.clone(), stop.clone());
                tokio::spawn(async move {
                    match stream {
                        Stream::Tcp(stream) => {
                            set_up(&stream);
                            greet(stream, service, stop).await;
                        }
                        Stream::Unix(stream) => greet(stream, service, stop).await,
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                // Out of descriptors, mostly: it passes, and asking at once would spin.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
    drop(door);
    _ = slots.acquire_many(MAX_CONNECTIONS as u32).await;
}

fn set_up(stream: &TcpStream) {
    let send_timeout = SEND_TIMEOUT.as_millis() as u32;
    // Without it a client that reads nothing holds its slot for LIFETIME.
    _ = rustix::net::sockopt::set_tcp_user_timeout(stream, send_timeout);
    _ = stream.set_nodelay(true);
}

/// The handshake where there is TLS, then the talk.
async fn greet<S>(stream: S, service: Service, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let tls = match &service.web {
        Some(web) => web.current().await.tls.clone(),
        None => None,
    };
    let Some(tls) = tls else { return talk(stream, service.pages, stop).await };
    let handshake = TlsAcceptor::from(tls).accept(stream);
    let greeted = tokio::select! {
        greeted = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake) => greeted,
        _ = stop.wait_for(|stop| *stop) => return,
    };
    match greeted {
        Ok(Ok(stream)) => talk(stream, service.pages, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, "a client's TLS handshake failed"),
        Err(_) => tracing::debug!("a client's TLS handshake took more than {HANDSHAKE_TIMEOUT:?}"),
    }
}

async fn talk<S>(stream: S, pages: Router, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD);
    let service = TowerToHyperService::new(pages);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // How a connection ends is the client's business.
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => {}
        () = tokio::time::sleep(LIFETIME) => {}
    }
    connection.as_mut().graceful_shutdown();
    _ = tokio::time::timeout(GRACE, connection).await;
}
