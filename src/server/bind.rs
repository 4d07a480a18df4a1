// SPDX-License-Identifier: Apache-2.0
//! Taking the ports and the control socket, all or none.
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

/// Mode of the control socket: owner and group may connect.
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
    #[error("another daemon answers on {}; stop it, or choose another --socket", .0.display())]
    InUse(PathBuf),
    /// What is there is no socket.
    #[error("{} is there and is no socket; remove it, or choose another --socket", .0.display())]
    NoSocket(PathBuf),
    /// The configured group does not exist.
    #[error("there is no group `{0}` for the socket; make it with `groupadd --system {0}`")]
    NoGroup(String),
    /// The socket or its folder.
    #[error("cannot make the socket {}: {source}; choose another --socket", path.display())]
    Socket {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What was taken.
#[derive(Debug)]
pub struct Bound {
    /// HTTP.
    pub listeners: Vec<TcpListener>,
    /// The control socket.
    pub socket: Option<ControlSocket>,
}

impl Bound {
    /// Takes every address and the socket.
    ///
    /// # Errors
    /// The first that cannot be taken; what was taken before is given back.
    pub fn take(
        listen: &[SocketAddr],
        socket: &Path,
        group: Option<&str>,
    ) -> Result<Bound, BindError> {
        let listeners = listen
            .iter()
            .map(|address| {
                let taken = TcpListener::bind(address)
                    .and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
                taken.map_err(|source| BindError::Address { address: *address, source })
            })
            .collect::<Result<_, _>>()?;
        Ok(Bound { listeners, socket: Some(ControlSocket::take(socket, group)?) })
    }

    /// The addresses with the ports that were really taken.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }
}

/// The control socket; its file goes with it.
#[derive(Debug)]
pub struct ControlSocket {
    /// The socket, not blocking.
    pub listener: UnixListener,
    path: PathBuf,
    file: (u64, u64),
}

impl ControlSocket {
    fn take(path: &Path, group: Option<&str>) -> Result<ControlSocket, BindError> {
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
        Ok(ControlSocket { listener, path: path.to_owned(), file })
    }
}

impl Drop for ControlSocket {
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
        let first = ControlSocket::take(&path, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, SOCKET_MODE);
        assert!(matches!(ControlSocket::take(&path, None), Err(BindError::InUse(_))));
        drop(first);
        assert!(!path.exists());

        // As a crash leaves it: the file without anyone behind it.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let second = ControlSocket::take(&path, None).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
        drop(second);
    }

    #[test]
    fn another_daemons_newer_file_is_not_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let ours = ControlSocket::take(&path, None).unwrap();
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
        assert!(matches!(ControlSocket::take(&path, None), Err(BindError::NoSocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let free = folder.path().join("s");
        assert!(matches!(
            ControlSocket::take(&free, Some("no-such-group-of-ours")),
            Err(BindError::NoGroup(_))
        ));
        assert!(!free.exists());
    }
}
