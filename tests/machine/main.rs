//! The packaged agent on a virtual machine: systemd, cgroup v2, crun, a power cut. `make test-machine`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test of real processes, in real time"
)]

mod damage;
mod first_workload;
mod limits;
mod machine;
mod shutdown;
mod workloads;
