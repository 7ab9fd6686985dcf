//! The way of a device through its enrolment.

use chrono::{DateTime, Utc};

use super::*;
use crate::control_plane_sync::server::error::Call;

const DAY: u64 = 24 * 60 * 60;

fn at(seconds: u64) -> Moment {
    let start: DateTime<Utc> = "2026-11-23T12:00:00Z".parse().unwrap();
    Moment { monotonic: Monotonic::default(), wall: start }.after(Duration::from_secs(seconds))
}

fn error(call: Call, status: u16) -> ControlPlaneError {
    ControlPlaneError::of_status(call, status, b"").unwrap()
}

/// A certificate of 30 days, issued at second 0.
fn month() -> Validity {
    Validity { not_before: at(0).wall, not_after: at(30 * DAY).wall }
}

fn enrolled() -> Enrolment {
    let mut enrolment = Enrolment::new(None, false, 0.0);
    enrolment.enrolled(EnrolmentAnswer::Approved, at(0), 0.0);
    enrolment
}

#[test]
fn a_new_device_enrols_then_registers() {
    let mut enrolment = Enrolment::new(None, false, 0.0);
    assert_eq!(enrolment.next(at(0)), Next::Now(Step::Enrol));
    enrolment.enrolled(EnrolmentAnswer::Pending, at(0), 0.0);
    assert_eq!(enrolment.next(at(0)), Next::After(Duration::from_secs(1)));
    assert_eq!(enrolment.next(at(1)), Next::Now(Step::Enrol));
    enrolment.enrolled(EnrolmentAnswer::Approved, at(1), 0.0);
    assert_eq!(enrolment.next(at(1)), Next::Now(Step::Register));
    enrolment.registered(month(), at(1).monotonic);
    assert_eq!(enrolment.stage(), Stage::Registered);
}

#[test]
fn a_device_with_a_certificate_only_waits_for_its_renewal() {
    let enrolment = Enrolment::new(Some(month()), false, 0.0);
    let table = [
        (0, Next::After(CLOCK_CHECK)),
        (20 * DAY - 60, Next::After(Duration::from_secs(60))),
        (20 * DAY, Next::Now(Step::Renew)),
        (40 * DAY, Next::Now(Step::Renew)),
    ];
    for (second, expected) in table {
        assert_eq!(enrolment.next(at(second)), expected, "{second}");
    }
}

#[test]
fn renewal_comes_up_to_a_twentieth_of_life_earlier_at_random() {
    let enrolment = Enrolment::new(Some(month()), false, 1.0);
    assert_eq!(enrolment.next(at(18 * DAY + DAY / 2 + 1)), Next::Now(Step::Renew));
    assert_ne!(enrolment.next(at(18 * DAY)), Next::Now(Step::Renew));
}

#[test]
fn a_clock_that_was_never_set_renews_nothing() {
    let enrolment = Enrolment::new(Some(month()), false, 0.0);
    let never_set = Moment { wall: DateTime::UNIX_EPOCH, ..at(0) };
    assert_eq!(enrolment.next(never_set), Next::After(CLOCK_CHECK));
}

#[test]
fn a_certificate_that_looks_old_to_a_fast_clock_is_renewed_once_an_hour_at_most() {
    const HOUR: u64 = 60 * 60;
    let years_ahead = |second| Moment { wall: at(3000 * DAY).wall, ..at(second) };
    let mut enrolment = Enrolment::new(Some(month()), false, 0.0);
    assert_eq!(enrolment.next(years_ahead(0)), Next::Now(Step::Renew));
    enrolment.registered(month(), at(0).monotonic);
    let table = [
        (0, Next::After(Duration::from_secs(HOUR))),
        (HOUR - 1, Next::After(Duration::from_secs(1))),
        (HOUR, Next::Now(Step::Renew)),
    ];
    for (second, expected) in table {
        assert_eq!(enrolment.next(years_ahead(second)), expected, "{second}");
    }
}

#[test]
fn a_refused_certificate_is_renewed_after_a_moment() {
    let mut enrolment = Enrolment::new(Some(month()), false, 0.0);
    enrolment.refused(at(1).monotonic, 0.0);
    assert_eq!(enrolment.next(at(1)), Next::After(Duration::from_secs(1)));
    assert_eq!(enrolment.next(at(2)), Next::Now(Step::Renew));
    enrolment.registered(month(), at(2).monotonic);
    assert_ne!(enrolment.next(at(2)), Next::Now(Step::Renew));
}

#[test]
fn certificates_refused_in_a_row_are_renewed_ever_more_slowly_until_one_is_accepted() {
    let mut enrolment = Enrolment::new(Some(month()), false, 0.0);
    let mut wait = || {
        enrolment.refused(at(0).monotonic, 0.0);
        let next = enrolment.next(at(0));
        enrolment.registered(month(), at(0).monotonic);
        next
    };
    let waits = [wait(), wait(), wait()];
    assert_eq!(waits, [1, 2, 4].map(|seconds| Next::After(Duration::from_secs(seconds))));
    enrolment.accepted();
    enrolment.refused(at(0).monotonic, 0.0);
    assert_eq!(enrolment.next(at(0)), Next::After(Duration::from_secs(1)));
}

