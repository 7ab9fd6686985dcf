//! Places to listen at, read and written.

use super::*;

#[test]
fn places_are_read_as_they_are_written() {
    for text in ["localhost:8080", "127.0.0.1:9", "[::1]:0", "0.0.0.0:80", "unix:/run/a.sock"] {
        let listen: Listen = text.parse().unwrap();
        assert_eq!(listen.to_string(), text);
    }
}

#[test]
fn what_is_no_place_is_refused_with_examples() {
    for text in [
        "",
        "8080",
        "localhost",
        "localhost:x",
        "localhost:70000",
        "example.com:80",
        "unix:",
        "unix:a",
    ] {
        let error = text.parse::<Listen>().unwrap_err();
        assert!(error.to_string().contains("127.0.0.1:8080"), "{error}");
    }
}
