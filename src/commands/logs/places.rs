//! The runtimes that have the logs: each is asked for its containers, then for the logs of those that are meant.

use std::rc::Rc;
use std::time::Duration;

use actors::k8s_executor::{ClusterContainer, ClusterError, ClusterLogs};
use actors::podman_executor::{
    LibpodClient, LoggedContainer, PodmanApi as _, PodmanError, logged_containers,
};
use actors::{LogLines, LogQuery};
use futures_util::stream::{StreamExt as _, TryStreamExt as _};
use tokio::time::timeout;

use super::choice::{Looked, Named, is_of};
use crate::config::Access;
use crate::runtimes::podmans;

/// How long a runtime may take to say what it has.
const LISTING_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// podman's reason.
    #[error("{}", .0.chain())]
    Podman(#[source] PodmanError),
    /// The cluster's.
    #[error("{}", .0.in_full())]
    Cluster(#[source] ClusterError),
}

/// A container, and who has its log.
pub(super) struct Place {
    pub(super) named: Named,
    source: Source,
}

enum Source {
    Podman(Rc<LibpodClient>, String),
    Cluster(Rc<ClusterLogs>, ClusterContainer),
}

/// What all runtimes have.
#[derive(Default)]
pub(super) struct Found {
    pub(super) places: Vec<Place>,
    pub(super) looked: Looked,
}

impl Found {
    /// Looks for the containers of `workload` on each podman, and if it is on none on the cluster.
    pub(super) async fn of(access: &Access, workload: &str) -> Self {
        let mut found = Self::default();
        for (_, socket, expected) in podmans(access) {
            let place = format!("podman at {}", socket.display());
            let client = Rc::new(LibpodClient::new(socket, expected));
            found.add(place, on_podman(client)).await;
        }
        let is_there = found.places.iter().any(|place| is_of(&place.named, workload));
        if !is_there && access.cluster.is_some() {
            found.add("the cluster".to_owned(), on_cluster(access)).await;
        }
        found
    }

    /// Looks on the cluster only.
    pub(super) async fn on_cluster(access: &Access) -> Self {
        let mut found = Self::default();
        if access.cluster.is_some() {
            found.add("the cluster".to_owned(), on_cluster(access)).await;
        }
        found
    }

    async fn add(
        &mut self,
        place: String,
        looking: impl Future<Output = Result<Vec<Place>, String>>,
    ) {
        match timeout(LISTING_TIMEOUT, looking).await {
            Ok(Ok(places)) => {
                self.places.extend(places);
                self.looked.answered.push(place);
            }
            Ok(Err(error)) => self.looked.silent.push(error),
            Err(_) => {
                let seconds = LISTING_TIMEOUT.as_secs();
                self.looked.silent.push(format!("{place} has not answered within {seconds} s"));
            }
        }
    }
}

async fn on_podman(client: Rc<LibpodClient>) -> Result<Vec<Place>, String> {
    let rows = client.containers().await.map_err(|error| error.chain())?;
    let place = |it: LoggedContainer| Place {
        named: Named { workload: it.workload, pod: it.pod, container: it.name },
        source: Source::Podman(Rc::clone(&client), it.id),
    };
    Ok(logged_containers(&rows).into_iter().map(place).collect())
}

async fn on_cluster(access: &Access) -> Result<Vec<Place>, String> {
    let Some((cluster, device)) = access.cluster.clone() else { return Ok(Vec::new()) };
    let logs = ClusterLogs::open(cluster, device).await.map_err(|error| error.in_full())?;
    let containers = logs.containers().await.map_err(|error| error.in_full())?;
    let logs = Rc::new(logs);
    let place = |it: ClusterContainer| Place {
        named: Named {
            workload: it.workload.clone(),
            pod: it.pod.clone(),
            container: it.name.clone(),
        },
        source: Source::Cluster(Rc::clone(&logs), it),
    };
    Ok(containers.into_iter().map(place).collect())
}

impl Place {
    /// Reads the log; `previous` is that of the container before, which only a cluster has.
    ///
    /// # Errors
    /// The runtime refuses, or does not answer.
    pub(super) async fn log(
        &self,
        query: &LogQuery,
        previous: bool,
    ) -> Result<LogLines<Unreadable>, Unreadable> {
        match &self.source {
            Source::Podman(client, id) => {
                let lines = client.log(id, query).await.map_err(Unreadable::Podman)?;
                Ok(lines.map_err(Unreadable::Podman).boxed_local())
            }
            Source::Cluster(logs, container) => {
                let lines = logs.log(container, query, previous).await;
                let lines = lines.map_err(Unreadable::Cluster)?;
                Ok(lines.map_err(Unreadable::Cluster).boxed_local())
            }
        }
    }
}
