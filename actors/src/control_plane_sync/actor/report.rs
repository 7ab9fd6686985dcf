//! What the actor answers to the status page.

use actix::prelude::*;

use super::ControlPlaneSync;
use crate::control_plane_sync::identity::enrolment::Enrolment;
use crate::messages::{ControlPlaneReport, GetControlPlane};

impl Handler<GetControlPlane> for ControlPlaneSync {
    type Result = ControlPlaneReport;

    fn handle(&mut self, _: GetControlPlane, _: &mut Self::Context) -> Self::Result {
        let enrolment = self.membership.as_ref().map(|it| &it.enrolment);
        let configuration = self.desired.current();
        let now = self.clock.now();
        let received = self.call_stats.configuration_received;
        let stored = self.stored_at.filter(|_| received.is_none());
        let age = match received {
            Some(received) => Some(now.monotonic.saturating_since(received.monotonic)),
            None => stored.and_then(|stored| (now.wall - stored).to_std().ok()),
        };
        ControlPlaneReport {
            stage: enrolment.map(|it| it.stage().as_str()),
            connected_since: self.call_stats.connected_since,
            last_heartbeat: self.call_stats.last_heartbeat,
            is_configured: configuration.is_some(),
            configuration_version: configuration.and_then(|it| it.version.clone()),
            configuration_received: received.map(|received| received.wall),
            configuration_stored: stored,
            configuration_age: age.filter(|_| configuration.is_some()),
            configuration_changed: self.call_stats.configuration_changed,
            last_error: self.call_stats.last_error.clone(),
            missing: self.withheld.missing(self.desired.period(), now.monotonic),
            problems: self.problems(),
            certificate_expires: enrolment.and_then(Enrolment::certificate_expires),
            calls: self.call_stats.calls.clone(),
            actors: self.status.actors().clone(),
            events: self.status.recent_events(),
        }
    }
}
