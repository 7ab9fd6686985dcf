//! Export requests in protobuf.

use super::*;
use crate::metrics_ingest::body::batch::Ignored;

/// Writes a field that holds bytes.
fn message(number: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    assert!(length < 0x80, "one byte holds the length");
    [&[number << 3 | 2, length], content].concat()
}

fn double(number: u8, value: f64) -> Vec<u8> {
    [&[number << 3 | 1][..], &value.to_le_bytes()].concat()
}

fn integer(number: u8, value: i64) -> Vec<u8> {
    [&[number << 3 | 1][..], &value.to_le_bytes()].concat()
}

fn attribute(key: &str, value: &[u8]) -> Vec<u8> {
    message(7, &[message(1, key.as_bytes()), message(2, value)].concat())
}

fn export(metric: &[u8]) -> Vec<u8> {
    // A resource and a scope stand before what is of interest, and an unknown field.
    let scope = [message(1, b"\x0a\x01s"), message(2, metric), vec![0x25, 1, 2, 3, 4]].concat();
    message(1, &[message(1, b""), message(2, &scope)].concat())
}

fn read(metric: &[u8]) -> Batch {
    let mut batch = Batch::default();
    parse(&export(metric), &mut batch).unwrap();
    batch.finished().unwrap()
}

#[test]
fn data_points_of_gauges_and_sums_are_samples() {
    let free = attribute("state", &message(1, b"free"));
    let flag = attribute("b", &[2 << 3, 1]);
    let number = attribute("n", &[3 << 3, 7]);
    let list = attribute("l", &message(5, b""));
    for (data, name, value) in [
        (message(5, &message(1, &double(4, 1.5))), "a.b", 1.5),
        (message(7, &message(1, &integer(6, -7))), "a.b", -7.0),
        (message(5, &message(1, &[free, double(4, 1.0)].concat())), "a.b_state_free", 1.0),
        (
            message(5, &message(1, &[flag, number, list, double(4, 1.0)].concat())),
            "a.b_b_true_n_7",
            1.0,
        ),
    ] {
        let (called, unit) = (message(1, b"a.b"), message(3, b"By"));
        // In any order.
        for metric in [[&*called, &*unit, &*data].concat(), [&*data, &*unit, &*called].concat()] {
            let samples = read(&metric).samples;
            assert_eq!(samples.len(), 1);
            assert_eq!((samples[0].name.as_str(), samples[0].value), (name, value));
            assert_eq!(samples[0].unit.as_deref(), Some("By"));
        }
    }
}

#[test]
fn points_without_a_value_are_none_and_distributions_are_reported() {
    let ended = [double(4, 1.0), vec![8 << 3, 1]].concat();
    let points = [message(1, b""), message(1, &ended)].concat();
    let histogram = message(9, &[message(1, b""), message(1, b"")].concat());
    let batch = read(&[message(1, b"h"), message(5, &points), histogram].concat());
    assert_eq!(batch.samples, []);
    assert_eq!(batch.remarks.reasons().collect::<Vec<_>>(), [("h", Ignored::Distribution)]);
    assert_eq!(batch.remarks.ignored(), 2);
}

#[test]
fn what_is_no_message_is_refused() {
    for (body, words) in [
        (&b"\x0a\x05a"[..], "ends within a field"),
        (b"\x0a", "no protobuf"),
        (b"\x00", "no protobuf"),
        (b"\x0b", "group"),
        (b"\x09\x01", "ends within a field"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "ends within a field"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "no protobuf"),
        (br#"{"resourceMetrics":[]}"#, "ExportMetricsServiceRequest"),
    ] {
        let error = parse(body, &mut Batch::default()).unwrap_err().to_string();
        assert!(error.contains(words), "{body:?}: {error}");
    }
    let name = [message(1, b"\xff"), message(5, &message(1, &double(4, 1.0)))].concat();
    let error = parse(&export(&name), &mut Batch::default()).unwrap_err().to_string();
    assert!(error.contains("not UTF-8"), "{error}");
}
