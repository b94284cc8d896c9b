//! What the journal says of one token, in lines of JSON: an intent, the accessor, leases.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Keep;
use crate::vault::accessor::Accessor;
use crate::vault::lease::LeaseId;

/// The form of the lines; another number is left alone.
const FORM: u8 = 1;

/// What kind of token a record stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AuthorityKind {
    /// A process's log-in.
    Login,
    /// The token of one attempt.
    Attempt,
}

/// The first line: written before the token is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::vault) struct Intent {
    form: u8,
    /// Log-in or attempt.
    pub(in crate::vault) kind: AuthorityKind,
    /// The run's id, or an id of the log-in's own.
    pub(in crate::vault) id: String,
    /// The task of an attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::vault) task: Option<String>,
    /// Which server; an accessor means nothing to another one.
    pub(in crate::vault) server: String,
    /// Which cluster answered there, when it told: an address may come to stand
    /// for another one. Files of older versions do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::vault) cluster: Option<String>,
    /// Which namespace of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::vault) namespace: Option<String>,
    /// When the token was asked for, by Vault's clock if that was known.
    pub(in crate::vault) created: Timestamp,
    /// When it is dead in any case, as far as is known at that moment.
    pub(in crate::vault) expires: Timestamp,
}

/// The second line: written before the token is used.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Made {
    accessor: Accessor,
}

/// Each further line: written before the credential is used.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Leased {
    lease: LeaseId,
}

/// What is known of one token.
#[derive(Clone)]
pub(super) struct Record {
    pub(super) intent: Intent,
    /// None when the token had not been used.
    pub(super) accessor: Option<Accessor>,
    pub(super) leases: Vec<LeaseId>,
    /// What it has to outlive.
    pub(super) keep: Keep,
    /// How many whole lines make no sense.
    pub(super) unreadable: usize,
}

impl Intent {
    /// An intent of this form.
    pub(in crate::vault) fn new(
        kind: AuthorityKind,
        id: String,
        task: Option<String>,
        server: String,
        namespace: Option<String>,
        created: Timestamp,
        lives_at_most: std::time::Duration,
    ) -> Self {
        Self {
            form: FORM,
            kind,
            id,
            task,
            server,
            cluster: None,
            namespace,
            created,
            // Beyond the calendar's end means for ever.
            expires: created.checked_add(lives_at_most).unwrap_or(Timestamp::MAX),
        }
    }

    /// The same at the cluster of this id; none for one that is no plain id.
    pub(in crate::vault) fn in_cluster(mut self, id: Option<&str>) -> Self {
        let id = id.filter(|id| is_plain(id));
        self.cluster = id.map(str::to_owned);
        self
    }

    /// A name for a file of its own. It has an id of its own too: a run may have
    /// several attempts.
    pub(super) fn file_name(&self) -> String {
        format!("{}-{}.json", self.kind, uuid::Uuid::now_v7())
    }

    /// The first line.
    pub(super) fn line(&self) -> Vec<u8> {
        line(self)
    }
}

impl Record {
    /// Nothing but this is known yet.
    pub(super) fn new(intent: Intent) -> Self {
        Self {
            intent,
            accessor: None,
            leases: Vec::new(),
            keep: Keep::WithLogin,
            unreadable: 0,
        }
    }

    /// All of it.
    pub(super) fn lines(&self) -> Vec<u8> {
        let mut lines = self.intent.line();
        lines.extend(self.accessor.iter().flat_map(made_line));
        lines.extend(self.leases.iter().flat_map(lease_line));
        lines
    }

    /// Whether this is the other one, and nothing that the other one names is
    /// missing here. No two intents are the same to the nanosecond.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.intent == other.intent
            && (other.accessor.is_none() || self.accessor == other.accessor)
            && (other.leases.iter()).all(|lease| self.leases.contains(lease))
    }
}

