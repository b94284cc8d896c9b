//! What the host's own log-in shows: a clean house, and what cannot be done.

use serde_json::json;

use super::clinic::{WIDTH, change, clinic, examined, nothing_is_left, reviewed};

#[tokio::test]
async fn a_house_in_order_is_clean_and_nothing_is_left_of_the_examination() {
    let world = clinic().await;
    let bao = world.bao().unwrap();
    let minted = bao.minted().unwrap();
    let found = reviewed(&world);
    found.is_clean();
    // A token was really minted for each of the two tasks that need Vault.
    assert_eq!(bao.minted().unwrap(), minted + 2);
    for id in WIDTH {
        assert!(found.ids("ok").contains(&id), "{id}: {found:#?}");
    }
    nothing_is_left(&world, bao).await;
}

/// Types what docs/DOCTOR.md says.
#[tokio::test]
async fn a_reviewers_token_as_the_page_says() {
    let world = clinic().await;
    let bao = world.bao().unwrap();
    std::fs::remove_file(world.path("reviewer-token")).unwrap();
    let nothing = json!({ "policy": "# nothing" });
    change(bao, "PUT", "sys/policies/acl/cofferdam-reviewer", nothing).await;
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/DOCTOR.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, block) = page.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let folder = |program: &std::path::Path| program.parent().unwrap().display().to_string();
    let path = format!(
        "{}:{}:{}",
        folder(&cofferdam_devkit::tools::bao().unwrap()),
        folder(crate::common::binary()),
        std::env::var("PATH").unwrap()
    );
    let done = std::process::Command::new("sh")
        .args(["-e", "-c", block])
        .current_dir(world.folder())
        .env("PATH", path)
        .env("HOME", world.folder())
        .env("BAO_ADDR", bao.address())
        .env("BAO_TOKEN", bao.root_token())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{done:?}");
    let proven = |id: &str| {
        told.lines()
            .any(|line| line.trim_start().starts_with("ok") && line.contains(id))
    };
    assert!(WIDTH.iter().all(|id| proven(id)), "{told}");
    reviewed(&world).is_clean();
}

#[tokio::test]
async fn without_a_reviewer_no_width_reads_ok_and_nothing_else_suffers() {
    let world = clinic().await;
    let found = examined(&world, &[]);
    assert_eq!(found.code, 0, "{found:#?}");
    assert_eq!(found.ids("not_proven"), WIDTH);
    for id in WIDTH {
        assert!(!found.ids("ok").contains(&id), "{id} reads ok");
    }
    assert!(found.ids("fault").is_empty(), "{found:#?}");
    // Whoever wants all of it proven says so.
    assert_eq!(examined(&world, &["--strict"]).code, 1);
    nothing_is_left(&world, world.bao().unwrap()).await;
}

#[tokio::test]
async fn a_reviewers_token_that_may_not_read_proves_nothing() {
    let world = clinic().await;
    let bao = world.bao().unwrap();
    let nothing = json!({ "policy": "# nothing" });
    change(bao, "PUT", "sys/policies/acl/cofferdam-reviewer", nothing).await;
    let found = reviewed(&world);
    assert_eq!(found.code, 1, "{found:#?}");
    assert!(found.ids("fault").is_empty(), "{found:#?}");
    let unproven = found.ids("not_proven");
    for id in [
        "login.role",
        "role.policies",
        "policy.host",
        "policy.task",
        "identity.entity",
    ] {
        assert!(unproven.contains(&id), "{id}: {found:#?}");
    }
    for id in WIDTH.iter().filter(|id| **id != "login.policies") {
        assert!(!found.ids("ok").contains(id), "{id} reads ok");
    }
    nothing_is_left(&world, bao).await;
}

