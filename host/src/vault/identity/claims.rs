//! What a JWT says of an attempt.

use std::fmt;

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use uuid::Uuid;

use crate::digest::Digest;
use crate::identity::{Assurance, Identity};
use crate::name::TaskName;

/// How long a JWT is good: it is used at once and never again.
pub(super) const LIFE_SECONDS: i64 = 60;

/// What is escaped in a subject: all but small letters, digits and `- . _`.
/// Capitals too, for Vault takes two aliases that differ only in case for one.
const ESCAPED: AsciiSet = {
    let mut set = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');
    let mut letter = b'A';
    while letter <= b'Z' {
        set = set.add(letter);
        letter += 1;
    }
    set
};

/// Who an attempt is to Vault, `cofferdam:ASSURANCE:BUNDLE:DAG:TASK_ID:TASK`:
/// the name of its alias.
///
/// The metadata of an alias is live: a log-in replaces it for every token of
/// the same subject, and a templated policy reads it anew at each request. So
/// two attempts may share a subject only when all that a policy may read of
/// them is the same, and each such thing is part of it. The parts are
/// percent-encoded, and the whole is lower-case, because Vault compares names
/// without case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(in crate::vault) struct Subject(String);

impl Subject {
    pub(in crate::vault) fn new(identity: &Identity, task: &TaskName) -> Self {
        let assurance = identity.assurance().to_string();
        let parts = [
            assurance.as_str(),
            identity.bundle(),
            identity.dag_id(),
            identity.task_id(),
            task.as_str(),
        ];
        let mut subject = String::from("cofferdam");
        for part in parts {
            subject.push(':');
            subject.extend(utf8_percent_encode(part, &ESCAPED));
        }
        // The digits of the escapes.
        Self(subject.to_ascii_lowercase())
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The payload of a JWT.
#[derive(Serialize)]
pub(super) struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a Subject,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
    cofferdam_run: &'a str,
    task: &'a str,
    component: String,
    bundle: &'a str,
    dag_id: &'a str,
    task_id: &'a str,
    run_id: &'a str,
    try_number: u32,
    map_index: i32,
    assurance: Assurance,
}

/// Whom the claims are about.
pub(super) struct About<'a> {
    pub(super) run: &'a str,
    pub(super) task: &'a TaskName,
    pub(super) component: &'a Digest,
    pub(super) identity: &'a Identity,
    pub(super) subject: &'a Subject,
}

impl<'a> Claims<'a> {
    /// Claims that hold from `now` on, for a minute.
    pub(super) fn new(iss: &'a str, aud: &'a str, now: Timestamp, about: &About<'a>) -> Self {
        let (identity, now) = (about.identity, now.as_second());
        Self {
            iss,
            aud,
            sub: about.subject,
            iat: now,
            nbf: now,
            exp: now + LIFE_SECONDS,
            jti: Uuid::now_v7().to_string(),
            cofferdam_run: about.run,
            task: about.task.as_str(),
            component: about.component.to_string(),
            bundle: identity.bundle(),
            dag_id: identity.dag_id(),
            task_id: identity.task_id(),
            run_id: identity.run_id(),
            try_number: identity.try_number(),
            map_index: identity.map_index(),
            assurance: identity.assurance(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::IdentityParts;

    fn identity(bundle: &str, dag_id: &str, task_id: &str, assurance: Assurance) -> Identity {
        IdentityParts {
            bundle: bundle.to_owned(),
            dag_id: dag_id.to_owned(),
            task_id: task_id.to_owned(),
            run_id: "r".to_owned(),
            try_number: 1,
            map_index: -1,
            logical_date: None,
            assurance,
        }
        .check()
        .unwrap()
    }

    fn subject(bundle: &str, dag_id: &str, task_id: &str) -> String {
        let identity = identity(bundle, dag_id, task_id, Assurance::Claimed);
        Subject::new(&identity, &"t".parse().unwrap()).to_string()
    }

    #[test]
    fn a_subject_is_readable_and_takes_no_part_for_another() {
        assert_eq!(
            subject("", "billing", "sync"),
            "cofferdam:claimed::billing:sync:t"
        );
        assert_eq!(
            subject("team-a", "Billing é:x%3a", "sync"),
            "cofferdam:claimed:team-a:%42illing%20%c3%a9%3ax%253a:sync:t"
        );
        assert_ne!(subject("a", "b:c", "d"), subject("a:b", "c", "d"));
        assert_ne!(subject("", "billing", "t"), subject("", "Billing", "t"));
        let attested = identity("", "billing", "sync", Assurance::Attested);
        assert_eq!(
            Subject::new(&attested, &"t".parse().unwrap()).to_string(),
            "cofferdam:attested::billing:sync:t"
        );
    }

    proptest! {
        /// As Vault compares them: without case.
        #[test]
        fn two_attempts_share_a_subject_only_when_every_part_is_the_same(
            one in prop::array::uniform3("[a-cA-C:%._ -]{1,4}"),
            other in prop::array::uniform3("[a-cA-C:%._ -]{1,4}"),
        ) {
            let fine = |parts: &[String; 3]| parts.iter().all(|part| part != "." && !part.contains(".."));
            prop_assume!(fine(&one) && fine(&other));
            let [first, second] = [&one, &other].map(|[a, b, c]| subject(a, b, c));
            prop_assert_eq!(one == other, first.to_lowercase() == second.to_lowercase());
        }
    }
}
