//! Posts of collectors: as they were recorded, compressed, and refused.

use std::io::Write as _;

use actix_web::http::Method;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::metrics_ingest::body::MAX_BODY;
use crate::metrics_ingest::http::posts::MAX_LARGE_BYTES;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn gzipped(plain: &[u8]) -> TestRequest {
    let request = TestRequest::post().uri("/metrics").set_payload(gzip(plain));
    request.insert_header((header::CONTENT_ENCODING, "gzip"))
}

fn typed(uri: &str, content_type: &str, body: impl Into<Vec<u8>>) -> TestRequest {
    let request = TestRequest::post().uri(uri).set_payload(body.into());
    request.insert_header((header::CONTENT_TYPE, content_type.to_owned()))
}

/// Returns what the evaluator was sent of a request, and the answer.
async fn stored(request: TestRequest) -> (Vec<(String, f64, Option<String>)>, Answer) {
    let evaluator = FakeEvaluator::default();
    let service = service(evaluator.clone());
    let answer = ask(&service, request).await;
    assert_eq!(service.intake.large_bytes.available_permits(), MAX_LARGE_BYTES);
    let samples = evaluator.stored.borrow();
    let samples = samples.iter().map(|it| (it.name.to_string(), it.value, it.unit.clone()));
    (samples.collect(), answer)
}

#[actix::test]
async fn each_content_type_is_read_as_its_format() {
    for (uri, content_type, body, name) in [
        ("/metrics", "application/json", r#"{"name":"a","value":1}"#, "a"),
        ("/metrics", "application/x-ndjson", "{\"name\":\"a\",\"value\":1}\n", "a"),
        ("/metrics", "text/plain; charset=utf-8", "m,t=b f=1 1700000000", "m_f_t_b"),
        ("/metrics", "text/plain; version=0.0.4", "a{b=\"c\"} 1", "a_b_c"),
        (
            "/v1/metrics",
            "application/json",
            r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"a","gauge":
                {"dataPoints":[{"asDouble":1}]}}]}]}]}"#,
            "a",
        ),
    ] {
        let (samples, answer) = stored(typed(uri, content_type, body)).await;
        assert!((200..300).contains(&answer.status), "{content_type}: {}", answer.body);
        assert_eq!(samples, [(name.to_owned(), 1.0, None)], "{content_type}");
    }
}

