//! When an image is asked of its registry: Kubernetes' rules.

use k8s_openapi::api::core::v1::Container;

use super::Workload;

/// When an image is asked of its registry. The later ones are stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PullPolicy {
    /// Not at all.
    Never,
    /// When the device lacks it.
    IfNotPresent,
    /// Before each start, because the tag moves; a copy on the device does while the registry is
    /// away.
    Fresh,
    /// Before each start, because the author says so.
    Always,
}

impl PullPolicy {
    /// Returns the policy of the image of `container`.
    pub(crate) fn of(container: &Container) -> Self {
        let image = container.image.as_deref().unwrap_or_default();
        match container.image_pull_policy.as_deref() {
            Some("Always") => Self::Always,
            Some("Never") => Self::Never,
            Some("IfNotPresent") => Self::IfNotPresent,
            // An image of `localhost/` has no registry.
            _ if image.starts_with("localhost/") || image.contains('@') => Self::IfNotPresent,
            _ => match image.rsplit('/').next().and_then(|name| name.split_once(':')) {
                None | Some((_, "latest")) => Self::Fresh,
                Some(_) => Self::IfNotPresent,
            },
        }
    }
}

impl Workload {
    /// Returns whether some image of it is asked of its registry before each start. A cluster
    /// does that itself.
    pub(crate) fn has_moving_image(&self) -> bool {
        let moves = |container| match PullPolicy::of(container) {
            PullPolicy::Never | PullPolicy::IfNotPresent => false,
            PullPolicy::Fresh | PullPolicy::Always => true,
        };
        !self.executor.is_cluster() && self.containers().any(moves)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pull_policies_are_those_of_kubernetes() {
        let table = [
            ("quay.io/a/b:1", None, PullPolicy::IfNotPresent),
            ("quay.io/a/b:latest", None, PullPolicy::Fresh),
            ("quay.io/a/b", None, PullPolicy::Fresh),
            ("quay.io:5000/b", None, PullPolicy::Fresh),
            ("quay.io/b@sha256:00", None, PullPolicy::IfNotPresent),
            ("localhost/b", None, PullPolicy::IfNotPresent),
            ("localhost/b:latest", Some("Always"), PullPolicy::Always),
            ("quay.io/a/b:1", Some("Always"), PullPolicy::Always),
            ("quay.io/a/b:latest", Some("Never"), PullPolicy::Never),
            ("quay.io/a/b:latest", Some("IfNotPresent"), PullPolicy::IfNotPresent),
        ];
        for (image, written, expected) in table {
            let container = Container {
                image: Some(image.to_owned()),
                image_pull_policy: written.map(str::to_owned),
                ..Container::default()
            };
            assert_eq!(PullPolicy::of(&container), expected, "{image} {written:?}");
        }
    }
}
