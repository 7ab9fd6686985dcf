//! Names of images, by the grammar of registries: what podman takes, and nothing that could be more.

/// The longest name without tag and digest.
const MAX_NAME: usize = 255;
/// The longest tag.
const MAX_TAG: usize = 128;
/// The longest digest: those in use have less than 140.
const MAX_DIGEST: usize = 512;
/// The least hexadecimal digits of a digest.
const MIN_HASH: usize = 32;
/// So much of a wrong name is shown.
const MAX_SHOWN: usize = 100;

/// Checks the image of the container `container`: `[registry[:port]/]name[:tag][@digest]`.
pub(super) fn check(container: &str, image: &str) -> Result<(), String> {
    fault(image).map_or(Ok(()), |fault| {
        let shown: String = image.chars().take(MAX_SHOWN).collect();
        Err(format!(
            "the image {shown:?} of container {container:?} is not the name of one: {fault}; write \
             [registry[:port]/]name[:tag][@digest], as in quay.io/project/camera:1.2"
        ))
    })
}

/// Returns what is wrong with the name of an image.
fn fault(image: &str) -> Option<&'static str> {
    let (tagged, digest) = match image.split_once('@') {
        Some((tagged, digest)) => (tagged, Some(digest)),
        None => (image, None),
    };
    let mut parts: Vec<&str> = tagged.split('/').collect();
    let last = parts.pop().unwrap_or_default();
    let (last, tag) = match last.split_once(':') {
        Some((last, tag)) => (last, Some(tag)),
        None => (last, None),
    };
    parts.push(last);
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Some("its digest is not of the form sha256:… with hexadecimal digits");
    }
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Some(
            "its tag is not made of at most 128 letters, digits, '_', '.' and '-', beginning with \
             a letter, a digit or '_'",
        );
    }
    if tagged.len() > MAX_NAME + tag.map_or(0, |tag| tag.len() + 1) {
        return Some("it has more than 255 characters");
    }
    let path = match parts.as_slice() {
        [first, path @ ..] if !path.is_empty() && is_registry(first) => path,
        all => all,
    };
    match path.iter().all(|part| is_component(part)) {
        true => None,
        false => Some(
            "between slashes it has lower-case letters and digits, with '.', '_', '__' or dashes \
             between them, and before the first slash it may have a registry's host and port",
        ),
    }
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (text, None),
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match address {
        Some(address) => {
            let plain = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
            !address.is_empty() && address.bytes().all(plain)
        }
        None => host.split('.').all(|part| {
            let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            !part.is_empty()
                && !part.starts_with('-')
                && !part.ends_with('-')
                && part.bytes().all(inner)
        }),
    };
    is_host && port.is_none_or(is_port)
}

/// Letters and digits, in lower case, with separators between them: one dot, one or two underscores, or
/// dashes.
fn is_component(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut separators = text.split(is_plain).filter(|between| !between.is_empty());
    text.starts_with(is_plain)
        && text.ends_with(is_plain)
        && separators.all(|it| matches!(it, "." | "_" | "__") || it.bytes().all(|c| c == b'-'))
}

fn is_tag(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= MAX_TAG
        && text.starts_with(is_word)
        && text.chars().all(|c| is_word(c) || matches!(c, '.' | '-'))
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, hash)) = text.split_once(':') else {
        return false;
    };
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    text.len() <= MAX_DIGEST
        && algorithm.split(['+', '.', '-', '_']).all(is_part)
        && hash.len() >= MIN_HASH
        && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "10a910a910a910a910a910a910a910a910a910a910a910a910a910a910a910a9";

    #[test]
    fn names_that_registries_use_are_taken() {
        let longest = "n".repeat(MAX_NAME);
        for image in [
            "busybox",
            "busybox:1.37",
            "library/busybox",
            "docker.io/library/busybox:1.37",
            "quay.io/project-flotta/edge_device__worker.ng:v1.2.3-rc.1_x",
            "localhost/box:3",
            "localhost:5000/box",
            "127.0.0.1:5000/edge/busybox:1",
            "[::1]:5000/box:latest",
            "[fe80::1]/box",
            "Registry.Example.COM/box",
            "registry-1/box",
            "host:5000",
            "a---b/c__d/e.f",
            &format!("quay.io/a@sha256:{HASH}"),
            &format!("quay.io/a:1@sha256:{HASH}"),
            &format!("quay.io/a@sha512+b64u.x-y_z:{HASH}{HASH}"),
            HASH,
            &format!("sha256:{HASH}"),
            &longest,
            &format!("a:{}", "t".repeat(MAX_TAG)),
            "a:_1.-",
        ] {
            assert_eq!(fault(image), None, "{image}");
        }
    }

    #[test]
    fn what_is_no_name_of_an_image_is_refused() {
        let too_long = "n".repeat(MAX_NAME + 1);
        for image in [
            "",
            " ",
            "a b",
            " a",
            "a\n",
            "a\0",
            "ä",
            "a\u{202e}b",
            "A",
            "quay.io/Project/a",
            "localhost/box:3/../../x?y=1#z",
            "..",
            ".",
            "../a",
            "a/..",
            "a/../b",
            "a/./b",
            "a//b",
            "/a",
            "a/",
            "a..b",
            "a___b",
            "a-",
            "-a",
            "a?force=true",
            "a#b",
            "a%2e%2e",
            "a\\b",
            "a&b",
            "a:",
            ":1",
            "a:1:2",
            "a:.1",
            "a:1/2?x",
            &format!("a:{}", "t".repeat(MAX_TAG + 1)),
            "host:/a",
            "host:x/a",
            "-host/a",
            "host-.x/A",
            "[]/a",
            "[::1]x/a",
            "[g]/a",
            "a@",
            "a@sha256",
            "a@sha256:",
            "a@sha256:10a9",
            "a@sha256:zz",
            &format!("a@1sha:{HASH}"),
            &format!("a@sha256:{HASH}@sha256:{HASH}"),
            &format!("a@sha256:{HASH}?x"),
            &format!("@sha256:{HASH}"),
            &format!("a@sha256:{}", HASH.repeat(10)),
            "docker://quay.io/a",
            "oci-archive:/etc/passwd",
            "user:pass@quay.io/a",
            "https://quay.io/a",
            &too_long,
        ] {
            assert!(fault(image).is_some(), "{image:?}");
        }
    }

    #[test]
    fn a_complaint_names_container_and_image_and_is_plain_text() {
        let complaint = check("main", &format!("a\u{1b}[2J{}", "x".repeat(1_000))).unwrap_err();
        assert!(complaint.contains("container \"main\"") && complaint.contains("\"a\\u{1b}[2Jx"));
        assert!(complaint.len() < 500 && !complaint.contains('\u{1b}'), "{complaint}");
    }
}
