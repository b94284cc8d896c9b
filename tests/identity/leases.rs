//! Leases of attempts that log in as themselves.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cofferdam::vault::path::LeasedPath;
use cofferdam::vault::{LeaseState, LeaseWatcher, Session, SessionHandle, Vault};
use cofferdam_devkit::postgres::{DatabaseRole, Options, Postgres};
use serde_json::json;

use super::stage::{Stage, open};

/// What became of leases, one word each.
#[derive(Default)]
struct Told(Mutex<Vec<&'static str>>);

impl LeaseWatcher for Told {
    fn renewed(&self, _: u32, _: Duration, _: Option<&str>) {
        self.0.lock().unwrap().push("renewed");
    }

    fn given_up(&self, _: u32, reason: &'static str) {
        self.0.lock().unwrap().push(reason);
    }
}

/// A stage with a database whose users live for three seconds.
async fn set() -> (Stage, Postgres) {
    let stage = Stage::set().await;
    let postgres = Postgres::start(Options::default()).unwrap();
    let bao = &stage.world.bao;
    bao.connect_database(&postgres, postgres.socket())
        .await
        .unwrap();
    let role = DatabaseRole {
        ttl: "3s",
        max_ttl: "1h",
        ..DatabaseRole::new("reader")
    };
    bao.database_role(&role).await.unwrap();
    let policy = "path \"database/creds/reader\" { capabilities = [\"read\"] }\n";
    stage
        .write("sys/policies/acl/cofferdam-dag", json!({"policy": policy}))
        .await;
    (stage, postgres)
}

fn reader() -> LeasedPath {
    LeasedPath {
        mount: "database".parse().unwrap(),
        path: "creds/reader".parse().unwrap(),
    }
}

/// Ends the host's log-in as an operator does.
async fn end_the_log_in(stage: &Stage) {
    for accessor in stage.world.living().await {
        let (_, found) = stage.world.lookup(&accessor).await;
        if found["data"]["policies"] == json!(["cofferdam-host"]) {
            let body = json!({"accessor": accessor});
            let path = "auth/token/revoke-accessor";
            stage.world.root("POST", path, Some(body)).await;
        }
    }
}

async fn lease(handle: &SessionHandle, told: &Arc<Told>) -> LeaseState {
    let watcher: Arc<dyn LeaseWatcher> = Arc::<Told>::clone(told);
    let leased = handle.dynamic(&reader(), watcher).await;
    leased
        .map_err(|error| format!("{error:?}"))
        .unwrap()
        .value
        .state
}

async fn closes(stage: Stage, postgres: Postgres, session: Session, vault: Vault) {
    let revocation = session.close().await;
    assert!(revocation.complete, "{revocation:?}");
    assert_eq!(postgres.made_users().await.unwrap(), Vec::<String>::new());
    stage.nothing_is_left(vault).await;
}

/// The attempt's token is no child of the host's log-in, and its lease hangs
/// on that token.
#[tokio::test]
async fn a_lease_outlives_the_hosts_log_in_and_is_renewed_by_the_next() {
    let (stage, postgres) = set().await;
    let vault = stage.vault();
    let session = open(&vault, "one", "billing").await;
    let told = Arc::default();
    let state = lease(&session.handle(), &told).await;
    end_the_log_in(&stage).await;
    assert_eq!(postgres.made_users().await.unwrap().len(), 1);

    // Twice its first life.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let seen = told.0.lock().unwrap().clone();
    assert!(seen.len() >= 2, "{seen:?}");
    assert!(seen.iter().all(|word| *word == "renewed"), "{seen:?}");
    assert!(!state.has_ended() && !state.is_ending());
    assert_eq!(postgres.made_users().await.unwrap().len(), 1);
    closes(stage, postgres, session, vault).await;
}

/// The control: what ended with its own token is not held for alive.
#[tokio::test]
async fn a_lease_whose_own_token_died_ends() {
    let (stage, postgres) = set().await;
    let vault = stage.vault();
    let session = open(&vault, "one", "billing").await;
    let told = Arc::default();
    let state = lease(&session.handle(), &told).await;
    for accessor in stage.world.living().await {
        let body = json!({"accessor": accessor});
        let path = "auth/token/revoke-accessor";
        stage.world.root("POST", path, Some(body)).await;
    }
    tokio::time::timeout(Duration::from_secs(10), state.ended())
        .await
        .expect("it ends");
    assert_eq!(told.0.lock().unwrap().clone(), ["gone"]);
    closes(stage, postgres, session, vault).await;
}
