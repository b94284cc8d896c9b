//! What happens when Vault or the database is away at the wrong moment.

use std::time::{Duration, Instant};

use cofferdam_devkit::journal::Record;
use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use serde_json::json;

use super::world::{Leasing, calls_for};
use crate::common::{SOON, ended, get, journal, sweep};

#[tokio::test]
async fn a_database_that_is_away_at_the_end_is_told_and_swept_when_it_is_back() {
    let mut leasing = Leasing::start("1h", "4h", "").await;
    let wire = Proxy::start(leasing.upstream.socket()).unwrap();
    leasing.calls(&wire.address(), "");
    let held = wire.inject(Rule::on("GET", "status", Fault::HoldRequest).times(1));
    let run = leasing.world.run("caller").input(get("status/200"));
    let child = run.command().spawn().unwrap();
    held.wait_hit(SOON).unwrap();
    leasing.postgres.kill().unwrap();
    held.release();
    let finished = ended(child);
    assert_eq!(finished.code, 7, "{finished:?}");
    let report = finished.report().unwrap();
    assert_eq!(report["outcome"]["kind"], "done");
    assert_eq!(
        report["revocation"],
        json!({
            "complete": false,
            "reason": "engine_failed",
            "leases": {"revoked": 0, "left": 1},
        })
    );
    let closed = leasing.audit("lease_closed");
    assert_eq!(closed[0]["revoked"], false, "{closed:?}");
    let lease = leasing.leases().await.remove(0);
    let files = journal(&leasing.world);
    assert_eq!(files.len(), 1, "the log-in is done with: {files:?}");
    assert!(files[0].text.contains(&lease));
    assert!(leasing.bao().living().await.unwrap().is_empty());

    // Still away: told, and kept.
    let (code, report) = sweep(&leasing.world);
    assert_eq!(code, 1, "{report}");
    let found = &report["found"][0];
    assert_eq!(found["outcome"], "left", "{report}");
    assert_eq!(found["reason"], "engine_failed", "{report}");
    assert_eq!(
        found["leases"],
        json!({"revoked": 0, "left": 1}),
        "{report}"
    );

    leasing.postgres.start_again().unwrap();
    assert_eq!(leasing.users().await.len(), 1, "the user is still there");
    let (code, report) = sweep(&leasing.world);
    assert_eq!(code, 0, "{report}");
    assert_eq!(
        report["found"][0]["leases"],
        json!({"revoked": 1, "left": 0})
    );
    assert!(journal(&leasing.world).is_empty());
    leasing.nothing_is_left().await;
}

#[tokio::test]
async fn a_lost_answer_to_a_lease_revocation_is_asked_for_again() {
    for fault in [
        Fault::ResetAfterAnswer,
        Fault::Reset,
        Fault::Status(503, None),
    ] {
        let leasing = Leasing::start("1h", "4h", "").await;
        let vault = Proxy::start(leasing.bao().socket()).unwrap();
        leasing.world.vault_at(&vault.address()).unwrap();
        let lost = vault.inject(Rule::on("POST", "sys/leases/revoke", fault.clone()).times(1));
        let run = leasing.world.run("caller").input(get("status/200"));
        let finished = run.finish().unwrap();
        assert_eq!(finished.code, 0, "{fault:?}: {finished:?}");
        assert_eq!(lost.hits(), 1, "{fault:?}");
        leasing.nothing_is_left().await;
    }
}

#[tokio::test]
async fn lease_revocations_that_never_answer_are_bounded_and_told() {
    let leasing = Leasing::start("1h", "4h", "").await;
    let vault = Proxy::start(leasing.bao().socket()).unwrap();
    leasing.world.vault_at(&vault.address()).unwrap();
    let silent = vault.inject(Rule::on("POST", "sys/leases/revoke", Fault::NeverAnswer));
    let begun = Instant::now();
    let run = leasing.world.run("caller").input(get("status/200"));
    let finished = run.finish().unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert!((1..=3).contains(&silent.hits()), "{}", silent.hits());
    assert_eq!(finished.code, 7, "{finished:?}");
    let report = finished.report().unwrap();
    assert_eq!(
        report["revocation"]["leases"],
        json!({"revoked": 0, "left": 1})
    );
    assert_eq!(journal(&leasing.world).len(), 1);
    drop(silent);
    let (code, report) = sweep(&leasing.world);
    assert_eq!(code, 0, "{report}");
    leasing.nothing_is_left().await;
}

