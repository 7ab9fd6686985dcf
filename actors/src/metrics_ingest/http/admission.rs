//! Which requests come from programs on this device, and which from a web page in its browser.
//!
//! A page of any site can make a browser send requests to localhost. It cannot hide that: the
//! browser adds `Origin` to every request that could change something and `Sec-Fetch-Site` to every
//! request, and `Host` holds the name that an attacker resolves to 127.0.0.1 (DNS rebinding).
//!
//! The one exception is the listener's own page. Its origin is `http://` and the `Host` of the
//! request, such as `http://localhost:8080`; it may read, and never post.

use std::net::IpAddr;

use actix_http::Request;
use actix_web::http::{Method, header};

use crate::metrics_ingest::listen::OwnHosts;
use crate::metrics_ingest::sockets::{Group, Peer};

/// Which site makes a browser send a request.
const SITE: header::HeaderName = header::HeaderName::from_static("sec-fetch-site");

/// Why a request is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AdmissionError {
    #[error("requests of web pages (with an Origin header) are not served")]
    WebPage,
    #[error(
        "the Host header names neither localhost nor an address of this listener; METRICS_HOSTS allows \
         other names"
    )]
    Host,
}

/// Decides on a request from `peer`. `own` is what clients may call the listener.
pub(super) fn admit(request: &Request, peer: Peer, own: &OwnHosts) -> Result<(), AdmissionError> {
    let headers = &request.head().headers;
    let values = |name: &header::HeaderName| Values::of(headers, name);
    // Clients of a unix socket put its path into Host, or anything else: no name resolves to it.
    let has_name = peer.group() != Group::Unix;
    let hosts = if has_name { values(&header::HOST) } else { Values::default() };
    let (origins, sites) = (values(&header::ORIGIN), values(&SITE));
    let source = Source {
        reads_only: matches!(*request.method(), Method::GET | Method::HEAD),
        hosts: hosts.as_slice(),
        authority: request.uri().authority().filter(|_| has_name).map(|it| it.as_str().as_bytes()),
        origins: origins.as_slice(),
        sites: sites.as_slice(),
    };
    decide(source, own)
}

/// The values of a header, two at most: what matters is whether there is more than one.
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

/// What a request says about where it comes from and which host it is meant for.
#[derive(Clone, Copy, Debug, Default)]
struct Source<'a> {
    /// It is a `GET` or a `HEAD`, which change nothing.
    reads_only: bool,
    /// The values of `Host`. Only programs that speak HTTP/1.0 send none: every browser sends one.
    hosts: &'a [&'a [u8]],
    /// The authority of a target in absolute form, as sent to a proxy; it counts as `Host` does.
    authority: Option<&'a [u8]>,
    /// The values of `Origin`.
    origins: &'a [&'a [u8]],
    /// The values of `Sec-Fetch-Site`.
    sites: &'a [&'a [u8]],
}

fn decide(source: Source<'_>, own: &OwnHosts) -> Result<(), AdmissionError> {
    let mut names = source.hosts.iter().chain(source.authority.as_slice());
    match source.sites {
        // `none`: the user typed the address.
        [] | [b"none" | b"same-origin"] => {}
        [_, ..] => return Err(AdmissionError::WebPage),
    }
    match (source.origins, source.hosts) {
        ([], _) => {}
        ([origin], [host]) if source.reads_only && is_origin_of(origin, host) => {}
        (_, _) => return Err(AdmissionError::WebPage),
    }
    if source.hosts.len() > 1 || !names.all(|name| means_listener(name, own)) {
        return Err(AdmissionError::Host);
    }
    Ok(())
}

/// Returns whether a page that `host` serves over HTTP has this origin.
fn is_origin_of(origin: &[u8], host: &[u8]) -> bool {
    origin.strip_prefix(b"http://").is_some_and(|origin| origin.eq_ignore_ascii_case(host))
}

/// Returns whether `name[:port]` can mean nothing but this listener.
fn means_listener(name: &[u8], own: &OwnHosts) -> bool {
    // What nearly every program sends, checked first: there may be a hundred thousand posts a second.
    let usual = name.strip_prefix(b"localhost").or_else(|| name.strip_prefix(b"127.0.0.1"));
    if usual.is_some_and(is_port) {
        return true;
    }
    match std::str::from_utf8(name).ok().and_then(host_name) {
        Some(Host::Localhost) => true,
        Some(Host::Address(address)) => address.is_loopback() || own.has_address(address),
        Some(Host::Name(name)) => own.has_name(name),
        None => false,
    }
}

enum Host<'a> {
    Localhost,
    Address(IpAddr),
    Name(&'a str),
}

/// Returns whether this is empty, or a colon and a port.
fn is_port(text: &[u8]) -> bool {
    let [b':', digits @ ..] = text else { return text.is_empty() };
    let number = digits.iter().try_fold(0_u16, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    });
    number.is_some() && !digits.is_empty()
}

/// Parses the value of a Host header, `name[:port]`.
fn host_name(host: &str) -> Option<Host<'_>> {
    let bracketed = host.strip_prefix('[');
    let (name, port) = match bracketed {
        Some(rest) => rest.split_once(']')?,
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    if !is_port(port.as_bytes()) {
        return None;
    }
    if bracketed.is_some() {
        return name.parse().ok().map(IpAddr::V6).map(Host::Address);
    }
    if name.eq_ignore_ascii_case("localhost") {
        return Some(Host::Localhost);
    }
    Some(name.parse().map_or(Host::Name(name), |address| Host::Address(IpAddr::V4(address))))
}

#[cfg(test)]
mod tests;
