//! The facts about a device, in the protocol's shape.
//!
//! Lists are never left out: the server cannot store a device whose `flags` are null. Numbers are
//! whole: the server refuses `4.0`.

use serde::{Deserialize, Serialize};

/// All facts about this device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Hardware {
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) boot: Boot,
    pub(crate) cpu: Cpu,
    pub(crate) disks: Vec<Disk>,
    /// Not gathered; the server wants the list all the same.
    pub(crate) gpus: Vec<serde_json::Value>,
    /// Not gathered; the server wants the list all the same.
    pub(crate) host_devices: Vec<serde_json::Value>,
    pub(crate) hostname: String,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) memory: Memory,
    pub(crate) mounts: Vec<Mount>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) system_vendor: SystemVendor,
}

/// How the device booted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Boot {
    /// `uefi`, `bios`, or empty where there is neither.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) current_boot_mode: String,
}

/// The processors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Cpu {
    /// As `uname -m` says it.
    pub(crate) architecture: String,
    pub(crate) count: u64,
    pub(crate) flags: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) model_name: String,
}

/// A disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Disk {
    /// `HDD`, `SSD` or `NVMe`.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) drive_type: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) model: String,
    pub(crate) name: String,
    pub(crate) path: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) serial: String,
    pub(crate) size_bytes: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) vendor: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) wwn: String,
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Interface {
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) biosdevname: String,
    pub(crate) flags: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) has_carrier: bool,
    /// With their prefix, `10.0.0.2/24`.
    pub(crate) ipv4_addresses: Vec<String>,
    /// With their prefix.
    pub(crate) ipv6_addresses: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) mac_address: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) mtu: u64,
    pub(crate) name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) product: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) speed_mbps: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) vendor: String,
}

/// The memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Memory {
    pub(crate) physical_bytes: u64,
    pub(crate) usable_bytes: u64,
}

/// A mounted filesystem.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Mount {
    pub(crate) device: String,
    pub(crate) directory: String,
    pub(crate) options: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Its size, where it can be asked without waiting. Not known to every server.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) size_bytes: Option<u64>,
}

/// Who made the device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SystemVendor {
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) manufacturer: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) product_name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) serial_number: String,
    /// Whether it is a virtual machine.
    #[serde(rename = "virtual", skip_serializing_if = "is_default")]
    pub(crate) is_virtual: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