#[tokio::test]
async fn a_lost_credential_is_not_asked_for_again_and_ends_with_the_token() {
    let leasing = Leasing::start("1h", "4h", "").await;
    let vault = Proxy::start(leasing.bao().socket()).unwrap();
    leasing.world.vault_at(&vault.address()).unwrap();
    let lost = vault.inject(Rule::on("GET", "database/creds", Fault::ResetAfterAnswer).times(1));
    let input = json!({"do": "http", "grant": "api", "path": "status/200"});
    let finished = leasing.world.run("caller").input(input).finish().unwrap();
    assert_eq!(finished.code, 7, "{finished:?}");
    assert_eq!(
        finished.report().unwrap()["revocation"],
        json!({"complete": false, "reason": "lease_unanswered"})
    );
    let (code, report) = sweep(&leasing.world);
    assert_eq!(code, 0, "{report}");
    let answers = finished.result().unwrap();
    assert!(answers[0].to_string().contains("unavailable"), "{answers}");
    assert_eq!(lost.hits(), 1);
    let made = leasing.bao().answers_to("database/creds").unwrap();
    assert_eq!(made.len(), 1, "asked for once");
    // Nobody knows its name, so Vault ends it in its own time: milliseconds.
    let begun = Instant::now();
    while !leasing.users().await.is_empty() {
        assert!(begun.elapsed() < SOON);
    }
    leasing.nothing_is_left().await;
}

#[tokio::test]
async fn a_task_that_tries_again_and_again_makes_few_users() {
    let leasing = Leasing::start("1h", "4h", "").await;
    let vault = Proxy::start(leasing.bao().socket()).unwrap();
    leasing.world.vault_at(&vault.address()).unwrap();
    let lost = vault.inject(Rule::on("GET", "database/creds", Fault::ResetAfterAnswer));
    let input = json!({"do": "http", "grant": "api", "path": "status/200", "times": 20});
    let finished = leasing.world.run("caller").input(input).finish().unwrap();
    assert_eq!(finished.code, 7, "{finished:?}");
    assert_eq!(sweep(&leasing.world).0, 0);
    assert_eq!(lost.hits(), 3);
    assert_eq!(leasing.bao().answers_to("database/creds").unwrap().len(), 3);
    let begun = Instant::now();
    while !leasing.users().await.is_empty() {
        assert!(begun.elapsed() < SOON);
    }
    leasing.nothing_is_left().await;
}

#[tokio::test]
async fn a_database_that_is_away_at_the_beginning_is_unavailable_and_makes_nothing() {
    let mut leasing = Leasing::start("1h", "4h", "").await;
    leasing.postgres.kill().unwrap();
    let input = json!({"do": "http", "grant": "api", "path": "status/200", "times": 5});
    let finished = leasing.world.run("caller").input(input).finish().unwrap();
    assert_eq!(finished.code, 0, "{finished:?}");
    let answers = finished.result().unwrap();
    assert!(answers[0].to_string().contains("unavailable"), "{answers}");
    let asked = leasing.bao().answers_to("database/creds").unwrap();
    assert_eq!(asked.len(), 5, "each call of the task is one question");
    assert!(leasing.upstream.requests().is_empty());
    leasing.postgres.start_again().unwrap();
    leasing.nothing_is_left().await;
}

#[tokio::test]
async fn a_path_that_leases_nothing_is_refused() {
    let leasing = Leasing::start("1h", "4h", "").await;
    leasing
        .bao()
        .root(
            "POST",
            "kv1/api",
            Some(json!({"username": "v-long-enough"})),
        )
        .await
        .unwrap();
    let grants = std::fs::read_to_string(leasing.world.path("grants/caller.toml")).unwrap();
    let other = grants
        .replace("mount = \"database\"", "mount = \"kv1\"")
        .replace("creds/reader", "api");
    leasing.world.write("grants/caller.toml", &other).unwrap();
    leasing.world.policy("caller").unwrap();
    let run = leasing.world.run("caller").input(get("status/200"));
    let finished = run.finish().unwrap();
    let answers = finished.result().unwrap();
    assert!(answers[0].to_string().contains("internal"), "{answers}");
    assert!(finished.stderr.contains("gives no lease"), "{finished:?}");
    assert!(leasing.upstream.requests().is_empty());
    leasing.nothing_is_left().await;
}

