//! `make deny`, with the database of known vulnerabilities in reach and without.
//!
//! The database is a git repository of this test, which git takes for the real one; the cargo-deny that
//! reads it is the pinned one, which `make deny` has built.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::stage::{project, said};

/// What .deny.toml does not name.
const DATABASE: &str = "https://github.com/RustSec/advisory-db";

/// An advisory on every version of a crate.
fn advisory(id: &str, package: &str) -> String {
    format!(
        "```toml\n[advisory]\nid = \"{id}\"\npackage = \"{package}\"\ndate = \"2026-01-01\"\n\
         categories = [\"denial-of-service\"]\n\n[versions]\npatched = []\n```\n\n\
         # A fault of {package}\n\nIt is made up for a test.\n"
    )
}

fn git(folder: &Path, arguments: &[&str]) {
    let author = ["-c", "user.name=test", "-c", "user.email=test@localhost"];
    let output =
        Command::new("git").current_dir(folder).args(author).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
}

/// A network in which the database is a folder.
struct Network {
    folder: TempDir,
}

impl Network {
    /// One in which these advisories are known.
    fn with(advisories: &[(&str, &str)]) -> Self {
        let network = Self { folder: tempfile::tempdir().unwrap() };
        let database = network.database();
        for (id, package) in advisories {
            let folder = database.join("crates").join(package);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(format!("{id}.md")), advisory(id, package)).unwrap();
        }
        git(&database, &["init", "--quiet", "--initial-branch=main", "."]);
        git(&database, &["add", "."]);
        git(&database, &["commit", "--quiet", "--message=advisories"]);
        network
    }

    /// One in which nothing is found.
    fn cut() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("database")
    }

    /// Runs `make deny` with a folder of cargo's own, so that no database of this machine is read or
    /// written; returns whether it passed, and what it said.
    fn deny(&self) -> (bool, String) {
        let own = self.folder.path().join("cargo");
        fs::create_dir(&own).unwrap();
        for entry in fs::read_dir(cargo_home()).unwrap() {
            let entry = entry.unwrap();
            // What holds sources and settings, but no locks of other cargos.
            if ["registry", "git", "config.toml"].iter().any(|it| entry.file_name() == *it) {
                symlink(entry.path(), own.join(entry.file_name())).unwrap();
            }
        }
        let output = Command::new("make")
            .arg("deny")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_remove("MAKEFLAGS")
            .env_remove("MAKELEVEL")
            .env("CARGO_HOME", own)
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", format!("url.file://{}.insteadOf", self.database().display()))
            .env("GIT_CONFIG_VALUE_0", DATABASE)
            .output()
            .unwrap();
        (output.status.success(), said(&output))
    }
}

fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

#[test]
fn known_vulnerabilities_are_checked_where_their_database_is_in_reach() {
    let (passed, said) = Network::with(&[("RUSTSEC-2026-0258", "h2")]).deny();
    assert!(passed && said.contains("advisories ok"), "{said}");
    assert!(!said.contains("WARNING"), "{said}");

    let (passed, said) = Network::with(&[("RUSTSEC-2999-0001", "actix")]).deny();
    assert!(!passed && said.contains("RUSTSEC-2999-0001"), "{said}");
    assert!(said.contains("advisories FAILED"), "{said}");
}

#[test]
fn without_their_database_it_says_what_was_not_checked_and_checks_the_rest() {
    let (passed, said) = Network::cut().deny();
    assert!(passed, "{said}");
    assert!(said.contains("WARNING: known vulnerabilities were NOT checked"), "{said}");
    assert!(said.contains("licenses ok") && said.contains("bans ok"), "{said}");
}

/// The reason that .deny.toml gives rests on these.
#[test]
fn what_is_ignored_is_held_by_tests_that_are_there() {
    let settings = fs::read_to_string(project(".deny.toml")).unwrap();
    for (test, file) in [
        (
            "http_2_is_never_spoken_whatever_the_server_offers",
            "actors/src/control_plane_sync/server/client/tests.rs",
        ),
        ("frames_of_http_2_are_refused_with_the_preface", "tests/security/listener.rs"),
    ] {
        assert!(settings.contains(&format!("`{test}`")), "{test}");
        assert!(fs::read_to_string(project(file)).unwrap().contains(&format!("fn {test}()")));
    }
}
