//! Call statistics of the configuration source. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::clock::Moment;
use crate::control_plane_sync::server::error::ControlPlaneError;
use crate::control_plane_sync::tasks::Task;
use crate::messages::{CallError, Calls};

/// Statistics over all answers; kept over the actor's restarts.
#[derive(Debug, Default)]
pub(crate) struct CallStats {
    /// Since when every question got some answer, good or bad.
    pub(crate) connected_since: Option<DateTime<Utc>>,
    pub(crate) last_heartbeat: Option<DateTime<Utc>>,
    pub(crate) configuration_received: Option<Moment>,
    pub(crate) configuration_changed: Option<DateTime<Utc>>,
    pub(crate) last_error: Option<CallError>,
    pub(crate) calls: BTreeMap<&'static str, Calls>,
}

impl CallStats {
    /// Notes how a question was answered; `failure` is none when well.
    pub(crate) fn answered(
        &mut self,
        task: Task,
        failure: Option<&ControlPlaneError>,
        now: Moment,
    ) {
        let calls = self.calls.entry(task.as_str()).or_default();
        calls.requests += 1;
        match failure {
            None => match task {
                Task::Heartbeat => self.last_heartbeat = Some(now.wall),
                Task::Configuration => self.configuration_received = Some(now),
                Task::Enrolment | Task::Control | Task::Publication => {}
            },
            Some(error) => {
                calls.errors += 1;
                self.last_error = Some(CallError { at: now.wall, message: error.to_string() });
            }
        }
        if failure.is_none_or(is_an_answer) {
            self.connected_since.get_or_insert(now.wall);
        } else {
            self.connected_since = None;
        }
    }
}

/// Returns whether the other end answered, if only to refuse.
const fn is_an_answer(error: &ControlPlaneError) -> bool {
    match error {
        ControlPlaneError::Unauthorized { .. }
        | ControlPlaneError::Forbidden { .. }
        | ControlPlaneError::DeviceUnknown { .. }
        | ControlPlaneError::NotTheApi { .. }
        | ControlPlaneError::Rejected { .. }
        | ControlPlaneError::ServerFailed { .. }
        | ControlPlaneError::UnexpectedStatus { .. }
        | ControlPlaneError::TooLarge { .. }
        | ControlPlaneError::Undecodable { .. } => true,
        ControlPlaneError::Misconfigured { .. }
        | ControlPlaneError::Manifests { .. }
        | ControlPlaneError::NoSuchHost { .. }
        | ControlPlaneError::Unreachable { .. }
        | ControlPlaneError::TimedOut { .. }
        | ControlPlaneError::ServerNotTrusted { .. }
        | ControlPlaneError::HandshakeRefused { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control_plane_sync::server::error::Call;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn connection_counts_from_the_first_answer_after_silence_even_a_refusal() {
        let silence =
            ControlPlaneError::Unreachable { call: Call::Heartbeat, reason: "no route".into() };
        let refusal = ControlPlaneError::Unauthorized { call: Call::Configuration };
        let mut stats = CallStats::default();
        for (second, failure, since) in [
            (1, Some(&silence), None),
            (2, Some(&refusal), Some(2)),
            (3, None, Some(2)),
            (4, Some(&silence), None),
            (5, None, Some(5)),
        ] {
            let now = Moment { monotonic: crate::clock::Monotonic::default(), wall: at(second) };
            stats.answered(Task::Heartbeat, failure, now);
            assert_eq!(stats.connected_since, since.map(at), "after {second} s");
        }
        assert_eq!(stats.last_heartbeat, Some(at(5)));
        assert_eq!(stats.last_error.as_ref().map(|error| error.at), Some(at(4)));
        assert_eq!(stats.calls["heartbeat"], Calls { requests: 5, errors: 3 });
    }
}
