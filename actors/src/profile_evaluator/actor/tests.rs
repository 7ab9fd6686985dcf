//! The evaluator among probes, in virtual time.

use std::fmt::Debug;
use std::future::Future;
use std::sync::{Arc, Mutex};

use actix::prelude::{Addr, Message, SystemRunner};
use chrono::DateTime;
use futures_util::future::Either;
use tracing::field::Field;
use tracing_subscriber::layer::{self, Layer, SubscriberExt as _};

use super::*;
use crate::messages::{ActorHealthChanged, ConditionReport};
use crate::supervisor::Slot;
use crate::testing::probe::Probe;
use crate::workload::{ProfileCondition, Sample, Verdicts};

/// Runs `story` on a paused clock.
fn in_virtual_time(story: impl Future<Output = ()>) {
    let system: SystemRunner = actix::System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime")
    });
    system.block_on(story);
}

/// The actor and its neighbours.
struct Scene {
    evaluator: Addr<ProfileEvaluator>,
    verdicts: Probe<ProfilesEvaluated>,
    events: Probe<EventRecorded>,
}

struct Neighbours {
    deps: EvaluatorDeps,
    verdicts: Probe<ProfilesEvaluated>,
    events: Probe<EventRecorded>,
}

fn neighbours(default_ttl: Option<Duration>) -> Neighbours {
    let (verdicts, scheduler) = Probe::start();
    let (events, event_recipient) = Probe::start();
    let deps = EvaluatorDeps {
        scheduler,
        events: event_recipient,
        clock: Clock::simulated(DateTime::UNIX_EPOCH),
        metrics: SharedMetrics::default(),
        default_ttl,
    };
    Neighbours { deps, verdicts, events }
}

impl Scene {
    fn new() -> Self {
        Self::with_ttl(None)
    }

    fn with_ttl(default_ttl: Option<Duration>) -> Self {
        let Neighbours { deps, verdicts, events } = neighbours(default_ttl);
        Self { evaluator: ProfileEvaluator::new(deps).start(), verdicts, events }
    }

    async fn configure(&self, conditions: &[(&str, &str)]) {
        let message = configured(conditions);
        self.evaluator.send(message).await.expect("alive");
        settle().await;
    }

    async fn post(&self, name: &str, value: f64) {
        let taken = self.evaluator.send(posted(name, value)).await;
        taken.expect("alive").expect("taken");
        settle().await;
    }

    /// Returns the verdicts sent since the last call, as `condition Verdict`.
    fn sent(&self) -> Vec<Vec<String>> {
        self.verdicts.take().iter().map(|sent| words(&sent.verdicts)).collect()
    }
}

/// Lets every message arrive.
async fn settle() {
    wait(Duration::from_nanos(1)).await;
}

async fn wait(duration: Duration) {
    tokio::time::sleep(duration).await;
}

fn configured(conditions: &[(&str, &str)]) -> ProfilesConfigured {
    let conditions = conditions.iter().map(|(name, expression)| ProfileCondition {
        name: (*name).into(),
        expression: (*expression).to_owned(),
    });
    ProfilesConfigured {
        profiles: [Profile { name: "p".into(), conditions: conditions.collect() }].into(),
    }
}

fn posted(name: &str, value: f64) -> MetricsReceived {
    let samples = vec![Sample { name: name.into(), value, unit: None, ttl: None }];
    MetricsReceived { samples, permits: Vec::new() }
}

fn words(verdicts: &Verdicts) -> Vec<String> {
    let verdicts = verdicts.values().flat_map(|verdicts| verdicts.iter());
    verdicts.map(|(name, verdict)| format!("{name} {verdict:?}")).collect()
}

#[test]
fn a_verdict_is_sent_when_it_changes_and_not_otherwise() {
    in_virtual_time(async {
        let scene = Scene::new();
        scene.configure(&[("c", "x > 3"), ("d", "y > 3")]).await;
        assert_eq!(scene.sent(), [["c Unknown", "d Unknown"]]);
        scene.post("x", 5.0).await;
        assert_eq!(scene.sent(), [["c True", "d Unknown"]]);
        scene.post("x", 6.0).await;
        scene.post("z", 6.0).await;
        assert!(scene.sent().is_empty());
        scene.post("x", 2.0).await;
        assert_eq!(scene.sent(), [["c False", "d Unknown"]]);
    });
}

