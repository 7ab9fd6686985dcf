//! What the kernel holds containers to.
//!
//! By "Resource Management for Pods and Containers" of Kubernetes' documentation: the first rows are its
//! five spellings of about 129 MB. The kernel counts memory in pages of 4 KiB.

use serde_json::{Value, json};

use super::{Case, Row};

const MEMORY: &str =
    "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null";
const CPU: &str = "cat /sys/fs/cgroup/cpu.max 2>/dev/null || \
                   cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.cfs_period_us";

/// Limits of memory and CPU as they are written; as the kernel has them, in bytes, and in microseconds of
/// a period.
type Written = (Value, Value, &'static str, &'static str);

pub(super) fn cases() -> Vec<Case> {
    let table: [Written; 7] = [
        (json!(128_974_848), json!("500m"), "128974848", "50000 100000"),
        (json!("129e6"), json!(0.5), "128999424", "50000 100000"),
        (json!("129M"), json!("0.1"), "128999424", "10000 100000"),
        (json!("128974848000m"), json!("100m"), "128974848", "10000 100000"),
        (json!("123Mi"), json!(1), "128974848", "100000 100000"),
        (json!("1.5Gi"), json!("1500m"), "1610612736", "150000 100000"),
        (json!("1e9"), json!("2"), "999997440", "200000 100000"),
    ];
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let rows: Vec<[Row; 2]> = table
        .iter()
        .map(|(_, _, memory, cpu)| [("limits.memory", MEMORY, *memory), ("limits.cpu", CPU, *cpu)])
        .collect();
    let containers =
        names.into_iter().zip(&table).zip(&rows).map(|((name, (memory, cpu, ..)), rows)| {
            let limits = json!({"limits": {"memory": memory, "cpu": cpu}});
            (name, json!({"resources": limits}), rows.as_slice())
        });
    let case = Case::of("limits", containers.collect(), json!({}));
    vec![Case { needs_root: true, ..case }]
}
