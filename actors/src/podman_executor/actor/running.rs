//! What the containers of pods run, for the status: each image is asked for its digest once.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use actix::prelude::*;
use tracing::debug;

use super::PodmanExecutor;
use super::state::Digest;
use crate::podman_executor::libpod::api::{PodmanApi as _, PodmanError};
use crate::podman_executor::libpod::types::container_name;
use crate::workload::{RunningContainer, WorkloadId};

impl PodmanExecutor {
    /// Asks for the digest of each image that a container runs, and that is not known.
    pub(super) fn learn_digests(&mut self, ctx: &mut Context<Self>) {
        let context = Rc::clone(&self.context);
        let unknown: Vec<String> = {
            let table = context.table.borrow();
            let live: BTreeSet<&str> = table.live().map(|row| row.image_id.as_str()).collect();
            self.digests.retain(|image, _| live.contains(image.as_str()));
            let is_unknown = |id: &&str| !id.is_empty() && !self.digests.contains_key(*id);
            live.into_iter().filter(is_unknown).map(str::to_owned).collect()
        };
        for image in unknown {
            self.digests.insert(image.clone(), Digest::Asked);
            let api = Rc::clone(&context.api);
            let asking = async move {
                let answer = api.image_digest(&image).await;
                (image, answer)
            };
            ctx.spawn(asking.into_actor(self).map(|(image, answer), actor, ctx| {
                actor.digest_answered(image, answer, ctx);
            }));
        }
    }

    fn digest_answered(
        &mut self,
        image: String,
        answer: Result<Option<String>, PodmanError>,
        ctx: &mut Context<Self>,
    ) {
        match answer {
            Ok(digest) => {
                let is_news = digest.is_some();
                self.digests.insert(image, Digest::Known(digest));
                if is_news {
                    self.send_again(ctx);
                }
            }
            Err(error) => {
                debug!(image, error = error.chain(), "digest of an image was not read");
                // An image that is gone has none; any other is asked for with the next listing.
                match error.is_refusal() {
                    true => drop(self.digests.insert(image, Digest::Known(None))),
                    false => drop(self.digests.remove(&image)),
                }
            }
        }
    }

    /// Returns the containers that run, by pod and in order of name.
    pub(super) fn running(&self) -> BTreeMap<WorkloadId, Vec<RunningContainer>> {
        let mut pods = BTreeMap::<_, Vec<_>>::new();
        for row in self.context.table.borrow().live() {
            let pod = WorkloadId::from(row.pod_name.as_str());
            pods.entry(pod).or_default().push(RunningContainer {
                name: container_name(row).to_owned(),
                image: row.image.clone(),
                digest: self.digests.get(&row.image_id).and_then(Digest::known),
            });
        }
        for containers in pods.values_mut() {
            containers.sort_by(|a, b| a.name.cmp(&b.name));
        }
        pods
    }
}
