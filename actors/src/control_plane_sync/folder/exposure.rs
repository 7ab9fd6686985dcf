//! Which manifests others than the agent's user can change, and which secrets among them others can
//! read. Blocks on the disk.

use std::collections::BTreeSet;
use std::path::Path;

use grammar::printable;

use crate::path_trust::{self, End, PathFault};

/// Files that are named; of a folder full of open ones the first say enough.
const MAX_NAMED: usize = 10;

/// Returns a warning for each of the files `names` of `folder` that is open to others.
/// `with_secrets` are those that hold a Secret. What is wrong with the folder itself is reported at
/// the start, with the setting that names it.
#[must_use]
pub(crate) fn warnings(
    folder: &Path,
    names: impl IntoIterator<Item = String>,
    with_secrets: &BTreeSet<String>,
) -> Vec<String> {
    let of_folder = path_trust::walk(folder, End::Closed).err();
    let mut warnings = Vec::new();
    for name in names {
        let holds_secret = with_secrets.contains(&name);
        let told = match path_trust::walk(&folder.join(&name), End::Closed) {
            Ok(walked) => (holds_secret && walked.is_readable_by_others).then(|| {
                "it holds a Secret and others can read it; chmod 600 it, or chmod 700 its folder"
                    .to_owned()
            }),
            // It was removed, or reading it reports why it cannot be read.
            Err(PathFault::Unknown { .. }) => None,
            Err(fault) => {
                let is_own = of_folder.as_ref().is_none_or(|known| known.place() != fault.place());
                is_own.then(|| advised(&fault, holds_secret))
            }
        };
        warnings.extend(told.map(|told| format!("{}: {told}", printable(&name))));
    }
    let more = warnings.len().saturating_sub(MAX_NAMED);
    if more > 0 {
        warnings.truncate(MAX_NAMED);
        warnings.push(format!("{more} more manifests are open to others"));
    }
    warnings
}

fn advised(fault: &PathFault, holds_secret: bool) -> String {
    let place = fault.place().display();
    let (secret, mode) = match holds_secret {
        true => (", and it holds a Secret", "600"),
        false => ("", "go-w"),
    };
    format!(
        "{fault}: who can do that decides what the agent runs, and as whom{secret}; give {place} to \
         the user who runs the agent, or to root, and chmod {mode} it"
    )
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, chown};

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn warned(folder: &Path, names: &[&str], with_secrets: &[&str]) -> Vec<String> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let names: Vec<String> = owned(names);
        warnings(folder, names, &with_secrets.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn each_manifest_that_others_can_change_or_whose_secret_they_can_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        set_mode(dir.path(), 0o755);
        for (mode, holds_secret, told) in [
            (0o644, false, None),
            (0o600, true, None),
            (0o644, true, Some("it holds a Secret and others can read it; chmod 600")),
            (0o666, false, Some("(mode 666): who can do that decides what the agent runs")),
            (0o602, true, Some(", and it holds a Secret; give")),
        ] {
            fs::write(dir.path().join("a.yaml"), "").unwrap();
            set_mode(&dir.path().join("a.yaml"), mode);
            let secrets: &[&str] = if holds_secret { &["a.yaml"] } else { &[] };
            match (&warned(dir.path(), &["a.yaml", "gone.yaml"], secrets)[..], told) {
                ([], None) => {}
                ([warning], Some(told)) => {
                    assert!(warning.starts_with("a.yaml: ") && warning.contains(told), "{warning}");
                }
                (warnings, _) => panic!("{mode:o} {holds_secret}: {warnings:?}"),
            }
        }
        // A closed folder protects it.
        set_mode(&dir.path().join("a.yaml"), 0o644);
        set_mode(dir.path(), 0o700);
        assert_eq!(warned(dir.path(), &["a.yaml"], &["a.yaml"]), [""; 0]);
        if rustix::process::geteuid().is_root() {
            chown(dir.path().join("a.yaml"), Some(4321), None).unwrap();
            let warnings = warned(dir.path(), &["a.yaml"], &[]);
            assert!(warnings[0].contains("a.yaml belongs to user 4321 (mode 644)"), "{warnings:?}");
        }
    }

    #[test]
    fn a_folder_that_is_open_itself_is_told_of_once_and_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..30).map(|number| format!("{number}.yaml")).collect();
        for name in &names {
            fs::write(dir.path().join(name), "").unwrap();
            set_mode(&dir.path().join(name), 0o666);
        }
        set_mode(dir.path(), 0o777);
        assert_eq!(warnings(dir.path(), names.clone(), &BTreeSet::new()), [""; 0]);
        set_mode(dir.path(), 0o755);
        let told = warnings(dir.path(), names, &BTreeSet::new());
        assert_eq!(told.len(), MAX_NAMED + 1);
        assert_eq!(told[MAX_NAMED], "20 more manifests are open to others");
    }
}
