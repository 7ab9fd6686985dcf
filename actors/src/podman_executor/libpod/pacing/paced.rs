//! podman as the executor asks it: no faster than it answers, and never twice at the same time.
//!
//! To ask a slow podman again only makes it slower, as it goes on with what its client gave up. So an answer may take as long as this podman's answers take, what was given up is under way
//! until it has ended, and facts are asked for once.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use crate::clock::Clock;
use crate::podman_executor::libpod::api::{
    Answer, EventStream, ExecRequest, ExecResult, PlayRequest, PodmanApi, PodmanError, PullRequest,
};
use crate::podman_executor::libpod::in_force::{Level, Resource};
use crate::podman_executor::libpod::pacing::pace::{Question, linger};
use crate::podman_executor::libpod::pacing::queue::{Abandoned, Queue};
use crate::podman_executor::libpod::types::{
    ContainerDetail, ContainerRow, Healthcheck, HostInfo, PlayReport, PodRow, UpdateBody, UsageRow,
};

/// How long an answer may take.
enum Limit {
    /// As long as this podman's answers take, once its turn has come.
    Pace,
    /// Added where podman itself waits before it answers.
    Beyond(Duration),
    /// So long all in all.
    All(Duration),
}

/// One podman service, asked at its own pace.
pub(in crate::podman_executor) struct Paced {
    api: Rc<dyn PodmanApi>,
    queue: Rc<Queue>,
    abandoned: RefCell<Abandoned>,
    /// podman's facts, and the era to which they belong.
    facts: Rc<RefCell<Option<(u64, HostInfo)>>>,
}

impl Paced {
    /// Returns `api` at its own pace.
    pub(in crate::podman_executor) fn new(api: Rc<dyn PodmanApi>, clock: Clock) -> Self {
        let (queue, abandoned) = Queue::new(clock);
        Self { api, queue, abandoned: RefCell::new(abandoned), facts: Rc::default() }
    }

    /// Awaits the answers to calls that were given up. Never ends.
    pub(in crate::podman_executor) async fn drive_abandoned(self: Rc<Self>) {
        poll_fn(|task| self.abandoned.borrow_mut().poll(task)).await;
    }

    /// Forgets what is known of podman: another one may answer from now on.
    pub(in crate::podman_executor) fn forget(&self) {
        self.queue.begin_era();
    }

    /// Waits until nothing that was given up is being done to `pod`. Returns whether there was
    /// anything.
    pub(in crate::podman_executor) async fn settled(&self, pod: &str) -> bool {
        self.queue.settled(pod).await
    }

    /// Returns the pods that podman makes, those whose command was given up among them.
    pub(in crate::podman_executor) fn being_made(&self) -> Vec<String> {
        let asked = self.queue.asked.borrow();
        let made = asked.iter().filter(|asked| asked.question == Question::Play);
        made.map(|asked| asked.of.clone()).collect()
    }

    /// Returns `usual`, a time within which podman does something of its own accord, or as much more
    /// as this podman needs.
    pub(in crate::podman_executor) fn patient(&self, usual: Duration) -> Duration {
        self.queue.patient(usual)
    }

    /// Says what is wrong with a podman that answers late.
    pub(in crate::podman_executor) fn complaint(&self) -> Option<String> {
        self.queue.complaint()
    }

    /// Asks `question` about `of` when its turn has come.
    fn ask<T: 'static>(
        &self,
        question: Question,
        of: &str,
        limit: Limit,
        call: impl AsyncFnOnce(&dyn PodmanApi) -> Result<T, PodmanError> + 'static,
    ) -> Answer<'_, T> {
        let (of, api) = (of.to_owned(), Rc::clone(&self.api));
        Box::pin(async move {
            let pace = || self.queue.limit(question);
            let patience = match limit {
                Limit::Pace => None,
                Limit::Beyond(time) => Some(time.saturating_add(pace())),
                Limit::All(time) => Some(time),
            };
            let place = self.queue.enter(question, &of, patience).await?;
            let limit = match limit {
                Limit::Pace => pace(),
                Limit::Beyond(time) => time.saturating_add(pace()),
                Limit::All(time) => time.saturating_sub(place.age()),
            };
            place.ask(limit, async move { call(&*api).await }).await
        })
    }

    fn known_facts(&self) -> Option<HostInfo> {
        let known = self.facts.borrow();
        known.as_ref().filter(|(era, _)| *era == self.queue.era()).map(|(_, facts)| facts.clone())
    }
}

