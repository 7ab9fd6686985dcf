//! The bytes of answers.

use super::*;
use crate::metrics_ingest::body::batch::{Batch, Ignored};
use crate::metrics_ingest::body::names::Series;

#[test]
fn an_answer_in_protobuf_has_the_fields_of_the_protocol() {
    let mut batch = Batch::default();
    assert_eq!(response(Encoding::Protobuf, &batch.remarks), b"");
    batch.ignore(&Series::new("h", Vec::new()), Ignored::Distribution, 3);
    let text = "h: histograms and summaries have no single value; and 2 more";
    let length = u8::try_from(text.len()).unwrap();
    let partial = [&[0x08, 3, 0x12, length], text.as_bytes()].concat();
    let expected = [&[0x0a, length + 4], &*partial].concat();
    assert_eq!(response(Encoding::Protobuf, &batch.remarks), expected);
    assert_eq!(status(Encoding::Protobuf, "no"), b"\x08\x03\x12\x02no");
}

#[test]
fn an_answer_in_json_commands_no_terminal() {
    let mut batch = Batch::default();
    batch.ignore(&Series::new("h\u{1b}[2J\u{202e}", Vec::new()), Ignored::Distribution, 1);
    for answer in [response(Encoding::Json, &batch.remarks), status(Encoding::Json, "\u{9b}")] {
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.chars().all(grammar::is_printable), "{answer:?}");
    }
}
