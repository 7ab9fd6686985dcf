//! Why podman cannot be given a workload.

use super::host_paths::HostPathError;
use crate::quantity::QuantityError;

/// Why podman cannot be given a workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ManifestError {
    /// A pod without containers.
    #[error("the pod has no containers")]
    NoContainers,
    /// An amount that cannot be read.
    #[error("{field} of {place}: {text:?} {fault}")]
    Quantity {
        /// The container, the volume or the pod.
        place: String,
        /// The field within it.
        field: String,
        /// The text, cut to what can be shown.
        text: String,
        /// What is wrong with it.
        fault: QuantityError,
    },
    /// A volume of a kind that podman does not know.
    #[error(
        "volume {volume} is of kind {kind}; podman knows emptyDir, configMap, secret, hostPath \
         and persistentVolumeClaim"
    )]
    VolumeKind {
        /// The volume's name.
        volume: String,
        /// The kind as the manifest names it.
        kind: String,
    },
    /// A container mounts what the pod does not declare.
    #[error("container {container} mounts volume {volume}, which the pod does not declare")]
    UndeclaredVolume {
        /// The container's name.
        container: String,
        /// The volume's name.
        volume: String,
    },
    /// A path leads out of its volume.
    #[error("volume {volume} names the path {path}, which must stay within the volume")]
    UnsafePath {
        /// The volume's name.
        volume: String,
        /// The path.
        path: String,
    },
    /// A volume's name that is none of a folder beside others.
    #[error(
        "volume {volume:?} has a name that no volume can have; use lower case letters, digits and \
         hyphens"
    )]
    VolumeName {
        /// The volume's name.
        volume: String,
    },
    /// Two volumes of one name.
    #[error("the pod declares volume {volume} twice")]
    VolumeTwice {
        /// The volume's name.
        volume: String,
    },
    /// A part that depends on variables.
    #[error(
        "container {container} mounts volume {volume} by subPathExpr {expression}, which podman \
         lacks; write a subPath"
    )]
    SubPathExpr {
        /// The container's name.
        container: String,
        /// The volume's name.
        volume: String,
        /// The expression.
        expression: String,
    },
    /// A part of podman's own volume.
    #[error(
        "container {container} mounts subPath {path} of volume {volume}, a persistentVolumeClaim, \
         which podman mounts only whole; leave the subPath out, or use a claim for each part"
    )]
    ClaimPart {
        /// The container's name.
        container: String,
        /// The volume's name.
        volume: String,
        /// The path within the volume.
        path: String,
    },
    /// A part whose place in the whole podman cannot be told.
    #[error(
        "container {container} mounts a part of a volume at {path}: podman takes no colon there"
    )]
    Colon {
        /// The container's name.
        container: String,
        /// Where it is mounted.
        path: String,
    },
    /// A path of the host cannot be used as it is.
    #[error(transparent)]
    HostPath(Box<HostPathError>),
    /// A mount asks for a part of a volume that the agent cannot find.
    #[error("container {container} mounts {path} of volume {volume}, which is not there")]
    SubPath {
        /// The container's name.
        container: String,
        /// The volume's name.
        volume: String,
        /// The path within the volume.
        path: String,
    },
    /// A config map or secret did not come with the workload.
    #[error("{kind} {name} is not part of the configuration")]
    Missing {
        /// `config map` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A config map or secret lacks a key.
    #[error("{kind} {name} has no key {key}")]
    MissingKey {
        /// `config map` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The key.
        key: String,
    },
    /// The value of a variable is not text.
    #[error("variable {variable} of container {container} is not text")]
    NotText {
        /// The container's name.
        container: String,
        /// The variable.
        variable: String,
    },
    /// A variable refers to what only a cluster knows.
    #[error("variable {variable} of container {container} asks for {field}, which podman lacks")]
    VariableSource {
        /// The container's name.
        container: String,
        /// The variable.
        variable: String,
        /// The field asked for.
        field: String,
    },
    /// An init container that keeps running.
    #[error("init container {container} has a restartPolicy; podman has no sidecars")]
    Sidecar {
        /// The container's name.
        container: String,
    },
}

impl From<HostPathError> for ManifestError {
    fn from(error: HostPathError) -> Self {
        Self::HostPath(Box::new(error))
    }
}
