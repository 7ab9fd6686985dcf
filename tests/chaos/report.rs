//! The table of faults and recovery times.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// The lines between which the table stands in a text of people.
const MARKS: [&str; 2] = ["<!-- chaos: begin -->", "<!-- chaos: end -->"];
/// The row of rounds with several faults.
const SEVERAL: &str = "two or three of these at once";

/// Recovery times by fault.
pub struct Report {
    seed: u64,
    minutes: f64,
    times: BTreeMap<String, Vec<Duration>>,
}

impl Report {
    pub fn new(seed: u64, minutes: f64) -> Self {
        Self { seed, minutes, times: BTreeMap::new() }
    }

    pub fn add(&mut self, faults: &[&str], took: Duration) {
        let row = match faults {
            [only] => (*only).to_owned(),
            _ => SEVERAL.to_owned(),
        };
        self.times.entry(row).or_default().push(took);
    }

    /// Writes the table into the file that REPORT names, in place of the one that is there.
    pub fn write(mut self, podman: String, looks: usize) {
        let rounds: usize = self.times.values().map(Vec::len).sum();
        let mut table = format!(
            "Measured on {}, {}, podman {podman}, the agent as `cargo build` makes it: {rounds} \
             rounds; podman was asked {looks} times whether anything runs twice.\n\n```sh\nmake chaos MINUTES={} SEED={}\n```\n\n\
             | fault | rounds | median | longest |\n|---|---:|---:|---:|\n",
            said(Command::new("date").args(["-u", "+%F"])),
            machine(),
            self.minutes,
            self.seed
        );
        for (fault, times) in &mut self.times {
            times.sort_unstable();
            let (median, max) = (times[times.len() / 2], times[times.len() - 1]);
            let (median, max) = (median.as_secs_f64(), max.as_secs_f64());
            let _ = writeln!(table, "| {fault} | {} | {median:.1} s | {max:.1} s |", times.len());
        }
        println!("\n{table}");
        let Some(path) = std::env::var_os("REPORT").map(PathBuf::from) else { return };
        let text = std::fs::read_to_string(&path).unwrap_or_else(|_| MARKS.join("\n"));
        let [begin, end] = MARKS.map(|mark| text.find(mark).expect("both marks are there"));
        let (before, after) = (&text[..begin + MARKS[0].len()], &text[end..]);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::fs::write(path, format!("{before}\n\n{table}\n{after}")).unwrap();
    }
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores, Linux {}", said(Command::new("uname").arg("-r")))
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
