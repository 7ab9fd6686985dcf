//! The files of a volume that containers only read: what they are made of, and their modes.

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Volume, VolumeProjection};

use super::folder::{VolumeFile, within};
use super::origin::{Origin, mode};
use crate::pod_manifest::ManifestError;
use crate::pod_manifest::environment::downward::Downward;
use crate::pod_manifest::environment::{CONFIG_MAP, SECRET, config_map, secret};
use crate::workload::Confidential;

/// Returns the files of `volume`; `None` when it is of another kind.
pub(super) fn of(
    volume: &Volume,
    downward: Downward<'_>,
) -> Result<Option<Vec<VolumeFile>>, ManifestError> {
    let maker = |default_mode| Maker { volume: &volume.name, downward, default_mode };
    let files = if let Some(source) = &volume.config_map {
        let items = source.items.as_deref();
        maker(source.default_mode).config_map(&source.name, items, source.optional)?
    } else if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or_default();
        let items = source.items.as_deref();
        maker(source.default_mode).secret(name, items, source.optional)?
    } else if let Some(source) = &volume.downward_api {
        maker(source.default_mode).downward(source.items.as_deref())?
    } else if let Some(source) = &volume.projected {
        let maker = maker(source.default_mode);
        let sources = source.sources.iter().flatten().map(|part| maker.projection(part));
        sources.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect()
    } else {
        return Ok(None);
    };
    Ok(Some(each_once(files)))
}

/// Of two files of one path the last counts.
fn each_once(files: Vec<VolumeFile>) -> Vec<VolumeFile> {
    let mut once = Vec::<VolumeFile>::new();
    for file in files {
        once.retain(|other| other.path != file.path);
        once.push(file);
    }
    once
}

/// Makes the files of one volume.
struct Maker<'a> {
    volume: &'a str,
    downward: Downward<'a>,
    default_mode: Option<i32>,
}

impl Maker<'_> {
    fn config_map(
        &self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
    ) -> Result<Vec<VolumeFile>, ManifestError> {
        let data = config_map(self.downward.workload, name, optional)?;
        self.origin(CONFIG_MAP, name, optional).files(data, items, self.default_mode)
    }

    fn secret(
        &self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
    ) -> Result<Vec<VolumeFile>, ManifestError> {
        let data = secret(self.downward.workload, name, optional)?;
        self.origin(SECRET, name, optional).files(data, items, self.default_mode)
    }

    fn origin<'b>(
        &'b self,
        kind: &'static str,
        name: &'b str,
        optional: Option<bool>,
    ) -> Origin<'b> {
        Origin { volume: self.volume, kind, name, optional: optional.unwrap_or(false) }
    }

    fn downward(
        &self,
        items: Option<&[DownwardAPIVolumeFile]>,
    ) -> Result<Vec<VolumeFile>, ManifestError> {
        let items = items.unwrap_or_default().iter();
        items.map(|item| self.downward_file(item)).collect()
    }

    fn downward_file(&self, item: &DownwardAPIVolumeFile) -> Result<VolumeFile, ManifestError> {
        let (asked, known) = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => (&*field.field_path, self.downward.file(&field.field_path)),
            (None, Some(field)) => (&*field.resource, self.downward.resource(field, "")),
            (None, None) => ("nothing", None),
        };
        let content = known.ok_or_else(|| ManifestError::FileSource {
            volume: self.volume.to_owned(),
            field: asked.to_owned(),
        })?;
        Ok(VolumeFile {
            path: within(self.volume, &item.path)?,
            mode: mode(self.volume, item.mode, self.default_mode)?,
            content: Confidential::new(content.into_bytes()),
        })
    }

    fn projection(&self, part: &VolumeProjection) -> Result<Vec<VolumeFile>, ManifestError> {
        if let Some(source) = &part.config_map {
            self.config_map(&source.name, source.items.as_deref(), source.optional)
        } else if let Some(source) = &part.secret {
            self.secret(&source.name, source.items.as_deref(), source.optional)
        } else if let Some(source) = &part.downward_api {
            self.downward(source.items.as_deref())
        } else {
            let kind = match part.service_account_token {
                Some(_) => "projected with a serviceAccountToken",
                None => "projected with a clusterTrustBundle, or with nothing",
            };
            let (volume, kind) = (self.volume.to_owned(), kind.to_owned());
            Err(ManifestError::VolumeKind { volume, kind })
        }
    }
}
