//! Texts as kubectl and podman read them, and texts that nobody can.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvVar, PodSpec};
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

fn value(text: &str) -> Result<Value, String> {
    from_str(text).map_err(|error| error.to_string())
}

fn pod(text: &str) -> (PodSpec, Vec<UnreadKey>) {
    only(text, &mut Budget::of_file()).unwrap().read().unwrap()
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Shape {
    rootless: Option<bool>,
    mode: Option<i32>,
    text: Option<String>,
    number: Option<f64>,
    inner: Option<Box<Shape>>,
    list: Option<Vec<Shape>>,
}

fn shape(text: &str) -> Result<Shape, String> {
    from_str(text).map_err(|error| error.to_string())
}

#[test]
fn values_are_what_yaml_says() {
    for (text, expected) in [
        ("", json!(null)),
        ("a: 1\nb: [x, 2.5, true, ~]\n", json!({"a": 1, "b": ["x", 2.5, true, null]})),
        ("a: |\n  one\n  two\nb: >-\n  one\n  two\n", json!({"a": "one\ntwo\n", "b": "one two"})),
        ("a: 'yes'\nb: yes\nc: NO\n", json!({"a": "yes", "b": "yes", "c": "NO"})),
        ("{\"a\": \"\\u00e9\", \"b\": [1]}", json!({"a": "é", "b": [1]})),
        ("- 0400\n- 0o17\n- 1_0\n- '5'\n", json!(["0400", 15, "1_0", "5"])),
        (
            "9000: a\n1.5: b\ntrue: c\n~: d\n",
            json!({"9000": "a", "1.5": "b", "true": "c", "~": "d"}),
        ),
        ("a: !!str 5\nb: !!int '5'\n", json!({"a": "5", "b": 5})),
        ("\u{feff}a: 1\r\nb: 2\r\n", json!({"a": 1, "b": 2})),
        ("a: 1\n...\n", json!({"a": 1})),
        ("%YAML 1.1\n---\na: 1\n", json!({"a": 1})),
    ] {
        assert_eq!(value(text), Ok(expected), "{text}");
    }
}

#[test]
fn a_merge_brings_what_is_not_there() {
    let text = "\
base: &base {a: 1, b: 2, c: {d: 3}}
other: &other {a: 9, e: 4}
one: {<<: *base, b: 5}
two: {<<: [*base, *other]}
nested: {<<: {<<: *base, a: 6}}
quoted: {'<<': x}
";
    let read = value(text).unwrap();
    assert_eq!(read["one"], json!({"b": 5, "a": 1, "c": {"d": 3}}));
    assert_eq!(read["two"], json!({"a": 1, "b": 2, "c": {"d": 3}, "e": 4}));
    assert_eq!(read["nested"], json!({"a": 6, "b": 2, "c": {"d": 3}}));
    assert_eq!(read["quoted"], json!({"<<": "x"}));
    let error = value("a: &a 5\nb: {<<: *a}\n").unwrap_err();
    assert_eq!(error, "<< merges what is no map at line 1 column 7");
}

#[test]
fn what_a_merge_brings_confines_a_container() {
    let (pod, unread) = pod("\
containers:
- name: one
  securityContext: &locked {runAsUser: 65534, readOnlyRootFilesystem: true}
- name: two
  securityContext:
    <<: *locked
    allowPrivilegeEscalation: false
");
    let two = pod.containers[1].security_context.as_ref().unwrap();
    assert_eq!((two.run_as_user, two.read_only_root_filesystem), (Some(65_534), Some(true)));
    assert_eq!(two.allow_privilege_escalation, Some(false));
    assert_eq!(unread, []);
}

#[test]
fn a_plain_value_is_what_is_wanted() {
    let read = shape("rootless: yes\nmode: 0400\ntext: 1.20\nnumber: 3\n").unwrap();
    let expected = Shape {
        rootless: Some(true),
        mode: Some(256),
        text: Some("1.20".to_owned()),
        number: Some(3.0),
        ..Shape::default()
    };
    assert_eq!(read, expected);
    for (text, expected) in
        [("0o400", 256), ("256", 256), ("0x10", 16), ("3.0", 3), ("1e3", 1_000), ("0", 0)]
    {
        assert_eq!(shape(&format!("mode: {text}")).unwrap().mode, Some(expected), "{text}");
    }
    for (text, expected) in [("0755", "0755"), ("NO", "NO"), ("on", "on"), ("8080", "8080")] {
        let read: EnvVar = from_str(&format!("name: A\nvalue: {text}")).unwrap();
        assert_eq!(read.value.as_deref(), Some(expected));
    }
    assert_eq!(shape("rootless: ~\nmode:\ntext: null\n").unwrap(), Shape::default());
}

#[test]
fn an_amount_stays_as_it_is_written() {
    let (pod, _) = pod("\
containers:
- name: a
  resources: {limits: {memory: 1e3, cpu: 0.50}, requests: {memory: 1.5Gi, cpu: 1}}
");
    let resources = pod.containers[0].resources.clone().unwrap();
    let text = |all: &BTreeMap<String, _>, name: &str| {
        let quantity: &k8s_openapi::apimachinery::pkg::api::resource::Quantity = &all[name];
        quantity.0.clone()
    };
    let (limits, requests) = (resources.limits.unwrap(), resources.requests.unwrap());
    assert_eq!((text(&limits, "memory"), text(&limits, "cpu")), ("1e3".into(), "0.50".into()));
    assert_eq!((text(&requests, "memory"), text(&requests, "cpu")), ("1.5Gi".into(), "1".into()));
}

#[test]
fn an_error_says_where_and_what_is_wanted_and_quotes_nothing() {
    for (text, expected) in [
        (
            "inner:\n  list:\n  - mode: hunter2\n",
            "inner.list[0].mode: invalid type: string, expected i32 at line 3 column 11",
        ),
        (
            "rootless: hunter2",
            "rootless: invalid type: string, expected a boolean at line 1 column 11",
        ),
        (
            "rootless: 'yes'",
            "rootless: in quotes a boolean is text; write true or false at line 1 column 11",
        ),
        (
            "mode: '0400'",
            "mode: in quotes a number is text; write it without quotes at line 1 column 7",
        ),
        ("mode: 0888", "mode: invalid type: string, expected i32 at line 1 column 7"),
        ("text: [hunter2]", "text: invalid type: list, expected a string at line 1 column 7"),
        ("inner: 5", "inner: invalid type: integer, expected struct Shape at line 1 column 8"),
        (
            "text: !(door == 1)\n",
            "text: a value that starts with ! is a tag to YAML; put it in quotes at line 1 column 14",
        ),
        ("mode: 99999999999", "mode: invalid value: integer, expected i32 at line 1 column 7"),
        ("a: 1\n---\nb: 2\n", "there is more than one document"),
    ] {
        assert_eq!(shape(text).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn keys_that_no_type_knows_are_told_with_their_place() {
    let (_, unread) = pod("\
containers:
- name: a
  working_dir: /tmp
  env:
  - nme: A
    value: b
hostnetwork: true
labels: {any: thing}
");
    let told: Vec<_> =
        unread.iter().map(|it| (it.path.as_str(), it.at.to_string(), it.what)).collect();
    let expected = [
        ("containers[0].working_dir", "line 3 column 3", Unread::Unknown(Some("workingDir"))),
        ("containers[0].env[0].nme", "line 5 column 5", Unread::Unknown(Some("name"))),
        ("hostnetwork", "line 7 column 1", Unread::ReadAs("hostNetwork")),
        ("labels", "line 8 column 1", Unread::Unknown(None)),
    ];
    let expected = expected.map(|(path, at, what)| (path, at.to_owned(), what));
    assert_eq!(told, expected);
}

#[test]
fn a_key_in_another_case_is_read_where_only_one_can_be_meant() {
    let read = |text: &str| {
        let (value, unread) = only(text, &mut Budget::of_file()).unwrap().read::<Shape>().unwrap();
        (value.rootless, unread.into_iter().map(|it| it.what).collect::<Vec<_>>())
    };
    assert_eq!(read("Rootless: true"), (Some(true), vec![Unread::ReadAs("rootless")]));
    let unknown = Unread::Unknown(Some("rootless"));
    assert_eq!(read("Rootless: true\nrootless: false"), (Some(false), vec![unknown]));
    assert_eq!(read("Rootless: true\nROOTLESS: false"), (None, vec![unknown, unknown]));
}

#[test]
fn no_more_unread_keys_are_kept_than_anybody_reads() {
    let text: String = (0..5_000).map(|number| format!("key{number}: 1\n")).collect();
    assert_eq!(pod(&text).1.len(), MAX_UNREAD);
}

#[test]
fn a_key_that_stands_twice_is_an_error_of_its_document_alone() {
    let read = documents("a: 1\nb: 2\na: 3\n---\nc: 1\n");
    let error = read[0].as_ref().unwrap().read::<Value>().unwrap_err();
    let expected = "the key a stands twice in one map, the second time at line 3 column 1";
    assert_eq!(error.to_string(), expected);
    assert!(read[1].as_ref().unwrap().read::<Value>().is_ok());
}

#[test]
fn a_document_that_is_no_yaml_takes_no_other_with_it() {
    let text = "a: 1\n---\nb: [\n---\nc: *nowhere\n---\nd: \"open\n---\n? [x]\n: 1\n---\ne: 5\n";
    let read = documents(text);
    let lines: Vec<_> = read.iter().map(|it| it.as_ref().err().map(|error| error.line())).collect();
    assert_eq!(read.first().map(Result::is_ok), Some(true), "{lines:?}");
    assert_eq!(read.last().map(Result::is_ok), Some(true), "{lines:?}");
    assert!(lines.iter().flatten().all(Option::is_some), "{lines:?}");
    assert!(lines.iter().flatten().count() >= 3, "{lines:?}");
}

#[test]
fn documents_are_read_with_their_place_in_the_whole_text() {
    let read = documents("---\na: 1\n---\n---\nb: 2\n---\nc: x\n");
    assert_eq!(read.len(), 3);
    let numbers: Vec<_> =
        read.into_iter().map(|it| it.unwrap().read::<BTreeMap<String, u8>>()).collect();
    assert_eq!(numbers[0].as_ref().unwrap().0["a"], 1);
    assert_eq!(numbers[2].as_ref().unwrap_err().line(), Some(7));
}

#[test]
fn a_bomb_is_refused_by_every_way_to_read() {
    let bomb = format!("a: &a [{}]\nb: [{}]\n", "1,".repeat(10_000), "*a,".repeat(10_000));
    let words = "with its aliases expanded";
    let error = value(&bomb).unwrap_err();
    assert!(error.contains(words), "{error}");
    let read = documents(&format!("{bomb}---\nc: 1\n"));
    assert!(read[0].as_ref().unwrap_err().to_string().contains(words));
    assert!(read[1].is_ok());
}

#[test]
fn laughs_by_the_billion_and_depths_without_end_are_errors() {
    let mut laughs = String::from("a0: &a0 [lol]\n");
    for level in 1..100 {
        let below = format!("*a{},", level - 1).repeat(9);
        laughs += &format!("a{level}: &a{level} [{below}]\n");
    }
    let mut ladder = String::from("a0: &a0 [x]\n");
    for level in 1..1_000 {
        ladder += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
    }
    let merges = format!(
        "a: &a {{{}}}\nb:\n{}",
        (0..2_000).map(|number| format!("k{number}: 1,")).collect::<String>(),
        "- {<<: *a}\n".repeat(2_000)
    );
    for (text, words) in [
        (laughs.as_str(), "with its aliases expanded"),
        (&ladder, "more than 128 levels deep"),
        (&merges, "more than 250000 keys and values"),
        (&"[".repeat(9_000), "recursion limit exceeded"),
        (&format!("{}{}", "[".repeat(9_000), "]".repeat(9_000)), "recursion limit exceeded"),
        (&"- ".repeat(9_000), "recursion limit exceeded"),
        ("a: &a [*a]", "leads to what it is itself within"),
    ] {
        let error = value(text).unwrap_err();
        assert!(error.contains(words), "{error}");
        assert!(error.contains("line "), "{error}");
    }
}

/// Each of these takes a parser that looks back over the text a time that grows with its square.
#[test]
fn long_texts_take_a_time_that_grows_with_their_length_alone() {
    for text in [
        format!("a: \"x{}{}\"", " ".repeat(1_000_000), "y ".repeat(500_000)),
        format!("a: |\n  x{}{}", "\n".repeat(1_000_000), "  y\n".repeat(300_000)),
        format!("{}---\na: 1\n", "%TAG !a! b\n".repeat(100_000)),
        "{\"}\": ".repeat(300_000),
        format!("a: {}", "x ".repeat(1_000_000)),
        format!("a: [{}", "\"x\" ,".repeat(300_000)),
    ] {
        let _ = value(&text);
    }
}

proptest::proptest! {
    /// The library that read manifests before: what both read they read alike.
    #[test]
    fn texts_mean_what_they_meant_to_libyaml(
        text in "([a-c]: ?|- |  |\n|\\[|\\]|\\{|\\}|, |'x'|\"y\"|[0-9.]{1,3}|true|no|~|&a |\\*a){1,14}"
    ) {
        let theirs: Result<serde_yaml::Value, _> = serde_yaml::from_str(&text);
        let theirs = theirs.ok().and_then(|it| serde_json::to_value(it).ok());
        if let (Some(theirs), Ok(ours)) = (theirs, value(&text)) {
            proptest::prop_assert_eq!(ours, theirs, "{}", text);
        }
    }

    #[test]
    fn no_text_does_harm(text in "\\PC{0,200}|[-a&*!%@`'\"\\[\\]{}:,? \n\t|>#.<0x]{0,80}") {
        let _ = value(&text);
        let _ = documents(&text);
    }
}