impl PodmanApi for Paced {
    /// Returns podman's facts. All who wait for them share one answer.
    fn host(&self) -> Answer<'_, HostInfo> {
        Box::pin(async move {
            if let Some(facts) = self.known_facts() {
                return Ok(facts);
            }
            let place = self.queue.enter(Question::Facts, "", None).await?;
            if let Some(facts) = self.known_facts() {
                return Ok(facts);
            }
            let (api, facts) = (Rc::clone(&self.api), Rc::clone(&self.facts));
            let (era, limit) = (self.queue.era(), self.queue.limit(Question::Facts));
            let asking = async move {
                let host = api.host().await?;
                // Here, so that they are known even if the caller has given up.
                facts.replace(Some((era, host.clone())));
                Ok(host)
            };
            place.ask(limit, asking).await
        })
    }

    fn events(&self, since: Option<i64>) -> Answer<'_, EventStream> {
        self.ask(Question::Events, "", Limit::Pace, async move |api| api.events(since).await)
    }

    fn containers(&self) -> Answer<'_, Vec<ContainerRow>> {
        self.ask(Question::Containers, "", Limit::Pace, async |api| api.containers().await)
    }

    fn usage(&self) -> Answer<'_, Vec<UsageRow>> {
        self.ask(Question::Usage, "", Limit::Pace, async |api| api.usage().await)
    }

    fn containers_of<'a>(&'a self, pod: &'a str) -> Answer<'a, Vec<ContainerRow>> {
        let name = pod.to_owned();
        self.ask(Question::ContainersOf, pod, Limit::Pace, async move |api| {
            api.containers_of(&name).await
        })
    }

    fn pods(&self) -> Answer<'_, Vec<PodRow>> {
        self.ask(Question::Pods, "", Limit::Pace, async |api| api.pods().await)
    }

    fn pod<'a>(&'a self, name: &'a str) -> Answer<'a, Option<PodRow>> {
        let pod = name.to_owned();
        self.ask(Question::Pod, name, Limit::Pace, async move |api| api.pod(&pod).await)
    }

    fn inspect<'a>(&'a self, container: &'a str) -> Answer<'a, ContainerDetail> {
        let id = container.to_owned();
        self.ask(Question::Inspect, container, Limit::Pace, async move |api| api.inspect(&id).await)
    }

    /// Not queued: a probe is not tried again before its last attempt has ended, and one that hangs must
    /// not delay other calls.
    fn exec(&self, request: ExecRequest) -> Answer<'_, ExecResult> {
        let limit = self.patient(request.limit);
        self.api.exec(ExecRequest { limit, ..request })
    }

    fn healthcheck<'a>(&'a self, image: &'a str) -> Answer<'a, Option<Healthcheck>> {
        let name = image.to_owned();
        self.ask(Question::Image, image, Limit::Pace, async move |api| api.healthcheck(&name).await)
    }

    fn image_digest<'a>(&'a self, image: &'a str) -> Answer<'a, Option<String>> {
        let id = image.to_owned();
        self.ask(Question::Image, image, Limit::Pace, async move |api| api.image_digest(&id).await)
    }

    fn log_end<'a>(&'a self, container: &'a str, most: usize) -> Answer<'a, Vec<u8>> {
        let id = container.to_owned();
        let call = async move |api: &dyn PodmanApi| api.log_end(&id, most).await;
        self.ask(Question::LogEnd, container, Limit::Pace, call)
    }

    fn play(&self, request: PlayRequest) -> Answer<'_, PlayReport> {
        let (pod, time) = (request.pod.clone(), request.timeout);
        let timeout = time.saturating_add(linger(Question::Play, time));
        let request = PlayRequest { timeout, ..request };
        let call = async move |api: &dyn PodmanApi| api.play(request).await;
        self.ask(Question::Play, &pod, Limit::All(time), call)
    }

    fn stop_container<'a>(&'a self, container: &'a str, grace: Duration) -> Answer<'a, ()> {
        let id = container.to_owned();
        let call = async move |api: &dyn PodmanApi| api.stop_container(&id, grace).await;
        self.ask(Question::Stop, container, Limit::Beyond(grace), call)
    }

    fn pause<'a>(&'a self, container: &'a str) -> Answer<'a, ()> {
        let id = container.to_owned();
        self.ask(Question::Freezer, container, Limit::Pace, async move |api| api.pause(&id).await)
    }

    fn unpause<'a>(&'a self, container: &'a str) -> Answer<'a, ()> {
        let id = container.to_owned();
        self.ask(Question::Freezer, container, Limit::Pace, async move |api| api.unpause(&id).await)
    }

    fn remove_pod<'a>(&'a self, name: &'a str) -> Answer<'a, ()> {
        let pod = name.to_owned();
        self.ask(Question::Remove, name, Limit::Pace, async move |api| api.remove_pod(&pod).await)
    }

    fn update<'a>(&'a self, container: &'a str, limits: UpdateBody) -> Answer<'a, ()> {
        let id = container.to_owned();
        self.ask(Question::Update, container, Limit::Pace, async move |api| {
            api.update(&id, limits).await
        })
    }

    fn limit_group<'a>(&'a self, container: &'a str, limits: UpdateBody) -> Answer<'a, ()> {
        let id = container.to_owned();
        self.ask(Question::Group, container, Limit::Pace, async move |api| {
            api.limit_group(&id, limits).await
        })
    }

    /// Asks the kernel, not podman.
    fn limits_in_force<'a>(
        &'a self,
        container: &'a str,
        process: i64,
        resource: Resource,
    ) -> LocalBoxFuture<'a, Option<Vec<Level>>> {
        self.api.limits_in_force(container, process, resource)
    }

    /// Asks the kernel, not podman.
    fn squeeze<'a>(
        &'a self,
        container: &'a str,
        process: i64,
        squeezed: bool,
    ) -> LocalBoxFuture<'a, io::Result<()>> {
        self.api.squeeze(container, process, squeezed)
    }

    fn image_id<'a>(&'a self, image: &'a str) -> Answer<'a, Option<String>> {
        let name = image.to_owned();
        self.ask(Question::Image, image, Limit::Pace, async move |api| api.image_id(&name).await)
    }

    fn image_fault<'a>(&'a self, image: &'a str) -> Answer<'a, Option<String>> {
        let name = image.to_owned();
        self.ask(Question::Image, image, Limit::Pace, async move |api| api.image_fault(&name).await)
    }

    fn unnamed_twins<'a>(&'a self, image: &'a str) -> Answer<'a, Vec<String>> {
        let name = image.to_owned();
        self.ask(Question::Image, "", Limit::Pace, async move |api| api.unnamed_twins(&name).await)
    }

    fn pull(&self, request: PullRequest) -> Answer<'_, String> {
        let (image, time) = (request.image.clone(), request.timeout);
        let timeout = time.saturating_add(linger(Question::Pull, time));
        let request = PullRequest { timeout, ..request };
        let call = async move |api: &dyn PodmanApi| api.pull(request).await;
        self.ask(Question::Pull, &image, Limit::All(time), call)
    }

    fn remove_image<'a>(&'a self, image: &'a str) -> Answer<'a, ()> {
        let name = image.to_owned();
        self.ask(Question::RemoveImage, image, Limit::Pace, async move |api| {
            api.remove_image(&name).await
        })
    }

    fn living(&self, pids: Vec<i64>) -> LocalBoxFuture<'_, Option<BTreeSet<i64>>> {
        self.api.living(pids)
    }

    fn raise_oom_score(&self, pid: i64) -> LocalBoxFuture<'_, io::Result<()>> {
        self.api.raise_oom_score(pid)
    }

    /// Asks the journal, not podman.
    fn last_words(&self) -> LocalBoxFuture<'_, Option<String>> {
        self.api.last_words()
    }

    fn owner(&self) -> Option<(u32, u32)> {
        self.api.owner()
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests;
