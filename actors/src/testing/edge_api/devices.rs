//! The operator's side of each device's life, and its answer to each request.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::authority::{Authority, Holder, Trust};
use super::lists::{has_null_lists, nullify, shuffle};
use super::{Fault, Received};
use crate::control_plane_sync::Call;

const BASE_PATH: &str = "/api/flotta-management/v1/";
const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A request, as far as it matters.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) content_type: &'a str,
    pub(crate) body: &'a [u8],
    pub(crate) holder: &'a Holder,
}

/// What comes back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    Empty(u16),
    Json(u16, Value),
    /// The connection breaks, as under a handler that panicked.
    Cut,
}

/// Everything that the operator knows.
pub(crate) struct Devices {
    pub(crate) certificate_lifetime: Duration,
    pub(crate) approval_after: Option<u32>,
    pub(crate) faults: BTreeMap<Call, Fault>,
    pub(crate) received: Vec<Received>,
    by_id: BTreeMap<String, Device>,
    configuration: Map<String, Value>,
    version: u64,
}

/// One EdgeDevice, or the request to become one.
#[derive(Clone, Debug, Default)]
struct Device {
    namespace: String,
    enrolments: u32,
    approved: bool,
    /// The label that allows a registration certificate to register it, once.
    may_register: bool,
    /// Made with kubectl: found by an enrolment, and never enrolled.
    made_by_hand: bool,
}

impl Default for Devices {
    fn default() -> Self {
        Self {
            certificate_lifetime: MONTH,
            approval_after: Some(1),
            faults: BTreeMap::new(),
            received: Vec::new(),
            by_id: BTreeMap::new(),
            configuration: Map::new(),
            version: 1,
        }
    }
}

impl Devices {
    pub(crate) fn set_configuration(&mut self, content: Value) {
        self.version += 1;
        self.configuration = match content {
            Value::Object(content) => content,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Map::new(),
        };
    }

    pub(crate) fn set_workloads(&mut self, workloads: Vec<Value>) {
        self.version += 1;
        self.configuration.insert("workloads".to_owned(), Value::Array(workloads));
    }

    pub(crate) fn make_by_hand(&mut self, device: &str) {
        self.by_id.entry(device.to_owned()).or_default().made_by_hand = true;
    }

    pub(crate) fn delete(&mut self, device: &str) {
        self.by_id.remove(device);
    }

    /// Answers one request; everything but the faults of the transport.
    pub(crate) fn answer(&mut self, authority: &Authority, request: &Request<'_>) -> Reply {
        let not_found = || {
            let message = format!("path {} was not found", request.path);
            Reply::Json(404, json!({"code": 404, "message": message}))
        };
        let Some(rest) = request.path.strip_prefix(BASE_PATH) else {
            return not_found();
        };
        let segments: Vec<&str> = rest.split('/').collect();
        match (request.method, segments.as_slice()) {
            ("GET", ["data", id, "in"]) => self.configuration(id, request.holder),
            ("GET", ["control", id, "in"]) => self.control(id, request.holder),
            ("POST", ["data", id, "out"]) => self.post(authority, id, request),
            (_, ["data" | "control", _, "in" | "out"]) => {
                let message = format!("method {} is not allowed", request.method);
                Reply::Json(405, json!({"code": 405, "message": message}))
            }
            _ => not_found(),
        }
    }

    fn configuration(&mut self, id: &str, holder: &Holder) -> Reply {
        if let Some(refused) = refused(id, holder) {
            return refused;
        }
        if !self.is_approved(id) {
            return Reply::Empty(404);
        }
        let fault = self.faults.get(&Call::Configuration).copied();
        let mut content = self.configuration.clone();
        let mut configuration = content.remove("configuration").unwrap_or_else(
            || json!({"heartbeat": {"hardware_profile": {}, "period_seconds": 60}}),
        );
        let mut device_id = id.to_owned();
        match fault {
            Some(Fault::RandomOrder) => {
                self.version += 1;
                content.values_mut().for_each(shuffle);
                shuffle(&mut configuration);
            }
            Some(Fault::NullArrays) => {
                content.values_mut().for_each(nullify);
                nullify(&mut configuration);
                content.insert("secrets".to_owned(), Value::Null);
            }
            Some(Fault::ForeignDevice) => device_id = "another-device".to_owned(),
            _ => {}
        }
        content.insert("configuration".to_owned(), configuration);
        content.insert("device_id".to_owned(), json!(device_id));
        content.insert("version".to_owned(), json!(self.version.to_string()));
        Reply::Json(
            200,
            json!({
                "type": "data", "directive": "device", "message_id": "b46d68bd-8154-4740-adb3-33813937b4be",
                "version": 1, "sent": "2026-11-23T10:52:26.753Z", "content": content,
            }),
        )
    }

    fn control(&self, id: &str, holder: &Holder) -> Reply {
        if let Some(refused) = refused(id, holder) {
            return refused;
        }
        if self.is_approved(id) {
            return Reply::Empty(200);
        }
        Reply::Json(
            200,
            json!({
                "type": "command", "message_id": "422a6df4-5f4f-4f00-a668-147a506fb327",
                "version": 1, "sent": "2026-11-23T10:52:35.578Z",
                "content": {"command": "disconnect", "arguments": null},
            }),
        )
    }

