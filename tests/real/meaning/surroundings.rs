//! What a pod finds around it: names, addresses, the kernel's settings, terminals, other processes.
//!
//! By "DNS for Services and Pods", "Adding entries to Pod /etc/hosts with HostAliases", "Using sysctls in
//! a Kubernetes Cluster" and "Share Process Namespace between Containers in a Pod" of Kubernetes'
//! documentation, and the comments of its types PodSpec and Container.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::{Case, Row};
use crate::device::Device;

/// The pod that has no time to end.
pub(super) const AT_ONCE: &str = "at-once";

pub(super) fn cases(device: &Device) -> Vec<Case> {
    vec![told(), sysctls(), untold(), at_once(device)]
}

/// A pod that says what it wants.
fn told() -> Case {
    let main: &[Row] = &[
        ("hostname", "hostname", "box"),
        (
            "hostAliases",
            "awk '$1 == \"10.1.2.3\" { for (n = 2; n <= NF; n++) print $n }' /etc/hosts | sort",
            "bar.remote foo.remote",
        ),
        ("hostAliases: localhost", "grep -c '^127.0.0.1.*localhost' /etc/hosts", "1"),
        ("dnsConfig.nameservers", "grep ^nameserver /etc/resolv.conf", "nameserver 192.0.2.1"),
        (
            "dnsConfig.searches",
            "grep ^search /etc/resolv.conf",
            "search ns1.svc.cluster-domain.example my.dns.search.suffix",
        ),
        ("dnsConfig.options", "grep ^options /etc/resolv.conf", "options ndots:2 edns0"),
        (
            "shareProcessNamespace",
            "until grep -qs 4242 /proc/[0-9]*/cmdline; do sleep 0.1; done; echo there",
            "there",
        ),
        ("workingDir", "pwd", "/bin"),
    ];
    let neighbour: &[Row] = &[("sleep", "sleep 4242 >/dev/null 2>&1 & echo started", "started")];
    Case::of(
        "told",
        vec![("main", json!({"workingDir": "/bin"}), main), ("neighbour", json!({}), neighbour)],
        json!({
            "hostname": "box",
            "shareProcessNamespace": true,
            "hostAliases": [{"ip": "10.1.2.3", "hostnames": ["foo.remote", "bar.remote"]}],
            "dnsPolicy": "None",
            "dnsConfig": {"nameservers": ["192.0.2.1"],
                "searches": ["ns1.svc.cluster-domain.example", "my.dns.search.suffix"],
                "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]},
        }),
    )
}

/// The example of Kubernetes' documentation. podman knows them from 4.5 on.
fn sysctls() -> Case {
    let rows: &[Row] = &[
        ("sysctls: kernel", "cat /proc/sys/kernel/shm_rmid_forced", "1"),
        ("sysctls: net", "cat /proc/sys/net/core/somaxconn", "1024"),
    ];
    let case = Case::of(
        "sysctls",
        vec![("main", json!({}), rows)],
        json!({"securityContext": {"sysctls": [
            {"name": "kernel.shm_rmid_forced", "value": "1"},
            {"name": "net.core.somaxconn", "value": "1024"}]}}),
    );
    Case { refused_by_4: Some("securityContext.sysctls needs podman"), ..case }
}

/// A pod that leaves it to Kubernetes.
fn untold() -> Case {
    let main: &[Row] = &[
        ("hostname by default", "hostname", super::POD),
        ("its own first process", "cat /proc/1/comm", "sh"),
        ("workingDir by default", "pwd", "/"),
        ("stdin by default", "readlink /proc/1/fd/0", "/dev/null"),
        ("tty by default", "readlink /proc/1/fd/1 | cut -d: -f1", "pipe"),
        ("localhost of the pod", "(echo hi | nc -l -p 7070) >/dev/null 2>&1 & echo up", "up"),
    ];
    let open: &[Row] = &[
        ("stdin", "timeout 1 cat /proc/1/fd/0; echo $?", "143"),
        (
            "one network for all",
            "until nc 127.0.0.1 7070 </dev/null 2>/dev/null; do sleep 0.1; done",
            "hi",
        ),
    ];
    let terminal: &[Row] = &[
        ("tty", "readlink /proc/1/fd/1", "/dev/pts/0"),
        ("no process of the others", "cat /proc/1/comm", "sh"),
    ];
    Case::of(
        "untold",
        vec![
            ("main", json!({}), main),
            ("open", json!({"stdin": true}), open),
            ("terminal", json!({"tty": true, "stdin": true}), terminal),
        ],
        json!({}),
    )
}

/// A pod that notes a SIGTERM, but is given no time to.
fn at_once(device: &Device) -> Case {
    let out = device.path("out");
    fs::create_dir(&out).unwrap();
    fs::set_permissions(&out, fs::Permissions::from_mode(0o777)).unwrap();
    let trap = "trap 'echo term >> /out/log; exit 0' TERM; sleep infinity & wait";
    let script = format!("echo '{}'; {trap}", super::DONE);
    let main = json!({"command": ["/bin/sh", "-c", script],
        "volumeMounts": [{"name": "out", "mountPath": "/out"}]});
    Case::of(
        AT_ONCE,
        vec![("main", main, &[])],
        json!({"terminationGracePeriodSeconds": 0,
            "volumes": [{"name": "out", "hostPath": {"path": out.display().to_string()}}]}),
    )
}
