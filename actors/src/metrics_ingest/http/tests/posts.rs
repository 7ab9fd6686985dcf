//! Posts: their bodies, their limits, and clients that leave.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use actix_http::Payload;
use actix_http::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};

use super::*;
use crate::metrics_ingest::body::MAX_BODY;
use crate::metrics_ingest::body::content::Target;
use crate::metrics_ingest::http::posts::{
    EVALUATOR_TIMEOUT, MAX_AT_WORK, MAX_LARGE_BYTES, MAX_PARSED_AT_ONCE, MAX_POSTS, SMALL_BODY,
};

fn pieces(pieces: Vec<Result<Bytes, PayloadError>>) -> Payload {
    Payload::Stream { payload: stream::iter(pieces).boxed_local() }
}

fn sound(parts: &[&str]) -> Payload {
    pieces(parts.iter().map(|part| Ok(Bytes::copy_from_slice(part.as_bytes()))).collect())
}

async fn status(service: &Service, payload: Payload) -> u16 {
    let headers = header::HeaderMap::new();
    service.intake.post(Target::Metrics, &headers, payload, &alone()).await.status().as_u16()
}

#[actix::test]
async fn a_body_is_whole_however_it_is_cut() {
    let body = r#"[{"name":"a","value":1},{"name":"b","value":2.5}]"#;
    for parts in [vec![body], body.split_inclusive(',').collect(), body.split("").collect()] {
        let evaluator = FakeEvaluator::default();
        let service = service(evaluator.clone());
        assert_eq!(status(&service, sound(&parts)).await, 204, "{} parts", parts.len());
        let stored = evaluator.stored.borrow();
        let stored: Vec<_> = stored.iter().map(|it| (it.name.as_str(), it.value)).collect();
        assert_eq!(stored, [("a", 1.0), ("b", 2.5)]);
        assert_eq!(service.intake.large_bytes.available_permits(), MAX_LARGE_BYTES);
    }
}

#[actix::test]
async fn the_limits_hold_for_all_pieces_together() {
    let service = service(FakeEvaluator::default());
    let half = " ".repeat(MAX_BODY / 2);
    let sample = r#"{"name":"a","value":1}"#;
    let fits = [&half[sample.len()..], sample, &half];
    assert_eq!(status(&service, sound(&fits)).await, 204);
    assert_eq!(status(&service, sound(&[&half, sample, &half])).await, 413);
    let cut = vec![Ok(Bytes::from_static(b"[")), Err(PayloadError::Incomplete(None))];
    assert_eq!(status(&service, pieces(cut)).await, 400);
    let others = u32::try_from(MAX_LARGE_BYTES - MAX_BODY / 2).unwrap();
    let _others = service.intake.large_bytes.try_acquire_many(others).unwrap();
    assert_eq!(status(&service, sound(&fits)).await, 429, "the last piece is too much");
    assert_eq!(service.intake.large_bytes.available_permits(), MAX_BODY / 2);
    assert_eq!(service.intake.posts.available_permits(), MAX_POSTS);
}

/// Gives the evaluator its turn, and then up.
async fn begin(future: impl Future<Output = u16>) {
    let mut future = pin!(future);
    for _ in 0..3 {
        poll_fn(|task| {
            assert!(future.as_mut().poll(task).is_pending());
            Poll::Ready(())
        })
        .await;
        tokio::task::yield_now().await;
    }
}

