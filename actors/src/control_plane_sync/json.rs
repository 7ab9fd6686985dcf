//! Stands in for the wire types until they are merged.

use serde_json::{Value, json};

use super::client::{ControlAnswer, Heartbeat};
use super::control_plane_error::{Call, ControlPlaneError};
use crate::workload::{Configuration, DeviceId};

pub(crate) fn enrolment(namespace: &str) -> Vec<u8> {
    json!({"type": "command", "directive": "enrolment", "content": {"target_namespace": namespace, "features": {}}}).to_string().into_bytes()
}

pub(crate) fn registration(request: &str) -> Vec<u8> {
    json!({"type": "command", "directive": "registration", "content": {"certificate_request": request, "hardware": null}}).to_string().into_bytes()
}

pub(crate) fn heartbeat(heartbeat: &Heartbeat) -> Vec<u8> {
    let workloads: Vec<Value> = heartbeat
        .jobs
        .iter()
        .map(|job| json!({"name": job.workload, "status": job.status}))
        .collect();
    let events: Vec<Value> = heartbeat
        .events
        .iter()
        .map(|event| json!({"type": event.kind, "reason": event.reason, "message": event.message}))
        .collect();
    json!({"type": "data", "directive": "heartbeat", "content": {
        "status": heartbeat.status.as_str(), "version": "0", "hardware": null,
        "workloads": workloads, "events": events}})
    .to_string()
    .into_bytes()
}

pub(crate) fn registration_answer(body: &[u8]) -> Result<String, ControlPlaneError> {
    let value: Value = read(Call::Registration, body)?;
    value["content"]["certificate"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| ControlPlaneError::Undecodable {
            call: Call::Registration,
            reason: "no certificate".to_owned(),
        })
}

pub(crate) fn control_answer(body: &[u8]) -> Result<ControlAnswer, ControlPlaneError> {
    if body.is_empty() {
        return Ok(ControlAnswer::Nothing);
    }
    let value: Value = read(Call::Control, body)?;
    Ok(if value["content"]["command"] == "disconnect" {
        ControlAnswer::Disconnect
    } else {
        ControlAnswer::Nothing
    })
}

pub(crate) fn configuration(
    body: &[u8],
    device: &DeviceId,
) -> Result<Configuration, ControlPlaneError> {
    let value: Value = read(Call::Configuration, body)?;
    let undecodable = |reason: &str| ControlPlaneError::Undecodable {
        call: Call::Configuration,
        reason: reason.to_owned(),
    };
    if value["content"]["device_id"] != device.as_str() {
        return Err(undecodable("it is for another device"));
    }
    Ok(Configuration {
        version: value["content"]["version"].as_str().map(str::to_owned),
        heartbeat_period: std::time::Duration::from_secs(
            value["content"]["configuration"]["heartbeat"]["period_seconds"]
                .as_u64()
                .unwrap_or(60),
        ),
        hardware_in_heartbeat: false,
        profiles: Vec::new(),
        workloads: Vec::new(),
        rejected: Vec::new(),
    })
}

fn read(call: Call, body: &[u8]) -> Result<Value, ControlPlaneError> {
    serde_json::from_slice(body).map_err(|error| ControlPlaneError::Undecodable {
        call,
        reason: error.to_string(),
    })
}
