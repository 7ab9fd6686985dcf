//! What must hold of every configuration, whoever wrote it, before podman or a cluster sees it.

use std::path::{Component, Path};

use k8s_openapi::api::core::v1::PodSpec;

use crate::control_plane_sync::fuzz_entry as wire_entry;
use crate::pod_manifest::host_paths::HostView;
use crate::pod_manifest::volumes::SCRATCH;
use crate::pod_manifest::{LimitSupport, PodContext, PodmanFacts, podman_pod};
use crate::podman_executor::{ContainerRow, fuzz_entry as podman_entry};
use crate::workload::{Configuration, DeviceId, Limits, Sample, Workload};

/// Where the volumes are said to be.
const ROOT: &str = "/root/of/volumes";
const MEMORY_ROOT: &str = "/root/of/memory";
/// The most rows of a listing.
const MAX_ROWS: usize = 4096;
/// The most texts in a list of a row.
const MAX_TEXTS: usize = 64;
/// The longest text in a row.
const MAX_TEXT: usize = 1024;
/// Longest name of an object in a cluster.
const MAX_NAME: usize = 253;
/// Longest name of a pod or a container.
const MAX_LABEL: usize = 63;

/// Checks each workload of `configuration`, and that its stored form reads back the same.
///
/// # Panics
/// Something does not hold.
pub fn check(configuration: &Configuration) {
    for workload in &configuration.workloads {
        check_workload(workload);
    }
    let read = wire_entry::stored_and_read(configuration);
    assert!(read.is_ok_and(|read| read == *configuration), "its stored form is another one");
}

/// Checks what comes of a posted body of so many bytes: samples that can be used, or a short reason.
///
/// # Panics
/// Something does not hold.
pub fn check_samples(length: usize, read: Result<Vec<Sample>, String>) {
    let samples = match read {
        Ok(samples) => samples,
        Err(reason) => {
            assert!(!reason.is_empty() && reason.len() < 500, "{reason}");
            return;
        }
    };
    assert!(samples.len() <= length, "{} samples", samples.len());
    for sample in samples {
        let name = sample.name.as_str();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        assert!(!name.is_empty() && name.len() <= 256 && name.chars().all(plain), "{name}");
        assert!(sample.value.is_finite());
        assert!(sample.unit.is_none_or(|unit| !unit.is_empty() && unit.len() <= 64));
        assert!(sample.ttl.is_none_or(|ttl| !ttl.is_zero()));
    }
}

/// Checks what comes of a listing of containers: rows within their bounds, each asked for by its id and
/// nothing else, and pods whose names can be a folder's.
///
/// # Panics
/// Something does not hold.
pub fn check_rows(rows: &[ContainerRow]) {
    assert!(rows.len() <= MAX_ROWS, "{} rows", rows.len());
    for row in rows {
        assert!(row.names.len() <= MAX_TEXTS && row.labels.len() <= MAX_TEXTS, "{row:?}");
        let texts = [&row.id, &row.state, &row.pod_name].into_iter().chain(&row.names);
        let mut texts = texts.chain(row.labels.values());
        assert!(texts.all(|text| text.len() <= MAX_TEXT), "{row:?}");
        let Some(address) = podman_entry::address(&row.id) else { continue };
        let id = address.strip_prefix("/v4.0.0/libpod/containers/");
        let id = id.and_then(|rest| rest.strip_suffix("/json")).unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~%".contains(c);
        assert!(!matches!(id, "" | "." | "..") && id.chars().all(plain), "{address}");
    }
    for pod in podman_entry::pods(rows.to_vec(), &DeviceId::from("cam-01")) {
        for name in [pod.id.as_str(), pod.workload.as_str()] {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
            let is_name = begins && name.len() <= MAX_NAME && name.chars().all(plain);
            assert!(is_name && !name.contains(".."), "{name:?}");
        }
    }
}

fn check_workload(workload: &Workload) {
    let (id, name) = (workload.id.as_str(), workload.name.as_str());
    assert!(is_label(id) && id.len() <= MAX_LABEL, "pod {id:?}");
    assert!(name.len() <= MAX_NAME && name.split('.').all(is_label), "workload {name:?}");
    assert!(is_label(&workload.namespace), "namespace {:?}", workload.namespace);
    check_containers(workload, &workload.pod);
    let maps = workload.config_maps.iter().map(|it| &it.name);
    for brought in maps.chain(workload.secrets.iter().map(|it| &it.name)) {
        let plain = brought.len() <= MAX_NAME && brought.split('.').all(is_label);
        assert!(plain, "config map or secret {brought:?}");
    }
    let context = PodContext {
        device_id: &DeviceId::from("cam"),
        boot_id: "boot",
        volumes_root: Path::new(ROOT),
        memory_root: Some(Path::new(MEMORY_ROOT)),
        limits: Limits::default(),
        support: LimitSupport { cpu: true, memory: true },
        host: HostView::default(),
        podman: PodmanFacts { version: Some((5, 4)), cpus: 4, memory: 1 << 30 },
    };
    // What podman cannot be given goes no further.
    let Ok(plan) = podman_pod(workload, &context) else {
        return;
    };
    let homes = [ROOT, MEMORY_ROOT].map(Path::new);
    let homes = homes.map(|root| [root.join(id), root.join(SCRATCH).join(id)]).concat();
    let is_own = |path: &Path| homes.iter().any(|home| is_within(path, home));
    for folder in &plan.folders {
        assert!(is_own(&folder.path), "folder {}", folder.path.display());
        for file in &folder.files {
            let path = folder.path.join(&file.path);
            assert!(is_within(&path, &folder.path), "file {}", path.display());
        }
    }
    let spec = plan.pod.spec.unwrap_or_default();
    check_containers(workload, &spec);
    for volume in spec.volumes.iter().flatten() {
        let (path, declared) = (volume.host_path.as_ref(), workload.pod.volumes.as_ref());
        let Some(path) = path.map(|it| Path::new(&it.path)) else { continue };
        let mut declared = declared.into_iter().flatten().filter_map(|it| it.host_path.as_ref());
        let is_declared = declared.any(|it| path.starts_with(&it.path));
        assert!(is_declared || is_own(path), "host path {}", path.display());
    }
}

fn check_containers(workload: &Workload, spec: &PodSpec) {
    for container in spec.init_containers.iter().flatten().chain(&spec.containers) {
        let name = &container.name;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        assert!(begins && name.len() <= MAX_LABEL && name.chars().all(plain), "{name:?}");
        if !workload.executor.is_cluster() {
            let image = container.image.as_deref().unwrap_or_default();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@[]+".contains(c);
            let leads = image.split('/').any(|part| matches!(part, "" | "." | ".."));
            assert!(!leads && image.chars().all(plain), "image {image:?}");
        }
    }
}

fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let (first, last) = (text.chars().next(), text.chars().last());
    text.chars().all(inner) && first.is_some_and(|c| c != '-') && last.is_some_and(|c| c != '-')
}

/// Whether `path` lies below `base` and cannot lead out of it again.
fn is_within(path: &Path, base: &Path) -> bool {
    path.strip_prefix(base).is_ok_and(|inner| {
        inner.components().count() > 0
            && inner.components().all(|part| matches!(part, Component::Normal(_)))
    })
}
