//! `schema`: what manifests may hold, for editors and pipelines.

use std::io::Read as _;

use flate2::read::GzDecoder;

use super::Answer;

/// Name of the command.
pub const NAME: &str = "schema";

/// `docs/manifests.schema.json`, compressed by the build.
const COMPRESSED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/manifests.schema.json.gz"));

const HELP: &str = "\
Editors complete and check files of manifests by it, pipelines check them: see docs/manifests.md. What
a schema cannot tell, such as names that refer to nothing, `check` does.

Example:
  device-worker-ng schema > manifests.schema.json";

/// Returns how the command is used.
pub fn usage() -> clap::Command {
    clap::Command::new(NAME)
        .about("Print the JSON schema of manifests, for editors and pipelines")
        .after_help(HELP)
}

/// Returns the schema.
#[must_use]
pub fn answer() -> Answer {
    let mut schema = String::new();
    match GzDecoder::new(COMPRESSED).read_to_string(&mut schema) {
        Ok(_) => Answer { output: schema, ..Answer::default() },
        Err(error) => Answer {
            remarks: format!("error: failed to unpack the schema: {error}\n"),
            code: 1,
            ..Answer::default()
        },
    }
}
