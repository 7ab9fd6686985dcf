//! Tables of what the kernel writes, and what is made of it.

use super::*;

fn value(samples: &[Sample], name: &str) -> Option<f64> {
    samples.iter().find(|sample| sample.name == name).map(|sample| sample.value)
}

#[test]
fn cpu_is_the_share_of_time_that_was_not_idle() {
    let quiet = "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 2 3 4\nintr 5\n";
    for (later, busy) in [
        // 50 of 100 ticks were idle, 10 more waited for a disk.
        ("cpu  120 0 120 750 110 0 0 0 0 0\n", Some(40.0)),
        ("cpu  100 0 100 800 100 0 0 0 0 0\n", Some(0.0)),
        ("cpu  200 0 100 700 100 0 0 0 0 0\n", Some(100.0)),
        // What a hypervisor took is not the device's to give.
        ("cpu  100 0 100 750 100 0 0 50 0 0\n", Some(50.0)),
        // The time of guests is in user already.
        ("cpu  150 0 100 750 100 0 0 0 50 0\n", Some(50.0)),
        ("cpu  133 0 100 767 100 0 0 0 0 0\n", Some(33.0)),
        // The kernel corrected iowait downwards.
        ("cpu  150 0 100 750 90 0 0 0 0 0\n", Some(55.6)),
        // No time has passed, or the counters started anew.
        (quiet, None),
        ("cpu  1 0 1 7 1 0 0 0 0 0\n", None),
        ("cpu  1 0 1\n", None),
        ("cpu  a b c d\n", None),
        ("cpu0 150 0 100 750 100 0 0 0 0 0\n", None),
        ("", None),
    ] {
        let facts = Facts { stat: Some(later.to_owned()), ..Facts::default() };
        assert_eq!(value(&of(&facts, CpuTimes::parse(quiet)), "cpu"), busy, "{later}");
    }
}

#[test]
fn the_first_turn_has_no_cpu() {
    let facts = Facts { stat: Some("cpu  1 0 1 7 1 0 0 0\n".to_owned()), ..Facts::default() };
    assert_eq!(of(&facts, None), []);
}

#[test]
fn memory_counts_what_could_be_had() {
    let whole = "MemTotal:        1000 kB\nMemFree:  10 kB\nMemAvailable:     250 kB\n";
    for (meminfo, expected) in [
        (whole, Some((75.0, 256_000.0))),
        ("MemTotal: 1000 kB\nMemAvailable: 1000 kB\n", Some((0.0, 1_024_000.0))),
        // Kernels before 3.14 do not say what is available; free memory is something else.
        ("MemTotal: 1000 kB\nMemFree: 10 kB\n", None),
        ("MemTotalled: 1000 kB\nMemAvailable: 250 kB\n", None),
        ("MemTotal: 1000\nMemAvailable: 250\n", None),
        ("MemTotal: 18446744073709551615 kB\nMemAvailable: 1 kB\n", None),
        ("", None),
    ] {
        let samples = of(&Facts { meminfo: Some(meminfo.to_owned()), ..Facts::default() }, None);
        let found = value(&samples, "mem").zip(value(&samples, "mem_free"));
        assert_eq!(found, expected, "{meminfo}");
    }
}

#[test]
fn the_hottest_zone_counts() {
    for (zones, expected) in [
        (&["41000\n", "65250\n", "-5000\n"][..], Some(65.3)),
        (&["-5000\n"], Some(-5.0)),
        // A zone that measures nothing.
        (&["-274000\n"], None),
        (&["-274000\n", "20000\n"], Some(20.0)),
        (&["", "hot"], None),
        (&["9223372036854775807"], None),
        (&[], None),
    ] {
        let zones = zones.iter().map(|zone| (*zone).to_owned()).collect();
        let samples = of(&Facts { zones, ..Facts::default() }, None);
        assert_eq!(value(&samples, "temp"), expected, "{samples:?}");
    }
}

#[test]
fn pressure_is_the_mean_of_ten_seconds() {
    let both = "some avg10=1.53 avg60=0.87 avg300=0.72 total=66\n\
                full avg10=0.25 avg60=0.10 avg300=0.07 total=9\n";
    for (text, some, full) in [
        (both, Some(1.53), Some(0.25)),
        ("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n", Some(0.0), None),
        ("something avg10=1.00\n", None, None),
        ("some avg60=1.00 total=1\n", None, None),
        ("some avg10=NaN\nfull avg10=101.00\n", None, None),
        ("", None, None),
    ] {
        let text = Some(text.to_owned());
        let facts = Facts {
            cpu_pressure: text.clone(),
            memory_pressure: text.clone(),
            io_pressure: text,
            ..Facts::default()
        };
        let samples = of(&facts, None);
        for (name, expected) in [
            ("psi_cpu", some),
            ("psi_mem", some),
            ("psi_mem_full", full),
            ("psi_io", some),
            ("psi_io_full", full),
        ] {
            assert_eq!(value(&samples, name), expected, "{name}: {facts:?}");
        }
    }
}

#[test]
fn a_disk_is_full_when_users_have_no_room() {
    for (used, free, expected) in
        [(750, 250, Some(75.0)), (750, 0, Some(100.0)), (0, 10, Some(0.0)), (0, 0, None)]
    {
        let facts = Facts { disk: Some(Disk { used, free }), ..Facts::default() };
        let samples = of(&facts, None);
        assert_eq!(value(&samples, "disk"), expected, "{used} of {free}");
        assert_eq!(value(&samples, "disk_used"), Some(number(used)));
        assert_eq!(value(&samples, "disk_free"), Some(number(free)));
    }
}

#[test]
fn what_the_host_does_not_have_is_not_reported() {
    assert_eq!(of(&Facts::default(), CpuTimes::parse("cpu  1 0 1 7\n")), []);
}
