//! Manual pages and shell completions, made from the command line as the program itself defines it.

use std::fs;
use std::io;
use std::path::Path;

use clap_complete::Shell;

/// The shells that have completions.
pub const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Writes `man/*.1`, a page for the program and one for each of its commands, and a file for each shell
/// into `completions`.
///
/// # Errors
/// A file or folder cannot be written.
pub fn write(command: &clap::Command, folder: &Path) -> io::Result<()> {
    let pages = folder.join("man");
    fs::create_dir_all(&pages)?;
    clap_mangen::generate_to(command.clone(), &pages)?;
    let completions = folder.join("completions");
    fs::create_dir_all(&completions)?;
    for shell in SHELLS {
        let name = command.get_name().to_owned();
        clap_complete::generate_to(shell, &mut command.clone(), name, &completions)?;
    }
    Ok(())
}
