// SPDX-License-Identifier: Apache-2.0
//! A server that answers as feeds do, over real TLS, or as no feed should.
//!
//! Plain threads: one accepts, one a connection answers one request. It ends with
//! the test's process. What it was asked is kept for the test to look at.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::Url;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What the server does with a request.
pub enum Reply {
    /// An answer: status, further header lines, body.
    Whole(u16, Vec<String>, Vec<u8>),
    /// A body without an end.
    Endless,
    /// The first bytes of a body, then silence until the client goes.
    Silence,
    /// Fewer bytes than announced.
    Truncated(Vec<u8>),
    /// Another address.
    Redirect(String),
}

impl Reply {
    /// JSON and 200.
    pub fn json(body: impl Into<Vec<u8>>) -> Reply {
        Reply::Whole(200, vec!["Content-Type: application/json".into()], body.into())
    }

    /// JSON and another status.
    pub fn refusal(status: u16, headers: &[&str], body: impl Into<Vec<u8>>) -> Reply {
        let json = "Content-Type: application/json";
        let headers = headers.iter().chain([&json]).map(|line| (*line).to_owned()).collect();
        Reply::Whole(status, headers, body.into())
    }
}

/// A server's own state.
#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<String>>,
    sent: AtomicU64,
}

/// A running server.
pub struct Replay {
    port: u16,
    scheme: &'static str,
    folder: tempfile::TempDir,
    seen: Arc<Seen>,
}

type Answer = Arc<dyn Fn(&str) -> Reply + Send + Sync>;

impl Replay {
    /// A server over TLS for `localhost`, with a certificate of an authority that
    /// only [`Replay::ca`] knows. `answer` takes the request's head.
    pub fn tls(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Replay {
        let folder = tempfile::tempdir().unwrap();
        let config = Arc::new(certified(folder.path()));
        Replay::start("https", folder, Arc::new(answer), move |stream, seen, answer| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            serve(StreamOwned::new(connection, stream), seen, answer);
        })
    }

    /// The same without TLS.
    pub fn plain(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Replay {
        let folder = tempfile::tempdir().unwrap();
        Replay::start("http", folder, Arc::new(answer), serve)
    }

    fn start(
        scheme: &'static str,
        folder: tempfile::TempDir,
        answer: Answer,
        handle: impl Fn(TcpStream, &Seen, &Answer) + Send + Sync + 'static,
    ) -> Replay {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Seen::default());
        let (handle, kept) = (Arc::new(handle), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (handle, seen, answer) =
                    (Arc::clone(&handle), Arc::clone(&seen), Arc::clone(&answer));
                std::thread::spawn(move || handle(stream, &seen, &answer));
            }
        });
        Replay { port, scheme, folder, seen: kept }
    }

    /// An address of this server.
    pub fn url(&self, path: &str) -> Url {
        format!("{}://localhost:{}{path}", self.scheme, self.port).parse().unwrap()
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The heads of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// Bytes of endless bodies that the system took from us so far.
    pub fn sent(&self) -> u64 {
        self.seen.sent.load(Ordering::Relaxed)
    }
}

fn certified(folder: &Path) -> ServerConfig {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = authority.self_signed(&key).unwrap();
    std::fs::write(folder.join("ca.pem"), certificate.pem()).unwrap();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let own = own.signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![own.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap()
}

/// Answers one request. A client that goes is no failure here.
fn serve(mut stream: impl Read + Write, seen: &Seen, answer: &Answer) {
    let Some(head) = head_of(&mut stream) else { return };
    seen.requests.lock().unwrap().push(head.clone());
    _ = reply(&mut stream, seen, answer(&head));
    _ = stream.flush();
}

fn head_of(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

fn reply(stream: &mut (impl Read + Write), seen: &Seen, reply: Reply) -> std::io::Result<()> {
    const JSON: &str = "Content-Type: application/json\r\nConnection: close\r\n";
    match reply {
        Reply::Whole(status, headers, body) => {
            write!(stream, "HTTP/1.1 {status} X\r\nConnection: close\r\n")?;
            for line in headers {
                write!(stream, "{line}\r\n")?;
            }
            write!(stream, "Content-Length: {}\r\n\r\n", body.len())?;
            stream.write_all(&body)
        }
        Reply::Endless => {
            write!(stream, "HTTP/1.1 200 OK\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n")?;
            let spaces = [b' '; 65_536];
            loop {
                stream.write_all(b"10000\r\n")?;
                stream.write_all(&spaces)?;
                stream.write_all(b"\r\n")?;
                seen.sent.fetch_add(65_536, Ordering::Relaxed);
            }
        }
        Reply::Silence => {
            write!(stream, "HTTP/1.1 200 OK\r\n{JSON}Content-Length: 100\r\n\r\n{{")?;
            stream.flush()?;
            stream.read(&mut [0]).map(drop)
        }
        Reply::Truncated(body) => {
            let more = body.len() + 100;
            write!(stream, "HTTP/1.1 200 OK\r\n{JSON}Content-Length: {more}\r\n\r\n")?;
            stream.write_all(&body)
        }
        Reply::Redirect(to) => {
            write!(
                stream,
                "HTTP/1.1 302 Found\r\n{JSON}Location: {to}\r\nContent-Length: 0\r\n\r\n"
            )
        }
    }
}
