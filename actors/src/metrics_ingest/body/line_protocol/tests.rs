//! Points that are read, and what is said of others.

use super::*;

fn read(text: &str) -> Vec<(String, f64, Option<String>)> {
    let mut batch = Batch::default();
    parse(text, &mut batch).unwrap();
    let samples = batch.finished().unwrap().samples.into_iter();
    samples.map(|it| (it.name.to_string(), it.value, it.unit)).collect()
}

fn names(text: &str) -> Vec<(String, f64)> {
    read(text).into_iter().map(|(name, value, _)| (name, value)).collect()
}

#[test]
fn each_field_is_a_metric_and_tags_are_part_of_its_name() {
    for (text, expected) in [
        ("cpu usage=1.5", vec![("cpu_usage", 1.5)]),
        ("cpu usage=1.5 1700000000000000000\n", vec![("cpu_usage", 1.5)]),
        (
            "cpu a=1,b=2i,c=3u,d=-4e2",
            vec![("cpu_a", 1.0), ("cpu_b", 2.0), ("cpu_c", 3.0), ("cpu_d", -400.0)],
        ),
        (
            "on a=t,b=F,c=true,d=FALSE",
            vec![("on_a", 1.0), ("on_b", 0.0), ("on_c", 1.0), ("on_d", 0.0)],
        ),
        ("cpu,cpu=cpu0,host=pi idle=9", vec![("cpu_idle_cpu_cpu0_host_pi", 9.0)]),
        ("cpu,host=pi,cpu=cpu0 idle=9", vec![("cpu_idle_cpu_cpu0_host_pi", 9.0)]),
        ("disk,path=/ free=7i", vec![("disk_free_path__", 7.0)]),
        (r"my\ room,at\=x=a\,b te\ mp=1", vec![("my_room_te_mp_at_x_a_b", 1.0)]),
        ("a v=1\r\nb v=2\r\n", vec![("a_v", 1.0), ("b_v", 2.0)]),
        ("# a comment, with=equals\n\na v=1\n  \n b v=2", vec![("a_v", 1.0), ("b_v", 2.0)]),
        ("a text=\"x, \\\" y=1\n z\",v=1 5\nb v=2", vec![("a_v", 1.0), ("b_v", 2.0)]),
        ("gr\u{f6}\u{df}e v=1", vec![("gr__e_v", 1.0)]),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
        assert_eq!(names(text), expected, "{text}");
    }
}

#[test]
fn the_end_of_a_field_implies_a_unit() {
    let unit = Some("%".to_owned());
    assert_eq!(read("mem used_percent=5"), [("mem_used_percent".to_owned(), 5.0, unit)]);
    assert_eq!(read("mem free=5")[0].2, None);
}

#[test]
fn what_is_no_number_is_ignored_and_reported() {
    let mut batch = Batch::default();
    parse("svc,name=a state=\"up\",n=1,x=NaN,y=inf", &mut batch).unwrap();
    assert_eq!(batch.samples.len(), 1);
    let why: Vec<_> = batch.remarks.reasons().collect();
    let expected = [
        ("svc_state{name=\"a\"}", Ignored::Text),
        ("svc_x{name=\"a\"}", Ignored::NotFinite),
        ("svc_y{name=\"a\"}", Ignored::NotFinite),
    ];
    assert_eq!(why, expected);
}

#[test]
fn a_refusal_names_the_line_and_says_what_to_write() {
    for (text, words) in [
        ("cpu", "line 1: a point has a field"),
        ("a v=1\n\ncpu,host=a\nb v=1", "line 3: a point has a field"),
        ("a v=1\ncpu host", "line 2: a point has a field"),
        ("cpu,host usage=1", "line 1: a tag has a key and a value"),
        (",host=a usage=1", "line 1: a measurement has a name"),
        ("cpu usage=abc", "line 1: field \"usage\" has the value \"abc\", which is no number"),
        ("cpu usage=", "which is no number"),
        ("cpu usage=1.5i", "which is no number"),
        ("cpu usage=1 soon", "line 1: \"soon\" is neither a field nor a timestamp"),
        ("cpu usage=1, b=2", "a point has a field"),
        ("cpu text=\"open\nb v=1", "line 1: a text has no closing quote"),
    ] {
        let error = parse(text, &mut Batch::default()).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("; write `"), "{text:?}: {error}");
    }
}
