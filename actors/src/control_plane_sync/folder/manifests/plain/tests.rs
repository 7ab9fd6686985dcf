//! Behaviour of Kubernetes' own kinds in a folder.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::control_plane_sync::folder::manifests::{Accepted, Reading, read};
use crate::workload::{
    Confidential, DeviceId, EventReason, ExecutorKind, RestartPolicy, RetryPolicy, Workload,
};

fn reading(text: &str) -> Reading {
    let files = BTreeMap::from([("f.yaml".to_owned(), Ok(Confidential::new(text.to_owned())))]);
    read(files, &Accepted::default(), &DeviceId::from("toto"))
}

/// Returns the one workload of a text, and what is said of it.
fn only(text: &str) -> (Workload, Vec<String>) {
    let reading = reading(text);
    assert_eq!(reading.configuration.rejected, [], "{text}");
    let [workload] = reading.configuration.workloads.as_slice() else {
        panic!("{text}: {reading:?}");
    };
    assert!(reading.diagnostics.iter().all(|it| !it.is_problem()), "{:?}", reading.diagnostics);
    let told = reading.diagnostics.iter().map(|it| it.message.clone()).collect();
    (Workload::clone(workload), told)
}

/// Returns a document of this kind; `before` are lines of its spec, `template` is its pod.
fn document(kind: &str, before: &str, metadata: &str) -> String {
    let pod =
        "{restartPolicy: OnFailure, containers: [{name: a, image: i, env: [{name: A, value: b}]}]}";
    let template = format!("template: {{metadata: {{labels: {{app: web}}}}, spec: {pod}}}");
    let spec = match kind {
        "Pod" => format!("spec: {pod}\n"),
        "CronJob" => format!("spec:\n{before}  jobTemplate: {{spec: {{{template}}}}}\n"),
        _ => format!("spec:\n{before}  {template}\n"),
    };
    format!("kind: {kind}\nmetadata: {{name: web, namespace: shop{metadata}}}\n{spec}")
}

const SCHEDULE: &str = "  schedule: '0 4 * * *'\n";

#[test]
fn what_podman_plays_is_a_workload() {
    let labels = ", labels: {app: web}";
    for (kind, metadata) in [("Pod", labels), ("Deployment", ""), ("DaemonSet", "")] {
        let (workload, told) = only(&document(kind, "", metadata));
        assert_eq!(told, [""; 0], "{kind}");
        assert_eq!(workload.name.as_str(), "web");
        assert_eq!(workload.namespace, "shop");
        assert_eq!(workload.executor, ExecutorKind::PodmanRootful);
        assert_eq!(workload.labels["app"], "web", "{kind}");
        assert_eq!(workload.pod.containers[0].env.as_ref().unwrap()[0].name, "A");
        assert_eq!((workload.cron, workload.retry), (None, None));
        assert_eq!(workload.restart_policy, RestartPolicy::OnFailure);
        assert!(workload.profiles.is_empty());
    }
}

#[test]
fn a_job_runs_until_it_has_succeeded_and_a_cron_job_at_its_ticks() {
    let Some(RetryPolicy::Exponential { initial, multiplier, .. }) =
        only(&document("Job", "", "")).0.retry
    else {
        panic!("a job's delays grow");
    };
    assert_eq!((initial, multiplier), (Duration::from_secs(10), 2.0));
    for (before, policy, repeats) in [
        ("", RestartPolicy::OnFailure, true),
        ("  backoffLimit: 6\n", RestartPolicy::OnFailure, true),
        ("  backoffLimit: 0\n", RestartPolicy::Never, false),
    ] {
        for pod in ["OnFailure", "Never"] {
            let text = document("Job", before, "");
            let (workload, _) =
                only(&text.replace("restartPolicy: OnFailure", &format!("restartPolicy: {pod}")));
            assert_eq!(workload.restart_policy, policy, "{before}{pod}");
            assert_eq!(workload.retry.is_some(), repeats, "{before}");
        }
    }
    let (workload, told) = only(&document("CronJob", SCHEDULE, ""));
    assert_eq!((workload.cron.as_deref(), told), (Some("0 4 * * *"), Vec::new()));
    assert_eq!(workload.restart_policy, RestartPolicy::OnFailure);
}