    fn post(&mut self, authority: &Authority, id: &str, request: &Request<'_>) -> Reply {
        let error = |code: u16, message: String| {
            Reply::Json(code, json!({"code": code, "message": message}))
        };
        // An expired certificate passes here, one of another CA does not.
        if request.holder.trust == Trust::Foreign {
            return Reply::Empty(401);
        }
        if !request.content_type.starts_with("application/json") {
            let given = request.content_type;
            return error(
                415,
                format!("unsupported media type {given:?}, only [application/json] are allowed"),
            );
        }
        if request.body.is_empty() {
            return error(422, "message in body is required".to_owned());
        }
        let Ok(message) = serde_json::from_slice::<Value>(request.body) else {
            return error(
                400,
                "parsing message body from \"\" failed, because unexpected EOF".to_owned(),
            );
        };
        const TYPES: [&str; 4] = ["connection-status", "command", "event", "data"];
        if message.get("type").is_some_and(|kind| !TYPES.iter().any(|known| kind == known)) {
            return error(422, "message.type in body should be one of the known types".to_owned());
        }
        let content = message.get("content").unwrap_or(&Value::Null);
        match message.get("directive").and_then(Value::as_str) {
            Some("enrolment") => self.enrol(id, content),
            Some("registration") => self.register(authority, id, request.holder, &message),
            Some("heartbeat") => self.heartbeat(id, request.holder, content),
            _ if !is_own(id, request.holder) => Reply::Empty(403),
            _ => Reply::Empty(400),
        }
    }

    fn enrol(&mut self, id: &str, content: &Value) -> Reply {
        let Some(features) = content.get("features").filter(|value| value.is_object()) else {
            return Reply::Cut;
        };
        let is_name =
            id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c));
        if !is_name || has_null_lists(features.get("hardware")) {
            return Reply::Empty(400);
        }
        let namespace = content.get("target_namespace").and_then(Value::as_str);
        let approval_after = self.approval_after;
        let device = self.by_id.entry(id.to_owned()).or_default();
        if device.approved || device.made_by_hand {
            return Reply::Empty(208);
        }
        namespace.unwrap_or("default").clone_into(&mut device.namespace);
        device.enrolments += 1;
        // Approval comes after the answer, so that this one still says "pending".
        device.approved = approval_after.is_some_and(|limit| device.enrolments >= limit);
        device.may_register = device.approved;
        Reply::Empty(200)
    }

    fn register(
        &mut self,
        authority: &Authority,
        id: &str,
        holder: &Holder,
        message: &Value,
    ) -> Reply {
        let lifetime = self.certificate_lifetime;
        let Some(device) = self.by_id.get_mut(id).filter(|device| device.approved) else {
            return Reply::Empty(404);
        };
        if !device.may_register && !is_own(id, holder) {
            return Reply::Empty(500);
        }
        let content = message.get("content").unwrap_or(&Value::Null);
        let request = content.get("certificate_request").and_then(Value::as_str);
        let Some(certificate) =
            request.and_then(|request| authority.sign(request, id, &device.namespace, lifetime))
        else {
            return Reply::Empty(400);
        };
        device.may_register = false;
        if has_null_lists(content.get("hardware")) {
            return Reply::Empty(500);
        }
        Reply::Json(
            200,
            json!({
                "directive": "registration",
                "message_id": message.get("message_id").unwrap_or(&Value::Null),
                "content": {"certificate": certificate},
            }),
        )
    }

    fn heartbeat(&self, id: &str, holder: &Holder, content: &Value) -> Reply {
        if !is_own(id, holder) {
            return Reply::Empty(403);
        }
        let lists = ["workloads", "events"].map(|list| content.get(list).unwrap_or(&Value::Null));
        let texts = ["status", "version"].map(|text| content.get(text).unwrap_or(&Value::Null));
        let well_typed = content.is_object()
            && lists.iter().all(|list| list.is_array() || list.is_null())
            && texts.iter().all(|text| text.is_string() || text.is_null());
        if !well_typed {
            return Reply::Empty(400);
        }
        let entries = lists.iter().filter_map(|list| list.as_array()).flatten();
        if entries.clone().any(Value::is_null) {
            return Reply::Cut;
        }
        if !entries.clone().all(Value::is_object) {
            return Reply::Empty(400);
        }
        if !self.is_approved(id) {
            return Reply::Empty(404);
        }
        let empty_upgrade = content.get("upgrade").is_some_and(|upgrade| *upgrade == json!({}));
        if empty_upgrade || has_null_lists(content.get("hardware")) {
            return Reply::Empty(500);
        }
        Reply::Empty(200)
    }

    fn is_approved(&self, id: &str) -> bool {
        self.by_id.get(id).is_some_and(|device| device.approved)
    }
}

/// Returns which call a request is, as far as it can be seen.
pub(crate) fn call_of(method: &str, path: &str, body: &Value) -> Option<Call> {
    let rest = path.strip_prefix(BASE_PATH)?;
    let segments: Vec<&str> = rest.split('/').collect();
    match (method, segments.as_slice()) {
        ("GET", ["data", _, "in"]) => Some(Call::Configuration),
        ("GET", ["control", _, "in"]) => Some(Call::Control),
        ("POST", ["data", _, "out"]) => match body.get("directive").and_then(Value::as_str) {
            Some("enrolment") => Some(Call::Enrolment),
            Some("registration") => Some(Call::Registration),
            Some("heartbeat") => Some(Call::Heartbeat),
            _ => None,
        },
        _ => None,
    }
}

/// Returns the answer to a GET that its certificate does not allow.
fn refused(id: &str, holder: &Holder) -> Option<Reply> {
    if holder.trust != Trust::Valid || holder.common_name == "register" {
        Some(Reply::Empty(401))
    } else if !is_own(id, holder) {
        Some(Reply::Empty(403))
    } else {
        None
    }
}

fn is_own(id: &str, holder: &Holder) -> bool {
    holder.common_name == id.to_lowercase()
}
