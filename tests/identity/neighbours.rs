//! Attempts side by side: the metadata of an alias is live, so a shared one
//! would hand one attempt's rights to another.

use cofferdam_devkit::identity::Issuer;
use serde_json::{Value, json};

use super::stage::{AUDIENCE, ISSUER, MOUNT, Stage, open, reads};

/// Logs in by hand, with a subject that others use too.
async fn log_in(stage: &Stage, issuer: &Issuer, subject: &str, dag: &str) -> String {
    let now = jiff::Timestamp::now().as_second();
    let jwt = issuer
        .sign(&json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "dag_id": dag,
            "iat": now, "nbf": now, "exp": now + 60,
        }))
        .unwrap();
    let body = json!({"role": "any", "jwt": jwt});
    let path = format!("auth/{MOUNT}/login");
    let (status, answer) = stage.world.root("POST", &path, Some(body)).await;
    assert_eq!(status, 200, "{answer}");
    answer["auth"]["client_token"].as_str().unwrap().to_owned()
}

/// Whether a token may read a DAG's secret.
async fn may(stage: &Stage, token: &str, dag: &str) -> bool {
    let body = json!({"token": token, "paths": [format!("secret/data/dags/{dag}/api")]});
    let (_, answer): (u16, Value) = stage
        .world
        .root("POST", "sys/capabilities", Some(body))
        .await;
    answer["data"]["capabilities"] == json!(["read"])
}

#[tokio::test]
async fn two_dags_of_one_task_keep_their_own_rights() {
    let stage = Stage::set().await;
    let vault = stage.vault();
    let (one, other) = tokio::join!(
        open(&vault, "run-1", "billing"),
        open(&vault, "run-2", "payroll")
    );
    // Log-ins that come later do not change it.
    for round in 0..3 {
        for (session, own, foreign) in
            [(&one, "billing", "payroll"), (&other, "payroll", "billing")]
        {
            assert!(reads(session, own).await, "{own} in round {round}");
            assert!(!reads(session, foreign).await, "{own} reads {foreign}");
        }
        let runs = [format!("a-{round}"), format!("b-{round}")];
        let (more, again) = tokio::join!(
            open(&vault, &runs[0], "payroll"),
            open(&vault, &runs[1], "billing"),
        );
        assert!(more.close().await.complete && again.close().await.complete);
    }
    assert!(one.close().await.complete && other.close().await.complete);
    stage.nothing_is_left(vault).await;

    // Positive control: with a subject that both share, the first one's rights
    // become the second one's on this very server.
    let issuer = Issuer::new(ISSUER).unwrap();
    stage.trust(&issuer.public_key_pem()).await;
    let first = log_in(&stage, &issuer, "task:sync", "billing").await;
    assert!(may(&stage, &first, "billing").await && !may(&stage, &first, "payroll").await);
    log_in(&stage, &issuer, "task:sync", "payroll").await;
    assert!(may(&stage, &first, "payroll").await && !may(&stage, &first, "billing").await);
}

#[tokio::test]
async fn dags_that_differ_in_case_alone_are_two() {
    let stage = Stage::set().await;
    let vault = stage.vault();
    let small = open(&vault, "run-1", "billing").await;
    let large = open(&vault, "run-2", "Billing").await;
    for (session, own, foreign) in [
        (&small, "billing", "Billing"),
        (&large, "Billing", "billing"),
    ] {
        assert!(reads(session, own).await, "{own}");
        assert!(!reads(session, foreign).await, "{own} reads {foreign}");
    }
    small.close().await;
    large.close().await;
    stage.nothing_is_left(vault).await;

    // Positive control: the server itself takes such subjects for one.
    let issuer = Issuer::new(ISSUER).unwrap();
    stage.trust(&issuer.public_key_pem()).await;
    let small = log_in(&stage, &issuer, "dag:billing", "billing").await;
    let large = log_in(&stage, &issuer, "dag:Billing", "Billing").await;
    assert_eq!(
        may(&stage, &small, "billing").await,
        may(&stage, &large, "billing").await
    );
}