#[test]
fn annotations_hold_the_gates_of_the_document_or_of_its_pod() {
    let gates = "device-worker-ng/profiles: '[{name: load, conditions: [calm]}]', \
                 device-worker-ng/rootless: 'true', device-worker-ng/after: db, \
                 device-worker-ng/retry: '{periodSeconds: 9}', example.org/a: b";
    let outer = format!(", annotations: {{{gates}}}");
    let inner = |kind| {
        document(kind, "", "").replace("{labels:", &format!("{{annotations: {{{gates}}}, labels:"))
    };
    for (text, passed_on) in [
        (document("Pod", "", &outer), true),
        (document("Deployment", "", &outer), false),
        (document("Job", "", &outer), false),
        (inner("Deployment"), true),
        (inner("Job"), true),
        // With the operators' prefix, in either spelling.
        (
            document("Pod", "", &outer).replace("device-worker-ng/", "podman/device-worker-ng/"),
            true,
        ),
        (inner("Job").replace("device-worker-ng/", "podman/device-worker-ng."), true),
        (
            document("Deployment", "", &outer)
                .replace("device-worker-ng/", "podman/device-worker-ng."),
            false,
        ),
        // Twice, and the same.
        (
            document("Deployment", "", &outer)
                .replace("{labels:", &format!("{{annotations: {{{gates}}}, labels:")),
            true,
        ),
    ] {
        let (workload, told) = only(&text);
        assert_eq!(workload.profiles[0].name.as_str(), "load", "{text}");
        assert_eq!(workload.profiles[0].conditions[0].name.as_str(), "calm");
        assert_eq!(workload.executor, ExecutorKind::PodmanRootless);
        assert_eq!(workload.after[0].as_str(), "db");
        let retry = RetryPolicy::Constant { period: Duration::from_secs(9) };
        assert_eq!(workload.retry, Some(retry));
        let left: Vec<_> = workload.annotations.keys().map(String::as_str).collect();
        assert_eq!(left, if passed_on { vec!["example.org/a"] } else { vec![] }, "{text}");
        assert_eq!(told, [""; 0]);
    }
    let cron = ", annotations: {device-worker-ng/cron: '@daily'}";
    assert_eq!(only(&document("Pod", "", cron)).0.cron.as_deref(), Some("@daily"));
    let of_job = format!("jobTemplate: {{metadata: {{annotations: {{{gates}}}}}, spec:");
    let text = document("CronJob", SCHEDULE, "").replace("jobTemplate: {spec:", &of_job);
    let (workload, told) = only(&text);
    assert_eq!((workload.profiles.len(), workload.after.len(), told), (1, 1, Vec::new()));
    assert!(workload.annotations.is_empty(), "{:?}", workload.annotations);
}

#[test]
fn one_gate_with_two_values_keeps_it_from_starting() {
    let calm = "annotations: {device-worker-ng/profiles: '[{name: calm}]'}";
    let outer = ", annotations: {device-worker-ng/profiles: '[{name: load}]'}";
    let inner = format!("{{{calm}, labels:");
    let of_job = format!("jobTemplate: {{metadata: {{{calm}}}, spec:");
    let both = "{device-worker-ng/cron: '@daily', podman/device-worker-ng/cron: '@hourly'}";
    let profiles = "device-worker-ng/profiles";
    for (text, key) in [
        (document("Deployment", "", outer).replace("{labels:", &inner), profiles),
        (document("Job", "", outer).replace("{labels:", &inner), profiles),
        (document("CronJob", SCHEDULE, outer).replace("jobTemplate: {spec:", &of_job), profiles),
        (
            document("CronJob", SCHEDULE, "")
                .replace("jobTemplate: {spec:", &of_job)
                .replace("{labels:", "{annotations: {device-worker-ng/profiles: x}, labels:"),
            profiles,
        ),
        (document("Pod", "", &format!(", annotations: {both}")), "device-worker-ng/cron"),
        (
            format!(
                "kind: EdgeWorkload\nmetadata: {{name: web, annotations: {both}}}\nspec: {{pod: {{spec: \
                 {{containers: [{{name: a, image: i}}]}}}}}}\n"
            ),
            "device-worker-ng/cron",
        ),
    ] {
        let reading = reading(&text);
        assert!(reading.configuration.workloads.is_empty(), "{text}");
        let [rejected] = reading.configuration.rejected.as_slice() else {
            panic!("{text}: {reading:?}")
        };
        let told = format!("its annotation {key:?} is there twice");
        assert!(rejected.reason.contains(&told), "{rejected:?}");
    }
}