#[test]
fn each_configuration_is_answered_by_all_verdicts() {
    in_virtual_time(async {
        let scene = Scene::new();
        for _ in 0..3 {
            scene.configure(&[("c", "x == nil")]).await;
            assert_eq!(scene.sent(), [["c True"]]);
        }
        scene.evaluator.send(ProfilesConfigured { profiles: Arc::default() }).await.expect("alive");
        settle().await;
        assert_eq!(scene.sent(), [Vec::<String>::new()]);
    });
}

#[test]
fn nothing_is_sent_before_profiles_are_configured() {
    in_virtual_time(async {
        let scene = Scene::new();
        scene.post("x", 5.0).await;
        assert!(scene.sent().is_empty());
        scene.configure(&[("c", "x > 3")]).await;
        assert_eq!(scene.sent(), [["c True"]]);
    });
}

#[test]
fn a_hold_becomes_true_by_itself() {
    in_virtual_time(async {
        let scene = Scene::new();
        scene.configure(&[("c", "x > 3 for 30s")]).await;
        scene.post("x", 5.0).await;
        scene.sent();
        wait(Duration::from_secs(29)).await;
        assert!(scene.sent().is_empty());
        wait(Duration::from_secs(2)).await;
        assert_eq!(scene.sent(), [["c True"]]);
    });
}

#[test]
fn a_metric_without_news_becomes_nil_by_the_default_time_to_live() {
    in_virtual_time(async {
        let scene = Scene::with_ttl(Some(Duration::from_secs(60)));
        scene.configure(&[("c", "x > 3")]).await;
        for _ in 0..10 {
            scene.post("x", 5.0).await;
            wait(Duration::from_secs(50)).await;
        }
        assert_eq!(scene.sent(), [["c Unknown"], ["c True"]]);
        wait(Duration::from_secs(11)).await;
        assert_eq!(scene.sent(), [["c Unknown"]]);
    });
}

#[test]
fn a_time_to_live_of_its_own_beats_the_default() {
    in_virtual_time(async {
        let scene = Scene::with_ttl(Some(Duration::from_secs(60)));
        scene.configure(&[("c", "x > 3")]).await;
        let mut message = posted("x", 5.0);
        message.samples[0].ttl = Some(Duration::from_secs(10));
        let taken = scene.evaluator.send(message).await;
        taken.expect("alive").expect("taken");
        wait(Duration::from_secs(11)).await;
        assert_eq!(scene.sent(), [["c Unknown"], ["c True"], ["c Unknown"]]);
    });
}

#[test]
fn an_earlier_moment_replaces_a_later_one() {
    in_virtual_time(async {
        let scene = Scene::new();
        scene.configure(&[("slow", "x > 3 for 1h"), ("fast", "y > 3 for 1s")]).await;
        scene.post("x", 5.0).await;
        scene.post("y", 5.0).await;
        scene.sent();
        wait(Duration::from_secs(2)).await;
        assert_eq!(scene.sent(), [["fast True", "slow False"]]);
        wait(Duration::from_secs(3_600)).await;
        assert_eq!(scene.sent(), [["fast True", "slow True"]]);
    });
}

#[test]
fn a_window_falls_silent_by_itself() {
    in_virtual_time(async {
        let scene = Scene::new();
        scene.configure(&[("c", "max(x, 10s) > 3")]).await;
        scene.post("x", 5.0).await;
        wait(Duration::from_secs(11)).await;
        assert_eq!(scene.sent(), [["c Unknown"], ["c True"], ["c Unknown"]]);
    });
}

#[test]
fn what_cannot_be_evaluated_is_an_event_once_per_change() {
    in_virtual_time(async {
        let scene = Scene::new();
        for _ in 0..3 {
            scene.configure(&[("bad", "x ="), ("units", "x > 3GiB")]).await;
        }
        let event = scene.events.take();
        assert_eq!(event.len(), 1);
        assert_eq!(event[0].event.reason, EventReason::ConditionFailed);
        assert_eq!(
            event[0].event.message,
            "condition bad of profile p does not count: column 3: found `=`, expected `==`, `!=`, `<`, `<=`, `>` or `>=`"
        );
        for unit in ["C", "C", "MiB", "C"] {
            let mut message = posted("x", 1.0);
            message.samples[0].unit = Some(unit.to_owned());
            scene.evaluator.send(message).await.expect("alive").expect("taken");
        }
        settle().await;
        assert_eq!(scene.events.take().len(), 2);
    });
}

