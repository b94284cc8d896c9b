//! KV reads that attempts share for a moment, when their grants say so.
//!
//! Only attempts of one [`Circle`] share: the same task, the same bytes of its
//! grants file, the same caller. Server and namespace are this process's own.
//! One attempt reads, and the others wait for it or take what it read, until
//! its time is over or any of them is refused anything. It is all in memory,
//! and wiped when the last who uses it lets go.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::path::KvPath;
use super::{Answer, KvData, VaultError};
use crate::digest::Digest;
use crate::identity::{Assurance, Identity};
use crate::lock::Mutex;
use crate::name::TaskName;

/// What attempts must have in common to share a read. Vault answers all of
/// them alike: it sees the same policy, and an identity that differs in nothing
/// that a policy can ask for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Circle {
    task: TaskName,
    grants: Digest,
    assurance: Assurance,
    bundle: String,
    dag_id: String,
    task_id: String,
}

/// A secret and where it came from.
#[derive(Debug, Clone)]
pub struct KvRead {
    /// The secret.
    pub data: Arc<KvData>,
    /// The id under which Vault audited the read that brought it.
    pub request_id: Option<String>,
    /// True when an earlier attempt had read it.
    pub is_cached: bool,
}

/// The reads that are shared now.
#[derive(Clone, Default)]
pub(super) struct Reads(Arc<Mutex<Places>>);

#[derive(Default)]
struct Places {
    map: HashMap<Key, Place>,
    /// Tells one read of a place from the next.
    count: u64,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    circle: Arc<Circle>,
    path: KvPath,
}

struct Place {
    number: u64,
    state: State,
}

enum State {
    /// Somebody reads; the channel closes when that has ended.
    Reading(watch::Receiver<Option<Failure>>),
    Kept(Kept),
}

struct Kept {
    data: Arc<KvData>,
    request_id: Option<String>,
    /// When Vault was asked.
    asked: Instant,
    until: Instant,
}

/// Why a reader has nothing to share: the outage that it met, or nothing that
/// concerns the others.
type Failure = Option<VaultError>;

/// The same for one more who waited.
fn again(failure: &Failure) -> Failure {
    failure.as_ref().and_then(VaultError::as_outage)
}

/// The one who reads. Dropped without success, the place is free again.
struct Reader<'a> {
    reads: &'a Reads,
    key: Key,
    number: u64,
    ended: watch::Sender<Option<Failure>>,
}

enum Found {
    Kept(KvRead),
    Reading(watch::Receiver<Option<Failure>>),
}

impl Circle {
    /// The circle of a task's attempts under one grants file for one caller.
    pub fn new(task: &TaskName, grants: Digest, identity: &Identity) -> Self {
        Self {
            task: task.clone(),
            grants,
            assurance: identity.assurance(),
            bundle: identity.bundle().to_owned(),
            dag_id: identity.dag_id().to_owned(),
            task_id: identity.task_id().to_owned(),
        }
    }

    /// The circle of an attempt that reads nothing.
    pub(super) fn of_nobody(task: &TaskName) -> Self {
        Self {
            task: task.clone(),
            grants: Digest::of(b""),
            assurance: Assurance::Claimed,
            bundle: String::new(),
            dag_id: String::new(),
            task_id: String::new(),
        }
    }
}

impl KvRead {
    fn own(answer: Answer<KvData>) -> Self {
        Self {
            data: Arc::new(answer.value),
            request_id: answer.request_id,
            is_cached: false,
        }
    }
}

impl Reads {
    /// What was read no longer than `age` ago, or the outcome of `read`. Of
    /// those who ask at the same time, one reads.
    pub(super) async fn get(
        &self,
        circle: &Arc<Circle>,
        path: &KvPath,
        age: Duration,
        read: impl Future<Output = Result<Answer<KvData>, VaultError>>,
    ) -> Result<KvRead, VaultError> {
        if age.is_zero() {
            return Ok(KvRead::own(read.await?));
        }
        let key = Key {
            circle: Arc::clone(circle),
            path: path.clone(),
        };
        let reader = loop {
            let mut ended = match self.find(&key, age) {
                Ok(reader) => break reader,
                Err(Found::Kept(kept)) => return Ok(kept),
                Err(Found::Reading(ended)) => ended,
            };
            // An error of this means that the reader is gone.
            let _ = ended.changed().await;
            let word = ended.borrow().as_ref().map(again);
            match word {
                // It has read, or left: somebody else reads then.
                None => {}
                // Whoever waited for one that found no Vault has waited long
                // enough, and Vault is not to be asked by all of them at once.
                Some(Some(outage)) => return Err(outage),
                // It was refused. That says nothing of this one, which waits for
                // nobody any more.
                Some(None) => return Ok(KvRead::own(read.await?)),
            }
        };
        let asked = Instant::now();
        let own = match read.await {
            Ok(answer) => KvRead::own(answer),
            Err(error) => {
                reader.ended.send_replace(Some(error.as_outage()));
                return Err(error);
            }
        };
        reader.keep(&own, asked, asked + age);
        Ok(own)
    }

