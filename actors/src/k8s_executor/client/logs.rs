//! Logs of a device's pods on a cluster, for those who read them beside the agent.

use futures_util::io::AsyncBufReadExt as _;
use futures_util::stream::{StreamExt as _, unfold};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ListParams, LogParams};
use kube::{Client, ResourceExt as _};
use tokio::time::timeout;

use super::super::deployment::device_selector;
use super::super::deployment_status::{id, workload_name};
use super::super::seen::SeenPod;
use super::error::ClusterError;
use super::kubeconfig::{Access, ClusterAccess, Reader};
use super::retry_after::RetryAfter;
use super::timeouts::CALL_TIMEOUT;
use crate::log_query::{LogLines, LogQuery};
use crate::url_path::segment;
use crate::workload::DeviceId;

/// A container of a workload on a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterContainer {
    /// The workload's name.
    pub workload: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The container's.
    pub name: String,
}

/// The logs of one device's pods on a cluster.
pub struct ClusterLogs {
    client: Client,
    retry_after: RetryAfter,
    device: DeviceId,
}

impl ClusterLogs {
    /// Opens the access to the cluster.
    ///
    /// # Errors
    /// The kubeconfig is absent, or none.
    pub async fn open(access: ClusterAccess, device: DeviceId) -> Result<Self, ClusterError> {
        let Access { client, retry_after, .. } = Reader::patient(access).open().await?;
        Ok(Self { client, retry_after, device })
    }

    /// Lists the containers of the device's pods.
    ///
    /// # Errors
    /// The cluster refuses, or does not answer.
    pub async fn containers(&self) -> Result<Vec<ClusterContainer>, ClusterError> {
        let params = ListParams::default().labels(&device_selector(&self.device));
        let api = Api::<SeenPod>::all(self.client.clone());
        let pods = self.within("list Pods", api.list(&params)).await?;
        Ok(pods.items.iter().flat_map(containers).collect())
    }

    /// Reads the log of a container, or with `previous` that of the one before it.
    ///
    /// # Errors
    /// The cluster refuses, or does not answer.
    pub async fn log(
        &self,
        container: &ClusterContainer,
        query: &LogQuery,
        previous: bool,
    ) -> Result<LogLines<ClusterError>, ClusterError> {
        let ClusterContainer { namespace, pod, name, .. } = container;
        let call = format!("read the log of container {name} of Pod {namespace}/{pod}");
        let since = query.since.map(|since| since.timestamp());
        let params = LogParams {
            container: Some(name.clone()),
            follow: query.follow,
            previous,
            since_time: since.and_then(|since| Timestamp::from_second(since).ok()),
            tail_lines: query.tail.map(i64::from),
            timestamps: query.timestamps,
            ..LogParams::default()
        };
        let api = Api::<Pod>::namespaced(self.client.clone(), namespace);
        // The answer about a log that is followed may begin with its first line.
        let opening = api.log_stream(pod, &params);
        let bytes = match query.follow {
            true => opening.await.map_err(|error| ClusterError::call(&call, error, None))?,
            false => self.within(&call, opening).await?,
        };
        let lines = unfold(Some((Box::pin(bytes), call)), async |state| {
            let (mut bytes, call) = state?;
            let mut line = Vec::new();
            match bytes.read_until(b'\n', &mut line).await {
                Ok(0) => None,
                Ok(_) => {
                    line.pop_if(|last| *last == b'\n');
                    Some((Ok(line), Some((bytes, call))))
                }
                Err(error) => Some((Err(ClusterError::unreachable(&call, error)), None)),
            }
        });
        Ok(lines.boxed_local())
    }

    async fn within<T>(
        &self,
        call: &str,
        answer: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, ClusterError> {
        let answer = timeout(CALL_TIMEOUT, answer).await;
        let answer = answer.map_err(|_| ClusterError::timed_out(call, CALL_TIMEOUT))?;
        answer.map_err(|error| ClusterError::call(call, error, self.retry_after.take()))
    }
}

fn containers(pod: &SeenPod) -> Vec<ClusterContainer> {
    let Some(of) = id(&pod.metadata) else { return Vec::new() };
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    // They go into paths as they are: what no object can be called is no answer of a cluster's.
    let is_plain = |name: &str| segment(name).as_deref() == Some(name);
    if !is_plain(&namespace) || !is_plain(&name) {
        return Vec::new();
    }
    let status = pod.status.iter();
    let statuses = status.flat_map(|it| [&it.init_container_statuses, &it.container_statuses]);
    let container = |status: &ContainerStatus| ClusterContainer {
        workload: workload_name(&pod.metadata, &of).to_owned(),
        namespace: namespace.clone(),
        pod: name.clone(),
        name: status.name.clone(),
    };
    statuses.flatten().flatten().map(container).collect()
}