#[tokio::test]
async fn a_right_that_the_host_lacks_is_named() {
    let world = clinic().await;
    let bao = world.bao().unwrap();
    let path = "sys/policies/acl/cofferdam-host";
    let (_, answer) = bao.root("GET", path, None).await.unwrap();
    let whole = answer["data"]["policy"].as_str().unwrap().to_owned();
    let less = whole.replace("path \"sys/leases/revoke\"", "path \"sys/leases/other\"");
    assert_ne!(less, whole);
    change(bao, "PUT", path, json!({ "policy": less })).await;
    // Anybody sees that it lacks a right; only a reviewer that it has another.
    let found = examined(&world, &[]);
    found.finds(&["host.rights"]);
    assert!(
        found.what("host.rights").contains("sys/leases/revoke"),
        "{found:#?}"
    );
    let found = reviewed(&world);
    found.finds(&["host.rights", "policy.host"]);
    let told = found.what("policy.host");
    assert!(
        told.contains("also allows `update` on `sys/leases/other`"),
        "{told}"
    );
    assert!(
        told.contains("lacks `update` on `sys/leases/revoke`"),
        "{told}"
    );
    change(bao, "PUT", path, json!({ "policy": whole })).await;
    reviewed(&world).is_clean();
}

#[tokio::test]
async fn a_log_in_that_vault_refuses_is_told_and_the_rest_is_not_ok() {
    let world = clinic().await;
    let bao = world.bao().unwrap();
    let right = std::fs::read_to_string(world.path("secret-id")).unwrap();
    world.write("secret-id", "00000000-canary-0000").unwrap();
    let found = reviewed(&world);
    found.finds(&["login.works"]);
    let unproven = found.ids("not_proven");
    for id in [
        "host.rights",
        "mint.task",
        "login.policies",
        "login.role",
        "identity.entity",
    ] {
        assert!(unproven.contains(&id), "{id}: {found:#?}");
    }
    assert!(!found.report.to_string().contains("canary"), "{found:#?}");
    world.write("secret-id", &right).unwrap();
    reviewed(&world).is_clean();
    nothing_is_left(&world, bao).await;
}

#[tokio::test]
async fn a_wrapped_secret_id_is_not_used_up() {
    let world = clinic().await;
    let bao = world.bao().unwrap();
    let wrap = async || {
        let path = "auth/approle/role/cofferdam-host/secret-id";
        let (_, wrapped) = bao
            .root_wrapped("POST", path, Some(json!({})), "60s")
            .await
            .unwrap();
        let token = wrapped["wrap_info"]["token"].as_str().unwrap();
        world.write("wrapped", token).unwrap();
    };
    let text = std::fs::read_to_string(world.path("cofferdam.toml")).unwrap();
    let text = text.replace("\"secret-id\"", "\"wrapped\"\nwrapped = true");
    world.write("cofferdam.toml", &text).unwrap();
    wrap().await;
    let logged_in = bao.tokens_made("auth/approle/login").unwrap();
    let found = reviewed(&world);
    assert_eq!(found.code, 0, "{found:#?}");
    assert!(found.ids("fault").is_empty(), "{found:#?}");
    assert!(
        found.ids("not_proven").contains(&"login.works"),
        "{found:#?}"
    );
    assert!(found.ids("ok").contains(&"policy.host"), "{found:#?}");
    assert_eq!(bao.tokens_made("auth/approle/login").unwrap(), logged_in);
    // It still opens, once.
    let using = ["--token-file", "reviewer-token", "--use-wrapped"];
    examined(&world, &using).is_clean();
    examined(&world, &using).finds(&["login.works"]);
    let found = reviewed(&world);
    assert!(found.ids("warning").contains(&"login.works"), "{found:#?}");
    // One that somebody else wrapped is an alarm.
    let body = json!({ "secret_id": "stolen-and-replaced" });
    let (_, wrapped) = bao
        .root_wrapped("POST", "sys/wrapping/wrap", Some(body), "60s")
        .await
        .unwrap();
    world
        .write("wrapped", wrapped["wrap_info"]["token"].as_str().unwrap())
        .unwrap();
    let found = reviewed(&world);
    found.finds(&["login.works"]);
    assert!(
        found.what("login.works").contains("may have taken"),
        "{found:#?}"
    );
    wrap().await;
    nothing_is_left_but_wrapping(&world).await;
}

/// Wrapping tokens live too; only log-ins and attempts are looked for.
async fn nothing_is_left_but_wrapping(world: &cofferdam_devkit::world::World) {
    let living = world.bao().unwrap().living_policies().await.unwrap();
    let ours = |name: &String| name == "cofferdam-host" || name.starts_with("cofferdam-task");
    assert!(!living.iter().flatten().any(ours), "{living:?}");
    assert!(crate::common::journal(world).is_empty());
}