#[tokio::test]
async fn leases_that_say_they_live_for_ages_are_used_and_revoked() {
    for at in ["GET database/creds", "POST sys/leases/renew"] {
        let (method, path) = at.split_once(' ').unwrap();
        let leasing = Leasing::start("3s", "1h", "").await;
        let vault = Proxy::start(leasing.bao().socket()).unwrap();
        leasing.world.vault_at(&vault.address()).unwrap();
        let number = Fault::Number("lease_duration".to_owned(), u64::MAX);
        let ages = vault.inject(Rule::on(method, path, number));
        // As long as the lease of 3 s has a renewal, and no longer than it lives.
        let run = leasing.world.run("caller").input(calls_for(3));
        let finished = run.finish().unwrap();
        assert_eq!(finished.code, 0, "{at}: {finished:?}");
        assert_eq!(ages.hits(), 1, "{at}");
        assert!(!finished.stderr.contains("panicked"), "{at}: {finished:?}");
        let report = finished.report().unwrap();
        assert_eq!(report["revocation"]["complete"], true, "{at}: {report}");
        assert!(journal(&leasing.world).is_empty(), "{at}");
        leasing.nothing_is_left().await;
    }
}

/// An ingress that lost its backend answers in Vault's place.
#[tokio::test]
async fn the_word_of_something_before_vault_revokes_nothing() {
    for page in [
        Fault::Page(404, "<html>default backend - 404</html>".to_owned()),
        Fault::Page(200, "<html>welcome</html>".to_owned()),
        Fault::Page(200, String::new()),
    ] {
        let leasing = Leasing::start("1h", "4h", "").await;
        let wire = Proxy::start(leasing.upstream.socket()).unwrap();
        leasing.calls(&wire.address(), "");
        let vault = Proxy::start(leasing.bao().socket()).unwrap();
        leasing.world.vault_at(&vault.address()).unwrap();
        let held = wire.inject(Rule::on("GET", "status", Fault::HoldRequest).times(1));
        let run = leasing.world.run("caller").input(get("status/200"));
        let child = run.command().spawn().unwrap();
        held.wait_hit(SOON).unwrap();
        let stranger = vault.inject(Rule::on("*", "", page.clone()));
        held.release();
        let finished = ended(child);
        assert_eq!(finished.code, 7, "{page:?}: {finished:?}");
        assert!(stranger.hits() > 2, "{page:?}");
        let report = finished.report().unwrap();
        assert_eq!(report["outcome"]["kind"], "done");
        assert_eq!(
            report["revocation"],
            json!({
                "complete": false,
                "reason": "not_vault",
                "leases": {"revoked": 0, "left": 1},
            }),
            "{page:?}"
        );
        let files = journal(&leasing.world);
        assert_eq!(files.len(), 2, "{page:?}: {files:?}");
        assert_eq!(leasing.bao().living().await.unwrap().len(), 2);
        assert_eq!(leasing.users().await.len(), 1);
        // Nobody to log in to. A success that makes no sense may have made a
        // log-in, which the journal would keep for an hour.
        if matches!(page, Fault::Page(404, _)) {
            let (code, report) = sweep(&leasing.world);
            assert_ne!(code, 0, "{report}");
            assert_eq!(journal(&leasing.world), files);
        }

        drop(stranger);
        let (code, report) = sweep(&leasing.world);
        assert_eq!(code, 0, "{page:?}: {report}");
        assert!(journal(&leasing.world).is_empty());
        leasing.nothing_is_left().await;
    }
}

