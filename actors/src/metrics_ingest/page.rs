//! The status page: files that are part of the agent, and what a browser may do with them.

use actix_web::http::header;
use actix_web::{HttpResponse, web};

/// The page may run its own script, use its own style, and send requests to this listener. No name
/// of a workload, a metric or a server can become markup or code.
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

/// The whole page. It needs no network, and always matches the agent that serves it.
pub(super) const FILES: [File; 4] = [
    File { path: "/", kind: "text/html; charset=utf-8", text: include_str!("page/index.html") },
    File {
        path: "/page.css",
        kind: "text/css; charset=utf-8",
        text: include_str!("page/page.css"),
    },
    File {
        path: "/page.js",
        kind: "text/javascript; charset=utf-8",
        text: include_str!("page/page.js"),
    },
    File { path: "/icon.svg", kind: "image/svg+xml", text: include_str!("page/icon.svg") },
];

impl File {
    /// Returns the answer of its route. Browsers must not cache it: the next agent may have another.
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
mod tests;
