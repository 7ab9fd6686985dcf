//! Why podman cannot be given a workload.

use super::hooks::HookError;
use super::host_paths::HostPathError;
use super::probes::ProbeError;
use crate::quantity::QuantityError;

/// The fields of a pod that its containers can refer to on podman.
const KNOWN: &str = "known are metadata.name, metadata.namespace, labels and annotations, spec.nodeName, \
    spec.serviceAccountName, and limits and requests of a container";

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
        "volume {volume} is of kind {kind}; on podman there are emptyDir, configMap, secret, downwardAPI, \
         projected (of these), hostPath and persistentVolumeClaim"
    )]
    VolumeKind { volume: String, kind: String },
    /// A container mounts what the pod does not declare.
    #[error("container {container} mounts volume {volume}, which the pod does not declare")]
    UndeclaredVolume { container: String, volume: String },
    /// A path leads out of its volume.
    #[error("volume {volume} names the path {path}, which must stay within the volume")]
    UnsafePath { volume: String, path: String },
    /// A volume's name that is none of a folder beside others.
    #[error(
        "volume {volume:?} has a name that no volume can have; use lower case letters, digits and \
         hyphens"
    )]
    VolumeName { volume: String },
    /// A mode with other bits than those of permissions: `600` is decimal.
    #[error(
        "volume {volume} has the mode {mode}, which must be between 0 and 0777 octal (511 decimal); \
         octal numbers begin with 0, as in 0600"
    )]
    Mode { volume: String, mode: i32 },
    /// Two volumes of one name.
    #[error("the pod declares volume {volume} twice")]
    VolumeTwice { volume: String },
    /// A part that depends on variables.
    #[error(
        "container {container} mounts volume {volume} by subPathExpr {expression}, which podman \
         lacks; write a subPath"
    )]
    SubPathExpr { container: String, volume: String, expression: String },
    /// A path in the container that none can have.
    #[error(
        "container {container} mounts volume {volume} at {path:?}, which must be a path without a colon, but \
         for podman's own options that do not contradict each other, as in /data:ro"
    )]
    MountPath { container: String, volume: String, path: String },
    /// A part of podman's own volume.
    #[error(
        "container {container} mounts subPath {path} of volume {volume}, a persistentVolumeClaim, \
         which podman mounts only whole; leave the subPath out, or use a claim for each part"
    )]
    ClaimPart { container: String, volume: String, path: String },
    /// A part whose place in the whole podman cannot be given.
    #[error(
        "container {container} mounts a part of a volume at {path}: podman takes no colon there"
    )]
    Colon { container: String, path: String },
    /// A probe that cannot be run.
    #[error(transparent)]
    Probe(Box<ProbeError>),
    /// A hook that cannot be run.
    #[error(transparent)]
    Hook(Box<HookError>),
    /// A path of the host cannot be used as it is.
    #[error(transparent)]
    HostPath(Box<HostPathError>),
    /// A mount asks for a part of a volume that the agent cannot find.
    #[error("container {container} mounts {path} of volume {volume}, which is not there")]
    SubPath { container: String, volume: String, path: String },
    /// A config map or secret did not come with the workload.
    #[error("{kind} {name} is not part of the configuration")]
    Missing {
        /// `config map` or `secret`.
        kind: &'static str,
        name: String,
    },
    /// A config map or secret lacks a key.
    #[error("{kind} {name} has no key {key}")]
    MissingKey {
        /// `config map` or `secret`.
        kind: &'static str,
        name: String,
        key: String,
    },
    /// The value of a variable is not text.
    #[error("variable {variable} of container {container} is not text")]
    NotText { container: String, variable: String },
    /// A text that podman would not pass on as it is.
    #[error(
        "{what} of container {container} has several lines and begins with a blank or an empty line, which podman \
         loses; begin it with another character, or mount it as a file"
    )]
    LostText { container: String, what: String },
    /// A variable refers to what is not known before the pod is made.
    #[error(
        "variable {variable} of container {container} asks for {field}, which is not known before podman makes \
         the pod; {KNOWN}"
    )]
    VariableSource { container: String, variable: String, field: String },
    /// The same of a file.
    #[error(
        "volume {volume} asks for {field}, which is not known before podman makes the pod; {KNOWN}"
    )]
    FileSource { volume: String, field: String },
    /// A text has grown with the variables in it.
    #[error(
        "{what} of container {container} comes to more than {limit} bytes with the variables that it refers \
         to; the kernel takes no more"
    )]
    LongExpansion { container: String, what: String, limit: usize },
    /// What this podman would ignore.
    #[error(
        "{field} needs podman {} or later, and this is {}: leave it out, or upgrade podman",
        version(*needed), version(*found)
    )]
    OlderPodman { field: String, needed: (u32, u32), found: (u32, u32) },
    /// A container of root's that must not be one.
    #[error("container {container} has runAsNonRoot: true, but runs as user 0, root")]
    Root { container: String },
    /// A pod for another system.
    #[error("os.name is {name:?}; podman runs linux")]
    System { name: String },
    /// An init container that keeps running.
    #[error(
        "init container {container} has a restartPolicy, but podman has no sidecars: it would wait for its \
         end before it starts the others. Make it one of the containers, which start together, and let those \
         that need it try again until it answers; or a workload of its own, which others name in after"
    )]
    Sidecar { container: String },
}

impl From<ProbeError> for ManifestError {
    fn from(error: ProbeError) -> Self {
        Self::Probe(Box::new(error))
    }
}

impl From<HookError> for ManifestError {
    fn from(error: HookError) -> Self {
        Self::Hook(Box::new(error))
    }
}

impl From<HostPathError> for ManifestError {
    fn from(error: HostPathError) -> Self {
        Self::HostPath(Box::new(error))
    }
}

fn version((major, minor): (u32, u32)) -> String {
    format!("{major}.{minor}")
}
