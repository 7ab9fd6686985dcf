//! What a container mounts where, and which mounts lie within others.

use std::path::{Component, Path, PathBuf};

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

/// Returns the path of `mount_path` as podman reads it: its options left out, and `..` taken back.
pub(super) fn target(mount_path: &str) -> PathBuf {
    let path = mount_path.split(':').next().unwrap_or_default();
    let mut plain = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
        }
    }
    plain
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
            ("s", "s"),
        ] {
            assert_eq!(target(written), Path::new(plain), "{written}");
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