#[test]
fn failures_back_off_up_to_five_minutes() {
    let mut enrolment = Enrolment::new(None, false, 0.0);
    let mut waits = Vec::new();
    for _ in 0..10 {
        enrolment.failed(Step::Enrol, &error(Call::Enrolment, 503), at(0), 0.0);
        if let Next::After(wait) = enrolment.next(at(0)) {
            waits.push(wait.as_secs());
        }
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
}

#[test]
fn a_registration_that_is_not_approved_yet_enrols_again() {
    let mut enrolment = enrolled();
    let notice = enrolment.failed(Step::Register, &error(Call::Registration, 404), at(0), 0.0);
    assert_eq!(notice, None);
    assert_eq!(enrolment.next(at(1)), Next::Now(Step::Enrol));
}

#[test]
fn a_device_that_is_enrolled_but_never_known_asks_ever_more_slowly_and_is_reported() {
    let mut enrolment = Enrolment::new(None, false, 0.0);
    let (mut waits, mut notices) = (Vec::new(), Vec::new());
    for round in 0..11 {
        let is_news = enrolment.enrolled(EnrolmentAnswer::Approved, at(0), 0.0);
        assert_eq!(is_news, round == 0);
        assert_eq!(enrolment.next(at(0)), Next::Now(Step::Register));
        let unknown = error(Call::Registration, 404);
        notices.push(enrolment.failed(Step::Register, &unknown, at(0), 0.0));
        if let Next::After(wait) = enrolment.next(at(0)) {
            waits.push(wait.as_secs());
        }
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    assert_eq!(notices[..2], [None, None], "an approval may be under way");
    assert!(notices[2..].iter().all(|notice| *notice == Some(Notice::MadeByHand)));
    // Once that is mended, the device is as any other.
    enrolment.enrolled(EnrolmentAnswer::Approved, at(0), 0.0);
    enrolment.registered(month(), at(0).monotonic);
    enrolment.expelled(at(0), 0.0);
    assert!(enrolment.enrolled(EnrolmentAnswer::Approved, at(1), 0.0));
}

#[test]
fn failures_between_two_rounds_do_not_hasten_the_next_one() {
    let mut enrolment = Enrolment::new(None, false, 0.0);
    for _ in 0..9 {
        enrolment.enrolled(EnrolmentAnswer::Approved, at(0), 0.0);
        enrolment.failed(Step::Register, &error(Call::Registration, 404), at(0), 0.0);
        enrolment.failed(Step::Enrol, &error(Call::Enrolment, 503), at(0), 0.0);
    }
    enrolment.enrolled(EnrolmentAnswer::Approved, at(0), 0.0);
    enrolment.failed(Step::Register, &error(Call::Registration, 404), at(0), 0.0);
    assert_eq!(enrolment.next(at(0)), Next::After(Duration::from_secs(300)));
}

#[test]
fn a_500_after_a_lost_answer_is_reported_as_forbidden_and_retried_at_the_cap() {
    let mut enrolment = enrolled();
    let lost =
        ControlPlaneError::TimedOut { call: Call::Registration, after: Duration::from_secs(60) };
    assert_eq!(enrolment.failed(Step::Register, &lost, at(0), 0.0), None);
    let notice = enrolment.failed(Step::Register, &error(Call::Registration, 500), at(1), 0.0);
    assert_eq!(notice, Some(Notice::RegistrationForbidden));
    assert_eq!(enrolment.next(at(1)), Next::After(Duration::from_secs(300)));
    assert_eq!(enrolment.next(at(301)), Next::Now(Step::Register));
}

#[test]
fn a_first_500_is_only_a_failure() {
    let mut enrolment = enrolled();
    let refusal = error(Call::Registration, 500);
    assert_eq!(enrolment.failed(Step::Register, &refusal, at(0), 0.0), None);
    assert_eq!(enrolment.next(at(1)), Next::Now(Step::Register));
}

#[test]
fn only_a_500_after_a_lost_answer_is_forbidden() {
    let table = [(500, 500, false), (504, 500, true), (504, 502, false), (504, 503, false)];
    for (first, second, is_forbidden) in table {
        let mut enrolment = enrolled();
        enrolment.failed(Step::Register, &error(Call::Registration, first), at(0), 0.0);
        let second = error(Call::Registration, second);
        let notice = enrolment.failed(Step::Register, &second, at(1), 0.0);
        let expected = is_forbidden.then_some(Notice::RegistrationForbidden);
        assert_eq!(notice, expected, "{first}, {second}");
    }
}

#[test]
fn a_key_left_by_a_lost_answer_makes_the_first_500_forbidden() {
    let mut enrolment = Enrolment::new(None, true, 0.0);
    enrolment.enrolled(EnrolmentAnswer::Approved, at(0), 0.0);
    let notice = enrolment.failed(Step::Register, &error(Call::Registration, 500), at(0), 0.0);
    assert_eq!(notice, Some(Notice::RegistrationForbidden));
}

#[test]
fn a_certificate_of_a_former_ca_falls_back_to_the_registration_pair_and_back() {
    let mut enrolment = Enrolment::new(Some(month()), false, 0.0);
    enrolment.refused(at(0).monotonic, 0.0);
    let notice = enrolment.failed(Step::Renew, &error(Call::Registration, 401), at(0), 0.0);
    assert_eq!(notice, Some(Notice::IdentityRefused));
    assert_eq!(enrolment.next(at(10)), Next::Now(Step::Enrol));
    enrolment.failed(Step::Enrol, &error(Call::Enrolment, 401), at(10), 0.0);
    assert_eq!(enrolment.next(at(20)), Next::Now(Step::Renew));
}

#[test]
fn an_expelled_device_enrols_again_after_a_wait() {
    let mut enrolment = Enrolment::new(Some(month()), false, 0.0);
    enrolment.expelled(at(0), 0.0);
    assert_eq!(enrolment.next(at(0)), Next::After(Duration::from_secs(1)));
    assert_eq!(enrolment.next(at(1)), Next::Now(Step::Enrol));
}