/// Lines of the log: each event's fields, `name=value`.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &tracing::Event<'_>, _: layer::Context<'_, S>) {
        let mut line = String::new();
        event
            .record(&mut |field: &Field, value: &dyn Debug| line += &format!("{field}={value:?} "));
        self.0.lock().unwrap().push(line.trim_end().to_owned());
    }
}

#[test]
fn each_change_of_a_verdict_is_logged_once_with_its_explanation() {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    in_virtual_time(async {
        let scene = Scene::new();
        scene.configure(&[("c", "x > 3%")]).await;
        for value in [5.0, 6.0, 7.0, 2.0, 1.0] {
            scene.post("x", value).await;
            scene.configure(&[("c", "x > 3%")]).await;
        }
    });
    let logged = log.0.lock().unwrap();
    let lines = |verdict: &str, why: &str| {
        format!(
            "message=verdict changed profile=p condition=c verdict=\"{verdict}\" \
             explanation=\"x > 3% is {verdict}: {why}\""
        )
    };
    let expected = [
        lines("unknown", "never posted"),
        // Once, however many more there are.
        "message=sample has no unit profile=p condition=c \
         detail=\"x = 5 without a unit, compared with 3\""
            .to_owned(),
        lines("true", "x = 5 without a unit, compared with 3, posted 0 ms ago"),
        lines("false", "x = 2 without a unit, compared with 3, posted 0 ms ago"),
    ];
    assert_eq!(logged[..], expected);
}

#[test]
fn a_refused_body_changes_nothing() {
    in_virtual_time(async {
        let scene = Scene::new();
        scene.configure(&[("c", "x > 3")]).await;
        scene.sent();
        let names = (0..=10_000).map(|index| posted(&format!("m{index}"), 1.0));
        let mut samples: Vec<Sample> = names.flat_map(|message| message.samples).collect();
        samples.insert(0, posted("x", 5.0).samples.remove(0));
        let refused = scene
            .evaluator
            .send(MetricsReceived { samples, permits: Vec::new() })
            .await
            .expect("alive");
        assert!(refused.is_err());
        settle().await;
        assert!(scene.sent().is_empty());
    });
}

#[test]
fn a_report_shows_conditions_and_metrics() {
    in_virtual_time(async {
        let scene = Scene::with_ttl(Some(Duration::from_secs(10)));
        scene.configure(&[("c", "x > 3")]).await;
        scene.post("x", 5.0).await;
        scene.post("a", 1.0).await;
        wait(Duration::from_secs(20)).await;
        let report = scene.evaluator.send(GetProfiles).await.expect("alive");
        let ConditionReport { verdict, explanation, .. } = &report.conditions[0];
        assert_eq!(verdict, &Verdict::Unknown);
        assert_eq!(explanation, "x > 3 is unknown: stale, posted 20 s ago");
        let names: Vec<&str> = report.metrics.iter().map(|metric| metric.name.as_str()).collect();
        assert_eq!(names, ["a", "x"]);
        assert!(report.metrics.iter().all(|metric| metric.stale));
    });
}

/// Ends the actor's life.
#[derive(Message)]
#[rtype(result = "()")]
struct Die;

impl Handler<Die> for ProfileEvaluator {
    type Result = ();

    fn handle(&mut self, _: Die, _: &mut Self::Context) {
        panic!("asked to die");
    }
}

