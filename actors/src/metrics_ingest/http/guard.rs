//! Lets requests through that come from this device.

use std::net::IpAddr;

use actix_http::Request;
use actix_web::http::{Method, header};

use super::serving::OverUnix;
use crate::metrics_ingest::admission::{Asked, Foreign, admit};

/// Decides on a request by what [`admit`] wants of it. `own` are the addresses of the listener.
pub(super) fn is_admitted(request: &Request, own: &[IpAddr]) -> Result<(), Foreign> {
    let headers = &request.head().headers;
    let values = |name: header::HeaderName| -> Vec<&[u8]> {
        headers.get_all(name).map(header::HeaderValue::as_bytes).collect()
    };
    // Clients of a unix socket name its path, or anything else: no name resolves to it.
    let is_named = request.conn_data::<OverUnix>().is_none();
    let hosts = if is_named { values(header::HOST) } else { Vec::new() };
    let (origins, sites) = (values(header::ORIGIN), values(SITE));
    let asked = Asked {
        reads_only: request.method() == Method::GET,
        hosts: &hosts,
        authority: request.uri().authority().filter(|_| is_named).map(|it| it.as_str().as_bytes()),
        origins: &origins,
        sites: &sites,
    };
    admit(asked, own)
}

/// Who makes a browser send a request.
const SITE: header::HeaderName = header::HeaderName::from_static("sec-fetch-site");
