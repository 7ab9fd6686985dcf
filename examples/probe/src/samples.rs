//! Makes numbers of what was read. Pure: a source that is missing or says nonsense gives no sample.

use crate::host::{Disk, Facts};

/// What the kernel writes, in thousandths of a degree, for a zone that measures nothing, and below
/// which nothing can be: absolute zero.
const ABSOLUTE_ZERO: i64 = -273_150;

/// One number about the host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// The metric's name, as conditions use it.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// The unit of the value, as conditions know it.
    pub unit: &'static str,
}

/// Returns a sample for each thing that is known; `earlier` is what the last turn saw.
#[must_use]
pub fn of(facts: &Facts, earlier: Option<CpuTimes>) -> Vec<Sample> {
    let cpu = facts.stat.as_deref().and_then(CpuTimes::parse);
    let busy = cpu.zip(earlier).and_then(|(now, earlier)| now.busy_since(earlier));
    let memory = facts.meminfo.as_deref().and_then(Memory::parse);
    let pressure = |text: &Option<String>, kind| text.as_deref().and_then(|it| stalled(it, kind));
    let known = [
        ("cpu", busy, "%"),
        ("mem", memory.and_then(|it| share(it.total.saturating_sub(it.available), it.total)), "%"),
        ("mem_free", memory.map(|it| number(it.available)), "B"),
        ("disk", facts.disk.and_then(fullness), "%"),
        ("disk_used", facts.disk.map(|it| number(it.used)), "B"),
        ("disk_free", facts.disk.map(|it| number(it.free)), "B"),
        ("temp", hottest(&facts.zones), "C"),
        ("psi_cpu", pressure(&facts.cpu_pressure, "some"), "%"),
        ("psi_mem", pressure(&facts.memory_pressure, "some"), "%"),
        ("psi_mem_full", pressure(&facts.memory_pressure, "full"), "%"),
        ("psi_io", pressure(&facts.io_pressure, "some"), "%"),
        ("psi_io_full", pressure(&facts.io_pressure, "full"), "%"),
    ];
    known
        .into_iter()
        .filter_map(|(name, value, unit)| Some(Sample { name, value: value?, unit }))
        .collect()
}

/// What all processors together have spent their time on since the host started, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuTimes {
    idle: u64,
    total: u64,
}

impl CpuTimes {
    /// Reads the first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal, and
    /// the time of guests, which is in user and nice already.
    #[must_use]
    pub fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let times: Vec<u64> =
            line.split_whitespace().take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
        // Kernels of old have no column after idle.
        let (idle, iowait) = (*times.get(3)?, times.get(4).copied().unwrap_or(0));
        let total = times.iter().copied().fold(0, u64::saturating_add);
        Some(Self { idle: idle.saturating_add(iowait), total })
    }

    /// Returns the share of the time since `earlier` that was not idle, in percent. Idle time may be
    /// corrected downwards by the kernel.
    fn busy_since(self, earlier: Self) -> Option<f64> {
        let total = self.total.checked_sub(earlier.total)?;
        let idle = self.idle.saturating_sub(earlier.idle).min(total);
        share(total.saturating_sub(idle), total)
    }
}

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Memory {
    total: u64,
    /// What could be had without swapping, caches included.
    available: u64,
}

impl Memory {
    fn parse(meminfo: &str) -> Option<Self> {
        let bytes = |key: &str| {
            let line =
                meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
            kibibytes.checked_mul(1024)
        };
        Some(Self { total: bytes("MemTotal")?, available: bytes("MemAvailable")? })
    }
}

/// Returns how full a disk is, in percent of what users other than root may take, as `df` does.
fn fullness(disk: Disk) -> Option<f64> {
    share(disk.used, disk.used.saturating_add(disk.free))
}

/// Returns the highest temperature, in degrees Celsius.
fn hottest(zones: &[String]) -> Option<f64> {
    let measured = zones.iter().filter_map(|zone| zone.trim().parse::<i64>().ok());
    let thousandths = measured.filter(|thousandths| *thousandths >= ABSOLUTE_ZERO).max()?;
    i32::try_from(thousandths).ok().map(|thousandths| tenths(f64::from(thousandths) / 1000.0))
}

/// Returns the share of the last ten seconds in which `some` or all (`full`) work stood still for want
/// of a resource, in percent, from a file of `/proc/pressure`.
fn stalled(pressure: &str, kind: &str) -> Option<f64> {
    let line = pressure.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(' '))?;
    let share = line.split(' ').find_map(|field| field.strip_prefix("avg10="))?;
    share.parse().ok().filter(|share| (0.0..=100.0).contains(share))
}

/// Returns `part` in percent of `whole`; there is none of nothing.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| tenths(number(part) / number(whole) * 100.0))
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, and a byte more or less then")]
const fn number(whole: u64) -> f64 {
    whole as f64
}

/// More digits than one are noise.
fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests;