#[actix::test]
async fn an_answer_tells_names_and_what_was_ignored_and_says_nothing_else() {
    let (_, answer) = stored(typed("/metrics", "text/plain", "m f=1,g=\"x\"")).await;
    assert_eq!(answer.status, 200);
    let expected = r#"{"ignored":{"m_g":"a text is no value of a metric"}}"#;
    assert_eq!(answer.body, expected);
    let (samples, answer) = stored(post(r#"{"name":"cpu-load","value":1}"#)).await;
    assert_eq!((answer.status, &*answer.body), (200, r#"{"known_as":{"cpu-load":"cpu_load"}}"#));
    assert_eq!(samples, [("cpu_load".to_owned(), 1.0, None)]);
    let (samples, answer) = stored(typed("/metrics", "text/plain", "m g=\"x\"")).await;
    assert_eq!((answer.status, samples.len()), (200, 0), "no reason to send it again");
    let (_, answer) = stored(post(r#"{"name":"cpu","value":1}"#)).await;
    assert_eq!((answer.status, &*answer.body), (204, ""));
}

#[actix::test]
async fn a_compressed_body_is_read_and_a_broken_one_refused() {
    let body = br#"{"name":"a","value":1}"#;
    let (samples, answer) = stored(gzipped(body)).await;
    assert_eq!((answer.status, samples.len()), (204, 1));
    let spaces = " ".repeat(MAX_BODY - body.len());
    let (samples, answer) = stored(gzipped(&[spaces.as_bytes(), body].concat())).await;
    assert_eq!((answer.status, samples.len()), (204, 1), "it fills the bound");
    let (mut cut, mut changed, mut twice) = (gzip(body), gzip(body), gzip(body));
    cut.truncate(cut.len() - 9);
    changed[20] ^= 0x55;
    twice.extend(gzip(b""));
    for broken in [body.to_vec(), cut, changed, twice, Vec::new()] {
        let request = TestRequest::post().uri("/metrics").set_payload(broken);
        let request = request.insert_header((header::CONTENT_ENCODING, "gzip"));
        let (samples, answer) = stored(request).await;
        assert_eq!((answer.status, samples.len()), (400, 0), "{}", answer.body);
        assert!(answer.body.contains("not gzip"), "{}", answer.body);
    }
    for coding in ["deflate", "br", "zstd", "gzip, gzip", "snappy"] {
        let request = post("{}").insert_header((header::CONTENT_ENCODING, coding));
        let (_, answer) = stored(request).await;
        assert_eq!(answer.status, 415, "{coding}");
        assert_eq!(answer.headers.get(header::ACCEPT_ENCODING).unwrap(), "gzip, identity");
    }
    let request = post(r#"{"name":"a","value":1}"#);
    let (_, answer) = stored(request.insert_header((header::CONTENT_ENCODING, "identity"))).await;
    assert_eq!(answer.status, 204);
}

#[actix::test]
async fn a_bomb_is_refused_before_it_takes_more_than_a_body_may() {
    let bomb = gzip(&vec![b' '; 512 * MAX_BODY]);
    assert!(bomb.len() < MAX_BODY, "{}", bomb.len());
    let request = TestRequest::post().uri("/metrics").set_payload(bomb.clone());
    let (_, answer) = stored(request.insert_header((header::CONTENT_ENCODING, "gzip"))).await;
    assert_eq!(answer.status, 413);
    assert!(answer.body.contains("inflated"), "{}", answer.body);
    // What it inflates to takes its share of the memory: here there is none.
    let service = service(FakeEvaluator::default());
    let others = u32::try_from(MAX_LARGE_BYTES - MAX_BODY).unwrap();
    let _others = service.intake.large_bytes.try_acquire_many(others).unwrap();
    let request = TestRequest::post().uri("/metrics").set_payload(bomb);
    let answer = ask(&service, request.insert_header((header::CONTENT_ENCODING, "gzip"))).await;
    assert_eq!(answer.status, 429, "{}", answer.body);
    assert_eq!(service.intake.large_bytes.available_permits(), MAX_BODY);
}

#[actix::test]
async fn an_exporter_is_answered_in_its_own_encoding() {
    let histogram = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
        {"name":"h","histogram":{"dataPoints":[{},{}]}}]}]}]}"#;
    let (_, answer) = stored(typed("/v1/metrics", "application/json", histogram)).await;
    assert_eq!(answer.status, 200);
    let partial = r#"{"partialSuccess":{"errorMessage":"h: histograms and summaries have no single value; and 1 more","rejectedDataPoints":"2"}}"#;
    assert_eq!(answer.body, partial);
    let (_, answer) = stored(typed("/v1/metrics", "application/json", "{}")).await;
    assert_eq!((answer.status, &*answer.body), (200, "{}"));
    let (_, answer) = stored(typed("/v1/metrics", "application/x-protobuf", "")).await;
    assert_eq!((answer.status, &*answer.body), (200, ""));
    assert_eq!(answer.headers.get(header::CONTENT_TYPE).unwrap(), "application/x-protobuf");
    let (_, answer) = stored(typed("/v1/metrics", "application/x-protobuf", "\x0a\x05a")).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.starts_with("\x08\x03\x12"), "a google.rpc.Status: {:?}", answer.body);
    let (_, answer) = stored(typed("/v1/metrics", "application/json", "[]")).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("\"message\":") && answer.body.contains("resourceMetrics"));
    for (uri, content_type, words) in [
        ("/v1/metrics", "text/plain", "goes to /metrics"),
        ("/metrics", "application/x-protobuf", "/v1/metrics"),
    ] {
        let (_, answer) = stored(typed(uri, content_type, "x")).await;
        assert_eq!(answer.status, 415);
        assert!(answer.body.contains(words), "{}", answer.body);
    }
}

