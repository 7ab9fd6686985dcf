//! Which requests come from this device's own programs, and which from a web page in its browser.
//!
//! A page of any site can make a browser send requests to localhost. It cannot hide that: the
//! browser adds `Origin` to every request that could change something and `Sec-Fetch-Site` to every
//! one, and a name that an attacker resolves to 127.0.0.1 (DNS rebinding) stands in `Host`.
//!
//! The listener's own page is the one exception. Its origin is `http://` and the very `Host` that
//! the request names, `http://localhost:8080`; what comes from there may read, and never post.

use std::net::IpAddr;

/// Why a request is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Foreign {
    #[error("requests of web pages (with an Origin header) are not served")]
    WebPage,
    #[error("the Host header names neither localhost nor an address of this listener")]
    Host,
}

/// What a request says about where it comes from and whom it means.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked<'a> {
    /// `GET`, which changes nothing.
    pub(super) reads_only: bool,
    /// The values of `Host`. Only programs of HTTP/1.0 send none: no browser leaves it out.
    pub(super) hosts: &'a [&'a [u8]],
    /// The authority of a target in absolute form, as a proxy is asked: it counts as `Host` does.
    pub(super) authority: Option<&'a [u8]>,
    /// The values of `Origin`.
    pub(super) origins: &'a [&'a [u8]],
    /// The values of `Sec-Fetch-Site`.
    pub(super) sites: &'a [&'a [u8]],
}

/// Decides on a request. `own` are the addresses that the agent listens at.
pub(super) fn admit(asked: Asked<'_>, own: &[IpAddr]) -> Result<(), Foreign> {
    let mut named = asked.hosts.iter().chain(asked.authority.as_slice());
    match asked.sites {
        // `none` is a person who typed the address.
        [] | [b"none" | b"same-origin"] => {}
        [_, ..] => return Err(Foreign::WebPage),
    }
    match (asked.origins, asked.hosts) {
        ([], _) => {}
        ([origin], [host]) if asked.reads_only && is_of(origin, host) => {}
        (_, _) => return Err(Foreign::WebPage),
    }
    if asked.hosts.len() > 1 || !named.all(|name| is_called_by(name, own)) {
        return Err(Foreign::Host);
    }
    Ok(())
}

/// Returns whether a page that `host` serves has this origin.
fn is_of(origin: &[u8], host: &[u8]) -> bool {
    origin.strip_prefix(b"http://").is_some_and(|origin| origin.eq_ignore_ascii_case(host))
}

