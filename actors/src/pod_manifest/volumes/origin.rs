//! The files of a config map or secret, as a volume shows them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::KeyToPath;

use super::folder::{VolumeFile, within};
use crate::pod_manifest::ManifestError;
use crate::workload::Confidential;

/// Kubernetes' mode of a projected file.
const DEFAULT_FILE_MODE: u32 = 0o644;

/// Where the files of a volume come from.
pub(super) struct Origin<'a> {
    /// The volume's name.
    pub(super) volume: &'a str,
    /// `config map` or `secret`.
    pub(super) kind: &'static str,
    /// Its name.
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
        let mode = |own: Option<i32>| {
            let mode = own.or(default_mode).and_then(|mode| u32::try_from(mode).ok());
            mode.unwrap_or(DEFAULT_FILE_MODE) & 0o777
        };
        let file = |path: &str, own, content: &[u8]| {
            Ok(VolumeFile {
                path: within(self.volume, path)?,
                mode: mode(own),
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