#[actix::test]
async fn the_curl_line_of_device_worker_ng_posts_though_its_method_is_a_flag() {
    let curled = |uri| {
        let request = TestRequest::default().method(Method::from_bytes(b"-H").unwrap()).uri(uri);
        let form = (header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        request.insert_header(form).set_payload(r#"{"value":20,"name":"cpu"}"#)
    };
    let (samples, answer) = stored(curled("/metrics")).await;
    assert_eq!((answer.status, samples.len()), (204, 1), "{}", answer.body);
    for (uri, status) in [("/status", 405), ("/v1/metrics", 405), ("/nothing", 404)] {
        assert_eq!(stored(curled(uri)).await.1.status, status, "{uri}");
    }
    let page = curled("/metrics").insert_header((header::ORIGIN, "http://evil.example"));
    assert_eq!(stored(page).await.1.status, 403);
}

#[actix::test]
async fn head_is_answered_as_get_is_without_the_body() {
    let service = service(FakeEvaluator::default());
    for path in ["/", "/page.js", "/status", "/metrics", "/healthz", "/events"] {
        let head = TestRequest::default().method(Method::HEAD).uri(path);
        let head = read(answered(&service, head).await).await;
        assert_eq!((head.status, &*head.body), (200, ""), "{path}");
        let get = answered(&service, TestRequest::get().uri(path)).await;
        assert_eq!(head.headers.get(header::CONTENT_TYPE), get.headers().get(header::CONTENT_TYPE));
    }
    let head = TestRequest::default().method(Method::HEAD).uri("/nothing");
    assert_eq!(answered(&service, head).await.status(), 404);
}

/// A request as a collector sends it, and the samples that come out of it.
type Recorded = (&'static [u8], &'static [(&'static str, f64, Option<&'static str>)]);

/// Those of Telegraf, Vector and the OpenTelemetry collector are written after their documentation and
/// sources; all others were sent by the real program.
const RECORDED: &[Recorded] = &[
    (
        include_bytes!("recorded/telegraf.http"),
        &[
            ("cpu_usage_user_cpu_cpu_total", 1.5, None),
            ("cpu_usage_system_cpu_cpu_total", 0.5, None),
            ("cpu_usage_idle_cpu_cpu_total", 98.0, None),
            ("mem_active", 1_234_567_168.0, None),
            ("mem_available_percent", 64.25, Some("%")),
            ("mem_free", 734_003_200.0, None),
            ("disk_free_device_sda1_fstype_ext4_mode_rw_path__", 10_737_418_240.0, None),
            ("disk_used_percent_device_sda1_fstype_ext4_mode_rw_path__", 37.5, Some("%")),
            (
                "systemd_units_load_code_active_active_load_loaded_name_ssh.service_sub_running",
                0.0,
                None,
            ),
        ],
    ),
    (
        include_bytes!("recorded/telegraf-plain.http"),
        &[("temp_temp_sensor_coretemp_core_0", 48.0, None)],
    ),
    (include_bytes!("recorded/vector-json.http"), &[("load1", 0.75, None), ("load5", 0.5, None)]),
    (include_bytes!("recorded/vector-lines.http"), &[("load1", 0.75, None), ("load5", 0.5, None)]),
    (
        include_bytes!("recorded/opentelemetry-collector-json.http"),
        &[
            ("system.memory.usage_state_used", 1_234_567_168.0, Some("By")),
            ("system.memory.usage_state_free", 734_003_200.0, Some("By")),
            ("system.cpu.load_average.1m", 0.75, None),
        ],
    ),
    (include_bytes!("recorded/opentelemetry-python.http"), OPENTELEMETRY_PYTHON),
    (include_bytes!("recorded/opentelemetry-python-gzip.http"), OPENTELEMETRY_PYTHON),
    (include_bytes!("recorded/prometheus-client.http"), PROMETHEUS_CLIENT),
    (include_bytes!("recorded/openmetrics-client.http"), PROMETHEUS_CLIENT),
    (include_bytes!("recorded/curl-of-device-worker-ng.http"), &[("cpu", 20.0, None)]),
];

const OPENTELEMETRY_PYTHON: &[(&str, f64, Option<&str>)] = &[
    ("room.temperature_room_kitchen", 21.5, Some("Cel")),
    ("queue.length", 7.0, None),
    ("frames.dropped_reason_late", 3.0, None),
    ("memory.free", 734_003_200.0, Some("By")),
];

const PROMETHEUS_CLIENT: &[(&str, f64, Option<&str>)] = &[
    ("node_memory_free_bytes_node_0", 734_003_200.0, Some("B")),
    ("room_temperature_celsius_room_the__back__room", 21.5, Some("C")),
    ("frames_dropped_total", 3.0, None),
    ("frames_dropped_created", 1.7e9, None),
    ("frame_seconds_bucket_le_0.1", 1.0, None),
    ("frame_seconds_bucket_le_1.0", 1.0, None),
    ("frame_seconds_bucket_le__Inf", 1.0, None),
    ("frame_seconds_count", 1.0, None),
    ("frame_seconds_sum", 0.04, Some("s")),
    ("frame_seconds_created", 1.7e9, None),
];

#[actix::test]
async fn recorded_requests_of_collectors_are_taken() {
    for (recorded, expected) in RECORDED {
        let end = recorded.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&recorded[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let mut start = lines.next().unwrap().split(' ');
        let method = Method::from_bytes(start.next().unwrap().as_bytes()).unwrap();
        let mut request = TestRequest::default().method(method).uri(start.next().unwrap());
        request = request.set_payload(recorded[end + 4..].to_vec());
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            request = request.insert_header((name, value));
        }
        let (samples, answer) = stored(request).await;
        assert!((200..300).contains(&answer.status), "{head}\n{}", answer.body);
        let samples: Vec<_> = samples
            .iter()
            .map(|(name, value, unit)| (name.as_str(), *value, unit.as_deref()))
            .collect();
        assert_eq!(samples, *expected, "{head}");
    }
}
