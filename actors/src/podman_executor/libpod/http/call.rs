//! What is asked of libpod, as a request.

use http::{Method, Request, Uri, header};
use http_body_util::Full;
use hyper::body::Bytes;

use crate::podman_executor::libpod::api::PodmanError;
use crate::url_path::segment;

/// Works on podman 4.0 to 5.x; a 5 here would change the shape of inspect.
const API: &str = "/v4.0.0/libpod";

/// The most that is read of an answer, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::podman_executor) enum Size {
    /// Of one that says that something was done, and of one that refuses.
    Word,
    /// Of one about a single thing. What podman says of a container repeats its command and variables,
    /// of which the kernel allows two megabytes.
    One,
    /// Of one that lists everything: 4,000 containers.
    All,
}

impl Size {
    /// Returns it in bytes.
    pub(in crate::podman_executor) const fn bytes(self) -> usize {
        match self {
            Self::Word => 256 * 1024,
            Self::One => 4 * 1024 * 1024,
            Self::All => 8 * 1024 * 1024,
        }
    }
}

/// What is asked of libpod.
pub(in crate::podman_executor) struct Call {
    /// What it is for, as errors say it: "list containers".
    pub(super) what: &'static str,
    /// How much of the answer is read.
    pub(super) size: Size,
    method: Method,
    /// Path and query below [`API`]; `None` when a name makes no path.
    target: Option<String>,
    registry_auth: Option<String>,
    body: Vec<u8>,
}

impl Call {
    /// Returns a call of `path`.
    pub(in crate::podman_executor) fn new(
        what: &'static str,
        method: Method,
        path: &'static str,
    ) -> Self {
        Self::at(what, method, Some(path.to_owned()))
    }

    /// Returns a call of `action`, if it names one, of the thing `name` among `things`. A name may hold
    /// anything: it is one segment of the path.
    pub(in crate::podman_executor) fn of(
        what: &'static str,
        method: Method,
        [things, name, action]: [&str; 3],
    ) -> Self {
        let path = segment(name).map(|name| match action {
            "" => format!("{things}/{name}"),
            action => format!("{things}/{name}/{action}"),
        });
        Self::at(what, method, path)
    }

    fn at(what: &'static str, method: Method, target: Option<String>) -> Self {
        Self { what, size: Size::Word, method, target, registry_auth: None, body: Vec::new() }
    }

    /// Allows more of an answer than a word.
    pub(in crate::podman_executor) fn size(mut self, size: Size) -> Self {
        self.size = size;
        self
    }

    pub(in crate::podman_executor) fn query(mut self, pairs: &[(&str, &str)]) -> Self {
        // Pairs of texts can always be encoded.
        let query = serde_urlencoded::to_string(pairs).unwrap_or_default();
        self.target = self.target.map(|target| format!("{target}?{query}"));
        self
    }

    pub(in crate::podman_executor) fn registry_auth(mut self, value: Option<String>) -> Self {
        self.registry_auth = value;
        self
    }

    pub(in crate::podman_executor) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    /// Returns the request.
    ///
    /// # Errors
    /// A name in it makes no address.
    pub(in crate::podman_executor) fn request(self) -> Result<Request<Full<Bytes>>, PodmanError> {
        // A name that makes no address: podman could only refuse it.
        let refused = |cause: String| PodmanError::Refused {
            call: self.what,
            status: 400,
            message: cause.clone(),
            cause,
        };
        let target = self.target.ok_or_else(|| refused("the name makes no address".to_owned()))?;
        let uri = Uri::try_from(format!("{API}/{target}"));
        let mut request = Request::builder()
            .method(self.method)
            .uri(uri.map_err(|error| refused(error.to_string()))?)
            .header(header::HOST, "podman")
            .header(header::CONNECTION, "close")
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(auth) = self.registry_auth {
            request = request.header("X-Registry-Auth", auth);
        }
        request.body(Full::from(self.body)).map_err(|error| refused(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(things: &str, name: &str, action: &str) -> Option<String> {
        let call = Call::of("try", Method::DELETE, [things, name, action]);
        let request = call.query(&[("force", "true")]).request().ok()?;
        Some(request.uri().to_string())
    }

    #[test]
    fn a_name_leads_to_no_other_call() {
        for (things, name, action, expected) in [
            ("containers", "10a9", "json", "containers/10a9/json?force=true"),
            ("pods", "web-1", "", "pods/web-1?force=true"),
            ("images", "localhost/box:3", "json", "images/localhost%2Fbox%3A3/json?force=true"),
            (
                "images",
                "localhost/box:3/../../x?y=1#z",
                "",
                "images/localhost%2Fbox%3A3%2F..%2F..%2Fx%3Fy%3D1%23z?force=true",
            ),
            (
                "containers",
                "../../pods/other?force=true#",
                "stop",
                "containers/..%2F..%2Fpods%2Fother%3Fforce%3Dtrue%23/stop?force=true",
            ),
            ("pods", "a b\r\nHost: x", "", "pods/a%20b%0D%0AHost%3A%20x?force=true"),
        ] {
            let expected = Some(format!("/v4.0.0/libpod/{expected}"));
            assert_eq!(path(things, name, action), expected, "{name}");
        }
    }

    #[test]
    fn a_name_that_makes_no_address_is_refused() {
        for name in ["", ".", "..", &"n".repeat(70_000)] {
            assert_eq!(path("pods", name, ""), None, "{name}");
        }
    }
}
