//! References to variables, `$(NAME)`, as Kubernetes expands them in values, commands and arguments.

use k8s_openapi::api::core::v1::EnvVar;

/// The kernel takes no longer variable or argument, in bytes (`MAX_ARG_STRLEN`).
pub(in crate::pod_manifest) const MAX_EXPANDED: usize = 128 * 1024;

/// Returns `text` with each `$(NAME)` replaced by what `value` has for it. What that does not know stays as
/// it is written, and `$$` stands for `$`. `None` is a text that has grown beyond [`MAX_EXPANDED`]: each
/// variable may hold the one before it twice.
pub(in crate::pod_manifest) fn expanded<'a>(
    text: &str,
    value: impl Fn(&str) -> Option<&'a str>,
) -> Option<String> {
    if !text.contains('$') {
        return Some(text.to_owned());
    }
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        whole.push_str(before);
        rest = after;
        let reference = rest.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        if let Some(after) = rest.strip_prefix('$') {
            whole.push('$');
            rest = after;
        } else if let Some((name, after)) = reference {
            match value(name) {
                Some(value) => whole.push_str(value),
                None => whole.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            whole.push('$');
        }
        if whole.len() > MAX_EXPANDED {
            return None;
        }
    }
    whole.push_str(rest);
    Some(whole)
}

/// Returns `text` so that it is the same again when it is expanded once.
pub(in crate::pod_manifest) fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}

/// Expands the command of a probe as Kubernetes does: by variables as they are written, and those that come
/// from elsewhere are empty.
pub(in crate::pod_manifest) fn of_probe(command: &[String], env: &[EnvVar]) -> Vec<String> {
    let value = |name: &str| {
        let variable = env.iter().rev().find(|variable| variable.name == name)?;
        Some(variable.value.as_deref().unwrap_or_default())
    };
    let text = |text: &String| expanded(text, value).unwrap_or_else(|| text.clone());
    command.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the comments of Kubernetes' `expansion` and of its type EnvVar.
    #[test]
    fn references_are_expanded_as_kubernetes_does() {
        let value = |name: &str| match name {
            "A" => Some("1"),
            "EMPTY" => Some(""),
            "REF" => Some("$(A)"),
            "a b" => Some("blank"),
            _ => None,
        };
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("$(A)", "1"),
            ("x-$(A)-$(A)-y", "x-1-1-y"),
            ("$(EMPTY)|", "|"),
            ("$(NONE)", "$(NONE)"),
            ("$(a b)", "blank"),
            ("$()", "$()"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$$$$(A)", "$$(A)"),
            ("$A ${A} $", "$A ${A} $"),
            ("$(A", "$(A"),
            ("$($(A))", "$($(A))"),
            ("$(REF)", "$(A)"),
            ("kill -9 $$", "kill -9 $"),
            ("ä$(A)ö", "ä1ö"),
        ] {
            assert_eq!(expanded(text, value).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn the_command_of_a_probe_knows_variables_as_they_are_written() {
        let variable = |name: &str, value: Option<&str>| EnvVar {
            name: name.to_owned(),
            value: value.map(str::to_owned),
            value_from: None,
        };
        let env = [variable("A", Some("1")), variable("B", Some("$(A)")), variable("C", None)];
        let command = ["test", "$(A)", "$(B)", "|$(C)|", "$(D)"].map(str::to_owned);
        assert_eq!(of_probe(&command, &env), ["test", "1", "$(A)", "||", "$(D)"]);
    }

    #[test]
    fn a_text_that_grows_beyond_what_the_kernel_takes_is_given_up() {
        let half = "x".repeat(MAX_EXPANDED / 2);
        let value = |_: &str| Some(half.as_str());
        assert_eq!(expanded("$(A)$(A)", value).map(|it| it.len()), Some(MAX_EXPANDED));
        assert_eq!(expanded("$(A)$(A)$(A)", value), None);
    }
}
