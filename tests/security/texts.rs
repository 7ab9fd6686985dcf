//! Who names something: a manifest's author, a control plane, who posts a metric or types a command.
//! Their texts are shown on the administrator's terminal.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::agent::{Agent, eventually, eventually_or};
use crate::device::Device;
use crate::pods::{manifest, serving};

/// Clears the screen, rings, sets a colour in one byte, deletes, turns the writing around, hides
/// itself, and begins another line that looks like one of the agent's.
const ATTACK: &str = "\u{1b}[2J\u{7}\u{9b}31m\u{7f}\u{85}x\u{202e}\u{2066}\u{200b}\u{feff}\u{e0041}\
                      \u{2028}\n{\"severity\":\"INFO\",\"message\":\"agent stopped\"}";

/// Characters that no output may hold, by their places in Unicode and not by the agent's own rule.
fn is_foul(c: char) -> bool {
    let code = u32::from(c);
    c.is_control()
        || [0xAD..=0xAD, 0x61C..=0x61C, 0x200B..=0x200F, 0x2028..=0x202E, 0x2060..=0x206F]
            .iter()
            .any(|range| range.contains(&code))
        || [0xFEFF..=0xFEFF, 0xFFF9..=0xFFFB, 0xE0001..=0xE007F]
            .iter()
            .any(|range| range.contains(&code))
}

/// Ends the test if a line of `text` holds anything that a terminal would obey.
fn is_harmless(what: &str, text: &str) {
    let foul = text.chars().find(|c| *c != '\n' && is_foul(*c));
    assert!(foul.is_none(), "{what} shows {foul:?}: {:?}", &text[..text.len().min(2_000)]);
    let forged = text.lines().any(|line| line.starts_with("{\"severity\""));
    assert!(!forged, "{what} has a line that is not its own: {text:?}");
}

/// Returns JSON as the strictest reader of YAML takes it: what it would not read is escaped.
fn readable(value: &Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        if (c.is_ascii() && c != '\u{7f}') || c > '\u{ffff}' {
            text.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| text += &format!("\\u{unit:04x}"));
        }
    }
    text
}

/// A device whose manifests were written by the attacker.
fn attacked() -> Device {
    let device = Device::with_manifests();
    let mut files = vec![
        // Rejected: for the name, for the kind, for a condition that is none.
        manifest(&format!("name{ATTACK}"), &serving(), json!({})),
        manifest("kind", &serving(), json!({"type": ATTACK})),
        manifest("cron", &serving(), json!({"cron": ATTACK})),
        manifest("waits", &serving(), json!({"profiles": [{"name": ATTACK, "conditions": []}]})),
        json!({
            "kind": "EdgeDevice", "metadata": {"name": "cam-01"},
            "spec": {"profiles": [{"name": format!("profile{ATTACK}"), "conditions": [
                {"name": format!("condition{ATTACK}"), "expression": format!("cpu < {ATTACK}")},
                {"name": "unit", "expression": "cpu < 5MiB"},
            ]}]},
        }),
        json!({"kind": "ConfigMap", "metadata": {"name": ATTACK}, "data": {"a": 1}}),
    ];
    let more = files[5].clone();
    files.push(more);
    for (number, file) in files.iter().enumerate() {
        device.write(&format!("manifests/{number}.yaml"), &readable(file));
    }
    device.write(&format!("manifests/file{}.yaml", ATTACK.replace('/', "")), "kind: [");
    device
}

fn run(words: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_device-worker-ng"));
    command.args(words).current_dir(folder).env_remove("XDG_RUNTIME_DIR").stdin(Stdio::null());
    command.output().unwrap()
}

/// Ends the test if a command shows what a terminal would obey; returns all that it showed.
fn command_is_harmless(words: &[&str], folder: &Path) -> String {
    let output = run(words, folder);
    let shown = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    let shown = shown.concat();
    is_harmless(&format!("{words:?}"), &shown);
    shown
}

fn wait_until_reported(agent: &Agent) {
    let reported = || {
        let status = agent.status()?;
        let workloads = status["workloads"].as_array()?;
        let reported = workloads.iter().filter(|it| it["reason"].is_string()).count();
        (reported >= 4 && !status["profiles"].as_array()?.is_empty()).then_some(())
    };
    eventually_or("the attack is reported", reported, || format!("{:?}", agent.status()));
}

