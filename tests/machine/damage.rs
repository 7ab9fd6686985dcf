//! Storage that a power cut damaged, on the packaged podman.

use crate::machine::Machine;
use crate::workloads::Sleeper;

/// Shell: the folder of the one layer of an image.
const LAYER: &str =
    "layer() { dirname $(podman image inspect --format '{{.GraphDriver.Data.UpperDir}}' $1); }";
const PODMAN: &str = "podman.socket podman.service";

#[test]
fn a_damaged_pause_image_is_made_anew_and_a_damaged_layer_is_reported_and_holds_up_no_other_pod() {
    let machine = Machine::boot();
    let (damaged, sound) = (Sleeper::new("damaged", 400_001), Sleeper::new("sound", 400_002));
    machine.import_image("localhost/sound:test");
    let sound = sound.with_image("localhost/sound:test");
    machine.configure(&[&damaged, &sound]);
    let both = [&damaged, &sound];
    for workload in both {
        machine.runs(workload);
    }

    // As a power cut was seen to leave it: every pod fails to start, and nothing repairs it by hand.
    machine.run(&format!(
        "{LAYER}; systemctl stop device-worker-ng {PODMAN}; podman pod stop --all --time 1; \
         truncate --size 0 $(layer $(podman images --quiet localhost/podman-pause))/link; \
         systemctl start podman.socket device-worker-ng"
    ));
    for workload in both {
        machine.runs(workload);
    }
    machine.status("all is well", |status| status["health"]["state"] == "ok");

    machine.run(&format!(
        "{LAYER}; systemctl stop device-worker-ng {PODMAN}; podman pod stop --all --time 1; \
         rm -r $(layer localhost/busybox:test)/diff; systemctl start podman.socket device-worker-ng"
    ));
    machine.runs(&sound);
    let words = "a layer of an image is damaged";
    let status = machine.status("it is reported", |status| {
        let reasons = status["health"]["reasons"].to_string();
        status["health"]["state"] == "degraded" && reasons.contains(words)
    });
    let reasons = status["health"]["reasons"].to_string();
    assert!(reasons.contains("podman image rm localhost/busybox:test"), "{reasons}");
    machine.runs(&sound);

    // By hand, as it says.
    machine.run("podman image rm --force localhost/busybox:test");
    machine.import_image("localhost/busybox:test");
    machine.runs(&damaged);
    machine.status("all is well", |status| status["health"]["state"] == "ok");
}

#[test]
fn a_podman_with_a_garbled_database_is_reported_in_its_own_words_and_mended_as_it_says() {
    let mut machine = Machine::boot();
    let web = Sleeper::new("web", 410_001);
    machine.configure(&[&web]);
    machine.runs(&web);
    machine.run(
        "systemctl stop podman.service; cd /var/lib/containers/storage; rm -f db.sql-*; \
         head -c 30000 /dev/urandom >db.sql",
    );
    let status = machine.status("podman's own words are reported", |status| {
        status["health"]["reasons"].to_string().contains("podman says: ")
    });
    assert_eq!(status["health"]["state"], "degraded", "{status}");
    let reasons = status["health"]["reasons"].to_string();
    let way_out = reasons.split_once("podman's database is damaged; by hand: ").expect(&reasons).1;
    let way_out = way_out.split_once(" (podman says: ").expect(&reasons).0;
    let (before, after) = way_out.split_once(", reboot, ").expect(&reasons);
    machine.runs(&web);

    machine.run(&before.replace(", ", " && "));
    let took = machine.reboot();
    println!("the shutdown took {took:?}");
    machine.run(after);
    machine.runs(&web);
    machine.status("all is well", |status| status["health"]["state"] == "ok");
}
