//! Who a user or a group is, by the machine's own files. Directories that are
//! asked over the network are not.

use std::fs;

/// The user's name, or the number.
pub(super) fn user(uid: u32) -> String {
    named("/etc/passwd", uid).map_or_else(
        || format!("the user {uid}"),
        |name| format!("the user `{name}` ({uid})"),
    )
}

/// The group's name and members.
pub(super) fn group(gid: u32) -> String {
    let name = named("/etc/group", gid).map_or_else(|| gid.to_string(), |name| format!("`{name}`"));
    match members(gid).as_slice() {
        [] => format!("the group {name}, which has no members in /etc/group"),
        several => format!("the group {name} ({})", several.join(", ")),
    }
}

/// The members of a group, those included whose own group it is.
pub(super) fn members(gid: u32) -> Vec<String> {
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    members_in(&groups, &users, gid)
}

fn members_in(groups: &str, users: &str, gid: u32) -> Vec<String> {
    let mut members = Vec::new();
    for line in groups.lines() {
        let fields: Vec<_> = line.split(':').collect();
        if let [_, _, number, listed] = fields.as_slice()
            && number.parse() == Ok(gid)
        {
            let listed = listed.split(',').filter(|name| !name.is_empty());
            members.extend(listed.map(str::to_owned));
        }
    }
    for line in users.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(number)) = (fields.next(), fields.nth(2))
            && number.parse() == Ok(gid)
            && !members.iter().any(|member| member == name)
        {
            members.push(name.to_owned());
        }
    }
    members
}

/// The first field of the line whose third is this number.
fn named(file: &str, id: u32) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}

/// How many other processes run under this user, as far as we may see them.
/// Hosts of ours hide: their entries in /proc are root's.
pub(super) fn processes_of(uid: u32) -> usize {
    use std::os::unix::fs::MetadataExt;
    let me = std::process::id();
    let Ok(entries) = fs::read_dir("/proc") else {
        return 0;
    };
    let others = entries.flatten().filter(|entry| {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        pid.is_some_and(|pid: u32| pid != me)
            && entry.metadata().is_ok_and(|facts| facts.uid() == uid)
    });
    others.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_those_listed_and_those_whose_own_group_it_is() {
        let groups = "root:x:0:\netl:x:50:anna,bert\nodd:x:51\n";
        let users =
            "root:x:0:0:root:/root:/bin/sh\ncarl:x:1001:50::/:/bin/sh\nbert:x:1002:50::/:/\n";
        assert_eq!(members_in(groups, users, 50), ["anna", "bert", "carl"]);
        assert_eq!(members_in(groups, users, 0), ["root"]);
        assert!(members_in(groups, users, 51).is_empty());
    }

    #[test]
    fn a_user_is_named_by_the_machine() {
        assert_eq!(user(0), "the user `root` (0)");
        assert_eq!(user(4_000_000_000), "the user 4000000000");
        assert!(group(4_000_000_000).contains("no members"));
    }
}
