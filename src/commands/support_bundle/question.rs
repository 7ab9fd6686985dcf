//! How the command is used, and what it is asked.

use std::path::PathBuf;

use actors::metrics_ingest::Listen;
use clap::{Arg, ArgAction, ArgMatches, value_parser};

use super::NAME;
use crate::commands::status::address;

const OUTPUT: &str = "output";
const LOGS: &str = "logs";

const HELP: &str = "\
Asks the agent, podman and systemd, and changes nothing of them; the settings are read as the agent
reads them, so name its file and run this as its user. What does not answer is left out, and the
bundle says why. Values of variables, arguments, secrets, config maps, registry credentials, keys and
certificates are not in it; names of workloads, images, hosts and files are: look at it before you
pass it on. The file is for its owner only; one that is there already is not replaced.
Exit codes: 0 written, also with parts missing; 1 not written; 2 wrong usage.

Examples:
  device-worker-ng support-bundle --config /etc/device-worker-ng/config.yaml
  device-worker-ng support-bundle --output /tmp/camera-7.tar.gz --logs";

/// Returns how the command is used.
pub fn usage() -> clap::Command {
    clap::Command::new(NAME)
        .about("Write what explains a device's behaviour into one file, without secrets")
        .after_help(HELP)
        .arg(
            Arg::new(OUTPUT)
                .long(OUTPUT)
                .short('o')
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Where to write it [default: device-worker-ng-TIME.tar.gz, here]"),
        )
        .arg(address::arg())
        .arg(Arg::new(LOGS).long(LOGS).action(ArgAction::SetTrue).help(
            "Also what failed runs wrote last, and other words of containers, whatever they are",
        ))
}

/// What is to be gathered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// The file to write, if not one of the command's own choice.
    pub output: Option<PathBuf>,
    /// Where the agent listens, if not as configured.
    pub address: Option<Listen>,
    /// Also the kept logs of failed runs.
    pub with_logs: bool,
}

impl From<&ArgMatches> for Question {
    fn from(matches: &ArgMatches) -> Self {
        Self {
            output: matches.get_one(OUTPUT).cloned(),
            address: address::given(matches),
            with_logs: matches.get_flag(LOGS),
        }
    }
}
