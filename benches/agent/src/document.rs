//! `docs/performance.md`: the parts that a run measured are written anew, the rest is kept.

use std::fs;

use crate::process::first_line;

/// The page.
const PAGE: &str = "docs/performance.md";

/// Writes `text` into the section of the page that has the name.
pub(crate) fn write(section: &str, text: &str) {
    let begin = format!("<!-- {section}: written by make bench -->");
    let end = format!("<!-- {section}: end -->");
    let page = fs::read_to_string(PAGE).expect("run it at the top of the tree");
    let (head, rest) = page.split_once(&begin).expect("the page has a place for the section");
    let (_, tail) = rest.split_once(&end).expect("the place has an end");
    let section = format!("{begin}\n{}\n{text}{end}", machine());
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
