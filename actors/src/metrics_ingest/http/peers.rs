//! The actors that know what the status says, each asked with a deadline.

use std::time::Duration;

use actix::prelude::{Message, Recipient};
use tokio::time::timeout;

use crate::messages::{GetControlPlane, GetJobs, GetProfiles};
use crate::metrics_ingest::status::Answers;

/// Time for a peer to answer; without it the rest is told.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// The actors that are asked.
pub(in crate::metrics_ingest) struct Peers {
    pub(in crate::metrics_ingest) profiles: Recipient<GetProfiles>,
    pub(in crate::metrics_ingest) jobs: Recipient<GetJobs>,
    pub(in crate::metrics_ingest) control_plane: Recipient<GetControlPlane>,
}

impl Peers {
    /// Asks all of them at the same time.
    pub(super) async fn ask(&self) -> Answers {
        let (control_plane, scheduler, evaluator) = tokio::join!(
            ask(&self.control_plane, GetControlPlane),
            ask(&self.jobs, GetJobs),
            ask(&self.profiles, GetProfiles),
        );
        Answers { control_plane, scheduler, evaluator }
    }
}

async fn ask<M>(peer: &Recipient<M>, question: M) -> Option<M::Result>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    timeout(ANSWER_TIMEOUT, peer.send(question)).await.ok()?.ok()
}
