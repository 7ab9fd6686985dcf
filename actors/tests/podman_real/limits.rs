//! Limits by condition on pods that run, as the kernel has them.

use actors::podman_executor::{PodmanApi as _, Resource, UpdateBody, UpdateCpu, UpdateMemory};
use actors::workload::Limits;

use super::*;

/// Returns what the kernel has for the container: CPU quota and memory limit, `None` for no limit.
fn in_force(podman: &HermeticPodman, container: &str) -> (Option<u64>, Option<u64>) {
    let detail = podman.json(&format!("containers/{container}/json"));
    let group = detail["State"]["CgroupPath"].as_str().unwrap().to_owned();
    let read = |v1: &str, v2: &str| {
        let first = std::fs::read_to_string(format!("/sys/fs/cgroup/{v1}").replace("{}", &group));
        let other = || std::fs::read_to_string(format!("/sys/fs/cgroup{group}/{v2}")).unwrap();
        let text = first.unwrap_or_else(|_| other());
        // What is beyond every machine's memory is how cgroup v1 says "no limit".
        let number = text.split_whitespace().next().and_then(|text| text.parse::<u64>().ok());
        number.filter(|number| *number < 1 << 60)
    };
    (
        read("cpu{}/cpu.cfs_quota_us", "cpu.max"),
        read("memory{}/memory.limit_in_bytes", "memory.max"),
    )
}

fn start(workload: &Arc<Workload>, cpu: Option<u64>, memory: Option<u64>) -> Action {
    Action::Start {
        workload: Arc::clone(workload),
        limits: Limits { cpu, memory, ..Limits::default() },
    }
}

fn limit(workload: &Arc<Workload>, cpu: Option<u64>, memory: Option<u64>) -> Action {
    Action::Limit {
        workload: Arc::clone(workload),
        limits: Limits { cpu, memory, ..Limits::default() },
    }
}

const MIB: u64 = 1 << 20;

#[actix::test]
async fn limits_are_changed_and_lifted_while_the_pod_runs() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let mut bounded = container("bounded", &serving("true"));
    bounded["resources"] = json!({"limits": {"cpu": "200m", "memory": "64Mi"}});
    let free = container("free", &serving("true"));
    let both = Arc::new(workload("both", pod(vec![bounded, free])));
    let names = ["bounded", "free"].map(|name| container_name(&both, name));
    desk.run(start(&both, Some(20_000), None)).await.unwrap();
    let ids = || {
        let id = |name| podman.json(&format!("containers/{name}/json"))["Id"].clone();
        names.each_ref().map(id)
    };
    let first = ids();
    let seen = || names.each_ref().map(|name| in_force(&podman, name));
    // A pod's limit is parted; the author's own limit holds where it is smaller.
    assert_eq!(seen(), [(Some(10_000), Some(64 * MIB)), (Some(10_000), None)]);
    for (cpu, memory, expected) in [
        (Some(60_000), None, [(Some(20_000), Some(64 * MIB)), (Some(30_000), None)]),
        (
            Some(60_000),
            Some(64 * MIB),
            [(Some(20_000), Some(32 * MIB)), (Some(30_000), Some(32 * MIB))],
        ),
        (None, Some(256 * MIB), [(Some(20_000), Some(64 * MIB)), (None, Some(128 * MIB))]),
        (None, None, [(Some(20_000), Some(64 * MIB)), (None, None)]),
        (Some(500_000), None, [(Some(20_000), Some(64 * MIB)), (Some(250_000), None)]),
        (None, None, [(Some(20_000), Some(64 * MIB)), (None, None)]),
    ] {
        for _ in 0..2 {
            desk.run(limit(&both, cpu, memory)).await.unwrap();
            assert_eq!(seen(), expected, "{cpu:?} {memory:?}");
        }
    }
    // An agent that just started cannot know what is in force, and says it all again.
    desk.run(start(&both, Some(20_000), None)).await.unwrap();
    let mut next = rootful(&podman);
    next.run(limit(&both, None, None)).await.unwrap();
    assert_eq!(seen(), [(Some(20_000), Some(64 * MIB)), (None, None)]);
    assert_eq!(ids(), first, "no container was restarted");
    assert_eq!((desk.reasons(), next.reasons()), (vec![], vec![]));
}

/// Returns what podman says it was asked for: memory, reserved memory and CPU quota, 0 for none.
fn asked(podman: &HermeticPodman, container: &str) -> [u64; 3] {
    let host = &podman.json(&format!("containers/{container}/json"))["HostConfig"];
    ["Memory", "MemoryReservation", "CpuQuota"].map(|key| host[key].as_u64().unwrap())
}