    /// Forgets what this circle shares: somebody in it was refused.
    pub(super) fn forget(&self, circle: &Circle) {
        let forgotten: Vec<_> = {
            let mut places = self.0.lock();
            let of_circle = |key: &Key, _: &mut Place| *key.circle == *circle;
            places.map.extract_if(of_circle).collect()
        };
        // Wiped without the lock.
        drop(forgotten);
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        let forgotten = std::mem::take(&mut self.0.lock().map);
        drop(forgotten);
    }

    /// The right to read, or what is there already.
    fn find(&self, key: &Key, age: Duration) -> Result<Reader<'_>, Found> {
        let now = Instant::now();
        let mut places = self.0.lock();
        match places.map.get(key).map(|place| &place.state) {
            Some(State::Reading(ended)) => return Err(Found::Reading(ended.clone())),
            // Another grant of the same file may allow less.
            Some(State::Kept(kept)) if now < kept.until.min(kept.asked + age) => {
                return Err(Found::Kept(KvRead {
                    data: Arc::clone(&kept.data),
                    request_id: kept.request_id.clone(),
                    is_cached: true,
                }));
            }
            Some(State::Kept(_)) | None => {}
        }
        let (sender, ended) = watch::channel(None);
        places.count += 1;
        let number = places.count;
        let place = Place {
            number,
            state: State::Reading(ended),
        };
        places.map.insert(key.clone(), place);
        Ok(Reader {
            reads: self,
            key: key.clone(),
            number,
            ended: sender,
        })
    }

    /// Frees a place, unless it has been taken anew.
    fn remove(&self, key: &Key, number: u64) {
        let mut places = self.0.lock();
        if places.map.get(key).is_some_and(|it| it.number == number) {
            places.map.remove(key);
        }
    }
}

