// SPDX-License-Identifier: Apache-2.0
//! Sockets that the service manager opened for us (sd_listen_fds(3)), by their names
//! (`FileDescriptorName=`).
//!
//! What is no listening stream socket is refused before anything is served on it.

use std::io;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

use rustix::net::{AddressFamily, SocketType, sockopt};

/// Why there is nothing to serve on.
#[derive(Debug, thiserror::Error)]
pub enum ActivationError {
    /// The variables of the protocol are wrong.
    #[error("{0}")]
    Protocol(#[source] io::Error),
    /// None was handed over.
    #[error("none was handed over; start aimeter by its .socket unit, or choose another --listen")]
    None,
    /// None of that name.
    #[error(
        "none is called `{name}`; there are {there}: see FileDescriptorName= of the .socket unit"
    )]
    NoneOfName {
        /// The name.
        name: String,
        /// The others.
        there: String,
    },
    /// Not what can be served on.
    #[error("`{0}` is no listening stream socket: write ListenStream= in the .socket unit")]
    NoListener(String),
}

/// A socket to serve on, not blocking.
#[derive(Debug)]
pub enum Handed {
    /// IPv4 or IPv6.
    Tcp(TcpListener),
    /// A path.
    Unix(UnixListener),
}

/// Takes the sockets with their names. To be called once in a process.
///
/// # Errors
/// Where the variables of the protocol make no sense.
pub fn handed_over() -> Result<Vec<(String, OwnedFd)>, ActivationError> {
    let sockets = sd_notify::listen_fds_with_names().map_err(ActivationError::Protocol)?;
    let take = |(socket, name)| {
        // SAFETY: The service manager opened this descriptor for this very process
        // (`LISTEN_PID`), and nothing else here takes it.
        (name, unsafe { OwnedFd::from_raw_fd(socket) })
    };
    Ok(sockets.map(take).collect())
}

/// Takes those of a name, or all that are left.
///
/// # Errors
/// Where there is none, or one that cannot be served on.
pub fn choose(
    handed: &mut Vec<(String, OwnedFd)>,
    name: Option<&str>,
) -> Result<Vec<Handed>, ActivationError> {
    let wanted = |found: &str| name.is_none_or(|name| name == found);
    let names: Vec<String> = handed.iter().map(|(found, _)| format!("`{found}`")).collect();
    let chosen: Vec<_> = handed.extract_if(.., |(found, _)| wanted(found)).collect();
    match (chosen.is_empty(), name) {
        (true, Some(name)) if !names.is_empty() => {
            let (name, there) = (name.to_owned(), names.join(", "));
            Err(ActivationError::NoneOfName { name, there })
        }
        (true, _) => Err(ActivationError::None),
        (false, _) => chosen.into_iter().map(|(name, socket)| listener(name, socket)).collect(),
    }
}

fn listener(name: String, socket: OwnedFd) -> Result<Handed, ActivationError> {
    let listens = matches!(sockopt::socket_type(&socket), Ok(SocketType::STREAM))
        && matches!(sockopt::socket_acceptconn(&socket), Ok(true));
    let family = sockopt::socket_domain(&socket).ok().filter(|_| listens);
    let not_blocking = rustix::io::ioctl_fionbio(&socket, true);
    match (family, not_blocking) {
        (Some(AddressFamily::INET | AddressFamily::INET6), Ok(())) => {
            Ok(Handed::Tcp(socket.into()))
        }
        (Some(AddressFamily::UNIX), Ok(())) => Ok(Handed::Unix(socket.into())),
        _ => Err(ActivationError::NoListener(name)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    fn handed() -> (tempfile::TempDir, Vec<(String, OwnedFd)>) {
        let folder = tempfile::tempdir().unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let unix = UnixListener::bind(folder.path().join("s")).unwrap();
        (folder, vec![("a".into(), tcp.into()), ("b".into(), unix.into())])
    }

    #[test]
    fn sockets_are_chosen_by_name_or_all_that_are_left() {
        let (_folder, mut all) = handed();
        let named = choose(&mut all, Some("b")).unwrap();
        assert!(matches!(named.as_slice(), [Handed::Unix(_)]));
        let rest = choose(&mut all, None).unwrap();
        assert!(matches!(rest.as_slice(), [Handed::Tcp(_)]));
        assert!(matches!(choose(&mut all, None), Err(ActivationError::None)));
    }

    #[test]
    fn what_cannot_be_served_on_is_said() {
        let (_folder, mut all) = handed();
        let error = choose(&mut all, Some("c")).unwrap_err().to_string();
        assert!(error.starts_with("none is called `c`; there are `a`, `b`"), "{error}");
        let mut datagram = vec![("d".into(), UnixDatagram::unbound().unwrap().into())];
        assert!(matches!(choose(&mut datagram, None), Err(ActivationError::NoListener(_))));
        let connected = UnixListener::bind(_folder.path().join("t")).unwrap();
        let stream = std::os::unix::net::UnixStream::connect(_folder.path().join("t")).unwrap();
        let mut stream = vec![("e".into(), stream.into())];
        assert!(matches!(choose(&mut stream, None), Err(ActivationError::NoListener(_))));
        drop(connected);
    }
}