/// Letters, digits and hyphens, and not many.
fn is_plain(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The second line.
pub(super) fn made_line(accessor: &Accessor) -> Vec<u8> {
    line(&Made {
        accessor: accessor.clone(),
    })
}

/// A further line.
pub(super) fn lease_line(lease: &LeaseId) -> Vec<u8> {
    line(&Leased {
        lease: lease.clone(),
    })
}

fn line(value: &impl Serialize) -> Vec<u8> {
    // These types have nothing that JSON cannot hold; an empty line would be
    // found unreadable by the sweep, never taken for dead.
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Reads the lines of one token. `None` when it is not of our making. A later line that was
/// cut off counts as absent: what it names had not been used. One that makes
/// no sense, such as two that were glued together, takes nothing from the
/// others: what they name can still be ended.
pub(super) fn parse(text: &[u8]) -> Option<Record> {
    let mut lines = text.split_inclusive(|&b| b == b'\n');
    let intent: Intent = serde_json::from_slice(lines.next()?).ok()?;
    if intent.form != FORM {
        return None;
    }
    let mut record = Record::new(intent);
    for line in lines.filter(|line| line.ends_with(b"\n")) {
        if let Ok(Leased { lease }) = serde_json::from_slice(line) {
            record.leases.push(lease);
        } else if record.accessor.is_none()
            && let Ok(Made { accessor }) = serde_json::from_slice(line)
        {
            record.accessor = Some(accessor);
        } else {
            record.unreadable += 1;
        }
    }
    Some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intent() -> Intent {
        Intent::new(
            AuthorityKind::Attempt,
            "0198-abc".to_owned(),
            Some("hello".to_owned()),
            "http://127.0.0.1:8200".to_owned(),
            None,
            Timestamp::UNIX_EPOCH,
            std::time::Duration::from_secs(60),
        )
    }

    #[test]
    fn reads_back_what_it_wrote() {
        let accessor = Accessor::try_from("abcdefgh".to_owned()).expect("fine");
        let mut text = intent().line();
        let first = text.len();
        let read = parse(&text).expect("intent");
        assert_eq!(read.intent.id, "0198-abc");
        assert!(read.accessor.is_none());

        let second = made_line(&accessor);
        text.extend_from_slice(&second[..second.len() / 2]);
        assert!(parse(&text).expect("torn").accessor.is_none());

        text.truncate(first);
        text.extend_from_slice(&second);
        let read = parse(&text).expect("whole");
        assert_eq!(read.accessor.expect("made").expose(), "abcdefgh");
        assert!(read.leases.is_empty());

        for lease in ["database/creds/a/1", "database/creds/a/2"] {
            let lease = LeaseId::try_from(lease.to_owned()).expect("fine");
            text.extend_from_slice(&lease_line(&lease));
        }
        text.extend_from_slice(b"{\"lease\":\"torn");
        let leases = parse(&text).expect("leased").leases;
        let leases: Vec<_> = leases.iter().map(LeaseId::expose).collect();
        assert_eq!(leases, ["database/creds/a/1", "database/creds/a/2"]);
    }

    /// A line that a full disk cut in the middle, and the next one after it.
    #[test]
    fn a_torn_line_in_the_middle_costs_nothing_else() {
        let accessor = made_line(&Accessor::try_from("abcdefgh".to_owned()).expect("fine"));
        let lease = |name: &str| {
            lease_line(&LeaseId::try_from(format!("database/creds/a/{name}")).expect("fine"))
        };
        let (one, two, three) = (lease("1"), lease("2"), lease("3"));
        let half = |line: &[u8]| line.get(..line.len() / 2).expect("half").to_vec();
        let read = |lines: &[&[u8]]| {
            let text = [&intent().line()[..], &lines.concat()[..]].concat();
            let record = parse(&text).expect("usable");
            let leases: Vec<_> = (record.leases.iter())
                .map(|lease| lease.expose().to_owned())
                .collect();
            (
                record.accessor.is_some(),
                leases.join(" "),
                record.unreadable,
            )
        };
        let names = |names: &[&str]| {
            let names: Vec<_> = (names.iter())
                .map(|name| format!("database/creds/a/{name}"))
                .collect();
            names.join(" ")
        };
        // The control.
        assert_eq!(
            read(&[&accessor, &one, &two, &three]),
            (true, names(&["1", "2", "3"]), 0)
        );
        // Glued to the next one: both are lost, and no other.
        assert_eq!(
            read(&[&accessor, &one, &half(&two), &three, &one]),
            (true, names(&["1", "1"]), 1)
        );
        assert_eq!(
            read(&[&accessor, &one, &half(&two), b"\n", &three]),
            (true, names(&["1", "3"]), 1)
        );
        assert_eq!(
            read(&[&half(&accessor), b"\n", &one, b"\0\0\n", &two]),
            (false, names(&["1", "2"]), 2)
        );
        // A second accessor names another token: it is not taken for this one.
        let other = made_line(&Accessor::try_from("ijklmnop".to_owned()).expect("fine"));
        assert_eq!(read(&[&accessor, &other, &one]), (true, names(&["1"]), 1));
    }

    #[test]
    fn a_file_names_its_cluster_or_is_older_than_that() {
        let of = |id| parse(&intent().in_cluster(id).line()).expect("read").intent;
        assert_eq!(of(Some("c0-ffee")).cluster.as_deref(), Some("c0-ffee"));
        let long = "x".repeat(65);
        for none in [None, Some(""), Some("a/b"), Some(long.as_str())] {
            assert_eq!(of(none).cluster, None);
            let line = intent().in_cluster(none).line();
            assert!(!String::from_utf8_lossy(&line).contains("cluster"));
        }
    }

    #[test]
    fn leaves_alone_what_it_does_not_know() {
        for text in ["", "\n", "{}\n", "garbage", "{\"form\":1}\n"] {
            assert!(parse(text.as_bytes()).is_none(), "{text:?}");
        }
        let mut newer = intent();
        newer.form = 2;
        assert!(parse(&newer.line()).is_none());
    }
}
