//! Tests of the spellings of values.

use super::*;
use crate::config::addresses::{addresses, hosts};
use crate::config::{Listen, LogLevel, ServerUrl};

#[test]
fn durations_are_read_in_every_spelling() {
    for (text, milliseconds) in [
        ("5s", 5_000),
        ("500ms", 500),
        ("2m", 120_000),
        ("1h", 3_600_000),
        ("1m30s", 90_000),
        ("1d", 86_400_000),
        ("1.5s", 1_500),
        ("7", 7_000),
        ("0", 0),
    ] {
        assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
    }
}

#[test]
fn what_is_no_duration_is_refused() {
    for text in
        ["", "s", "5 s", "-5s", "5w", "5x", "5s3", "99999999999h", "18446744073709551615m", "5µs"]
    {
        assert!(duration(text).is_err(), "{text}");
    }
    assert!(positive_duration("0s").is_err());
}

#[test]
fn server_addresses_are_taken_apart() {
    for (text, host, port) in [
        ("https://127.0.0.1:8043", "127.0.0.1", 8043),
        ("HTTPS://edge.example.com:443/", "edge.example.com", 443),
        ("https://[::1]:8043", "::1", 8043),
        ("https://Edge:1", "Edge", 1),
    ] {
        let url: ServerUrl = text.parse().unwrap();
        assert_eq!((url.host(), url.port()), (host, port), "{text}");
    }
    let url: ServerUrl = "https://[::1]:8043/".parse().unwrap();
    assert_eq!(url.to_string(), "https://[::1]:8043");
}

#[test]
fn other_server_addresses_are_refused_with_a_reason() {
    for (text, reason) in [
        ("http://edge:8043", "https"),
        ("edge:8043", "https"),
        ("https://edge", "no port"),
        ("https://[::1]", "no port"),
        ("https://edge:0", "port"),
        ("https://edge:port", "port"),
        ("https://edge:70000", "port"),
        ("https://:8043", "host"),
        ("https://a_b:8043", "host"),
        ("https://300.1.1.1:8043", "host"),
        ("https://[::g]:8043", "host"),
        ("https://user:hunter2@edge:8043", "user name"),
        ("https://edge:8043/api", "path"),
        ("https://edge:8043?x=1", "path"),
    ] {
        let error = text.parse::<ServerUrl>().unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_bare_log_level_is_about_our_own_code() {
    let level: LogLevel = "Debug".parse().unwrap();
    assert_eq!(
        level.directives(),
        "warn,kube_client=off,device_worker_ng=debug,actors=debug,grammar=debug"
    );
    let level: LogLevel = "error, kube=trace".parse().unwrap();
    assert!(level.directives().starts_with("error,"));
    assert!(level.directives().ends_with(",kube=trace"));
}

#[test]
fn a_misspelt_log_level_is_refused() {
    for text in ["debgu", "info,actors=loud", "", "info,=debug", "a[b]=info"] {
        assert!(text.parse::<LogLevel>().is_err(), "{text}");
    }
}

#[test]
fn addresses_are_read_and_written_back() {
    let text = "localhost:8080,127.0.0.1:1,[::1]:2,unix:/run/a.sock";
    let all = addresses(text).unwrap();
    let written: Vec<_> = all.iter().map(ToString::to_string).collect();
    assert_eq!(written.join(","), text);
    assert!(all.iter().all(Listen::is_local));
    let open: Listen = "0.0.0.0:8080".parse().unwrap();
    assert!(!open.is_local());
}

#[test]
fn wrong_addresses_are_refused() {
    for text in [
        "",
        ",",
        ":8080",
        "8080",
        "edge:8080",
        "localhost:99999",
        "unix:relative",
        "[::1]:1,[::1]:1",
    ] {
        assert!(addresses(text).is_err(), "{text}");
    }
}

#[test]
fn labels_are_lower_case_rfc_1123() {
    for text in ["toto", "a", "7", "a-b-9", &"a".repeat(63)] {
        assert!(label(text).is_ok(), "{text}");
    }
    for text in ["", "-a", "a-", "a.b", "a_b", "ä", "Toto", &"a".repeat(64)] {
        assert!(label(text).is_err(), "{text}");
    }
    let error = label("My_Device").unwrap_err().to_string();
    assert!(error.ends_with("write my-device"), "{error}");
}

#[test]
fn a_socket_is_an_absolute_path_in_podmans_spelling_too() {
    for text in ["/run/p.sock", "unix:/run/p.sock", "unix:///run/p.sock"] {
        assert_eq!(socket(text).unwrap(), Path::new("/run/p.sock"), "{text}");
    }
    assert!(socket("p.sock").is_err());
}

#[test]
fn numbers_outside_their_range_are_refused() {
    assert_eq!(number("1.5", 1.0, 100.0), Ok(1.5));
    for text in ["0.9", "101", "NaN", "inf", "x", ""] {
        assert!(number(text, 1.0, 100.0).is_err(), "{text}");
    }
    assert_eq!(count("4"), Ok(4));
    for text in ["0", "-1", "1001", "x"] {
        assert!(count(text).is_err(), "{text}");
    }
}

#[test]
fn hosts_are_names_and_addresses_without_a_port() {
    for (text, expected) in [
        ("gateway.local", &["gateway.local"][..]),
        (" my-pi, Gateway.Local ,", &["my-pi", "Gateway.Local"]),
        ("192.0.2.9,[2001:db8::9],2001:db8::9", &["192.0.2.9", "2001:db8::9", "2001:db8::9"]),
    ] {
        assert_eq!(hosts(text).unwrap(), expected, "{text}");
    }
    for (text, reason) in [
        ("gateway.local:8080", "without the port"),
        ("192.0.2.9:8080", "without the port"),
        ("http://gateway.local", "neither a name nor an address"),
        ("*", "neither a name nor an address"),
        ("*.local", "neither a name nor an address"),
        ("a b", "neither a name nor an address"),
        ("300.1.1.1", "neither a name nor an address"),
    ] {
        let error = hosts(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
}
