//! What the actor answers to the status page.

use actix::prelude::*;

use super::ControlPlaneSync;
use crate::control_plane_sync::enrolment::Enrolment;
use crate::messages::{ControlPlaneReport, GetControlPlane};

impl Handler<GetControlPlane> for ControlPlaneSync {
    type Result = ControlPlaneReport;

    fn handle(&mut self, _: GetControlPlane, _: &mut Self::Context) -> Self::Result {
        let enrolment = self.membership.as_ref().map(|it| &it.enrolment);
        let configuration = self.desired.current();
        ControlPlaneReport {
            stage: enrolment.map(|it| it.stage().as_str()),
            connected_since: self.contact.connected_since,
            last_heartbeat: self.contact.last_heartbeat,
            is_configured: configuration.is_some(),
            configuration_version: configuration.and_then(|it| it.version.clone()),
            configuration_received: self.contact.configuration_received,
            configuration_changed: self.contact.configuration_changed,
            last_error: self.contact.last_error.clone(),
            problems: self.problems.clone(),
            certificate_expires: enrolment.and_then(Enrolment::certificate_expires),
            calls: self.contact.calls.clone(),
            actors: self.status.actors().clone(),
            events: self.status.recent_events(),
        }
    }
}
