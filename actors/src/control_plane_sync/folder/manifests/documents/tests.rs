//! Misspelt keys in manifests: each is reported, and none loosens a gate.

use proptest::prelude::*;

use super::*;
use crate::yaml::{Node, Position};

/// Keys of many types, to any depth.
const RICH: &str = "\
apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeWorkload
metadata:
  name: rich
  namespace: default
  annotations:
    device-worker-ng/after: db
    device-worker-ng/retry: '{periodSeconds: 9}'
spec:
  deviceSelector:
    matchLabels:
      app: camera
    matchExpressions:
    - key: site
      operator: In
      values: [north]
  type: pod
  cron: '0 4 * * *'
  rootless: true
  retry:
    exponentialBackoff:
      initialIntervalSeconds: 2
      multiplier: 3
      randomizationFactor: 0.25
  profiles:
  - name: load
    conditions:
    - name: calm
      cpu: 50000
      memory: 64Mi
  imageRegistries:
    secretRef:
      name: pull
  pod:
    spec:
      hostNetwork: true
      restartPolicy: Never
      terminationGracePeriodSeconds: 5
      securityContext:
        runAsUser: 1000
        fsGroup: 1000
        sysctls:
        - name: net.ipv4.ping_group_range
          value: '0'
      initContainers:
      - name: first
        image: i
        command: [a]
      containers:
      - name: app
        image: i
        imagePullPolicy: Never
        args: [b]
        workingDir: /tmp
        env:
        - name: A
          valueFrom:
            secretKeyRef:
              name: s
              key: k
              optional: true
        envFrom:
        - prefix: P
          configMapRef:
            name: m
        ports:
        - containerPort: 80
          hostPort: 8080
          protocol: TCP
        resources:
          limits:
            memory: 64Mi
            cpu: 500m
          requests:
            memory: 32Mi
        securityContext:
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          capabilities:
            drop: [ALL]
          seccompProfile:
            type: RuntimeDefault
        volumeMounts:
        - name: v
          mountPath: /v
          readOnly: true
          subPath: p
        livenessProbe:
          httpGet:
            path: /
            port: 80
      volumes:
      - name: v
        configMap:
          name: m
          defaultMode: 0400
          items:
          - key: a
            path: b
            mode: 0o440
      - name: w
        hostPath:
          path: /srv
          type: Directory
---
apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeDevice
metadata:
  name: toto
spec:
  heartbeat:
    periodSeconds: 5
    hardwareProfile:
      include: true
      scope: full
  profiles:
  - name: load
    conditions:
    - name: calm
      expression: cpu < 50%
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: m
data:
  a: b
---
apiVersion: v1
kind: Secret
metadata:
  name: s
type: Opaque
stringData:
  k: v
immutable: true
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: plain
  annotations:
    device-worker-ng/profiles: '[{name: load}]'
    device-worker-ng/rootless: 'true'
spec:
  replicas: 1
  template:
    metadata:
      labels:
        app: plain
    spec:
      containers:
      - name: app
        image: i
        securityContext:
          runAsUser: 1
---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: nightly
spec:
  schedule: '@daily'
  suspend: false
  jobTemplate:
    spec:
      template:
        metadata:
          annotations:
            device-worker-ng/after: plain
        spec:
          containers:
          - name: app
            image: i
            resources:
              limits:
                memory: 64Mi
";

/// Keys of these are free.
const FREE: &[&str] = &["matchLabels", "data", "stringData", "labels"];

fn problems(file: &File) -> Vec<String> {
    let told = file.remarks.iter().map(|it| it.text.clone());
    let refused = file.documents.iter().filter_map(|document| match document {
        Document::Workload { content, .. } => content.as_ref().err().cloned(),
        Document::ConfigMap { content, .. } => content.as_ref().err().cloned(),
        Document::Secret { content, .. } => content.as_ref().err().cloned(),
        Document::Device(_) => None,
    });
    told.chain(refused).chain(file.broken.clone()).collect()
}

fn keys(node: &Node, keys_of: &mut Vec<(Position, String)>) {
    for item in node.items().unwrap_or_default() {
        keys(item, keys_of);
    }
    for (key, value) in node.entries() {
        let name = key.text().unwrap_or_default();
        keys_of.push((key.at(), name.to_owned()));
        if !FREE.contains(&name) {
            keys(value, keys_of);
        }
    }
}

fn all_keys() -> Vec<(Position, String)> {
    let mut all = Vec::new();
    for document in yaml::documents(RICH) {
        keys(document.unwrap().root(), &mut all);
    }
    all
}

/// Returns the text with the key at `at` replaced.
fn with_key(at: Position, key: &str, other: &str) -> String {
    let mut lines: Vec<String> = RICH.lines().map(str::to_owned).collect();
    let line = &mut lines[at.line - 1];
    let start = at.column - 1;
    assert_eq!(&line[start..start + key.len()], key);
    line.replace_range(start..start + key.len(), other);
    lines.join("\n") + "\n"
}