#[tokio::test]
async fn an_end_while_a_credential_is_being_made_is_not_complete() {
    let leasing = Leasing::start("1h", "4h", "").await;
    let vault = Proxy::start(leasing.bao().socket()).unwrap();
    leasing.world.vault_at(&vault.address()).unwrap();
    let late = vault.inject(Rule::on("GET", "database/creds", Fault::HoldResponse).times(1));
    let input = json!({
        "do": "http", "grant": "api", "path": "status/200", "timeout_ms": 300,
    });
    let begun = Instant::now();
    let run = leasing.world.run("caller").input(input.clone());
    let finished = run.finish().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(8));
    assert_eq!(late.hits(), 1);
    assert_eq!(finished.code, 7, "{finished:?}");
    let report = finished.report().unwrap();
    assert_eq!(report["outcome"]["kind"], "done", "{report}");
    assert_eq!(
        report["revocation"],
        json!({"complete": false, "reason": "lease_unanswered"})
    );
    let files = journal(&leasing.world);
    assert_eq!(files.len(), 1, "the log-in is done with: {files:?}");
    assert!(files[0].is_attempt(), "{files:?}");

    drop(late);
    let (code, report) = sweep(&leasing.world);
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["found"][0]["outcome"], "revoked", "{report}");
    assert!(journal(&leasing.world).is_empty());
    let begun = Instant::now();
    while !leasing.users().await.is_empty() {
        assert!(begun.elapsed() < SOON);
    }

    // The control: an answer that comes in time.
    let soon = Fault::Delay(Duration::from_millis(1_000));
    let late = vault.inject(Rule::on("GET", "database/creds", soon).times(1));
    let run = leasing.world.run("caller").input(input);
    let finished = run.finish().unwrap();
    assert_eq!((finished.code, late.hits()), (0, 1), "{finished:?}");
    let report = finished.report().unwrap();
    // It was ended where it came, before the end was.
    assert_eq!(report["revocation"], json!({"complete": true}));
    assert!(journal(&leasing.world).is_empty());
    leasing.nothing_is_left().await;
}

/// In the process that lives on: the late answer is named in the journal until
/// its lease is ended.
#[tokio::test]
async fn a_credential_that_comes_after_the_end_is_ended() {
    use cofferdam::scrub::SecretSet;
    use cofferdam::vault::path::LeasedPath;
    use cofferdam::vault::{LeaseWatcher, Vault};

    struct Deaf;
    impl LeaseWatcher for Deaf {
        fn renewed(&self, _: u32, _: Duration, _: Option<&str>) {}
        fn given_up(&self, _: u32, _: &'static str) {}
    }

    let leasing = Leasing::start("1h", "4h", "").await;
    let proxy = Proxy::start(leasing.bao().socket()).unwrap();
    let folder = leasing.world.folder();
    let settings = crate::vault::world::config(&format!(
        "address = {:?}\n[auth.approle]\nrole_id_file = {:?}\nsecret_id_file = {:?}\n",
        proxy.address(),
        folder.join("role-id"),
        folder.join("secret-id"),
    ));
    let vault = Vault::new(settings, &folder.join("state")).unwrap();
    let attempt = cofferdam::vault::AttemptAuthority {
        task: "caller".parse().unwrap(),
        ..crate::vault::world::attempt("one")
    };
    let session = vault.open(attempt, &SecretSet::default()).await.unwrap();
    let late = proxy.inject(Rule::on("GET", "database/creds", Fault::HoldResponse).times(1));
    let handle = session.handle();
    let asked = tokio::spawn(async move {
        let path = LeasedPath {
            mount: "database".parse().unwrap(),
            path: "creds/reader".parse().unwrap(),
        };
        handle.dynamic(&path, std::sync::Arc::new(Deaf)).await
    });
    late.hit(SOON).await.unwrap();
    let revocation = session.close().await;
    assert!(!revocation.complete);
    assert_eq!(revocation.reason, Some("lease_unanswered"));
    late.release();
    assert!(asked.await.unwrap().is_err(), "nobody gets it");
    assert_eq!(leasing.users().await, Vec::<String>::new());
    let attempts = || {
        let records = journal(&leasing.world).into_iter();
        records.filter(Record::is_attempt).collect::<Vec<_>>()
    };
    let text = &attempts()[0].text;
    assert!(text.contains("database/creds/reader/"), "{text}");
    let report = vault.sweep().await.unwrap();
    assert!(report.is_clean() && report.found.len() == 1, "{report:?}");
    assert!(attempts().is_empty());
    assert!(vault.close().await.expect("a log-in").complete);
    leasing.nothing_is_left().await;
}
