//! Turns what was written into a [`Config`], noting every problem on the way.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use actors::k8s_executor::ClusterAccess;
use actors::metrics_ingest::Listen;
use actors::scheduler::CronClock;
use actors::workload::RetryPolicy;

use super::problems::{ConfigErrors, Problem, Source, Warning};
use super::sources::{Layers, Sources, Spelt};
use super::values::{self, ValueError};
use super::{Access, Config, Effective, Loaded, LogFormat, LogLevel, Machine, Purpose, addresses};
use crate::settings::{self, Fallback};

pub(super) struct Reader<'a> {
    pub(super) sources: &'a Sources,
    layers: Layers,
    problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
    effective: Vec<Effective>,
    /// What a start would make first; see [`Loaded::would_make`].
    pub(super) would_make: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sources: &'a Sources) -> Self {
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        let layers = sources.read(&mut problems, &mut warnings);
        let (effective, would_make) = (Vec::new(), Vec::new());
        Self { sources, layers, problems, warnings, effective, would_make }
    }

    pub(super) fn finish(mut self, config: Option<Config>) -> Result<Loaded, ConfigErrors> {
        let place = |key: &str| settings::ALL.iter().position(|setting| setting.key == key);
        match config {
            Some(config) if self.problems.is_empty() => {
                self.effective.sort_by_key(|effective| place(effective.key));
                let Self { warnings, effective, would_make, .. } = self;
                Ok(Loaded { config, warnings, effective, would_make })
            }
            Some(_) | None => {
                // Problems of the file as a whole come first, then in the table's order.
                self.problems.sort_by_key(|problem| place(&problem.key));
                Err(ConfigErrors { problems: self.problems, warnings: self.warnings })
            }
        }
    }

    pub(super) fn only_log_level(mut self) -> Result<LogLevel, ConfigErrors> {
        match self.read("LOG_LEVEL", LogLevel::from_str) {
            Some(level) if self.problems.is_empty() => Ok(level),
            Some(_) | None => {
                Err(ConfigErrors { problems: self.problems, warnings: self.warnings })
            }
        }
    }

    pub(super) fn only_listen(mut self) -> Result<Vec<Listen>, ConfigErrors> {
        match self.read("METRICS_LISTEN", addresses::addresses) {
            Some(listen) if self.problems.is_empty() => Ok(listen),
            Some(_) | None => {
                Err(ConfigErrors { problems: self.problems, warnings: self.warnings })
            }
        }
    }

    pub(super) fn only_access(mut self, machine: &Machine) -> Result<Access, ConfigErrors> {
        let podman_socket = self.read("PODMAN_SOCKET", values::socket);
        let may_use_it = machine.is_root || self.source("PODMAN_SOCKET").is_some();
        let (xdg_runtime_dir, podman_rootless_socket) = self.rootless_podman(machine);
        let cluster = self.cluster().and_then(|cluster| {
            let state_dir = self.state_dir(machine, Purpose::Check);
            Some((cluster, self.device_id(machine, state_dir.as_deref(), Purpose::Check)?))
        });
        if !self.problems.is_empty() {
            return Err(ConfigErrors { problems: self.problems, warnings: self.warnings });
        }
        Ok(Access {
            is_root: machine.is_root,
            podman_socket: podman_socket.filter(|_| may_use_it),
            podman_rootless_socket,
            xdg_runtime_dir,
            cluster,
        })
    }

    /// Reads every setting before it gives up, so that every problem is found.
    pub(super) fn config(&mut self, machine: &Machine, purpose: Purpose) -> Option<Config> {
        let origin = self.origin();
        let state_dir = self.state_dir(machine, purpose);
        let device_id = self.device_id(machine, state_dir.as_deref(), purpose);
        let namespace = self.read("NAMESPACE", values::label);
        let podman_socket = self.read("PODMAN_SOCKET", values::socket);
        let (xdg_runtime_dir, podman_rootless_socket) = self.rootless_podman(machine);
        let cluster = self.cluster();
        let start_budget = self.read("START_BUDGET", values::count);
        let settling_time = self.read("SETTLING_TIME", values::duration);
        let protect = self.read("PROTECT", values::conditions).unwrap_or_default();
        let image_prune_after = self.read("IMAGE_PRUNE_AFTER", values::duration_or_never);
        let container_log_size = self.read("CONTAINER_LOG_SIZE", values::log_size);
        let retry = self.retry();
        let cron_clock = self.cron_clock();
        let metrics_listen = self.metrics_listen();
        let metrics_hosts = self.read("METRICS_HOSTS", addresses::hosts).unwrap_or_default();
        let metric_ttl = self.read("METRIC_TTL", values::positive_duration);
        let log_level = self.read("LOG_LEVEL", LogLevel::from_str);
        let log_format = self.choice("LOG_FORMAT").map(|word| match word {
            "pretty" => LogFormat::Pretty,
            _ => LogFormat::Json,
        });
        let graceful_shutdown = self.read("GRACEFUL_SHUTDOWN", values::duration);
        Some(Config {
            origin: origin?,
            device_id: device_id?,
            namespace: namespace?,
            state_dir: state_dir?,
            is_root: machine.is_root,
            may_use_rootful_podman: machine.is_root || self.source("PODMAN_SOCKET").is_some(),
            podman_socket: podman_socket?,
            podman_rootless_socket,
            xdg_runtime_dir,
            cluster,
            start_budget: start_budget?,
            settling_time: settling_time?,
            protect,
            image_prune_after: image_prune_after?,
            container_log_size: container_log_size?,
            retry: retry?,
            cron_clock: cron_clock?,
            metrics_listen: metrics_listen?,
            metrics_hosts,
            metric_ttl,
            log_level: log_level?,
            log_format: log_format?,
            graceful_shutdown: graceful_shutdown?,
            sources: self.sources.clone(),
        })
    }

    /// Reads a setting; what is not written has the table's default, if that is a text.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Option<T> {
        let Some(Spelt { text, source }) = self.spelt(key) else {
            self.note(key, None::<&str>, Source::Default);
            return None;
        };
        match parse(&text) {
            Ok(value) => {
                self.note(key, Some(text), source);
                Some(value)
            }
            Err(error) => {
                self.problem(key, source, &error);
                None
            }
        }
    }

    /// Reads one of the words that the table offers.
    fn choice(&mut self, key: &'static str) -> Option<&'static str> {
        let words = settings::find(key).map_or(&[][..], |setting| setting.kind.words());
        self.read(key, |text| values::choice(text, words))
    }

    /// Reads a path; what is not written is `fallback`.
    pub(super) fn read_or(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<PathBuf, ValueError>,
        fallback: Option<PathBuf>,
    ) -> Option<PathBuf> {
        if self.is_written(key) {
            return self.read(key, parse);
        }
        let shown = fallback.as_ref().map(|path| path.display());
        self.note(key, shown, Source::Default);
        fallback
    }

    fn spelt(&self, key: &str) -> Option<Spelt> {
        let default = settings::find(key).and_then(|setting| match setting.default {
            Fallback::Text(text) => Some(Spelt { text: text.to_owned(), source: Source::Default }),
            Fallback::Found(_) | Fallback::Nothing => None,
        });
        self.layers.get(key).cloned().or(default)
    }

    pub(super) fn note(&mut self, key: &'static str, value: Option<impl Display>, source: Source) {
        self.effective.push(Effective { key, value: value.map(|value| value.to_string()), source });
    }

    pub(super) fn is_written(&self, key: &str) -> bool {
        self.layers.contains_key(key)
    }

    pub(super) fn source(&self, key: &str) -> Option<Source> {
        self.layers.get(key).map(|spelt| spelt.source.clone())
    }

    pub(super) fn problem(
        &mut self,
        key: &str,
        source: impl Into<Option<Source>>,
        message: impl Display,
    ) {
        self.problems.push(Problem::new(key, source, message.to_string()));
    }

    /// A kubeconfig that is not there yet does not keep pods on podman from running: k3s writes it
    /// when it starts.
    fn cluster(&mut self) -> Option<ClusterAccess> {
        let cluster = self.read("KUBECONFIG", values::cluster)?;
        if let ClusterAccess::Kubeconfig(path) = &cluster
            && let Err(error) = std::fs::File::open(path)
        {
            let path = path.display();
            let message =
                format!("{path} cannot be read: {error}; k8s workloads wait until it can");
            let source = self.source("KUBECONFIG");
            self.warnings.push(Warning(Problem::new("KUBECONFIG", source, message)));
        }
        Some(cluster)
    }

    fn retry(&mut self) -> Option<RetryPolicy> {
        let backoff = self.choice("RETRY_BACKOFF");
        let period = self.read("RETRY_PERIOD", values::positive_duration);
        let initial = self.read("RETRY_INITIAL", values::positive_duration);
        let multiplier = self.read("RETRY_MULTIPLIER", |text| values::number(text, 1.0, 100.0));
        let randomization = self.read("RETRY_RANDOMIZATION", |text| values::number(text, 0.0, 1.0));
        if backoff? == "constant" {
            return Some(RetryPolicy::Constant { period: period? });
        }
        Some(RetryPolicy::Exponential {
            initial: initial?,
            multiplier: multiplier?,
            randomization: randomization?,
        })
    }

    fn cron_clock(&mut self) -> Option<CronClock> {
        let grace = self.read("CRON_CLOCK_GRACE", values::duration);
        let word = self.choice("CRON_CLOCK")?;
        Some(values::cron_clock(word, grace?))
    }

    fn metrics_listen(&mut self) -> Option<Vec<Listen>> {
        let all = self.read("METRICS_LISTEN", addresses::addresses)?;
        if let Some(open) = all.iter().find(|address| !address.is_local()) {
            let message = format!("{open} lets other machines post metrics and read the status");
            let source = self.source("METRICS_LISTEN");
            self.warnings.push(Warning(Problem::new("METRICS_LISTEN", source, message)));
        }
        Some(all)
    }
}

/// Says that a setting is missing, and the three ways to set it.
pub(super) fn how_to_set(what: &str, key: &str) -> String {
    let (variable, flag) =
        settings::find(key).map(|setting| (setting.variable(), setting.flag())).unwrap_or_default();
    format!("{what}; write {key} in the configuration file, set {variable}, or use --{flag}")
}