#[actix::test]
async fn amounts_with_a_fraction_reach_the_kernel_as_they_are_meant() {
    const PAGE: u64 = 4_096;
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let cases = [
        // Limits of CPU and memory, the memory asked for; microseconds, bytes, bytes.
        (json!(0.5), json!("1.5Gi"), json!("0.25Gi"), 50_000, 1_610_612_736, 268_435_456),
        (json!("1500u"), json!("1.1Gi"), json!("1.1Gi"), 1_000, 1_181_116_007, 1_181_116_007),
        (json!("1.5"), json!(1e8), json!("64Mi"), 150_000, 100_000_000, 64 * MIB),
        (json!("100m"), json!("128974848000m"), json!("1e9"), 10_000, 128_974_848, 128_974_848),
    ];
    let containers = cases.iter().enumerate().map(|(n, (cpu, memory, request, ..))| {
        let mut container = container(&format!("c{n}"), &serving("true"));
        container["resources"] = json!({"limits": {"cpu": cpu, "memory": memory},
            "requests": {"cpu": cpu, "memory": request}});
        container
    });
    let mut pod = pod(containers.collect());
    let mut first = container(
        "first",
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes \
        /sys/fs/cgroup/memory.max 2>/dev/null | grep -qx 50331648",
    );
    first["resources"] = json!({"limits": {"memory": "0.046875Gi"}});
    pod["initContainers"] = json!([first]);
    let web = Arc::new(workload("web", pod));
    desk.run_start(&web).await.unwrap();
    let check = |limited: bool| {
        for (n, (_, _, _, cpu, memory, reserved)) in cases.iter().enumerate() {
            let name = container_name(&web, &format!("c{n}"));
            // The kernel counts memory in pages.
            let expected = (Some(*cpu), Some(memory / PAGE * PAGE));
            assert_eq!(in_force(&podman, &name), expected, "container {n}");
            if !limited {
                assert_eq!(asked(&podman, &name), [*memory, *reserved, *cpu], "container {n}");
            }
        }
    };
    check(false);
    // Nor is anything lost where a condition's limit was in force.
    desk.run(limit(&web, Some(4_000), Some(64 * MIB))).await.unwrap();
    desk.run(limit(&web, None, None)).await.unwrap();
    check(true);
    // podman has no use for the CPU that each container asks for.
    assert_eq!(desk.reasons(), vec!["SpecificationAdjusted"; cases.len()]);
}

#[actix::test]
async fn a_pod_asks_for_no_more_memory_than_a_condition_leaves_it() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let mut main = container("main", &serving("true"));
    main["resources"] = json!({"requests": {"memory": "0.5Gi"}});
    let web = Arc::new(workload("web", pod(vec![main])));
    desk.run(start(&web, None, Some(64 * MIB))).await.unwrap();
    let name = container_name(&web, "main");
    assert_eq!(in_force(&podman, &name).1, Some(64 * MIB));
    assert_eq!(asked(&podman, &name), [64 * MIB, 64 * MIB, 0]);
}

#[actix::test]
async fn limits_hold_for_the_next_pod_as_well() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let web = Arc::new(workload("web", pod(vec![container("main", "sleep 1")])));
    let name = container_name(&web, "main");
    for _ in 0..2 {
        desk.run(start(&web, Some(30_000), None)).await.unwrap();
        assert_eq!(in_force(&podman, &name).0, Some(30_000));
        desk.observe_state(&web.id, |state| matches!(state, CurrentState::Exited { .. })).await;
    }
}

#[actix::test]
async fn limits_can_be_written_past_podman() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let web = serving_workload("web");
    desk.run_start(&web).await.unwrap();
    let (name, id) = (container_name(&web, "main"), container_id(&podman, &web));
    let client = client(&podman);
    for (quota, limit, expected) in
        [(25_000, 32 << 20, (Some(25_000), Some(32 * MIB))), (-1, -1, (None, None))]
    {
        let cpu = Some(UpdateCpu { quota, period: 100_000 });
        let limits = UpdateBody { cpu, memory: Some(UpdateMemory { limit }) };
        client.limit_group(&id, limits).await.unwrap();
        assert_eq!(in_force(&podman, &name), expected);
    }
}

#[actix::test]
async fn limits_that_rootless_podman_cannot_keep_are_reported_once_for_each_change() {
    let podman = HermeticPodman::rootless();
    if podman.json("info")["host"]["cgroupVersion"] == json!("v2") {
        // There they can be kept, if the machine delegates the controller.
        return;
    }
    let mut desk = desk(&podman, ExecutorKind::PodmanRootless);
    let web = serving_workload("web");
    for (cpu, events) in [
        (Some(20_000), 1),
        (Some(20_000), 0),
        (Some(30_000), 1),
        (None, 0),
        (Some(20_000), 1),
        (Some(20_000), 0),
    ] {
        desk.run(start(&web, cpu, None)).await.unwrap();
        desk.observe_state(&web.id, is_running).await;
        assert_eq!(desk.reasons(), vec!["LimitNotApplied"; events], "{cpu:?}");
    }
}

#[actix::test]
async fn what_is_in_force_is_read_from_the_kernel_on_every_level() {
    let podman = HermeticPodman::rootful();
    let mut desk = rootful(&podman);
    let web = serving_workload("web");
    desk.run(start(&web, Some(25_000), Some(32 * MIB))).await.unwrap();
    let client = LibpodClient::new(podman.socket(), ExpectedPeer::RootOrOwn);
    let rows = client.containers_of(web.id.as_str()).await.unwrap();
    let row = rows.iter().find(|row| row.names[0] == container_name(&web, "main")).unwrap();
    for (resource, limit) in [(Resource::Cpu, 25_000), (Resource::Memory, 32 * MIB)] {
        let levels = client.limits_in_force(&row.id, row.pid, resource).await.unwrap();
        let own = levels.iter().find(|level| level.is_own).unwrap();
        assert_eq!(own.limit, Some(limit), "{levels:?}");
        assert!(levels.iter().any(|level| !level.is_own), "its pod's: {levels:?}");
    }
    // Another user's process, or none, says nothing of it.
    for process in [1, i64::MAX] {
        let levels = client.limits_in_force(&row.id, process, Resource::Cpu).await;
        assert_eq!(levels, None, "{process}");
    }
}
