//! Every transition of a run.

use super::*;

#[test]
fn every_event_in_every_state_leads_where_the_table_says() {
    let at = |seconds| Monotonic::from_start(Duration::from_secs(seconds));
    let (idle, finished) = (RunState::Idle, RunState::Finished);
    let (started, waiting) =
        (RunState::Started { since: at(1) }, RunState::Waiting { until: at(9) });
    let (anew, sooner) = (RunState::Started { since: at(5) }, RunState::Waiting { until: at(5) });
    for (event, expected) in [
        (RunEvent::Renewed, [idle; 4]),
        (RunEvent::CronRemoved, [idle, started, waiting, idle]),
        (RunEvent::SeenRunning { at: at(5) }, [anew, started, anew, anew]),
        (RunEvent::StartSucceeded { at: at(5) }, [anew; 4]),
        (RunEvent::Stopped, [idle, idle, waiting, finished]),
        (RunEvent::Failed { retry_at: at(5) }, [sooner; 4]),
        (RunEvent::Ended, [finished; 4]),
        (RunEvent::RetryChanged { retry_at: at(5) }, [idle, started, sooner, finished]),
        (RunEvent::RetryChanged { retry_at: at(20) }, [idle, started, waiting, finished]),
    ] {
        for (state, expected) in [idle, started, waiting, finished].into_iter().zip(expected) {
            assert_eq!(state.apply(event), expected, "{event:?} in {state:?}");
        }
    }
}
