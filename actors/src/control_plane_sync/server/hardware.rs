//! Reads the facts about this device from /proc, /sys and the kernel.

mod facts;
mod parse;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

pub(crate) use facts::Hardware;
use facts::{Boot, Cpu, Disk, Interface, Memory, Mount, SystemVendor};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Far more than any of the files that are read here holds.
const MAX_MOUNTS: usize = 256;

impl Hardware {
    /// Reads all facts; those that cannot be had are left out. Takes some milliseconds, and asks no
    /// network filesystem, which could hang.
    #[must_use]
    pub(crate) fn read() -> Self {
        let system = rustix::system::uname();
        let cpu = parse::cpu(
            &text("/proc/cpuinfo").unwrap_or_default(),
            &system.machine().to_string_lossy(),
        );
        Self {
            boot: boot(),
            hostname: system.nodename().to_string_lossy().into_owned(),
            system_vendor: system_vendor(&cpu),
            cpu,
            disks: disks(),
            gpus: Vec::new(),
            host_devices: Vec::new(),
            interfaces: interfaces(),
            memory: memory(),
            mounts: mounts(),
        }
    }

    /// Reads all facts on a thread of their own, so that no actor waits for a disk that hangs.
    /// Returns `None` when they are not there within `limit`.
    pub(crate) async fn read_within(limit: Duration) -> Option<Self> {
        let (sender, receiver) = oneshot::channel();
        let reader = std::thread::Builder::new().name("hardware".to_owned());
        // The thread is not joined: one that hangs must not hold up the agent's exit.
        reader.spawn(move || drop(sender.send(Self::read()))).ok()?;
        timeout(limit, receiver).await.ok()?.ok()
    }
}

fn boot() -> Boot {
    let efi = Path::new("/sys/firmware/efi").exists();
    let bios = Path::new("/sys/class/dmi/id").exists();
    Boot {
        current_boot_mode: match (efi, bios) {
            (true, _) => "uefi".to_owned(),
            (false, true) => "bios".to_owned(),
            (false, false) => String::new(),
        },
    }
}

fn memory() -> Memory {
    let usable_bytes = parse::memory_total(&text("/proc/meminfo").unwrap_or_default());
    let blocks = text("/sys/devices/system/memory/block_size_bytes");
    let block = blocks.and_then(|size| u64::from_str_radix(&size, 16).ok());
    let online = names("/sys/devices/system/memory")
        .into_iter()
        .filter(|name| name.starts_with("memory"))
        .filter(|name| {
            text(format!("/sys/devices/system/memory/{name}/online")).as_deref() == Some("1")
        })
        .count();
    let physical = block.zip(u64::try_from(online).ok());
    let physical = physical.and_then(|(block, online)| block.checked_mul(online));
    Memory { physical_bytes: physical.unwrap_or_default().max(usable_bytes), usable_bytes }
}

fn system_vendor(cpu: &Cpu) -> SystemVendor {
    let dmi = |name: &str| text(format!("/sys/class/dmi/id/{name}"));
    let model = || text("/proc/device-tree/model");
    let vendor = SystemVendor {
        manufacturer: dmi("sys_vendor").unwrap_or_default(),
        product_name: dmi("product_name").or_else(model).unwrap_or_default(),
        serial_number: dmi("product_serial")
            .or_else(|| text("/proc/device-tree/serial-number"))
            .unwrap_or_default(),
        is_virtual: false,
    };
    let hypervisor = Path::new("/sys/hypervisor/type").exists();
    SystemVendor { is_virtual: hypervisor || parse::is_virtual(cpu, &vendor), ..vendor }
}

fn interfaces() -> Vec<Interface> {
    let mut addresses: BTreeMap<String, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for interface in if_addrs::get_if_addrs().unwrap_or_default() {
        let (v4, v6) = addresses.entry(interface.name).or_default();
        match interface.addr {
            if_addrs::IfAddr::V4(address) => {
                v4.push(format!("{}/{}", address.ip, address.prefixlen));
            }
            if_addrs::IfAddr::V6(address) => {
                v6.push(format!("{}/{}", address.ip, address.prefixlen));
            }
        }
    }
    let of_interface = |name: String| {
        let fact = |file: &str| text(format!("/sys/class/net/{name}/{file}"));
        let (mut ipv4_addresses, mut ipv6_addresses) = addresses.remove(&name).unwrap_or_default();
        ipv4_addresses.sort();
        ipv6_addresses.sort();
        Interface {
            biosdevname: String::new(),
            flags: parse::interface_flags(&fact("flags").unwrap_or_default()),
            has_carrier: fact("carrier").as_deref() == Some("1"),
            ipv4_addresses,
            ipv6_addresses,
            mac_address: fact("address").unwrap_or_default(),
            mtu: number(fact("mtu")),
            product: fact("device/device").unwrap_or_default(),
            speed_mbps: number(fact("speed")),
            vendor: fact("device/vendor").unwrap_or_default(),
            name,
        }
    };
    names("/sys/class/net").into_iter().map(of_interface).collect()
}

fn disks() -> Vec<Disk> {
    let of_disk = |name: String| {
        let fact = |file: &str| text(format!("/sys/block/{name}/{file}"));
        Disk {
            drive_type: parse::drive_type(&name, fact("queue/rotational").as_deref()),
            model: fact("device/model").unwrap_or_default(),
            path: format!("/dev/{name}"),
            serial: fact("device/serial").or_else(|| fact("serial")).unwrap_or_default(),
            size_bytes: parse::sectors_to_bytes(&fact("size").unwrap_or_default()),
            vendor: fact("device/vendor").unwrap_or_default(),
            wwn: fact("wwid").or_else(|| fact("device/wwid")).unwrap_or_default(),
            name,
        }
    };
    names("/sys/block")
        .into_iter()
        .filter(|name| parse::is_physical_disk(name))
        .map(of_disk)
        .filter(|disk| disk.size_bytes > 0)
        .collect()
}

fn mounts() -> Vec<Mount> {
    let mut mounts = parse::mounts(&text("/proc/self/mounts").unwrap_or_default());
    mounts.truncate(MAX_MOUNTS);
    for mount in mounts.iter_mut().filter(|mount| parse::answers_at_once(mount)) {
        mount.size_bytes = rustix::fs::statvfs(&mount.directory)
            .ok()
            .and_then(|size| size.f_frsize.checked_mul(size.f_blocks));
    }
    mounts
}

/// Returns the trimmed text of a file of /proc or /sys; an empty one counts as absent.
fn text(path: impl AsRef<Path>) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

/// Returns the names in a folder, in order.
fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The kernel says -1, or nothing, where it does not know.
fn number(text: Option<String>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
