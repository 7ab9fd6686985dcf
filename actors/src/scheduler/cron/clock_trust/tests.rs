//! Which clocks cron follows.

use super::*;

const GRACE: Duration = Duration::from_secs(300);
const PLAUSIBLE: CronClock = CronClock::Plausible { grace: GRACE };
const LONG: u64 = 10_000_000;

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The device has been up for so many seconds; its disk was last written on the 1st of May.
fn up(seconds: u64, is_synchronized: bool) -> ClockEvidence {
    let written = Written { at: utc("2026-05-01T00:00:00Z"), what: "/state/current".to_owned() };
    let uptime = Duration::from_secs(seconds);
    ClockEvidence { is_synchronized, uptime, newest: Some(written) }
}

/// Returns what is waited for, empty when nothing is.
fn awaited(wanted: CronClock, evidence: &ClockEvidence, wall: &str) -> String {
    let judged = judge(wanted, Some(evidence), utc(wall)).awaited(utc(wall));
    judged.map(|why| why.to_string()).unwrap_or_default()
}

#[test]
fn a_clock_is_followed_as_the_setting_says() {
    let (later, earlier) = ("2026-05-04T10:00:00Z", "2026-04-30T23:59:59Z");
    let service = "waits until the device's clock is synchronised";
    let grace =
        "waits until the device's clock is synchronised, or the device has been up for 300s";
    let behind = "waits until the device's clock is set: it reads earlier than \
                  2026-05-01T00:00:00Z, when /state/current was written";
    for (wanted, seconds, is_synchronized, wall, expected) in [
        // A time service is believed at once, whatever it says.
        (PLAUSIBLE, 20, true, later, ""),
        (PLAUSIBLE, 20, true, earlier, ""),
        (CronClock::Synchronized, 20, true, later, ""),
        // Without one a clock that is not behind the disk is believed in time,
        (PLAUSIBLE, 20, false, later, grace),
        (PLAUSIBLE, 299, false, later, grace),
        (PLAUSIBLE, 300, false, later, ""),
        // one that is behind it never,
        (PLAUSIBLE, LONG, false, earlier, behind),
        (PLAUSIBLE, 20, false, earlier, behind),
        // and none, where that is wanted.
        (CronClock::Synchronized, LONG, false, later, service),
        (CronClock::Synchronized, LONG, false, earlier, service),
        (CronClock::Any, 0, false, earlier, ""),
    ] {
        let found = awaited(wanted, &up(seconds, is_synchronized), wall);
        assert_eq!(found, expected, "{wanted:?} {seconds} {is_synchronized} {wall}");
    }
}

#[test]
fn a_disk_on_which_nothing_was_written_yet_speaks_against_no_clock() {
    let fresh = ClockEvidence { newest: None, ..up(300, false) };
    assert_eq!(awaited(PLAUSIBLE, &fresh, "2020-01-01T00:00:00Z"), "");
    let at_once = ClockEvidence { uptime: Duration::ZERO, ..fresh };
    let grace = CronClock::Plausible { grace: Duration::ZERO };
    assert_eq!(awaited(grace, &at_once, "2020-01-01T00:00:00Z"), "");
}

#[test]
fn a_clock_of_which_nothing_can_be_found_out_is_not_followed() {
    let wall = utc("2026-05-04T10:00:00Z");
    for (wanted, is_followed) in
        [(PLAUSIBLE, false), (CronClock::Synchronized, false), (CronClock::Any, true)]
    {
        let judged = judge(wanted, None, wall);
        assert_eq!(judged == ClockTrust::Trusted, is_followed, "{wanted:?}");
    }
}
