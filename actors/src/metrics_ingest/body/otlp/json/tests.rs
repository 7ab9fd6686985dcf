//! Export requests in JSON.

use super::*;
use crate::metrics_ingest::body::batch::Ignored;

fn read(metrics: &str) -> Batch {
    let body = format!(
        r#"{{"resourceMetrics":[{{"resource":{{"attributes":[]}},"scopeMetrics":[
        {{"scope":{{"name":"s"}},"metrics":{metrics}}}]}}]}}"#
    );
    let mut batch = Batch::default();
    parse(body.as_bytes(), &mut batch).unwrap_or_else(|error| panic!("{body}: {error}"));
    batch.finished().unwrap()
}

fn samples(metrics: &str) -> Vec<(String, f64, Option<String>)> {
    let samples = read(metrics).samples.into_iter();
    samples.map(|it| (it.name.to_string(), it.value, it.unit)).collect()
}

#[test]
fn data_points_of_gauges_and_sums_are_samples() {
    for (metric, name, value, unit) in [
        (r#"{"name":"a","gauge":{"dataPoints":[{"asDouble":1.5}]}}"#, "a", 1.5, None),
        (r#"{"gauge":{"dataPoints":[{"asInt":"-7"}]},"name":"a"}"#, "a", -7.0, None),
        (r#"{"name":"a","sum":{"dataPoints":[{"asInt":7}],"isMonotonic":true}}"#, "a", 7.0, None),
        (
            r#"{"name":"system.memory.usage","unit":"By","sum":{"dataPoints":[
                {"startTimeUnixNano":"1","timeUnixNano":"2","asInt":"5",
                "attributes":[{"key":"state","value":{"stringValue":"free"}}]}]}}"#,
            "system.memory.usage_state_free",
            5.0,
            Some("By"),
        ),
        (
            r#"{"name":"a","unit":"1","gauge":{"dataPoints":[{"asDouble":"2","attributes":[
                {"key":"n","value":{"intValue":"7"}},{"key":"b","value":{"boolValue":true}},
                {"key":"d","value":{"doubleValue":0.5}},{"key":"l","value":{"arrayValue":{}}},
                {"key":"none","value":{}}]}]}}"#,
            "a_b_true_d_0.5_n_7",
            2.0,
            None,
        ),
        (r#"{"name":"a","unit":"{packets}","gauge":{"dataPoints":[{"asInt":1}]}}"#, "a", 1.0, None),
    ] {
        let expected = vec![(name.to_owned(), value, unit.map(str::to_owned))];
        assert_eq!(samples(&format!("[{metric}]")), expected, "{metric}");
    }
}

#[test]
fn points_without_a_value_are_none_and_distributions_are_reported() {
    let batch = read(
        r#"[{"name":"a","gauge":{"dataPoints":[{},{"asInt":"1","flags":1},{"asDouble":"NaN"}]}},
        {"name":"h","histogram":{"dataPoints":[{"count":"1"},{}]}},
        {"name":"s","summary":{"dataPoints":[{}]}},{"name":"e","exponentialHistogram":{}},
        {"name":"nothing"},{}]"#,
    );
    assert_eq!(batch.samples, []);
    let expected =
        [("a", Ignored::NotFinite), ("h", Ignored::Distribution), ("s", Ignored::Distribution)];
    assert_eq!(batch.remarks.reasons().collect::<Vec<_>>(), expected);
    assert_eq!(batch.remarks.ignored(), 4);
}

#[test]
fn what_is_no_export_is_refused_with_its_place() {
    for body in ["[]", "7", "{", r#"{"resourceMetrics":{}}"#, r#"{"resourceMetrics":[7]}"#, "{} x"]
    {
        let error = parse(body.as_bytes(), &mut Batch::default()).unwrap_err().to_string();
        assert!(error.contains("line 1 column") && error.contains("resourceMetrics"), "{error}");
    }
    assert!(parse(br#"{"resourceMetrics":[]}"#, &mut Batch::default()).is_ok());
    let deep = format!(r#"{{"x":{}"#, "[".repeat(100_000));
    assert!(parse(deep.as_bytes(), &mut Batch::default()).is_err());
}
