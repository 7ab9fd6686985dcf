//! Which requests come from this device's own programs, and which from a web page in its browser.
//!
//! A page of any site can make a browser send requests to localhost. It cannot hide that: the
//! browser adds `Origin` to every request that could change something, and a name that an attacker
//! resolves to 127.0.0.1 (DNS rebinding) stands in `Host`.

use std::net::IpAddr;

/// Why a request is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Foreign {
    #[error("requests of web pages (with an Origin header) are not served")]
    WebPage,
    #[error("the Host header names neither localhost nor an address of this listener")]
    Host,
}

/// Decides on a request by its headers. `own` are the addresses that the agent listens at.
pub(super) fn admit(has_origin: bool, host: Option<&[u8]>, own: &[IpAddr]) -> Result<(), Foreign> {
    if has_origin {
        return Err(Foreign::WebPage);
    }
    // Only HTTP/1.0 programs send no Host, and that of a unix socket's client does not count;
    // browsers always send one.
    let Some(host) = host else {
        return Ok(());
    };
    match std::str::from_utf8(host).ok().and_then(host_name) {
        Some(Host::Localhost) => Ok(()),
        Some(Host::Address(address)) if is_own(address, own) => Ok(()),
        Some(Host::Address(_)) | None => Err(Foreign::Host),
    }
}

fn is_own(address: IpAddr, own: &[IpAddr]) -> bool {
    // A listener on every address is called by any of them, and an address cannot be rebound.
    address.is_loopback() || own.iter().any(|own| own.is_unspecified() || *own == address)
}

enum Host {
    Localhost,
    Address(IpAddr),
}

/// Reads the value of a Host header, `name[:port]`.
fn host_name(host: &str) -> Option<Host> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port_is_sound = match port.strip_prefix(':') {
        Some(digits) => digits.parse::<u16>().is_ok(),
        None => port.is_empty(),
    };
    if !port_is_sound {
        return None;
    }
    if name.eq_ignore_ascii_case("localhost") {
        return Some(Host::Localhost);
    }
    name.parse().ok().map(Host::Address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_the_device_are_served_and_names_from_elsewhere_are_not() {
        let own = ["192.0.2.7".parse().unwrap()];
        for (host, served) in [
            (Some("localhost"), true),
            (Some("LocalHost:8080"), true),
            (Some("127.0.0.1:8080"), true),
            (Some("127.1.2.3"), true),
            (Some("[::1]:8080"), true),
            (Some("[::1]"), true),
            (Some("192.0.2.7:8080"), true),
            (None, true),
            (Some("192.0.2.8"), false),
            (Some("evil.example"), false),
            (Some("localhost.evil.example"), false),
            (Some("127.0.0.1.evil.example"), false),
            (Some("localhost:x"), false),
            (Some("[::1"), false),
            (Some("[::1]x"), false),
            (Some(""), false),
            (Some("\u{e9}"), false),
        ] {
            let decision = admit(false, host.map(str::as_bytes), &own);
            assert_eq!(decision.is_ok(), served, "{host:?}");
        }
        assert_eq!(admit(false, Some(b"\xff"), &own), Err(Foreign::Host));
    }

    #[test]
    fn a_listener_on_every_address_is_called_by_any_address_but_by_no_name() {
        let own = ["0.0.0.0".parse().unwrap()];
        assert_eq!(admit(false, Some(b"192.0.2.8:8080"), &own), Ok(()));
        assert_eq!(admit(false, Some(b"evil.example"), &own), Err(Foreign::Host));
    }

    #[test]
    fn a_web_page_is_refused_whatever_its_host() {
        assert_eq!(admit(true, Some(b"localhost"), &[]), Err(Foreign::WebPage));
    }
}
