//! The addresses of the Flotta edge API.

use awc::http::Uri;

use crate::control_plane_sync::server::error::{Call, ControlPlaneError};
use crate::url_path::segment;
use crate::workload::DeviceId;

/// Below it every path of the API.
const BASE_PATH: &str = "/api/flotta-management/v1";

/// Where one device asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The server's host name, for messages.
    pub(crate) host: String,
    data_in: String,
    data_out: String,
    control_in: String,
}

impl Endpoint {
    /// Reads SERVER: `https://host:port`, with or without the API's path behind it.
    pub(crate) fn new(server: &str, device: &DeviceId) -> Result<Self, ControlPlaneError> {
        let invalid = |reason: String| ControlPlaneError::Misconfigured {
            reason: format!("SERVER {server} {reason}"),
        };
        let uri: Uri =
            server.trim().parse().map_err(|error| invalid(format!("is not a URL: {error}")))?;
        let host = match (uri.scheme_str(), uri.host()) {
            (Some("https"), Some(host)) => host.to_owned(),
            _ => return Err(invalid("is not of the form https://host:port".to_owned())),
        };
        if host.starts_with('[') {
            // The TLS connector takes no bracketed address; the server's certificate names ::1 only.
            return Err(invalid("names an IPv6 address; use a host name".to_owned()));
        }
        if uri.query().is_some() {
            return Err(invalid("has a query".to_owned()));
        }
        let root = server.trim().trim_end_matches('/');
        let root = root.strip_suffix(BASE_PATH).unwrap_or(root);
        let device = segment(device.as_str()).ok_or_else(|| ControlPlaneError::Misconfigured {
            reason: format!("DEVICE_ID {:?} cannot stand in an address", device.as_str()),
        })?;
        let path = |channel: &str, direction: &str| {
            format!("{root}{BASE_PATH}/{channel}/{device}/{direction}")
        };
        Ok(Self {
            host,
            data_in: path("data", "in"),
            data_out: path("data", "out"),
            control_in: path("control", "in"),
        })
    }

    /// Returns the address for `call`.
    pub(crate) fn url(&self, call: Call) -> &str {
        match call {
            Call::Enrolment | Call::Registration | Call::Heartbeat => &self.data_out,
            Call::Configuration => &self.data_in,
            Call::Control => &self.control_in,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_path_is_appended_once() {
        let expected = "https://edge.example:8043/api/flotta-management/v1/data/cam-01/in";
        for server in [
            "https://edge.example:8043",
            "https://edge.example:8043/",
            " https://edge.example:8043/api/flotta-management/v1",
            "https://edge.example:8043/api/flotta-management/v1/",
        ] {
            let endpoint = Endpoint::new(server, &DeviceId::from("cam-01")).unwrap();
            assert_eq!(endpoint.url(Call::Configuration), expected);
        }
    }

    #[test]
    fn a_path_in_front_of_the_api_is_kept() {
        let endpoint = Endpoint::new("https://edge.example/flotta/", &DeviceId::from("a")).unwrap();
        assert_eq!(
            endpoint.url(Call::Control),
            "https://edge.example/flotta/api/flotta-management/v1/control/a/in"
        );
    }

    #[test]
    fn the_device_id_is_one_segment_of_the_path() {
        let endpoint = Endpoint::new("https://h", &DeviceId::from("a/../ü")).unwrap();
        let expected = "https://h/api/flotta-management/v1/data/a%2F..%2F%C3%BC/out";
        assert_eq!(endpoint.url(Call::Heartbeat), expected);
    }

    #[test]
    fn a_device_id_that_leads_elsewhere_is_refused() {
        for device in ["", ".", ".."] {
            let result = Endpoint::new("https://h", &DeviceId::from(device));
            assert!(matches!(result, Err(ControlPlaneError::Misconfigured { .. })), "{device}");
        }
    }

    #[test]
    fn a_server_that_cannot_be_asked_is_refused() {
        for server in [
            "",
            "edge:8043",
            "http://edge:8043",
            "https://",
            "https://[::1]:8043",
            "https://h/?x=1",
        ] {
            let result = Endpoint::new(server, &DeviceId::from("a"));
            assert!(matches!(result, Err(ControlPlaneError::Misconfigured { .. })), "{server}");
        }
    }
}
