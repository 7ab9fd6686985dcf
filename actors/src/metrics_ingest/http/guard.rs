//! Lets requests through that come from this device.

use std::net::IpAddr;

use actix_http::Request;
use actix_web::http::{Method, header};

use super::peer::{Group, Peer};
use crate::metrics_ingest::admission::{Asked, Foreign, admit};

/// Who makes a browser send a request.
const SITE: header::HeaderName = header::HeaderName::from_static("sec-fetch-site");

/// Decides on a request of `peer` by what [`admit`] wants of it. `own` are the addresses of the
/// listener.
pub(super) fn is_admitted(request: &Request, peer: Peer, own: &[IpAddr]) -> Result<(), Foreign> {
    let headers = &request.head().headers;
    let values = |name: &header::HeaderName| Values::of(headers, name);
    // Clients of a unix socket name its path, or anything else: no name resolves to it.
    let is_named = peer.group() != Group::Unix;
    let hosts = if is_named { values(&header::HOST) } else { Values::default() };
    let (origins, sites) = (values(&header::ORIGIN), values(&SITE));
    let asked = Asked {
        reads_only: request.method() == Method::GET,
        hosts: hosts.as_slice(),
        authority: request.uri().authority().filter(|_| is_named).map(|it| it.as_str().as_bytes()),
        origins: origins.as_slice(),
        sites: sites.as_slice(),
    };
    admit(asked, own)
}

/// The values of a header, two at most: it matters whether there is more than one.
#[derive(Default)]
struct Values<'a> {
    first: [&'a [u8]; 2],
    count: usize,
}

impl<'a> Values<'a> {
    fn of(headers: &'a header::HeaderMap, name: &header::HeaderName) -> Self {
        let mut values = Self::default();
        for (place, value) in values.first.iter_mut().zip(headers.get_all(name)) {
            *place = value.as_bytes();
            values.count += 1;
        }
        values
    }

    fn as_slice(&self) -> &[&'a [u8]] {
        &self.first[..self.count]
    }
}