impl Reader<'_> {
    /// Shares what was read, unless it was to be forgotten meanwhile.
    fn keep(self, read: &KvRead, asked: Instant, until: Instant) {
        let kept = Kept {
            data: Arc::clone(&read.data),
            request_id: read.request_id.clone(),
            asked,
            until,
        };
        let (reads, key, number) = (self.reads.clone(), self.key.clone(), self.number);
        match reads.0.lock().map.get_mut(&key) {
            Some(place) if place.number == number => place.state = State::Kept(kept),
            _ => return,
        }
        // Not at the next use: there may be none.
        tokio::spawn(async move {
            sleep_until(until).await;
            reads.remove(&key, number);
        });
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut places = self.reads.0.lock();
        if let Some(place) = places.map.get(&self.key)
            && place.number == self.number
            && matches!(place.state, State::Reading(_))
        {
            places.map.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::identity::IdentityParts;
    use crate::secret::Secret;

    const AGE: Duration = Duration::from_secs(30);

    fn circle(dag_id: &str, grants: &str) -> Arc<Circle> {
        let identity = IdentityParts {
            bundle: String::new(),
            dag_id: dag_id.to_owned(),
            task_id: "t".to_owned(),
            run_id: "r".to_owned(),
            try_number: 1,
            map_index: -1,
            logical_date: None,
            assurance: Assurance::Claimed,
        };
        let identity = identity.check().expect("fine");
        let task = "billing".parse().expect("fine");
        Arc::new(Circle::new(&task, Digest::of(grants.as_bytes()), &identity))
    }

    fn path() -> KvPath {
        KvPath::V1 {
            mount: "kv".parse().expect("fine"),
            path: "billing".parse().expect("fine"),
        }
    }

    /// A server that counts, and answers after 10 ms.
    #[derive(Default)]
    struct Server(AtomicU32);

    impl Server {
        async fn read(&self) -> Result<Answer<KvData>, VaultError> {
            let number = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
            let fields = [("token".to_owned(), Secret::new("canary-0123"))];
            Ok(Answer {
                value: KvData {
                    fields: fields.into(),
                    version: None,
                },
                request_id: Some(format!("read-{number}")),
            })
        }

        async fn fail(&self) -> Result<Answer<KvData>, VaultError> {
            self.read().await?;
            Err(VaultError::Closed)
        }

        fn count(&self) -> u32 {
            self.0.load(Ordering::SeqCst)
        }
    }

    /// Which read served, and whether it was an earlier one.
    async fn get(reads: &Reads, circle: &Arc<Circle>, age: Duration, of: &Server) -> (u32, bool) {
        let read = reads.get(circle, &path(), age, of.read()).await;
        let read = read.expect("read");
        let number = read.request_id.expect("an id");
        let number = number.strip_prefix("read-").and_then(|it| it.parse().ok());
        (number.expect("a number"), read.is_cached)
    }

    #[tokio::test(start_paused = true)]
    async fn is_read_anew_when_its_time_is_over_and_wiped_without_being_asked() {
        let (reads, server, here) = (Reads::default(), Server::default(), circle("a", "x"));
        assert_eq!(get(&reads, &here, AGE, &server).await, (1, false));
        assert_eq!(get(&reads, &here, AGE, &server).await, (1, true));
        // A grant that allows less age, and one that allows none.
        tokio::time::sleep(AGE / 2).await;
        assert_eq!(get(&reads, &here, AGE, &server).await, (1, true));
        assert_eq!(
            get(&reads, &here, Duration::ZERO, &server).await,
            (2, false)
        );
        assert_eq!(get(&reads, &here, AGE / 3, &server).await, (3, false));
        tokio::time::sleep(AGE / 3).await;
        assert!(reads.0.lock().map.is_empty(), "its time is over");
        assert_eq!(get(&reads, &here, AGE, &server).await, (4, false));
    }

    #[tokio::test(start_paused = true)]
    async fn circles_do_not_share() {
        let (reads, server) = (Reads::default(), Server::default());
        for other in [circle("a", "x"), circle("a", "y"), circle("b", "x")] {
            assert!(!get(&reads, &other, AGE, &server).await.1, "{other:?}");
        }
        assert_eq!(
            get(&reads, &circle("a", "x"), AGE, &server).await,
            (1, true)
        );
        reads.forget(&circle("a", "x"));
        assert_eq!(
            get(&reads, &circle("b", "x"), AGE, &server).await,
            (3, true)
        );
        assert_eq!(
            get(&reads, &circle("a", "x"), AGE, &server).await,
            (4, false)
        );
        reads.clear();
        assert_eq!(
            get(&reads, &circle("b", "x"), AGE, &server).await,
            (5, false)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn one_reads_for_all_who_ask_at_once() {
        let (reads, server, here) = (Reads::default(), Server::default(), circle("a", "x"));
        let asked = (0..20).map(|_| get(&reads, &here, AGE, &server));
        let answers = futures_util::future::join_all(asked).await;
        assert_eq!(server.count(), 1);
        assert_eq!(answers.iter().filter(|(_, cached)| *cached).count(), 19);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_fails_or_leaves_holds_up_nobody() {
        let (reads, server, here) = (Reads::default(), Server::default(), circle("a", "x"));
        let start = Instant::now();
        let failing = (0..20).map(|_| {
            let (reads, here, server) = (&reads, &here, &server);
            async move { reads.get(here, &path(), AGE, server.fail()).await }
        });
        let answers = futures_util::future::join_all(failing).await;
        assert!(answers.iter().all(Result::is_err));
        assert_eq!(server.count(), 20);
        // The first alone, and then all the others together.
        assert!(start.elapsed() < Duration::from_millis(30));

        let path = path();
        let leaving = reads.get(&here, &path, AGE, server.read());
        let left = tokio::time::timeout(Duration::from_millis(1), leaving).await;
        assert!(left.is_err());
        assert!(reads.0.lock().map.is_empty(), "the place is free");
        assert_eq!(get(&reads, &here, AGE, &server).await, (22, false));
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_one_who_reads_leaves_one_other_reads() {
        let (reads, server, here) = (Reads::default(), Server::default(), circle("a", "x"));
        let path = path();
        let leaving = tokio::time::timeout(
            Duration::from_millis(1),
            reads.get(&here, &path, AGE, server.read()),
        );
        let asking = (0..20).map(|_| get(&reads, &here, AGE, &server));
        let asking = futures_util::future::join_all(asking);
        let (left, answers) = tokio::join!(biased; leaving, asking);
        assert!(left.is_err());
        assert_eq!(server.count(), 2);
        assert_eq!(answers.iter().filter(|(_, cached)| *cached).count(), 19);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waited_for_one_that_found_no_vault_does_not_ask_too() {
        let (reads, server, here) = (Reads::default(), Server::default(), circle("a", "x"));
        let asking = (0..20).map(|_| {
            let (reads, here, server) = (&reads, &here, &server);
            let sealed = async move {
                server.read().await?;
                let address = "http://127.0.0.1:1".to_owned();
                Err(VaultError::Sealed { address })
            };
            async move { reads.get(here, &path(), AGE, sealed).await }
        });
        for answer in futures_util::future::join_all(asking).await {
            assert!(matches!(answer, Err(VaultError::Sealed { .. })));
        }
        assert_eq!(server.count(), 1);
        // Whoever comes later asks.
        assert_eq!(get(&reads, &here, AGE, &server).await, (2, false));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_forgotten_while_it_is_read_is_not_kept() {
        let (reads, server, here) = (Reads::default(), Server::default(), circle("a", "x"));
        let (own, ()) = tokio::join!(get(&reads, &here, AGE, &server), async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            reads.forget(&here);
        });
        assert_eq!(own, (1, false));
        assert_eq!(get(&reads, &here, AGE, &server).await, (2, false));
    }
}
