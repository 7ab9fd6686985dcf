//! The address at which commands ask the running agent.

use actors::metrics_ingest::Listen;
use clap::{Arg, ArgMatches};

use crate::config::{Config, ConfigErrors, Sources};

const ADDRESS: &str = "address";

/// Returns the argument that names another than the configured one.
pub(in crate::commands) fn arg() -> Arg {
    Arg::new(ADDRESS)
        .long(ADDRESS)
        .value_name("ADDRESS")
        .value_parser(|text: &str| text.parse::<Listen>())
        .help("Where the agent listens: localhost:8080, 127.0.0.1:8080, unix:/path")
}

/// Returns the address that was given.
pub(in crate::commands) fn given(matches: &ArgMatches) -> Option<Listen> {
    matches.get_one(ADDRESS).cloned()
}

/// Returns the addresses to try: the one that was given, else those of the configuration.
///
/// # Errors
/// The configuration cannot be read.
pub(in crate::commands) fn all(
    given: Option<&Listen>,
    sources: &Sources,
) -> Result<Vec<Listen>, ConfigErrors> {
    match given {
        Some(address) => Ok(vec![address.clone()]),
        None => Config::only_listen(sources),
    }
}