#[test]
fn a_manifest_without_slips_is_told_nothing_of() {
    let file = parse(RICH);
    assert_eq!(problems(&file), [""; 0]);
    assert_eq!(file.documents.len(), 6);
}

fn misspelt(key: &str, edit: usize, at: usize, letter: char) -> String {
    let mut letters: Vec<char> = key.chars().collect();
    let at = at % letters.len();
    match edit {
        0 => drop(letters.remove(at)),
        1 => letters.insert(at, letter),
        2 => letters[at] = letter,
        _ if letters.len() > 1 => letters.swap(at.saturating_sub(1), at.max(1)),
        _ => letters.push(letter),
    }
    letters.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_key_misspelt_by_one_edit_is_told(
        which in any::<prop::sample::Index>(), edit in 0_usize..4, at in 0_usize..40, letter in "[a-z]",
    ) {
        let all = all_keys();
        let (place, key) = which.get(&all);
        let other = misspelt(key, edit, at, letter.chars().next().unwrap());
        prop_assume!(other != *key && !other.trim().is_empty());
        let file = parse(&with_key(*place, key, &other));
        let told = problems(&file);
        prop_assert!(!told.is_empty(), "{} for {}", other, key);
        prop_assert!(told.iter().any(|it| it.contains(&format!("line {}", place.line)) || it.contains(&other)), "{told:?}");
    }
}

/// Returns why the workload of a text is not started.
fn refusal(text: &str) -> Option<String> {
    let documents = parse(text).documents;
    let Document::Workload { content, .. } = &documents[0] else { panic!("{documents:?}") };
    content.as_ref().err().cloned()
}

fn workload(spec: &str, container: &str) -> String {
    format!(
        "kind: EdgeWorkload\nmetadata: {{name: w}}\nspec:\n  pod:\n    spec:\n      containers:\n      - \
         name: a\n        image: i\n{container}{spec}"
    )
}

#[test]
fn a_slip_that_would_loosen_a_gate_or_a_confinement_keeps_the_workload_from_starting() {
    for (spec, container, guard) in [
        ("  profile: [{name: p}]\n", "", "spec.profiles"),
        ("  porfiles: [{name: p}]\n", "", "spec.profiles"),
        ("  profiles: [{name: p, condition: [c]}]\n", "", "spec.profiles"),
        ("  profiles: [{name: p, conditions: [{name: c, memroy: 1Mi}]}]\n", "", "conditions"),
        ("  schedule: '0 4 * * *'\n", "", "spec.cron"),
        ("  corn: '0 4 * * *'\n", "", "spec.cron"),
        ("  rootles: true\n", "", "spec.rootless"),
        ("  root_less: true\n", "", "spec.rootless"),
        ("  after: db\n", "", "the annotation device-worker-ng/after"),
        ("  deviceSelektor: {}\n", "", "spec.deviceSelector"),
        ("  deviceSelector: {matchLabel: {a: b}}\n", "", "spec.deviceSelector"),
        ("", "        profiles: [{name: p}]\n", "spec.profiles"),
        ("", "        cron: '0 4 * * *'\n", "spec.cron"),
        ("", "        rootless: true\n", "spec.rootless"),
        ("", "        securityContex: {runAsUser: 1}\n", "securityContext"),
        ("", "        securityContext: {runAsUsr: 1}\n", "securityContext"),
        ("", "        securityContext: {capabilities: {dorp: [ALL]}}\n", "securityContext"),
        ("", "        runAsUser: 1\n", "securityContext"),
        ("  securityContext: {runAsUser: 1}\n", "", "securityContext"),
        ("", "        resource: {limits: {memory: 1Mi}}\n", "resources"),
        ("", "        resources: {limit: {memory: 1Mi}}\n", "resources"),
        ("", "        resources: {limits: {memroy: 1Mi}}\n", "resources"),
        ("", "        resources: {limits: {Memory: 1Mi}}\n", "resources"),
        ("", "        limits: {memory: 1Mi}\n", "resources"),
        ("", "        volumeMounts: [{name: v, mountPath: /v, readOnyl: true}]\n", "readOnly"),
        ("  annotations: {device-worker-ng/after: db}\n", "", "without metadata.annotations"),
        ("  metadata: {annotations: {device-worker-ng/after: db}}\n", "", "metadata.annotations"),
        ("annotations: {device-worker-ng/after: db}\n", "", "without metadata.annotations"),
    ] {
        let refused = refusal(&workload(spec, container));
        let refused = refused.unwrap_or_else(|| panic!("{spec}{container} is started"));
        assert!(
            refused.contains(guard) && refused.contains("line "),
            "{spec}{container}: {refused}"
        );
    }
    for (metadata, guard) in [
        ("annotations: {device-worker-ng/aftr: b}", "device-worker-ng/after"),
        ("annotation: {device-worker-ng/after: b}", "without metadata.annotations"),
        ("annotations: {device-worker-ng/liven: b}", "device-worker-ng/liveness"),
        (
            "annotations: {podman/device-worker-ng.dependencies: b}",
            "an annotation device-worker-ng/profiles",
        ),
    ] {
        let text = workload("", "").replace("{name: w}", &format!("{{name: w, {metadata}}}"));
        let refused = refusal(&text).unwrap_or_else(|| panic!("{metadata} is started"));
        assert!(refused.contains(guard), "{metadata}: {refused}");
    }
}

