//! A service that misbehaves in the place of podman, and podman again.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc;

use super::*;

/// What a faulty service does with each connection.
#[derive(Clone, Copy, Debug)]
enum Misbehaviour {
    /// Answers 500.
    Failing,
    /// Answers 200 and something that is not JSON.
    Garbage,
    /// Answers something that is not HTTP.
    NotHttp,
    /// Closes the connection in the middle of a line.
    ClosesConnections,
    /// Takes the connection and answers nothing.
    NeverAnswers,
}

impl Misbehaviour {
    fn answer(self) -> &'static [u8] {
        match self {
            Self::Failing => {
                b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 49\r\n\r\n\
                {\"cause\":\"locked\",\"message\":\"x\",\"response\":500}"
            }
            Self::Garbage => b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<html>no\n",
            Self::NotHttp => b"SSH-2.0-OpenSSH_9.2\r\n",
            Self::ClosesConnections => {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n[{\"Action\":\"di"
            }
            Self::NeverAnswers => b"",
        }
    }
}

/// A faulty service in the place of podman, until it is dropped.
struct FaultyService(mpsc::Sender<()>, Option<std::thread::JoinHandle<()>>);

impl FaultyService {
    fn at(socket: &Path, misbehaviour: Misbehaviour) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (stop, stopped) = mpsc::channel();
        let serve = move || {
            let mut unanswered = Vec::new();
            while let Err(mpsc::RecvTimeoutError::Timeout) =
                stopped.recv_timeout(Duration::from_millis(10))
            {
                let Ok((mut stream, _)) = listener.accept() else {
                    continue;
                };
                let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(misbehaviour.answer());
                // The one that never answers keeps the connection open.
                if matches!(misbehaviour, Misbehaviour::NeverAnswers) {
                    unanswered.push(stream);
                }
            }
        };
        Self(stop, Some(std::thread::spawn(serve)))
    }
}

impl Drop for FaultyService {
    fn drop(&mut self) {
        let _ = self.0.send(());
        let _ = self.1.take().map(std::thread::JoinHandle::join);
    }
}

/// A faulty service takes podman's place at a new socket for a while. The executor reports it once, and
/// the pod is left alone.
async fn recovers_from(misbehaviour: Misbehaviour) {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let web = serving_workload("web");
    desk.run_start(&web).await.unwrap();
    let first = container_id(&podman, &web);
    podman.shut_down();
    std::fs::remove_file(podman.socket()).unwrap();
    desk.reasons();
    let service = FaultyService::at(&podman.socket(), misbehaviour);
    desk.observe(|seen| seen.pods.is_err()).await;
    let stop = desk.send(stop_of(&web), Duration::from_secs(4));
    let finished = desk.finished.recv().await.unwrap();
    assert_eq!(finished.id, stop);
    assert!(finished.result.is_err(), "{misbehaviour:?}");
    let events = desk.reasons();
    let unavailable = events.iter().filter(|reason| **reason == "RuntimeUnavailable").count();
    assert_eq!(unavailable, 1, "{events:?}");

    drop(service);
    std::fs::remove_file(podman.socket()).unwrap();
    podman.restart();
    let back = desk.clock.now().monotonic;
    desk.observe(|seen| state_in(seen, &web.id).is_some_and(is_running)).await;
    assert_took_less(&desk, back, Duration::from_secs(31));
    assert_eq!(container_id(&podman, &web), first, "the pod was left alone");
    assert_eq!(desk.reasons(), ["RuntimeAvailable"]);
    desk.run_stop(&web).await.unwrap();
    assert!(desk.health.try_recv().is_err(), "the executor was not restarted");
}

#[actix::test]
async fn service_that_fails_is_reported_once_and_recovers() {
    recovers_from(Misbehaviour::Failing).await;
}

#[actix::test]
async fn service_that_answers_garbage_is_reported_once_and_recovers() {
    recovers_from(Misbehaviour::Garbage).await;
}

#[actix::test]
async fn service_that_does_not_speak_http_is_reported_once_and_recovers() {
    recovers_from(Misbehaviour::NotHttp).await;
}

#[actix::test]
async fn service_that_closes_connections_is_reported_once_and_recovers() {
    recovers_from(Misbehaviour::ClosesConnections).await;
}

#[actix::test]
async fn service_that_never_answers_is_reported_once_and_recovers() {
    recovers_from(Misbehaviour::NeverAnswers).await;
}

#[actix::test]
async fn restarted_service_disturbs_none_of_twenty_pods() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let all: Vec<_> = (0..20).map(|n| serving_workload(&format!("web{n}"))).collect();
    for workload in &all {
        desk.run_start(workload).await.unwrap();
    }
    let processes = || {
        let state = |workload: &Arc<Workload>| {
            let name = container_name(workload, "main");
            let detail = podman.json(&format!("containers/{name}/json"));
            (detail["Id"].clone(), detail["State"]["Pid"].clone())
        };
        all.iter().map(state).collect::<Vec<_>>()
    };
    let before = processes();
    podman.shut_down();
    desk.observe(|seen| seen.pods.is_err()).await;
    podman.restart();
    let back = desk.clock.now().monotonic;
    desk.observe(|seen| {
        all.iter().all(|workload| state_in(seen, &workload.id).is_some_and(is_running))
    })
    .await;
    let took = desk.clock.now().monotonic.saturating_since(back);
    println!("20 pods were observed {took:?} after the service was back");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(processes(), before);
    // Wanted again after the restart: all are adopted.
    for workload in &all {
        desk.run_start(workload).await.unwrap();
    }
    assert_eq!(processes(), before);
}

#[actix::test]
async fn killed_container_is_seen_within_a_second() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let mut times = Vec::new();
    for round in 0..5 {
        let web = serving_workload(&format!("web{round}"));
        desk.run_start(&web).await.unwrap();
        let path = format!("containers/{}/json", container_name(&web, "main"));
        let pid = podman.json(&path)["State"]["Pid"].as_i64().unwrap();
        while desk.observed.try_recv().is_ok() {}
        podman.kill_inside(pid);
        let killed = desk.clock.now().monotonic;
        desk.observe_state(
            &web.id,
            |state| matches!(state, CurrentState::Exited { ended } if ended[0].exit_code == 137),
        )
        .await;
        times.push(desk.clock.now().monotonic.saturating_since(killed));
    }
    times.sort_unstable();
    println!("killed containers were observed after {times:?}");
    assert!(times[2] < Duration::from_secs(2), "{times:?}");
}

#[actix::test]
async fn full_storage_is_reported_until_there_is_room_again() {
    let podman = HermeticPodman::rootful_with_storage(40);
    let mut desk = rootful(&podman);
    let old = serving_workload("old");
    desk.run_start(&old).await.unwrap();
    podman.fill_storage();
    let web = serving_workload("web");
    let error = desk.run_start(&web).await.unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");
    // What runs is still watched. podman 4.3 removes nothing without room for its own notes.
    desk.observe_state(&old.id, is_running).await;
    if let Err(error) = desk.run_stop(&old).await {
        assert!(error.to_string().contains("the disk is full"), "{error}");
    }
    podman.empty_storage();
    desk.run_stop(&old).await.unwrap();
    desk.run_start(&web).await.unwrap();
    desk.observe_state(&web.id, is_running).await;
    desk.run_stop(&web).await.unwrap();
    assert_eq!(podman.json("pods/json"), json!([]));
}
