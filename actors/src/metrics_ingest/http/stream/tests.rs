//! Looks that streams share, and the events made of them.

use std::cell::Cell;

use serde_json::json;

use super::*;

fn at(millis: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_millis(millis))
}

#[tokio::test]
async fn streams_that_look_at_about_the_same_time_share_one_question() {
    let (latest, asked) = (Latest::default(), Cell::new(0));
    let look = |millis| {
        latest.recent_or(at(millis), || {
            asked.set(asked.get() + 1);
            let snapshot = Snapshot::from(json!({ "n": asked.get() }));
            Box::pin(async move { snapshot })
        })
    };
    let first = look(0);
    let second = look(249);
    assert_eq!(first.clone().await.event, second.await.event);
    let third = look(250);
    assert_ne!(first.await.event, third.clone().await.event);
    assert_eq!(asked.get(), 2);
    // What no stream holds is gone, however recent.
    drop(third);
    drop(look(251));
    assert_eq!(asked.get(), 3);
}

#[tokio::test]
async fn a_reader_that_stops_in_the_middle_of_a_question_holds_up_no_other() {
    let latest = Latest::default();
    let (answer, waiting) = tokio::sync::oneshot::channel::<Value>();
    let waiting = async { Snapshot::from(waiting.await.unwrap()) };
    let mut first = latest.recent_or(at(0), || waiting.boxed_local());
    let second = latest.recent_or(at(1), || panic!("the question is asked already"));
    assert!((&mut first).now_or_never().is_none(), "it has begun, and is not polled again");
    answer.send(json!({ "a": 1 })).unwrap();
    assert!(second.await.event.ends_with(b"data: {\"a\":1}\n\n"));
}

#[test]
fn a_status_cannot_end_its_event() {
    let hostile = "\n\nevent: status\ndata: {}\r\n\r\n\u{2028}";
    let event = Snapshot::from(json!({ "reason": hostile })).event;
    let text = std::str::from_utf8(&event).unwrap();
    assert_eq!(text.matches(['\n', '\r']).count(), 3, "{text}");
    let data = text.lines().nth(1).and_then(|line| line.strip_prefix("data: ")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(data).unwrap()["reason"], hostile);
}
