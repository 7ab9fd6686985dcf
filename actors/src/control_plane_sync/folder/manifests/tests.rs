//! Behaviour of manifests, the README's own among them.

use std::time::Duration;

use super::*;
use crate::workload::{ExecutorKind, RetryPolicy};

const DEVICE: &str = "\
apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeDevice
metadata:
  labels:
    app: camera
    name: toto
    namespace: default
spec:
  heartbeat:
    periodSeconds: 2
    profiles:
      - name: test
        conditions:
          - name: \"off\"
            expression: \"x<3% || x == nil\"
          - name: \"another_one\"
            expression: \"y>3\"
";

const PROFILED: &str = "\
apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeWorkload
metadata:
  name: nginx-rootfull
spec:
  deviceSelector:
    matchLabels:
      app: camera
    profiles:
    \t- name: \"test\"
        conditions:
          - \"off\"
  type: k8s
  pod:
    spec:
      containers:
        - name: nginx1
          image: quay.io/project-flotta/nginx:1.21.6
";

const CRON: &str = "\
apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeWorkload
metadata:
  name: workload2
spec:
  deviceSelector:
    matchLabels:
      device: toto
  type: pod
  cron: *\\1 * * * *
  pod:
    spec:
      containers:
        - name: work
          image: quay.io/ctupangiu/cron-workload:latest
";

fn files(of: &[(&str, &str)]) -> Files {
    of.iter()
        .map(|(name, text)| ((*name).to_owned(), Ok(Confidential::new((*text).to_owned()))))
        .collect()
}

fn toto() -> DeviceId {
    DeviceId::from("toto")
}

fn first(of: &[(&str, &str)]) -> Reading {
    read(files(of), &Accepted::default(), &toto())
}

fn names(configuration: &Configuration) -> Vec<&str> {
    configuration.workloads.iter().map(|workload| workload.name.as_str()).collect()
}

/// Returns an EdgeWorkload; `extra` are further lines of its spec.
fn workload(name: &str, extra: &str) -> String {
    format!(
        "kind: EdgeWorkload\nmetadata: {{name: {name}}}\nspec:\n  pod: {{spec: {{containers: \
         [{{name: a, image: i}}]}}}}\n{extra}"
    )
}

fn only(extra: &str) -> Result<Workload, String> {
    let reading = first(&[("w.yaml", &workload("w", extra))]);
    assert!(reading.diagnostics.iter().all(|it| !it.is_problem()), "{:?}", reading.diagnostics);
    match reading.configuration.workloads.first() {
        Some(workload) => Ok(Workload::clone(workload)),
        None => Err(reading.configuration.rejected[0].reason.clone()),
    }
}

#[test]
fn the_files_of_the_readme_work_unchanged() {
    let reading = first(&[("device.yaml", DEVICE), ("nginx.yaml", PROFILED)]);
    let configuration = &reading.configuration;
    assert_eq!(configuration.heartbeat_period, Duration::from_secs(2));
    assert_eq!(configuration.profiles[0].name.as_str(), "test");
    assert_eq!(configuration.profiles[0].conditions.len(), 2);
    let nginx = &configuration.workloads[0];
    assert_eq!(nginx.executor, ExecutorKind::K8s);
    assert_eq!(nginx.profiles[0].name.as_str(), "test");
    assert_eq!(nginx.profiles[0].conditions[0].name.as_str(), "off");
    let told: Vec<_> = reading.diagnostics.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "device.yaml: metadata.labels.name is read as metadata.name; write it so",
            "nginx.yaml: line 10 is indented with a TAB, read as blanks; use blanks",
            "nginx.yaml: spec.deviceSelector.profiles is read as spec.profiles; write it so",
        ]
    );
}

#[test]
fn the_cron_of_the_readme_works_unquoted() {
    let reading = first(&[("cron.yaml", CRON)]);
    let cron = reading.configuration.workloads[0].cron.as_deref();
    assert_eq!(cron, Some(r"*\1 * * * *"));
    assert!(reading.diagnostics[0].message.contains("quote it"), "{:?}", reading.diagnostics);
}

