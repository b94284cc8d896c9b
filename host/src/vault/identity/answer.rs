//! Whether the token of a log-in is what the grants say.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;

use crate::vault::client::AuthAnswer;
use crate::vault::mint::listed;
use crate::vault::policy::PolicyName;
use crate::vault::seconds;

/// What a token must be.
pub(super) struct Wanted<'a> {
    /// Exactly these policies.
    pub(super) policies: &'a BTreeSet<PolicyName>,
    /// It lives at least so long.
    pub(super) deadline: Duration,
    /// And ends after so long, whatever anybody does.
    pub(super) longest: Duration,
}

/// What Vault says of a token to whoever knows its accessor.
#[derive(Deserialize)]
pub(super) struct Looked {
    policies: Vec<String>,
    #[serde(default)]
    identity_policies: Option<Vec<String>>,
    #[serde(deserialize_with = "seconds::life")]
    explicit_max_ttl: u64,
    /// Only there when it is set.
    #[serde(default)]
    period: u64,
    num_uses: u64,
    #[serde(rename = "type")]
    kind: String,
}

impl Looked {
    /// After how long it ends, whatever anybody does.
    pub(super) fn end(&self) -> Duration {
        Duration::from_secs(self.explicit_max_ttl)
    }
}

impl Wanted<'_> {
    /// What is wrong with the answer to the log-in, in words.
    pub(super) fn difference(&self, auth: &AuthAnswer) -> Option<String> {
        let lists = [
            &auth.policies,
            &auth.token_policies,
            &auth.identity_policies,
        ];
        let carried = lists.into_iter().flatten().flatten();
        self.carries(carried.map(String::as_str))
            .or_else(|| self.is_usable(&auth.token_type, auth.num_uses))
            .or_else(|| {
                let life = Duration::from_secs(auth.lease_duration);
                if auth.lease_duration == 0 {
                    Some("it has no end".to_owned())
                } else if life < self.deadline {
                    Some(format!(
                        "it lives for {} s only, less than the task's `timeout`",
                        auth.lease_duration
                    ))
                } else if life > self.longest {
                    Some(self.too_long(auth.lease_duration))
                } else {
                    None
                }
            })
    }

    /// The same for what the answer does not show: a log-in can be renewed, so
    /// its end is the one that no renewal moves.
    pub(super) fn difference_seen(&self, token: &Looked) -> Option<String> {
        let lists = [Some(&token.policies), token.identity_policies.as_ref()];
        let carried = lists.into_iter().flatten().flatten();
        self.carries(carried.map(String::as_str))
            .or_else(|| self.is_usable(&token.kind, token.num_uses))
            .or_else(|| {
                if token.period > 0 {
                    Some("it is periodic and can be renewed for ever".to_owned())
                } else if token.explicit_max_ttl == 0 {
                    Some("it has no `explicit_max_ttl` and could outlive the attempt".to_owned())
                } else if Duration::from_secs(token.explicit_max_ttl) > self.longest {
                    Some(self.too_long(token.explicit_max_ttl))
                } else {
                    None
                }
            })
    }

    fn carries<'a>(&self, carried: impl Iterator<Item = &'a str>) -> Option<String> {
        let carried: BTreeSet<&str> = carried.collect();
        let wanted: BTreeSet<&str> = self.policies.iter().map(PolicyName::as_str).collect();
        let extra: Vec<_> = carried.difference(&wanted).copied().collect();
        let missing: Vec<_> = wanted.difference(&carried).copied().collect();
        if !extra.is_empty() {
            Some(format!("it also carries the policy {}", listed(&extra)))
        } else if !missing.is_empty() {
            Some(format!("it does not carry the policy {}", listed(&missing)))
        } else {
            None
        }
    }

    fn is_usable(&self, kind: &str, num_uses: u64) -> Option<String> {
        if kind != "service" {
            Some("it is not a service token".to_owned())
        } else if num_uses != 0 {
            Some("its number of uses is limited".to_owned())
        } else {
            None
        }
    }

    fn too_long(&self, seconds: u64) -> String {
        format!(
            "it lives for {seconds} s, more than the {} s that an attempt of this task may",
            self.longest.as_secs()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn policies(names: &[&str]) -> BTreeSet<PolicyName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn names(names: &[&str]) -> Option<Vec<String>> {
        Some(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn answer() -> AuthAnswer {
        AuthAnswer {
            client_token: Secret::new("s.0123456789"),
            accessor: "abcdefgh".to_owned(),
            policies: names(&["cofferdam-dag"]),
            token_policies: names(&["cofferdam-dag"]),
            identity_policies: None,
            entity_id: String::new(),
            lease_duration: 91,
            // As every log-in.
            renewable: true,
            token_type: "service".to_owned(),
            orphan: true,
            num_uses: 0,
        }
    }

    fn looked() -> Looked {
        Looked {
            policies: vec!["cofferdam-dag".to_owned()],
            identity_policies: None,
            explicit_max_ttl: 91,
            period: 0,
            num_uses: 0,
            kind: "service".to_owned(),
        }
    }

    #[test]
    fn the_answer_must_be_what_the_grants_say() {
        let policies = policies(&["cofferdam-dag"]);
        let wanted = Wanted {
            policies: &policies,
            deadline: Duration::from_secs(60),
            longest: Duration::from_secs(3_691),
        };
        let check = |change: &dyn Fn(&mut AuthAnswer)| {
            let mut auth = answer();
            change(&mut auth);
            wanted.difference(&auth)
        };
        assert_eq!(check(&|_| {}), None);
        assert_eq!(check(&|auth| auth.lease_duration = 3_691), None);
        type Change = fn(&mut AuthAnswer);
        let cases: [(Change, &str); 10] = [
            (
                |a| a.policies = names(&["cofferdam-dag", "default"]),
                "`default`",
            ),
            (|a| a.token_policies = names(&["a\u{1b}b"]), "`a\\u{1b}b`"),
            (|a| a.identity_policies = names(&["team-x"]), "`team-x`"),
            (
                |a| (a.policies, a.token_policies) = (None, None),
                "does not carry",
            ),
            (|a| a.token_type = "batch".to_owned(), "service"),
            (|a| a.token_type = String::new(), "service"),
            (|a| a.num_uses = 3, "uses"),
            (|a| a.lease_duration = 0, "no end"),
            (|a| a.lease_duration = 59, "59 s only"),
            (|a| a.lease_duration = 3_692, "more than the 3691 s"),
        ];
        for (change, word) in cases {
            let found = check(&change).expect(word);
            assert!(found.contains(word), "{found:?} names {word:?}");
        }

        let seen = |change: &dyn Fn(&mut Looked)| {
            let mut token = looked();
            change(&mut token);
            wanted.difference_seen(&token)
        };
        assert_eq!(seen(&|_| {}), None);
        type Seen = fn(&mut Looked);
        let cases: [(Seen, &str); 7] = [
            (|t| t.policies.push("default".to_owned()), "`default`"),
            (|t| t.policies.clear(), "does not carry"),
            (|t| t.identity_policies = names(&["team-x"]), "`team-x`"),
            (|t| t.period = 60, "periodic"),
            (|t| t.explicit_max_ttl = 0, "explicit_max_ttl"),
            (|t| t.explicit_max_ttl = 3_692, "more than"),
            (|t| t.kind = "batch".to_owned(), "service"),
        ];
        for (change, word) in cases {
            let found = seen(&change).expect(word);
            assert!(found.contains(word), "{found:?} names {word:?}");
        }
    }
}
