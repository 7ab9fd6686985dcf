//! Takes out of texts of others what they must not hold: credentials of URLs, queries, keys and
//! certificates. Pure.
//!
//! What is gathered is chosen so that it has none. This is for words that others wrote: errors, lines of
//! the journal (podman's service logs the addresses of requests), labels, what containers wrote.

use std::borrow::Cow;

/// Stands for what was taken out.
const GONE: &str = "…";
/// Begins a key or a certificate, and the line that ends one.
const PEM: [&str; 2] = ["-----BEGIN ", "-----END "];
/// Ends the first and the last line of one.
const DASHES: &str = "-----";
/// Behind the first line of one, where it is only named.
const AFTER_NAME: [char; 12] = [')', ']', '}', '>', '"', '\'', '`', ',', ';', '.', ':', '!'];
/// Between the scheme of an address and its authority.
const SCHEME_END: &str = "://";
/// Begin the digest of an image, which stands behind an `@` as well.
const DIGESTS: [&str; 2] = ["sha256:", "sha512:"];

/// Returns the text without them.
pub(super) fn clean(text: &str) -> String {
    let text = without_pem(text);
    let mut cleaned = String::with_capacity(text.len());
    for word in text.split_inclusive(ends_word) {
        let body = word.strip_suffix(ends_word).unwrap_or(word);
        let end = word.get(body.len()..).unwrap_or_default();
        if body.contains(SCHEME_END) {
            addresses(body, &mut cleaned);
        } else {
            target(body, &mut cleaned);
        }
        cleaned.push_str(end);
    }
    cleaned
}

/// Returns whether `c` ends a password or a query: neither may contain it, and URLs are quoted with it.
fn ends_word(c: char) -> bool {
    c.is_whitespace() || c == '"'
}

/// Writes a word without an address. It may be the target of a request, as servers log it; returns
/// whether it is one, with a query.
fn target(word: &str, cleaned: &mut String) -> bool {
    match word.split_once('?') {
        Some((path, query)) if path.contains('/') && !query.is_empty() => {
            cleaned.push_str(path);
            cleaned.push('?');
            cleaned.push_str(GONE);
            true
        }
        Some(_) | None => {
            cleaned.push_str(word);
            false
        }
    }
}

/// Writes a word with addresses, a list of them for instance, without their credentials and queries. A
/// query takes the rest of the word along.
fn addresses(word: &str, cleaned: &mut String) {
    let mut rest = word;
    while let Some((before, after)) = rest.split_once(SCHEME_END) {
        if target(before, cleaned) {
            return;
        }
        cleaned.push_str(SCHEME_END);
        let (authority, path) = after.split_at(authority_end(after));
        if !write_authority(authority, cleaned) {
            return;
        }
        rest = path;
    }
    target(rest, cleaned);
}

/// Returns where the authority ends that `text` begins with: at a path, or at the next address.
fn authority_end(text: &str) -> usize {
    let Some(slash) = text.find('/') else { return text.len() };
    let before = text.get(..slash).unwrap_or_default();
    let begins_address =
        before.ends_with(':') && text.get(slash..).is_some_and(|it| it.starts_with("//"));
    if begins_address { slash.saturating_sub(1) } else { slash }
}

/// Writes an authority without credentials. Returns false if a query began in it.
fn write_authority(authority: &str, cleaned: &mut String) -> bool {
    let is_digest = |tail: &str| DIGESTS.iter().any(|digest| tail.starts_with(digest));
    let (named, digest) = match authority.rsplit_once('@') {
        Some((named, tail)) if is_digest(tail) => authority.split_at(named.len()),
        Some(_) | None => (authority, ""),
    };
    let host = match named.rsplit_once('@') {
        Some((credentials, host)) => {
            cleaned.push_str(GONE);
            if credentials.contains('?') {
                // Of a password, or of a query that holds an address: what is behind may be secret.
                return false;
            }
            cleaned.push('@');
            host
        }
        None => named,
    };
    match host.split_once('?') {
        Some((host, _)) => {
            cleaned.push_str(host);
            cleaned.push('?');
            cleaned.push_str(GONE);
            false
        }
        None => {
            cleaned.push_str(host);
            cleaned.push_str(digest);
            true
        }
    }
}

/// Returns the text without anything in PEM; one that does not end takes all behind it along.
fn without_pem(text: &str) -> Cow<'_, str> {
    let [begin, end] = PEM;
    if !text.contains(begin) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once(begin) {
        cleaned.push_str(before);
        if !has_body(from) {
            // Its name alone, as messages have it.
            cleaned.push_str(begin);
            rest = from;
            continue;
        }
        cleaned.push_str(GONE);
        let last = from.split_once(end).map_or("", |(_, last)| last);
        rest = last.split_once(DASHES).map_or("", |(_, after)| after);
    }
    cleaned.push_str(rest);
    Cow::Owned(cleaned)
}

