//! The page of the local listener in a real browser: `make test-ui`.
//!
//! Each test has an agent of its own, and a headless Chromium. SCREENSHOTS names the folder that
//! pictures of the page are written to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test of real processes, in real time"
)]

mod browser;
mod scene;
#[path = "../real/shared.rs"]
mod shared;

use std::net::TcpStream;
use std::path::PathBuf;

use actors::testing::podman::HermeticPodman;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use agent::{Agent, eventually_or};
use browser::{Browser, View};
use device::Device;
use scene::Scene;
use shared::{agent, device, pods, secrecy};

const LIGHT: View = View { width: 1040, scheme: "light" };
const DARK: View = View { width: 1040, scheme: "dark" };
const PHONE: View = View { width: 360, scheme: "light" };
const DARK_PHONE: View = View { width: 360, scheme: "dark" };

fn address(agent: &Agent) -> String {
    eventually_or("the listener opens", || TcpStream::connect(agent.metrics()).ok(), String::new);
    format!("http://{}/", agent.metrics())
}

/// Opens the page of an agent and waits until it is live.
fn page_of(agent: &Agent) -> Browser {
    let browser = Browser::start();
    browser.view(LIGHT);
    browser.open(&address(agent));
    browser.wait_for("#link", &["live"]);
    browser
}

/// Where the picture of that name goes; nowhere unless SCREENSHOTS names a folder.
fn picture(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("SCREENSHOTS").filter(|folder| !folder.is_empty())?;
    Some(PathBuf::from(folder).join(name))
}

#[test]
fn the_page_shows_the_device_and_each_change_of_it() {
    let podman = HermeticPodman::rootful();
    let scene = Scene::on(&podman);
    let browser = page_of(&scene.agent);
    browser.wait_for("#device", &["cam-01"]);
    browser.wait_for("#workloads", &["camera", "running", "model", "uploader", "deploying"]);
    browser.wait_for("#profiles", &["load", "calm", "cpu < 50%", "true"]);
    browser.wait_for("#source", &["manifests"]);
    browser.wait_for("#runtimes", &["podman, root", "available"]);
    browser.wait_for("#actors", &["scheduler", "up"]);
    browser.wait_for("#events", &["WorkloadStarted", "camera"]);

    scene.post_for_a_while();
    browser.wait_for("#metrics", &["cpu", "temp", "C", "mem", "MiB", "45.1 GiB"]);
    let line = "document.querySelector('#metrics .line').getAttribute('d')";
    assert!(browser.eval(line).as_str().unwrap().matches('H').count() > 20, "a line of many steps");

    for (view, name) in [
        (LIGHT, Some("page-light.png")),
        (DARK, Some("page-dark.png")),
        (PHONE, Some("page-phone.png")),
        (DARK_PHONE, None),
    ] {
        browser.view(view);
        fits(&browser, view);
        assert_eq!(pale_texts(&browser), Vec::<Value>::new(), "{view:?}");
        if let Some(path) = name.and_then(picture) {
            let most = if view.width < 600 { 1020 } else { 980 };
            browser.screenshot(&path, view.width, most);
        }
    }

    // The page is not reloaded.
    browser.eval("window.stays = true");
    scene.agent.post("cpu", 93.0);
    browser.wait_for("#profiles", &["false", "cpu = 93"]);
    browser.wait_for("#workloads .card:nth-child(4)", &["model", "stopped"]);
    browser.wait_for("#metrics", &["93"]);
    browser.wait_for("#events li", &["WorkloadStopped", "model", "calm is false"]);
    assert_eq!(browser.eval("window.stays"), true);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// Nothing stands out to the right.
fn fits(browser: &Browser, view: View) {
    let width = browser.eval("document.documentElement.scrollWidth").as_u64().unwrap();
    assert!(width <= view.width.into(), "{width} in {view:?}");
}

/// Texts whose contrast with what is behind them is under 4.5, as WCAG 2 AA asks of small texts.
fn pale_texts(browser: &Browser) -> Vec<Value> {
    let pale = browser.eval(include_str!("contrast.js"));
    pale.as_array().unwrap().clone()
}

#[test]
fn a_quantity_is_shown_in_its_largest_unit() {
    let device = Device::with_manifests();
    let agent = device.settings.start();
    let browser = page_of(&agent);
    // The table that `device-worker-ng status` is held to, too.
    let table = include_str!("../data/quantities.tsv");
    let rows: Vec<&str> = table.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(rows.len() > 15);
    for row in rows {
        let [value, unit, shown] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{row:?}")
        };
        let value: f64 = value.parse().unwrap();
        let mut sample = json!({"name": "x", "value": value});
        if !unit.is_empty() {
            sample["unit"] = json!(unit);
        }
        let answer = agent.http("POST", "/metrics", &sample.to_string());
        assert_eq!(answer.map(|(status, _)| status), Some(204), "{row}");
        let is_shown = || (browser.text("#metrics .value") == shown).then_some(());
        eventually_or(&format!("x is {shown}"), is_shown, || browser.text("#metrics"));
    }
}

