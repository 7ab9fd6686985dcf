//! What the executor asks of one podman service, and how that can fail.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::stream::LocalBoxStream;

use crate::error_chain::error_chain;
use crate::podman_executor::libpod::events::PodmanEvent;
use crate::podman_executor::libpod::in_force::{Level, Resource};
use crate::podman_executor::libpod::types::{
    ContainerDetail, ContainerRow, Healthcheck, HostInfo, PlayReport, PodRow, UpdateBody, UsageRow,
};
use crate::workload::RegistryCredentials;

/// Removing a pod; podman 4.3 takes 4 s at times.
pub(in crate::podman_executor) const REMOVE_TIMEOUT: Duration = Duration::from_secs(30);

/// An answer that is awaited on the agent's one thread.
pub type Answer<'a, T> = LocalBoxFuture<'a, Result<T, PodmanError>>;
/// Events as they happen. Ends when podman does.
pub type EventStream = LocalBoxStream<'static, Result<PodmanEvent, PodmanError>>;

/// Why podman did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum PodmanError {
    /// Nothing listens on the socket.
    #[error("failed to connect to podman at {} (is podman.socket enabled?)", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// The reason.
        #[source]
        source: Box<dyn Error>,
    },
    /// Another user's podman listens on the socket, or may.
    #[error("podman at {} is not used: {reason}", socket.display())]
    Foreign {
        /// The socket.
        socket: PathBuf,
        /// Whose it is, and the way out.
        reason: String,
    },
    /// The answer did not come, or not whole, in time.
    #[error("failed to {call} within {} s", after.as_secs_f32())]
    Timeout {
        /// What was asked.
        call: &'static str,
        /// The time allowed.
        after: Duration,
    },
    /// The connection ended in the middle.
    #[error("failed to {call}: podman hung up")]
    Cut {
        /// What was asked.
        call: &'static str,
        /// The reason.
        #[source]
        source: Box<dyn Error>,
    },
    /// The answer is not what libpod answers.
    #[error("failed to {call}: the answer is not libpod's")]
    Garbled {
        /// What was asked.
        call: &'static str,
        /// The reason.
        #[source]
        source: Box<dyn Error>,
    },
    /// podman refused.
    #[error("failed to {call}: {cause}")]
    Refused {
        /// What was asked.
        call: &'static str,
        /// The HTTP status.
        status: u16,
        /// The innermost reason; the same in all versions of podman.
        cause: String,
        /// The whole chain of reasons.
        message: String,
    },
}

impl PodmanError {
    /// Returns whether podman took the call and refused it: trying the same again is no use.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// Returns whether podman refused the call because the container was in no state for it.
    pub(in crate::podman_executor) fn is_improper_state(&self) -> bool {
        matches!(self, Self::Refused { cause, .. } if cause == "container state improper")
    }

    /// Returns the error with all its sources on one line.
    #[must_use]
    pub fn chain(&self) -> String {
        error_chain(self)
    }
}

/// What `play/kube` is given. The manifest holds the values of secrets: `Debug` does not show it.
#[derive(Clone)]
pub struct PlayRequest {
    /// The pod's name.
    pub pod: String,
    /// The pod as JSON.
    pub manifest: Vec<u8>,
    /// The network; `None` where the manifest decides.
    pub network: Option<&'static str>,
    /// Annotations beyond those of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// The size at which a container's log is cut, `10mb`.
    pub log_max_size: String,
    /// Time allowed, init containers included.
    pub timeout: Duration,
}

impl fmt::Debug for PlayRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlayRequest")
            .field("pod", &self.pod)
            .field("network", &self.network)
            .field("log_max_size", &self.log_max_size)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// What `images/pull` is given.
#[derive(Clone, Debug)]
pub struct PullRequest {
    /// The image as the specification names it.
    pub image: String,
    /// Credentials by registry.
    pub registries: BTreeMap<String, RegistryCredentials>,
    /// Whether the registry must speak TLS with a known certificate.
    pub verify_tls: bool,
    /// Time allowed.
    pub timeout: Duration,
}

