//! Turns what was written into a [`Config`], noting every problem on the way.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use actors::k8s_executor::ClusterAccess;
use actors::metrics_ingest::Listen;
use actors::scheduler::CronClock;
use actors::workload::{DeviceId, RetryPolicy};

use super::problems::{ConfigErrors, Problem, Source, Warning};
use super::sources::{Layers, Sources, Spelt};
use super::state_dir::Prepared;
use super::values::{self, ValueError};
use super::{Config, Effective, Loaded, LogFormat, LogLevel, Machine, addresses, state_dir};
use crate::settings::{self, Fallback};

/// State directory of the agent that runs as root.
const STATE_DIR_OF_ROOT: &str = "/var/lib/device-worker-ng";
/// Name of the state directory below the user's.
const STATE_DIR_NAME: &str = "device-worker-ng";

pub(super) struct Reader<'a> {
    pub(super) sources: &'a Sources,
    layers: Layers,
    problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
    effective: Vec<Effective>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sources: &'a Sources) -> Self {
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        let layers = sources.read(&mut problems, &mut warnings);
        Self { sources, layers, problems, warnings, effective: Vec::new() }
    }

    pub(super) fn finish(mut self, config: Option<Config>) -> Result<Loaded, ConfigErrors> {
        let place = |key: &str| settings::ALL.iter().position(|setting| setting.key == key);
        match config {
            Some(config) if self.problems.is_empty() => {
                self.effective.sort_by_key(|effective| place(effective.key));
                Ok(Loaded { config, warnings: self.warnings, effective: self.effective })
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

    /// Reads every setting before it gives up, so that every problem is found.
    pub(super) fn config(&mut self, machine: &Machine) -> Option<Config> {
        let origin = self.origin();
        let state_dir = self.state_dir(machine);
        let device_id = self.device_id(machine, state_dir.as_deref());
        let namespace = self.read("NAMESPACE", values::label);
        let podman_socket = self.read("PODMAN_SOCKET", values::socket);
        let (xdg_runtime_dir, podman_rootless_socket) = self.rootless_podman(machine);
        let cluster = self.cluster();
        let start_budget = self.read("START_BUDGET", values::count);
        let image_prune_after = self.read("IMAGE_PRUNE_AFTER", values::duration_or_never);
        let container_log_size = self.read("CONTAINER_LOG_SIZE", values::log_size);
        let retry = self.retry();
        let cron_clock = self.cron_clock();
        let metrics_listen = self.metrics_listen();
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
            image_prune_after: image_prune_after?,
            container_log_size: container_log_size?,
            retry: retry?,
            cron_clock: cron_clock?,
            metrics_listen: metrics_listen?,
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
        if self.layers.contains_key(key) {
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

    fn note(&mut self, key: &'static str, value: Option<impl Display>, source: Source) {
        self.effective.push(Effective { key, value: value.map(|value| value.to_string()), source });
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

    fn state_dir(&mut self, machine: &Machine) -> Option<PathBuf> {
        let users = || {
            let home = || Some(Path::new(self.sources.variable("HOME")?).join(".local/state"));
            let state_home = self.sources.variable("XDG_STATE_HOME").map(PathBuf::from);
            Some(state_home.or_else(home)?.join(STATE_DIR_NAME))
        };
        let fallback =
            if machine.is_root { Some(PathBuf::from(STATE_DIR_OF_ROOT)) } else { users() };
        let source = self.source("STATE_DIR").unwrap_or(Source::Default);
        let Some(path) = self.read_or("STATE_DIR", values::path, fallback) else {
            if source == Source::Default {
                let message =
                    how_to_set("is needed: neither XDG_STATE_HOME nor HOME is set", "STATE_DIR");
                self.problem("STATE_DIR", None, message);
            }
            return None;
        };
        match state_dir::prepare(&path) {
            Ok(Prepared::Writable) => Some(path),
            Ok(Prepared::Closed(message) | Prepared::Unwritable(message)) => {
                self.warnings.push(Warning(Problem::new("STATE_DIR", source, message)));
                Some(path)
            }
            Err(error) => {
                self.problem("STATE_DIR", source, error);
                None
            }
        }
    }

    fn device_id(&mut self, machine: &Machine, state_dir: Option<&Path>) -> Option<DeviceId> {
        if self.layers.contains_key("DEVICE_ID") {
            return self.read("DEVICE_ID", values::device_id);
        }
        // A device that once made an id keeps it, even if its system gets a machine id later.
        let found = state_dir.map_or(Ok(None), state_dir::kept_device_id);
        let found = found.and_then(|kept| {
            let found = kept.or_else(|| state_dir::machine_id(&machine.machine_id));
            match (found, state_dir) {
                (Some(id), _) => Ok(Some(id)),
                (None, Some(state_dir)) => state_dir::make_device_id(state_dir).map(Some),
                // The state directory's own problem is told already.
                (None, None) => Ok(None),
            }
        });
        match found {
            Ok(id) => {
                self.note("DEVICE_ID", id.as_ref(), Source::Default);
                id
            }
            Err(error) => {
                self.problem("DEVICE_ID", None, error);
                None
            }
        }
    }

    /// A kubeconfig that is not there yet keeps nobody from running pods on podman: k3s writes it
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
