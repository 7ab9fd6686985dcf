//! Manual pages and shell completions, made from the command line as the program itself defines it.

use std::fs;
use std::io;
use std::path::Path;

use clap_complete::Shell;
use clap_mangen::Man;

/// The shells that have completions.
pub const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// What stands above every page.
const MANUAL: &str = "Workload agent for edge devices";

/// Writes `man/*.1`, a page for the program and one for each of its commands, and a file for each shell
/// into `completions`. `date` is what the pages say of their age, `2026-11-25`.
///
/// # Errors
/// A file or folder cannot be written.
pub fn write(command: &clap::Command, date: &str, folder: &Path) -> io::Result<()> {
    let pages = folder.join("man");
    fs::create_dir_all(&pages)?;
    write_pages(command, date, &pages)?;
    let completions = folder.join("completions");
    fs::create_dir_all(&completions)?;
    for shell in SHELLS {
        let name = command.get_name().to_owned();
        clap_complete::generate_to(shell, &mut command.clone(), name, &completions)?;
    }
    Ok(())
}

fn write_pages(command: &clap::Command, date: &str, folder: &Path) -> io::Result<()> {
    // `help` says what the pages say.
    let mut program = command.clone().disable_help_subcommand(true);
    program.build();
    let source = format!("{} {}", program.get_name(), program.get_version().unwrap_or_default());
    for command in program.get_subcommands().chain([&program]) {
        // Each is given: what is empty would take the place of the next in the page's title.
        let page = Man::new(command.clone()).date(date).source(&source).manual(MANUAL);
        page.generate_to(folder)?;
    }
    Ok(())
}