#[test]
fn only_workloads_whose_selector_matches_are_for_this_device() {
    let all = [
        ("a.yaml", workload("labelled", "  deviceSelector: {matchLabels: {app: camera}}\n")),
        ("b.yaml", workload("others", "  deviceSelector: {matchLabels: {app: door}}\n")),
        ("c.yaml", workload("named", "  device: toto\n")),
        ("d.yaml", workload("named-else", "  device: tata\n")),
        ("e.yaml", workload("shortly", "  deviceSelector: toto\n")),
        ("f.yaml", workload("unselected", "")),
    ];
    let mut texts: Vec<_> = all.iter().map(|(file, text)| (*file, text.as_str())).collect();
    let undescribed = first(&texts);
    assert_eq!(undescribed.configuration.workloads.len(), 6);
    texts.push(("z.yaml", DEVICE));
    let described = first(&texts);
    let expected = ["labelled", "named", "shortly", "unselected"];
    assert_eq!(names(&described.configuration), expected);
    assert!(described.configuration.rejected.is_empty());
}

#[test]
fn a_folder_that_describes_another_device_says_so() {
    let device = DEVICE.replace("toto", "tata");
    let reading = first(&[
        ("d.yaml", &device),
        ("w.yaml", &workload("w", "  deviceSelector: {matchLabels: {app: camera}}\n")),
    ]);
    assert!(reading.configuration.workloads.is_empty());
    assert!(reading.configuration.profiles.is_empty());
    assert!(reading.diagnostics[0].message.contains("DEVICE_ID"), "{:?}", reading.diagnostics);
}

#[test]
fn several_documents_and_lists_may_share_a_file() {
    let list = "kind: List\nitems:\n- kind: EdgeWorkload\n  metadata: {name: c}\n  spec:\n    \
                pod: {spec: {containers: [{name: a, image: i}]}}\n- kind: Namespace\n";
    let text = format!("---\n{}---\n---\n{}---\n{list}", workload("b", ""), workload("a", ""));
    let reading = first(&[("all.yaml", &text)]);
    assert_eq!(names(&reading.configuration), ["a", "b", "c"]);
    let told: Vec<_> = reading.diagnostics.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("all.yaml: Namespace \"\" at line 19 column 3 is ignored"),
        "{told:?}"
    );
}

#[test]
fn every_field_of_a_workload_is_read() {
    let workload = only(
        "  type: pod\n  rootless: true\n  cron: '@daily'\n  data: {paths: []}\n  logCollection: x\n  \
         retry: {constantBackoff: {periodSeconds: 5}}\n  profiles:\n  - name: p\n    conditions:\n    \
         - off\n    - {name: low, cpu: 5}\n    - {name: high, cpu: {cpu: 6}, memory: 1Mi}\n",
    )
    .unwrap();
    assert_eq!(workload.executor, ExecutorKind::PodmanRootless);
    assert_eq!(workload.cron.as_deref(), Some("@daily"));
    assert!(workload.retry.is_some());
    let conditions: Vec<_> = workload.profiles[0]
        .conditions
        .iter()
        .map(|condition| (condition.name.as_str(), condition.cpu, condition.memory))
        .collect();
    let expected = [("high", Some(6), Some(1 << 20)), ("low", Some(5), None), ("off", None, None)];
    assert_eq!(conditions, expected);
}

#[test]
fn only_annotations_and_labels_with_the_prefix_reach_the_pod() {
    let text = workload("w", "").replace(
        "{name: w}",
        "{name: w, labels: {podman/l: '1', m: '2'}, annotations: {podman/a: '3', b: '4'}}",
    );
    let reading = first(&[("w.yaml", &text)]);
    let workload = &reading.configuration.workloads[0];
    assert_eq!(workload.labels, [("l".to_owned(), "1".to_owned())].into());
    assert_eq!(workload.annotations, [("a".to_owned(), "3".to_owned())].into());
}

#[test]
fn those_to_wait_for_are_named_with_and_without_the_operators_prefix() {
    for key in ["device-worker-ng/after", "podman/device-worker-ng.after"] {
        let metadata = format!("{{name: w, annotations: {{{key}: 'db,cache'}}}}");
        let reading = first(&[("w.yaml", &workload("w", "").replace("{name: w}", &metadata))]);
        let workload = &reading.configuration.workloads[0];
        let names: Vec<_> = workload.after.iter().map(|name| name.as_str()).collect();
        assert_eq!(names, ["db", "cache"], "{key}");
        assert!(workload.annotations.is_empty(), "{key}");
    }
}

