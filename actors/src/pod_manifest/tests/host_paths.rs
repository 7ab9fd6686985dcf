//! Tests of paths of the host: which of them no container can lead elsewhere.

use super::*;
use crate::pod_manifest::host_paths::{Writable, mounted, writable};

/// A pod whose containers mount paths of the host: `(path, subPath, readOnly)`.
fn hosting(containers: &[&[(&str, &str, bool)]]) -> Workload {
    let mut volumes = Vec::new();
    let containers = containers.iter().enumerate().map(|(n, mounts)| {
        let mounts = mounts.iter().enumerate().map(|(m, (path, part, read_only))| {
            let name = format!("v{n}{m}");
            volumes.push(json!({"name": name, "hostPath": {"path": path}}));
            let target = format!("/{name}");
            json!({"name": name, "mountPath": target, "subPath": part, "readOnly": read_only})
        });
        let mounts: Vec<_> = mounts.collect();
        json!({"name": format!("c{n}"), "image": "i:1", "volumeMounts": mounts})
    });
    let containers: Vec<_> = containers.collect();
    workload(json!({"containers": containers, "volumes": volumes}))
}

fn refused(workload: &Workload, view: HostView<'_>) -> Option<String> {
    let context = PodContext {
        device_id: &DeviceId::from("device-1"),
        boot_id: "boot-1",
        volumes_root: Path::new("/state/volumes"),
        memory_root: None,
        limits: Limits::default(),
        support: FULL,
        host: view,
        podman: PodmanFacts::default(),
    };
    podman_pod(workload, &context).err().map(|error| error.to_string())
}

#[test]
fn a_path_below_what_a_container_of_the_pod_can_write_is_refused() {
    let (rw, ro) = (false, true);
    for (containers, bad) in [
        (&[&[("/d", "", rw)][..]][..], None),
        (&[&[("/d", "a", rw), ("/d", "b", rw)]], None),
        (&[&[("/d", "a", rw), ("/d", "ab", rw)]], None),
        (&[&[("/d", "", rw)], &[("/d", "", rw)]], None),
        (&[&[("/d", "", ro)], &[("/d", "a", rw)]], None),
        (&[&[("/d", "a", ro), ("/d", "a/b", rw)]], None),
        (
            &[&[("/d", "a", rw), ("/d", "a/b", ro)]],
            Some("subPath a/b of volume v01, /d/a/b on the host"),
        ),
        (
            &[&[("/d", "", rw)], &[("/d", "a", rw)]],
            Some("subPath a of volume v10, /d/a on the host"),
        ),
        (&[&[("/d", "a", ro)], &[("/d", "", ro)], &[("/d", "", rw)]], Some("subPath a")),
        // Without a subPath it is the same.
        (&[&[("/d", "", rw)], &[("/d/a/b", "", ro)]], Some("volume v10, /d/a/b on the host")),
        (&[&[("/d//", "", rw)], &[("//d/./a", "", ro)]], Some("/d/a on the host")),
        (&[&[("/", "", rw)], &[("/etc/localtime", "", ro)]], None),
        (&[&[("/dev", "", rw)], &[("/dev/video0", "", rw)]], Some("/dev/video0")),
    ] {
        let error = refused(&hosting(containers), HostView::default());
        match (bad, &error) {
            (None, None) => {}
            (Some(bad), Some(error)) => {
                for part in [bad, "a container of this pod can write there", "readOnly: true"] {
                    assert!(error.contains(part), "{part}: {error}");
                }
            }
            _ => panic!("{containers:?}: {error:?}"),
        }
    }
}

#[test]
fn a_container_that_is_root_already_is_no_reason_to_refuse() {
    let nested = &[&[("/d", "", false)][..], &[("/d/a", "", false)]][..];
    for (privileged, executor, is_refused) in [
        (None, ExecutorKind::PodmanRootful, true),
        (Some(false), ExecutorKind::PodmanRootful, true),
        (Some(true), ExecutorKind::PodmanRootful, false),
        // To be root among a user's containers is not to be root.
        (Some(true), ExecutorKind::PodmanRootless, true),
    ] {
        let mut workload = hosting(nested);
        workload.executor = executor;
        let context = json!({"privileged": privileged});
        let context = serde_json::from_value(context).unwrap();
        workload.pod.containers[0].security_context = Some(context);
        let refused = refused(&workload, HostView::default()).is_some();
        assert_eq!(refused, is_refused, "{privileged:?} {executor}");
    }
    for (path, executor, is_refused) in [
        ("/state", ExecutorKind::PodmanRootful, false),
        ("/state", ExecutorKind::PodmanRootless, true),
        ("/stat", ExecutorKind::PodmanRootful, true),
    ] {
        let inner = format!("{path}/inner");
        let mut workload = hosting(&[&[(path, "", false)], &[(&inner, "", false)]]);
        workload.executor = executor;
        let refused = refused(&workload, HostView::default()).is_some();
        assert_eq!(refused, is_refused, "{path} {executor}");
    }
}

