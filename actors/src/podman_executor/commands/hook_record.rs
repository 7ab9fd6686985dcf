//! The hooks of pods, as far as their specifications are known, and what came of those that failed. Pure.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::pod_manifest::hooks::PodHooks;
use crate::workload::WorkloadId;

/// The hooks of the pods of one podman.
#[derive(Debug, Default)]
pub(in crate::podman_executor) struct HookRecord {
    /// Those of each pod that has any.
    pods: BTreeMap<WorkloadId, Rc<PodHooks>>,
    /// The pods whose `postStart` hooks are not known to have ended.
    starts: BTreeMap<WorkloadId, Start>,
    /// How the `preStop` of a container failed last, by pod and container.
    failures: BTreeMap<(WorkloadId, String), String>,
    /// What of that is to be reported.
    news: BTreeMap<WorkloadId, Vec<String>>,
}

/// How far the start of a pod with `postStart` hooks has come.
#[derive(Debug)]
enum Start {
    /// A command sees to it; the hooks of these containers run, or are about to.
    UnderWay(Vec<String>),
    /// The command was given up, or podman was away: the hooks may have run or not.
    GivenUp,
}

impl HookRecord {
    /// Notes the hooks of a pod.
    pub(in crate::podman_executor) fn know(&mut self, pod: &WorkloadId, hooks: PodHooks) {
        if hooks.containers.is_empty() {
            self.pods.remove(pod);
        } else if self.pods.get(pod).is_none_or(|known| **known != hooks) {
            self.pods.insert(pod.clone(), Rc::new(hooks));
        }
    }

    /// Forgets all about pods that are not `needed`.
    pub(in crate::podman_executor) fn keep_only(&mut self, needed: impl Fn(&WorkloadId) -> bool) {
        self.pods.retain(|pod, _| needed(pod));
        self.failures.retain(|(pod, _), _| needed(pod));
        self.starts.retain(|pod, _| needed(pod));
    }

    /// Returns the hooks of a pod that has any.
    pub(in crate::podman_executor) fn of(&self, pod: &WorkloadId) -> Option<Rc<PodHooks>> {
        self.pods.get(pod).map(Rc::clone)
    }

    /// Notes that a start of `pod` is under way, whose `postStart` hooks, if it has any, must end before it
    /// has started.
    pub(super) fn start_begins(&mut self, pod: &WorkloadId) {
        let hooks = self.pods.get(pod).into_iter().flat_map(|pod| pod.containers.iter());
        let owed = hooks.filter(|it| it.post_start.is_some()).map(|it| it.container.clone());
        let owed: Vec<String> = owed.collect();
        match owed.is_empty() {
            true => self.start_is_over(pod),
            false => drop(self.starts.insert(pod.clone(), Start::UnderWay(owed))),
        }
    }

    /// Notes that the `postStart` hooks of these containers of `pod` run.
    pub(super) fn set_starting(&mut self, pod: &WorkloadId, containers: Vec<String>) {
        if let Some(start) = self.starts.get_mut(pod) {
            *start = Start::UnderWay(containers);
        }
    }

    /// Notes that the hooks of `pod` have ended, or the pod itself.
    pub(super) fn start_is_over(&mut self, pod: &WorkloadId) {
        self.starts.remove(pod);
    }

    /// Notes that nothing sees to the start of `pod` any more. One that is over is not in doubt.
    pub(super) fn give_start_up(&mut self, pod: &WorkloadId) {
        if let Some(start) = self.starts.get_mut(pod) {
            *start = Start::GivenUp;
        }
    }

    /// Notes that all commands were given up.
    pub(in crate::podman_executor) fn give_starts_up(&mut self) {
        self.starts.values_mut().for_each(|start| *start = Start::GivenUp);
    }

    /// Returns whether `pod` has containers whose `postStart` hooks may not have run, and nothing sees to
    /// them.
    pub(in crate::podman_executor) fn is_start_given_up(&self, pod: &WorkloadId) -> bool {
        matches!(self.starts.get(pod), Some(Start::GivenUp))
    }

    /// Returns the containers that have not started before their `postStart` hook has ended, by pod.
    pub(in crate::podman_executor) fn starting(
        &self,
    ) -> impl Iterator<Item = (&WorkloadId, &[String])> {
        self.starts.iter().filter_map(|(pod, start)| match start {
            Start::UnderWay(containers) if !containers.is_empty() => Some((pod, &containers[..])),
            Start::UnderWay(_) | Start::GivenUp => None,
        })
    }

