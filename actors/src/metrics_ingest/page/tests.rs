//! What the page is made of.

use super::*;

/// Most that all files may be together, in bytes.
const LIMIT: usize = 100_000;

#[test]
fn the_page_is_small_and_asks_nobody_else() {
    let size: usize = FILES.iter().map(|file| file.text.len()).sum();
    assert!(size < LIMIT, "{size}");
    for file in &FILES {
        let text = file.text.replace("http://www.w3.org/2000/svg", "");
        for far in ["http:", "https:", "url(", "@import"] {
            assert!(!text.contains(far), "{}: {far}", file.path);
        }
    }
}

#[test]
fn no_part_of_the_page_can_make_markup_of_a_text() {
    for file in &FILES {
        for sink in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            "srcdoc",
            "DOMParser",
            "javascript:",
            " onload",
            " onclick",
            " style=",
            "<style",
            "<script>",
        ] {
            assert!(!file.text.contains(sink), "{}: {sink}", file.path);
        }
    }
}
