//! A board that is much slower than the machines that the agent is made on.

use std::time::Duration;

use actors::testing::workloads::workload;
use actors::workload::ExecutorKind;
use tokio::time::sleep;

use crate::agent::{kill, start};
use crate::story::{Outcome, site, tell};
use crate::workloads::Behaviour;

/// How many times slower.
pub(crate) const FACTOR: u32 = 30;
/// Time for the first pod, and for each further one.
const FIRST: Duration = Duration::from_secs(90);
const EACH: Duration = Duration::from_secs(40);

/// Boots a device with so many pods; returns what became of it.
pub(crate) fn boot(pods: u32, factor: u32) -> Outcome {
    tell(u64::from(pods), std::env::var("TELL").is_ok(), async |world, folder| {
        let site = site(0, &world, folder).await;
        world.chooser.calm_down();
        world.slowness.set(factor);
        for number in 0..pods {
            let image = format!("localhost/app:{}", number % 4);
            let workload = workload(&format!("w{number}")).image(&image).build();
            world.behaviours.borrow_mut().insert(workload.id.clone(), Behaviour::Steady);
            world.configuration.borrow_mut().workloads.push(workload);
        }
        let agent = start(&site);
        let podman = &site.podmans[&ExecutorKind::PodmanRootful];
        let limit = FIRST + EACH * pods;
        let mut took = limit;
        while world.now().since_start() < limit {
            sleep(Duration::from_secs(1)).await;
            let running = podman.pods().iter().filter(|pod| pod.whole).count();
            if running == pods as usize {
                took = world.now().since_start();
                break;
            }
        }
        if took == limit {
            let running = podman.pods().iter().filter(|pod| pod.whole).count();
            world.violated(format!("after {limit:?} {running} of {pods} pods run"));
        }
        kill(agent, &world).await;
        took
    })
}
