//! Behaviour of the readers on recorded texts, and of the whole on this machine.

use super::facts::Mount;
use super::parse;
use super::*;

const X86: &str = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC\n\
flags\t\t: fpu vme hypervisor fpu\n\nprocessor\t: 1\nmodel name\t: AMD EPYC\nflags\t\t: fpu\n";

const RASPBERRY_PI: &str = "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd crc32\n\
CPU implementer\t: 0x41\n\nprocessor\t: 1\nFeatures\t: fp asimd crc32\n\n\
Hardware\t: BCM2835\nRevision\t: c03114\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n";

const RISC_V: &str =
    "processor\t: 0\nhart\t\t: 1\nisa\t\t: rv64imafdc\nmmu\t\t: sv39\nuarch\t\t: sifive,u74\n";

#[test]
fn the_processors_of_several_architectures_are_read() {
    let cases = [
        (X86, "x86_64", 2, "AMD EPYC", vec!["fpu", "hypervisor", "vme"]),
        (
            RASPBERRY_PI,
            "aarch64",
            2,
            "Raspberry Pi 4 Model B Rev 1.4",
            vec!["asimd", "crc32", "fp"],
        ),
        (RISC_V, "riscv64", 1, "sifive,u74", vec!["rv64imafdc"]),
        ("", "x86_64", 0, "", vec![]),
        ("garbage\n:\n::", "x86_64", 0, "", vec![]),
    ];
    for (text, architecture, count, model, flags) in cases {
        let cpu = parse::cpu(text, architecture);
        assert_eq!(cpu.architecture, architecture);
        assert_eq!(cpu.count, count);
        assert_eq!(cpu.model_name, model);
        assert_eq!(cpu.flags, flags);
    }
}

#[test]
fn memory_is_reported_in_bytes() {
    let cases = [
        ("MemTotal:       24684084 kB\nMemFree: 1 kB\n", 24_684_084 * 1024),
        ("MemFree: 1 kB\n", 0),
        ("MemTotal: much kB\n", 0),
        ("MemTotal: 18446744073709551615 kB\n", u64::MAX),
        ("", 0),
    ];
    for (text, bytes) in cases {
        assert_eq!(parse::memory_total(text), bytes, "{text}");
    }
}

#[test]
fn interface_flags_are_named() {
    let cases: [(&str, &[&str]); 5] = [
        ("0x1003", &["up", "broadcast", "multicast"]),
        ("0x9", &["up", "loopback"]),
        ("0x0", &[]),
        ("", &[]),
        ("nonsense", &[]),
    ];
    for (text, flags) in cases {
        assert_eq!(parse::interface_flags(text), flags, "{text}");
    }
}

#[test]
fn disks_are_distinguished_from_what_only_looks_like_one() {
    for name in ["sda", "vda", "nvme0n1", "mmcblk0", "xvda"] {
        assert!(parse::is_physical_disk(name), "{name}");
    }
    for name in ["loop0", "ram0", "zram0", "dm-0", "md127", "sr0", "nbd0", "fd0"] {
        assert!(!parse::is_physical_disk(name), "{name}");
    }
    assert_eq!(parse::drive_type("nvme0n1", Some("0")), "NVMe");
    assert_eq!(parse::drive_type("sda", Some("1")), "HDD");
    assert_eq!(parse::drive_type("vda", Some("0")), "SSD");
    assert_eq!(parse::drive_type("vda", None), "");
    assert_eq!(parse::sectors_to_bytes("2048\n"), 1_048_576);
    assert_eq!(parse::sectors_to_bytes("18446744073709551615"), u64::MAX);
    assert_eq!(parse::sectors_to_bytes("-"), 0);
}

const MOUNTS: &str = "proc /proc proc rw 0 0\n\
/dev/vda / ext4 rw,relatime 0 0\n\
tmpfs /run tmpfs rw 0 0\n\
overlay /var/lib/containers/x overlay rw 0 0\n\
/dev/sdb1 /mnt/my\\040disk\\134 vfat rw 0 0\n\
server:/export /mnt/nfs nfs4 rw 0 0\n\
/dev/sdc1 /mnt/ntfs fuseblk rw 0 0\n\
me@host:/ /mnt/sshfs fuse.sshfs rw 0 0\n\
tank/data /tank zfs rw 0 0\n\
/dev/vda / ext4 rw 0 0\n\
short line\n";

#[test]
fn mounts_of_disks_and_servers_are_kept_and_pseudo_ones_are_not() {
    let mounts = parse::mounts(MOUNTS);
    let directories: Vec<_> = mounts.iter().map(|mount| mount.directory.as_str()).collect();
    let expected = ["/", "/mnt/my disk\\", "/mnt/nfs", "/mnt/ntfs", "/mnt/sshfs", "/tank"];
    assert_eq!(directories, expected);
}

#[test]
fn only_local_filesystems_are_asked_for_their_size() {
    let asked: Vec<_> = parse::mounts(MOUNTS)
        .into_iter()
        .filter(parse::answers_at_once)
        .map(|mount| mount.directory)
        .collect();
    assert_eq!(asked, ["/", "/mnt/my disk\\", "/tank"]);
    let nfs_over_a_device =
        Mount { device: "/dev/x".into(), kind: "nfs".into(), ..Mount::default() };
    assert!(!parse::answers_at_once(&nfs_over_a_device));
}

#[test]
fn virtual_machines_are_known_by_their_processor_or_maker() {
    let vendor = |manufacturer: &str, product: &str| SystemVendor {
        manufacturer: manufacturer.into(),
        product_name: product.into(),
        ..SystemVendor::default()
    };
    let bare = parse::cpu(RASPBERRY_PI, "aarch64");
    let cases = [
        (parse::cpu(X86, "x86_64"), vendor("", ""), true),
        (bare.clone(), vendor("QEMU", "Standard PC"), true),
        (bare.clone(), vendor("Microsoft Corporation", "Virtual Machine"), true),
        (bare.clone(), vendor("Microsoft Corporation", "Surface"), false),
        (bare, vendor("Dell Inc.", "Edge Gateway"), false),
    ];
    for (cpu, vendor, expected) in cases {
        assert_eq!(parse::is_virtual(&cpu, &vendor), expected, "{vendor:?}");
    }
}

#[test]
fn this_machine_has_a_name_processors_memory_and_a_loopback() {
    let hardware = Hardware::read();
    assert!(!hardware.hostname.is_empty());
    assert!(hardware.cpu.count > 0);
    assert!(!hardware.cpu.architecture.is_empty());
    assert!(hardware.memory.usable_bytes > 0);
    assert!(hardware.memory.physical_bytes >= hardware.memory.usable_bytes);
    let loopback = hardware.interfaces.iter().find(|interface| interface.name == "lo");
    let loopback = loopback.unwrap();
    assert!(loopback.ipv4_addresses.contains(&"127.0.0.1/8".to_owned()));
    assert!(loopback.flags.contains(&"loopback".to_owned()));
}

#[test]
fn facts_survive_the_way_to_json_and_back() {
    let hardware = Hardware::read();
    let text = serde_json::to_string(&hardware).unwrap();
    assert_eq!(serde_json::from_str::<Hardware>(&text).unwrap(), hardware);
    assert!(!text.contains("null"), "{text}");
}

#[tokio::test]
async fn reading_on_a_thread_of_its_own_gives_the_same_facts() {
    let hardware = Hardware::read_within(Duration::from_secs(60)).await.unwrap();
    assert_eq!(hardware.hostname, Hardware::read().hostname);
}
