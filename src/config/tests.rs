//! Tests of the configuration as a whole: layers, checks, the example, the seed's own files.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::settings::{self, Fallback};

/// A device with certificates in a directory of its own.
struct Device {
    directory: TempDir,
    file: String,
    flags: Vec<(&'static str, String)>,
    environment: Vec<(String, String)>,
    is_root: bool,
}

fn device() -> Device {
    let directory = tempfile::tempdir().unwrap();
    let key = rcgen::generate_simple_self_signed(["edge".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["other".to_owned()]).unwrap();
    let write = |name: &str, text: String| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("ca.pem", key.cert.pem());
    write("cert.pem", key.cert.pem());
    write("key.pem", key.signing_key.serialize_pem());
    write("other-key.pem", other.signing_key.serialize_pem());
    write("machine-id", "3d1219c7c4c5404aaa1f6d2a48adfda4\n".to_owned());
    for name in ["run", "manifests"] {
        fs::create_dir(directory.path().join(name)).unwrap();
    }
    write("kubeconfig", String::new());
    Device {
        directory,
        file: String::new(),
        flags: Vec::new(),
        environment: Vec::new(),
        is_root: false,
    }
    .variable("HOME", "~/")
}

impl Device {
    /// `~` in values stands for the device's directory, wherever it is.
    fn expand(&self, text: &str) -> String {
        text.replace('~', self.directory.path().to_str().unwrap())
    }

    fn file(mut self, text: &str) -> Self {
        self.file += &self.expand(text);
        self
    }

    /// The four settings that a server needs, in lines 1 to 4.
    fn with_server(self) -> Self {
        self.file(
            "SERVER: https://127.0.0.1:8043\nCA_ROOT: ~/ca.pem\nCERT: ~/cert.pem\nKEY: ~/key.pem\n",
        )
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        let value = self.expand(value);
        self.environment.push((name.to_owned(), value));
        self
    }

    fn flag(mut self, key: &'static str, value: &str) -> Self {
        let value = self.expand(value);
        self.flags.push((key, value));
        self
    }

    fn sources(&self) -> Sources {
        let path = self.directory.path().join("config.yaml");
        fs::write(&path, &self.file).unwrap();
        let flag = |(key, value): &(&str, String)| (settings::find(key).unwrap(), value.clone());
        Sources {
            flags: self.flags.iter().map(flag).collect(),
            environment: self.environment.clone(),
            file: Some(path),
        }
    }

    fn machine(&self) -> Machine {
        Machine { is_root: self.is_root, machine_id: self.directory.path().join("machine-id") }
    }

    fn load(&self) -> Result<Loaded, ConfigErrors> {
        Config::load(&self.sources(), &self.machine())
    }

    fn examine(&self) -> Result<Loaded, ConfigErrors> {
        Config::examine(&self.sources(), &self.machine())
    }

    fn config(&self) -> Config {
        self.load().unwrap().config
    }

    /// The problems, one a line, the device's directory written as `~`.
    fn problems(&self) -> String {
        self.shorten(&self.load().unwrap_err().to_string())
    }

    fn warnings(&self) -> Vec<String> {
        let warnings = self.load().unwrap().warnings;
        warnings.iter().map(|warning| self.shorten(&warning.to_string())).collect()
    }

    fn shorten(&self, text: &str) -> String {
        text.replace(self.directory.path().to_str().unwrap(), "~")
    }
}

/// The configuration file of the project's first description, word for word but for the paths.
const SEED_FILE: &str = "\
LOG_LEVEL: debug
CA_ROOT: ~/ca.pem
CERT: ~/cert.pem
KEY: ~/key.pem
SERVER: https://127.0.0.1:8043
XDG_RUNTIME_DIR: ~/run
KUBECONFIG: ~/kubeconfig
DEVICE_ID: toto
";

#[test]
fn the_seeds_file_works_unchanged() {
    let device = device().file(SEED_FILE);
    let loaded = device.load().unwrap();
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    let Origin::ControlPlane(control_plane) = &config.origin else {
        unreachable!("SERVER is set");
    };
    assert_eq!(control_plane.server.to_string(), "https://127.0.0.1:8043");
    assert_eq!(config.device_id, DeviceId::from("toto"));
    assert_eq!(config.log_level.to_string(), "debug");
    let socket = device.directory.path().join("run/podman/podman.sock");
    assert_eq!(config.podman_rootless_socket, Some(socket));
    assert!(matches!(config.cluster, Some(ClusterAccess::Kubeconfig(_))));
}

#[test]
fn the_seeds_variables_work_unchanged_and_without_a_file() {
    let device = device()
        .variable("EDGE_DEVICE_CA_ROOT", "~/ca.pem")
        .variable("EDGE_DEVICE_CERT", "~/cert.pem")
        .variable("EDGE_DEVICE_KEY", "~/key.pem")
        .variable("EDGE_DEVICE_SERVER", "https://127.0.0.1:8043");
    let mut sources = device.sources();
    sources.file = None;
    let machine =
        Machine { is_root: false, machine_id: device.directory.path().join("machine-id") };
    let config = Config::load(&sources, &machine).unwrap().config;
    assert!(matches!(config.origin, Origin::ControlPlane(_)));
    assert_eq!(config.device_id.as_str(), "3d1219c7c4c5404aaa1f6d2a48adfda4");
}

#[test]
fn defaults_are_those_of_the_table() {
    let config = device().file("MANIFESTS: ~/manifests\n").config();
    assert_eq!(config.namespace, "default");
    assert_eq!(config.podman_socket, Path::new("/run/podman/podman.sock"));
    assert_eq!(config.podman_rootless_socket, None);
    assert_eq!(config.start_budget, 4);
    assert_eq!(config.settling_time, Duration::from_secs(10));
    let period = Duration::from_secs(20);
    assert_eq!(config.retry, RetryPolicy::Constant { period });
    assert_eq!(config.metrics_listen, [Listen::Localhost(8080)]);
    assert_eq!(config.metric_ttl, None);
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!(config.graceful_shutdown, Duration::from_secs(5));
}

#[test]
fn every_setting_is_among_the_effective_ones_once_and_in_order() {
    for device in [device().with_server(), device().file("MANIFESTS: ~/manifests\n")] {
        let loaded = device.load().unwrap();
        let effective: Vec<_> = loaded.effective.iter().map(|one| one.key).collect();
        let table: Vec<_> = settings::ALL.iter().map(|setting| setting.key).collect();
        assert_eq!(effective, table);
    }
}

#[test]
fn flag_beats_variable_beats_file_beats_default() {
    let level = |device: &Device| {
        let loaded = device.load().unwrap();
        let effective = |one: &&Effective| one.key == "LOG_LEVEL";
        let source = loaded.effective.iter().find(effective).unwrap().source.clone();
        (loaded.config.log_level.to_string(), device.shorten(&source.to_string()))
    };
    let pair = |value: &str, source: &str| (value.to_owned(), source.to_owned());
    let device = device().with_server();
    assert_eq!(level(&device), pair("info", "default"));
    let device = device.file("log_level: warn\n");
    assert_eq!(level(&device), pair("warn", "~/config.yaml:5"));
    let device = device.variable("EDGE_DEVICE_LOG_LEVEL", "debug");
    assert_eq!(level(&device), pair("debug", "EDGE_DEVICE_LOG_LEVEL"));
    let device = device.flag("LOG_LEVEL", "trace");
    assert_eq!(level(&device), pair("trace", "--log-level"));
}

#[test]
fn an_empty_value_counts_as_not_written() {
    let device = device()
        .with_server()
        .file("NAMESPACE:\nKUBECONFIG: \"\"\nLOG_LEVEL: warn\n")
        .variable("EDGE_DEVICE_LOG_LEVEL", "");
    assert_eq!(device.config().log_level.to_string(), "warn");
    assert_eq!(device.config().namespace, "default");
    assert_eq!(device.config().cluster, None);
}

#[test]
fn every_problem_is_reported_at_once_with_its_key_and_place() {
    let device = device()
        .file("SERVER: http://edge\nLOG_LEVEL: debgu\nCERT: ~/nowhere.pem\nSTART_BUDGET: [4]\n")
        .variable("EDGE_DEVICE_DEVICE_ID", "Toto")
        .flag("RETRY_PERIOD", "soon");
    let problems = device.problems();
    let expected = "\
the configuration has 8 problems:
  SERVER (~/config.yaml:1): is not an https address; write https://host:port
  CA_ROOT: is needed with SERVER; write CA_ROOT in the configuration file, set EDGE_DEVICE_CA_ROOT, or use --ca-root
  CERT (~/config.yaml:3): ~/nowhere.pem cannot be read: No such file or directory (os error 2)
  KEY: is needed with SERVER; write KEY in the configuration file, set EDGE_DEVICE_KEY, or use --key
  DEVICE_ID (EDGE_DEVICE_DEVICE_ID): \"Toto\" is not made of at most 63 lower-case letters, digits and inner dashes; write toto
  START_BUDGET (~/config.yaml:4): is a list; write one value
  RETRY_PERIOD (--retry-period): \"soon\" is not a duration; write 500ms, 5s, 1h30m, 1d, or a number of seconds
  LOG_LEVEL (~/config.yaml:2): \"debgu\" is not one of error, warn, info, debug, trace, off";
    assert_eq!(problems, expected);
}

#[test]
fn one_origin_is_needed_and_no_more() {
    let none = device();
    assert!(none.problems().contains("SERVER: is needed, or MANIFESTS;"));
    let both = device().with_server().flag("MANIFESTS", "~/manifests");
    let problems = both.problems();
    let expected =
        "MANIFESTS (--manifests): excludes SERVER (~/config.yaml:1); keep one of the two";
    assert!(problems.contains(expected), "{problems}");
}

#[test]
fn a_missing_file_says_how_to_make_one() {
    let device = device().with_server();
    let mut sources = device.sources();
    sources.file = Some("/nowhere/config.yaml".into());
    let error = Config::load(&sources, &Machine::this()).unwrap_err();
    let first = error.problems[0].to_string();
    assert!(
        first
            .starts_with("/nowhere/config.yaml: the file does not exist; copy config.yaml.example")
    );
}

#[test]
fn broken_yaml_is_reported_beside_the_other_problems() {
    let problems = device().file("A: b: c\n").flag("LOG_FORMAT", "xml").problems();
    assert!(problems.contains("~/config.yaml: the file is not YAML:"), "{problems}");
    assert!(problems.contains("line 1 column 5"), "{problems}");
    assert!(problems.contains("LOG_FORMAT (--log-format):"), "{problems}");
}

#[test]
fn unknown_keys_are_warned_about_with_the_nearest_known_one() {
    let warnings = device()
        .with_server()
        .file("LOGLEVEL: debug\nwibble: 1\n")
        .variable("EDGE_DEVICE_NAMESPCE", "x")
        .warnings();
    assert_eq!(
        warnings,
        [
            "LOGLEVEL (~/config.yaml:5): is no setting and was ignored; did you mean LOG_LEVEL?",
            "wibble (~/config.yaml:6): is no setting and was ignored; --help lists all",
            "EDGE_DEVICE_NAMESPCE (EDGE_DEVICE_NAMESPCE): is no setting and was ignored; did you mean EDGE_DEVICE_NAMESPACE?",
        ]
    );
}

#[test]
fn certificates_and_key_must_be_what_they_are_said_to_be() {
    for (setting, reason) in [
        (("KEY", "~/other-key.pem"), "KEY (--key): does not belong to the certificate in CERT"),
        (("KEY", "~/cert.pem"), "KEY (--key): ~/cert.pem holds no private key in PEM"),
        (("KEY", "~/broken.pem"), "KEY (--key): ~/broken.pem is broken PEM"),
        (("CERT", "~/key.pem"), "CERT (--cert): ~/key.pem holds a private key, but no certificate"),
        (("CERT", "~/run"), "CERT (--cert): ~/run is a directory"),
        (("CERT", "~/kubeconfig"), "CERT (--cert): ~/kubeconfig holds no certificate in PEM"),
        (("CA_ROOT", "~/kubeconfig"), "CA_ROOT (--ca-root): ~/kubeconfig holds no certificate"),
        (
            ("CA_ROOT", "~/junk.pem"),
            "CA_ROOT (--ca-root): ~/junk.pem holds an unusable certificate",
        ),
    ] {
        let device = device().with_server().flag(setting.0, setting.1);
        let write = |name: &str, text: &str| {
            fs::write(device.directory.path().join(name), text).unwrap();
        };
        write("broken.pem", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n");
        write("junk.pem", "-----BEGIN CERTIFICATE-----\nanVuaw==\n-----END CERTIFICATE-----\n");
        let problems = device.problems();
        assert!(problems.contains(reason), "{problems}");
        assert!(!problems.contains("c2VjcmV0"), "{problems}");
    }
}

#[test]
fn a_key_that_others_can_read_is_warned_about() {
    let device = device().with_server();
    assert_eq!(device.warnings(), [""; 0]);
    let key = device.directory.path().join("key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let warning = "KEY (~/config.yaml:4): ~/key.pem is open to every user (mode 644); chmod 600 it";
    assert_eq!(device.warnings(), [warning]);
}

#[test]
fn what_others_can_change_is_warned_about_with_what_they_could_do() {
    let origin = "SERVER: https://127.0.0.1:8043\nCA_ROOT: ~/ca.pem\nCERT: ~/cert.pem\n\
                  KEY: ~/key.pem\nKUBECONFIG: ~/kubeconfig\n";
    for (text, name, mode, expected) in [
        (origin, "config.yaml", 0o666, "~/config.yaml: ~/config.yaml belongs to"),
        (origin, "ca.pem", 0o606, "CA_ROOT (~/config.yaml:2): ~/ca.pem belongs to"),
        (origin, "cert.pem", 0o602, "CERT (~/config.yaml:3): ~/cert.pem belongs to"),
        (origin, "kubeconfig", 0o602, "KUBECONFIG (~/config.yaml:5): ~/kubeconfig belongs to"),
        (
            "MANIFESTS: ~/manifests\n",
            "manifests",
            0o777,
            "MANIFESTS (~/config.yaml:1): ~/manifests",
        ),
        (
            "MANIFESTS: ~/manifests\n",
            "manifests",
            0o1777,
            "MANIFESTS (~/config.yaml:1): ~/manifests",
        ),
    ] {
        let device = device().file(text).flag("STATE_DIR", "~/run/state");
        drop(device.sources());
        assert_eq!(device.warnings(), [""; 0], "{name}");
        let path = device.directory.path().join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let [warning] = &device.warnings()[..] else { panic!("{name}: {:?}", device.warnings()) };
        assert!(warning.starts_with(expected), "{warning}");
        assert!(warning.contains("can be written by every user"), "{warning}");
        assert!(warning.contains("who can do that") && warning.contains("chmod go-w"), "{warning}");
    }
}

#[test]
fn a_kubeconfig_that_others_can_read_is_warned_about() {
    let device = device().with_server().flag("KUBECONFIG", "~/kubeconfig");
    let set_mode = |name: &str, mode| {
        let path = device.directory.path().join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode("kubeconfig", 0o644);
    set_mode("", 0o700);
    assert_eq!(device.warnings(), [""; 0], "no other user can reach it");
    set_mode("", 0o755);
    assert!(device.warnings()[0].contains("~/kubeconfig holds the access to the cluster"));
}

#[test]
fn a_problem_is_reported_on_one_line_whatever_was_written() {
    let device =
        device().with_server().file("\"LOG\\e[2J_LEVEL\": x\nNAMESPACE: \"a\\nb\\u202e\"\n");
    let problems = device.problems();
    assert_eq!(problems.lines().count(), 2, "{problems}");
    let shown = r#"NAMESPACE (~/config.yaml:6): "a\nb\u{202e}" is not made of"#;
    assert!(problems.contains(shown), "{problems}");
    let warned = device.load().unwrap_err().warnings[0].to_string();
    assert!(warned.starts_with(r"LOG\u{1b}[2J_LEVEL ("), "{warned}");
}

#[test]
fn an_address_open_to_the_network_is_warned_about() {
    let device =
        device().with_server().file("METRICS_LISTEN:\n  - localhost:8080\n  - 0.0.0.0:9090\n");
    assert_eq!(device.config().metrics_listen.len(), 2);
    assert!(device.warnings()[0].contains("0.0.0.0:9090 lets other machines"));
}

#[test]
fn directories_and_files_that_are_named_must_be_there() {
    for key in ["XDG_RUNTIME_DIR", "MANIFESTS"] {
        let problems = device().flag(key, "~/nowhere").problems();
        assert!(problems.contains(&format!("{key} (--")), "{problems}");
    }
    let problems = device().flag("MANIFESTS", "~/key.pem").problems();
    assert!(problems.contains("~/key.pem is not a directory"), "{problems}");
}

#[test]
fn a_kubeconfig_may_come_later_and_is_warned_about() {
    let device = device().with_server().flag("KUBECONFIG", "~/later");
    assert!(matches!(device.config().cluster, Some(ClusterAccess::Kubeconfig(_))));
    let warned = device.warnings().join("\n");
    assert!(warned.contains("KUBECONFIG (--kubeconfig): ~/later cannot be read"), "{warned}");
    assert!(warned.contains("k8s workloads wait until it can"), "{warned}");
    let problems = device.flag("KUBECONFIG", "~/run").problems();
    assert!(problems.contains("~/run is a directory"), "{problems}");
}

#[test]
fn an_agent_may_use_the_cluster_that_it_runs_in() {
    let device = device().with_server().file("KUBECONFIG: in-cluster\n");
    assert_eq!(device.config().cluster, Some(ClusterAccess::InCluster));
    assert_eq!(device.warnings(), [""; 0]);
}

#[test]
fn state_is_kept_where_users_keep_it() {
    let base = device().with_server();
    let home = base.directory.path().join(".local/state/device-worker-ng");
    assert_eq!(base.config().state_dir, home);
    assert_eq!(home.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let device = base.variable("XDG_STATE_HOME", "~/state");
    let xdg = device.directory.path().join("state/device-worker-ng");
    assert_eq!(device.config().state_dir, xdg);
    let problems = device.flag("STATE_DIR", "~/key.pem/state").problems();
    assert!(
        problems.contains("STATE_DIR (--state-dir): ~/key.pem/state cannot be made"),
        "{problems}"
    );
}

#[test]
fn a_user_without_a_home_must_name_the_state_directory() {
    let mut device = device().with_server();
    device.environment.clear();
    let problems = device.problems();
    assert!(problems.contains("STATE_DIR: is needed"), "{problems}");
}

#[test]
fn a_device_without_any_id_makes_one_and_keeps_it() {
    let device = device().with_server();
    let machine_id = device.directory.path().join("machine-id");
    let text = fs::read_to_string(&machine_id).unwrap();
    fs::remove_file(&machine_id).unwrap();
    let made = device.config().device_id;
    assert_eq!(device.config().device_id, made);
    // The system gets its id later: the device is still the same one.
    fs::write(&machine_id, text).unwrap();
    assert_eq!(device.config().device_id, made);
}

#[test]
fn the_users_own_runtime_directory_is_the_default_but_not_roots() {
    let mut device =
        device().with_server().file("STATE_DIR: ~/state\n").variable("XDG_RUNTIME_DIR", "~/run");
    assert!(device.config().xdg_runtime_dir.is_some());
    device.is_root = true;
    assert_eq!(device.config().xdg_runtime_dir, None);
    assert_eq!(device.config().podman_rootless_socket, None);
}

#[test]
fn an_agent_of_root_is_warned_of_a_runtime_directory_that_is_not_a_users() {
    // Of the user who runs this test: root, or not.
    let is_roots = rustix::process::geteuid().is_root();
    for (file, key) in [
        ("XDG_RUNTIME_DIR: ~/run\n", "XDG_RUNTIME_DIR"),
        ("PODMAN_ROOTLESS_SOCKET: ~/run/podman.sock\n", "PODMAN_ROOTLESS_SOCKET"),
    ] {
        let mut device = device().with_server().file("STATE_DIR: ~/state\n").file(file);
        assert_eq!(device.warnings(), Vec::<String>::new());
        device.is_root = true;
        let warnings = device.warnings();
        let is_told = warnings.iter().any(|it| it.contains(key) && it.contains("is root's"));
        assert_eq!(is_told, is_roots, "{warnings:?}");
        // Before the user's first login.
        fs::remove_dir(device.directory.path().join("run")).unwrap();
        if key == "PODMAN_ROOTLESS_SOCKET" {
            assert_eq!(device.warnings(), Vec::<String>::new());
        }
    }
}

#[test]
fn retry_can_grow() {
    let config = device()
        .with_server()
        .file("RETRY_BACKOFF: Exponential\nRETRY_INITIAL: 500ms\nRETRY_MULTIPLIER: 1.5\nRETRY_RANDOMIZATION: 0\n")
        .config();
    let expected = RetryPolicy::Exponential {
        initial: Duration::from_millis(500),
        multiplier: 1.5,
        randomization: 0.0,
    };
    assert_eq!(config.retry, expected);
}

#[test]
fn cron_follows_the_clock_that_the_settings_name() {
    let plausible = |seconds| CronClock::Plausible { grace: Duration::from_secs(seconds) };
    for (file, expected) in [
        ("", plausible(300)),
        ("CRON_CLOCK: plausible\nCRON_CLOCK_GRACE: 1h\n", plausible(3_600)),
        ("CRON_CLOCK_GRACE: 0s\n", plausible(0)),
        ("CRON_CLOCK: Synchronized\n", CronClock::Synchronized),
        ("CRON_CLOCK: any\n", CronClock::Any),
    ] {
        let config = device().with_server().file(file).config();
        assert_eq!(config.cron_clock, expected, "{file}");
    }
}

#[test]
fn the_log_level_is_read_again_from_the_file_as_it_is_now() {
    let device = device().with_server();
    let config = device.config();
    let device = device.file("LOG_LEVEL: trace\n");
    let _ = device.sources();
    assert_eq!(config.reload_log_level().unwrap().to_string(), "trace");
    let device = device.file("LOG_FORMAT: {}\n");
    let _ = device.sources();
    assert!(config.reload_log_level().is_err());
}

const EXAMPLE: &str = include_str!("../../config.yaml.example");

/// The example's settings, their comment signs taken away.
fn example_lines() -> Vec<(&'static str, &'static str)> {
    EXAMPLE
        .lines()
        .filter_map(|line| line.strip_prefix("# ")?.split_once(": "))
        .filter(|(key, _)| settings::ALL.iter().any(|setting| setting.key == *key))
        .collect()
}

#[test]
fn the_example_lists_exactly_the_table_with_its_defaults() {
    let lines = example_lines();
    let mut keys: Vec<_> = lines.iter().map(|(key, _)| *key).collect();
    let mut table: Vec<_> = settings::ALL.iter().map(|setting| setting.key).collect();
    keys.sort_unstable();
    table.sort_unstable();
    assert_eq!(keys, table);
    for (key, value) in lines {
        if let Fallback::Text(default) = settings::find(key).unwrap().default {
            assert_eq!(value, default, "{key}");
        }
    }
    // A line that looks like a setting but is none would be a key that was renamed.
    for line in EXAMPLE.lines().filter(|line| !line.starts_with("# ")) {
        assert!(line.is_empty() || line == "#", "{line}");
    }
}

#[test]
fn the_example_is_a_good_configuration_once_its_files_are_there() {
    let place = |line: &str| {
        line.replace("/etc/device-worker-ng/", "~/")
            .replace("/run/user/1000", "~/run")
            .replace("/var/lib/device-worker-ng", "~/state")
    };
    let text: Vec<_> = example_lines()
        .into_iter()
        .filter(|(key, _)| *key != "MANIFESTS")
        .map(|(key, value)| place(&format!("{key}: {value}\n")))
        .collect();
    let device = device().file(&text.concat());
    assert_eq!(device.load().unwrap().warnings, []);
}

const PACKAGED: &str = include_str!("../../packaging/config.yaml");

#[test]
fn the_configuration_of_the_packages_is_good() {
    let device = device().file(&PACKAGED.replace("/etc/device-worker-ng/", "~/"));
    assert_eq!(device.load().unwrap().warnings, []);
}

#[test]
fn an_examination_makes_neither_the_state_directory_nor_an_id_and_says_what_a_start_makes() {
    let device = device().with_server();
    fs::write(device.directory.path().join("machine-id"), "uninitialized\n").unwrap();
    let examined = device.examine().unwrap();
    let state = device.directory.path().join(".local");
    assert!(!state.exists());
    let would_make: Vec<_> = examined.would_make.iter().map(|it| device.shorten(it)).collect();
    let folder = "~/.local/state/device-worker-ng";
    let expected = [
        format!("{folder}, for its owner only"),
        format!("a device id, kept in {folder}/device-id"),
    ];
    assert_eq!(would_make, expected);
    let id = examined.effective.iter().find(|effective| effective.key == "DEVICE_ID").unwrap();
    assert_eq!(id.value.as_deref(), Some("made-at-the-first-start"));
    // A start makes what was said, and then there is nothing more to be made.
    let loaded = device.load().unwrap();
    assert_eq!(loaded.would_make, Vec::<String>::new());
    assert!(state.join("state/device-worker-ng/device-id").exists());
    let examined = device.examine().unwrap();
    assert_eq!(examined.would_make, Vec::<String>::new());
    assert_eq!(examined.config.device_id, loaded.config.device_id);
}
