//! What labels may hold.

use super::*;

#[test]
fn no_label_commands_the_terminal_that_shows_the_scrape() {
    let mut text = Exposition::default();
    text.family("f", Kind::Gauge, "Help.");
    text.sample(&[("a", "\u{1b}[2J\n\"\\\u{9b}\u{202e}é")], 1);
    text.sample(&[("a", &"ü".repeat(3_000_000))], 2);
    let text = text.finish();
    let lines: Vec<&str> = text.lines().skip(2).collect();
    assert_eq!(lines[0], r#"f{a="\\u{1b}[2J\n\"\\\\u{9b}\\u{202e}é"} 1"#);
    assert_eq!(lines[1], format!("f{{a=\"{}…\"}} 2", "ü".repeat(1_023)));
}
