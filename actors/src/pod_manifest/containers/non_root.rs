//! `runAsNonRoot`, which podman ignores, as far as the manifest says who a container runs as.

use k8s_openapi::api::core::v1::PodSpec;

use crate::pod_manifest::ManifestError;

/// Checks that no container that must not run as root does. One whose user only its image names is noted in
/// `warnings`.
///
/// # Errors
/// One runs as root.
pub(in crate::pod_manifest) fn check(
    pod: &PodSpec,
    warnings: &mut Vec<String>,
) -> Result<(), ManifestError> {
    let of_pod = pod.security_context.as_ref();
    for container in pod.init_containers.iter().flatten().chain(&pod.containers) {
        let own = container.security_context.as_ref();
        let own_wish = own.and_then(|it| it.run_as_non_root);
        let wish = own_wish.or_else(|| of_pod?.run_as_non_root);
        let user = own.and_then(|it| it.run_as_user).or_else(|| of_pod?.run_as_user);
        let name = &container.name;
        match user.filter(|_| wish == Some(true)) {
            Some(0) => return Err(ManifestError::Root { container: name.clone() }),
            None if wish == Some(true) => warnings.push(format!(
                "container {name}: securityContext.runAsNonRoot is not held against the user of its image on \
                 podman; write a runAsUser"
            )),
            Some(_) | None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn checked(of_pod: Value, own: Value) -> Result<usize, String> {
        let containers = json!([{"name": "a", "securityContext": own}]);
        let pod = json!({"securityContext": of_pod, "containers": containers});
        let mut warnings = Vec::new();
        let checked = check(&serde_json::from_value(pod).unwrap(), &mut warnings);
        checked.map(|()| warnings.len()).map_err(|error| error.to_string())
    }

    #[test]
    fn who_must_not_be_root_is_not() {
        let wish = || json!({"runAsNonRoot": true});
        let refused =
            Err("container a has runAsNonRoot: true, but runs as user 0, root".to_owned());
        for (of_pod, own, expected) in [
            (json!({}), json!({}), Ok(0)),
            (wish(), json!({}), Ok(1)),
            (json!({}), wish(), Ok(1)),
            (wish(), json!({"runAsUser": 5}), Ok(0)),
            (wish(), json!({"runAsUser": 0}), refused.clone()),
            (json!({"runAsNonRoot": true, "runAsUser": 0}), json!({"runAsUser": 5}), Ok(0)),
            (json!({"runAsNonRoot": true, "runAsUser": 5}), json!({"runAsUser": 0}), refused),
            (wish(), json!({"runAsNonRoot": false, "runAsUser": 0}), Ok(0)),
        ] {
            assert_eq!(checked(of_pod.clone(), own.clone()), expected, "{of_pod} {own}");
        }
    }
}