#[test]
fn a_path_below_what_another_workload_can_write_is_refused() {
    let mut other = hosting(&[&[("/d", "a", false), ("/r", "", true)]]);
    other.name = WorkloadName::from("recorder");
    let writable = writable(&other, Path::new("/state/volumes"));
    let expected = Writable { workload: other.name.clone(), path: "/d/a".into() };
    assert_eq!(writable, [expected]);
    let view = HostView { writable: &writable, trails: None };
    for (path, is_refused) in
        [("/d/a/b", true), ("/d/a", false), ("/d", false), ("/d/ab", false), ("/r/x", false)]
    {
        let error = refused(&hosting(&[&[(path, "", true)]]), view);
        assert_eq!(error.is_some(), is_refused, "{path}");
        let error = error.unwrap_or_default();
        assert!(error.is_empty() || error.contains("workload recorder can write there"), "{error}");
    }
    other.executor = ExecutorKind::K8s;
    assert_eq!(super::host_paths::writable(&other, Path::new("/state")), [], "that is elsewhere");
}

#[test]
fn paths_that_do_not_say_where_they_lead_are_refused() {
    for path in ["/d/../e", "relative", "", "/d\0"] {
        let workload = hosting(&[&[(path, "", false)]]);
        let error = refused(&workload, HostView::default()).unwrap();
        assert!(error.contains("volume v00") && error.contains("must be absolute"), "{error}");
        assert_eq!(mounted(&workload), [].into(), "nobody looks there");
    }
}

fn trail(folders: &[&str], end: &str) -> Trail {
    let folders = folders.iter().map(Into::into).collect();
    Trail { folders, end: end.into(), is_there: true }
}

#[test]
fn links_of_the_host_deceive_nobody() {
    // /home is a link to /var/home, and /d/now one to /e/5.
    let trails: Trails = [
        ("/home/data", trail(&["/", "/", "/var", "/var/home"], "/var/home/data")),
        (
            "/var/home/data/sub",
            trail(&["/", "/var", "/var/home", "/var/home/data"], "/var/home/data/sub"),
        ),
        ("/d/now/x", trail(&["/", "/d", "/", "/e", "/e/5"], "/e/5/x")),
        ("/d", trail(&["/"], "/d")),
        ("/d/now", trail(&["/", "/d", "/", "/e"], "/e/5")),
        ("/e", trail(&["/"], "/e")),
        ("/d/plain", trail(&["/", "/d"], "/d/plain")),
    ]
    .into_iter()
    .map(|(path, trail)| (path.into(), trail))
    .collect();
    let view = HostView { writable: &[], trails: Some(&trails) };
    let (rw, ro) = (false, true);
    for (containers, expected) in [
        (
            &[&[("/home/data", "", rw)][..], &[("/var/home/data/sub", "", ro)]][..],
            Some("readOnly: true"),
        ),
        (&[&[("/e", "", rw)], &[("/d/now", "", ro)]], Some("readOnly: true")),
        (&[&[("/e", "", ro)], &[("/d/now", "", ro)]], None),
        (&[&[("/d", "plain", rw)]], None),
        (&[&[("/d", "now", rw)]], Some("a link there leads to /e/5; remove the link")),
        // A link above the volume is the administrator's.
        (&[&[("/d/now", "x", rw)]], None),
        (&[&[("/nowhere", "x", rw)]], Some("cannot see /nowhere")),
    ] {
        let error = refused(&hosting(containers), view);
        assert_eq!(error.is_some(), expected.is_some(), "{containers:?}: {error:?}");
        let error = error.unwrap_or_default();
        assert!(error.contains(expected.unwrap_or_default()), "{error}");
    }
}
