//! A thousand attempts of one process end at once.

use std::time::{Duration, Instant};

use cofferdam::vault::{Revocation, Session, Vault};
use cofferdam_devkit::proxy::{Fault, Proxy, Rule, Span};
use tokio::task::JoinSet;

use crate::leaks::traces::no_token_is_written;
use crate::vault::world::{World, config, open};

const ATTEMPTS: usize = 1_000;
/// More than get a place while Vault is silent.
const CROWD: usize = 160;
/// The most revocations of attempts that may be under way at once.
const AT_ONCE: usize = 32;
/// How long it may take the proxy to notice that a call was given up.
const NOTICED: Duration = Duration::from_millis(100);

/// A process with so many open attempts, and the proxy before its server.
struct Crowd {
    world: World,
    proxy: Proxy,
    vault: Vault,
    sessions: Vec<Session>,
}

impl Crowd {
    async fn of(attempts: usize) -> Self {
        let world = World::start().await;
        let proxy = Proxy::start(world.bao.socket()).unwrap();
        let text = format!(
            "address = {:?}\n[auth.approle]\nrole_id_file = {:?}\nsecret_id_file = {:?}\n",
            proxy.address(),
            world.files.role_id_file,
            world.files.secret_id_file,
        );
        let vault = Vault::new(config(&text), &world.state()).unwrap();
        let mut opening = JoinSet::new();
        for number in 0..attempts {
            let vault = vault.clone();
            opening.spawn(async move { open(&vault, &format!("a{number}")).await });
        }
        let sessions = opening.join_all().await;
        assert_eq!(world.living().await.len(), attempts + 1);
        Self {
            world,
            proxy,
            vault,
            sessions,
        }
    }

    /// Ends all attempts at once; what became of each, and how long it took.
    async fn end(&mut self) -> (Vec<Revocation>, Duration) {
        let begun = Instant::now();
        let mut closing = JoinSet::new();
        for session in self.sessions.drain(..) {
            closing.spawn(session.close());
        }
        (closing.join_all().await, begun.elapsed())
    }

    /// The revocations of attempts that the proxy has seen.
    fn revocations(&self) -> Vec<Span> {
        let mut spans = self.proxy.spans();
        spans.retain(|span| span.target.ends_with("revoke-accessor"));
        spans.sort_by_key(|span| span.from);
        spans
    }
}

/// How many of these were under way at the busiest moment.
fn peak(spans: &[Span]) -> usize {
    let at = |moment: Instant| {
        let under_way = |span: &&Span| span.from <= moment && moment < span.to;
        spans.iter().filter(under_way).count()
    };
    let busiest = spans.iter().map(|span| at(span.from)).max();
    busiest.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_attempts_that_end_together_do_not_storm_the_server() {
    let mut crowd = Crowd::of(ATTEMPTS).await;
    // So slow that they would pile up.
    let slow = Rule::on("POST", "revoke", Fault::Delay(Duration::from_millis(20)));
    let slow = crowd.proxy.inject(slow);
    let (ended, took) = crowd.end().await;
    let complete = ended.iter().filter(|ended| ended.complete).count();
    assert_eq!(complete, ATTEMPTS);
    assert!(slow.hits() >= 1_000);
    assert!(took < Duration::from_secs(20), "{took:?}");

    // The proxy writes an answer down after it has passed it on.
    crate::common::until("the proxy has seen all", || {
        crowd.revocations().len() >= ATTEMPTS
    });
    let revocations = crowd.revocations();
    assert_eq!(revocations.len(), ATTEMPTS, "each is asked for once");
    let peak = peak(&revocations);
    println!("{took:?}, {peak} at once");
    assert!((2..=AT_ONCE).contains(&peak), "{peak} revocations at once");
    // They do not march in step: no moment sees a whole rank of them begin.
    let together = revocations
        .windows(AT_ONCE)
        .skip(1)
        .filter(|rank| rank[AT_ONCE - 1].from - rank[0].from < Duration::from_micros(500))
        .count();
    assert!(together < ATTEMPTS / 10, "{together} ranks began together");

    assert_eq!(crowd.world.living().await.len(), 1, "the log-in alone");
    assert!(crowd.vault.close().await.expect("a log-in").complete);
    assert!(crowd.world.living().await.is_empty());
    assert!(crowd.world.journal().is_empty());
    no_token_is_written(crowd.world.folder.path(), &crowd.proxy);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_ends_while_vault_is_silent_is_told_in_time_and_swept() {
    let mut crowd = Crowd::of(CROWD).await;
    let silent = crowd.proxy.inject(Rule::on("*", "", Fault::NeverAnswer));
    let (ended, took) = crowd.end().await;
    println!("{took:?}, {} calls", silent.hits());
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert!(
        ended
            .iter()
            .all(|ended| !ended.complete && ended.reason.is_some())
    );
    assert!((1..=3 * CROWD as u64).contains(&silent.hits()));
    // Those whose turn came, and those whose turn did not.
    for reason in ["unreachable", "no_time"] {
        assert!(
            ended.iter().any(|ended| ended.reason == Some(reason)),
            "{reason}"
        );
    }
    // A journal of all of them, and nothing forgotten.
    let living = crowd.world.living().await.len();
    assert_eq!(living, CROWD + 1);
    assert_eq!(crowd.world.journal().len(), living);
    // That a call was given up reaches the proxy a moment later, and by then
    // the next one may have begun.
    let mut given_up = crowd.revocations();
    for span in &mut given_up {
        span.to -= NOTICED;
    }
    let peak = peak(&given_up);
    assert!((1..=AT_ONCE).contains(&peak), "{peak} revocations at once");
    drop(silent);

    // The log-in's end would take them along; the sweep does it one by one.
    let report = crowd.vault.sweep().await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.found.len(), CROWD);
    assert!(crowd.vault.close().await.expect("a log-in").complete);
    assert!(crowd.world.living().await.is_empty());
    assert!(crowd.world.journal().is_empty());
    no_token_is_written(crowd.world.folder.path(), &crowd.proxy);
}