#[test]
fn an_item_of_a_list_that_cannot_be_read_takes_none_of_the_others_with_it() {
    let item = |name: &str| format!("- kind: ConfigMap\n  metadata: {{name: {name}}}\n");
    let inner = "- kind: List\n  items: [text, {kind: ConfigMap, metadata: {name: c}}]\n";
    let text = format!("kind: List\nitems:\n{}- {{}}\n{inner}{}", item("a"), item("b"));
    let file = parse(&text);
    let names: Vec<_> = file.documents.iter().map(|it| it.identity().1.1).collect();
    assert_eq!(names, ["a", "c", "b"]);
    let [one, other] = file.broken.as_slice() else { panic!("{:?}", file.broken) };
    assert!(one.starts_with("document 1: items[1]: it has no kind, at line 5"), "{one}");
    assert!(other.starts_with("document 1: items[2]: items[0]: it is not an object"), "{other}");
}

#[test]
fn a_workload_without_a_name_is_told_where_it_is() {
    let pod = "spec: {containers: [{name: a, image: i}]}";
    for (text, told) in [
        (format!("kind: Pod\nmetadata: {{generateName: w-}}\n{pod}\n"), "the Pod at line 1"),
        (format!("# A Pod.\nkind: Pod\n{pod}\n"), "the Pod at line 2"),
        (workload("", "").replace("{name: w}", "{}"), "the EdgeWorkload at line 1"),
    ] {
        let refused = refusal(&text).unwrap();
        assert!(refused.contains(told) && refused.contains("no metadata.name"), "{refused}");
    }
}

#[test]
fn other_slips_are_told_and_the_workload_is_started() {
    for (spec, container, told) in [
        ("  lable: x\n", "", "spec.lable at line 9 column 3 is not known; it is ignored"),
        ("", "        working_dir: /\n", "did you mean workingDir?"),
        ("", "        tyy: true\n", "did you mean tty?"),
        (
            "  Rootless: true\n",
            "",
            "spec.Rootless at line 9 column 3 is read as rootless; write it so",
        ),
        ("", "        Resources: {limits: {memory: 1Mi}}\n", "is read as resources"),
        ("  data: {paths: []}\n", "", "spec.data is for other agents, and not used"),
        ("", "        resources: {limits: {example.org/fpga: 1}}\n", ""),
    ] {
        let text = workload(spec, container);
        assert_eq!(refusal(&text), None, "{spec}{container}");
        let remarks: String = parse(&text).remarks.into_iter().map(|it| it.text).collect();
        assert!(remarks.contains(told), "{remarks}");
    }
}

#[test]
fn documents_that_are_not_read_are_told() {
    for (text, reason, told) in [
        (
            "kind: StatefulSet\nmetadata: {name: p}\n",
            EventReason::ManifestRefused,
            "make it a Deployment, or put its pod into an EdgeWorkload",
        ),
        (
            "kind: EdgeWorklaod\nmetadata: {name: p}\n",
            EventReason::ManifestRefused,
            "did you mean EdgeWorkload?",
        ),
        (
            "kind: Service\nmetadata: {name: p}\n",
            EventReason::ManifestIgnored,
            "Service \"p\" at line 1 column 1 is ignored",
        ),
    ] {
        let remarks = parse(text).remarks;
        assert_eq!(remarks.len(), 1, "{remarks:?}");
        assert_eq!(remarks[0].reason, reason);
        assert!(remarks[0].text.contains(told), "{remarks:?}");
    }
    let broken = parse("knd: EdgeWorkload\nmetadata: {name: p}\n").broken;
    assert!(broken[0].contains("did you mean kind by knd?"), "{broken:?}");
}

#[test]
fn base64_may_be_in_lines_and_keys_may_be_numbers() {
    let text = "\
kind: Secret
metadata: {name: s}
data:
  cert: |
    aHVudGVy
    Mg==
---
kind: ConfigMap
metadata: {name: m}
data: {9000: a, true: b, 1.5: c}
binaryData:
  bin: \"AAEC\\r\\nAw==\\n\"
";
    let documents = parse(text).documents;
    let Document::Secret { content: Ok(secret), .. } = &documents[0] else { panic!("no secret") };
    assert_eq!(secret.data["cert"].expose(), b"hunter2");
    let Document::ConfigMap { content: Ok(map), .. } = &documents[1] else { panic!("no map") };
    let keys: Vec<_> = map.data.keys().map(String::as_str).collect();
    assert_eq!(keys, ["1.5", "9000", "bin", "true"]);
    assert_eq!(map.data["bin"], [0, 1, 2, 3]);
}
