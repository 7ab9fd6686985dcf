//! Requests of programs and of web pages, as a table.

use super::*;

const OWN: &str = "192.0.2.7:8080";

fn called(hosts: &[&[u8]]) -> Result<(), AdmissionError> {
    let own = OwnHosts::new(&[OWN.parse().unwrap()], &[]);
    decide(Source { hosts, ..Source::default() }, &own)
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
        assert_eq!(called(&[host.as_bytes()]), Err(AdmissionError::Host), "{host:?}");
    }
    assert_eq!(called(&[b"\xff"]), Err(AdmissionError::Host));
}

#[test]
fn a_program_may_name_no_host_but_not_two() {
    assert_eq!(called(&[]), Ok(()));
    for hosts in [
        [&b"localhost"[..], b"localhost"],
        [b"localhost", b"evil.example"],
        [b"evil.example", b"localhost"],
    ] {
        assert_eq!(called(&hosts), Err(AdmissionError::Host));
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
        let asked = Source { hosts: &hosts, authority, ..Source::default() };
        assert_eq!(decide(asked, &OwnHosts::default()).is_ok(), served, "{host:?} {authority:?}");
    }
}

#[test]
fn a_listener_on_every_address_is_called_by_any_address_but_by_no_name() {
    let own = OwnHosts::new(&["0.0.0.0:8080".parse().unwrap()], &[]);
    for (host, expected) in [
        ("192.0.2.8:8080", Ok(())),
        ("[2001:db8::1]:8080", Ok(())),
        ("evil.example", Err(AdmissionError::Host)),
    ] {
        let asked = Source { hosts: &[host.as_bytes()], ..Source::default() };
        assert_eq!(decide(asked, &own), expected, "{host}");
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
    fn asked(reads_only: bool, origins: &[&[u8]], hosts: &[&[u8]]) -> Result<(), AdmissionError> {
        decide(Source { reads_only, origins, hosts, ..Source::default() }, &OwnHosts::default())
    }
    for (origin, host) in own_page {
        let (origin, host) = ([origin.as_bytes()], [host.as_bytes()]);
        assert_eq!(asked(true, &origin, &host), Ok(()));
        assert_eq!(asked(false, &origin, &host), Err(AdmissionError::WebPage), "it posts nothing");
        let twice = [origin[0], origin[0]];
        assert_eq!(asked(true, &twice, &host), Err(AdmissionError::WebPage));
    }
    for (origin, host) in other_pages {
        let found = asked(true, &[origin.as_bytes()], &[host.as_bytes()]);
        assert_eq!(found, Err(AdmissionError::WebPage), "{origin} at {host}");
    }
    // A rebound name is its own origin, and still no name of ours.
    let rebound = asked(true, &[b"http://evil.example:8080"], &[b"evil.example:8080"]);
    assert_eq!(rebound, Err(AdmissionError::Host));
    assert_eq!(asked(true, &[b"http://localhost"], &[]), Err(AdmissionError::WebPage));
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
        let asked = Source { reads_only: true, hosts: &[b"localhost"], sites, ..Source::default() };
        assert_eq!(decide(asked, &OwnHosts::default()).is_ok(), served, "{sites:?}");
    }
}

#[test]
fn what_the_settings_allow_is_a_name_of_the_listener_and_nothing_else_is() {
    let listen = |text: &str| text.parse::<crate::metrics_ingest::listen::Listen>().unwrap();
    let allowed = ["gateway.local".to_owned(), "192.0.2.9".to_owned(), "2001:db8::9".to_owned()];
    let local = OwnHosts::new(&[listen("localhost:8080"), listen("unix:/x")], &[]);
    let opened = OwnHosts::new(&[listen("localhost:8080"), listen("10.88.0.1:8080")], &[]);
    let named = OwnHosts::new(&[listen("localhost:8080")], &allowed);
    for (host, by_local, by_opened, by_named) in [
        ("localhost:8080", true, true, true),
        ("10.88.0.1:8080", false, true, false),
        ("host.containers.internal:8080", false, true, false),
        ("host.docker.internal", false, true, false),
        ("HOST.containers.internal:80", false, true, false),
        ("host.containers.internal.:8080", false, false, false),
        ("host.containers.internal.evil.example", false, false, false),
        ("xhost.containers.internal", false, false, false),
        ("containers.internal", false, false, false),
        ("gateway.local:8080", false, false, true),
        ("Gateway.Local", false, false, true),
        ("evil.gateway.local", false, false, false),
        ("gateway.local.evil.example", false, false, false),
        ("gateway.local@evil.example", false, false, false),
        ("192.0.2.9:8080", false, false, true),
        ("[2001:db8::9]:8080", false, false, true),
        ("192.0.2.8", false, false, false),
        ("", false, false, false),
        ("evil.example", false, false, false),
    ] {
        for (own, served) in [(&local, by_local), (&opened, by_opened), (&named, by_named)] {
            let asked = Source { hosts: &[host.as_bytes()], ..Source::default() };
            assert_eq!(decide(asked, own).is_ok(), served, "{host} of {own:?}");
        }
    }
}
