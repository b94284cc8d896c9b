//! A great many attempts of one process that end together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam::vault::path::LeasedPath;
use cofferdam::vault::{LeaseWatcher, Session};
use cofferdam_devkit::postgres::{DatabaseRole, Options, Postgres};
use futures_util::future::join_all;
use serde_json::json;

use crate::vault::world::{World, open};

/// As many database users at the same time.
const CROWD: usize = 80;

struct Nobody;

impl LeaseWatcher for Nobody {
    fn renewed(&self, _lease: u32, _ttl: Duration, _request_id: Option<&str>) {}
    fn given_up(&self, _lease: u32, _reason: &'static str) {}
}

#[tokio::test]
async fn attempts_that_end_together_leave_no_user() {
    let world = World::start().await;
    let postgres = Postgres::start(Options::default()).unwrap();
    let bao = &world.bao;
    bao.connect_database(&postgres, postgres.socket())
        .await
        .unwrap();
    bao.database_role(&DatabaseRole::new("reader"))
        .await
        .unwrap();
    let rule = "path \"database/creds/reader\" { capabilities = [\"read\"] }";
    let policy = "sys/policies/acl/cofferdam-task-billing";
    world
        .root("PUT", policy, Some(json!({ "policy": rule })))
        .await;
    let path = LeasedPath {
        mount: "database".parse().unwrap(),
        path: "creds/reader".parse().unwrap(),
    };
    let vault = world.vault();
    let mut sessions = Vec::new();
    for number in 0..CROWD {
        let session = open(&vault, &format!("r{number}")).await;
        let leased = session.handle().dynamic(&path, Arc::new(Nobody)).await;
        let leased = leased.unwrap().value;
        assert!(!leased.state.has_ended() && leased.renewable);
        sessions.push((session, leased.state));
    }
    assert_eq!(postgres.made_users().await.unwrap().len(), CROWD);

    let begun = Instant::now();
    let (sessions, states): (Vec<_>, Vec<_>) = sessions.into_iter().unzip();
    let ends = join_all(sessions.into_iter().map(Session::close)).await;
    assert!(begun.elapsed() < Duration::from_secs(20));
    for end in &ends {
        let count = end.lease_count().expect("a lease");
        assert!(
            end.complete && (count.revoked, count.left) == (1, 0),
            "{end:?}"
        );
    }
    // Whoever held on to one is told.
    for state in states {
        state.ended().await;
    }
    assert_eq!(postgres.made_users().await.unwrap(), Vec::<String>::new());
    let leases = bao.leases("database/creds/reader").await.unwrap();
    assert_eq!(leases, Vec::<String>::new());
    assert!(vault.close().await.expect("a log-in").complete);
    assert!(world.living().await.is_empty());
    assert!(world.journal().is_empty());
}
