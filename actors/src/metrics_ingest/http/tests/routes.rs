//! What each path answers, and to whom.

use actix_web::http::Method;

use super::*;

#[actix::test]
async fn a_web_page_and_a_foreign_name_are_refused() {
    let service = service(FakeEvaluator::default());
    let body = r#"{"name":"x","value":1}"#;
    for (name, value, status) in [
        (header::ORIGIN, "http://localhost:8080", 403),
        (header::ORIGIN, "null", 403),
        (header::HOST, "evil.example:8080", 403),
        (header::HOST, "localhost:8080", 204),
        (header::HOST, "[::1]:8080", 204),
    ] {
        let answer = ask(&service, post(body).insert_header((name, value))).await;
        assert_eq!(answer.status, status, "{value}");
    }
    for (host, origin, site, status) in [
        ("localhost:8080", "null", "cross-site", 403),
        ("localhost:8080", "http://localhost:8080", "same-origin", 200),
        ("localhost:8080", "http://localhost:3000", "same-site", 403),
        ("localhost:8080", "http://localhost:8080", "cross-site", 403),
        ("evil.example", "http://evil.example", "same-origin", 403),
    ] {
        let request = TestRequest::get().uri("/status").insert_header((header::HOST, host));
        let request = request.insert_header((header::ORIGIN, origin));
        let answer = ask(&service, request.insert_header(("sec-fetch-site", site))).await;
        assert_eq!(answer.status, status, "{host} {origin} {site}");
    }
    for name in [header::HOST, header::ORIGIN] {
        let mut request = post(body);
        for _ in 0..3 {
            request = request.append_header((name.clone(), "localhost:8080"));
        }
        assert_eq!(ask(&service, request).await.status, 403, "{name}");
    }
    // What a picture or a frame of another page asks for comes without an Origin.
    let request = TestRequest::get().uri("/status").insert_header(("sec-fetch-site", "cross-site"));
    assert_eq!(ask(&service, request).await.status, 403);
}

#[actix::test]
async fn the_pages_answer_and_other_paths_and_methods_do_not() {
    let service = service(FakeEvaluator::default());
    for (request, status, words) in [
        (
            TestRequest::get().uri("/healthz"),
            200,
            "degraded\nthe desired state cannot be asked for",
        ),
        (TestRequest::get().uri("/status"), 200, "\"schema\":1"),
        (TestRequest::get().uri("/metrics"), 200, "# TYPE"),
        (TestRequest::get().uri("/"), 200, "<!doctype html>"),
        (TestRequest::get().uri("/page.css"), 200, "prefers-color-scheme: dark"),
        (TestRequest::get().uri("/page.js"), 200, "new EventSource"),
        (TestRequest::get().uri("/icon.svg"), 200, "<svg"),
        (TestRequest::get().uri("/index.html"), 404, "\"error\""),
        (TestRequest::get().uri("/metrics/x"), 404, "/metrics"),
        (TestRequest::put().uri("/metrics"), 405, "GET, HEAD, POST only"),
        (TestRequest::get().uri("/v1/metrics"), 405, "POST only"),
        (
            TestRequest::default().method(Method::OPTIONS).uri("/metrics"),
            405,
            "GET, HEAD, POST only",
        ),
        (post(r#"{"name":"x","value":1}"#).uri("/metrics?by=hand"), 204, ""),
        (post(r#"{"name":"x","value":1}"#).uri("/%6Detrics"), 204, ""),
        (post("x").uri("/%6Detrics"), 400, "\"error\""),
        (TestRequest::post().uri("/status"), 405, "GET, HEAD only"),
        (TestRequest::post().uri("/events"), 405, "GET, HEAD only"),
        (TestRequest::post().uri("/"), 405, "GET, HEAD only"),
        (TestRequest::delete().uri("/healthz"), 405, "GET, HEAD only"),
    ] {
        let answer = ask(&service, request).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.body.contains(words), "{}", answer.body);
        assert_eq!(answer.headers.contains_key(header::ALLOW), status == 405);
    }
}

#[actix::test]
async fn the_scrape_counts_posts() {
    let service = service(FakeEvaluator::default());
    ask(&service, post(r#"{"name":"x","value":1}"#)).await;
    ask(&service, post("x")).await;
    let answer = ask(&service, TestRequest::get().uri("/metrics")).await;
    for line in [
        r#"device_worker_metric_posts_total{result="taken"} 1"#,
        r#"device_worker_metric_posts_total{result="refused"} 1"#,
    ] {
        assert!(answer.body.contains(line), "{}", answer.body);
    }
}

#[actix::test]
async fn a_browser_may_do_little_with_the_page_and_guesses_the_type_of_no_answer() {
    let service = service(FakeEvaluator::default());
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let headers = ask(&service, TestRequest::get().uri(path)).await.headers;
        let has = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(has("content-type"), kind);
        let policy = has("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(has("cache-control"), "no-store");
        assert_eq!(has("referrer-policy"), "no-referrer");
        assert_eq!(has("cross-origin-resource-policy"), "same-origin");
    }
    for path in ["/", "/page.js", "/status", "/metrics", "/healthz", "/events", "/nothing"] {
        for host in ["localhost", "evil.example"] {
            let request = TestRequest::get().uri(path).insert_header((header::HOST, host));
            let response = answered(&service, request).await;
            let value = response.headers().get(header::X_CONTENT_TYPE_OPTIONS);
            assert_eq!(value.unwrap(), "nosniff", "{path} {host}");
            assert_eq!(response.status() == 403, host == "evil.example");
        }
    }
    for (body, has_header) in [(r#"{"name":"x","value":1}"#, false), ("x", true)] {
        let headers = ask(&service, post(body)).await.headers;
        assert_eq!(headers.contains_key(header::X_CONTENT_TYPE_OPTIONS), has_header, "{body}");
    }
}