#[test]
fn what_has_no_meaning_here_is_told() {
    for (kind, before, told) in [
        ("Deployment", "  replicas: 3\n", "spec.replicas 3 is read as 1"),
        ("Deployment", "  strategy: {type: Recreate}\n", "spec.strategy is for clusters"),
        (
            "DaemonSet",
            "  updateStrategy: {type: OnDelete}\n",
            "spec.updateStrategy is for clusters",
        ),
        ("Job", "  completions: 2\n", "spec.completions 2 is read as 1"),
        ("Job", "  backoffLimit: 6\n", "spec.backoffLimit 6 is not counted"),
        ("Job", "  ttlSecondsAfterFinished: 6\n", "spec.ttlSecondsAfterFinished is for clusters"),
        ("CronJob", "  timeZone: Asia/Tokyo\n", "spec.timeZone \"Asia/Tokyo\" is not used"),
        (
            "CronJob",
            "  concurrencyPolicy: Replace\n",
            "spec.concurrencyPolicy \"Replace\" is read as",
        ),
        (
            "CronJob",
            "  startingDeadlineSeconds: 9\n",
            "spec.startingDeadlineSeconds is for clusters",
        ),
    ] {
        let schedule = if kind == "CronJob" { SCHEDULE } else { "" };
        let (_, all) = only(&document(kind, &format!("{schedule}{before}"), ""));
        assert_eq!(all.len(), 1, "{all:?}");
        assert!(all[0].contains(told) && all[0].contains(&format!("{kind} \"web\"")), "{all:?}");
    }
    for (kind, before) in [
        (
            "Deployment",
            "  replicas: 1\n  revisionHistoryLimit: 2\n  selector: {matchLabels: {a: b}}\n",
        ),
        ("Job", "  completions: 1\n  parallelism: 1\n"),
        (
            "CronJob",
            "  schedule: '@daily'\n  concurrencyPolicy: Forbid\n  failedJobsHistoryLimit: 1\n",
        ),
    ] {
        assert_eq!(only(&document(kind, before, "")).1, [""; 0], "{before}");
    }
}

#[test]
fn what_its_author_lets_rest_does_not_run() {
    for (kind, before, why) in [
        ("Deployment", "  replicas: 0\n", "spec.replicas is 0"),
        ("Job", "  suspend: true\n", "spec.suspend is true"),
        ("Job", "  parallelism: 0\n", "spec.parallelism is 0"),
        ("CronJob", "  schedule: '@daily'\n  suspend: true\n", "spec.suspend is true"),
    ] {
        let reading = reading(&document(kind, before, ""));
        assert!(reading.configuration.workloads.is_empty(), "{kind}");
        assert_eq!(reading.configuration.rejected, []);
        let [told] = reading.diagnostics.as_slice() else { panic!("{reading:?}") };
        assert_eq!((told.reason, told.is_problem()), (EventReason::ManifestIgnored, false));
        assert!(told.message.contains(why), "{told:?}");
    }
}

