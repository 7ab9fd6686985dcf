//! `manual FOLDER DATE` writes manual pages of that date, and shell completions, into the folder.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, date] = arguments.as_slice() else {
        eprintln!("usage: manual FOLDER DATE");
        return ExitCode::from(2);
    };
    let folder = Path::new(folder);
    match manual::write(&device_worker_ng::cli::command(), date, folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed to write into {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}
