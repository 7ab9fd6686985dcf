//! What is reported about a cluster that refuses, does not answer or is unreachable.

use super::*;

#[actix::test]
async fn refusals_and_outages_are_distinguished() {
    for (code, is_outage) in [(401, true), (409, false), (429, true), (500, true), (503, true)] {
        let server = ApiServer::start(move |_| refusal(code, "R", "the words"));
        let error = server.connect().await.exists("web-1".into()).await;
        let error = error.unwrap_err();
        let text = error.in_full();
        assert_eq!(error.is_outage(), is_outage, "{text}");
        assert!(text.contains("list Deployments") && text.contains("the words"), "{text}");
        assert!(text.contains(&code.to_string()), "{text}");
    }
}

#[actix::test]
async fn the_time_for_which_a_cluster_wants_to_be_left_alone_is_read_wherever_it_stands() {
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let mut in_words = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "slow down", "reason": "TooManyRequests", "code": 429,
    });
    in_words["details"] = json!({"retryAfterSeconds": 7});
    for (code, header, body, expected) in [
        (429, Some("12"), json!("Too many requests, please try again later."), Some(12)),
        (503, Some("3"), json!("upstream is away"), Some(3)),
        (429, None, in_words.clone(), Some(7)),
        (429, Some("9"), in_words, Some(9)),
        (429, Some("86400"), json!(""), Some(300)),
        (429, Some("Wed, 21 Oct 2026 07:28:00 GMT"), json!(""), None),
        (429, None, json!(""), None),
        (500, Some("5"), json!(""), None),
    ] {
        let answer = body.clone();
        let server = ApiServer::start(move |_| Answer::Later(code, header, answer.clone()));
        let error = server.connect().await.exists("web-1".into()).await.unwrap_err();
        assert!(error.is_outage(), "{error}");
        assert_eq!(error.retry_after(), expected.map(seconds), "{code} {header:?} {body}");
    }
}

#[actix::test]
async fn a_silent_cluster_is_given_up() {
    let server = ApiServer::start(|_| Answer::Silence);
    let api = server.connect().await;
    tokio::time::pause();
    let error = api.exists("web-1".into()).await.unwrap_err();
    assert!(matches!(error, ClusterError::TimedOut { .. }), "{error}");
    let mut events = api.watch();
    let error = loop {
        match events.next().await {
            Some(Err(error)) => break error,
            Some(Ok(_)) => {}
            None => panic!("ended without an error"),
        }
    };
    assert!(matches!(error, ClusterError::TimedOut { .. }), "{error}");
}

#[actix::test]
async fn a_cluster_that_is_away_is_named_with_the_systems_words() {
    let mut server = ApiServer::start(|_| Answer::Silence);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    server.url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let error = server.connect().await.exists("web-1".into()).await;
    let text = error.unwrap_err().in_full();
    assert!(text.contains("Connection refused"), "{text}");
}
