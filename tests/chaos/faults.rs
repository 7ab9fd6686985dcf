//! What befalls the device.

use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::world::World;

/// Time that podman is halted, or a filesystem full.
const A_WHILE: Duration = Duration::from_secs(4);
/// Time after which a full storage is filled again.
const TOP_UP: Duration = Duration::from_millis(50);

/// One fault, or one wish of people at a bad moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    AgentKilled,
    ServiceKilled,
    ServiceHalted,
    ServiceSlow,
    ContainerKilled,
    ConmonKilled,
    ContainerAndConmonKilled,
    MetricToggled,
    WorkloadAdded,
    WorkloadChanged,
    WorkloadRemoved,
    StorageFull,
    StateFull,
}

impl Fault {
    /// Each of them.
    pub const ALL: [Self; 13] = [
        Self::AgentKilled,
        Self::ServiceKilled,
        Self::ServiceHalted,
        Self::ServiceSlow,
        Self::ContainerKilled,
        Self::ConmonKilled,
        Self::ContainerAndConmonKilled,
        Self::MetricToggled,
        Self::WorkloadAdded,
        Self::WorkloadChanged,
        Self::WorkloadRemoved,
        Self::StorageFull,
        Self::StateFull,
    ];

    /// Returns what the table calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AgentKilled => "agent killed (`kill -9`) and started again",
            Self::ServiceKilled => "podman's service killed",
            Self::ServiceHalted => "podman's service halted for 4 s (`SIGSTOP`)",
            Self::ServiceSlow => {
                "podman's service 30 times slower until all is right, every workload changed"
            }
            Self::ContainerKilled => "a container's process killed",
            Self::ConmonKilled => "a container's conmon killed",
            Self::ContainerAndConmonKilled => "conmon, then its container killed",
            Self::MetricToggled => "a metric starts or stops half of the workloads",
            Self::WorkloadAdded => "a workload added",
            Self::WorkloadChanged => "a workload changed",
            Self::WorkloadRemoved => "a workload removed",
            Self::StorageFull => "podman's storage full for 4 s, a workload changed meanwhile",
            Self::StateFull => "the agent's STATE_DIR full for 4 s, a workload changed meanwhile",
        }
    }

    /// Lets it happen.
    pub fn strike(self, world: &mut World, random: &mut Rng) {
        match self {
            Self::AgentKilled => world.kill_agent(),
            Self::ServiceKilled => world.podman.kill_service(),
            Self::ServiceHalted => world.podman.hang(),
            Self::ServiceSlow => world.slow_down(),
            Self::ContainerKilled => world.kill_container(random, false, true),
            Self::ConmonKilled => world.kill_container(random, true, false),
            Self::ContainerAndConmonKilled => world.kill_container(random, true, true),
            Self::MetricToggled => world.toggle_metric(),
            Self::WorkloadAdded => world.add_workload(random),
            Self::WorkloadChanged => world.change_workload(random),
            Self::WorkloadRemoved => world.remove_workload(random),
            Self::StorageFull => {
                world.podman.fill_storage();
                world.change_workload(random);
            }
            Self::StateFull => {
                world.disk.fill();
                world.change_workload(random);
            }
        }
    }

    /// Ends what lasts.
    pub fn pass(self, world: &mut World) {
        match self {
            Self::AgentKilled => world.start_agent(),
            Self::ServiceHalted => {
                thread::park_timeout(A_WHILE);
                world.podman.resume();
            }
            Self::StorageFull => {
                let end = Instant::now() + A_WHILE;
                while Instant::now() < end {
                    // What a stopped pod leaves is not enough for the next one either.
                    world.podman.fill_storage();
                    thread::park_timeout(TOP_UP);
                }
                world.podman.empty_storage();
            }
            Self::StateFull => {
                thread::park_timeout(A_WHILE);
                world.disk.empty();
            }
            Self::ServiceKilled
            | Self::ServiceSlow
            | Self::ContainerKilled
            | Self::ConmonKilled
            | Self::ContainerAndConmonKilled
            | Self::MetricToggled
            | Self::WorkloadAdded
            | Self::WorkloadChanged
            | Self::WorkloadRemoved => {}
        }
    }
}
