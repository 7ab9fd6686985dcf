//! A probe as one line of text, for those who cannot give the pod's containers one: the operator of a control
//! plane refuses probes, but passes annotations on.
//!
//! `http :8080/healthz every 10s`, `tcp :5432 timeout 2s`, `exec ["pg_isready"] in db failures 5`

use k8s_openapi::api::core::v1::{
    Container, ExecAction, HTTPGetAction, PodSpec, Probe, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::pod_manifest::probes::ProbeKind;

/// Longest text, in bytes.
const MAX_TEXT: usize = 4096;
/// Says how it is written.
const FORM: &str = "write such as \"http :8080/healthz every 10s\", \"tcp :5432\" or \
                    \"exec [\\\"cat\\\", \\\"/tmp/ok\\\"] timeout 5s failures 3 after 30s in main\"";

/// A probe, and the container that it is for; `None` is the first.
#[derive(Debug, PartialEq)]
pub(in super::super) struct AnnotatedProbe {
    kind: ProbeKind,
    container: Option<String>,
    probe: Probe,
}

/// Reads the text of a probe.
///
/// # Errors
/// Says what is wrong with it, and how it is written.
pub(super) fn read(kind: ProbeKind, text: &str) -> Result<AnnotatedProbe, String> {
    let wrong = |what: String| format!("{what}; {FORM}");
    if text.len() > MAX_TEXT {
        return Err(wrong(format!("is longer than {MAX_TEXT} bytes")));
    }
    let (word, rest) = first_word(text);
    let mut read = AnnotatedProbe { kind, container: None, probe: Probe::default() };
    let rest = match word {
        "exec" => {
            let (command, rest) = command(rest).map_err(wrong)?;
            read.probe.exec = Some(ExecAction { command: Some(command) });
            rest
        }
        "tcp" => {
            let (target, rest) = first_word(rest);
            let (host, port, path) = target_of(target).map_err(wrong)?;
            if !path.is_empty() {
                return Err(wrong("names a path, which tcp has not".to_owned()));
            }
            read.probe.tcp_socket = Some(TCPSocketAction { host, port });
            rest
        }
        "http" | "https" => {
            let (target, rest) = first_word(rest);
            let (host, port, path) = target_of(target).map_err(wrong)?;
            read.probe.http_get = Some(HTTPGetAction {
                host,
                port,
                path: (!path.is_empty()).then(|| path.to_owned()),
                scheme: Some(word.to_uppercase()),
                ..HTTPGetAction::default()
            });
            rest
        }
        _ => return Err(wrong("does not begin with http, https, tcp or exec".to_owned())),
    };
    clauses(rest, &mut read).map_err(wrong)?;
    Ok(read)
}

/// Gives `pod` the probe.
///
/// # Errors
/// There is no such container, or it has that probe already.
pub(in super::super) fn apply(annotated: AnnotatedProbe, pod: &mut PodSpec) -> Result<(), String> {
    let AnnotatedProbe { kind, container, probe } = annotated;
    let is_meant = |it: &&mut Container| container.as_ref().is_none_or(|name| it.name == *name);
    let Some(found) = pod.containers.iter_mut().find(is_meant) else {
        let name = container.unwrap_or_default();
        return Err(format!("is for container {name:?}, which the pod does not have"));
    };
    let place = match kind {
        ProbeKind::Startup => &mut found.startup_probe,
        ProbeKind::Liveness => &mut found.liveness_probe,
        ProbeKind::Readiness => &mut found.readiness_probe,
    };
    if place.replace(probe).is_some() {
        let (name, field) = (&found.name, kind.as_str());
        return Err(format!(
            "is for container {name:?}, which has a {field} already; leave one of the two out"
        ));
    }
    Ok(())
}

/// Returns the first word, and what follows it.
fn first_word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_once(char::is_whitespace).unwrap_or((text, ""))
}

/// Reads the command of `exec`, a list in JSON.
fn command(text: &str) -> Result<(Vec<String>, &str), String> {
    let mut lists = serde_json::Deserializer::from_str(text).into_iter::<Vec<String>>();
    match lists.next() {
        Some(Ok(command)) => {
            let end = lists.byte_offset();
            Ok((command, text.get(end..).unwrap_or_default()))
        }
        // What is wrong is not quoted: a command may hold a password.
        Some(Err(_)) | None => Err("has no list of words after exec".to_owned()),
    }
}

