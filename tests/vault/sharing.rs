//! What attempts share of what they read, counted by the server itself.

use std::time::Duration;

use cofferdam::vault::path::KvPath;
use cofferdam::vault::{KvRead, Session, SessionHandle, Vault, VaultErrorKind};
use futures_util::future::join_all;
use serde_json::json;

use super::world::{CANARY, World, attempt_of, open};

const AGE: Duration = Duration::from_secs(30);

fn billing() -> KvPath {
    KvPath::V2 {
        mount: "secret".parse().unwrap(),
        path: "billing".parse().unwrap(),
        version: None,
    }
}

/// Not in the policy.
fn forbidden() -> KvPath {
    KvPath::V1 {
        mount: "kv1".parse().unwrap(),
        path: "other".parse().unwrap(),
    }
}

async fn shared(handle: &SessionHandle, age: Duration) -> KvRead {
    let read = handle.kv_shared(&billing(), age).await.unwrap();
    assert_eq!(read.data.fields["token"].expose_str(), Some(CANARY));
    read
}

/// How often the server was asked for the secret.
fn reads(world: &World) -> usize {
    let mut answers = world.bao.answers_to("secret/data/billing").unwrap();
    answers.retain(|answer| answer["request"]["operation"] == "read");
    answers.len()
}

/// Opens an attempt under a grants file with these bytes.
async fn open_under(vault: &Vault, run: &str, grants: &str) -> Session {
    let attempt = attempt_of(run, grants, "billing");
    let secrets = cofferdam::scrub::SecretSet::default();
    vault.open(attempt, &secrets).await.unwrap()
}

#[tokio::test]
async fn attempts_of_one_kind_share_a_read_and_others_do_not() {
    let world = World::start().await;
    let vault = world.vault();
    let (one, two) = (open(&vault, "one").await, open(&vault, "two").await);
    let first = shared(&one.handle(), AGE).await;
    let second = shared(&two.handle(), AGE).await;
    assert_eq!((first.is_cached, second.is_cached), (false, true));
    assert!(first.request_id.is_some());
    assert_eq!(first.request_id, second.request_id, "of the filling read");
    assert_eq!(reads(&world), 1);

    let changed = open_under(&vault, "three", "other bytes").await;
    assert!(!shared(&changed.handle(), AGE).await.is_cached);
    assert_eq!(reads(&world), 2, "another grants file");
    let attempt = attempt_of("four", "", "another-dag");
    let stranger = vault.open(attempt, &Default::default()).await.unwrap();
    assert!(!shared(&stranger.handle(), AGE).await.is_cached);
    assert_eq!(reads(&world), 3, "another caller");
    assert!(!shared(&two.handle(), Duration::ZERO).await.is_cached);
    assert_eq!(reads(&world), 4, "a grant that shares nothing");

    // Its authority is over, whatever is in memory.
    let (late, sessions) = (two.handle(), [one, two, changed, stranger]);
    for session in sessions {
        assert!(session.close().await.complete);
    }
    let error = late.kv_shared(&billing(), AGE).await.expect_err("closed");
    assert_eq!(error.reason(), "closed");
    vault.close().await;
}

#[tokio::test]
async fn what_is_too_old_is_read_anew() {
    let world = World::start().await;
    let vault = world.vault();
    let session = open(&vault, "one").await;
    let age = Duration::from_millis(300);
    assert!(!shared(&session.handle(), age).await.is_cached);
    tokio::time::sleep(age).await;
    assert!(!shared(&session.handle(), age).await.is_cached);
    assert_eq!(reads(&world), 2);
    session.close().await;
    vault.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_attempts_at_once_read_once() {
    let world = World::start().await;
    let vault = world.vault();
    let names: Vec<_> = (0..20).map(|number| format!("run-{number}")).collect();
    let sessions = join_all(names.iter().map(|name| open(&vault, name))).await;
    let handles: Vec<_> = sessions.iter().map(Session::handle).collect();
    let answers = join_all(handles.iter().map(|handle| shared(handle, AGE))).await;
    assert_eq!(answers.iter().filter(|read| !read.is_cached).count(), 1);
    assert_eq!(reads(&world), 1);
    for revoked in join_all(sessions.into_iter().map(Session::close)).await {
        assert!(revoked.complete);
    }
    vault.close().await;
}

#[tokio::test]
async fn a_refusal_of_any_attempt_ends_the_sharing() {
    let world = World::start().await;
    let vault = world.vault();
    let (one, two) = (open(&vault, "one").await, open(&vault, "two").await);
    shared(&one.handle(), AGE).await;
    assert!(shared(&two.handle(), AGE).await.is_cached);

    // Refused something else.
    let error = two.handle().kv(&forbidden()).await.expect_err("refused");
    assert_eq!(error.kind(), VaultErrorKind::Denied);
    assert!(!shared(&one.handle(), AGE).await.is_cached);
    assert_eq!(reads(&world), 2);

    // The task's right is taken away. Whoever only takes what is shared cannot
    // know; the first who asks finds out, for all.
    let policy = "sys/policies/acl/cofferdam-task-billing";
    let nothing = json!({ "policy": "path \"kv1/gone\" { capabilities = [\"read\"] }" });
    let (status, _) = world.root("POST", policy, Some(nothing)).await;
    assert_eq!(status, 204);
    assert!(shared(&two.handle(), AGE).await.is_cached);
    let error = one.handle().kv_shared(&billing(), Duration::ZERO).await;
    assert_eq!(error.expect_err("refused").kind(), VaultErrorKind::Denied);
    let error = two.handle().kv_shared(&billing(), AGE).await;
    assert_eq!(error.expect_err("refused").kind(), VaultErrorKind::Denied);
    assert_eq!(reads(&world), 4, "two that were refused");
    for session in [one, two] {
        assert!(session.close().await.complete);
    }
    vault.close().await;
}

#[tokio::test]
async fn a_dead_token_ends_the_sharing() {
    let world = World::start().await;
    let vault = world.vault();
    let before = world.journalled();
    let one = open(&vault, "one").await;
    let login_and_one = world.journalled();
    let two = open(&vault, "two").await;
    let of_two: Vec<_> = world
        .journalled()
        .difference(&login_and_one)
        .cloned()
        .collect();
    let [of_two] = &of_two[..] else {
        panic!("one new token");
    };
    assert!(before.is_empty());
    shared(&one.handle(), AGE).await;
    let revoked = json!({ "accessor": of_two });
    world
        .root("POST", "auth/token/revoke-accessor", Some(revoked))
        .await;
    let error = two.handle().kv_shared(&billing(), Duration::ZERO).await;
    assert_eq!(error.expect_err("dead").reason(), "ended");
    assert!(!shared(&one.handle(), AGE).await.is_cached);

    // The host's own, and all with it: found at the next mint.
    let three = open(&vault, "three").await;
    assert!(shared(&three.handle(), AGE).await.is_cached);
    for accessor in world.living().await {
        let (_, seen) = world.lookup(&accessor).await;
        if seen["data"]["policies"] == json!(["cofferdam-host"]) {
            let revoked = json!({ "accessor": accessor });
            world
                .root("POST", "auth/token/revoke-accessor", Some(revoked))
                .await;
        }
    }
    let four = open(&vault, "four").await;
    assert!(!shared(&four.handle(), AGE).await.is_cached);
    for session in [one, two, three, four] {
        assert!(session.close().await.complete);
    }
    vault.close().await;
}