#[test]
fn a_retry_may_be_an_annotation_with_and_without_the_operators_prefix() {
    for key in [
        "device-worker-ng/retry",
        "device-worker-ng.retry",
        "podman/device-worker-ng.retry",
        "podman/device-worker-ng/retry",
    ] {
        let metadata = format!("{{name: w, annotations: {{{key}: '{{periodSeconds: 90}}'}}}}");
        let reading = first(&[("w.yaml", &workload("w", "").replace("{name: w}", &metadata))]);
        let workload = &reading.configuration.workloads[0];
        let period = Duration::from_secs(90);
        assert_eq!(workload.retry, Some(RetryPolicy::Constant { period }), "{key}");
        assert!(workload.annotations.is_empty(), "{key}");
    }
}

#[test]
fn the_time_of_a_proof_is_a_field_or_an_annotation() {
    let field = |text: &str| only(&format!("  update: {text}\n")).map(|it| it.proving);
    assert_eq!(field("{provingSeconds: 5}"), Ok(Duration::from_secs(5)));
    assert_eq!(field("{}"), Ok(Duration::from_secs(60)));
    assert!(field("{provingSeconds: -1}").unwrap_err().contains("update.provingSeconds"));
    for key in ["device-worker-ng/proving-seconds", "podman/device-worker-ng.proving-seconds"] {
        let metadata = format!("{{name: w, annotations: {{{key}: '90'}}}}");
        let reading = first(&[("w.yaml", &workload("w", "").replace("{name: w}", &metadata))]);
        let workload = &reading.configuration.workloads[0];
        assert_eq!(workload.proving, Duration::from_secs(90), "{key}");
        assert!(workload.annotations.is_empty(), "{key}");
    }
}

#[test]
fn both_kinds_of_retry_are_read() {
    let retry = |text: &str| only(&format!("  retry: {text}\n")).unwrap().retry;
    let seconds = Duration::from_secs;
    assert_eq!(
        retry("{constantBackoff: {periodSeconds: 5}}"),
        Some(RetryPolicy::Constant { period: seconds(5) })
    );
    let (initial, multiplier, randomization) = (seconds(2), 3.0, 0.25);
    assert_eq!(
        retry(
            "{exponentialBackoff: {initialIntervalSeconds: 2, multiplier: 3, \
             randomizationFactor: 0.25}}"
        ),
        Some(RetryPolicy::Exponential { initial, multiplier, randomization })
    );
    assert_eq!(retry("{}"), None, "the configuration's own counts");
}

