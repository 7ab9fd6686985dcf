//! Why podman cannot be given a workload.

/// Why podman cannot be given a workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ManifestError {
    /// A pod without containers.
    #[error("the pod has no containers")]
    NoContainers,
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
