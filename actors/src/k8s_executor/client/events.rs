//! The events of one kind of object.

use std::fmt::Debug;
use std::future::ready;
use std::time::Duration;

use futures_util::stream::{Stream, StreamExt as _, TryStreamExt as _, unfold};
use kube::api::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tracing::debug;

use super::timeouts::CALL_TIMEOUT;
use super::{ClusterError, KubeClient};
use crate::k8s_executor::deployment::device_selector;

/// Time after which the cluster ends a watch, to be resumed where it ended. Five seconds later it is
/// resumed on another connection: this one died without a word.
const WATCH_PERIOD: Duration = Duration::from_secs(60);

impl KubeClient {
    /// Returns all objects of one kind of this device, and then each change.
    pub(super) fn events<K>(
        &self,
        call: &'static str,
    ) -> impl Stream<Item = Result<watcher::Event<K>, ClusterError>> + use<K>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let period = u32::try_from(WATCH_PERIOD.as_secs()).unwrap_or(u32::MAX);
        let config =
            watcher::Config::default().labels(&device_selector(&self.device)).timeout(period);
        let retry_after = self.retry_after.clone();
        let events = watcher(Api::<K>::all(self.client.clone()), config)
            // They are never read, and are the largest part of an object.
            .modify(|object| object.managed_fields_mut().clear())
            .filter_map(move |event| ready(unless_expired(call, event)))
            .map_err(move |error| ClusterError::watch(call, error, retry_after.take()))
            .boxed();
        // A list is silent only when the cluster hangs; a watch is silent when nothing happens.
        unfold((events, false), move |(mut events, listed)| async move {
            let event = if listed {
                events.next().await?
            } else {
                match timeout(CALL_TIMEOUT, events.next()).await {
                    Ok(event) => event?,
                    Err(_) => {
                        return Some((
                            Err(ClusterError::timed_out(call, CALL_TIMEOUT)),
                            (events, listed),
                        ));
                    }
                }
            };
            let listed = listed || matches!(event, Ok(watcher::Event::InitDone));
            Some((event, (events, listed)))
        })
    }
}

/// Returns all but the news that a watch was resumed from too long ago: the watcher then lists again
/// by itself.
fn unless_expired<K>(
    call: &str,
    event: Result<watcher::Event<K>, watcher::Error>,
) -> Option<Result<watcher::Event<K>, watcher::Error>> {
    match event {
        Err(error) if is_expiry(&error) => {
            let error = ClusterError::watch(call, error, None).in_full();
            debug!(error, "watch expired");
            None
        }
        event => Some(event),
    }
}

fn is_expiry(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchError(status) if status.code == 410)
}
