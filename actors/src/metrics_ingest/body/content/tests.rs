//! The table of content types.

use super::*;

#[test]
fn the_content_type_says_the_format_and_where_it_does_not_the_body_does() {
    use Format::{Exposition, Json, JsonLines, LineProtocol};
    for (content_type, body, format) in [
        ("application/json", "cpu value=1", Json),
        ("Application/JSON; charset=utf-8", "", Json),
        ("application/x-ndjson", "{}", JsonLines),
        ("application/jsonl", "{}", JsonLines),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", "x 1", Exposition),
        ("text/plain; version=0.0.4; charset=utf-8", "x 1", Exposition),
        // What Telegraf sends.
        ("text/plain; charset=utf-8", "cpu,host=a usage=1 1", LineProtocol),
        ("text/plain", "cpu usage=1", LineProtocol),
        ("text/plain", "# made by hand\n\ncpu usage=1", LineProtocol),
        ("text/plain", "cpu usage=\"{\"", LineProtocol),
        ("text/plain", "# HELP x What.\nx 1", Exposition),
        ("text/plain", "#TYPE x gauge", Exposition),
        ("text/plain", "x 1", Exposition),
        ("text/plain", "x{a=\"b\"} 1", Exposition),
        ("text/plain", "x {a=\"b\"} 1", Exposition),
        ("text/plain", "{\"name\":\"x\",\"value\":1}", Json),
        ("text/plain", "\n [", Json),
        // What curl sends with -d.
        ("application/x-www-form-urlencoded", "{\"name\":\"x\",\"value\":1}", Json),
        ("", "x 1", Exposition),
        ("", "", Json),
        ("", "x", Json),
        ("*/*", "cpu usage=1", LineProtocol),
    ] {
        let found = Format::of(Target::Metrics, content_type, body.as_bytes());
        assert_eq!(found, Ok(format), "{content_type:?} {body:?}");
    }
}

#[test]
fn otlp_has_a_path_of_its_own() {
    for (content_type, format) in [
        ("application/x-protobuf", Format::OtlpProtobuf),
        ("application/json", Format::OtlpJson),
        ("application/json; charset=utf-8", Format::OtlpJson),
    ] {
        assert_eq!(Format::of(Target::Otlp, content_type, b""), Ok(format), "{content_type}");
    }
    for content_type in ["", "text/plain", "application/x-ndjson"] {
        let error = Format::of(Target::Otlp, content_type, b"").unwrap_err().to_string();
        assert!(error.contains("goes to /metrics"), "{error}");
    }
    let error = Format::of(Target::Metrics, "application/x-protobuf", b"").unwrap_err();
    assert!(error.to_string().contains("/v1/metrics"), "{error}");
}