/// Returns whether a key or a certificate follows, of which `from` is all behind `-----BEGIN `: one that
/// has an end, or anything but what ends a quotation or a sentence.
fn has_body(from: &str) -> bool {
    let [begin, end] = PEM;
    let own = from.split_once(begin).map_or(from, |(own, _)| own);
    if own.contains(end) {
        return true;
    }
    let Some((_, after)) = own.split_once(DASHES) else { return true };
    // Escaped line ends begin with one or more.
    match after.trim_start_matches('\\').chars().next() {
        Some(next) => !AFTER_NAME.contains(&next),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_queries_of_addresses_are_taken_out() {
        for (text, expected) in [
            ("", ""),
            ("nothing here: a?b @c x@y\n", "nothing here: a?b @c x@y\n"),
            ("see https://docs.podman.io/en/latest", "see https://docs.podman.io/en/latest"),
            ("pull https://bob:p4ss@quay.io:5000/a/b: no", "pull https://…@quay.io:5000/a/b: no"),
            ("{\"url\":\"http://t0ken@host\"}", "{\"url\":\"http://…@host\"}"),
            ("proxy=socks5://u:p%40@h:1 next", "proxy=socks5://…@h:1 next"),
            ("oddly http://u:p@q@host/x", "oddly http://…@host/x"),
            ("https://h/a?token=1&b=2#c d", "https://h/a?… d"),
            ("https://h?token=1", "https://h?…"),
            (
                "@ - - \"POST /v4.0.0/libpod/play/kube?annotations=%7Bsecret HTTP/1.1\" 200 9",
                "@ - - \"POST /v4.0.0/libpod/play/kube?… HTTP/1.1\" 200 9",
            ),
            ("to https://a:b@c,https://d:e@f,g", "to https://…@c,https://…@f,g"),
            ("NO=http://a:b@c;HTTP://u:p@q@r/x", "NO=http://…@c;HTTP://…@r/x"),
            ("http://u:(p)'|<w>\\@h/x, no", "http://…@h/x, no"),
            ("http://u:p?w@h/x no", "http://… no"),
            ("http://u:p#w@h/x", "http://…@h/x"),
            ("http://u:p@h?t=1/2@3", "http://…@h?…"),
            ("http://h?t=2@3/4", "http://…"),
            ("a?b/c=http://u:p@h/d e", "a?b/c=http://…@h/d e"),
            ("https://h?u=http://a:b@c/d e", "https://h?… e"),
            ("/v4/x?u=http://a:b@c/d e", "/v4/x?… e"),
            ("a?u=http://b:c@d e", "a?u=http://…@d e"),
            ("{\"u\":\"http://h/?x='secret'\"}", "{\"u\":\"http://h/?…\"}"),
            ("key=/v4/x?secret, next", "key=/v4/x?… next"),
            ("GET 'libpod/x?secret' next", "GET 'libpod/x?… next"),
            ("yes and/or? no", "yes and/or? no"),
            ("quay.io/a/b@sha256:12 x", "quay.io/a/b@sha256:12 x"),
            ("docker://quay.io/a/b@sha256:12", "docker://quay.io/a/b@sha256:12"),
            ("docker://a:1@sha256:12", "docker://a:1@sha256:12"),
            ("docker://u:p@a@sha512:12", "docker://…@a@sha512:12"),
            ("file:///a@b", "file:///a@b"),
            ("(https://a:b@c)\thttps://d:e@f\n", "(https://…@c)\thttps://…@f\n"),
            ("/var/log/x is a path", "/var/log/x is a path"),
            ("unix:///run/podman.sock", "unix:///run/podman.sock"),
        ] {
            assert_eq!(clean(text), expected, "{text}");
        }
    }

    #[test]
    fn keys_and_certificates_are_taken_out() {
        let key = "-----BEGIN EC PRIVATE KEY-----\nMHcC\nAQEE\n-----END EC PRIVATE KEY-----";
        let named =
            "CERT: \"/c.pem\" holds no certificate in PEM (-----BEGIN CERTIFICATE-----), so";
        for (text, expected) in [
            (format!("a\n{key}\nb\n"), "a\n…\nb\n"),
            (format!("{key}{key}"), "……"),
            // On one line, as JSON has it.
            (format!("{{\"k\":\"{}\"}}", key.replace('\n', "\\n")), "{\"k\":\"…\"}"),
            ("a -----BEGIN CERTIFICATE-----\nMHcC".to_owned(), "a …"),
            ("-----BEGIN X-----\nM\n-----END X".to_owned(), "…"),
            // One without an end may be in lines of its own.
            ("-----BEGIN KEY-----\\nMHcC\"}".to_owned(), "…"),
            ("-----BEGIN KEY-----\\\\nMHcC\"}".to_owned(), "…"),
            ("-----BEGIN KEY-----MHcC".to_owned(), "…"),
            ("-----BEGIN KEY-----#012MHcC".to_owned(), "…"),
            (format!("[\"{}\"]", key.replace('\n', "\", \"")), "[\"…\"]"),
            (named.to_owned(), named),
            (format!("{named}\n{key}\n{named}"), format!("{named}\n…\n{named}").as_str()),
            ("----- no -----".to_owned(), "----- no -----"),
        ] {
            assert_eq!(clean(&text), expected, "{text}");
        }
    }
}