    /// Notes how the `preStop` hook of a container ended. The same failure as before is no news.
    pub(super) fn ended(&mut self, pod: &WorkloadId, container: &str, failure: Option<String>) {
        let key = (pod.clone(), container.to_owned());
        match failure {
            None => drop(self.failures.remove(&key)),
            Some(failure) if self.failures.get(&key) == Some(&failure) => {}
            Some(failure) => {
                self.news.entry(pod.clone()).or_default().push(failure.clone());
                self.failures.insert(key, failure);
            }
        }
    }

    /// Returns the failures of a pod's hooks that were not reported yet.
    pub(in crate::podman_executor) fn take_news(&mut self, pod: &WorkloadId) -> Vec<String> {
        self.news.remove(pod).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pod_manifest::hooks::{ContainerHooks, Hook};

    #[test]
    fn a_failure_is_news_once_until_it_changes_or_the_hook_succeeds() {
        let mut record = HookRecord::default();
        let (web, db) = (WorkloadId::from("web-1"), WorkloadId::from("db-1"));
        for (pod, failure, news) in [
            (&web, Some("a"), &["a"][..]),
            (&web, Some("a"), &[]),
            (&db, Some("a"), &["a"]),
            (&web, Some("b"), &["b"]),
            (&web, None, &[]),
            (&web, Some("b"), &["b"]),
        ] {
            record.ended(pod, "main", failure.map(str::to_owned));
            assert_eq!(record.take_news(pod), news);
            assert_eq!(record.take_news(pod), [""; 0]);
        }
        record.ended(&web, "other", Some("b".to_owned()));
        assert_eq!(record.take_news(&web), ["b"], "of another container");
    }

    fn hooks(post_start: Option<u64>, pre_stop: Option<u64>) -> PodHooks {
        let sleep = |seconds| Hook::Sleep(Duration::from_secs(seconds));
        PodHooks {
            containers: vec![ContainerHooks {
                container: "main".to_owned(),
                post_start: post_start.map(sleep),
                pre_stop: pre_stop.map(sleep),
            }],
            unreachable: Vec::new(),
        }
    }

    #[test]
    fn a_start_is_in_doubt_from_when_it_is_given_up_until_another_is_over() {
        let mut record = HookRecord::default();
        let (web, db) = (WorkloadId::from("web-1"), WorkloadId::from("db-1"));
        record.know(&web, hooks(Some(1), None));
        record.know(&db, hooks(None, Some(1)));
        let names = |record: &HookRecord| {
            record.starting().map(|(pod, of)| format!("{pod} {of:?}")).collect::<Vec<_>>()
        };
        for pod in [&web, &db] {
            record.start_begins(pod);
            assert!(!record.is_start_given_up(pod));
        }
        record.set_starting(&web, vec!["main".to_owned()]);
        record.set_starting(&db, vec!["main".to_owned()]);
        assert_eq!(names(&record), [r#"web-1 ["main"]"#]);
        record.give_starts_up();
        assert_eq!(names(&record), [""; 0]);
        let doubted = [&web, &db].map(|pod| record.is_start_given_up(pod));
        assert_eq!(doubted, [true, false], "without a hook there is nothing to doubt");
        record.start_begins(&web);
        assert!(!record.is_start_given_up(&web));
        record.start_is_over(&web);
        record.give_start_up(&web);
        assert!(!record.is_start_given_up(&web));
    }

    #[test]
    fn only_hooks_of_pods_that_are_needed_are_kept() {
        let mut record = HookRecord::default();
        let hooks = |seconds| hooks(None, Some(seconds));
        let [web, db, mail] = ["web-1", "db-1", "mail-1"].map(WorkloadId::from);
        for (pod, hooks) in [(&web, hooks(1)), (&db, hooks(1)), (&mail, PodHooks::default())] {
            record.know(pod, hooks);
        }
        record.know(&web, hooks(2));
        record.keep_only(|pod| *pod != db);
        let known = [&web, &db, &mail].map(|pod| record.of(pod).map(|hooks| (*hooks).clone()));
        assert_eq!(known, [Some(hooks(2)), None, None]);
        record.know(&web, PodHooks::default());
        assert_eq!(
            record.of(&web),
            None,
            "the specification of that id has none, whatever was read before"
        );
    }
}
