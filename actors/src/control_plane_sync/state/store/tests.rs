//! Behaviour of the store under every damage that a disk can do.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::workload::{
    Confidential, DEFAULT_PROVING, ExecutorKind, RejectedWorkload, RestartPolicy, Secret, Updates,
    Workload, WorkloadId, WorkloadName,
};

fn workload(name: &str, image: &str) -> Arc<Workload> {
    let pod = format!(r#"{{"containers":[{{"name":"a","image":"{image}"}}]}}"#);
    Arc::new(Workload {
        id: WorkloadId::from(format!("{name}-{image}")),
        name: WorkloadName::from(name),
        namespace: "default".into(),
        executor: ExecutorKind::PodmanRootful,
        pod: serde_json::from_str(&pod).unwrap(),
        labels: [("l".to_owned(), "1".to_owned())].into(),
        annotations: [].into(),
        config_maps: vec![],
        secrets: vec![
            Secret {
                name: "s".into(),
                data: [("k".to_owned(), Confidential::new(b"hunter2".to_vec()))].into(),
            }
            .into(),
        ],
        registries: [].into(),
        profiles: vec![],
        cron: Some("@daily".into()),
        retry: None,
        restart_policy: RestartPolicy::OnFailure,
        after: Vec::new(),
        proving: DEFAULT_PROVING,
        turn: crate::workload::Turn::default(),
        gate: crate::workload::UpdateGate::default(),
    })
}

fn configuration(image: &str) -> Configuration {
    Configuration {
        version: Some("1".into()),
        heartbeat_period: Duration::from_secs(60),
        hardware_in_heartbeat: false,
        objectives: Vec::new(),
        profiles: vec![],
        workloads: vec![workload("web", image)],
        rejected: vec![],
        updates: Updates::default(),
    }
}

fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    (folder, store)
}

/// Returns a store with the generations `new` and `old`.
fn two_generations() -> (TempDir, Store) {
    let (folder, store) = store();
    assert_eq!(store.save(&configuration("old")).unwrap(), Saved::Written);
    assert_eq!(store.save(&configuration("new")).unwrap(), Saved::Written);
    (folder, store)
}

fn loaded(store: &Store) -> (Option<Configuration>, usize) {
    let loaded = store.load();
    (loaded.configuration, loaded.problems.len())
}

#[test]
fn nothing_on_disk_is_no_problem() {
    let (_folder, store) = store();
    assert_eq!(loaded(&store), (None, 0));
}

#[test]
fn a_write_does_not_wait_behind_one_that_hangs() {
    let (_folder, store) = store();
    let hanging = store.written.lock().unwrap();
    assert!(matches!(store.save(&configuration("new")), Err(StoreError::Busy)));
    drop(hanging);
    assert_eq!(store.save(&configuration("new")).unwrap(), Saved::Written);
}

#[test]
fn what_was_saved_is_loaded_again() {
    let (folder, _) = two_generations();
    let store = Store::new(folder.path());
    assert_eq!(loaded(&store), (Some(configuration("new")), 0));
}

#[test]
fn files_and_folder_are_for_the_agent_alone() {
    let (folder, store) = two_generations();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&store.folder), 0o700);
    fs::set_permissions(&store.folder, Permissions::from_mode(0o755)).unwrap();
    store.save(&configuration("newer")).unwrap();
    assert_eq!(mode(&store.folder), 0o700);
    for name in GENERATIONS {
        assert_eq!(mode(&folder.path().join("configuration").join(name)), 0o600);
    }
    assert!(!store.folder.join(TEMPORARY).exists());
}

#[test]
fn a_configuration_that_says_the_same_is_not_written_again() {
    let (folder, store) = two_generations();
    let again = Configuration { version: Some("2".into()), ..configuration("new") };
    assert_eq!(store.save(&again).unwrap(), Saved::Unchanged);
    let restarted = Store::new(folder.path());
    assert!(restarted.load().problems.is_empty());
    assert_eq!(restarted.save(&again).unwrap(), Saved::Unchanged);
    assert_eq!(restarted.save(&configuration("other")).unwrap(), Saved::Written);
}

#[test]
fn an_older_generation_that_had_to_be_used_is_written_as_the_newest_again() {
    let (_folder, store) = two_generations();
    fs::write(store.folder.join("current"), "").unwrap();
    assert_eq!(loaded(&store), (Some(configuration("old")), 1));
    assert_eq!(store.save(&configuration("old")).unwrap(), Saved::Written);
    assert_eq!(loaded(&store), (Some(configuration("old")), 0));
}

#[test]
fn a_generation_cut_at_any_byte_falls_back_to_the_older_one() {
    let (_folder, store) = two_generations();
    let file = store.folder.join("current");
    let whole = fs::read(&file).unwrap();
    for length in 0..whole.len() {
        fs::write(&file, &whole[..length]).unwrap();
        assert_eq!(loaded(&store), (Some(configuration("old")), 1), "{length}");
    }
}

