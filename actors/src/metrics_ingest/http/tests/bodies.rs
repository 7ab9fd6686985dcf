//! Bodies in pieces, and clients that go away.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use actix_http::Payload;
use actix_http::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};

use super::*;

fn pieces(pieces: Vec<Result<Bytes, PayloadError>>) -> Payload {
    Payload::Stream { payload: stream::iter(pieces).boxed_local() }
}

fn sound(parts: &[&str]) -> Payload {
    pieces(parts.iter().map(|part| Ok(Bytes::copy_from_slice(part.as_bytes()))).collect())
}

async fn status(service: &Service, payload: Payload) -> u16 {
    let seat = alone();
    service.post(&header::HeaderMap::new(), payload, &seat.client).await.status().as_u16()
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
        assert_eq!(service.bytes.available_permits(), MAX_BYTES);
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
    let others = u32::try_from(MAX_BYTES - MAX_BODY / 2).unwrap();
    let _others = service.bytes.try_acquire_many(others).unwrap();
    assert_eq!(status(&service, sound(&fits)).await, 429, "the last piece is too much");
    assert_eq!(service.bytes.available_permits(), MAX_BODY / 2);
    assert_eq!(service.waiting.available_permits(), MAX_POSTS);
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
    let comes_after = Some(PEER_TIMEOUT * 2);
    let evaluator = FakeEvaluator { comes_after, ..FakeEvaluator::default() };
    let service = service(evaluator.clone());
    let endless: BoxStream<'static, _> = stream::pending().boxed();
    begin(status(&service, Payload::Stream { payload: endless.boxed_local() })).await;
    assert_eq!((service.waiting.available_permits(), service.posts().waiting), (MAX_POSTS, 0));
    let all = service.turns.acquire_many(u32::try_from(MAX_AT_WORK).unwrap()).await.unwrap();
    begin(status(&service, body())).await;
    assert_eq!(service.waiting.available_permits(), MAX_POSTS);
    drop(all);
    begin(status(&service, body())).await;
    assert_eq!(service.posts().waiting, 1);
    assert_eq!(service.waiting.available_permits(), MAX_POSTS - 1);
    tokio::time::sleep(PEER_TIMEOUT * 3).await;
    assert_eq!((service.posts().waiting, evaluator.stored.borrow().len()), (0, 0));
    assert_eq!(service.waiting.available_permits(), MAX_POSTS);
}
