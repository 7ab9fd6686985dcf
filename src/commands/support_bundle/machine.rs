//! What the kernel and the distribution say of the machine.

use std::fs::File;
use std::io::{self, Read as _};

use super::gathering::Tray;

const MACHINE: &str = "machine.txt";

/// Files that say it, each short.
const FILES: [&str; 8] = [
    "/etc/os-release",
    "/proc/version",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/pressure/cpu",
    "/proc/pressure/memory",
    "/proc/pressure/io",
];
/// Bytes that are read of each.
const MAX_BYTES: u64 = 64 * 1024;

/// Reads the files; where one cannot be read, the part says so in its place.
pub(super) fn facts(tray: &Tray) {
    let sections = FILES.map(|path| {
        let text = read(path).unwrap_or_else(|error| format!("({error})\n"));
        format!("{path}:\n{text}\n")
    });
    tray.text(MACHINE, &sections.concat());
}

fn read(path: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
