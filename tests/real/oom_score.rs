//! Memory that runs short.

use std::fs;

use actors::testing::podman::HermeticPodman;

use crate::agent::eventually;
use crate::device::Device;

fn oom_score(proc: &str, pid: i64) -> i32 {
    let score = fs::read_to_string(format!("{proc}/{pid}/oom_score_adj")).unwrap();
    score.trim().parse().unwrap()
}

#[test]
fn when_memory_is_short_the_kernel_takes_pods_before_the_agent() {
    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    // `sleep` is started by the shell: a process of the pod, too.
    let (agent, web) = device.start_with_web(&podman);
    eventually("the pod's processes are offered to the kernel", || {
        (oom_score(&podman.proc(), web.pid) == 100).then_some(())
    });
    // Where the machine lets no process have a lower score, the agent says so and runs.
    let score = oom_score("/proc", i64::from(agent.pid()));
    let refused = agent.has_logged(&["kernel does not spare the agent", "Permission denied"]);
    assert!(score == -500 || (score < 100 && refused), "{score}\n{}", agent.tail());
}
