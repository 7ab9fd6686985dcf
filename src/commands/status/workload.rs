//! The status of one workload, and what holds it where it is. Pure.

use actors::podman_executor::{KeptLog, KeptRun};
use actors::workload::{PROTECTION, Rung};
use grammar::printable;
use serde_json::{Value, json};

use super::super::logs::{Cut, of_kept};
use super::overview::{metric, next_start};
use super::words::{Cell, Paint, Tint, ago, columns, list, moment, quantity, span, text, tint};

/// Events that are shown at most.
const EVENTS: usize = 10;
/// Lines of a failed run that are shown.
const LINES: u32 = 5;

/// Returns the row of a workload, if there is one of this name.
pub(super) fn find<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    list(&status["workloads"]).find(|row| row["workload"] == name)
}

/// Explains a workload, whose last failed run is `failed` if one is kept.
pub(super) fn explain(
    status: &Value,
    workload: &Value,
    failed: Option<&KeptRun>,
    paint: Paint,
) -> String {
    let mut page = columns(&facts(status, workload), 0, paint);
    let its_own = list(&workload["profiles"]).map(|it| (What::Workload, it));
    let of_update = list(&workload["update"]["profiles"]).map(|it| (What::Update, it));
    let of_device = objectives(workload);
    let all = its_own.chain(of_update).chain(of_device.iter().map(|it| (What::Objective, it)));
    let needed: Vec<Needed<'_>> = all.map(|(what, it)| Needed::of(status, what, it)).collect();
    for profile in &needed {
        page += "\n";
        page += &columns(&[[profile.headline()]], 0, paint);
        page += &columns(&profile.rows(), 2, paint);
    }
    let metrics: Vec<_> = list(&status["metrics"])
        .filter(|row| needed.iter().any(|it| it.names(text(&row["name"]))))
        .map(metric)
        .collect();
    page += &section("Their metrics", &columns(&metrics, 2, paint));
    let events: Vec<_> = list(&status["events"])
        .filter(|event| event["workload"] == workload["workload"])
        .map(|event| event_row(status, event))
        .collect();
    let last = events.get(events.len().saturating_sub(EVENTS)..).unwrap_or_default();
    page += &section("Its last events", &columns(last, 2, paint));
    if let Some((log, run)) = failed.and_then(|run| Some((failed_log(run)?, run))) {
        let at = run.kept_at.to_rfc3339();
        let name = printable(&log.name);
        let ago = ago(status, &Value::String(at)).unwrap_or_default();
        let title = format!("The last lines of {name} in its last failed run, until {ago} ago");
        let cut = Cut { tail: Some(LINES), ..Cut::default() };
        let lines: Vec<[Cell; 1]> =
            of_kept(&log.log, cut).into_iter().map(|line| [line.into()]).collect();
        page += &section(&title, &columns(&lines, 2, paint));
    }
    page
}

/// Returns the log of the container that failed, or of the first one if none says so.
fn failed_log(run: &KeptRun) -> Option<&KeptLog> {
    let has_failed = |log: &&KeptLog| log.exit_code.is_some_and(|code| code != 0);
    run.containers.iter().find(has_failed).or_else(|| run.containers.first())
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
    let known = |field: &str| workload[field].as_str().map(str::to_owned);
    fact("why", known("reason"));
    fact("next", next_start(status, workload));
    fact("waits for", known("waits_for").map(|it| format!("{it}, which is not ready yet")));
    fact("doing", known("command"));
    fact("wanted", known("target"));
    fact("pod", known("pod").or_else(|| Some("none".to_owned())));
    fact("health", health(&workload["health"]));
    for container in list(&workload["containers"]) {
        fact("runs", Some(runs(container)));
    }
    for restraint in list(&workload["restraints"]) {
        fact("restrained", Some(restrained(status, restraint)));
    }
    fact("update", update(status, &workload["update"]));
    fact("started", ago(status, &workload["started_at"]).map(|it| format!("{it} ago")));
    fact("last failure", last_failure(status, &workload["last_failure"]));
    fact("restarts", Some(workload["restarts"].to_string()));
    fact("cron", known("cron"));
    fact("limits", limits(&workload["limits"]));
    fact("id", known("id"));
    fact("runtime", known("executor").map(|it| runtime(status, &it)));
    facts
}

/// Returns how the workload is restrained, for which objective, and for how long.
fn restrained(status: &Value, restraint: &Value) -> String {
    let step = text(&restraint["step"]);
    let step = Rung::ALL.iter().find(|rung| rung.as_str() == step).map_or(step, |rung| rung.done());
    let objective = text(&restraint["objective"]);
    let ago = ago(status, &restraint["since"]).map(|it| format!(", for {it}")).unwrap_or_default();
    format!("{step} for objective {objective}{ago}")
}

