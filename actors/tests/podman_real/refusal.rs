//! A podman that does not start: its own error is reported, whatever it is.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::*;

/// A podman, and an executor that finds its words where systemd would keep them.
struct Device {
    podman: HermeticPodman,
    desk: PodmanDesk,
}

impl Device {
    async fn new() -> Self {
        let podman = HermeticPodman::rootful();
        let client = LibpodClient::new(podman.socket(), ExpectedPeer::RootOrOwn);
        let client = client.with_journal(journal_of(&podman));
        let volumes = podman.volumes_root();
        let mut desk =
            PodmanDesk::start_with(ExecutorKind::PodmanRootful, Rc::new(client), volumes, |_| {});
        desk.observe(|seen| seen.pods.is_ok()).await;
        Self { podman, desk }
    }

    /// Changes something while podman is away, and returns the error that is reported then.
    async fn error_after(&mut self, change: impl FnOnce(&Self)) -> String {
        self.podman.shut_down();
        fs::write(self.podman.log(), "").unwrap();
        change(self);
        self.podman.try_restart();
        // Without podman's error all that is known is that nothing answers.
        self.error_that(|error| error.contains("says: ")).await
    }

    /// Returns why podman cannot be used, once that fits.
    async fn error_that(&mut self, fits: impl Fn(&str) -> bool) -> String {
        let mut error = String::new();
        let note = |seen: &WorkloadsObserved| {
            error = seen.pods.as_ref().err().map(ToString::to_string).unwrap_or_default();
            fits(&error)
        };
        self.desk.observe(note).await;
        println!("{error}");
        error
    }

    /// Changes the file of podman's settings.
    fn set(&self, file: &str, change: impl FnOnce(String) -> String) {
        let path = self.podman.settings(file);
        fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
    }

    async fn is_back(&mut self, mend: impl FnOnce(&Self)) {
        self.podman.shut_down();
        mend(self);
        self.podman.restart();
        self.desk.observe(|seen| seen.pods.is_ok()).await;
        assert_eq!(self.desk.reasons().last().copied(), Some("RuntimeAvailable"));
    }
}

/// Makes a program that shows what `podman` wrote as journalctl does.
fn journal_of(podman: &HermeticPodman) -> PathBuf {
    let program = podman.volumes_root().with_file_name("journalctl");
    let script = format!(
        "#!/bin/sh\n\
         case \"$*\" in *--reverse*--output=json*_TRANSPORT=stdout*_SYSTEMD_UNIT=podman.service) ;; \
         *) exit 3 ;; esac\n\
         tr -d '\\000' < {} | grep -v '^bash: ' | tac | sed 's/[\\\\\"]/\\\\&/g; s/\\t/\\\\t/g; \
         s/.*/{{\"_STREAM_ID\":\"1\",\"MESSAGE\":\"&\"}}/'\n",
        podman.log().display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// Returns podman's database: bolt's or SQLite's.
fn database(device: &Device) -> PathBuf {
    let folder = device.podman.storage().join("libpod");
    let files = ["bolt_state.db", "db.sql"].map(|name| folder.join(name));
    files.into_iter().find(|path| path.exists()).unwrap()
}

fn overwrite(path: &Path, byte: u8, length: usize) {
    fs::write(path, vec![byte; length]).unwrap();
}

#[actix::test]
async fn a_garbled_database_is_reported_with_the_commands_that_repair_it() {
    let mut device = Device::new().await;
    let path = database(&device);
    let sound = fs::read(&path).unwrap();
    for garble in [
        |path: &Path| overwrite(path, 0xa5, 30_000),
        |path: &Path| overwrite(path, 0, 32_768),
        |path: &Path| fs::File::options().write(true).open(path).unwrap().set_len(5_000).unwrap(),
    ] {
        let error = device.error_after(|_| garble(&path)).await;
        assert!(error.starts_with("podman's database is damaged; by hand: "), "{error}");
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(error.contains(&format!("{name}{{,.damaged}}")), "{error}");
        assert!(error.contains(", reboot, podman rm --force "), "{error}");
        device.is_back(|_| fs::write(&path, &sound).unwrap()).await;
    }
}

#[actix::test]
async fn a_database_that_makes_podman_crash_or_fail_later_is_reported_as_damaged() {
    let mut device = Device::new().await;
    let path = database(&device);
    // bolt crashes at its list of free pages, SQLite notices when a table is read.
    let mut bytes = fs::read(&path).unwrap();
    let garbage = bytes.iter_mut().enumerate().skip(8_192);
    garbage.for_each(|(n, byte)| *byte = u8::try_from(n * 37 % 251).unwrap());
    if path.ends_with("db.sql") {
        let _ = fs::remove_file(path.with_file_name("db.sql-wal"));
    }
    device.podman.shut_down();
    fs::write(device.podman.log(), "").unwrap();
    fs::write(&path, &bytes).unwrap();
    device.podman.try_restart();
    device.error_that(|error| error.starts_with("podman's database is damaged")).await;
}

#[actix::test]
async fn settings_that_podman_refuses_are_reported_in_its_words() {
    let mut device = Device::new().await;
    let broken = |text: String| text + "\ngarbage [[[\n";
    for (file, change, what) in [
        ("storage.conf", &broken as &dyn Fn(String) -> String, "podman's settings cannot be used"),
        ("containers.conf", &broken, "podman's settings cannot be used"),
        ("containers.conf", &|text| text.replace("\"netavark\"", "\"nope\""), "nope"),
        (
            "containers.conf",
            &|text| text.replace("runtime = \"runc\"", "runtime = \"nope\""),
            "podman does not start; it says: default OCI runtime \"nope\" not found",
        ),
        (
            "containers.conf",
            &|text| text.replace("events_logger = \"file\"", "events_logger = \"nope\""),
            "podman does not start; it says: unknown event logger type: ",
        ),
    ] {
        let sound = fs::read(device.podman.settings(file)).unwrap();
        let error = device.error_after(|device| device.set(file, change)).await;
        assert!(error.contains(what), "{error}");
        device.is_back(|device| fs::write(device.podman.settings(file), &sound).unwrap()).await;
    }
}

#[actix::test]
async fn storage_that_podman_cannot_use_is_reported_in_its_words() {
    let mut device = Device::new().await;
    let path = database(&device);
    let aside = path.with_extension("aside");
    // What lies in the place of the database is no file.
    let error = device
        .error_after(|_| {
            fs::rename(&path, &aside).unwrap();
            fs::create_dir(&path).unwrap();
        })
        .await;
    assert!(error.starts_with("podman's database is damaged; by hand: "), "{error}");
    device
        .is_back(|_| {
            fs::remove_dir(&path).unwrap();
            fs::rename(&aside, &path).unwrap();
        })
        .await;
    // What lies in the place of the storage is no folder.
    let (storage, hidden) = (device.podman.storage(), device.podman.storage().with_extension("x"));
    let error = device
        .error_after(|_| {
            fs::rename(&storage, &hidden).unwrap();
            fs::write(&storage, "").unwrap();
        })
        .await;
    assert!(error.starts_with("podman does not start; it says: "), "{error}");
    device
        .is_back(|_| {
            fs::remove_file(&storage).unwrap();
            fs::rename(&hidden, &storage).unwrap();
        })
        .await;
}
