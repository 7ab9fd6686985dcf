//! Who is closed for whom, as tables.

use std::net::IpAddr;

use super::*;

fn remote(address: &str) -> Peer {
    Peer::from(address.parse::<IpAddr>().unwrap())
}

fn process(user: u32, process: i32) -> Peer {
    Peer::Process { user, process }
}

/// Returns which is closed of connections whose ids are their places in the list.
fn chosen(candidates: &[(Peer, Option<u64>)]) -> Option<u64> {
    let candidate = |(id, (peer, waits)): (usize, &(Peer, Option<u64>))| Candidate {
        id: id as u64,
        peer: *peer,
        waited: waits.map(Duration::from_secs),
    };
    let candidates: Vec<_> = candidates.iter().enumerate().map(candidate).collect();
    choose(&candidates).map(|chosen| chosen.id)
}

#[test]
fn the_one_that_has_waited_longest_makes_way_and_one_at_work_never() {
    let it = Peer::Loopback;
    assert_eq!(chosen(&[(it, Some(1)), (it, Some(3)), (it, Some(2)), (it, None)]), Some(1));
    assert_eq!(chosen(&[(it, None), (it, None)]), None);
    assert_eq!(chosen(&[]), None);
}

#[test]
fn a_machine_that_holds_the_most_makes_way_however_long_another_has_waited() {
    let (few, many) = (remote("192.0.2.1"), remote("192.0.2.2"));
    assert_eq!(chosen(&[(few, Some(9)), (many, Some(1)), (many, Some(2))]), Some(2));
    // What is at work counts, too.
    assert_eq!(chosen(&[(few, Some(9)), (many, Some(1)), (many, None)]), Some(1));
    // Nothing of it can be closed, and both have about the same.
    assert_eq!(chosen(&[(few, Some(9)), (many, None), (many, None)]), Some(0));
}

#[test]
fn many_processes_of_one_user_count_together_and_then_each_for_itself() {
    let candidates = [
        (process(1, 1), Some(9)),
        (process(1, 1), Some(9)),
        (process(2, 2), Some(8)),
        (process(2, 3), Some(1)),
        (process(2, 3), Some(2)),
    ];
    assert_eq!(chosen(&candidates), Some(4));
    assert_eq!(chosen(&candidates[..3]), Some(0), "two of one process are more than one");
}

#[test]
fn one_that_holds_less_than_its_share_is_not_closed_though_nothing_else_can_be() {
    let crowd = |peer| vec![(peer, None); 10];
    // Another user's process, another process of the same user, another machine.
    let pairs = [
        (process(0, 1), process(65534, 2)),
        (process(7, 1), process(7, 2)),
        (remote("192.0.2.1"), remote("192.0.2.2")),
    ];
    for (few, many) in pairs {
        let mut candidates = crowd(many);
        candidates.push((few, Some(9)));
        assert_eq!(chosen(&candidates), None, "{few} beside {many}");
        candidates.push((many, Some(0)));
        assert_eq!(chosen(&candidates), Some(11), "{few} beside {many}");
    }
}

#[test]
fn of_many_peers_with_one_connection_each_one_can_be_closed() {
    let mut candidates: Vec<_> = (0..252).map(|id| (process(7, 100 + id), Some(1))).collect();
    // Streams are not closed for others for a long time.
    candidates.extend([(process(7, 1), None); 4]);
    assert_eq!(chosen(&candidates), Some(0));
}
