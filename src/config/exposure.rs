//! Warns of settings, manifests and certificates that others than the agent's user can change: who
//! writes them decides what runs here, and as whom.

use std::path::Path;

use actors::k8s_executor::ClusterAccess;
use actors::path_trust::{self, End, PathFault};

use super::problems::{Problem, Source, Warning};
use super::reader::Reader;
use super::{Config, Origin, credentials};

/// What comes of it when others can change a file.
const RUNS: &str = "who can do that decides what the agent runs, and as whom";
const ANSWERS: &str = "who can do that can stand in for the control plane";
const INTRODUCES: &str = "who can do that decides as whom the device registers";
const CONNECTS: &str =
    "who can do that decides what programs the agent starts to reach the cluster";

impl Reader<'_> {
    /// Warns of each file and directory of the configuration that others can change, or whose secrets
    /// they can read.
    pub(super) fn warn_of_exposure(&mut self, config: &Config) {
        if let Some(path) = config.file() {
            let source = Source::File { path: path.to_owned(), line: None };
            // It is named as it was written, from wherever the agent was started.
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            self.warn("", Some(source), changeable(&path, RUNS));
        }
        match &config.origin {
            Origin::Manifests(folder) => {
                self.warn_about("MANIFESTS", changeable(folder, RUNS));
            }
            Origin::ControlPlane(control_plane) => {
                self.warn_about("CA_ROOT", changeable(&control_plane.ca_root, ANSWERS));
                self.warn_about("CERT", changeable(&control_plane.cert, INTRODUCES));
                let key = &control_plane.key;
                let exposure = credentials::exposure(key).or_else(|| changeable(key, INTRODUCES));
                self.warn_about("KEY", exposure);
            }
        }
        if let Some(ClusterAccess::Kubeconfig(path)) = &config.cluster {
            self.warn_about("KUBECONFIG", changeable(path, CONNECTS).or_else(|| readable(path)));
        }
    }

    fn warn_about(&mut self, key: &'static str, message: Option<String>) {
        let source = self.source(key);
        self.warn(key, source, message);
    }

    fn warn(&mut self, key: &str, source: Option<Source>, message: Option<String>) {
        self.warnings.extend(message.map(|message| Warning(Problem::new(key, source, message))));
    }
}

/// Returns who can change what is at `path`, and what comes of it.
fn changeable(path: &Path, consequence: &str) -> Option<String> {
    match path_trust::walk(path, End::Closed) {
        // What cannot be read is reported elsewhere.
        Ok(_) | Err(PathFault::Unknown { .. }) => None,
        Err(fault) => Some(format!(
            "{fault}: {consequence}; give {} to the user who runs the agent, or to root, and chmod \
             go-w it",
            fault.place().display()
        )),
    }
}

fn readable(path: &Path) -> Option<String> {
    let walked = path_trust::walk(path, End::Closed).ok()?;
    walked.is_readable_by_others.then(|| {
        format!(
            "{} holds the access to the cluster and others can read it; chmod 600 it",
            path.display()
        )
    })
}
