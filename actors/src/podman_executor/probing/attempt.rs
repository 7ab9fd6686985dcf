//! One attempt of a probe, or of a hook, which does the same once.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::network::{ProbeNetwork, ProbeRequest};
use super::tracker::Outcome;
use crate::error_chain::error_chain;
use crate::pod_manifest::probes::{Check, Endpoint, Probe};
use crate::podman_executor::libpod::api::{ExecRequest, ExecResult, PodmanApi as _, PodmanError};
use crate::podman_executor::libpod::pacing::paced::Paced;

/// Characters of a command's output that are reported.
const MAX_SHOWN: usize = 200;

/// The means of attempts.
pub(in crate::podman_executor) struct Means {
    pub(super) podman: Rc<Paced>,
    network: Rc<dyn ProbeNetwork>,
    commands: Semaphore,
}

/// A container that is tried.
#[derive(Clone, Debug)]
pub(in crate::podman_executor) struct Tried {
    /// Its id.
    pub(in crate::podman_executor) container: String,
    /// The address of its pod, where that has one of its own.
    pub(in crate::podman_executor) address: Option<IpAddr>,
}

impl Means {
    /// Returns means with which so many commands run in containers at one time at most: each costs podman
    /// several processes.
    pub(in crate::podman_executor) fn new(
        podman: Rc<Paced>,
        network: Rc<dyn ProbeNetwork>,
        max_commands: usize,
    ) -> Self {
        Self { podman, network, commands: Semaphore::new(max_commands) }
    }

    /// Makes one attempt of `probe` on `tried`, for as long as the probe allows.
    pub(super) async fn attempt(&self, probe: &Probe, tried: &Tried) -> Outcome {
        let outcome = self.check(&probe.check, tried, probe.timeout).await;
        // podman's own trouble says nothing of the container.
        outcome.unwrap_or_else(|error| Outcome::Unknown(error.chain()))
    }

    /// Tries `check` on `tried` once, for `limit` at most.
    ///
    /// # Errors
    /// podman did not run the command.
    pub(in crate::podman_executor) async fn check(
        &self,
        check: &Check,
        tried: &Tried,
        limit: Duration,
    ) -> Result<Outcome, PodmanError> {
        Ok(match check {
            Check::Exec(command) => return self.exec(command.clone(), tried, limit).await,
            Check::Http(check) => {
                let Some(address) = socket(&check.endpoint, tried) else { return Ok(no_address()) };
                let request = ProbeRequest {
                    address,
                    is_tls: check.is_tls,
                    path: check.path.clone(),
                    headers: check.headers.clone(),
                };
                match timeout(limit, self.network.get(request)).await {
                    Ok(Ok(200..=399)) => Outcome::Success,
                    Ok(Ok(status)) => Outcome::Failure(format!("HTTP {status}")),
                    Ok(Err(error)) => Outcome::Failure(error_chain(&error)),
                    Err(_) => no_answer(limit),
                }
            }
            Check::Tcp(endpoint) => {
                let Some(address) = socket(endpoint, tried) else { return Ok(no_address()) };
                match timeout(limit, self.network.connect(address)).await {
                    Ok(Ok(())) => Outcome::Success,
                    Ok(Err(error)) => Outcome::Failure(error_chain(&error)),
                    Err(_) => no_answer(limit),
                }
            }
        })
    }

    async fn exec(
        &self,
        command: Vec<String>,
        tried: &Tried,
        limit: Duration,
    ) -> Result<Outcome, PodmanError> {
        // Waiting for its turn is no fault of the container.
        let _turn = self.commands.acquire().await;
        let request = ExecRequest { container: tried.container.clone(), command, limit };
        Ok(match self.podman.exec(request).await? {
            ExecResult::Ended { exit_code: 0, .. } => Outcome::Success,
            ExecResult::Ended { exit_code, output } => {
                let output: String = output.chars().take(MAX_SHOWN).collect();
                let colon = if output.is_empty() { "" } else { ": " };
                Outcome::Failure(format!("exit code {exit_code}{colon}{output}"))
            }
            ExecResult::TimedOut => no_answer(limit),
        })
    }
}

fn socket(endpoint: &Endpoint, tried: &Tried) -> Option<SocketAddr> {
    match *endpoint {
        Endpoint::At(address, port) => Some(SocketAddr::new(address, port)),
        Endpoint::Pod(port) => tried.address.map(|address| SocketAddr::new(address, port)),
    }
}

fn no_answer(limit: Duration) -> Outcome {
    Outcome::Failure(format!("no answer within {} s", limit.as_secs()))
}

fn no_address() -> Outcome {
    Outcome::Unknown("podman gives the pod no address; use exec, or hostNetwork".to_owned())
}