#[actix::test]
async fn a_client_that_goes_away_leaves_nothing_behind() {
    tokio::time::pause();
    let body = || sound(&[r#"{"name":"x","value":1}"#]);
    let comes_after = Some(EVALUATOR_TIMEOUT * 2);
    let evaluator = FakeEvaluator { comes_after, ..FakeEvaluator::default() };
    let service = service(evaluator.clone());
    let endless: BoxStream<'static, _> = stream::pending().boxed();
    begin(status(&service, Payload::Stream { payload: endless.boxed_local() })).await;
    assert_eq!(
        (service.intake.posts.available_permits(), service.intake.counts().waiting),
        (MAX_POSTS, 0)
    );
    let all = service.intake.turns.acquire_many(u32::try_from(MAX_AT_WORK).unwrap()).await.unwrap();
    begin(status(&service, body())).await;
    assert_eq!(service.intake.posts.available_permits(), MAX_POSTS);
    drop(all);
    begin(status(&service, body())).await;
    assert_eq!(service.intake.counts().waiting, 1);
    assert_eq!(service.intake.posts.available_permits(), MAX_POSTS - 1);
    tokio::time::sleep(EVALUATOR_TIMEOUT * 3).await;
    assert_eq!((service.intake.counts().waiting, evaluator.stored.borrow().len()), (0, 0));
    assert_eq!(service.intake.posts.available_permits(), MAX_POSTS);
}

#[test]
fn a_large_body_counts_until_its_thread_is_done_though_its_client_has_left() {
    while_other_threads_are_busy(async |busy| {
        let service = service(FakeEvaluator::default());
        let body = " ".repeat(MAX_PARSED_AT_ONCE) + r#"{"name":"x","value":1}"#;
        begin(status(&service, sound(&[&body]))).await;
        let counts = || (service.intake.posts.available_permits(), service.intake.counts().waiting);
        assert_eq!(counts(), (MAX_POSTS - 1, 1));
        drop(busy);
        while counts() != (MAX_POSTS, 0) {
            tokio::task::yield_now().await;
        }
        assert_eq!(service.intake.large_bytes.available_permits(), MAX_LARGE_BYTES);
    });
}

#[actix::test]
async fn a_post_is_taken_whatever_its_content_type() {
    for content_type in [
        None,
        Some("application/json"),
        Some("application/x-www-form-urlencoded"),
        Some("no such type"),
    ] {
        let evaluator = FakeEvaluator::default();
        let mut request = post(r#"{"value":20,"name":"cpu"}"#);
        if let Some(content_type) = content_type {
            request = request.insert_header((header::CONTENT_TYPE, content_type));
        }
        let answer = ask(&service(evaluator.clone()), request).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        assert_eq!(evaluator.stored.borrow()[0].name.as_str(), "cpu");
    }
}

#[actix::test]
async fn a_bad_body_is_refused_with_the_place_and_nothing_is_taken() {
    let evaluator = FakeEvaluator::default();
    let body = r#"[{"name":"a","value":1},{"name":"b","value":null}]"#;
    let answer = ask(&service(evaluator.clone()), post(body)).await;
    assert_eq!(answer.status, 400);
    let json: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let error = json["error"].as_str().unwrap();
    assert!(error.contains("sample 1, field value"), "{error}");
    assert!(evaluator.stored.borrow().is_empty());
}

#[actix::test]
async fn a_body_over_the_limit_is_refused() {
    let answer = ask(&service(FakeEvaluator::default()), post(&" ".repeat(MAX_BODY + 1))).await;
    assert_eq!(answer.status, 413);
}

#[actix::test]
async fn the_bound_on_names_reaches_the_sender() {
    let evaluator = FakeEvaluator { refuses: true, ..FakeEvaluator::default() };
    let answer = ask(&service(evaluator), post(r#"{"name":"x","value":1}"#)).await;
    assert_eq!(answer.status, 507);
    assert!(answer.body.contains("10000 names"), "{}", answer.body);
}

#[actix::test]
async fn an_evaluator_that_hangs_costs_the_sender_five_seconds_and_holds_its_place() {
    tokio::time::pause();
    let comes_after = Some(Duration::from_secs(3_600));
    let service = service(FakeEvaluator { comes_after, ..FakeEvaluator::default() });
    let answer = ask(&service, post(r#"{"name":"x","value":1}"#)).await;
    assert_eq!(answer.status, 503);
    assert_eq!(service.intake.counts().waiting, 1);
    assert_eq!(service.intake.posts.available_permits(), MAX_POSTS - 1);
}

/// Else a client that sends it again would be counted twice.
#[actix::test]
async fn a_post_that_was_answered_with_an_error_is_never_stored() {
    tokio::time::pause();
    let comes_after = Some(EVALUATOR_TIMEOUT * 3);
    let evaluator = FakeEvaluator { comes_after, ..FakeEvaluator::default() };
    let service = service(evaluator.clone());
    // One of each size: what a large body holds comes back as well.
    let sample = r#"{"name":"x","value":1}"#;
    for body in [sample.to_owned(), " ".repeat(SMALL_BODY) + sample] {
        assert_eq!(ask(&service, post(&body)).await.status, 503);
    }
    tokio::time::sleep(EVALUATOR_TIMEOUT * 2).await;
    assert!(evaluator.stored.borrow().is_empty());
    let free =
        (service.intake.posts.available_permits(), service.intake.large_bytes.available_permits());
    assert_eq!((service.intake.counts().waiting, free), (0, (MAX_POSTS, MAX_LARGE_BYTES)));
    assert_eq!(ask(&service, post(r#"{"name":"y","value":1}"#)).await.status, 204);
    assert_eq!(evaluator.stored.borrow().len(), 1);
}

#[actix::test]
async fn an_evaluator_that_hangs_is_sent_no_more_than_it_may_have_at_work() {
    tokio::time::pause();
    let comes_after = Some(Duration::from_secs(3_600));
    let service = service(FakeEvaluator { comes_after, ..FakeEvaluator::default() });
    let posts = (0..MAX_AT_WORK + 4).map(|_| ask(&service, post(r#"{"name":"x","value":1}"#)));
    let answers = futures_util::future::join_all(posts).await;
    let with = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((with(503), with(429)), (MAX_AT_WORK, 4));
}

#[actix::test]
async fn too_many_posts_at_one_time_are_sent_away_for_a_second() {
    let service = service(FakeEvaluator::default());
    let small = r#"{"name":"x","value":1}"#;
    let others = u32::try_from(MAX_POSTS - 1).unwrap();
    let _others = service.intake.posts.try_acquire_many(others).unwrap();
    let last = service.intake.posts.try_acquire().unwrap();
    let answer = ask(&service, post(small)).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.headers.get(header::RETRY_AFTER).unwrap(), "1");
    drop(last);
    assert_eq!(ask(&service, post(small)).await.status, 204);
    assert_eq!(service.intake.posts.available_permits(), 1);
}

#[actix::test]
async fn large_bodies_share_what_is_left_and_small_ones_are_always_taken() {
    let service = service(FakeEvaluator::default());
    let sample = r#"{"name":"x","value":1}"#;
    let body = |length: usize| sample.to_owned() + &" ".repeat(length - sample.len());
    let others = u32::try_from(MAX_LARGE_BYTES - SMALL_BODY).unwrap();
    let _others = service.intake.large_bytes.try_acquire_many(others).unwrap();
    let last = service.intake.large_bytes.try_acquire().unwrap();
    for (length, status) in
        [(SMALL_BODY, 204), (SMALL_BODY + 1, 204), (SMALL_BODY * 2, 429), (MAX_BODY, 429)]
    {
        assert_eq!(ask(&service, post(&body(length))).await.status, status, "{length}");
    }
    drop(last);
    assert_eq!(ask(&service, post(&body(SMALL_BODY * 2))).await.status, 204);
    assert_eq!(service.intake.large_bytes.available_permits(), SMALL_BODY);
}

#[actix::test]
async fn a_post_waits_for_its_turn_but_not_for_ever() {
    tokio::time::pause();
    let evaluator = FakeEvaluator::default();
    let service = service(evaluator.clone());
    let all = service.intake.turns.acquire_many(u32::try_from(MAX_AT_WORK).unwrap()).await.unwrap();
    let answer = ask(&service, post(r#"{"name":"x","value":1}"#)).await;
    assert_eq!((answer.status, evaluator.stored.borrow().len()), (429, 0));
    let end = async {
        tokio::time::sleep(EVALUATOR_TIMEOUT / 2).await;
        drop(all);
    };
    let (answer, ()) = tokio::join!(ask(&service, post(r#"{"name":"x","value":1}"#)), end);
    assert_eq!((answer.status, evaluator.stored.borrow().len()), (204, 1));
    assert_eq!(service.intake.turns.available_permits(), MAX_AT_WORK);
}

#[actix::test]
async fn places_are_given_back_when_a_post_is_stored() {
    let service = service(FakeEvaluator::default());
    ask(&service, post(r#"{"name":"x","value":1}"#)).await;
    assert_eq!(service.intake.counts().waiting, 0);
    assert_eq!(service.intake.posts.available_permits(), MAX_POSTS);
}
