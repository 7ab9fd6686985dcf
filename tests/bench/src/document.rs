//! `docs/performance.md`: the part on the agent as a whole is written anew, the rest is kept.

use std::fs;

use crate::process::first_line;
use crate::report::{Row, notes, table};

/// The page.
const PAGE: &str = "docs/performance.md";
/// Everything between these two lines is written by `make bench`.
const BEGIN: &str = "<!-- agent: written by make bench -->";
const END: &str = "<!-- agent: end -->";

/// Writes the rows into the page.
pub(crate) fn write(rows: &[Row]) {
    let page = fs::read_to_string(PAGE).expect("run it at the top of the tree");
    let (head, rest) = page.split_once(BEGIN).expect("the page has a place for the table");
    let (_, tail) = rest.split_once(END).expect("the place has an end");
    let section = format!("{BEGIN}\n{}\n{}\n{}{END}", machine(), table(rows), notes(rows));
    fs::write(PAGE, format!("{head}{section}{tail}")).expect("the page is written");
}

fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let model = cpu.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, name)| name);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    format!(
        "{}, {cores} cores of {model}, Linux {}, {}, load {load} at the end of the run.\n",
        first_line("date", &["-u", "+%Y-%m-%d"]),
        first_line("uname", &["-r"]),
        first_line("rustc", &["--version"]),
    )
}
