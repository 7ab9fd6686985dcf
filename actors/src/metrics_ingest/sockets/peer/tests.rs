//! Addresses, and what they are the same as.

use super::*;

fn remote(address: &str) -> Peer {
    Peer::from(address.parse::<IpAddr>().unwrap())
}

fn process(user: u32, process: i32) -> Peer {
    Peer::Process { user, process }
}

#[test]
fn an_address_is_known_however_it_is_written() {
    for (address, expected) in [
        ("127.0.0.1", Peer::Loopback),
        ("127.9.9.9", Peer::Loopback),
        ("::1", Peer::Loopback),
        ("::ffff:127.0.0.1", Peer::Loopback),
        ("::ffff:192.0.2.1", remote("192.0.2.1")),
        ("2001:db8:0:1::1", remote("2001:db8:0:1:ffff::2")),
    ] {
        assert_eq!(remote(address), expected, "{address}");
    }
    assert_ne!(remote("2001:db8:0:1::1"), remote("2001:db8:0:2::1"));
    assert_ne!(remote("192.0.2.1"), remote("192.0.2.2"));
    let groups = [process(0, 1), Peer::Loopback, remote("192.0.2.1")].map(Peer::group);
    assert_eq!(groups, [Group::Unix, Group::Loopback, Group::Network]);
    assert_eq!(remote("2001:db8::1").to_string(), "2001:db8::/64");
}
