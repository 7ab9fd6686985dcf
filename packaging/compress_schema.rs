//! Compresses the schema of manifests for the program, which carries it: a tenth of its size.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

const SCHEMA: &str = "docs/manifests.schema.json";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={SCHEMA}");
    let folder = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    let compressed = File::create(Path::new(&folder).join("manifests.schema.json.gz"))?;
    let mut compressed = GzEncoder::new(compressed, Compression::best());
    compressed.write_all(&fs::read(SCHEMA)?)?;
    compressed.finish()?.sync_all()
}
