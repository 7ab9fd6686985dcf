//! The walk itself, by descriptors.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC, Stat, fstat, fstatfs, openat, readlinkat,
};
use rustix::io::Errno;

use super::fault::PathFault;
use super::keeper::{End, Keeper};

/// Links that are followed, as the kernel has it.
const MAX_LINKS: u32 = 40;

/// What was found at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    /// Whether all of it is there.
    pub is_whole: bool,
    /// Whether others than root and the agent's user may read what is at its end.
    pub is_readable_by_others: bool,
}

/// A walk under way.
struct Walk {
    keeper: Keeper,
    end: End,
    here: OwnedFd,
    /// The name of `here`, for messages.
    place: PathBuf,
    /// Parts still to be walked.
    rest: VecDeque<OsString>,
    links: u32,
    /// Whether others can get as far as this.
    group_passes: bool,
    others_pass: bool,
}

pub(super) fn walk_for(keeper: Keeper, path: &Path, end: End) -> Result<Walked, PathFault> {
    let root = PathBuf::from("/");
    let opened = open_at(CWD, root.as_os_str(), OFlags::empty());
    let here = opened.map_err(|source| unknown(&root, source))?;
    let mut walk = Walk {
        keeper,
        end,
        here,
        place: root,
        rest: VecDeque::new(),
        links: 0,
        group_passes: true,
        others_pass: true,
    };
    walk.expect(path);
    let mut last = walk.arrive()?;
    while let Some(name) = walk.rest.pop_front() {
        match walk.step(&name)? {
            Some(found) => last = found,
            None => return Ok(Walked { is_whole: false, is_readable_by_others: false }),
        }
    }
    Ok(Walked { is_whole: true, is_readable_by_others: walk.is_readable(&last) })
}

impl Walk {
    /// Puts the parts of a path before those that are left.
    fn expect(&mut self, path: &Path) {
        for part in path.components().rev() {
            if part != Component::CurDir {
                self.rest.push_front(part.as_os_str().to_owned());
            }
        }
    }

    /// Goes one part further; none when it is not there.
    fn step(&mut self, name: &OsStr) -> Result<Option<Stat>, PathFault> {
        if name == "/" || name == ".." {
            self.here = self.open(name, OFlags::empty())?;
            // Where the walk has been already, unless a link led it elsewhere.
            match name == "/" {
                true => self.place = PathBuf::from("/"),
                false => _ = self.place.pop(),
            }
            return self.arrive().map(Some);
        }
        let there = match open_at(&self.here, name, OFlags::NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            there => there.map_err(|source| unknown(&self.place.join(name), source))?,
        };
        let found = fstat(&there).map_err(|source| unknown(&self.place.join(name), source))?;
        if FileType::from_raw_mode(found.st_mode) == FileType::Symlink {
            return self.follow(name, &there, &found).map(Some);
        }
        self.here = there;
        self.place.push(name);
        self.arrive().map(Some)
    }

    /// Follows a link of root's or of the agent's own.
    fn follow(&mut self, name: &OsStr, link: &OwnedFd, found: &Stat) -> Result<Stat, PathFault> {
        let place = self.place.join(name);
        if !self.keeper.is_trusted(found.st_uid) {
            let mode = found.st_mode & 0o7777;
            return Err(PathFault::Owner { place, owner: found.st_uid, mode });
        }
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(unknown(&place, Errno::LOOP));
        }
        let filesystem = fstatfs(&self.here).map_err(|source| unknown(&place, source))?;
        if filesystem.f_type == PROC_SUPER_MAGIC {
            // Such a link may lead where its text does not: into another namespace.
            self.here = self.open(name, OFlags::empty())?;
            self.place = place;
            return self.arrive();
        }
        let target = readlinkat(link, "", Vec::new()).map_err(|source| unknown(&place, source))?;
        self.expect(Path::new(&OsString::from_vec(target.into_bytes())));
        // A link to `.` leads nowhere else.
        if self.rest.is_empty() { self.arrive() } else { Ok(*found) }
    }

    fn open(&self, name: &OsStr, flags: OFlags) -> Result<OwnedFd, PathFault> {
        open_at(&self.here, name, flags).map_err(|source| unknown(&self.place.join(name), source))
    }

    /// Looks at where the walk has come to.
    fn arrive(&mut self) -> Result<Stat, PathFault> {
        let end = if self.rest.is_empty() { self.end } else { End::Shared };
        let found = self.keeper.judge(self.here.as_fd(), &self.place, end)?;
        if !self.rest.is_empty() {
            let mode = found.st_mode;
            self.others_pass &= mode & 0o001 != 0;
            self.group_passes &= mode & 0o001 != 0
                || (mode & 0o010 != 0 && !self.keeper.is_alone_in(found.st_gid, self.here.as_fd()));
        }
        Ok(found)
    }

    /// Returns whether others may read what the walk has come to.
    fn is_readable(&self, last: &Stat) -> bool {
        let (others, group) = (last.st_mode & 0o004 != 0, last.st_mode & 0o040 != 0);
        (others && self.others_pass)
            || (group
                && self.group_passes
                && !self.keeper.is_alone_in(last.st_gid, self.here.as_fd()))
    }
}

/// Opens nothing but the name: no device does anything, no pipe waits.
fn open_at(folder: impl AsFd, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    openat(folder, name, flags | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

fn unknown(place: &Path, source: Errno) -> PathFault {
    PathFault::Unknown { place: place.to_owned(), source: source.into() }
}
