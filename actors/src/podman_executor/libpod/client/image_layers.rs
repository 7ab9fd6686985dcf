//! Looks whether the layers of an image are there, where podman finds nothing amiss: one without its link
//! is mounted as an empty folder.

use std::path::{Path, PathBuf};

use crate::podman_executor::libpod::types::GraphDriver;

/// Layers of one image that are looked at: overlay file systems take no more.
const MAX_LAYERS: usize = 500;

/// Returns the folders of an image's layers; none for a driver other than overlay.
pub(super) fn folders(driver: &GraphDriver) -> Vec<PathBuf> {
    if driver.name != "overlay" {
        return Vec::new();
    }
    let Some(data) = &driver.data else { return Vec::new() };
    let lower = data.lower_dir.split(':');
    let contents = lower.chain([data.upper_dir.as_str()]).filter(|path| !path.is_empty());
    let folders = contents.filter_map(|path| Some(Path::new(path).parent()?.to_owned()));
    folders.take(MAX_LAYERS).collect()
}

/// Returns what is wrong with the first of `layers` that is damaged; `None` when all are well, or when
/// podman's storage is not where the agent could see it.
pub(super) fn fault(layers: &[PathBuf]) -> Option<String> {
    let is_visible = |layer: &PathBuf| layer.parent().is_some_and(|all| all.join("l").is_dir());
    layers.iter().filter(|layer| is_visible(layer)).find_map(|layer| {
        let link = layer.join("link");
        if !layer.join("diff").is_dir() {
            return Some(format!("{} has no content", layer.display()));
        }
        let is_empty = std::fs::metadata(&link).is_ok_and(|link| link.len() == 0);
        is_empty.then(|| format!("{} is empty", link.display()))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::podman_executor::libpod::types::{GraphData, ImageDetail, ImageLayers};

    fn driver(lower: &str, upper: &str) -> GraphDriver {
        let data = GraphData { lower_dir: lower.to_owned(), upper_dir: upper.to_owned() };
        GraphDriver { name: "overlay".to_owned(), data: Some(data) }
    }

    #[test]
    fn every_layer_of_an_image_is_looked_at() {
        let storage = tempfile::tempdir().unwrap();
        let at = |name: &str| storage.path().join(name);
        fs::create_dir(at("l")).unwrap();
        for layer in ["a", "b"] {
            fs::create_dir_all(at(layer).join("diff")).unwrap();
            fs::write(at(layer).join("link"), "ABC").unwrap();
        }
        let path = |layer: &str| at(layer).join("diff").display().to_string();
        let layers = folders(&driver(&path("a"), &path("b")));
        assert_eq!(layers, [at("a"), at("b")]);
        assert_eq!(fault(&layers), None);
        fs::write(at("a/link"), "").unwrap();
        assert_eq!(fault(&layers), Some(format!("{} is empty", at("a/link").display())));
        fs::remove_dir(at("a/diff")).unwrap();
        assert_eq!(fault(&layers), Some(format!("{} has no content", at("a").display())));
        // Of storage that is not there for the agent nothing is said.
        fs::remove_dir(at("l")).unwrap();
        assert_eq!(fault(&layers), None);
        assert!(folders(&GraphDriver::default()).is_empty());
    }

    #[test]
    fn a_storage_driver_that_says_nothing_of_layers_has_none() {
        let vfs = r#"{"Id":"1f","GraphDriver":{"Name":"vfs","Data":null}}"#;
        let layers: ImageLayers = serde_json::from_str(vfs).unwrap();
        assert!(folders(&layers.graph_driver).is_empty());
        // The id does not depend on what a driver says.
        for text in [vfs, r#"{"Id":"1f","GraphDriver":[7]}"#, r#"{"Id":"1f","GraphDriver":null}"#] {
            assert_eq!(serde_json::from_str::<ImageDetail>(text).unwrap().id, "1f", "{text}");
        }
    }
}
