//! The page for people: files that are part of the agent, and what browsers may do with them.

use actix_web::http::header;
use actix_web::{HttpResponse, web};

/// What the page may do: run its own script, use its own style, and ask this listener. Nothing that
/// a workload, a metric or a server named can become markup or code.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

/// One file of the page.
pub(super) struct File {
    pub(super) path: &'static str,
    kind: &'static str,
    pub(super) text: &'static str,
}

/// The whole page. It works without a network, and is as old as the agent that serves it.
pub(super) const FILES: [File; 4] = [
    File { path: "/", kind: "text/html; charset=utf-8", text: include_str!("../page/index.html") },
    File {
        path: "/page.css",
        kind: "text/css; charset=utf-8",
        text: include_str!("../page/page.css"),
    },
    File {
        path: "/page.js",
        kind: "text/javascript; charset=utf-8",
        text: include_str!("../page/page.js"),
    },
    File { path: "/icon.svg", kind: "image/svg+xml", text: include_str!("../page/icon.svg") },
];

impl File {
    /// Returns the route's answer. It is not to be kept: the next agent may have another page.
    pub(super) fn answer(&self) -> HttpResponse {
        HttpResponse::Ok()
            .content_type(self.kind)
            .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::REFERRER_POLICY, "no-referrer"))
            .insert_header(("cross-origin-opener-policy", "same-origin"))
            .insert_header(("cross-origin-resource-policy", "same-origin"))
            .body(web::Bytes::from_static(self.text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
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
}
