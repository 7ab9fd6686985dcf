//! What the README repeats of the program is true.

use device_worker_ng::settings;

const README: &str = include_str!("../README.md");

#[test]
fn the_readme_has_every_setting_as_the_program_knows_it() {
    let table = settings::markdown();
    assert!(README.contains(&table), "README.md, Configuration: put in this table\n{table}");
}

#[test]
fn the_readme_names_only_files_that_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let architecture = README.split("## Architecture").nth(1).unwrap_or_default();
    let quoted = architecture.split('`').skip(1).step_by(2);
    let paths: Vec<&str> = quoted
        .filter(|text| text.contains('/') && !text.contains([' ', '*', '<', ':']))
        .filter(|text| text.ends_with(".rs") || text.ends_with(".pest") || text.ends_with('/'))
        .collect();
    assert!(paths.len() > 20, "{paths:?}");
    let missing: Vec<_> = paths
        .iter()
        .filter(|path| !root.join(path).exists() && !root.join("actors/src").join(path).exists())
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
