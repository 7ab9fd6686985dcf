//! What holds for every format.

use proptest::prelude::*;

use super::*;
use crate::metrics_ingest::body::batch::MAX_SAMPLES;

const FORMATS: [Format; 6] = [
    Format::Json,
    Format::JsonLines,
    Format::LineProtocol,
    Format::Exposition,
    Format::OtlpJson,
    Format::OtlpProtobuf,
];

/// Parses a body in each format, and checks what comes out.
fn check(body: &[u8]) {
    for format in FORMATS {
        match parse(format, body) {
            Ok(batch) => {
                assert!(batch.samples.len() <= MAX_SAMPLES.min(body.len()));
                for sample in &batch.samples {
                    assert!(names::is_metric_name(sample.name.as_str()), "{}", sample.name);
                    assert!(sample.value.is_finite());
                    assert!(sample.unit.as_ref().is_none_or(|unit| unit.len() <= 64));
                }
                let answer = batch.remarks.answer().map_or(0, |answer| answer.to_string().len());
                assert!(answer < 128 * 1024, "{answer}");
            }
            Err(error) => {
                let error = error.to_string();
                assert!(!error.is_empty() && error.len() < 500, "{error}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..256)) {
        check(&body);
    }

    #[test]
    fn no_text_panics(body in "\\PC{0,200}") {
        check(body.as_bytes());
    }

    #[test]
    fn no_text_of_the_formats_own_parts_panics(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "cpu", "a", "1", "1.5e3", "5i", "t", "NaN", "+Inf", "=", ",", " ", "\n", "\r", "\\",
                "\"", "{", "}", "[", "]", ":", "#", "\\\"", "le", "é", "\"name\"", "\"value\"",
                "\"resourceMetrics\"", "\"scopeMetrics\"", "\"metrics\"", "\"gauge\"", "\"asInt\"",
                "\"dataPoints\"", "null", "{\"name\":\"a\",\"value\":1}",
            ]),
            0..40,
        )
    ) {
        check(parts.concat().as_bytes());
    }
}

#[test]
fn a_body_of_countless_samples_is_refused() {
    for (format, sample, end) in [
        (Format::LineProtocol, "a b=1\n", ""),
        (Format::LineProtocol, "b=1,", "b=1"),
        (Format::Exposition, "a 1\n", ""),
    ] {
        let start = if end.is_empty() { "" } else { "a " };
        let body = |count: usize| format!("{start}{}{end}", sample.repeat(count));
        assert!(parse(format, body(MAX_SAMPLES - 1).as_bytes()).is_ok());
        let refused = parse(format, body(MAX_SAMPLES + 1).as_bytes()).unwrap_err();
        assert_eq!(refused, BodyError::TooManySamples(MAX_SAMPLES));
    }
}

#[test]
fn a_long_name_for_many_points_is_no_way_to_fill_the_memory() {
    let points = |name: &str, count: usize| {
        let label = |index: usize| {
            format!(r#"{{"asInt":1,"attributes":[{{"key":"k","value":{{"intValue":{index}}}}}]}}"#)
        };
        let points: Vec<String> = (0..count).map(label).collect();
        format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"{name}","gauge":
            {{"dataPoints":[{}]}}}}]}}]}}]}}"#,
            points.join(",")
        )
    };
    let long = "n".repeat(240);
    assert!(parse(Format::OtlpJson, points(&long, 10_000).as_bytes()).is_ok());
    let refused = parse(Format::OtlpJson, points(&long, 20_000).as_bytes()).unwrap_err();
    assert_eq!(refused, BodyError::TooManySamples(MAX_SAMPLES));
}

#[test]
fn a_body_without_a_sample_is_refused_but_an_empty_export_is_none() {
    for format in [Format::JsonLines, Format::LineProtocol, Format::Exposition] {
        for body in ["", "\n \n"] {
            assert!(parse(format, body.as_bytes()).is_err(), "{format:?}");
        }
    }
    assert!(parse(Format::LineProtocol, b"# only a comment").is_err());
    assert!(parse(Format::OtlpJson, b"{}").is_ok_and(|batch| batch.samples.is_empty()));
    assert!(parse(Format::OtlpProtobuf, b"").is_ok_and(|batch| batch.samples.is_empty()));
    assert!(parse(Format::OtlpJson, b"").is_err());
}

#[test]
fn text_is_utf_8() {
    for format in [Format::JsonLines, Format::LineProtocol, Format::Exposition] {
        let error = parse(format, b"cpu \xff=1").unwrap_err().to_string();
        assert!(error.contains("not UTF-8 from byte 4"), "{error}");
    }
}
