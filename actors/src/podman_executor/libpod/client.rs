//! The libpod calls, as [`PodmanApi`] names them.

mod control_group;
mod exec;
mod image_layers;
mod kernel_limits;
mod log_frames;
mod logs;
mod oom_score;
mod procfs;
mod squeeze;
mod survey;
mod wording;

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{StreamExt as _, iter, unfold};
use http::Method;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::sleep;

use crate::pod_manifest::{AGENT, ID, MANAGED_BY};
use crate::podman_executor::libpod::api::{
    Answer, EventStream, ExecRequest, ExecResult, PlayRequest, PodmanApi, PodmanError, PullRequest,
};
use crate::podman_executor::libpod::bounds::{MAX_ROWS, MAX_ROWS_OF_ONE};
use crate::podman_executor::libpod::events::{Lines, pause_after};
use crate::podman_executor::libpod::http::{Call, LIST_TIMEOUT, LibpodClient, Size, decoded};
use crate::podman_executor::libpod::image_rows::{ImageRow, unnamed_twins};
use crate::podman_executor::libpod::in_force::{Level, Resource};
use crate::podman_executor::libpod::types::{
    ContainerDetail, ContainerRow, Healthcheck, HostInfo, ImageConfig, ImageDetail, ImageDigest,
    ImageLayers, Info, PlayReport, PodRow, StatsReport, UpdateBody, UsageRow,
};
pub use procfs::boot_id;
pub use survey::Survey;
pub(in crate::podman_executor) use wording::pulled;
use wording::{auth_header, read_lines};

/// How long the answer to a call that reads or changes one thing is awaited, even if it was given up, see
/// [`super::pace`].
const SINGLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// Time for what the kernel knows of processes.
const PROCESSES_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for the disk to show the layers of an image.
const LAYERS_TIMEOUT: Duration = Duration::from_secs(5);
/// As much beyond the grace period of a container that is stopped.
const STOP_SLACK: Duration = Duration::from_secs(15 * 60);

/// The filter for what is ours.
fn ours() -> String {
    format!("{MANAGED_BY}={AGENT}")
}

/// The pattern for what is called so, or begins so: podman reads names as regular expressions.
fn beginning(name: &str) -> String {
    format!("^{}", name.replace('.', "\\."))
}

/// Takes a refusal for a success that says that the container is `so` already: podman has no status for it.
fn unless_said<T>(answer: Result<T, PodmanError>, so: &str) -> Result<(), PodmanError> {
    match answer {
        Err(PodmanError::Refused { message, .. }) if message.contains(so) => Ok(()),
        answer => answer.map(drop),
    }
}

impl LibpodClient {
    /// Returns what podman says of an image, as far as `T` reads it.
    async fn look_at_image<T: DeserializeOwned + Send + 'static>(
        &self,
        image: &str,
    ) -> Result<T, PodmanError> {
        let call = Call::of("look at the image", Method::GET, ["images", image, "json"]);
        self.read(call.size(Size::One), SINGLE_TIMEOUT).await
    }
}

