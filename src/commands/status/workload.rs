//! The status of one workload, and what holds it where it is. Pure.

use serde_json::Value;

use super::overview::{metric, next_start};
use super::words::{Cell, Paint, Tint, ago, columns, list, quantity, text, tint};

/// Events that are shown at most.
const EVENTS: usize = 10;

/// Returns the row of a workload, if there is one of this name.
pub(super) fn find<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    list(&status["workloads"]).find(|row| row["workload"] == name)
}

/// Explains a workload.
pub(super) fn explain(status: &Value, workload: &Value, paint: Paint) -> String {
    let mut told = columns(&facts(status, workload), 0, paint);
    let needed: Vec<Needed<'_>> =
        list(&workload["profiles"]).map(|it| Needed::of(status, it)).collect();
    for profile in &needed {
        told += "\n";
        told += &columns(&[[profile.headline()]], 0, paint);
        told += &columns(&profile.rows(), 2, paint);
    }
    let metrics: Vec<_> = list(&status["metrics"])
        .filter(|row| needed.iter().any(|it| it.names(text(&row["name"]))))
        .map(metric)
        .collect();
    told += &section("Their metrics", &columns(&metrics, 2, paint));
    let events: Vec<_> = list(&status["events"])
        .filter(|event| event["workload"] == workload["workload"])
        .map(|event| event_row(status, event))
        .collect();
    let last = events.get(events.len().saturating_sub(EVENTS)..).unwrap_or_default();
    told += &section("Its last events", &columns(last, 2, paint));
    told
}

fn section(title: &str, body: &str) -> String {
    if body.is_empty() { String::new() } else { format!("\n{title}\n{body}") }
}

fn facts(status: &Value, workload: &Value) -> Vec<[Cell; 2]> {
    let name = |name: &str| Cell::new(name, Tint::Head);
    let word = text(&workload["status"]);
    let since = ago(status, &workload["since"]).map(|it| format!(", for {it}")).unwrap_or_default();
    let mut facts =
        vec![[name(text(&workload["workload"])), Cell::new(&format!("{word}{since}"), tint(word))]];
    let mut fact = |what: &str, value: Option<String>| {
        facts.extend(value.map(|value| [name(what), value.into()]));
    };
    let told = |field: &str| workload[field].as_str().map(str::to_owned);
    fact("why", told("reason"));
    fact("next", next_start(status, workload));
    fact("waits for", told("waits_for").map(|it| format!("{it}, which does not run yet")));
    fact("doing", told("command"));
    fact("wanted", told("target"));
    fact("pod", told("pod").or_else(|| Some("none".to_owned())));
    fact("started", ago(status, &workload["started_at"]).map(|it| format!("{it} ago")));
    fact("restarts", Some(workload["restarts"].to_string()));
    fact("cron", told("cron"));
    fact("limits", limits(&workload["limits"]));
    fact("id", told("id"));
    fact("runtime", told("executor").map(|it| runtime(status, &it)));
    facts
}

/// Returns the limits in force, if there are any.
fn limits(limits: &Value) -> Option<String> {
    let cpu = limits["cpu"].as_u64().map(|it| format!("cpu {} ms of each 100 ms", it as f64 / 1e3));
    let memory = limits["memory"].as_f64().map(|it| format!("memory {}", quantity(it, Some("B"))));
    let told: Vec<String> = cpu.into_iter().chain(memory).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

fn runtime(status: &Value, executor: &str) -> String {
    let known = list(&status["runtimes"]).find(|it| it["executor"] == executor);
    match known.map(|known| (text(&known["state"]), &known["reason"])) {
        // The reason names the runtime and the state, too.
        Some((_, Value::String(reason))) => reason.clone(),
        Some((state, _)) => format!("{executor}, {state}"),
        None => executor.to_owned(),
    }
}

/// A profile that the workload names, with those of its conditions that count for it.
struct Needed<'a> {
    name: &'a str,
    is_known: bool,
    conditions: Vec<&'a Value>,
}

impl<'a> Needed<'a> {
    fn of(status: &'a Value, needed: &'a Value) -> Self {
        let name = text(&needed["name"]);
        let named: Vec<&Value> = list(&needed["conditions"]).collect();
        let profile = list(&status["profiles"]).find(|it| it["name"] == name);
        let conditions = profile.into_iter().flat_map(|it| list(&it["conditions"]));
        let counts = |it: &&Value| named.is_empty() || named.contains(&&it["name"]);
        Self { name, is_known: profile.is_some(), conditions: conditions.filter(counts).collect() }
    }

    fn headline(&self) -> Cell {
        let name = self.name;
        if !self.is_known {
            return Cell::new(
                &format!("Profile {name} forbids it: the device has none"),
                Tint::Bad,
            );
        }
        if self.conditions.iter().any(|it| it["verdict"] == "true") {
            return Cell::new(&format!("Profile {name} allows it"), Tint::Good);
        }
        Cell::new(
            &format!("Profile {name} does not allow it: one of these must be true"),
            Tint::Bad,
        )
    }

    fn rows(&self) -> Vec<[Cell; 3]> {
        let row = |it: &&Value| {
            let explanation = text(&it["explanation"]).into();
            [text(&it["name"]).into(), Cell::word(text(&it["verdict"])), explanation]
        };
        self.conditions.iter().map(row).collect()
    }

    /// Whether a condition names a metric.
    fn names(&self, metric: &str) -> bool {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
        let mut expressions = self.conditions.iter().map(|it| text(&it["expression"]));
        expressions.any(|it| it.split(|c| !is_part(c)).any(|word| word == metric))
    }
}

fn event_row(status: &Value, event: &Value) -> [Cell; 3] {
    let tint = if event["kind"] == "warn" { Tint::Bad } else { Tint::Plain };
    [
        format!("{} ago", ago(status, &event["at"]).unwrap_or_default()).into(),
        Cell::new(text(&event["reason"]), tint),
        text(&event["message"]).into(),
    ]
}
