// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The name of a socket in the file system: not taken from a server that lives, taken over from one
//! that died, gone with the server.

use rustix::fs::{FileType, stat};
use std::io::{self, ErrorKind};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A name that is removed on drop, if it still names the same socket.
#[derive(Debug)]
pub(super) struct SocketPath {
    path: PathBuf,
    /// Device and inode.
    own: (u64, u64),
}

impl SocketPath {
    pub(super) fn as_path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.own) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Listens at `path`.
pub(super) fn bind(path: &Path) -> io::Result<(UnixListener, SocketPath)> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            remove_stale(path)?;
            UnixListener::bind(path)?
        }
        other => other?,
    };
    let own = identity(path)?;
    Ok((listener, SocketPath { path: path.to_owned(), own }))
}

/// Removes a socket that nobody listens on.
fn remove_stale(path: &Path) -> io::Result<()> {
    let kind = FileType::from_raw_mode(stat(path)?.st_mode);
    if kind != FileType::Socket {
        let what = "there is something that is no socket";
        return Err(io::Error::new(ErrorKind::AlreadyExists, what));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        // It was removed meanwhile.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::new(ErrorKind::AddrInUse, "a server that lives listens there")),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let stat = stat(path)?;
    Ok((stat.st_dev, stat.st_ino))
}
