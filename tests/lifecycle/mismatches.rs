//! A Vault that is set up otherwise than `cofferdam policy` writes it.

use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::{Finished, World};
use serde_json::{Value, json};

use crate::common::{api, get, install, journal, nobody_lives, sweep, world};

fn refused(world: &World, code: i32) -> String {
    let finished: Finished = world
        .run("caller")
        .input(get("status/200"))
        .finish()
        .unwrap();
    assert_eq!(finished.code, code, "{finished:?}");
    let report = finished.report().unwrap();
    let outcome = &report["outcome"];
    assert_eq!(outcome["kind"], "refused", "{report}");
    assert_eq!(outcome["phase"], "authority", "{report}");
    assert_eq!(outcome["blame"], "operator", "{report}");
    assert!(report["revocation"]["complete"] != json!(false), "{report}");
    format!("{} | {}", outcome["message"], outcome["hint"])
}

async fn write(world: &World, path: &str, body: Value) {
    let (status, answer) = world
        .bao()
        .unwrap()
        .root("POST", path, Some(body))
        .await
        .unwrap();
    assert!((200..300).contains(&status), "{path}: {status} {answer}");
}

#[tokio::test]
async fn every_difference_from_what_was_asked_is_refused_and_revoked() {
    let world = world().await;
    let bao = world.bao().unwrap();
    let upstream = Upstream::start().unwrap();
    install(&world, "caller", "probe-http", &api(&upstream.address()));
    let role = "auth/token/roles/cofferdam";
    let (_, good) = bao.root("GET", role, None).await.unwrap();

    // The first log-in makes the entity that the group takes.
    assert_eq!(
        world
            .run("caller")
            .input(get("status/200"))
            .finish()
            .unwrap()
            .code,
        0
    );
    upstream.forget();
    let (_, body) = bao.root("LIST", "identity/entity/id", None).await.unwrap();
    let entity = body["data"]["keys"][0].as_str().unwrap();
    let group = json!({"name": "team", "policies": ["team-x"], "member_entity_ids": [entity]});
    write(&world, "identity/group", group).await;
    let minted = bao.minted().unwrap();
    let text = refused(&world, 3);
    assert!(text.contains("team-x") && text.contains("groups"), "{text}");
    assert_eq!(
        bao.minted().unwrap(),
        minted + 1,
        "it was minted, so it was refused"
    );
    nobody_lives(bao).await;
    write(
        &world,
        "identity/group",
        json!({"name": "team", "policies": [], "member_entity_ids": []}),
    )
    .await;

    for (name, change, code, part) in [
        (
            "batch",
            json!({"token_type": "batch", "orphan": true, "renewable": false, "token_explicit_max_ttl": 0}),
            3,
            "",
        ),
        (
            "short life",
            json!({"token_explicit_max_ttl": "5s"}),
            3,
            "lives for 5 s",
        ),
    ] {
        let mut changed = good["data"].clone();
        for (key, value) in change.as_object().unwrap() {
            changed[key] = value.clone();
        }
        write(&world, role, changed).await;
        let text = refused(&world, code);
        assert!(text.contains(part), "{name}: {text}");
        println!("{name}: {text}");
        nobody_lives(bao).await;
    }
    bao.root("DELETE", role, None).await.unwrap();
    let text = refused(&world, 3);
    assert!(text.contains("cofferdam policy --host --write"), "{text}");
    nobody_lives(bao).await;

    write(&world, role, good["data"].clone()).await;
    bao.root("DELETE", "sys/policies/acl/cofferdam-host", None)
        .await
        .unwrap();
    // Without its policy the host may do nothing, not even end its log-in: that
    // is told and journalled, and made good when the policy is there again.
    let finished = world.run("caller").input(get("status/200")).finish();
    let report = finished.unwrap().report().unwrap();
    assert_eq!(report["exit"], 3, "{report}");
    let hint = report["outcome"]["hint"].as_str().unwrap();
    assert!(hint.contains("cofferdam policy --host --write"), "{hint}");
    let unrevoked = json!({"complete": false, "reason": "ended"});
    assert_eq!(report["revocation"], unrevoked, "{report}");
    let living = bao.living().await.unwrap().len();
    assert_eq!((living, journal(&world).len()), (2, 2));
    let arguments = [
        "policy",
        "--host",
        "--write",
        "--admin-token-file",
        "admin-token",
    ];
    assert!(world.command(&arguments).output().unwrap().status.success());
    let (code, report) = sweep(&world);
    assert_eq!(code, 0, "{report}");
    nobody_lives(bao).await;
    assert!(journal(&world).is_empty());
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_task_without_its_policy_can_do_nothing() {
    let world = world().await;
    let bao = world.bao().unwrap();
    let upstream = Upstream::start().unwrap();
    let probe = crate::common::guest("probe-http");
    world
        .task("caller", &probe, &api(&upstream.address()))
        .unwrap();
    let finished = world
        .run("caller")
        .input(get("status/200"))
        .finish()
        .unwrap();
    let answer = &finished.result().unwrap()[0];
    assert_eq!(
        (&answer["error"], &answer["kind"]),
        (&json!("denied"), &json!("internal")),
        "{finished:?}"
    );
    assert!(
        finished.stderr.contains("policy does not exist in vault"),
        "{finished:?}"
    );
    assert!(upstream.requests().is_empty());
    // The log says what the operator can do, the report what is missing.
    for part in [
        "vault refuses the read on `secret/data/api`",
        "`cofferdam policy TASK --write`",
    ] {
        assert!(finished.stderr.contains(part), "{part}: {finished:?}");
    }
    assert_eq!(
        finished.report().unwrap()["missing_rights"],
        json!({
            "policies": ["cofferdam-task-caller"],
            "refused": [{
                "grant": "http.api", "operation": "send", "path": "secret/data/api",
            }],
        })
    );
    let input = get("status/200").to_string();
    let arguments = ["run", "caller", "--dag-id", "tests", "--input", &input];
    let told = Finished::of(world.command(&arguments).output().unwrap()).unwrap();
    let line = "vault refused: http.api send on `secret/data/api`, which the policy \
                `cofferdam-task-caller` does not allow";
    assert!(told.stderr.contains(line), "{told:?}");
    nobody_lives(bao).await;

    // With its policy there is nothing to say.
    world.policy("caller").unwrap();
    let finished = world.run("caller").input(get("status/200")).finish();
    let report = finished.unwrap().report().unwrap();
    assert!(report.get("missing_rights").is_none(), "{report}");
    nobody_lives(bao).await;
}
