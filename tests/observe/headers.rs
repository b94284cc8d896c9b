//! Every request that is made for an attempt carries the run's id, and no other
//! does. The server's own audit says so.

use std::time::Duration;

use cofferdam::scrub::SecretSet;
use cofferdam::vault::path::KvPath;
use futures_util::future::join_all;

use super::world::{OWN, Watched, asked, declare, lines};
use crate::in_process::{attempt, runner};
use crate::vault::world::{World, attempt_of, open};

#[tokio::test]
async fn vaults_audit_tells_which_run_asked() {
    let watched = Watched::start().await;
    let from = watched.lines();
    let runner = runner(&watched.world);
    let report = attempt(&runner, "everything", &Watched::input()).await;
    assert_eq!(report.exit, 0, "{report:?}");
    let run = report.run.clone();
    let report = runner.close(report).await;
    assert_eq!(report.exit, 0, "{report:?}");

    let (own, made_for_it): (Vec<_>, Vec<_>) = watched
        .asked(from)
        .into_iter()
        .partition(|(path, _)| OWN.contains(&path.as_str()));
    assert!(own.len() >= 2, "{own:?}");
    assert!(own.iter().all(|(_, header)| header.is_none()), "{own:?}");
    for path in [
        "auth/token/create/cofferdam",
        "secret/data/api",
        "transit/sign/signer",
        "database/creds/reader",
        "sys/leases/renew",
        "sys/leases/revoke",
        "auth/token/revoke-accessor",
    ] {
        assert!(
            made_for_it.iter().any(|(asked, _)| asked.starts_with(path)),
            "{path}: {made_for_it:?}"
        );
    }
    for (path, header) in &made_for_it {
        assert_eq!(header.as_deref(), Some(run.as_str()), "{path}");
    }
}

fn billing() -> KvPath {
    KvPath::V2 {
        mount: "secret".parse().unwrap(),
        path: "billing".parse().unwrap(),
        version: None,
    }
}

/// The headers of the requests whose path starts so.
fn headers(world: &World, from: usize, path: &str) -> Vec<Option<String>> {
    let mut found = asked(&world.bao, from);
    found.retain(|(asked, _)| asked.starts_with(path));
    found.into_iter().map(|(_, header)| header).collect()
}

#[tokio::test]
async fn a_shared_read_is_that_of_the_one_who_asks() {
    let world = World::start().await;
    declare(world.folder.path(), &world.bao);
    let from = lines(&world.bao);
    let vault = world.vault();
    let names = ["one", "two", "three", "four"];
    let sessions = join_all(names.map(|name| open(&vault, name))).await;
    let reads = join_all(sessions.iter().map(async |session| {
        let read = session.handle();
        let read = read.kv_shared(&billing(), Duration::from_secs(30)).await;
        read.unwrap().is_cached
    }));
    let is_cached = reads.await;
    let reader: Vec<_> = (names.iter().zip(&is_cached))
        .filter(|(_, cached)| !**cached)
        .map(|(name, _)| Some((*name).to_owned()))
        .collect();
    assert_eq!(reader.len(), 1);
    assert_eq!(headers(&world, from, "secret/data/billing"), reader);
    for revoked in join_all(sessions.into_iter().map(|session| session.close())).await {
        assert!(revoked.complete);
    }
    let mut ends = headers(&world, from, "auth/token/revoke-accessor");
    ends.sort();
    let mut all = names.map(|name| Some(name.to_owned()));
    all.sort();
    assert_eq!(ends, all);
    vault.close().await;
}

#[tokio::test]
async fn questions_after_a_refusal_and_sweeps_are_marked_too() {
    let world = World::start().await;
    declare(world.folder.path(), &world.bao);
    let dead = world.vault();
    let session = open(&dead, "dead").await;
    let from = lines(&world.bao);
    let forbidden = KvPath::V1 {
        mount: "kv1".parse().unwrap(),
        path: "other".parse().unwrap(),
    };
    let refused = session.handle().kv(&forbidden).await;
    assert!(refused.is_err());
    let lookups = headers(&world, from, "auth/token/lookup-accessor");
    assert_eq!(lookups, [Some("dead".to_owned())]);
    drop(session);
    drop(dead);

    let from = lines(&world.bao);
    let vault = world.vault();
    assert!(vault.sweep().await.unwrap().is_clean());
    // The attempt's, and the log-in's of the dead process.
    let ends = headers(&world, from, "auth/token/revoke-accessor");
    assert_eq!(ends, [Some("dead".to_owned()), None]);
    // What is no id is not sent: nobody can smuggle anything by it.
    let mut odd = attempt_of("odd", "", "billing");
    odd.run = "a\r\nx-vault-token: b".to_owned();
    let session = vault.open(odd, &SecretSet::default()).await.unwrap();
    assert!(session.close().await.complete);
    let mints = headers(&world, from, "auth/token/create");
    assert_eq!(mints, [None]);
    vault.close().await;
}
