// SPDX-License-Identifier: Apache-2.0
//! Taking the places that HTTP is served on and the control socket, all or none.
//!
//! A socket file that another daemon answers on is never taken away; one that
//! nobody answers on is left over from a crash and replaced. The file goes when
//! the socket is dropped, if it is still ours.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::activation::{self, Handed};

/// Mode of our sockets: owner and group may connect.
const SOCKET_MODE: u32 = 0o660;

/// Why something could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// An address.
    #[error("cannot listen on {address}: {source}; choose another --listen")]
    Address {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Another daemon has the socket.
    #[error("another daemon answers on {}; stop it, or choose another path", .0.display())]
    InUse(PathBuf),
    /// What is there is no socket.
    #[error("{} is there and is no socket; remove it, or choose another path", .0.display())]
    NoSocket(PathBuf),
    /// The configured group does not exist.
    #[error("there is no group `{0}` for the socket; make it with `groupadd --system {0}`")]
    NoGroup(String),
    /// The socket or its folder.
    #[error("cannot make the socket {}: {source}; choose another path", path.display())]
    Socket {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Sockets of the service manager.
    #[error("cannot take the service manager's sockets: {0}")]
    Activation(#[from] activation::ActivationError),
}

/// Where HTTP may be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address and port.
    Tcp(SocketAddr),
    /// A Unix socket of ours.
    Unix(PathBuf),
    /// The sockets that the service manager hands over: those of this name, else all.
    Systemd(Option<String>),
}

/// A place that HTTP is served on.
#[derive(Debug)]
pub enum Listener {
    /// A TCP socket.
    Tcp(TcpListener),
    /// A Unix socket of ours.
    Unix(UnixSocket),
    /// A Unix socket of the service manager's, whose file is not ours.
    HandedUnix(UnixListener),
}

impl Listener {
    /// Where it listens: `IP:PORT` with the port that was really taken, or `unix:PATH`.
    pub fn place(&self) -> String {
        let path = |listener: &UnixListener| {
            let address = listener.local_addr().ok();
            let path = address.as_ref().and_then(|address| address.as_pathname());
            format!("unix:{}", path.unwrap_or(Path::new("")).display())
        };
        match self {
            Listener::Tcp(listener) => {
                listener.local_addr().map(|address| address.to_string()).unwrap_or_default()
            }
            Listener::Unix(socket) => path(&socket.listener),
            Listener::HandedUnix(listener) => path(listener),
        }
    }
}

/// What was taken.
#[derive(Debug)]
pub struct Bound {
    /// HTTP.
    pub listeners: Vec<Listener>,
    /// The control socket.
    pub socket: Option<UnixSocket>,
    /// The names of sockets that the service manager handed over and nobody asked for.
    pub unserved: Vec<String>,
}

impl Bound {
    /// Takes every place and the control socket. `group` may use our Unix sockets.
    ///
    /// # Errors
    /// The first that cannot be taken; what was taken before is given back.
    pub fn take(listen: &[Listen], socket: &Path, group: Option<&str>) -> Result<Bound, BindError> {
        let activated = listen.iter().any(|place| matches!(place, Listen::Systemd(_)));
        let mut handed = match (activated, listen.is_empty()) {
            (true, _) => activation::handed_over()?,
            // Who asks for none starts whatever is wrong with them.
            (false, false) => activation::handed_over().unwrap_or_default(),
            // Without HTTP they may be a job's.
            (false, true) => Vec::new(),
        };
        let mut listeners = Vec::new();
        for place in listen {
            match place {
                Listen::Tcp(address) => listeners.push(Listener::Tcp(tcp(*address)?)),
                Listen::Unix(path) => {
                    listeners.push(Listener::Unix(UnixSocket::take(path, group)?));
                }
                Listen::Systemd(name) => {
                    for socket in activation::choose(&mut handed, name.as_deref())? {
                        listeners.push(match socket {
                            Handed::Tcp(listener) => Listener::Tcp(listener),
                            Handed::Unix(listener) => Listener::HandedUnix(listener),
                        });
                    }
                }
            }
        }
        let unserved = handed.into_iter().map(|(name, _)| name).collect();
        Ok(Bound { listeners, socket: Some(UnixSocket::take(socket, group)?), unserved })
    }

    /// The addresses with the ports that were really taken.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let address = |listener: &Listener| match listener {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(_) | Listener::HandedUnix(_) => None,
        };
        self.listeners.iter().filter_map(address).collect()
    }
}

fn tcp(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|source| BindError::Address { address, source })
}

/// A Unix socket of ours; its file goes with it.
#[derive(Debug)]
pub struct UnixSocket {
    /// The socket, not blocking.
    pub listener: UnixListener,
    path: PathBuf,
    file: (u64, u64),
}

impl UnixSocket {
    fn take(path: &Path, group: Option<&str>) -> Result<UnixSocket, BindError> {
        let failed = |source| BindError::Socket { path: path.to_owned(), source };
        let group = group.map(group_id).transpose()?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        clear_stale(path)?;
        let listener = UnixListener::bind(path).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        if let Some(group) = group {
            std::os::unix::fs::chown(path, None, Some(group)).map_err(failed)?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE)).map_err(failed)?;
        let metadata = fs::symlink_metadata(path).map_err(failed)?;
        let file = (metadata.dev(), metadata.ino());
        Ok(UnixSocket { listener, path: path.to_owned(), file })
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.file);
        if ours {
            // A file that stays is replaced at the next start.
            _ = fs::remove_file(&self.path);
        }
    }
}

fn group_id(name: &str) -> Result<u32, BindError> {
    match nix::unistd::Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        _ => Err(BindError::NoGroup(name.to_owned())),
    }
}

/// Removes a socket file that nobody answers on.
fn clear_stale(path: &Path) -> Result<(), BindError> {
    let failed = |source| BindError::Socket { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NoSocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(failed(error)),
        // Connected, or a full queue: somebody is there.
        _ => Err(BindError::InUse(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_left_over_socket_is_replaced_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/aimeter.sock");
        let first = UnixSocket::take(&path, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, SOCKET_MODE);
        assert!(matches!(UnixSocket::take(&path, None), Err(BindError::InUse(_))));
        drop(first);
        assert!(!path.exists());

        // As a crash leaves it: the file without anyone behind it.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let second = UnixSocket::take(&path, None).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
        drop(second);
    }

    #[test]
    fn another_daemons_newer_file_is_not_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let ours = UnixSocket::take(&path, None).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(folder.path().join("other"), "").unwrap();
        fs::rename(folder.path().join("other"), &path).unwrap();
        drop(ours);
        assert!(path.exists());
    }

    #[test]
    fn what_is_no_socket_and_what_is_no_group_are_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(UnixSocket::take(&path, None), Err(BindError::NoSocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let free = folder.path().join("s");
        assert!(matches!(
            UnixSocket::take(&free, Some("no-such-group-of-ours")),
            Err(BindError::NoGroup(_))
        ));
        assert!(!free.exists());
    }
}
