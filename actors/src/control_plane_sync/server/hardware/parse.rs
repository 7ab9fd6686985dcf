//! Meaning of what /proc and /sys say.

use super::facts::{Cpu, Mount, SystemVendor};

/// The kernel counts disks in sectors of this size, whatever the disk's own.
const SECTOR: u64 = 512;

/// Filesystems whose server may be away, so that asking for their size could wait for ever.
const REMOTE: [&str; 12] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "ceph",
    "9p",
    "afs",
    "glusterfs",
    "lustre",
    "ocfs2",
    "gfs2",
];

/// Filesystems that are on disks, but whose device is not a path.
const POOLED: [&str; 3] = ["zfs", "btrfs", "bcachefs"];

/// Block devices that are made of memory, files or other block devices, or hold no system.
const NOT_PHYSICAL: [&str; 8] = ["loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd"];

/// Interface flags by bit, as `ip link` names them.
const INTERFACE_FLAGS: [(u32, &str); 7] = [
    (0x1, "up"),
    (0x2, "broadcast"),
    (0x8, "loopback"),
    (0x10, "pointtopoint"),
    (0x40, "running"),
    (0x100, "promisc"),
    (0x1000, "multicast"),
];

/// Words in the vendor or product of machines that are virtual.
const VIRTUAL_MACHINES: [&str; 10] = [
    "qemu",
    "kvm",
    "vmware",
    "virtualbox",
    "innotek",
    "xen",
    "bochs",
    "parallels",
    "amazon ec2",
    "google compute engine",
];

/// Reads `/proc/cpuinfo`, whose fields differ by architecture.
pub(super) fn cpu(cpuinfo: &str, architecture: &str) -> Cpu {
    let fields = || {
        cpuinfo
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| (key.trim(), value.trim()))
    };
    let first = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| fields().find(|(key, _)| key == name))
            .map_or("", |(_, value)| value)
    };
    let count = fields().filter(|(key, _)| *key == "processor").count();
    let mut flags: Vec<_> = first(&["flags", "Features", "features", "isa"])
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    flags.sort();
    flags.dedup();
    Cpu {
        architecture: architecture.to_owned(),
        count: u64::try_from(count).unwrap_or_default(),
        flags,
        model_name: first(&["model name", "Model", "Hardware", "cpu model", "uarch"]).to_owned(),
    }
}

/// Reads the memory that the kernel can use, in bytes, from `/proc/meminfo`.
pub(super) fn memory_total(meminfo: &str) -> u64 {
    meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kibibytes| kibibytes.parse::<u64>().ok())
        .map_or(0, |kibibytes| kibibytes.saturating_mul(1024))
}

/// Reads the names of an interface's flags from its `flags` file.
pub(super) fn interface_flags(text: &str) -> Vec<String> {
    let digits = text.trim().trim_start_matches("0x");
    let bits = u32::from_str_radix(digits, 16).unwrap_or_default();
    INTERFACE_FLAGS
        .iter()
        .filter(|(bit, _)| bits & bit != 0)
        .map(|(_, name)| (*name).to_owned())
        .collect()
}

/// Returns whether a name in /sys/block is that of a disk one could hold.
pub(super) fn is_physical_disk(name: &str) -> bool {
    !NOT_PHYSICAL.iter().any(|prefix| name.starts_with(prefix))
}

/// Returns the kind of a disk.
pub(super) fn drive_type(name: &str, rotational: Option<&str>) -> String {
    let kind = match rotational {
        _ if name.starts_with("nvme") => "NVMe",
        Some("1") => "HDD",
        Some("0") => "SSD",
        Some(_) | None => "",
    };
    kind.to_owned()
}

/// Returns the size in bytes of a disk whose `size` file says `text`.
pub(super) fn sectors_to_bytes(text: &str) -> u64 {
    text.trim().parse::<u64>().unwrap_or_default().saturating_mul(SECTOR)
}

/// Reads `/proc/self/mounts`: filesystems on disks and remote ones, each once.
pub(super) fn mounts(text: &str) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for mount in text.lines().filter_map(mount) {
        let kept =
            mount.device.starts_with('/') || is_remote(&mount.kind) || is_pooled(&mount.kind);
        let known = mounts.iter().any(|known| known.directory == mount.directory);
        if kept && !known {
            mounts.push(mount);
        }
    }
    mounts
}

fn mount(line: &str) -> Option<Mount> {
    let mut fields = line.split(' ');
    Some(Mount {
        device: unescaped(fields.next()?),
        directory: unescaped(fields.next()?),
        kind: fields.next()?.to_owned(),
        options: fields.next()?.to_owned(),
        size_bytes: None,
    })
}

/// Returns whether a mount's size can be asked for without waiting for a server or a helper.
pub(super) fn answers_at_once(mount: &Mount) -> bool {
    let on_disk = mount.device.starts_with("/dev/") || is_pooled(&mount.kind);
    on_disk && !is_remote(&mount.kind)
}

fn is_remote(kind: &str) -> bool {
    REMOTE.contains(&kind) || kind.starts_with("fuse")
}

fn is_pooled(kind: &str) -> bool {
    POOLED.contains(&kind)
}

/// The kernel writes blanks and backslashes in paths as three octal digits.
fn unescaped(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let [first, tail @ ..] = rest {
        let octal = match (first, tail) {
            (b'\\', [a, b, c, after @ ..]) => octal([*a, *b, *c]).map(|byte| (byte, after)),
            _ => None,
        };
        let (byte, after) = octal.unwrap_or((*first, tail));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn octal(digits: [u8; 3]) -> Option<u8> {
    let text = std::str::from_utf8(&digits).ok()?;
    u8::from_str_radix(text, 8).ok()
}

/// Returns whether the machine looks like a virtual one.
pub(super) fn is_virtual(cpu: &Cpu, vendor: &SystemVendor) -> bool {
    let words = format!("{} {}", vendor.manufacturer, vendor.product_name).to_lowercase();
    cpu.flags.iter().any(|flag| flag == "hypervisor")
        || VIRTUAL_MACHINES.iter().any(|word| words.contains(word))
        || words.contains("microsoft corporation virtual machine")
}