#[test]
fn a_generation_with_any_bit_flipped_is_never_taken_for_good() {
    let whole = format::encode(&configuration("new")).unwrap();
    for index in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[index] ^= 1 << bit;
            assert!(format::decode(&bytes).is_err(), "byte {index}, bit {bit}");
        }
    }
}

#[test]
fn foreign_newer_and_odd_files_are_named_and_skipped() {
    let newer = "device-worker-ng configuration 3 00\n{}";
    let wrong_content = {
        let sum = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        format!("device-worker-ng configuration 1 {sum}\n{{}}")
    };
    let cases = [
        ("", "it is empty"),
        ("{\"workloads\":[]}", "not a stored"),
        ("\n", "not a stored"),
        ("device-worker-ng configuration\n", "not a stored"),
        ("device-worker-ng configuration 0 00\n{}", "checksum"),
        (newer, "format 3"),
        (&wrong_content, "no configuration"),
    ];
    for (content, expected) in cases {
        let (_folder, store) = two_generations();
        fs::write(store.folder.join("current"), content).unwrap();
        let loaded = store.load();
        assert_eq!(loaded.configuration, Some(configuration("old")));
        let source = std::error::Error::source(&loaded.problems[0]).unwrap().to_string();
        assert!(source.contains(expected), "{content}: {source}");
    }
}

#[test]
fn a_configuration_of_the_first_version_is_read() {
    let secret = json!({"name": "s", "data": {"k": b"hunter2"}});
    let mut expected = configuration("old");
    expected.workloads.push(workload("web2", "old"));
    let mut content = json!(expected);
    for workload in content["workloads"].as_array_mut().unwrap() {
        workload["config_maps"] = json!([]);
        workload["secrets"] = json!([secret]);
    }
    let content = content.to_string();
    let sum = format::checksum(content.as_bytes());
    let read =
        format::decode(format!("device-worker-ng configuration 1 {sum}\n{content}").as_bytes())
            .unwrap();
    assert_eq!(read, expected);
    assert!(Arc::ptr_eq(&read.workloads[0].secrets[0], &read.workloads[1].secrets[0]));
}

#[test]
fn what_many_workloads_refer_to_is_stored_and_read_once() {
    let large = Arc::new(Secret {
        name: "large".into(),
        data: [("k".to_owned(), Confidential::new(vec![7; 100_000]))].into(),
    });
    let many = (0..1_000).map(|number| {
        let mut workload = Workload::clone(&workload(&format!("w{number:03}"), "i"));
        workload.secrets = vec![Arc::clone(&large)];
        Arc::new(workload)
    });
    let configuration = Configuration { workloads: many.collect(), ..configuration("i") };
    let stored = format::encode(&configuration).unwrap();
    assert!(stored.len() < 1_000_000, "{} bytes", stored.len());
    let read = format::decode(&stored).unwrap();
    assert_eq!(read, configuration);
    let first = &read.workloads[0].secrets[0];
    assert!(read.workloads.iter().all(|workload| Arc::ptr_eq(&workload.secrets[0], first)));
}

#[test]
fn a_reference_that_leads_nowhere_is_damage() {
    let stored = String::from_utf8(format::encode(&configuration("new")).unwrap()).unwrap();
    let (_, content) = stored.split_once('\n').unwrap();
    let lost = content.replace(r#""secrets":[0]"#, r#""secrets":[1]"#);
    let odd = content.replace("aHVudGVyMg==", "hunter2!");
    let fewer = content.replace(r#"{"config_maps":[],"secrets":[0]}"#, "");
    for content in [lost, odd, fewer] {
        let sum = format::checksum(content.as_bytes());
        let stored = format!("device-worker-ng configuration 2 {sum}\n{content}");
        let error = format::decode(stored.as_bytes()).unwrap_err();
        assert_eq!(error, FormatError::Incomplete, "{content}");
    }
}

#[test]
fn folders_and_links_in_place_of_a_generation_stop_nothing() {
    let (_folder, store) = two_generations();
    let current = store.folder.join("current");
    fs::remove_file(&current).unwrap();
    fs::create_dir(&current).unwrap();
    assert_eq!(loaded(&store), (Some(configuration("old")), 1));
    fs::remove_dir(&current).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &current).unwrap();
    assert_eq!(loaded(&store), (Some(configuration("old")), 1));
}

#[test]
fn both_generations_damaged_is_as_nothing_on_disk_but_said() {
    let (_folder, store) = two_generations();
    for name in GENERATIONS {
        fs::write(store.folder.join(name), "x").unwrap();
    }
    assert_eq!(loaded(&store), (None, 2));
    assert_eq!(store.save(&configuration("new")).unwrap(), Saved::Written);
    assert_eq!(loaded(&store), (Some(configuration("new")), 0));
}

#[test]
fn a_damaged_generation_does_not_displace_a_good_one() {
    let (_folder, store) = two_generations();
    fs::write(store.folder.join("current"), "x").unwrap();
    store.save(&configuration("newest")).unwrap();
    fs::write(store.folder.join("current"), "x").unwrap();
    assert_eq!(loaded(&store), (Some(configuration("old")), 1));
}

#[test]
fn a_crash_between_the_two_renames_loses_nothing() {
    let (_folder, store) = two_generations();
    fs::rename(store.folder.join("current"), store.folder.join("previous")).unwrap();
    fs::write(store.folder.join(TEMPORARY), "half").unwrap();
    assert_eq!(loaded(&store), (Some(configuration("new")), 0));
    assert_eq!(store.save(&configuration("newer")).unwrap(), Saved::Written);
    assert_eq!(loaded(&store), (Some(configuration("newer")), 0));
}

#[test]
fn a_disk_that_refuses_leaves_the_generations_as_they_were() {
    let (_folder, store) = two_generations();
    fs::create_dir(store.folder.join(TEMPORARY)).unwrap();
    assert!(matches!(store.save(&configuration("newer")), Err(StoreError::Write { .. })));
    assert_eq!(loaded(&store), (Some(configuration("new")), 0));
}

#[test]
fn a_state_folder_that_cannot_be_made_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let store = Store::new(&file);
    assert!(matches!(store.save(&configuration("new")), Err(StoreError::PrepareFolder { .. })));
    assert_eq!(loaded(&store).0, None);
}