/// What `containers/{id}/exec` is given.
#[derive(Clone)]
pub struct ExecRequest {
    /// The container's id.
    pub container: String,
    /// The command and its arguments, which may hold secrets: `Debug` does not show them.
    pub command: Vec<String>,
    /// How long it may run.
    pub limit: Duration,
}

impl fmt::Debug for ExecRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecRequest")
            .field("container", &self.container)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// What became of a command in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecResult {
    /// It ended by itself.
    Ended {
        /// Its exit code.
        exit_code: i32,
        /// The beginning of what it wrote, on one line.
        output: String,
    },
    /// It ran for too long. It was killed where the agent may.
    TimedOut,
}

/// What the executor asks of one podman service. Every call ends by a deadline of its own; how long
/// its caller waits is the executor's affair, by podman's pace.
pub trait PodmanApi {
    /// Reads the service's facts.
    fn host(&self) -> Answer<'_, HostInfo>;
    /// Opens the stream of events about containers of ours, from `since` (Unix seconds) on.
    fn events(&self, since: Option<i64>) -> Answer<'_, EventStream>;
    /// Lists containers of ours in any state. Never blocks on a pod.
    fn containers(&self) -> Answer<'_, Vec<ContainerRow>>;
    /// Lists the containers of one pod of ours in any state. A command about one pod asks so: what
    /// it costs podman and the agent does not grow with the other pods.
    fn containers_of<'a>(&'a self, pod: &'a str) -> Answer<'a, Vec<ContainerRow>> {
        Box::pin(async move {
            let mut rows = self.containers().await?;
            rows.retain(|row| row.pod_name == pod);
            Ok(rows)
        })
    }
    /// Reads what each running container uses, others' among them.
    fn usage(&self) -> Answer<'_, Vec<UsageRow>> {
        Box::pin(async { Ok(Vec::new()) })
    }
    /// Lists pods of ours. Blocks while any of them is being stopped.
    fn pods(&self) -> Answer<'_, Vec<PodRow>>;
    /// Finds the pod `name` if it is ours.
    fn pod<'a>(&'a self, name: &'a str) -> Answer<'a, Option<PodRow>>;
    /// Reads one container.
    fn inspect<'a>(&'a self, container: &'a str) -> Answer<'a, ContainerDetail>;
    /// Runs a command in a container.
    fn exec(&self, request: ExecRequest) -> Answer<'_, ExecResult>;
    /// Returns the `HEALTHCHECK` of an image, if it has one.
    fn healthcheck<'a>(&'a self, image: &'a str) -> Answer<'a, Option<Healthcheck>>;
    /// Returns the digest of an image, as far as podman knows it.
    fn image_digest<'a>(&'a self, _image: &'a str) -> Answer<'a, Option<String>> {
        Box::pin(async { Ok(None) })
    }
    /// Reads the last lines of a container's log, of at most `most` bytes, each with its time.
    fn log_end<'a>(&'a self, _container: &'a str, _most: usize) -> Answer<'a, Vec<u8>> {
        Box::pin(async { Ok(Vec::new()) })
    }
    /// Creates and starts a pod. May leave half of it behind, whatever it answers.
    fn play(&self, request: PlayRequest) -> Answer<'_, PlayReport>;
    /// Stops a container. One that does not run or exist is a success, one that is paused is refused.
    fn stop_container<'a>(&'a self, container: &'a str, grace: Duration) -> Answer<'a, ()>;
    /// Halts the processes of a running container until it is unpaused. One that is paused is a success, one
    /// that does not run is refused.
    fn pause<'a>(&'a self, container: &'a str) -> Answer<'a, ()>;
    /// Lets a paused container go on. One that is not paused or does not exist is a success.
    fn unpause<'a>(&'a self, container: &'a str) -> Answer<'a, ()>;
    /// Kills and removes a pod. One that does not exist is a success.
    fn remove_pod<'a>(&'a self, name: &'a str) -> Answer<'a, ()>;
    /// Changes the limits of a running container.
    fn update<'a>(&'a self, container: &'a str, limits: UpdateBody) -> Answer<'a, ()>;
    /// Changes the limits of a running container past podman, in its control group.
    fn limit_group<'a>(&'a self, container: &'a str, limits: UpdateBody) -> Answer<'a, ()>;
    /// Returns what limits a running container on each level of its control group, outermost first;
    /// `process` is one of its processes. `None` when that cannot be seen.
    fn limits_in_force<'a>(
        &'a self,
        container: &'a str,
        process: i64,
        resource: Resource,
    ) -> LocalBoxFuture<'a, Option<Vec<Level>>>;
    /// Has the kernel take memory back from a container, or no longer: three quarters of what it holds now
    /// become its `memory.high`, unless it has one; `process` is one of its processes. A container that
    /// is gone is a success, and so is not to be squeezed where none can be.
    ///
    /// # Errors
    /// The kernel knows no such thing (cgroup v1), or the agent may not.
    fn squeeze<'a>(
        &'a self,
        container: &'a str,
        process: i64,
        squeezed: bool,
    ) -> LocalBoxFuture<'a, io::Result<()>>;
    /// Returns the id of the image, if it is on the device.
    fn image_id<'a>(&'a self, image: &'a str) -> Answer<'a, Option<String>>;
    /// Returns what is wrong with the layers of an image, as far as the agent can see them: podman
    /// itself may find nothing amiss. `None` when all is well, or cannot be seen.
    fn image_fault<'a>(&'a self, image: &'a str) -> Answer<'a, Option<String>>;
    /// Returns the ids of images without a name that were made like `image`, and beside it: of two pods
    /// that make podman's pause image at the same time, one leaves such an image, with the same layer.
    fn unnamed_twins<'a>(&'a self, image: &'a str) -> Answer<'a, Vec<String>>;
    /// Brings an image to the device. Returns its id.
    fn pull(&self, request: PullRequest) -> Answer<'_, String>;
    /// Removes an image, or the one name of an image that has several. One that does not exist is
    /// a success; one that a container uses is refused.
    fn remove_image<'a>(&'a self, image: &'a str) -> Answer<'a, ()>;
    /// Finds out which of `pids` exist where the service runs; `None` when that cannot be seen.
    fn living(&self, pids: Vec<i64>) -> LocalBoxFuture<'_, Option<BTreeSet<i64>>>;
    /// Makes the OOM killer prefer this process over the agent. Under an agent of root
    /// those of another user's podman are left as they are.
    ///
    /// # Errors
    /// The process is gone, or the agent may not.
    fn raise_oom_score(&self, pid: i64) -> LocalBoxFuture<'_, io::Result<()>>;
    /// Returns why the service ended when it was last started, in podman's own words, if something has kept them.
    fn last_words(&self) -> LocalBoxFuture<'_, Option<String>>;
    /// Returns user and group that the service runs as, when it is another user's and the agent is root: who
    /// must be handed what the service is to read, and whose word leads root nowhere.
    fn owner(&self) -> Option<(u32, u32)>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_show_neither_the_manifest_nor_a_password() {
        let play = PlayRequest {
            pod: "web".to_owned(),
            manifest: b"planted-hunter2".to_vec(),
            network: None,
            annotations: [("a".to_owned(), "planted-hunter2".to_owned())].into(),
            log_max_size: "10mb".to_owned(),
            timeout: Duration::from_secs(1),
        };
        let credentials = RegistryCredentials {
            username: "user".to_owned(),
            password: crate::workload::Confidential::new("planted-hunter2".to_owned()),
        };
        let pull = PullRequest {
            image: "i:1".to_owned(),
            registries: [("quay.io".to_owned(), credentials)].into(),
            verify_tls: true,
            timeout: Duration::from_secs(1),
        };
        let shown = format!("{play:?} {pull:?}");
        assert!(!shown.contains("planted-hunter2") && !shown.contains("112, 108, 97"), "{shown}");
    }
}
