//! Addresses: the control plane's, and those on which metrics are taken.

use actors::metrics_ingest::{InvalidListen, Listen};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::values::{ValueError, is_label, refuse};

/// The control plane's address: https, a host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    authority: String,
    host: String,
    port: u16,
}

impl ServerUrl {
    /// Returns the host: a name, an IPv4 address, or an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority)
    }
}

impl FromStr for ServerUrl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        if !scheme.eq_ignore_ascii_case("https") {
            // The value is not shown whole: a password may stand in it.
            return refuse("is not an https address; write https://host:port");
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains('@') {
            return refuse("holds a user name; certificates alone identify the device");
        }
        if authority.contains(['/', '?', '#']) {
            return refuse("has a path; write only https://host:port");
        }
        let (host, port) = split_port(authority).ok_or_else(|| {
            ValueError(format!(
                "\"{text}\" has no port; write https://{authority}:8043 or the port that it has"
            ))
        })?;
        let port = match port.parse() {
            Ok(port) if port > 0 => port,
            Ok(_) | Err(_) => {
                return refuse(&format!("has port \"{port}\", which is not 1 to 65535"));
            }
        };
        if !is_host(host) {
            return refuse(&format!("has host \"{host}\", which is neither a name nor an address"));
        }
        Ok(Self {
            authority: authority.to_owned(),
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
        })
    }
}

/// Splits `host:port`; the colons inside the brackets of an IPv6 address do not count.
fn split_port(authority: &str) -> Option<(&str, &str)> {
    let (host, port) = authority.rsplit_once(':')?;
    (!port.ends_with(']')).then_some((host, port))
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        return address
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    // A name of digits and dots alone can only be meant as an address.
    if host.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return host.parse::<Ipv4Addr>().is_ok();
    }
    host.len() <= 253 && host.split('.').all(|label| is_label(&label.to_ascii_lowercase()))
}

/// Reads names or addresses of hosts, separated by commas, each without a port.
pub(super) fn hosts(text: &str) -> Result<Vec<String>, ValueError> {
    let mut hosts = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let is_address = part.parse::<IpAddr>().is_ok();
        let has_port = split_port(part).is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if !is_address && has_port {
            return refuse(&format!(
                "has \"{part}\"; write the name without the port: any is allowed"
            ));
        }
        if !is_address && !is_host(part) {
            return refuse(&format!(
                "has \"{part}\", which is neither a name nor an address, such as gateway.local"
            ));
        }
        hosts.push(part.trim_matches(['[', ']']).to_owned());
    }
    Ok(hosts)
}

/// Reads addresses separated by commas.
pub(super) fn addresses(text: &str) -> Result<Vec<Listen>, ValueError> {
    let mut addresses: Vec<Listen> = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let address: Listen =
            part.parse().map_err(|error: InvalidListen| ValueError(error.to_string()))?;
        if addresses.contains(&address) {
            return refuse(&format!("names {part} twice"));
        }
        addresses.push(address);
    }
    if addresses.is_empty() {
        return refuse("names no address; write localhost:8080");
    }
    Ok(addresses)
}
