//! The files of a config map or secret, as a volume shows them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::KeyToPath;

use super::folder::{VolumeFile, within};
use crate::pod_manifest::ManifestError;
use crate::workload::Confidential;

/// Kubernetes' mode of a projected file.
const DEFAULT_FILE_MODE: u32 = 0o644;

/// Every permission for everybody.
const MAX_MODE: u32 = 0o777;

/// Where the files of a volume come from.
pub(super) struct Origin<'a> {
    /// The volume's name.
    pub(super) volume: &'a str,
    /// `config map` or `secret`.
    pub(super) kind: &'static str,
    pub(super) name: &'a str,
    /// Whether it and its keys may be missing.
    pub(super) optional: bool,
}

impl Origin<'_> {
    /// Returns the files of `data`: all of them, or those that `items` lists.
    pub(super) fn files(
        &self,
        data: Option<BTreeMap<&str, &[u8]>>,
        items: Option<&[KeyToPath]>,
        default_mode: Option<i32>,
    ) -> Result<Vec<VolumeFile>, ManifestError> {
        let data = data.unwrap_or_default();
        // A wrong one is refused also where no file has it.
        mode(self.volume, default_mode, None)?;
        let file = |path: &str, own, content: &[u8]| {
            Ok(VolumeFile {
                path: within(self.volume, path)?,
                mode: mode(self.volume, own, default_mode)?,
                content: Confidential::new(content.to_vec()),
            })
        };
        let Some(items) = items.filter(|items| !items.is_empty()) else {
            let entries = data.into_iter();
            return entries.map(|(key, content)| file(key, None, content)).collect();
        };
        let mut files = Vec::new();
        for item in items {
            match data.get(item.key.as_str()) {
                Some(content) => files.push(file(&item.path, item.mode, content)?),
                None if self.optional => {}
                None => {
                    return Err(ManifestError::MissingKey {
                        kind: self.kind,
                        name: self.name.to_owned(),
                        key: item.key.clone(),
                    });
                }
            }
        }
        Ok(files)
    }
}

/// Returns the mode of a file: its own, or that of its volume, or Kubernetes'. Kubernetes takes the nine bits
/// of permissions and no others.
pub(super) fn mode(
    volume: &str,
    own: Option<i32>,
    default: Option<i32>,
) -> Result<u32, ManifestError> {
    let Some(mode) = own.or(default) else { return Ok(DEFAULT_FILE_MODE) };
    let permissions = u32::try_from(mode).ok().filter(|mode| *mode <= MAX_MODE);
    permissions.ok_or_else(|| ManifestError::Mode { volume: volume.to_owned(), mode })
}
