//! What podman lists of its images. Pure.

use serde::Deserialize;

use crate::podman_executor::libpod::bounds::{text, texts};

/// Bytes by which the sizes of two images of the same making differ at most: what describes them has dates
/// in it, and trailing zeros of those are not written.
const SIZE_SLACK: u64 = 128;

/// One row of `images/json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::podman_executor) struct ImageRow {
    /// The image's id.
    #[serde(deserialize_with = "text")]
    pub(in crate::podman_executor) id: String,
    /// Its names.
    #[serde(deserialize_with = "texts")]
    pub(in crate::podman_executor) names: Vec<String>,
    /// Its size in bytes.
    pub(in crate::podman_executor) size: i64,
    /// Its labels.
    pub(in crate::podman_executor) labels: Option<ImageLabels>,
}

/// What labels say of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(in crate::podman_executor) struct ImageLabels {
    /// The version of what podman makes images with; empty for those that came from elsewhere.
    #[serde(rename = "io.buildah.version", deserialize_with = "text")]
    maker: String,
}

/// Returns the ids of those of `rows` that have no name, and the size, but for dates, and the maker of
/// `image`.
pub(in crate::podman_executor) fn unnamed_twins(rows: &[ImageRow], image: &str) -> Vec<String> {
    let is_made_here = |row: &ImageRow| row.labels.as_ref().is_some_and(|it| !it.maker.is_empty());
    let named = rows.iter().find(|row| row.names.iter().any(|name| name == image));
    let Some(named) = named.filter(|row| is_made_here(row)) else { return Vec::new() };
    let is_twin = |row: &&ImageRow| {
        let is_as_large = row.size.abs_diff(named.size) <= SIZE_SLACK;
        row.names.is_empty() && is_as_large && row.labels == named.labels
    };
    rows.iter().filter(is_twin).map(|row| row.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_images_without_a_name_of_the_same_making_are_twins() {
        let row = |id: &str, names: &[&str], size: i64, maker: Option<&str>| {
            let labels = maker.map(|maker| json!({"io.buildah.version": maker, "other": "x"}));
            let row = json!({"Id": id, "Names": names, "Size": size, "Labels": labels});
            serde_json::from_value::<ImageRow>(row).unwrap()
        };
        let pause = "localhost/podman-pause:5.4.2-1";
        let rows = [
            row("pause", &[pause], 737, Some("1.39.3")),
            row("twin", &[], 737, Some("1.39.3")),
            row("named", &["localhost/built:1"], 737, Some("1.39.3")),
            row("dated", &[], 731, Some("1.39.3")),
            row("larger", &[], 866, Some("1.39.3")),
            row("older", &[], 737, Some("1.28.2")),
            row("pulled", &[], 737, None),
        ];
        assert_eq!(unnamed_twins(&rows, pause), ["twin", "dated"]);
        assert!(unnamed_twins(&rows, "localhost/absent:1").is_empty());
        let pulled = [row("image", &["quay.io/a:1"], 9, None), row("unnamed", &[], 9, None)];
        assert!(unnamed_twins(&pulled, "quay.io/a:1").is_empty());
    }
}