#[test]
fn config_maps_secrets_and_pull_secrets_beside_a_workload_are_attached() {
    let text = "\
kind: ConfigMap
metadata: {name: settings}
data: {k: v}
---
kind: Secret
metadata: {name: login, namespace: default}
data: {k: aHVudGVyMg==}
stringData: {l: plain}
---
kind: Secret
type: kubernetes.io/dockerconfigjson
metadata: {name: pull}
stringData: {.dockerconfigjson: '{\"auths\":{\"r\":{\"auth\":\"dXNlcjpwYXNz\"}}}'}
---
kind: EdgeWorkload
metadata: {name: w}
spec:
  imageRegistries: {secretRef: {name: pull}}
  pod: {spec: {containers: [{name: a, image: i, envFrom: [{configMapRef: {name: settings}},
    {secretRef: {name: login}}]}]}}
";
    let reading = first(&[("w.yaml", text)]);
    assert_eq!(reading.configuration.rejected, []);
    let workload = &reading.configuration.workloads[0];
    assert_eq!(workload.config_maps[0].data["k"], b"v");
    assert_eq!(workload.secrets[0].data["k"].expose(), b"hunter2");
    assert_eq!(workload.secrets[0].data["l"].expose(), b"plain");
    assert_eq!(workload.registries["r"].username, "user");
    let shown = format!("{reading:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("dXNlcjpwYXNz"));
    let foreign = text.replace("namespace: default", "namespace: other");
    assert_eq!(first(&[("w.yaml", &foreign)]).configuration.rejected.len(), 1);
}

#[test]
fn a_workload_that_is_not_well_formed_spoils_no_other() {
    for broken in [
        workload("w", "  rootless: perhaps\n"),
        workload("w", "  retry: [1]\n"),
        workload("w", "  type: vm\n"),
        workload("w", "  deviceSelector: [5]\n"),
        workload("w", "  imageRegistries: {secretRef: {name: absent}}\n"),
        "kind: EdgeWorkload\nmetadata: {name: w}\n".to_owned(),
        "kind: EdgeWorkload\nspec: {}\n".to_owned(),
        "kind: EdgeWorkload\nmetadata: {name: w}\nspec: {pod: {spec: {containers: 5}}}\n"
            .to_owned(),
    ] {
        let text = format!("{}---\n{broken}---\n{}", workload("a", ""), workload("b", ""));
        let reading = first(&[("d.yaml", DEVICE), ("w.yaml", &text)]);
        assert_eq!(names(&reading.configuration), ["a", "b"], "{broken}");
        assert_eq!(reading.configuration.rejected.len(), 1, "{broken}");
    }
}

#[test]
fn a_mistake_in_a_workload_is_named_with_its_line() {
    let text = format!("{}---\n{}", workload("a", ""), workload("w", "  rootless: perhaps\n"));
    let rejected = first(&[("w.yaml", &text)]).configuration.rejected;
    assert!(rejected[0].reason.contains("line 10 column 13"), "{}", rejected[0].reason);
}

#[test]
fn a_file_that_does_not_parse_keeps_its_last_good_version() {
    let good = files(&[("a.yaml", &workload("a", "")), ("b.yaml", &workload("b", ""))]);
    let before = read(good.clone(), &Accepted::default(), &toto());
    for broken in ["", " \n", "kind: [", "- 1", "kind: EdgeWorkload\n\x00", "spec: {}"] {
        let mut now = good.clone();
        now.insert("a.yaml".into(), Ok(Confidential::new(broken.to_owned())));
        let after = read(now.clone(), &before.accepted, &toto());
        assert_eq!(after.configuration, before.configuration, "{broken:?}");
        assert_eq!(after.diagnostics.len(), 1);
        assert!(after.diagnostics[0].message.contains("stays in force"));
        let again = read(now.clone(), &after.accepted, &toto());
        assert_eq!(again.configuration, before.configuration, "{broken:?}");
    }
}

#[test]
fn an_unreadable_file_keeps_its_last_good_version_and_a_deleted_one_does_not() {
    let mut now = files(&[("a.yaml", &workload("a", "")), ("b.yaml", &workload("b", ""))]);
    let before = read(now.clone(), &Accepted::default(), &toto());
    now.insert("a.yaml".into(), Err("permission denied".into()));
    now.remove("b.yaml");
    let after = read(now.clone(), &before.accepted, &toto());
    assert_eq!(names(&after.configuration), ["a"]);
    assert!(after.diagnostics[0].message.contains(": permission denied"));
}

#[test]
fn a_file_of_comments_withdraws_its_workloads() {
    let before = first(&[("a.yaml", &workload("a", ""))]);
    let now = files(&[("a.yaml", "# nothing for now\n")]);
    let after = read(now.clone(), &before.accepted, &toto());
    assert!(after.configuration.workloads.is_empty());
    assert_eq!(after.diagnostics, []);
}

#[test]
fn a_broken_device_file_keeps_the_profiles_in_force() {
    let before = first(&[("d.yaml", DEVICE)]);
    let broken = DEVICE.replace("profiles:\n", "profiles: 5\n    x:\n");
    let after = read(files(&[("d.yaml", &broken)]), &before.accepted, &toto());
    assert_eq!(after.configuration, before.configuration);
    assert_eq!(after.diagnostics.len(), 1);
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "(kind: (EdgeWorkload|EdgeDevice|Secret|List)\n)?(metadata|spec|items)?:?[ \t\n\\-*{}\\[\\]:a-z\"'|&!]{0,60}") {
        let _ = first(&[("a.yaml", &text)]);
    }
}

