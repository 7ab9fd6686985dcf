//! The status of the whole agent, as tables. Pure.

use serde_json::Value;

use super::words::{
    Cell, Paint, Tint, ago, columns, heads, list, moment, quantity, span, text, tint,
};

/// Returns the tables.
pub(super) fn overview(status: &Value, paint: Paint) -> String {
    let parts = [
        columns(&agent(status), 0, paint),
        columns(&workloads(status), 0, paint),
        columns(&conditions(status), 0, paint),
        columns(&metrics(status), 0, paint),
    ];
    let parts = parts.into_iter().filter(|part| part.lines().count() > 0);
    parts.collect::<Vec<_>>().join("\n")
}

fn agent(status: &Value) -> Vec<[Cell; 2]> {
    let head = |head: &str| Cell::new(head, Tint::Head);
    let agent = &status["agent"];
    let uptime = span(agent["uptime_seconds"].as_i64().unwrap_or_default());
    let about = format!(
        "{}, version {}, up for {uptime}",
        text(&agent["device_id"]),
        text(&agent["version"])
    );
    let health = &status["health"];
    let mut rows =
        vec![[head("agent"), about.into()], [head("health"), Cell::word(text(&health["state"]))]];
    rows.extend(list(&health["reasons"]).map(|reason| [head(""), text(reason).into()]));
    let source = &status["control_plane"];
    if source.is_object() {
        rows.push([head(text(&source["kind"])), control_plane(status, source).into()]);
        rows.extend(list(&source["problems"]).map(|it| [head(""), Cell::new(text(it), Tint::Bad)]));
    }
    for runtime in list(&status["runtimes"]).filter(|it| it["state"] != "unconfigured") {
        let state = text(&runtime["state"]);
        let tint = if runtime["is_needed"] == true { tint(state) } else { Tint::Quiet };
        // The reason names the state, too.
        let state = runtime["reason"].as_str().unwrap_or(state);
        rows.push([head(text(&runtime["executor"])), Cell::new(state, tint)]);
    }
    rows
}

fn control_plane(status: &Value, source: &Value) -> String {
    let mut facts = vec![text(&source["place"]).to_owned()];
    facts.extend(source["stage"].as_str().map(str::to_owned));
    facts.push(match ago(status, &source["connected_since"]) {
        Some(ago) => format!("answers since {ago}"),
        None => "gives no answer".to_owned(),
    });
    if let Some(ago) = ago(status, &source["last_heartbeat"]) {
        facts.push(format!("heartbeat {ago} ago"));
    }
    if let Some(age) = source["configuration"]["age_seconds"].as_i64() {
        facts.push(format!("configuration {} old", span(age)));
    }
    if let Some(left) = source["certificate"]["expires_in_seconds"].as_i64() {
        facts.push(match left {
            ..=0 => "certificate has expired".to_owned(),
            left => format!("certificate expires in {}", span(left)),
        });
    }
    facts.join(", ")
}

fn workloads(status: &Value) -> Vec<[Cell; 5]> {
    let mut rows =
        vec![heads(["WORKLOAD", "STATUS", "FOR", "RESTARTS", "WHY, AND WHAT COMES NEXT"])];
    rows.extend(list(&status["workloads"]).map(|row| {
        let why = row["reason"].as_str().map(str::to_owned).into_iter();
        let why: Vec<String> = why.chain(next_start(status, row)).collect();
        [
            text(&row["workload"]).into(),
            Cell::word(text(&row["status"])),
            ago(status, &row["since"]).unwrap_or_default().into(),
            row["restarts"].to_string().into(),
            why.join("; ").into(),
        ]
    }));
    let instead = match (status["workloads"].is_null(), rows.len()) {
        (true, _) => "the scheduler is silent: nothing is known of the workloads",
        (false, 1) => "no workload is configured",
        (false, _) => return rows,
    };
    vec![[instead, "", "", "", ""].map(Cell::from)]
}

/// Returns when a workload starts next, and as what.
pub(super) fn next_start(status: &Value, workload: &Value) -> Option<String> {
    let wait = moment(&workload["next_start"])? - moment(&status["time"])?;
    let by = match text(&workload["next_start_by"]) {
        "retry" => "next try",
        "turn" => "comes back",
        _ => "next run by its cron",
    };
    Some(format!("{by} in {}", span(wait.num_seconds())))
}

fn conditions(status: &Value) -> Vec<[Cell; 4]> {
    let mut rows = vec![heads(["PROFILE", "CONDITION", "IS", "WHY"])];
    for profile in list(&status["profiles"]) {
        rows.extend(list(&profile["conditions"]).map(|condition| {
            [
                text(&profile["name"]).into(),
                text(&condition["name"]).into(),
                Cell::word(text(&condition["verdict"])),
                text(&condition["explanation"]).into(),
            ]
        }));
    }
    if rows.len() == 1 { Vec::new() } else { rows }
}

fn metrics(status: &Value) -> Vec<[Cell; 3]> {
    let mut rows = vec![heads(["METRIC", "VALUE", "AGE"])];
    rows.extend(list(&status["metrics"]).map(metric));
    if rows.len() == 1 { Vec::new() } else { rows }
}

/// Returns the row of a metric.
pub(super) fn metric(row: &Value) -> [Cell; 3] {
    let value = row["value"].as_f64().unwrap_or(f64::NAN);
    #[allow(clippy::cast_possible_truncation, reason = "saturates; whole seconds are shown")]
    let age = span(row["age_seconds"].as_f64().unwrap_or_default() as i64);
    let (age, tinted) = match row["stale"].as_bool() {
        Some(true) => (format!("{age}, too old: counts as nil"), Tint::Quiet),
        Some(false) | None => (age, Tint::Plain),
    };
    [
        Cell::new(text(&row["name"]), tinted),
        Cell::new(&quantity(value, row["unit"].as_str()), tinted),
        Cell::new(&age, tinted),
    ]
}