/// Reads `:8080/path`, `host:8080` or `[::1]:8080`.
fn target_of(text: &str) -> Result<(Option<String>, IntOrString, &str), String> {
    let (authority, path) = match text.find('/') {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let (host, port) = authority.rsplit_once(':').ok_or("names no port")?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if port.is_empty() {
        return Err("names no port".to_owned());
    }
    let port = match port.parse::<i32>() {
        Ok(number) => IntOrString::Int(number),
        Err(_) => IntOrString::String(port.to_owned()),
    };
    Ok(((!host.is_empty()).then(|| host.to_owned()), port, path))
}

fn clauses(mut rest: &str, read: &mut AnnotatedProbe) -> Result<(), String> {
    loop {
        let (clause, after) = first_word(rest);
        if clause.is_empty() {
            return Ok(());
        }
        let (value, after) = first_word(after);
        if value.is_empty() {
            return Err(format!("says nothing after {clause:?}"));
        }
        let probe = &mut read.probe;
        let (place, is_count) = match clause {
            "every" => (&mut probe.period_seconds, false),
            "timeout" => (&mut probe.timeout_seconds, false),
            "after" => (&mut probe.initial_delay_seconds, false),
            "failures" => (&mut probe.failure_threshold, true),
            "successes" => (&mut probe.success_threshold, true),
            "in" => {
                read.container = Some(value.to_owned());
                rest = after;
                continue;
            }
            _ => {
                return Err(format!(
                    "has the unknown word {clause:?}; known are every, timeout, after, failures, \
                     successes and in"
                ));
            }
        };
        let number =
            if is_count { value.parse().ok().filter(|it| *it > 0) } else { seconds(value) };
        let number =
            number.ok_or_else(|| format!("says {value:?} after {clause:?}, which is no amount"))?;
        if place.replace(number).is_some() {
            return Err(format!("says {clause:?} twice"));
        }
        rest = after;
    }
}

/// Reads a duration of whole seconds: probes know no shorter time.
fn seconds(text: &str) -> Option<i32> {
    let time = grammar::duration(text).filter(|time| time.subsec_nanos() == 0)?;
    i32::try_from(time.as_secs()).ok().filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn probe(text: &str) -> Result<Value, String> {
        let read = read(ProbeKind::Liveness, text)?;
        let mut value = serde_json::to_value(read.probe).unwrap();
        if let Some(container) = read.container {
            value["in"] = json!(container);
        }
        Ok(value)
    }

    #[test]
    fn a_line_is_a_probe() {
        for (text, expected) in [
            (
                "http :8080/healthz every 10s",
                json!({"httpGet": {"port": 8080, "path": "/healthz", "scheme": "HTTP"}, "periodSeconds": 10}),
            ),
            ("  https   :web ", json!({"httpGet": {"port": "web", "scheme": "HTTPS"}})),
            (
                "tcp :5432 timeout 2s in db",
                json!({"tcpSocket": {"port": 5432}, "timeoutSeconds": 2, "in": "db"}),
            ),
            (
                "tcp :1 every 1h30m after 1d",
                json!({"tcpSocket": {"port": 1}, "periodSeconds": 5400, "initialDelaySeconds": 86_400}),
            ),
            ("tcp [::1]:22", json!({"tcpSocket": {"port": 22, "host": "::1"}})),
            ("tcp 10.0.0.1:22", json!({"tcpSocket": {"port": 22, "host": "10.0.0.1"}})),
            (
                r#"exec ["sh", "-c", "test -e /ok && echo in"] failures 5 successes 1 after 2m every 1h"#,
                json!({"exec": {"command": ["sh", "-c", "test -e /ok && echo in"]}, "failureThreshold": 5,
                    "successThreshold": 1, "initialDelaySeconds": 120, "periodSeconds": 3600}),
            ),
        ] {
            assert_eq!(probe(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_probe_is_refused_with_an_example() {
        for (text, expected) in [
            ("", "does not begin with http"),
            ("grpc :1", "does not begin with http"),
            ("HTTP :80", "does not begin with http"),
            ("http", "names no port"),
            ("http 8080", "names no port"),
            ("http :/x", "names no port"),
            ("tcp :80/x", "names a path"),
            ("exec cat /tmp/ok", "has no list of words after exec"),
            ("exec [\"planted-secret\"", "has no list of words after exec"),
            ("http :80 each 10s", "unknown word \"each\""),
            ("http :80 every", "says nothing after \"every\""),
            ("http :80 every 10", "says \"10\" after \"every\", which is no amount"),
            ("http :80 every 0s", "which is no amount"),
            ("http :80 every -1s", "which is no amount"),
            ("http :80 every 1.5s", "which is no amount"),
            ("http :80 every 99999999999s", "which is no amount"),
            ("http :80 every 9999999h", "which is no amount"),
            ("http :80 failures 0", "which is no amount"),
            ("http :80 every 1s every 2s", "says \"every\" twice"),
            (&"x".repeat(5000), "is longer than 4096 bytes"),
        ] {
            let error = probe(text).unwrap_err();
            assert!(
                error.contains(expected) && error.contains("; write such as"),
                "{text}: {error}"
            );
            assert!(!error.contains("planted"), "{error}");
        }
    }

    #[test]
    fn a_probe_is_for_the_first_container_or_for_the_one_that_is_named() {
        let pod = || -> PodSpec {
            serde_json::from_value(json!({"containers": [{"name": "a"}, {"name": "b",
                "livenessProbe": {"tcpSocket": {"port": 1}}}]}))
            .unwrap()
        };
        let applied = |kind, text: &str| {
            let mut pod = pod();
            apply(read(kind, text).unwrap(), &mut pod).map(|()| pod)
        };
        let first = applied(ProbeKind::Liveness, "tcp :80").unwrap();
        assert!(first.containers[0].liveness_probe.is_some());
        let second = applied(ProbeKind::Readiness, "tcp :80 in b").unwrap();
        assert!(second.containers[1].readiness_probe.is_some());
        assert!(second.containers[0].readiness_probe.is_none());
        let twice = applied(ProbeKind::Liveness, "tcp :80 in b").unwrap_err();
        assert!(twice.contains("has a livenessProbe already"), "{twice}");
        let none = applied(ProbeKind::Startup, "tcp :80 in c").unwrap_err();
        assert!(none.contains("\"c\", which the pod does not have"), "{none}");
    }
}