#[test]
fn a_restart_keeps_metrics_windows_and_holds_and_sends_all_verdicts() {
    in_virtual_time(async {
        let Neighbours { deps, verdicts, .. } = neighbours(None);
        let (_health, health) = Probe::<ActorHealthChanged>::start();
        let slot = Slot::<ProfileEvaluator>::new("profile_evaluator", deps.clock.clone());
        let configure = slot.recipient::<ProfilesConfigured>();
        let post = slot.recipient::<MetricsReceived>();
        let die = slot.recipient::<Die>();
        let actor = ProfileEvaluator::new(deps);
        let conditions = [("held", "x > 3 for 30s"), ("mean", "avg(x, 1h) > 3"), ("now", "x > 3")];
        let life = slot.supervise(actor, health);
        let story = async {
            configure.send(configured(&conditions)).await.expect("alive");
            post.send(posted("x", 5.0)).await.expect("alive").expect("taken");
            wait(Duration::from_secs(10)).await;
            verdicts.take();
            tell(&die, Die);
            wait(Duration::from_secs(10)).await;
            let sent: Vec<_> = verdicts.take().iter().map(|sent| words(&sent.verdicts)).collect();
            assert_eq!(sent, [["held False", "mean True", "now True"]]);
            wait(Duration::from_secs(11)).await;
            let sent: Vec<_> = verdicts.take().iter().map(|sent| words(&sent.verdicts)).collect();
            assert_eq!(sent, [["held True", "mean True", "now True"]]);
        };
        let first = futures_util::future::select(Box::pin(life), Box::pin(story)).await;
        assert!(matches!(first, Either::Right(_)), "the story ends, the actor does not");
    });
}

/// A Monday, and a clock that reads so at first.
const MONDAY: &str = "2026-11-23T12:00:00Z";
const NOT_ON_MONDAY: &str = "on tue-sun";

fn clocked(wall: &str) -> (Scene, Clock) {
    let Neighbours { mut deps, verdicts, events } = neighbours(None);
    let clock = Clock::simulated(wall.parse().expect("a time"));
    deps.clock = clock.clone();
    (Scene { evaluator: ProfileEvaluator::new(deps).start(), verdicts, events }, clock)
}

#[test]
fn days_are_unknown_until_the_clock_is_trusted() {
    in_virtual_time(async {
        let (scene, _) = clocked(MONDAY);
        scene.configure(&[("c", "on mon-sun"), ("d", "x > 3")]).await;
        assert_eq!(scene.sent(), [["c Unknown", "d Unknown"]]);
        scene.evaluator.send(ClockTrusted).await.expect("alive");
        settle().await;
        assert_eq!(scene.sent(), [["c True", "d Unknown"]]);
        scene.evaluator.send(ClockTrusted).await.expect("alive");
        settle().await;
        assert!(scene.sent().is_empty());
    });
}

#[test]
fn a_clock_that_is_set_is_noticed_within_a_minute() {
    in_virtual_time(async {
        let (scene, clock) = clocked("1970-01-01T00:00:00Z");
        scene.evaluator.send(ClockTrusted).await.expect("alive");
        scene.configure(&[("c", NOT_ON_MONDAY)]).await;
        assert_eq!(scene.sent(), [["c Unknown"]]);
        let jump = MONDAY.parse::<DateTime<chrono::Utc>>().expect("a time") - DateTime::UNIX_EPOCH;
        clock.step(jump);
        wait(Duration::from_secs(60)).await;
        assert_eq!(scene.sent(), [["c False"]]);
        clock.step(chrono::TimeDelta::days(1));
        wait(Duration::from_secs(60)).await;
        assert_eq!(scene.sent(), [["c True"]]);
        clock.step(chrono::TimeDelta::days(-1));
        wait(Duration::from_secs(60)).await;
        assert_eq!(scene.sent(), [["c False"]]);
    });
}

/// Whatever zone the machine is in, that night is over 36 hours later.
#[test]
fn midnight_comes_by_itself() {
    in_virtual_time(async {
        let (scene, _) = clocked(MONDAY);
        scene.evaluator.send(ClockTrusted).await.expect("alive");
        scene.configure(&[("c", NOT_ON_MONDAY)]).await;
        assert_eq!(scene.sent(), [["c False"]]);
        let mut hours = 0;
        let sent = loop {
            wait(Duration::from_secs(3_600)).await;
            hours += 1;
            let sent = scene.sent();
            if !sent.is_empty() || hours > 36 {
                break sent;
            }
        };
        assert_eq!(sent, [["c True"]]);
        // Where no clock is changed, days change at full minutes.
        wait(Duration::from_secs(3_600 * 24 * 5)).await;
        assert!(scene.sent().is_empty());
    });
}
