//! Pages and completions name all that the program takes, and bash can use them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use clap_complete::Shell;
use tempfile::TempDir;

const DATE: &str = "2026-11-25";

fn program() -> clap::Command {
    let mut program = device_worker_ng::cli::command();
    program.build();
    program
}

fn written() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    manual::write(&device_worker_ng::cli::command(), DATE, folder.path()).unwrap();
    folder
}

/// The long flags of one command.
fn flags(command: &clap::Command) -> BTreeSet<String> {
    command.get_arguments().filter_map(clap::Arg::get_long).map(str::to_owned).collect()
}

/// The commands of the program; `help` has a page of its own in `--help`.
fn commands(program: &clap::Command) -> impl Iterator<Item = &clap::Command> {
    program.get_subcommands().filter(|command| command.get_name() != "help")
}

fn page(folder: &Path, name: &str) -> String {
    let path = folder.join("man").join(format!("{name}.1"));
    let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    // The page writes a hyphen so that it can be copied.
    page.replace("\\-", "-")
}

fn completions(folder: &Path, shell: Shell) -> String {
    let name = match shell == Shell::Zsh {
        true => "_device-worker-ng".to_owned(),
        false => format!("device-worker-ng.{shell}"),
    };
    fs::read_to_string(folder.join("completions").join(name)).unwrap()
}

#[test]
fn every_command_has_a_page_that_names_its_flags() {
    let (folder, program) = (written(), program());
    let main = page(folder.path(), "device-worker-ng");
    let mut pages = 1;
    for command in commands(&program) {
        let name = command.get_name();
        assert!(main.contains(&format!("device-worker-ng-{name}(1)")), "{name}: {main}");
        let page = page(folder.path(), &format!("device-worker-ng-{name}"));
        for flag in flags(command) {
            assert!(page.contains(&format!("--{flag}")), "{name} --{flag}: {page}");
        }
        pages += 1;
    }
    for flag in flags(&program) {
        assert!(main.contains(&format!("--{flag}")), "--{flag}: {main}");
    }
    assert!(flags(&program).contains("log-level"), "{program:?}");
    assert_eq!(fs::read_dir(folder.path().join("man")).unwrap().count(), pages);
    assert!(pages > 5, "{pages}");
}

#[test]
fn every_page_is_titled_and_dated() {
    let folder = written();
    let version = env!("CARGO_PKG_VERSION");
    for name in ["device-worker-ng", "device-worker-ng-status"] {
        let page = page(folder.path(), name);
        let title = page.lines().find(|line| line.starts_with(".TH ")).unwrap();
        let expected = format!(".TH {name} 1 {DATE} \"device-worker-ng {version}");
        assert!(title.starts_with(&expected), "{title}");
        assert!(title.ends_with("\"Workload agent for edge devices\""), "{title}");
    }
}

#[test]
fn each_shell_knows_every_command_and_flag() {
    let (folder, program) = (written(), program());
    for shell in manual::SHELLS {
        let text = completions(folder.path(), shell);
        // fish writes `-l flag`, the others `--flag`.
        let dashes = if shell == Shell::Fish { "-l " } else { "--" };
        for command in commands(&program).chain([&program]) {
            let name = command.get_name();
            assert!(text.contains(name), "{shell}: {name}");
            for flag in flags(command) {
                assert!(text.contains(&format!("{dashes}{flag}")), "{shell}: {name} --{flag}");
            }
        }
    }
}

/// Asks bash what would complete the last of `words`.
fn completed_by_bash(folder: &Path, words: &[&str]) -> BTreeSet<String> {
    let script = r#"
        source "$1" && shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        function=$(complete -p device-worker-ng | sed 's/.* -F \([^ ]*\) .*/\1/')
        "$function" device-worker-ng "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let file = folder.join("completions/device-worker-ng.bash");
    let output = Command::new("bash")
        .args(["--norc", "-c", script, "bash"])
        .arg(file)
        .args(words)
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_their_flags() {
    let (folder, program) = (written(), program());
    let named = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    for (words, expected) in [
        (&["device-worker-ng", "st"][..], named(&["status"])),
        (&["device-worker-ng", "c"], named(&["check", "cron"])),
        (&["device-worker-ng", "status", "--w"], named(&["--watch"])),
        (&["device-worker-ng", "eval", "--m"], named(&["--metric"])),
    ] {
        let found: BTreeSet<String> = completed_by_bash(folder.path(), words);
        assert_eq!(found, expected, "{words:?}");
    }
    let found = completed_by_bash(folder.path(), &["device-worker-ng", "run", "--"]);
    let run = program.find_subcommand("run").unwrap();
    let missing: Vec<_> =
        flags(run).into_iter().filter(|flag| !found.contains(&format!("--{flag}"))).collect();
    assert!(missing.is_empty(), "{missing:?} in {found:?}");
}
