//! Samples that are read, and what is said of others.

use super::*;

fn read(text: &str) -> Vec<(String, f64, Option<String>)> {
    let mut batch = Batch::default();
    parse(text, &mut batch).unwrap();
    let samples = batch.finished().unwrap().samples.into_iter();
    samples.map(|it| (it.name.to_string(), it.value, it.unit)).collect()
}

#[test]
fn each_line_is_a_sample_and_labels_are_part_of_its_name() {
    for (text, expected) in [
        ("x 1", vec![("x", 1.0)]),
        ("x\t1 1700000000000\n\n", vec![("x", 1.0)]),
        ("# HELP x What.\n# TYPE x gauge\nx -1.5e3\n# EOF\n", vec![("x", -1500.0)]),
        ("x{mode=\"idle\",cpu=\"0\"} 1\r\ny{} 2", vec![("x_cpu_0_mode_idle", 1.0), ("y", 2.0)]),
        ("x { a = \"b\" , } 1", vec![("x_a_b", 1.0)]),
        ("x{a=\"b\"}1", vec![("x_a_b", 1.0)]),
        ("x{path=\"C:\\\\DIR \\\"a\\\"}\"} 1", vec![("x_path_C__DIR__a__", 1.0)]),
        ("job:load:rate5m 1", vec![("job_load_rate5m", 1.0)]),
        ("{\"my.name\",room=\"a b\"} 1", vec![("my.name_room_a_b", 1.0)]),
        ("x_count 17 # {trace_id=\"a\"} 0.5 1700000000.0", vec![("x_count", 17.0)]),
        (
            "x_bucket{le=\"0.5\"} 3\nx_bucket{le=\"+Inf\"} 4",
            vec![("x_bucket_le_0.5", 3.0), ("x_bucket_le__Inf", 4.0)],
        ),
    ] {
        let found: Vec<_> = read(text).into_iter().map(|(name, value, _)| (name, value)).collect();
        let expected: Vec<_> = expected.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn the_end_of_a_name_implies_a_unit() {
    let unit = |text: &str| read(text).remove(0).2;
    assert_eq!(unit("node_memory_free_bytes{node=\"0\"} 5").as_deref(), Some("B"));
    assert_eq!(unit("node_load1 5"), None);
}

#[test]
fn what_is_not_finite_is_ignored_and_reported() {
    let mut batch = Batch::default();
    parse("x NaN\ny +Inf\nz -Inf\na 1", &mut batch).unwrap();
    assert_eq!((batch.samples.len(), batch.remarks.ignored()), (1, 3));
}

#[test]
fn a_refusal_names_the_line_and_says_what_to_write() {
    for (text, words) in [
        ("x", "line 1: a sample has a value"),
        ("x 1\n\nx{a=\"b\"}", "line 3: a sample has a value"),
        ("x abc", "line 1: \"abc\" is no number"),
        ("x{a=b} 1", "label \"a\" has no value in quotes"),
        ("x{a} 1", "label \"a\" has no value in quotes"),
        ("x{a=\"b\" 1", "the brace is not closed"),
        ("x{a=\"b", "no closing quote"),
        ("{} 1", "a sample has a name"),
    ] {
        let error = parse(text, &mut Batch::default()).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("; write `cpu_load{"), "{text:?}: {error}");
    }
}