/// Returns the objectives for which the workload is restrained, as a profile that it names; none where
/// it is not.
fn objectives(workload: &Value) -> Option<Value> {
    let names: Vec<_> = list(&workload["restraints"]).map(|it| &it["objective"]).collect();
    (!names.is_empty()).then(|| json!({ "name": PROTECTION, "conditions": names }))
}

/// Returns what a container runs. A name that ends in the digest says it already.
fn runs(container: &Value) -> String {
    let (name, image) = (text(&container["name"]), text(&container["image"]));
    let digest = container["digest"].as_str().filter(|digest| !image.ends_with(digest));
    let digest = digest.map(|digest| format!(", {digest}")).unwrap_or_default();
    format!("{name}: {image}{digest}")
}

/// Returns when and how a run failed last, if one has.
fn last_failure(status: &Value, failure: &Value) -> Option<String> {
    let message = failure["message"].as_str()?;
    let ago = ago(status, &failure["at"]).map(|it| format!("{it} ago: ")).unwrap_or_default();
    Some(format!("{ago}{message}"))
}

/// Returns how the containers do that have probes, if there are any.
fn health(health: &Value) -> Option<String> {
    let told = list(health).map(|it| {
        let reason = it["reason"].as_str().map(|reason| format!(" ({reason})"));
        let (container, state) = (text(&it["container"]), text(&it["state"]));
        format!("{container} {state}{}", reason.unwrap_or_default())
    });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// Returns how the update stands that waits, or whose predecessor may come back, or has.
fn update(status: &Value, update: &Value) -> Option<String> {
    let (id, previous) = (update["id"].as_str()?, text(&update["previous"]));
    let wait = moment(&update["until"]).zip(moment(&status["time"]));
    let wait = wait.map(|(until, now)| span((until - now).num_seconds().max(0)));
    if update["state"] == "waiting" {
        let latest = wait.map(|it| format!(", at the latest in {it}")).unwrap_or_default();
        return Some(format!("{id} waits{latest}; {previous} runs until then"));
    }
    if update["state"] == "rolled_back" {
        let again = wait.map(|it| format!(", tried again in {it}")).unwrap_or_default();
        return Some(format!("{id} failed, rolled back to {previous}{again}"));
    }
    let progress = match (update["ready_seconds"].as_u64(), update["proving_seconds"].as_u64()) {
        (Some(ready), Some(proving)) => format!(", {ready} s of {proving} s"),
        (None, Some(_)) => ", not ready".to_owned(),
        (_, None) => String::new(),
    };
    let run = update["run"].as_u64().map(|it| format!(", run {it}")).unwrap_or_default();
    Some(format!("proving {id}{progress}{run}; {previous} comes back if it fails"))
}

/// Returns the limits in force, if there are any.
fn limits(limits: &Value) -> Option<String> {
    let cpu = limits["cpu"].as_u64().map(|it| format!("cpu {} ms of each 100 ms", it as f64 / 1e3));
    let memory = limits["memory"].as_f64().map(|it| format!("memory {}", quantity(it, Some("B"))));
    let squeezed = (limits["squeezed"] == true).then(|| "memory is taken back".to_owned());
    let limits: Vec<String> = cpu.into_iter().chain(memory).chain(squeezed).collect();
    (!limits.is_empty()).then(|| limits.join(", "))
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
    what: What,
    is_known: bool,
    conditions: Vec<&'a Value>,
}

/// What a profile must allow.
#[derive(Clone, Copy)]
enum What {
    Workload,
    Update,
    /// The device itself keeps it.
    Objective,
}

impl<'a> Needed<'a> {
    fn of(status: &'a Value, what: What, needed: &'a Value) -> Self {
        let name = text(&needed["name"]);
        let named: Vec<&Value> = list(&needed["conditions"]).collect();
        let profile = list(&status["profiles"]).find(|it| it["name"] == name);
        let conditions = profile.into_iter().flat_map(|it| list(&it["conditions"]));
        let counts = |it: &&Value| named.is_empty() || named.contains(&&it["name"]);
        let conditions = conditions.filter(counts).collect();
        Self { name, what, is_known: profile.is_some(), conditions }
    }

    fn headline(&self) -> Cell {
        let name = self.name;
        let it = match self.what {
            What::Workload => "it",
            What::Update => "the update",
            What::Objective => return self.objective(),
        };
        if !self.is_known {
            return Cell::new(
                &format!("Profile {name} forbids {it}: the device has none"),
                Tint::Bad,
            );
        }
        if self.conditions.iter().any(|it| it["verdict"] == "true") {
            return Cell::new(&format!("Profile {name} allows {it}"), Tint::Good);
        }
        Cell::new(
            &format!("Profile {name} does not allow {it}: one of these must be true"),
            Tint::Bad,
        )
    }

    fn objective(&self) -> Cell {
        match self.conditions.iter().all(|it| it["verdict"] == "true") {
            true => Cell::new("The objectives hold for which it is restrained", Tint::Good),
            false => Cell::new("It is restrained for objectives of the device", Tint::Bad),
        }
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
