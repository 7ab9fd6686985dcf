//! Who is in a group, by the files that say so on every Unix.

use std::collections::BTreeSet;
use std::fs;

const GROUPS: &str = "/etc/group";
const USERS: &str = "/etc/passwd";

/// Returns the ids of all users in a group, or none where these files do not know it or one of its
/// members: a directory service may know more of it.
pub(super) fn members(group: u32) -> Option<BTreeSet<u32>> {
    named_in(group, &fs::read_to_string(GROUPS).ok()?, &fs::read_to_string(USERS).ok()?)
}

/// `web:x:1000:max,eva`, and `max:x:1000:1000:…`, whose group it is from the start.
fn named_in(group: u32, groups: &str, users: &str) -> Option<BTreeSet<u32>> {
    let number = |field: Option<&&str>| field?.parse::<u32>().ok();
    let users: Vec<Vec<&str>> = users.lines().map(|line| line.split(':').collect()).collect();
    let id_of = |name: &str| {
        let user = users.iter().find(|user| user.first() == Some(&name))?;
        number(user.get(2))
    };
    let own = users.iter().filter(|user| number(user.get(3)) == Some(group));
    let own = own.filter_map(|user| number(user.get(2)));
    let mut is_known = false;
    let mut members: BTreeSet<u32> = own.collect();
    for line in groups.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        if number(fields.get(2)) == Some(group) {
            is_known = true;
            let names = fields.get(3).copied().unwrap_or_default().split(',');
            for name in names.map(str::trim).filter(|name| !name.is_empty()) {
                members.insert(id_of(name)?);
            }
        }
    }
    is_known.then_some(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nmax:x:1000:1000::/home/max:/bin/sh\n\
                         eva:x:1001:1001::/home/eva:/bin/sh\nbob:x:1002:100::/home/bob:/bin/sh\n";
    const GROUPS: &str = "root:x:0:\nusers:x:100:\nmax:x:1000:\neva:x:1001:eva,max\n\
                          far:x:1003:somebody\nbroken\n:::\n";

    #[test]
    fn a_group_has_those_whose_first_it_is_and_those_whom_it_names() {
        for (group, expected) in [
            (0, Some(&[0][..])),
            (1000, Some(&[1000])),
            (1001, Some(&[1000, 1001])),
            (100, Some(&[1002])),
            // Not all of its members, or not the group itself, are in these files.
            (1003, None),
            (4711, None),
        ] {
            let expected = expected.map(|users| users.iter().copied().collect());
            assert_eq!(named_in(group, GROUPS, USERS), expected, "{group}");
        }
    }
}
