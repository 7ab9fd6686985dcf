//! Which delays a policy gives.

use proptest::prelude::*;

use super::*;

const SEED: u64 = 7;

fn seconds(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn constant(period: Duration) -> RetryPolicy {
    RetryPolicy::Constant { period }
}

fn exponential(initial: Duration, multiplier: f64, randomization: f64) -> RetryPolicy {
    RetryPolicy::Exponential { initial, multiplier, randomization }
}

fn delays(policy: RetryPolicy, count: usize) -> Vec<Duration> {
    let mut retry = Retry::new(policy, SEED);
    (0..count).map(|_| retry.next_delay()).collect()
}

#[test]
fn a_constant_delay_stays_and_has_no_cap() {
    assert_eq!(delays(constant(seconds(20)), 3), [seconds(20); 3]);
    assert_eq!(delays(constant(seconds(3600)), 3), [seconds(3600); 3]);
}

#[test]
fn an_exponential_delay_grows_to_five_minutes() {
    let secs = [10, 20, 40, 80, 160, 300, 300].map(seconds);
    assert_eq!(delays(exponential(seconds(10), 2.0, 0.0), 7), secs);
    let secs = [1.0, 1.5, 2.25, 3.375].map(Duration::from_secs_f64);
    assert_eq!(delays(exponential(seconds(1), 1.5, 0.0), 4), secs);
    let secs = [300, 300].map(seconds);
    assert_eq!(delays(exponential(seconds(900), 2.0, 0.0), 2), secs);
}

#[test]
fn delays_at_the_cap_still_vary() {
    let all = delays(exponential(seconds(300), 2.0, 0.5), 100);
    assert!(all.iter().all(|delay| *delay >= seconds(150)));
    assert!(all.iter().all(|delay| *delay <= seconds(300)));
    assert!(all.iter().filter(|delay| **delay > seconds(299)).count() < 5);
    assert!(all.iter().any(|delay| *delay < seconds(200)));
    assert!(all.iter().any(|delay| *delay > seconds(250)));
}

#[test]
fn reset_starts_from_the_first_delay() {
    for policy in [constant(seconds(20)), exponential(seconds(10), 3.0, 0.0)] {
        let mut retry = Retry::new(policy, SEED);
        let first = retry.next_delay();
        retry.next_delay();
        retry.next_delay();
        retry.reset();
        assert_eq!(retry.healthy_after(), Duration::ZERO);
        assert_eq!(retry.next_delay(), first);
    }
}

#[test]
fn a_run_is_healthy_after_twice_the_last_delay_or_ten_minutes() {
    let mut retry = Retry::new(exponential(seconds(100), 2.0, 0.0), SEED);
    assert_eq!(retry.healthy_after(), Duration::ZERO);
    for expected in [200, 400, 600, 600] {
        retry.next_delay();
        assert_eq!(retry.healthy_after(), seconds(expected));
    }
    let mut retry = Retry::new(constant(Duration::MAX), SEED);
    assert_eq!(retry.next_delay(), Duration::MAX);
    assert_eq!(retry.healthy_after(), seconds(600));
}

#[test]
fn equal_seeds_give_equal_delays_and_others_do_not() {
    let policy = exponential(seconds(10), 2.0, 0.5);
    let mut one = Retry::new(policy, 1);
    let mut same = Retry::new(policy, 1);
    let mut other = Retry::new(policy, 2);
    let first = one.next_delay();
    assert_eq!(first, same.next_delay());
    assert_ne!(first, other.next_delay());
}

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0u64..1000).prop_map(Duration::from_secs),
        (0u64..5000).prop_map(Duration::from_millis),
        any::<Duration>(),
        Just(Duration::MAX),
    ]
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(f64::MAX),
    ]
}

proptest! {
    #[test]
    fn exponential_delays_stay_within_their_spread_and_bounds(
        initial in 1u64..1000,
        multiplier in 1.0..10.0f64,
        randomization in 0.0..=1.0f64,
        seed in any::<u64>(),
    ) {
        let mut retry =
            Retry::new(exponential(seconds(initial), multiplier, randomization), seed);
        let mut middle = (initial as f64).min(300.0);
        for _ in 0..20 {
            let delay = retry.next_delay().as_secs_f64();
            let low = (middle * (1.0 - randomization)).max(1.0);
            let high = (middle * (1.0 + randomization)).min(300.0);
            prop_assert!(delay >= low - 1e-6 && delay <= high + 1e-6, "{low} {delay} {high}");
            middle = (middle * multiplier).min(300.0);
        }
    }

    #[test]
    fn delays_without_randomization_never_shrink(
        initial in any_duration(),
        multiplier in 1.0..10.0f64,
    ) {
        let all = delays(exponential(initial, multiplier, 0.0), 30);
        prop_assert!(all.is_sorted());
    }

    #[test]
    fn no_value_whatsoever_overflows_or_leaves_the_bounds(
        initial in any_duration(),
        multiplier in any_number(),
        randomization in any_number(),
        seed in any::<u64>(),
    ) {
        let mut retry = Retry::new(exponential(initial, multiplier, randomization), seed);
        for _ in 0..50 {
            let delay = retry.next_delay();
            prop_assert!(delay >= MIN_DELAY && delay <= MAX_EXPONENTIAL_DELAY);
            prop_assert!(retry.healthy_after() <= ALWAYS_HEALTHY_AFTER);
        }
        let mut retry = Retry::new(constant(initial), seed);
        prop_assert_eq!(retry.next_delay(), initial.max(MIN_DELAY));
    }
}
