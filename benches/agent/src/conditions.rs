//! The tables on the condition language, from the estimates that criterion leaves on disk.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::report::{Outcome, Row, table};

/// What criterion estimated, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Estimate {
    mean: f64,
    low: f64,
    high: f64,
}

/// Estimates by the full name of the benchmark: `group/function`, `group/function/parameter`.
type Estimates = BTreeMap<String, Estimate>;

/// The benchmarks of `grammar/benches`, as people would call them.
const OURS: [(&str, &str); 23] = [
    ("parse/one", "parse `cpu > 23%`"),
    ("parse/two", "parse `cpu < 5% \\|\\| cpu > 40%`"),
    ("parse/nil", "parse `x<3% \\|\\| x == nil`"),
    ("parse/fifty", "parse 50 comparisons"),
    ("parse/window", "parse `avg(cpu, 1m) > 80% for 30s`"),
    ("parse/until", "parse `cpu < 60% until cpu > 85% for 10s`"),
    ("parse/calculation", "parse `used / total > 80%`"),
    ("parse/calendar", "parse `on mon-fri between 22:00 and 06:00`"),
    ("evaluate/one", "evaluate `cpu > 23%`"),
    ("evaluate/two", "evaluate `cpu < 5% \\|\\| cpu > 40%`"),
    ("evaluate/nil", "evaluate `x<3% \\|\\| x == nil`"),
    ("evaluate/fifty", "evaluate 50 comparisons"),
    ("evaluate/window", "evaluate `avg(cpu, 1m) > 80% for 30s`, without regard to `for`"),
    ("evaluate/watch", "evaluate `cpu > 80% for 30s`, `for` included"),
    ("evaluate/watch until", "evaluate `cpu < 60% until cpu > 85% for 10s`, its memory included"),
    ("evaluate/calculation", "evaluate `used / total > 80%`"),
    ("evaluate/calendar", "evaluate `on mon-fri between 22:00 and 06:00`"),
    ("window/1s at 10 kHz: push and average", "a sample into a window of 1 s at 10 kHz, averaged"),
    ("window/1h at 10 kHz: push and average", "the same, window of 1 h"),
    ("window/p95 of a full window", "the 95th percentile of 1,024 buckets"),
    (FEW_UNRELATED, "a metric that 10 conditions name, beside 10 others"),
    ("post/beside 100 unrelated conditions", "the same, beside 100 others"),
    (MANY_UNRELATED, "the same, beside 1,000 others"),
];
const FEW_UNRELATED: &str = "post/beside 10 unrelated conditions";
const MANY_UNRELATED: &str = "post/beside 1000 unrelated conditions";

/// The comparisons of `grammar/benches-compare`.
const COMPARED: [(&str, &str); 8] = [
    ("parse", "one"),
    ("parse", "two"),
    ("parse", "calculation"),
    ("parse", "fifty"),
    ("evaluate", "one"),
    ("evaluate", "two"),
    ("evaluate", "calculation"),
    ("evaluate", "fifty"),
];

/// Returns the tables, as Markdown. `ours` and `compared` are criterion's folders.
pub(crate) fn tables(ours: &Path, compared: &Path) -> String {
    let ours = estimates(ours);
    let compared = estimates(compared);
    let mut text = table(&targets(&ours, &compared));
    text.push_str("\n| what | time | interval of 95 % |\n|---|---:|---:|\n");
    for (name, what) in OURS {
        let Estimate { mean, low, high } = of(&ours, name);
        let _ = writeln!(text, "| {what} | {} | {} to {} |", time(mean), time(low), time(high));
    }
    text.push_str(
        "\n| the same in three languages | ours | evalexpr | CEL |\n|---|---:|---:|---:|\n",
    );
    for (group, what) in COMPARED {
        let _ = write!(text, "| {group}, {what} |");
        for language in ["ours", "evalexpr", "cel"] {
            let _ = write!(
                text,
                " {} |",
                time(of(&compared, &format!("{group}/{language}/{what}")).mean)
            );
        }
        text.push('\n');
    }
    text
}

/// Returns what the language aims at, and how far it came.
fn targets(ours: &Estimates, compared: &Estimates) -> [Row; 4] {
    let evaluation = of(ours, "evaluate/two").mean;
    let parsing = of(ours, "parse/two").mean;
    let other = |language: &str| of(compared, &format!("evaluate/{language}/two")).mean;
    let faster = other("evalexpr").min(other("cel")) / other("ours");
    let flat = of(ours, MANY_UNRELATED).mean / of(ours, FEW_UNRELATED).mean;
    let row = |what, target, measured, met| Row {
        what,
        target,
        measured,
        outcome: Outcome::of(met),
        notes: Vec::new(),
    };
    [
        row(
            "evaluate a condition of two terms",
            "under 15 ns",
            time(evaluation),
            evaluation < 15.0,
        ),
        row("parse it", "under 5 µs", time(parsing), parsing < 5_000.0),
        row(
            "evaluate it, beside the faster of evalexpr and CEL",
            "at least 5 times faster",
            format!("{faster:.1} times faster"),
            faster >= 5.0,
        ),
        row(
            "a metric beside 1,000 unrelated conditions, beside 10",
            "at most 1.1 times the time",
            format!("{flat:.2} times"),
            flat <= 1.1,
        ),
    ]
}

fn of(estimates: &Estimates, name: &str) -> Estimate {
    *estimates.get(name).unwrap_or_else(|| panic!("criterion did not measure {name}"))
}

/// Reads the newest estimate of each benchmark below `folder`.
fn estimates(folder: &Path) -> Estimates {
    let mut found = Estimates::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let entries =
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        open.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()));
        let read = |file: &str| -> Option<Value> {
            serde_json::from_slice(&fs::read(folder.join(file)).ok()?).ok()
        };
        // Beside each newest measurement lies the one before it, in a folder `base`.
        if !folder.ends_with("new") {
            continue;
        }
        let (Some(name), Some(estimate)) = (read("benchmark.json"), read("estimates.json")) else {
            continue;
        };
        let name = name["full_id"].as_str().expect("a name").to_owned();
        let (mean, interval) = (&estimate["mean"], &estimate["mean"]["confidence_interval"]);
        let number = |value: &Value| value.as_f64().expect("nanoseconds");
        found.insert(
            name,
            Estimate {
                mean: number(&mean["point_estimate"]),
                low: number(&interval["lower_bound"]),
                high: number(&interval["upper_bound"]),
            },
        );
    }
    found
}

/// Writes nanoseconds with the unit that suits them.
fn time(nanoseconds: f64) -> String {
    if nanoseconds < 100.0 {
        format!("{nanoseconds:.1} ns")
    } else if nanoseconds < 1_000.0 {
        format!("{nanoseconds:.0} ns")
    } else if nanoseconds < 100_000.0 {
        format!("{:.1} µs", nanoseconds / 1_000.0)
    } else {
        format!("{:.0} µs", nanoseconds / 1_000.0)
    }
}
