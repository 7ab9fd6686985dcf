//! Names as Kubernetes allows them.

/// The longest host name, and so the longest object name.
pub(super) const MAX_SUBDOMAIN: usize = 253;

/// The longest part of a host name between two dots.
const MAX_LABEL: usize = 63;

/// Checks that `name` is an RFC 1123 subdomain; thereby it is safe as a part of a path, too.
pub(super) fn check_subdomain(what: &str, name: &str) -> Result<(), String> {
    if name.len() <= MAX_SUBDOMAIN && name.split('.').all(is_label) {
        Ok(())
    } else {
        Err(complaint(what, name, MAX_SUBDOMAIN))
    }
}

/// Checks that `name` is an RFC 1123 label.
pub(super) fn check_label(what: &str, name: &str) -> Result<(), String> {
    if name.len() <= MAX_LABEL && is_label(name) {
        Ok(())
    } else {
        Err(complaint(what, name, MAX_LABEL))
    }
}

/// Checks that `name` can be a container's name: what podman and, in lower case, Kubernetes take.
pub(super) fn check_container(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let start = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if start && name.len() <= MAX_LABEL && name.chars().all(plain) {
        Ok(())
    } else {
        Err(complaint("container name", name, MAX_LABEL))
    }
}

fn is_label(part: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !part.is_empty() && !part.starts_with('-') && !part.ends_with('-') && part.chars().all(inner)
}

fn complaint(what: &str, name: &str, limit: usize) -> String {
    let shown: String = name.chars().take(MAX_LABEL).collect();
    format!(
        "{what} {shown:?} is not valid: use lower-case letters, digits and '-', begin and end with \
         a letter or digit, at most {limit} characters"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_name_is_an_rfc_1123_subdomain() {
        for name in ["a", "web", "web-1", "1web", "a.b-c.d", &"n".repeat(253)] {
            assert_eq!(check_subdomain("name", name), Ok(()), "{name}");
        }
        let too_long = "n".repeat(254);
        for name in [
            "", "-a", "a-", "a..b", ".a", "a.", "..", "../etc", "a/b", "A", "a_b", "a b", "ä",
            "a\n", "a\0", &too_long,
        ] {
            assert!(check_subdomain("name", name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_namespace_is_an_rfc_1123_label() {
        assert_eq!(check_label("namespace", "kube-system"), Ok(()));
        for name in ["", "a.b", "A", &"n".repeat(64)] {
            assert!(check_label("namespace", name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_container_may_be_named_as_podman_allows() {
        for name in ["web", "Web_1", "a.b"] {
            assert_eq!(check_container(name), Ok(()), "{name}");
        }
        for name in ["", "-a", "a/b", "..", "a b", &"n".repeat(64)] {
            assert!(check_container(name).is_err(), "{name:?}");
        }
    }
}