#[test]
fn no_text_of_the_status_becomes_markup() {
    let hostile = "<img src=x onerror=\"document.title='owned'\"><i class=evil>\u{202e}";
    let device = Device::with_manifests();
    let mut profiles = pods::device_with_condition("x < 50 || x == nil");
    profiles["spec"]["heartbeat"]["profiles"][0]["conditions"][0]["name"] = json!(hostile);
    device.apply("device", &profiles);
    let needs = json!({"profiles": [{"name": "test", "conditions": [{"name": hostile}]}]});
    device.apply("web", &pods::manifest("web", &pods::serving(), needs));
    device.write("manifests/<img src=x>.yaml", "a: [");
    let agent = device.settings.start();
    agent.wait_for_status("web", "deploying");
    agent.post("x", 7.0);

    // First what the agent itself reports, then the same with every text of it hostile.
    let browser = page_of(&agent);
    for place in ["#profiles h4", "#workloads .chips"] {
        browser.wait_for(place, &["<i class=evil>"]);
    }
    browser.wait_for("#source", &["<img src=x>.yaml"]);
    let address = address(&agent);
    let mut status = agent.status().unwrap();
    poison(&mut status, &format!("{hostile}\n\nevent: status\ndata: "));
    open_with(&browser, &address, &[status]);
    for place in [
        "#device",
        "#health",
        "#workloads h3",
        "#profiles code",
        "#metrics h3",
        "#source",
        "#runtimes",
        "#actors",
        "#events .what",
    ] {
        browser.wait_for(place, &["<i class=evil>"]);
    }
    let made =
        browser.eval("document.querySelectorAll('img, i, script:not([src]), [onerror]').length");
    assert_eq!(made, 0);
    let turned = browser.eval("/\\p{Cf}/u.test(document.title + document.body.textContent)");
    assert_eq!(turned, false);
    let title = browser.eval("document.title");
    assert!(title.as_str().unwrap().contains("onerror"), "{title}");
    fits(&browser, LIGHT);
    browser.view(PHONE);
    fits(&browser, PHONE);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// Opens the page, and answers in the agent's stead what its stream sends.
fn open_with(browser: &Browser, address: &str, shown: &[Value]) {
    browser.call("Fetch.enable", json!({"patterns": [{"urlPattern": "*/events"}]}));
    browser.open(address);
    let paused = browser.event("Fetch.requestPaused");
    let events = shown.iter().map(|status| format!("event: status\ndata: {status}\n\n"));
    let answer = json!({
        "requestId": paused["requestId"], "responseCode": 200,
        "responseHeaders": [{"name": "content-type", "value": "text/event-stream"}],
        "body": STANDARD.encode(events.collect::<String>()),
    });
    browser.call("Fetch.fulfillRequest", answer);
}

/// Puts `words` before every text but the times.
fn poison(value: &mut Value, words: &str) {
    match value {
        Value::String(text) if chrono::DateTime::parse_from_rfc3339(text).is_err() => {
            *text = format!("{words}{text}");
        }
        Value::Array(items) => items.iter_mut().for_each(|item| poison(item, words)),
        Value::Object(members) => members.values_mut().for_each(|item| poison(item, words)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_page_says_when_the_agent_is_gone_and_goes_on_with_the_next() {
    let device = Device::with_manifests();
    device.apply("device", &pods::device_with_condition("x < 50"));
    let mut agent = device.settings.start();
    let browser = page_of(&agent);
    // An open stream holds up no stop.
    agent.signal("TERM");
    assert_eq!(agent.exit_code(), Some(0));
    browser.wait_for("#link", &["no answer"]);
    browser.wait_for("#gone", &["Nothing has answered for", "how it was"]);
    browser.wait_for("#profiles", &["x < 50"]);
    drop(agent);
    let agent = device.settings.start();
    browser.wait_for("#link", &["live"]);
    agent.post("x", 7.0);
    browser.wait_for("#metrics", &["x", "7"]);
}

#[test]
fn a_page_for_which_no_stream_is_left_asks_now_and_then() {
    let device = Device::with_manifests();
    let agent = device.settings.start();
    let address = address(&agent);
    let mut readers = Vec::new();
    while let Some(reader) = stream(&agent) {
        readers.push(reader);
    }
    let browser = Browser::start();
    browser.open(&address);
    browser.wait_for("#link", &["live"]);
    agent.post("x", 7.0);
    browser.wait_for("#metrics", &["x", "7"]);
    assert_eq!(readers.len(), 4);
}

/// Opens a stream of events, if there is one left.
fn stream(agent: &Agent) -> Option<TcpStream> {
    use std::io::{BufRead as _, BufReader, Write as _};
    let mut stream = TcpStream::connect(agent.metrics()).unwrap();
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    line.contains("200").then_some(stream)
}

#[test]
fn a_clock_that_is_set_back_and_actors_that_are_silent_are_shown() {
    let device = Device::with_manifests();
    let agent = device.settings.start();
    agent.post("x", 7.0);
    let address = address(&agent);
    let before = agent.status().unwrap();
    let mut after = before.clone();
    after["time"] = json!("2001-01-01T00:00:00.000Z");
    let mut silent = after.clone();
    for part in ["control_plane", "runtimes", "profiles", "metrics", "workloads", "events"] {
        silent[part] = Value::Null;
    }
    let reason = "scheduler does not answer";
    silent["health"] = json!({"state": "down", "reasons": [reason, reason]});
    let browser = Browser::start();
    browser.view(LIGHT);
    open_with(&browser, &address, &[before.clone(), after]);
    browser.wait_for("#metrics", &["x", "7"]);
    open_with(&browser, &address, &[before, silent.clone(), silent.clone(), silent]);
    browser.wait_for("#health", &["down"]);
    browser.wait_for("#reasons", &[reason]);
    assert_eq!(browser.eval("document.querySelectorAll('#reasons li').length"), 2);
    for part in ["workloads", "profiles", "metrics", "events"] {
        browser.wait_for(&format!("#{part}-none"), &["not answer"]);
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