#[test]
fn a_broken_file_without_a_good_version_makes_the_reading_partial() {
    let device = DeviceId::from("toto");
    let file = |text: &str| ("w.yaml".to_owned(), Ok(Confidential::new(text.to_owned())));
    let read_now = |files: Files, previous: &Accepted| read(files, previous, &device);
    let good = read_now(Files::from([file(DEVICE)]), &Accepted::default());
    assert_eq!(good.completeness, Completeness::Whole);
    let broken = Files::from([file("kind: [")]);
    let first = read_now(broken.clone(), &Accepted::default());
    assert_eq!(first.completeness, Completeness::Partial { unread: "w.yaml".to_owned() });
    let later = read_now(broken, &good.accepted);
    assert_eq!(later.completeness, Completeness::Whole);
    let empty = read_now(Files::new(), &good.accepted);
    assert_eq!(empty.completeness, Completeness::Nothing);
}

#[test]
fn what_was_read_shows_no_value_of_a_secret_or_of_a_variable() {
    let text = "\
kind: Secret
metadata: {name: login}
stringData: {k: planted-hunter2}
---
kind: ConfigMap
metadata: {name: map}
data: {k: planted-hunter2}
---
kind: EdgeWorkload
metadata: {name: w, annotations: {a: planted-hunter2}}
spec:
  pod:
    spec:
      containers:
      - {name: a, image: i, env: [{name: P, value: planted-hunter2}]}
";
    let reading = first(&[("a.yaml", text)]);
    assert_eq!(names(&reading.configuration), ["w"]);
    let shown = format!("{reading:?} {:?}", documents::parse(text));
    assert!(!shown.contains("planted-hunter2"), "{shown}");
}

#[test]
fn a_document_that_cannot_be_read_takes_no_other_of_its_file_with_it() {
    let file = |b: &str| format!("{}---\n{b}---\n{}", workload("a", ""), workload("c", ""));
    for broken in ["kind: [\n", "x: 1\n", "- 1\n", "kind: EdgeWorkload\nkey: *nowhere\n"] {
        let now = [("w.yaml", file(broken))].map(|(name, text)| (name, text));
        let now: Vec<_> = now.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let alone = first(&now);
        assert_eq!(names(&alone.configuration), ["a", "c"], "{broken}");
        assert_eq!(alone.completeness, Completeness::Partial { unread: "w.yaml".to_owned() });
        assert!(alone.diagnostics.iter().any(|it| it.message.contains("line ")), "{broken}");
        // What it was before may be what it should be now.
        let before = first(&[("w.yaml", &file(&workload("b", "")))]);
        let after = read(files(&now), &before.accepted, &toto());
        assert_eq!(names(&after.configuration), ["a", "b", "c"], "{broken}");
        assert_eq!(after.completeness, Completeness::Whole);
    }
}

#[test]
fn names_that_are_numbers_or_booleans_are_names_on_both_sides() {
    let device = "\
kind: EdgeDevice
metadata: {name: toto}
spec:
  profiles:
  - name: 1
    conditions: [{name: on, expression: cpu < 50%}]
  - name: 1.20
    conditions: [{name: 2, expression: lux < 10}, {name: true, expression: lux == nil}]
";
    let needs = "  profiles:\n  - {name: 1, conditions: [{name: on}]}\n  - {name: 1.20, conditions: [2, true]}\n";
    let reading = first(&[("d.yaml", device), ("w.yaml", &workload("w", needs))]);
    let configuration = reading.configuration;
    let defined: Vec<_> = configuration.profiles.iter().map(|it| it.name.as_str()).collect();
    let needed: Vec<_> =
        configuration.workloads[0].profiles.iter().map(|it| it.name.as_str()).collect();
    assert_eq!((defined.as_slice(), needed.as_slice()), (&["1", "1.20"][..], &["1", "1.20"][..]));
    let conditions: Vec<_> =
        configuration.profiles[1].conditions.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(conditions, ["2", "true"]);
}

#[test]
fn a_workload_for_other_devices_is_told_with_the_label_that_fails() {
    let other = workload("w", "  deviceSelector: {matchLabels: {app: door}}\n");
    let reading = first(&[("d.yaml", DEVICE), ("w.yaml", &other)]);
    let told: Vec<_> = reading.diagnostics.iter().map(ToString::to_string).collect();
    let expected = "w.yaml: workload \"w\" is for other devices: the device's label app is \"camera\", \
                    and \"door\" is wanted";
    assert_eq!(told[1..], [expected]);
    assert!(reading.diagnostics.iter().all(|it| !it.is_problem()));
}
