//! What a container mounts where, and which mounts lie within others.

use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::VolumeMount;

/// A mount of a container.
pub(super) struct Placed {
    /// The volume's name.
    pub(super) volume: String,
    /// Which part of it; the whole is the empty path.
    pub(super) inner: PathBuf,
    /// Where in the container, written plainly.
    pub(super) target: PathBuf,
}

impl Placed {
    /// Whether the container sees what this mount has at `relative`: `own` are all of its mounts.
    pub(super) fn shows(&self, relative: &Path, own: &[Self]) -> bool {
        let target = self.target.join(relative);
        let hides = |other: &Self| {
            is_within(&other.target, &self.target) && target.starts_with(&other.target)
        };
        !own.iter().any(hides)
    }

    /// Returns which of `own` this one lies within, the innermost, and where in it.
    pub(super) fn within<'a>(&'a self, own: &'a [Self]) -> Option<(&'a Self, &'a Path)> {
        let outer = own.iter().filter(|outer| is_within(&self.target, &outer.target));
        let outer = outer.max_by_key(|outer| outer.target.components().count())?;
        Some((outer, self.target.strip_prefix(&outer.target).ok()?))
    }
}

fn is_within(inner: &Path, outer: &Path) -> bool {
    inner != outer && inner.starts_with(outer)
}

/// What podman lets an author write behind a colon of the path of a mount; Kubernetes takes no colon there.
const OPTIONS: &[&str] = &[
    "ro",
    "rw",
    "z",
    "Z",
    "U",
    "O",
    "exec",
    "noexec",
    "dev",
    "nodev",
    "suid",
    "nosuid",
    "bind",
    "rbind",
    "private",
    "rprivate",
    "slave",
    "rslave",
    "shared",
    "rshared",
    "unbindable",
    "runbindable",
    "copy",
    "nocopy",
    "cached",
    "delegated",
    "idmap",
    "no-dereference",
];
/// Those that have a value.
const VALUED: &[&str] = &["idmap=", "upperdir=", "workdir="];
/// Of each of these podman takes one.
const EXCLUSIVE: &[&[&str]] = &[&["ro", "rw"], &["z", "Z", "O"]];

/// Returns the path of `mount_path` as podman reads it: its options left out, and `..` taken back. As on
/// Kubernetes, one that is not absolute begins at the root. `None` is a path that no container can have: an
/// empty one, or one with a colon.
pub(super) fn target(mount_path: &str) -> Option<PathBuf> {
    let (path, options) = mount_path.split_once(':').unwrap_or((mount_path, "rw"));
    let is_known = |option: &str| {
        OPTIONS.contains(&option) || VALUED.iter().any(|name| option.starts_with(name))
    };
    let is_once = |group: &&[&str]| options.split(',').filter(|it| group.contains(it)).count() <= 1;
    if path.is_empty() || !options.split(',').all(is_known) || !EXCLUSIVE.iter().all(is_once) {
        return None;
    }
    let mut plain = PathBuf::from("/");
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
        }
    }
    Some(plain)
}

/// Takes what podman's options say of writing into the mount: it is `readOnly` from then on, for the parts of the
/// volume in it, too. Returns whether the two agree.
pub(super) fn take_access(mount: &mut VolumeMount) -> bool {
    let Some((path, options)) = mount.mount_path.split_once(':') else { return true };
    let is_access = |option: &&str| EXCLUSIVE[0].contains(option);
    let access = options.split(',').find(is_access);
    let others: Vec<_> = options.split(',').filter(|option| !is_access(option)).collect();
    let agrees = access != Some("rw") || mount.read_only != Some(true);
    if access == Some("ro") {
        mount.read_only = Some(true);
    }
    mount.mount_path = match &others[..] {
        [] => path.to_owned(),
        others => format!("{path}:{}", others.join(",")),
    };
    agrees
}

/// Adds podman's option by which the containers of one pod may read the folder under SELinux; it is nothing
/// elsewhere.
pub(super) fn labelled(mount_path: &str) -> String {
    match mount_path.split_once(':') {
        None => format!("{mount_path}:z"),
        Some((_, options)) if options.split(',').any(|it| EXCLUSIVE[1].contains(&it)) => {
            mount_path.to_owned()
        }
        Some(_) => format!("{mount_path},z"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(target: &str) -> Placed {
        Placed { volume: "v".to_owned(), inner: PathBuf::new(), target: target.into() }
    }

    #[test]
    fn a_target_is_read_as_podman_reads_it() {
        for (written, plain) in [
            ("/s", "/s"),
            ("/s/", "/s"),
            ("//s/./a//b/", "/s/a/b"),
            ("/s/x/../a", "/s/a"),
            ("/../../s", "/s"),
            ("/s:ro", "/s"),
            ("/s:ro,Z", "/s"),
            ("/s:nocopy", "/s"),
            ("/s:O,upperdir=/u,workdir=/w", "/s"),
            ("s", "/s"),
        ] {
            assert_eq!(target(written).as_deref(), Some(Path::new(plain)), "{written}");
        }
        for written in
            ["", ":z", "/a:b", "/a:", "/a:ro:z", "/srv/data:2024", "/a:ro,x", "/a:ro,rw", "/a:z,O"]
        {
            assert_eq!(target(written), None, "{written}");
        }
    }

    #[test]
    fn what_options_say_of_writing_is_said_by_the_mount() {
        for (written, read_only, path, then, agrees) in [
            ("/s", Some(true), "/s", Some(true), true),
            ("/s:ro", None, "/s", Some(true), true),
            ("/s:noexec,ro,z", Some(true), "/s:noexec,z", Some(true), true),
            ("/s:rw", None, "/s", None, true),
            ("/s:rw,Z", Some(true), "/s:Z", Some(true), false),
            ("/s:Z", Some(false), "/s:Z", Some(false), true),
        ] {
            let (mount_path, name) = (written.to_owned(), "v".to_owned());
            let mut mount = VolumeMount { mount_path, name, read_only, ..VolumeMount::default() };
            assert_eq!(take_access(&mut mount), agrees, "{written}");
            assert_eq!((mount.mount_path.as_str(), mount.read_only), (path, then), "{written}");
        }
    }

    #[test]
    fn the_label_of_selinux_stands_beside_other_options() {
        for (written, given) in [
            ("/s", "/s:z"),
            ("/s:U", "/s:U,z"),
            ("/s:Z", "/s:Z"),
            ("/s:O", "/s:O"),
            ("/s:U,z", "/s:U,z"),
        ] {
            assert_eq!(labelled(written), given);
        }
    }

    #[test]
    fn what_another_mount_covers_is_not_shown() {
        let own = ["/s", "/s/a", "/s/a/b/c", "/t"].map(placed);
        for (mount, relative, shown) in [
            (0, "x", true),
            (0, "ab", true),
            (0, "a", false),
            (0, "a/b", false),
            (1, "b", true),
            (1, "b/c", false),
            (1, "b/c/d", false),
            (2, "d", true),
            (3, "a", true),
        ] {
            assert_eq!(own[mount].shows(Path::new(relative), &own), shown, "{mount} {relative}");
        }
    }

    #[test]
    fn a_mount_lies_within_the_innermost_other() {
        let own = ["/s", "/s/a", "/s/a/b/c", "/t", "/st"].map(placed);
        let found = own.iter().map(|mount| {
            let (outer, relative) = mount.within(&own)?;
            Some((outer.target.to_str()?, relative.to_str()?))
        });
        let found: Vec<_> = found.collect();
        assert_eq!(found, [None, Some(("/s", "a")), Some(("/s/a", "b/c")), None, None]);
    }
}
