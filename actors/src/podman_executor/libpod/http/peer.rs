//! Who listens on podman's socket: found out before the first byte is sent.
//!
//! The socket of a user is a path in a folder of that user's, who can put anything there: a link to root's
//! socket, or to any other that only root may use. So no link below the folder is followed, and the kernel's
//! word decides whose process listens.

use std::fs::{Metadata, symlink_metadata};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::geteuid;

use super::beneath::{self, Mounts};

/// Root's user id.
const ROOT: u32 = 0;

/// Whose podman a socket has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedPeer {
    /// Root's, or that of the agent's own user.
    RootOrOwn,
    /// That of the agent's own user.
    Own,
    /// That of the user who owns this folder, which is not root: a user's runtime directory.
    OwnerOf(PathBuf),
}

/// The process that listens on a socket, by the kernel's word: as it was when it began to listen. Of a
/// socket that systemd opened it is systemd, with the rights of its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::podman_executor) struct Peer {
    /// Its user.
    pub(in crate::podman_executor) uid: u32,
    /// Its group.
    pub(in crate::podman_executor) gid: u32,
    /// Its number; `None` when the agent has none for it.
    pub(in crate::podman_executor) pid: Option<i32>,
}

impl Peer {
    /// Returns whether the agent is root and the peer is not. What such a peer says may be meant to misuse
    /// root's rights: nothing that it names is touched.
    pub(in crate::podman_executor) fn is_of_another_user(self) -> bool {
        geteuid().is_root() && self.uid != ROOT
    }
}

/// Why a socket is not spoken to.
#[derive(Debug, thiserror::Error)]
pub(super) enum PeerError {
    /// It cannot be connected to.
    #[error(transparent)]
    Absent(#[from] io::Error),
    /// It is, or may be, another user's; says whose, and the way out.
    #[error("{0}")]
    Foreign(String),
}

/// The users who may listen.
pub(super) struct Allowed {
    users: Vec<u32>,
    /// Who they are and what to do, as the end of a sentence.
    advice: String,
}

impl Allowed {
    /// Checks that `uid` is one of them.
    ///
    /// # Errors
    /// It is not.
    pub(super) fn check(&self, uid: u32) -> Result<(), PeerError> {
        if self.users.contains(&uid) {
            return Ok(());
        }
        let (found, advice) = (user(uid), &self.advice);
        let message = format!("the socket is another user's: {found} listens on it, {advice}");
        Err(PeerError::Foreign(message))
    }
}

/// Connects to `socket`, without blocking, and returns who may be at the other end. May take as long as the
/// file system likes.
///
/// # Errors
/// Nothing listens, or what is at that path cannot be what is expected.
pub(super) fn open(
    socket: &Path,
    expected: &ExpectedPeer,
) -> Result<(UnixStream, Allowed), PeerError> {
    let own = geteuid().as_raw();
    let (socket, users, advice) = match expected {
        ExpectedPeer::OwnerOf(folder) => {
            let owner = owner(folder)?;
            let advice = format!(
                "and it has to be {}, who owns {}; that user opens it with: systemctl --user \
                 enable --now podman.socket",
                user(owner),
                folder.display()
            );
            (in_folder(folder, socket)?, vec![owner], advice)
        }
        ExpectedPeer::Own => {
            let advice = format!("and it has to be {}, who runs the agent", user(own));
            (at(socket)?, vec![own], advice)
        }
        ExpectedPeer::RootOrOwn => {
            let advice = "and PODMAN_SOCKET has to be root's, or that of the user who runs the agent; \
                          another user's podman is named by XDG_RUNTIME_DIR, and runs workloads with \
                          rootless: true";
            (at(socket)?, vec![ROOT, own], advice.to_owned())
        }
    };
    Ok((connected(&socket)?, Allowed { users, advice }))
}

/// Returns the owner of `folder`, if no other user can replace it.
///
/// # Errors
/// Its owner is root, or cannot be relied on; says why.
pub fn runtime_dir_owner(folder: &Path) -> Result<u32, String> {
    owner(folder).map_err(|error| match error {
        PeerError::Absent(error) => format!("{}: {error}", folder.display()),
        PeerError::Foreign(reason) => reason,
    })
}

fn owner(folder: &Path) -> Result<u32, PeerError> {
    let shown = folder.display();
    let found = symlink_metadata(folder)?;
    if !found.is_dir() {
        let what = if found.is_symlink() { "a link" } else { "no folder" };
        let message = format!("{shown} is {what}: name the user's runtime directory itself");
        return Err(PeerError::Foreign(message));
    }
    if found.uid() == ROOT {
        let message = format!(
            "{shown} is root's, and rootless pods are a user's: set XDG_RUNTIME_DIR to the runtime \
             directory of the user who runs them, /run/user/1000"
        );
        return Err(PeerError::Foreign(message));
    }
    for parent in folder.ancestors().skip(1) {
        if parent.as_os_str().is_empty() {
            continue;
        }
        if !is_safe_parent(&symlink_metadata(parent)?, found.uid()) {
            let message = format!(
                "others than {} and root can write to {}, and so put another folder in the place \
                 of {shown}",
                user(found.uid()),
                parent.display()
            );
            return Err(PeerError::Foreign(message));
        }
    }
    Ok(found.uid())
}

/// Returns whether only root and `user` can replace what is in this folder.
fn is_safe_parent(found: &Metadata, user: u32) -> bool {
    let (others_write, sticky) = (found.mode() & 0o022 != 0, found.mode() & 0o1000 != 0);
    match found.uid() {
        ROOT => found.is_symlink() || !others_write || sticky,
        owner => owner == user,
    }
}

/// Opens the socket of the owner of `folder`, whatever is put in its way.
fn in_folder(folder: &Path, socket: &Path) -> Result<OwnedFd, PeerError> {
    let inner = socket.strip_prefix(folder).ok().map(|inner| (folder, inner));
    let beside = || Some((socket.parent()?, Path::new(socket.file_name()?)));
    let (folder, inner) =
        inner.or_else(beside).ok_or(io::Error::from(io::ErrorKind::InvalidInput))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(folder, flags, Mode::empty()).map_err(io::Error::from)?;
    match beneath::open(opened, inner, OFlags::PATH, Mounts::Any) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            let message = format!(
                "{} is a link, or lies behind one: name the socket itself, PODMAN_ROOTLESS_SOCKET",
                socket.display()
            );
            Err(PeerError::Foreign(message))
        }
        opened => Ok(opened?),
    }
}

/// Opens a socket that the administrator, or the agent's own user, has named: they may use links.
fn at(socket: &Path) -> Result<OwnedFd, PeerError> {
    let opened = rustix::fs::open(socket, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    Ok(opened.map_err(io::Error::from)?)
}

/// Connects to the socket that was opened, and to no other that has come into its place.
fn connected(socket: &OwnedFd) -> io::Result<UnixStream> {
    if FileType::from_raw_mode(fstat(socket)?.st_mode) != FileType::Socket {
        return Err(io::Error::other("it is no socket"));
    }
    let path = format!("/proc/self/fd/{}", socket.as_raw_fd());
    // One whose queue is full must not hold a thread.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&stream, &SocketAddrUnix::new(path.as_str())?)?;
    Ok(stream.into())
}

fn user(uid: u32) -> String {
    if uid == ROOT { "root (uid 0)".to_owned() } else { format!("uid {uid}") }
}
