//! Bodies that are taken, and the words in which others are refused.

use super::*;
use crate::metrics_ingest::body::error::MAX_ERROR;

fn parse(body: &[u8]) -> Result<Vec<Sample>, BodyError> {
    let mut batch = Batch::default();
    super::parse(body, &mut batch)?;
    Ok(batch.finished()?.samples)
}

fn sample(name: &str, value: f64) -> Sample {
    Sample { name: name.into(), value, unit: None, ttl: None }
}

#[test]
fn one_sample_and_arrays_are_taken() {
    for (body, wanted) in [
        (r#"{"value":20,"name":"cpu"}"#, vec![sample("cpu", 20.0)]),
        (" {\"name\":\"cpu\",\n\"value\":-1.5e2} \n", vec![sample("cpu", -150.0)]),
        (
            r#"[{"name":"a.b_1","value":0},{"name":"_x","value":18446744073709551615}]"#,
            vec![sample("a.b_1", 0.0), sample("_x", 18_446_744_073_709_551_615.0)],
        ),
        (r#"{"name":"a","value":99999999999999999999999}"#, vec![sample("a", 1e23)]),
        (
            r#"{"name":"\u0063pu","value":1,"unit":null,"ttl_seconds":null}"#,
            vec![sample("cpu", 1.0)],
        ),
        (r#"{"name":"a","value":1,"unit":""}"#, vec![sample("a", 1.0)]),
        (
            r#"{"name":"a","value":1,"unit":"MiB","ttl_seconds":0.5}"#,
            vec![Sample {
                unit: Some("MiB".into()),
                ttl: Some(Duration::from_millis(500)),
                ..sample("a", 1.0)
            }],
        ),
        (
            r#"[{"name":"a","value":1},{"name":"a","value":2}]"#,
            vec![sample("a", 1.0), sample("a", 2.0)],
        ),
    ] {
        assert_eq!(parse(body.as_bytes()), Ok(wanted), "{body}");
    }
}

#[test]
fn a_refusal_says_what_is_wrong_and_where() {
    for (body, words) in [
        ("", vec!["empty"]),
        (" \n", vec!["empty"]),
        ("[]", vec!["empty", "nothing was posted"]),
        ("20", vec!["expected", "line 1"]),
        ("null", vec!["expected"]),
        ("{}", vec!["missing field `name`"]),
        (r#"{"name":"a"}"#, vec!["missing field `value`"]),
        (r#"{"name":"a","value":1,"value":2}"#, vec!["field value", "given twice"]),
        (r#"{"name":"a","value":null}"#, vec!["field value", "null", "a number"]),
        (r#"{"name":"a","value":"20"}"#, vec!["field value", "string \"20\"", "a number"]),
        (r#"{"name":"a","value":true}"#, vec!["boolean", "a number"]),
        (r#"{"name":"a","value":NaN}"#, vec!["field value", "column 21"]),
        (r#"{"name":"a","value":1e999}"#, vec!["field value", "out of range"]),
        (r#"{"name":"a","value":-1e999}"#, vec!["field value", "out of range"]),
        (r#"{"name":"a","value":{"x":1}}"#, vec!["field value", "map"]),
        (r#"{"name":"a","value":[1]}"#, vec!["field value", "sequence"]),
        (r#"{"name":7,"value":1}"#, vec!["field name", "integer `7`"]),
        (r#"{"name":"","value":1}"#, vec!["field name", "condition"]),
        (r#"{"name":"é","value":1}"#, vec!["field name", "no letter"]),
        (r#"{"name":"a","value":1,"ttl":5}"#, vec!["unknown field \"ttl\"", "ttl_seconds"]),
        (r#"{"name":"a","value":1,"ttlSeconds":5}"#, vec!["unknown field", "ttl_seconds"]),
        (r#"{"name":"a","value":1,"tll_seconds":5}"#, vec!["unknown field", "ttl_seconds"]),
        (r#"{"name":"a","value":1,"units":"B"}"#, vec!["unknown field \"units\"", "unit"]),
        (r#"{"timestamp":1,"tags":{}}"#, vec!["missing field `name`"]),
        (r#"{"resourceMetrics":[]}"#, vec!["OTLP", "/v1/metrics"]),
        (r#"{"name":"a","value":1,"ttl_seconds":0}"#, vec!["field ttl_seconds", "greater than 0"]),
        (r#"{"name":"a","value":1,"ttl_seconds":-3}"#, vec!["greater than 0"]),
        (r#"{"name":"a","value":1,"ttl_seconds":1e300}"#, vec!["ttl_seconds"]),
        (r#"{"name":"a","value":1,"ttl_seconds":"5"}"#, vec!["ttl_seconds", "string"]),
        (r#"{"name":"a","value":1,"unit":5}"#, vec!["field unit"]),
        (r#"{"name":"a","value":1,"unit":"a\u0000"}"#, vec!["control"]),
        (r#"[{"name":"a","value":1},{"name":"b","value":"x"}]"#, vec!["sample 1, field value"]),
        (r#"[{"name":"a","value":1},7]"#, vec!["sample 1", "integer `7`"]),
        (r#"[{"name":"a","value":1}] x"#, vec!["trailing", "column 26"]),
        (r#"[{"name":"a","value":1}"#, vec!["EOF"]),
        ("{\"name\":\"a\",\n\"value\":x}", vec!["line 2"]),
        ("name=cpu&value=20", vec!["line 1"]),
    ] {
        let error = parse(body.as_bytes()).unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "{body}: {error}");
        }
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let error = parse(b"{\"name\":\"\xff\xfe\",\"value\":1}").unwrap_err();
    assert!(error.to_string().contains("field name"), "{error}");
}

#[test]
fn deep_nesting_is_refused_and_breaks_nothing() {
    for body in [
        "[".repeat(500_000),
        format!(r#"{{"name":"a","value":{}"#, "[".repeat(500_000)),
        format!(r#"{{"x":{}"#, r#"{"x":"#.repeat(100_000)),
    ] {
        assert!(parse(body.as_bytes()).is_err());
    }
}

#[test]
fn names_of_256_bytes_fit_and_longer_ones_do_not() {
    let body = |length: usize| format!(r#"{{"name":"{}","value":1}}"#, "n".repeat(length));
    assert!(parse(body(256).as_bytes()).is_ok());
    let error = parse(body(257).as_bytes()).unwrap_err().to_string();
    assert!(error.len() <= MAX_ERROR + 8 && error.contains("field name"), "{error}");
}

#[test]
fn a_refusal_never_echoes_a_whole_body() {
    let body = format!(r#"{{"name":"a","value":"{}"}}"#, "é".repeat(400_000));
    let error = parse(body.as_bytes()).unwrap_err().to_string();
    assert!(error.len() <= MAX_ERROR + 8 && error.contains("line 1"), "{error}");
}

#[test]
fn fields_of_other_receivers_are_ignored() {
    for extra in [
        r#""timestamp":1700000000"#,
        r#""timestamp":"2026-01-01T00:00:00Z","tags":{"room":"a","unit":"x"}"#,
        r#""labels":["a",{"b":[1]}],"source":null,"host":"pi","min":1,"Value":2"#,
    ] {
        let body = format!(r#"{{{extra},"name":"cpu","value":20}}"#);
        assert_eq!(parse(body.as_bytes()), Ok(vec![sample("cpu", 20.0)]), "{body}");
    }
}

#[test]
fn a_name_that_cannot_stand_in_a_condition_is_mapped_and_the_answer_says_how() {
    let mut batch = Batch::default();
    let body = r#"[{"name":"cpu-load","value":1},{"name":"cpu","value":2},
        {"name":"sensors/t1","value":3},{"name":"cpu-load","value":4},{"name":"nil","value":5}]"#;
    super::parse(body.as_bytes(), &mut batch).unwrap();
    let names: Vec<_> = batch.samples.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["cpu_load", "cpu", "sensors_t1", "cpu_load", "_nil"]);
    let expected = serde_json::json!({ "known_as": {
        "cpu-load": "cpu_load", "nil": "_nil", "sensors/t1": "sensors_t1"
    }});
    assert_eq!(batch.remarks.answer(), Some(expected));
    let mut batch = Batch::default();
    super::parse(br#"{"name":"cpu","value":1}"#, &mut batch).unwrap();
    assert_eq!(batch.remarks.answer(), None);
}

#[test]
fn each_line_is_a_sample_or_an_array_and_an_error_names_the_line() {
    let lines = |body: &str| {
        let mut batch = Batch::default();
        parse_lines(body.as_bytes(), &mut batch)?;
        Ok::<_, BodyError>(batch.finished()?.samples)
    };
    let (a, b) = (r#"{"name":"a","value":1}"#, r#"[{"name":"b","value":2}]"#);
    let both = vec![sample("a", 1.0), sample("b", 2.0)];
    assert_eq!(lines(&format!("{a}\n{b}")), Ok(both.clone()));
    assert_eq!(lines(&format!("\r\n{a}\r\n\n {b}\n")), Ok(both));
    for (body, words) in [
        (format!("{a}\n{a}{b}"), "line 2: trailing characters at column 23"),
        (format!("{a}\n\n{{\"name\":\"a\"}}"), "line 3: missing field `value` at column"),
        (format!("{a}\n[{a},7]"), "line 2: sample 1: invalid type: integer `7`"),
        ("\n \n".to_owned(), "the body is empty"),
    ] {
        let error = lines(&body).unwrap_err().to_string();
        assert!(error.contains(words), "{body}: {error}");
    }
}
