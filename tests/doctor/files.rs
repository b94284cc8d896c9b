//! What lies on this machine: files, folders, the journal.

use std::os::unix::fs::PermissionsExt;

use cofferdam::config::HostConfig;
use cofferdam::scrub::SecretSet;
use cofferdam::vault::{AttemptAuthority, Vault};
use cofferdam_devkit::world::World;

use super::clinic::{clinic, examined, nothing_is_left, reviewed};
use crate::common::{TOKEN, sweep};
use crate::vault::world::attempt;

fn mode(world: &World, name: &str, mode: u32) {
    std::fs::set_permissions(world.path(name), PermissionsExt::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_secret_id_that_others_can_read() {
    let world = clinic().await;
    for (bits, who) in [(0o644, "everybody"), (0o640, "the group `root`")] {
        mode(&world, "secret-id", bits);
        let found = reviewed(&world);
        // The host does not use such a file either.
        found.finds(&["credential.file", "login.works"]);
        let told = found.what("credential.file");
        assert!(told.contains("secret-id") && told.contains(who), "{told}");
    }
    mode(&world, "secret-id", 0o600);
    reviewed(&world).is_clean();

    // Whoever can write to the folder can put another one in its place.
    mode(&world, "", 0o757);
    let output = super::clinic::command(&world, &[]).output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(2),
        "the configuration lies there too"
    );
    mode(&world, "", 0o700);
    reviewed(&world).is_clean();
    nothing_is_left(&world, world.bao().unwrap()).await;
}

#[tokio::test]
async fn folders_and_grants_that_others_can_touch() {
    let world = clinic().await;
    reviewed(&world).is_clean();
    mode(&world, "grants/caller.toml", 0o666);
    let found = reviewed(&world);
    assert_eq!(found.ids("fault"), ["grants.file"]);
    // What such a task may do is not known, and the others go on.
    assert!(
        found.ids("not_proven").contains(&"policy.task"),
        "{found:#?}"
    );
    assert!(found.what("policy.task").contains("caller"), "{found:#?}");
    assert!(found.ids("ok").contains(&"policy.task"), "{found:#?}");
    mode(&world, "grants/caller.toml", 0o600);
    for (name, good, bad, id) in [
        ("audit", 0o700, 0o777, "folder.audit"),
        ("cache", 0o700, 0o755, "folder.cache"),
        ("state", 0o700, 0o750, "folder.state"),
    ] {
        std::fs::create_dir_all(world.path(name)).unwrap();
        mode(&world, name, bad);
        reviewed(&world).finds(&[id]);
        mode(&world, name, good);
        reviewed(&world).is_clean();
    }
    nothing_is_left(&world, world.bao().unwrap()).await;
}

/// Leaves a log-in and an attempt behind, as a killed process does.
async fn die(world: &World) -> HostConfig {
    let config = HostConfig::load(&world.path("cofferdam.toml")).unwrap();
    let vault = Vault::new(config.vault.clone().unwrap(), &config.state).unwrap();
    let attempt = AttemptAuthority {
        task: "caller".parse().unwrap(),
        ..attempt("dead")
    };
    drop(
        vault
            .open(attempt, &SecretSet::default())
            .await
            .map_err(|error| error.to_string())
            .unwrap(),
    );
    config
}

#[tokio::test]
async fn a_journal_of_the_dead_is_told_and_left_for_the_sweep() {
    let world = clinic().await;
    let bao = world.bao().unwrap();
    die(&world).await;
    let before = crate::common::journal(&world).len();
    assert_eq!(before, 2);
    for _ in 0..2 {
        let found = reviewed(&world);
        found.finds(&["journal.left"]);
        let told = found.what("journal.left");
        assert!(
            told.contains("login") && told.contains("attempt dead"),
            "{told}"
        );
        assert!(told.contains("`caller`"), "{told}");
        assert_eq!(crate::common::journal(&world).len(), before, "it was swept");
    }
    let (code, _) = sweep(&world);
    assert_eq!(code, 0);
    reviewed(&world).is_clean();

    std::fs::write(world.path("state/journal/garbage"), "x").unwrap();
    let found = reviewed(&world);
    found.finds(&["journal.left"]);
    assert!(found.what("journal.left").contains("garbage"), "{found:#?}");
    std::fs::remove_file(world.path("state/journal/garbage")).unwrap();
    // In a block of a file of many.
    let many = world.path("state/journal/attempts-x.journal");
    std::fs::write(&many, "x").unwrap();
    let found = reviewed(&world);
    found.finds(&["journal.left"]);
    let told = found.what("journal.left");
    assert!(told.contains("attempts-x.journal, block 0"), "{told}");
    std::fs::remove_file(many).unwrap();
    reviewed(&world).is_clean();
    nothing_is_left(&world, bao).await;
}

#[tokio::test]
async fn a_run_that_lives_is_no_finding() {
    let world = clinic().await;
    let config = HostConfig::load(&world.path("cofferdam.toml")).unwrap();
    let vault = Vault::new(config.vault.clone().unwrap(), &config.state).unwrap();
    let attempt = AttemptAuthority {
        task: "caller".parse().unwrap(),
        ..attempt("living")
    };
    let session = vault
        .open(attempt, &SecretSet::default())
        .await
        .map_err(|error| error.to_string())
        .unwrap();
    reviewed(&world).is_clean();
    assert!(session.close().await.complete, "the examination ended it");
    vault.close().await;
    nothing_is_left(&world, world.bao().unwrap()).await;
}

#[tokio::test]
async fn without_vault_only_the_machine_is_looked_at() {
    let world = World::bare(crate::common::binary()).unwrap();
    let found = examined(&world, &[]);
    found.is_clean();
    assert!(!found.ids("ok").contains(&"node.health"));
    world
        .task(
            "caller",
            &crate::common::guest("probe-http"),
            &crate::common::api("http://127.0.0.1:1"),
        )
        .unwrap();
    examined(&world, &[]).finds(&["config.vault"]);
    // The reviewer's token is held to the same rule as every credential.
    world.write("reviewer-token", TOKEN).unwrap();
    mode(&world, "reviewer-token", 0o644);
    let output = super::clinic::command(&world, &["--token-file", "reviewer-token"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("0644") && !text.contains(TOKEN), "{text}");
}