#[test]
fn a_slip_that_would_loosen_a_gate_keeps_it_from_starting() {
    let annotated = |key: &str| {
        let annotation = format!(", annotations: {{{key}: '[{{name: load}}]'}}");
        document("Deployment", "", &annotation)
    };
    let cron = "{device-worker-ng/cron: '@daily'}";
    let in_pod = |slip: &str| {
        document("Deployment", "", "")
            .replace("{metadata: {labels: {app: web}}", &format!("{{{slip}"))
    };
    let always = document("Job", "", "").replace("OnFailure", "Always");
    for (text, reason) in [
        (annotated("device-worker-ng/profile"), "device-worker-ng/profiles"),
        (annotated("device-worker-ng/rootles"), "device-worker-ng/rootless"),
        (
            document("Deployment", "", "")
                .replace("{labels:", "{annotations: {device-worker-ng/corn: x}, labels:"),
            "spec.template.metadata.annotations.device-worker-ng/corn at line",
        ),
        (annotated("device-worker-ng/schedule"), "device-worker-ng/profiles, cron or rootless"),
        (annotated("device-worker-ng/conditions"), "device-worker-ng/profiles, cron or rootless"),
        (
            annotated("podman/device-worker-ng.dependencies"),
            "device-worker-ng/profiles, cron or rootless",
        ),
        (
            document("CronJob", SCHEDULE, "").replace(
                "jobTemplate: {",
                "jobTemplate: {metadata: {annotations: {device-worker-ng/corn: x}}, ",
            ),
            "spec.jobTemplate.metadata.annotations.device-worker-ng/corn at line",
        ),
        (document("Pod", "", &format!(", annotation: {cron}")), "without metadata.annotations"),
        (
            format!("{}annotations: {cron}\n", document("Pod", "", "")),
            "annotations at line 4 column 1 is not known, and without metadata.annotations",
        ),
        (
            document("Deployment", &format!("  annotations: {cron}\n"), ""),
            "without metadata.annotations",
        ),
        (
            document("Deployment", &format!("  metadata: {{annotations: {cron}}}\n"), ""),
            "without metadata.annotations",
        ),
        (in_pod(&format!("metadata: {{annotation: {cron}}}")), "without metadata.annotations"),
        (in_pod(&format!("metdata: {{annotations: {cron}}}")), "without metadata"),
        (document("Deployment", "  replica: 0\n", ""), "without replicas"),
        (document("Job", "  suspnd: true\n", ""), "without suspend"),
        (document("Job", "  paralelism: 0\n", ""), "without parallelism"),
        (document("CronJob", &format!("{SCHEDULE}  suspended: true\n"), ""), "without suspend"),
        (
            document("Deployment", "  profiles: [{name: load}]\n", ""),
            "without the annotation device-worker-ng/profiles",
        ),
        (
            document("Pod", "", "").replace("{restartPolicy:", "{rootless: true, restartPolicy:"),
            "without the annotation device-worker-ng/rootless",
        ),
        (
            document("Deployment", "", "")
                .replace("env:", "resources: {limits: {memroy: 1}}, env:"),
            "resources",
        ),
        (document("CronJob", "", ""), "it has no spec.schedule"),
        (document("CronJob", "  shcedule: '@daily'\n", ""), "of a CronJob, spec.schedule"),
        (always, "spec.template.spec.restartPolicy is Always"),
        (
            document("CronJob", SCHEDULE, ", annotations: {device-worker-ng/cron: '@daily'}"),
            "differ",
        ),
        (document("Pod", "", "").replace("image: i", "image: ''"), "has no image"),
    ] {
        let reading = reading(&text);
        assert!(reading.configuration.workloads.is_empty(), "{text}");
        let [rejected] = reading.configuration.rejected.as_slice() else {
            panic!("{text}: {reading:?}")
        };
        assert!(rejected.reason.contains(reason), "{rejected:?}");
    }
}

#[test]
fn one_file_may_hold_all_that_podman_plays() {
    let text = format!(
        "{}---\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {{k: v}}\n---\nkind: \
         PersistentVolumeClaim\nmetadata: {{name: data}}\n---\nkind: Service\nmetadata: {{name: web}}\n",
        document("Pod", "", "")
            .replace("shop", "default")
            .replace("env: [{name: A, value: b}]", "envFrom: [{configMapRef: {name: settings}}]")
    );
    let (workload, told) = only(&text);
    assert_eq!(workload.config_maps[0].name, "settings");
    let ignored = |kind: &str| told.iter().any(|it| it.contains(kind) && it.contains("is ignored"));
    assert!(ignored("PersistentVolumeClaim") && ignored("Service"), "{told:?}");
}
