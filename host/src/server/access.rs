//! Who may call, and what.

use std::collections::HashSet;

use super::groups::look_up;
use crate::caller::{Caller, Owner};
use crate::config::{Account, NamePattern, ServerConfig, TaskPattern};
use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::name::TaskName;

/// The caller of a connection, with what its rules may ask about.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// Who it is.
    pub(super) caller: Caller,
    /// Whose its runs are.
    pub(super) owner: Owner,
    /// All groups of a process of this machine.
    groups: Vec<u32>,
}

/// `[[server.allow]]` with its names looked up.
#[derive(Debug)]
pub(super) struct Access(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    users: HashSet<u32>,
    groups: HashSet<u32>,
    certificates: Vec<NamePattern>,
    subjects: Vec<NamePattern>,
    /// None for all of them.
    tasks: Option<Vec<TaskPattern>>,
    metrics: bool,
}

/// A name that this machine does not know.
#[derive(Debug, thiserror::Error)]
#[error("`server.allow` names the {kind} `{name}`, whom this machine does not know")]
pub struct UnknownAccount {
    kind: &'static str,
    name: String,
}

impl Diagnostic for UnknownAccount {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        Blame::Operator
    }

    fn hint(&self) -> Option<String> {
        let Self { kind, .. } = self;
        Some(format!("create the {kind}, or write its number"))
    }
}

impl Peer {
    /// A process of this machine, whose user is in these groups.
    pub(super) fn unix((uid, gid, pid): (u32, u32, Option<i32>), groups: &[u32]) -> Self {
        let caller = Caller::Unix { uid, gid, pid };
        Self {
            owner: caller.owner(),
            caller,
            groups: groups.iter().copied().chain([gid]).collect(),
        }
    }