impl PodmanApi for LibpodClient {
    fn host(&self) -> Answer<'_, HostInfo> {
        Box::pin(async move {
            let call = Call::new("read podman's facts", Method::GET, "info").size(Size::One);
            let info: Info = self.read(call, SINGLE_TIMEOUT).await?;
            Ok(info.facts())
        })
    }

    fn events(&self, since: Option<i64>) -> Answer<'_, EventStream> {
        Box::pin(async move {
            let filters = json!({"type": ["container"], "label": [ours()]}).to_string();
            let since = since.map(|since| since.to_string());
            let mut query = vec![("stream", "true"), ("filters", filters.as_str())];
            query.extend(since.as_deref().map(|since| ("since", since)));
            let call = Call::new("open the event stream", Method::GET, "events").query(&query);
            let reply = self.open(call, LIST_TIMEOUT).await?;
            let pieces = unfold((reply, None), async |(mut reply, pause)| {
                if let Some(pause) = pause {
                    sleep(pause).await;
                }
                let piece = reply.piece().await?;
                let pause = pause_after(piece.as_ref().map_or(0, |piece| piece.len()));
                Some((piece, (reply, Some(pause))))
            });
            let mut lines = Lines::default();
            let events = pieces.flat_map(move |piece| iter(read_lines(&mut lines, piece)));
            Ok(events.boxed_local())
        })
    }

    fn containers(&self) -> Answer<'_, Vec<ContainerRow>> {
        let filters = json!({"label": [ours()]});
        Box::pin(async move {
            let call = Call::new("list containers", Method::GET, "containers/json");
            self.list::<_, MAX_ROWS>(call.size(Size::All), &filters).await
        })
    }

    fn usage(&self) -> Answer<'_, Vec<UsageRow>> {
        Box::pin(async move {
            let what = "read what containers use";
            let call = Call::new(what, Method::GET, "containers/stats");
            let call = call.query(&[("stream", "false")]).size(Size::All);
            let (_, body) = self.expect(call, LIST_TIMEOUT, &[200]).await?;
            let stats = decoded::<StatsReport>(what, &body)?.stats;
            Ok(stats.map(|rows| rows.0).unwrap_or_default())
        })
    }

    fn containers_of<'a>(&'a self, pod: &'a str) -> Answer<'a, Vec<ContainerRow>> {
        // By name first: podman reads less of the containers that are not meant.
        let name = format!("{}-", beginning(pod));
        let filters = json!({"name": [name], "label": [ours(), format!("{ID}={pod}")]});
        Box::pin(async move {
            let call = Call::new("list the pod's containers", Method::GET, "containers/json");
            self.list::<_, MAX_ROWS_OF_ONE>(call.size(Size::One), &filters).await
        })
    }

    fn pods(&self) -> Answer<'_, Vec<PodRow>> {
        let filters = json!({"label": [ours()]});
        Box::pin(async move {
            let call = Call::new("list pods", Method::GET, "pods/json").size(Size::All);
            self.list::<_, MAX_ROWS>(call, &filters).await
        })
    }

    fn pod<'a>(&'a self, name: &'a str) -> Answer<'a, Option<PodRow>> {
        let pattern = format!("{}$", beginning(name));
        let filters = json!({"label": [ours()], "name": [pattern]});
        Box::pin(async move {
            let call = Call::new("find the pod", Method::GET, "pods/json").size(Size::One);
            let rows = self.list::<PodRow, MAX_ROWS_OF_ONE>(call, &filters).await?;
            Ok(rows.into_iter().find(|row| row.name == name))
        })
    }

    fn inspect<'a>(&'a self, container: &'a str) -> Answer<'a, ContainerDetail> {
        Box::pin(async move {
            let path = ["containers", container, "json"];
            let call = Call::of("inspect the container", Method::GET, path);
            self.read(call.size(Size::One), SINGLE_TIMEOUT).await
        })
    }

    fn exec(&self, request: ExecRequest) -> Answer<'_, ExecResult> {
        Box::pin(async move {
            let ExecRequest { container, command, limit } = request;
            self.run_in(&container, &command, limit, SINGLE_TIMEOUT).await
        })
    }

    fn healthcheck<'a>(&'a self, image: &'a str) -> Answer<'a, Option<Healthcheck>> {
        Box::pin(async move {
            let image: ImageConfig = self.look_at_image(image).await?;
            Ok(image.healthcheck)
        })
    }

    fn image_digest<'a>(&'a self, image: &'a str) -> Answer<'a, Option<String>> {
        Box::pin(async move {
            let image: ImageDigest = self.look_at_image(image).await?;
            Ok(Some(image.digest).filter(|digest| !digest.is_empty()))
        })
    }

    fn log_end<'a>(&'a self, container: &'a str, most: usize) -> Answer<'a, Vec<u8>> {
        Box::pin(self.read_log_end(container, most))
    }

    fn play(&self, request: PlayRequest) -> Answer<'_, PlayReport> {
        Box::pin(async move {
            let what = "create the pod";
            let annotations = json!(request.annotations).to_string();
            let log_options = format!("max-size={}", request.log_max_size);
            let mut query = vec![
                ("start", "true"),
                // Others do not know the size: journald is podman's own choice under systemd.
                ("logDriver", "k8s-file"),
                ("logOptions", log_options.as_str()),
            ];
            query.extend(request.network.map(|network| ("network", network)));
            if !request.annotations.is_empty() {
                query.push(("annotations", &annotations));
            }
            let call = Call::new(what, Method::POST, "play/kube").query(&query);
            let answer = self.expect(call.body(request.manifest), request.timeout, &[200]);
            decoded(what, &answer.await?.1)
        })
    }

    fn stop_container<'a>(&'a self, container: &'a str, grace: Duration) -> Answer<'a, ()> {
        Box::pin(async move {
            // Zero is SIGKILL at once; less than a second must not become that.
            let seconds = if grace.is_zero() { 0 } else { grace.as_secs().max(1) }.to_string();
            let query = [("t", seconds.as_str()), ("timeout", seconds.as_str())];
            let path = ["containers", container, "stop"];
            let call = Call::of("stop the container", Method::POST, path).query(&query);
            let after = grace.saturating_add(STOP_SLACK);
            self.expect(call, after, &[204, 304, 404]).await.map(drop)
        })
    }

    fn pause<'a>(&'a self, container: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let path = ["containers", container, "pause"];
            let call = Call::of("pause the container", Method::POST, path);
            unless_said(self.expect(call, SINGLE_TIMEOUT, &[204]).await, "already paused")
        })
    }

    fn unpause<'a>(&'a self, container: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let path = ["containers", container, "unpause"];
            let call = Call::of("unpause the container", Method::POST, path);
            unless_said(self.expect(call, SINGLE_TIMEOUT, &[204, 404]).await, "not paused")
        })
    }

    fn remove_pod<'a>(&'a self, name: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let query = [("force", "true"), ("timeout", "0")];
            let path = ["pods", name, ""];
            let call = Call::of("remove the pod", Method::DELETE, path).query(&query);
            match self.expect(call, SINGLE_TIMEOUT, &[200, 404]).await {
                Ok(_) => Ok(()),
                // Another removal was quicker.
                Err(PodmanError::Refused { cause, .. }) if cause == "no such pod" => Ok(()),
                Err(error) => Err(error),
            }
        })
    }

    fn update<'a>(&'a self, container: &'a str, limits: UpdateBody) -> Answer<'a, ()> {
        Box::pin(async move {
            let path = ["containers", container, "update"];
            let call = Call::of("change the limits", Method::POST, path);
            let call = call.body(json!(limits).to_string().into_bytes());
            self.expect(call, SINGLE_TIMEOUT, &[200, 201]).await.map(drop)
        })
    }

    fn limit_group<'a>(&'a self, container: &'a str, limits: UpdateBody) -> Answer<'a, ()> {
        Box::pin(async move {
            if self.owner().is_some() {
                return Err(control_group::refused(control_group::ANOTHER_USERS.to_owned()));
            }
            let detail = self.inspect(container).await?;
            let group = detail.state.cgroup_path;
            control_group::limit(&self.kernel, &group, container, limits).await
        })
    }

    fn limits_in_force<'a>(
        &'a self,
        container: &'a str,
        process: i64,
        resource: Resource,
    ) -> LocalBoxFuture<'a, Option<Vec<Level>>> {
        async move {
            let peer = self.peer()?;
            kernel_limits::levels(&self.kernel, peer, process, container, resource).await
        }
        .boxed_local()
    }

    fn squeeze<'a>(
        &'a self,
        container: &'a str,
        process: i64,
        squeezed: bool,
    ) -> LocalBoxFuture<'a, io::Result<()>> {
        squeeze::squeeze(&self.kernel, self.peer(), process, container, squeezed).boxed_local()
    }

    fn image_id<'a>(&'a self, image: &'a str) -> Answer<'a, Option<String>> {
        Box::pin(async move {
            let what = "look for the image";
            let call = Call::of(what, Method::GET, ["images", image, "json"]).size(Size::One);
            let (status, body) = self.expect(call, SINGLE_TIMEOUT, &[200, 404]).await?;
            (status == 200).then(|| Ok(decoded::<ImageDetail>(what, &body)?.id)).transpose()
        })
    }

    fn image_fault<'a>(&'a self, image: &'a str) -> Answer<'a, Option<String>> {
        Box::pin(async move {
            let image: ImageLayers = self.look_at_image(image).await?;
            // Paths that another user's podman names are not looked at.
            if self.owner().is_some() {
                return Ok(None);
            }
            let layers = image_layers::folders(&image.graph_driver);
            let look = move || image_layers::fault(&layers);
            Ok(self.kernel.run("looking at the layers", LAYERS_TIMEOUT, look).await.ok().flatten())
        })
    }

    fn unnamed_twins<'a>(&'a self, image: &'a str) -> Answer<'a, Vec<String>> {
        Box::pin(async move {
            let call = Call::new("list images", Method::GET, "images/json").size(Size::All);
            let rows = self.list::<ImageRow, MAX_ROWS>(call, &json!({})).await?;
            Ok(unnamed_twins(&rows, image))
        })
    }

    fn remove_image<'a>(&'a self, image: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = Call::of("remove the image", Method::DELETE, ["images", image, ""]);
            self.expect(call, SINGLE_TIMEOUT, &[200, 404]).await.map(drop)
        })
    }

    fn pull(&self, request: PullRequest) -> Answer<'_, String> {
        Box::pin(async move {
            let what = "pull the image";
            let verify = request.verify_tls.to_string();
            let query = [
                ("reference", request.image.as_str()),
                ("tlsVerify", verify.as_str()),
                ("quiet", "true"),
            ];
            let registries = &request.registries;
            let auth = (!registries.is_empty()).then(|| auth_header(registries));
            let call = Call::new(what, Method::POST, "images/pull").query(&query);
            let answer = self.expect(call.registry_auth(auth), request.timeout, &[200]);
            pulled(what, &answer.await?.1)
        })
    }

    fn living(&self, pids: Vec<i64>) -> LocalBoxFuture<'_, Option<BTreeSet<i64>>> {
        async move {
            let peer = self.peer()?;
            let look = move || procfs::Procfs::of(peer).ok()?.living(&pids);
            self.kernel.run("looking at processes", PROCESSES_TIMEOUT, look).await.ok().flatten()
        }
        .boxed_local()
    }

    fn raise_oom_score(&self, pid: i64) -> LocalBoxFuture<'_, io::Result<()>> {
        async move {
            let Some(peer) = self.peer().filter(|peer| !peer.is_of_another_user()) else {
                return Ok(());
            };
            let offer = move || oom_score::raise(&procfs::Procfs::of(peer)?, pid);
            let offered = self.kernel.run("raising the OOM score", PROCESSES_TIMEOUT, offer).await;
            offered.map_err(io::Error::other)?
        }
        .boxed_local()
    }

    fn last_words(&self) -> LocalBoxFuture<'_, Option<String>> {
        self.said_last().boxed_local()
    }

    fn owner(&self) -> Option<(u32, u32)> {
        let peer = self.peer().filter(|peer| peer.is_of_another_user())?;
        Some((peer.uid, peer.gid))
    }
}
