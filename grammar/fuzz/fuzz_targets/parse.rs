//! Any text is a condition that reads back as written, or an error that points into the text.

#![no_main]

use grammar::Condition;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Condition::parse(text) {
        Ok(condition) => {
            let written = condition.to_string();
            // Writing spaces and brackets in full may pass the bound on length.
            if written.len() <= 64 * 1024 {
                assert_eq!(Condition::parse(&written), Ok(condition), "{written}");
            }
        }
        Err(error) => {
            assert!((1..=text.chars().count() + 1).contains(&error.column()));
            assert_eq!(error.picture().lines().count(), 2);
            assert!(error.to_string().len() < 1_000);
        }
    }
});
