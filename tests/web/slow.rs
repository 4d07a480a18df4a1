// SPDX-License-Identifier: Apache-2.0
//! Clients that are slow with TLS's handshake hold nothing but their connections.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::daemon::{Daemon, Folder, WAIT};

const WEB: &str = "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n";

/// The first bytes of a handshake record that never comes whole.
const BEGINNING: &[u8] = &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01];

#[test]
fn a_slow_handshake_stands_in_nobodys_way_and_is_cut() {
    let folder = Folder::new();
    let daemon = folder.daemon(WEB, &[]);
    let address = format!("127.0.0.1:{}", daemon.port);
    let slow = |count| -> Vec<TcpStream> {
        (0..count)
            .map(|place| {
                let mut stream = TcpStream::connect(&address).unwrap();
                stream.set_read_timeout(Some(WAIT)).unwrap();
                // Some say nothing at all.
                stream.write_all(&BEGINNING[..place % BEGINNING.len()]).unwrap();
                stream
            })
            .collect()
    };
    // All but one connection are taken: the last one serves.
    let mut first = slow(31);
    assert_eq!(folder.status(&daemon.https("/healthz"), &[]), "200");
    // More than there are: the answer comes when the slow ones are cut.
    let more = slow(20);
    assert_eq!(folder.status(&daemon.https("/healthz"), &[]), "200");
    for stream in &mut first {
        let mut rest = Vec::new();
        // Closed, in whatever way.
        _ = stream.read_to_end(&mut rest);
    }
    drop(more);
}

/// A connection over TLS, its handshake done.
fn connect(folder: &Folder, daemon: &Daemon) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(folder.authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = ClientConnection::new(config.into(), "localhost".try_into().unwrap()).unwrap();
    let socket = TcpStream::connect(format!("127.0.0.1:{}", daemon.port)).unwrap();
    socket.set_read_timeout(Some(WAIT)).unwrap();
    let mut stream = StreamOwned::new(client, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    stream
}

#[test]
fn the_limits_of_a_request_hold_inside_tls() {
    let folder = Folder::new();
    let daemon = folder.daemon(WEB, &[]);
    let long = format!("X: {}", "x".repeat(64 * 1024));
    // 431, unless the connection is gone before the client has sent all of it.
    let status = folder.status(&daemon.https("/"), &["-H", &long]);
    assert!(["431", "000"].contains(&status.as_str()), "{status}");
    let mut slow = connect(&folder, &daemon);
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHo").unwrap();
    slow.flush().unwrap();
    // Nothing here waits on purpose: it ends when the server cuts it.
    let mut answer = Vec::new();
    _ = slow.read_to_end(&mut answer);
    assert!(!answer.windows(8).any(|bytes| bytes == b"aimeter_"));
}
