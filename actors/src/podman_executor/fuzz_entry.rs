//! What podman's answers and events are read with, for random input from outside.

use http::Method;

use crate::podman_executor::libpod::bounds::{MAX_ROWS, Rows};
use crate::podman_executor::libpod::client;
use crate::podman_executor::libpod::events::{Line, Lines};
use crate::podman_executor::libpod::http::{Call, decoded, refused};
use crate::podman_executor::libpod::types::{
    ContainerDetail, ContainerRow, ImageDetail, ImageLayers, Info, PlayReport, PodRow,
};
use crate::podman_executor::pod_state::{Knowledge, is_ours, observed_pods};
use crate::workload::{DeviceId, ObservedPod};

/// Reads `body` as each of podman's answers; returns what each comes to, or why it is refused.
#[must_use]
pub fn answers(body: &[u8]) -> Vec<Result<String, String>> {
    fn read<T: serde::de::DeserializeOwned + std::fmt::Debug>(
        body: &[u8],
    ) -> Result<String, String> {
        let read = decoded::<T>("try", body);
        read.map(|it| format!("{it:?}")).map_err(|error| error.chain())
    }
    vec![
        read::<Rows<ContainerRow, MAX_ROWS>>(body),
        read::<Rows<PodRow, MAX_ROWS>>(body),
        read::<ContainerDetail>(body),
        read::<ImageDetail>(body),
        read::<ImageLayers>(body),
        read::<Info>(body),
        read::<PlayReport>(body),
        client::pulled("try", body).map_err(|error| error.chain()),
        Err(refused("try", 500, body).chain()),
    ]
}

/// Reads the containers of a listing.
///
/// # Errors
/// The listing is refused; says why.
pub fn containers(body: &[u8]) -> Result<Vec<ContainerRow>, String> {
    let rows = decoded::<Rows<ContainerRow, MAX_ROWS>>("try", body);
    rows.map(|rows| rows.0).map_err(|error| error.chain())
}

/// Returns the pods of `device` that `rows` come to.
#[must_use]
pub fn pods(mut rows: Vec<ContainerRow>, device: &DeviceId) -> Vec<ObservedPod> {
    rows.retain(|row| is_ours(&row.labels, &row.pod_name, device));
    observed_pods(&rows, Knowledge::of_rows_alone("boot"))
}

/// Returns path and query with which the container `id` is asked for; `None` when it is not.
#[must_use]
pub fn address(id: &str) -> Option<String> {
    let call = Call::of("try", Method::GET, ["containers", id, "json"]);
    Some(call.request().ok()?.uri().to_string())
}

/// Reads the event stream, which comes in these pieces; returns each event's action, and what else is in the
/// stream as an error.
#[must_use]
pub fn events(pieces: &[&[u8]]) -> Vec<Result<String, String>> {
    let mut lines = Lines::default();
    let read = pieces.iter().flat_map(|piece| lines.push(piece)).map(|line| match line {
        Line::Event(event) => Ok(event.action),
        Line::Error(error) => Err(error),
        Line::Rubbish => Err("rubbish".to_owned()),
    });
    read.collect()
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::safety;

    /// A value as podman may have it, or as it may not.
    fn value() -> impl Strategy<Value = Value> {
        let length =
            prop_oneof![Just(0_usize), 1..40_usize, Just(1_024), Just(1_025), Just(70_000)];
        let text =
            (length, "[a-z./?#%\u{202e}\u{1b}ä]").prop_map(|(n, text)| json!(text.repeat(n)));
        let own = prop_oneof![
            Just("web-0123"),
            Just("../etc"),
            Just(".."),
            Just("a?force=true"),
            Just("cam-01"),
            Just("running"),
            Just("exited")
        ];
        let number = prop_oneof![any::<i64>(), Just(0), Just(i64::MAX)];
        prop_oneof![
            4 => own.prop_map(|text| json!(text)),
            1 => text,
            1 => number.prop_map(|number| json!(number)),
            1 => Just(Value::Null),
            1 => Just(json!([])),
            1 => Just(json!({"a": [1]})),
        ]
    }

    fn row() -> impl Strategy<Value = Value> {
        let labels = ["device-worker-ng/id", "device-worker-ng/workload", "other"];
        let labels = labels.map(|label| (Just(label), value()));
        (value(), value(), value(), value(), value(), labels).prop_map(
            |(id, name, state, pid, pod, labels)| {
                let labels: serde_json::Map<_, _> =
                    labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
                json!({"Id": id, "Names": [name], "State": state, "Pid": pid, "PodName": pod,
                    "Labels": labels, "StartedAt": pid, "ExitedAt": pid})
            },
        )
    }

    proptest! {
        #[test]
        fn whatever_a_podman_lists_is_refused_or_leads_nowhere(
            rows in prop::collection::vec(row(), 0..4),
            cut in 0..2_000_usize,
        ) {
            let body = json!(rows).to_string();
            for body in [body.as_bytes(), &body.as_bytes()[..cut.min(body.len())]] {
                if let Ok(rows) = containers(body) {
                    safety::check_rows(&rows);
                }
                for read in answers(body) {
                    prop_assert!(read.is_ok() || read.is_err_and(|reason| reason.len() < 20_000));
                }
            }
        }

        #[test]
        fn whatever_a_podman_sends_as_events_is_the_same_however_it_is_cut(
            lines in prop::collection::vec("\\PC{0,40}|\\{\"Action\":\"[a-z]{0,9}\"\\}|\\{\"cause\":\"x\"\\}", 0..6),
            length in 1..50_usize,
        ) {
            let stream = lines.join("\n") + "\n";
            let pieces: Vec<_> = stream.as_bytes().chunks(length).collect();
            prop_assert_eq!(events(&pieces), events(&[stream.as_bytes()]));
        }
    }

    #[test]
    fn a_listing_of_a_pod_of_this_device_is_seen() {
        let row = json!({"Id": "10a9", "Names": ["web-0123-main"], "State": "running",
            "PodName": "web-0123", "Labels": {"device-worker-ng/id": "web-0123",
            "device-worker-ng/workload": "web"}});
        let rows = containers(json!([row]).to_string().as_bytes()).unwrap();
        safety::check_rows(&rows);
        let pods = pods(rows, &DeviceId::from("cam-01"));
        assert_eq!((pods.len(), pods[0].workload.as_str()), (1, "web"));
        assert_eq!(address("10a9").as_deref(), Some("/v4.0.0/libpod/containers/10a9/json"));
    }
}
