//! A folder of programs that are all that a script finds, real ones and played ones.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// Where the real programs are.
const REAL: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// The programs that a script finds, and what the played ones were asked for.
pub(crate) struct Stage {
    folder: TempDir,
}

impl Stage {
    /// Sets one up with these of the machine's own programs.
    pub(crate) fn with(real: &[&str]) -> Self {
        let stage = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(stage.programs()).unwrap();
        for program in real {
            let mut places = REAL.iter().map(|folder| Path::new(folder).join(program));
            let found = places.find(|path| path.exists());
            let found = found.unwrap_or_else(|| panic!("{program} is missing"));
            symlink(found, stage.programs().join(program)).unwrap();
        }
        stage
    }

    /// The folder that is all of PATH.
    pub(crate) fn programs(&self) -> PathBuf {
        self.folder.path().join("programs")
    }

    /// A path for what a test needs besides.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Plays a program by a shell script, which finds the stage's folder in `$STAGE`. Each call is noted.
    pub(crate) fn play(&self, program: &str, script: &str) {
        let path = self.programs().join(program);
        let noted = "echo \"${0##*/} $*\" >>\"$STAGE/calls\"";
        // A link to a program of the machine is replaced; nothing is written through it.
        let _ = fs::remove_file(&path);
        let mut file = fs::File::create_new(&path).unwrap();
        write!(file, "#!/bin/sh\n{noted}\n{script}\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    /// What played programs were called with, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }

    /// A command that finds nothing but these programs; the project's folder is its own.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            // Not the settings of the `make` that runs this test.
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", self.programs())
            .env("STAGE", self.folder.path());
        command
    }
}

/// All that a program said.
pub(crate) fn said(output: &Output) -> String {
    let streams = [&output.stdout, &output.stderr];
    streams.map(|stream| String::from_utf8_lossy(stream).into_owned()).concat()
}

/// The project's file of this path.
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