/// Returns whether `name[:port]` is one by which only this listener can be meant.
fn is_called_by(name: &[u8], own: &[IpAddr]) -> bool {
    // As nearly every program calls it, which may post a hundred thousand times a second.
    let usual = name.strip_prefix(b"localhost").or_else(|| name.strip_prefix(b"127.0.0.1"));
    if usual.is_some_and(is_port) {
        return true;
    }
    match std::str::from_utf8(name).ok().and_then(host_name) {
        Some(Host::Localhost) => true,
        Some(Host::Address(address)) => is_own(address, own),
        None => false,
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

/// Returns whether this is nothing, or a colon and a port.
fn is_port(text: &[u8]) -> bool {
    let [b':', digits @ ..] = text else { return text.is_empty() };
    let number = digits.iter().try_fold(0_u16, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    });
    number.is_some() && !digits.is_empty()
}

/// Reads the value of a Host header, `name[:port]`.
fn host_name(host: &str) -> Option<Host> {
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
    name.parse().ok().map(IpAddr::V4).map(Host::Address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "192.0.2.7";

    fn called(hosts: &[&[u8]]) -> Result<(), Foreign> {
        admit(Asked { hosts, ..Asked::default() }, &[OWN.parse().unwrap()])
    }

    #[test]
    fn programs_of_the_device_are_served_and_names_from_elsewhere_are_not() {
        for host in [
            "localhost",
            "LocalHost:8080",
            "LOCALHOST",
            // A forwarded port is another one than the listener's.
            "localhost:18080",
            "127.0.0.1:8080",
            "127.1.2.3",
            "[::1]:8080",
            "[::1]",
            "[0:0:0:0:0:0:0:1]:8080",
            "192.0.2.7:8080",
        ] {
            assert_eq!(called(&[host.as_bytes()]), Ok(()), "{host:?}");
        }
        for host in [
            "192.0.2.8",
            "0.0.0.0:8080",
            "[::]:8080",
            "[2001:db8::1]:8080",
            "[fe80::1%25eth0]",
            "[::ffff:127.0.0.1]",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1.nip.io:8080",
            // Resolvers know these, but no program writes them.
            "localhost.",
            "localhost.:8080",
            "127.0.0.1.",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "foo.localhost",
            "localhost.localdomain",
            // What no parser should forgive.
            "localhost:",
            "localhost:x",
            "localhost:+80",
            "localhost:80:80",
            "localhost:70000",
            "localhost,evil.example",
            "localhost evil.example",
            "evil.example@localhost",
            "localhost@evil.example",
            "localhost/",
            "localhost#",
            "http://localhost",
            "[127.0.0.1]:8080",
            "[localhost]",
            "::1",
            "::1:8080",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[]",
            "",
            ":8080",
            "\u{e9}",
            "localh\u{f6}st",
            "\u{ff4c}ocalhost",
            "localhost\0",
        ] {
            assert_eq!(called(&[host.as_bytes()]), Err(Foreign::Host), "{host:?}");
        }
        assert_eq!(called(&[b"\xff"]), Err(Foreign::Host));
    }

    #[test]
    fn a_program_may_name_no_host_but_not_two() {
        assert_eq!(called(&[]), Ok(()));
        for hosts in [
            [&b"localhost"[..], b"localhost"],
            [b"localhost", b"evil.example"],
            [b"evil.example", b"localhost"],
        ] {
            assert_eq!(called(&hosts), Err(Foreign::Host));
        }
    }

    #[test]
    fn a_target_in_absolute_form_counts_as_a_host_does() {
        for (host, authority, served) in [
            (Some("localhost"), "localhost:8080", true),
            (None, "127.0.0.1:8080", true),
            (Some("localhost"), "evil.example", false),
            (Some("evil.example"), "localhost", false),
            (None, "evil.example", false),
            (None, "user@localhost", false),
        ] {
            let hosts: Vec<&[u8]> = host.iter().map(|host| host.as_bytes()).collect();
            let authority = Some(authority.as_bytes());
            let asked = Asked { hosts: &hosts, authority, ..Asked::default() };
            assert_eq!(admit(asked, &[]).is_ok(), served, "{host:?} {authority:?}");
        }
    }

    #[test]
    fn a_listener_on_every_address_is_called_by_any_address_but_by_no_name() {
        let own = ["0.0.0.0".parse().unwrap()];
        for (host, expected) in [
            ("192.0.2.8:8080", Ok(())),
            ("[2001:db8::1]:8080", Ok(())),
            ("evil.example", Err(Foreign::Host)),
        ] {
            let asked = Asked { hosts: &[host.as_bytes()], ..Asked::default() };
            assert_eq!(admit(asked, &own), expected, "{host}");
        }
    }

    #[test]
    fn a_web_page_is_refused_whatever_its_host_and_the_listener_s_own_page_may_read() {
        let own_page = [
            ("http://localhost:8080", "localhost:8080"),
            ("http://LOCALHOST:8080", "localhost:8080"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("http://localhost", "localhost"),
        ];
        let other_pages = [
            ("null", "localhost:8080"),
            ("", "localhost:8080"),
            ("http://localhost", "localhost:8080"),
            ("http://localhost:8080/", "localhost:8080"),
            ("http://localhost:3000", "localhost:8080"),
            ("https://localhost:8080", "localhost:8080"),
            ("HTTP://localhost:8080", "localhost:8080"),
            ("http://127.0.0.1:8080", "localhost:8080"),
            ("http://evil.example", "localhost:8080"),
            ("http://localhost:8080 http://evil.example", "localhost:8080"),
            ("http://localhost.:8080", "localhost:8080"),
        ];
        fn asked(reads_only: bool, origins: &[&[u8]], hosts: &[&[u8]]) -> Result<(), Foreign> {
            admit(Asked { reads_only, origins, hosts, ..Asked::default() }, &[])
        }
        for (origin, host) in own_page {
            let (origin, host) = ([origin.as_bytes()], [host.as_bytes()]);
            assert_eq!(asked(true, &origin, &host), Ok(()));
            assert_eq!(asked(false, &origin, &host), Err(Foreign::WebPage), "it posts nothing");
            let twice = [origin[0], origin[0]];
            assert_eq!(asked(true, &twice, &host), Err(Foreign::WebPage));
        }
        for (origin, host) in other_pages {
            let found = asked(true, &[origin.as_bytes()], &[host.as_bytes()]);
            assert_eq!(found, Err(Foreign::WebPage), "{origin} at {host}");
        }
        // A rebound name is its own origin, and still no name of ours.
        let rebound = asked(true, &[b"http://evil.example:8080"], &[b"evil.example:8080"]);
        assert_eq!(rebound, Err(Foreign::Host));
        assert_eq!(asked(true, &[b"http://localhost"], &[]), Err(Foreign::WebPage));
    }

    #[test]
    fn a_request_that_a_browser_makes_for_another_site_is_refused_without_an_origin() {
        for (sites, served) in [
            (&[&b"none"[..]][..], true),
            (&[b"same-origin"], true),
            (&[b"same-site"], false),
            (&[b"cross-site"], false),
            (&[b"anything"], false),
            (&[b"none", b"cross-site"], false),
        ] {
            let asked =
                Asked { reads_only: true, hosts: &[b"localhost"], sites, ..Asked::default() };
            assert_eq!(admit(asked, &[]).is_ok(), served, "{sites:?}");
        }
    }
}