#[test]
fn messages_quote_no_content() {
    let (_folder, store) = two_generations();
    let file = store.folder.join("current");
    let mut bytes = fs::read(&file).unwrap();
    bytes.push(b' ');
    fs::write(&file, bytes).unwrap();
    let shown = format!("{:?} {store:?}", store.load());
    assert!(!shown.contains("hunter2"), "{shown}");
}

fn rejected(name: &str) -> RejectedWorkload {
    RejectedWorkload { name: WorkloadName::from(name), reason: "broken".into() }
}

#[test]
fn a_workload_that_is_now_rejected_keeps_its_last_good_version() {
    let previous = configuration("old");
    let new = Configuration {
        workloads: vec![workload("zebra", "z"), workload("able", "a")],
        rejected: vec![rejected("web"), rejected("never-seen")],
        ..configuration("new")
    };
    let merged = with_last_good(Some(&previous), new.clone());
    let names: Vec<_> = merged.workloads.iter().map(|w| w.name.as_str()).collect();
    assert_eq!(names, ["able", "web", "zebra"]);
    assert_eq!(merged.workloads[1], previous.workloads[0]);
    assert_eq!(merged.rejected, new.rejected);
    let alone = with_last_good(None, new);
    assert_eq!(alone.workloads.len(), 2);
}

#[test]
fn a_workload_that_is_gone_or_good_is_not_kept() {
    let previous = configuration("old");
    let gone = Configuration { workloads: vec![], ..configuration("new") };
    assert!(with_last_good(Some(&previous), gone).workloads.is_empty());
    let good = Configuration { rejected: vec![rejected("web")], ..configuration("new") };
    assert_eq!(with_last_good(Some(&previous), good.clone()), good);
}

#[test]
fn a_workload_that_nobody_names_stays_while_a_source_of_the_new_version_is_unknown() {
    let previous = configuration("nginx:1");
    let nothing = Configuration { workloads: Vec::new(), ..previous.clone() };
    let kept = with_missing(Some(&previous), nothing, "web.yaml");
    assert_eq!(kept.workloads, previous.workloads);
    let rejected = kept.rejected.iter().find(|it| it.name == previous.workloads[0].name).unwrap();
    assert!(rejected.reason.contains("web.yaml"), "{}", rejected.reason);
    let renewed = configuration("nginx:2");
    assert_eq!(with_missing(Some(&previous), renewed.clone(), "web.yaml"), renewed);
}

#[test]
fn an_update_is_kept_with_all_that_what_it_replaced_refers_to() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    let old = configuration("old");
    assert!(!old.workloads[0].secrets.is_empty() || !old.workloads[0].config_maps.is_empty());
    let mut new = configuration("new");
    new.updates = new.updates.after(&old.workloads, &new.workloads);
    assert_eq!(store.save(&new).unwrap(), Saved::Written);
    assert_eq!(loaded(&store), (Some(new.clone()), 0));
    // Its end is written once, however often it is reported.
    new.updates = Updates::default();
    assert_eq!(store.save(&new).unwrap(), Saved::Written);
    assert_eq!(store.save(&new).unwrap(), Saved::Unchanged);
    assert_eq!(loaded(&store), (Some(new), 0));
}