#[test]
fn no_name_or_word_of_others_reaches_a_terminal_as_it_is() {
    for format in ["json", "pretty"] {
        let mut device = attacked();
        device.settings.set("LOG_FORMAT", format).set("LOG_LEVEL", "debug");
        let agent = device.settings.start();
        wait_until_reported(&agent);
        // A program that posts a metric names its unit; answers repeat the words.
        let posted = |name: &str| readable(&json!({"name": name, "value": 1}));
        for (body, expected) in [
            (readable(&json!({"name": "cpu", "value": 1, "unit": "\u{202e}B"})), 400),
            (readable(&json!({"name": "cpu", "value": ATTACK})), 400),
            (readable(&json!({ATTACK: 1})), 400),
            (format!("cpu usage={ATTACK}"), 400),
            (posted(&format!("name{ATTACK}")), 200),
        ] {
            let (status, answer) = agent.http("POST", "/metrics", &body).unwrap();
            assert_eq!(status, expected, "{answer}");
            is_harmless("an answer", &answer);
        }
        for path in ["/status", "/metrics", "/healthz"] {
            let (_, answer) = agent.http("GET", path, "").unwrap();
            assert!(answer.len() > 10, "{path}: {answer}");
            is_harmless(path, &answer);
        }
        let address = agent.metrics().to_string();
        let name = format!("name{ATTACK}");
        for words in [
            &["status"][..],
            &["status", "--json"],
            &["status", "nosuch"],
            &["status", "waits"],
            &["status", &name],
        ] {
            let words: Vec<&str> = [words, &["--address", &address]].concat();
            assert!(!command_is_harmless(&words, &device.path("")).is_empty(), "{words:?}");
        }
        // What is shown of a rejected name is how it is asked for.
        let status = agent.status().unwrap();
        let names = status["workloads"].as_array().unwrap().iter();
        let shown = names.filter_map(|it| it["workload"].as_str()).find(|it| it.contains("[2J"));
        let words = ["status", shown.unwrap(), "--address", &address];
        assert!(command_is_harmless(&words, &device.path("")).contains("is not valid"));
        let check = ["check", "--config", "config.yaml"];
        assert!(command_is_harmless(&check, &device.path("")).contains(r"\u{1b}[2J"));
        let log = agent.log();
        assert!(log.iter().any(|line| line.contains("[2J")), "the log has it");
        log.iter().for_each(|line| is_harmless("the log", line));
        if format == "pretty" {
            // Dropped, it would be measured by docs/logs.md, which speaks of JSON.
            std::mem::forget(ended(agent));
        }
    }
}

fn ended(mut agent: Agent) -> Agent {
    agent.signal("TERM");
    agent.exit_code();
    agent
}

#[test]
fn no_argument_and_no_setting_commands_the_terminal_that_repeats_it() {
    let device = Device::with_manifests();
    let config = device.settings.write();
    let mut text = std::fs::read_to_string(&config).unwrap();
    text += &readable(&json!({format!("LOG{ATTACK}"): ATTACK})).replace(['{', '}'], "");
    text += "\n";
    std::fs::write(&config, text).unwrap();
    let attack = ATTACK;
    let metric = format!("cpu={ATTACK}");
    let flag = format!("--{ATTACK}");
    let path = device.path(&ATTACK.replace('/', "")).display().to_string();
    for words in [
        &["check", "--config", "config.yaml"][..],
        &["check", "--config", attack],
        &["check", "--config", "config.yaml", "--state-dir", &path],
        &["check", "--namespace", attack, "--log-level", attack, "--server", attack],
        &["run", "--device-id", attack],
        &["--config", attack],
        &[attack],
        &[&flag],
        &["status", attack, attack],
        &["status", "--address", attack],
        &["status", "--config", attack],
        &["eval", attack],
        &["eval", "cpu < 5", "--metric", &metric],
        &["cron", attack],
        &["cron", "@daily", "--from", attack],
    ] {
        let shown = command_is_harmless(words, &device.path(""));
        assert!(shown.contains("[2J") || shown.contains("column"), "{words:?}: {shown}");
    }
}

#[test]
fn a_name_without_end_is_cut_wherever_it_is_reported() {
    let mut device = Device::with_manifests();
    device.settings.set("LOG_LEVEL", "debug");
    let long = "n".repeat(3_000_000);
    device.apply("long", &manifest(&long, &serving(), json!({})));
    device.apply("kind", &manifest("kind", &serving(), json!({"type": long})));
    let agent = device.settings.start();
    let status = eventually("both are rejected", || {
        let status = agent.status()?;
        (status["workloads"].as_array()?.len() == 2).then_some(status)
    });
    let names = status["workloads"].as_array().unwrap().iter();
    let name = names.filter_map(|it| it["workload"].as_str()).find(|it| it.starts_with("nn"));
    let name = name.unwrap();
    assert_eq!((name.chars().count(), name.ends_with("n…")), (253, true), "{name}");
    for path in ["/status", "/metrics", "/healthz"] {
        let (_, answer) = agent.http("GET", path, "").unwrap();
        assert!(answer.len() < 64_000, "{path} has {} bytes", answer.len());
    }
    agent.wait_for_log(&["workload needs attention", "nnn"]);
    let longest = agent.log().iter().map(String::len).max().unwrap();
    assert!(longest < 16_000, "a line has {longest} bytes");
    let check = run(&["check", "--config", "config.yaml"], &device.path(""));
    assert!(check.stderr.len() < 16_000, "check shows {} bytes", check.stderr.len());
}