    /// Somebody who came over TCP: only the connection or the request says who.
    pub(super) fn remote(caller: Caller) -> Self {
        Self {
            owner: caller.owner(),
            caller,
            groups: Vec::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn plain(uid: u32, groups: &[u32]) -> Self {
        let gid = groups.first().copied().unwrap_or(uid);
        let caller = Caller::Unix {
            uid,
            gid,
            pid: None,
        };
        Self {
            owner: caller.owner(),
            caller,
            groups: groups.to_vec(),
        }
    }
}

impl Access {
    /// Looks up the names. Without a rule only the service's own user may call.
    ///
    /// # Errors
    /// When a name is unknown: a rule for somebody who does not exist is a slip.
    pub(super) fn new(config: &ServerConfig) -> Result<Self, UnknownAccount> {
        if config.allow.is_empty() {
            let own = rustix::process::geteuid().as_raw();
            return Ok(Self(vec![Rule {
                users: HashSet::from([own]),
                groups: HashSet::new(),
                certificates: Vec::new(),
                subjects: Vec::new(),
                tasks: None,
                metrics: true,
            }]));
        }
        let rules = config.allow.iter().map(|allow| {
            Ok(Rule {
                users: ids(&allow.users, "user", |name| {
                    uzers::get_user_by_name(name).map(|user| user.uid())
                })?,
                groups: ids(&allow.groups, "group", |name| {
                    uzers::get_group_by_name(name).map(|group| group.gid())
                })?,
                certificates: allow.certificates.clone(),
                subjects: allow.subjects.clone(),
                tasks: Some(allow.tasks.clone()),
                metrics: allow.metrics,
            })
        });
        rules.collect::<Result<_, _>>().map(Self)
    }

    /// Whether the caller may talk to the service at all.
    pub(super) fn knows(&self, peer: &Peer) -> bool {
        self.0.iter().any(|rule| rule.names(peer))
    }

    /// Whether the caller may read the service's numbers.
    pub(super) fn may_read_metrics(&self, peer: &Peer) -> bool {
        self.0.iter().any(|rule| rule.metrics && rule.names(peer))
    }

    /// Whether there is any task that the caller may run.
    pub(super) fn may_run_something(&self, peer: &Peer) -> bool {
        let has_tasks = |rule: &Rule| rule.tasks.as_ref().is_none_or(|tasks| !tasks.is_empty());
        self.0
            .iter()
            .any(|rule| has_tasks(rule) && rule.names(peer))
    }

    /// Whether the caller may run this task.
    pub(super) fn may_run(&self, peer: &Peer, task: &TaskName) -> bool {
        self.0.iter().any(|rule| {
            rule.names(peer)
                && (rule.tasks.as_ref())
                    .is_none_or(|tasks| tasks.iter().any(|pattern| pattern.covers(task)))
        })
    }
}

/// Whether the service would answer this user of the machine.
///
/// # Errors
/// When `[[server.allow]]` names somebody who does not exist.
pub fn lets_in(config: &ServerConfig, uid: u32) -> Result<bool, UnknownAccount> {
    let gid = uzers::get_user_by_uid(uid).map_or(uid, |user| user.primary_group_id());
    Ok(Access::new(config)?.knows(&Peer::unix((uid, gid, None), &look_up(uid))))
}

impl Rule {
    fn names(&self, peer: &Peer) -> bool {
        // Each kind is held against its own list: no name of one is taken for
        // one of another.
        match &peer.caller {
            Caller::Unix { uid, .. } => {
                self.users.contains(uid) || peer.groups.iter().any(|gid| self.groups.contains(gid))
            }
            Caller::Certificate { subject } => {
                self.certificates.iter().any(|name| name.covers(subject))
            }
            Caller::Token { subject, .. } => self.subjects.iter().any(|name| name.covers(subject)),
        }
    }
}

fn ids(
    accounts: &[Account],
    kind: &'static str,
    look_up: impl Fn(&str) -> Option<u32>,
) -> Result<HashSet<u32>, UnknownAccount> {
    let ids = accounts.iter().map(|account| match account {
        Account::Id(id) => Ok(*id),
        Account::Name(name) => look_up(name).ok_or_else(|| UnknownAccount {
            kind,
            name: crate::config::value::bounded(name),
        }),
    });
    ids.collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::HostConfig;

    fn access(text: &str) -> Result<Access, UnknownAccount> {
        let config = HostConfig::parse(text, Path::new("c.toml"), Path::new("/")).unwrap();
        Access::new(&config.server)
    }

    fn task(name: &str) -> TaskName {
        name.parse().unwrap()
    }

    #[test]
    fn without_a_rule_only_our_own_user_calls() {
        let access = access("").unwrap();
        let own = rustix::process::geteuid().as_raw();
        assert!(access.may_run(&Peer::plain(own, &[]), &task("any")));
        assert!(!access.knows(&Peer::plain(own + 1, &[0])));
    }

    #[test]
    fn rules_add_up_and_name_users_groups_and_tasks() {
        let access = access(
            "[[server.allow]]\nusers = [1001, \"root\"]\ntasks = [\"invoice-*\"]\n\
             [[server.allow]]\ngroups = [50]\ntasks = [\"hello\"]\n",
        )
        .unwrap();
        let one = Peer::plain(1001, &[7]);
        assert!(access.may_run(&one, &task("invoice-sync")));
        assert!(!access.may_run(&one, &task("hello")));
        let both = Peer::plain(1001, &[7, 50]);
        assert!(access.may_run(&both, &task("hello")));
        assert!(access.may_run(&both, &task("invoice-sync")));
        assert!(access.may_run(&Peer::plain(0, &[]), &task("invoice-x")));
        assert!(!access.knows(&Peer::plain(1002, &[7])));
    }

    const TCP: &str = "[server.tcp]\nlisten = \"127.0.0.1:0\"\ncertificate = \"c\"\nkey = \"k\"\n\
         client_ca = \"ca\"\n[server.tcp.jwt]\njwks = \"keys\"\nissuer = \"i\"\naudience = \"a\"\n";

    #[test]
    fn each_kind_of_caller_has_its_own_rules() {
        let certificate = |subject: &str| {
            Peer::remote(Caller::Certificate {
                subject: subject.to_owned(),
            })
        };
        let token = |subject: &str| {
            Peer::remote(Caller::Token {
                issuer: "i".to_owned(),
                subject: subject.to_owned(),
            })
        };
        let access = access(&format!(
            "{TCP}[[server.allow]]\ncertificates = [\"spiffe://a/b/*\", \"cn:x\"]\ntasks = [\"one\"]\n\
             [[server.allow]]\nsubjects = [\"x\", \"repo:*\"]\ntasks = [\"two\"]\n\
             [[server.allow]]\nusers = [7]\ngroups = [8]\ntasks = [\"three\"]\n"
        ))
        .unwrap();
        for (peer, may) in [
            (certificate("cn:x"), Some("one")),
            (certificate("spiffe://a/b/c"), Some("one")),
            (certificate("spiffe://a/b"), None),
            (certificate("spiffe://a/bc"), None),
            (certificate("cn:xy"), None),
            (certificate("x"), None),
            (token("x"), Some("two")),
            (token("repo:a"), Some("two")),
            (token("cn:x"), None),
            (token("xy"), None),
            (Peer::plain(7, &[]), Some("three")),
            (Peer::plain(9, &[]), None),
        ] {
            assert_eq!(access.knows(&peer), may.is_some(), "{peer:?}");
            for one in ["one", "two", "three"] {
                assert_eq!(
                    access.may_run(&peer, &task(one)),
                    may == Some(one),
                    "{peer:?}"
                );
            }
        }
    }

    #[test]
    fn without_a_rule_nobody_comes_over_tcp() {
        let access = access(TCP).unwrap();
        for caller in [
            Caller::Certificate {
                subject: "cn:root".to_owned(),
            },
            Caller::Token {
                issuer: "i".to_owned(),
                subject: "0".to_owned(),
            },
        ] {
            assert!(!access.knows(&Peer::remote(caller)));
        }
    }

    #[test]
    fn the_manifest_lets_in_its_worker_and_its_probe() {
        let manifest = include_str!("../../../deploy/kubernetes.yaml");
        let (_, file) = manifest.split_once("cofferdam.toml: |\n").unwrap();
        let (file, pod) = file.split_once("\n---").unwrap();
        let access = access(file).unwrap();
        for user in [50_000, 8_520] {
            assert!(pod.contains(&format!("runAsUser: {user}\n")), "{user}");
            assert!(access.knows(&Peer::plain(user, &[])), "{user}");
        }
        // With `fsGroup` and without it, the group is let into the state at each start.
        assert!(pod.contains("fsGroupChangePolicy: OnRootMismatch\n"));
        assert!(access.may_run(&Peer::plain(50_000, &[]), &task("any")));
        assert!(!access.may_run(&Peer::plain(8_520, &[]), &task("any")));
    }

    #[test]
    fn a_name_that_nobody_has_is_a_slip() {
        let error =
            access("[[server.allow]]\nusers = [\"no-such-user\"]\ntasks = [\"*\"]\n").unwrap_err();
        assert!(error.to_string().contains("no-such-user"), "{error}");
    }
}
