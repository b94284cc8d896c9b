//! The files of the log-in, and who can read what.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::{Finished, World};
use rustix::process::Signal;
use serde_json::json;

use crate::common::{SOON, api, binary, ended, get, install, nobody_lives, signal, until, world};

/// Debian's `nobody`; any user that is not us would do.
const OTHER: u32 = 65_534;

fn log_in_with(world: &World, lines: &str) {
    let address = world.bao().unwrap().address();
    let text = format!("[vault]\naddress = \"{address}\"\n\n{lines}\n");
    world.write("cofferdam.toml", &text).unwrap();
}

fn refused(world: &World, code: i32) -> String {
    let finished = world
        .run("caller")
        .input(get("status/200"))
        .finish()
        .unwrap();
    assert_eq!(finished.code, code, "{finished:?}");
    let outcome = &finished.report().unwrap()["outcome"];
    assert_eq!(outcome["kind"], "refused", "{finished:?}");
    format!("{} | {}", outcome["message"], outcome["hint"])
}

#[tokio::test]
async fn each_log_in_serves_and_each_bad_one_is_told() {
    let world = world().await;
    let bao = world.bao().unwrap();
    let upstream = Upstream::start().unwrap();
    install(&world, "caller", "probe-http", &api(&upstream.address()));
    let works = || {
        let finished = world
            .run("caller")
            .input(get("status/200"))
            .finish()
            .unwrap();
        assert_eq!(finished.code, 0, "{finished:?}");
    };
    works();

    // A wrapped secret-id serves one process.
    let path = "auth/approle/role/cofferdam-host/secret-id";
    let (_, wrapped) = bao
        .root_wrapped("POST", path, Some(json!({})), "60s")
        .await
        .unwrap();
    world
        .write("wrapped", wrapped["wrap_info"]["token"].as_str().unwrap())
        .unwrap();
    log_in_with(
        &world,
        "[vault.auth.approle]\nrole_id_file = \"role-id\"\nsecret_id_file = \"wrapped\"\nwrapped = true",
    );
    works();
    let text = refused(&world, 2);
    assert!(
        text.contains("used up or expired") && text.contains("wrapped"),
        "{text}"
    );
    assert!(text.contains("write a fresh one"), "{text}");
    nobody_lives(bao).await;

    // A token from a file is used and stays alive: it is not ours.
    let body = json!({"policies": ["cofferdam-host"], "no_default_policy": true, "ttl": "1h"});
    let (_, lent) = bao
        .root("POST", "auth/token/create", Some(body))
        .await
        .unwrap();
    world
        .write("token", lent["auth"]["client_token"].as_str().unwrap())
        .unwrap();
    log_in_with(&world, "[vault.auth.token_file]\npath = \"token\"");
    works();
    assert_eq!(bao.living().await.unwrap().len(), 1);
    let body = json!({"accessor": lent["auth"]["accessor"]});
    bao.root("POST", "auth/token/revoke-accessor", Some(body))
        .await
        .unwrap();
    let text = refused(&world, 3);
    assert!(text.contains("dead"), "{text}");
    nobody_lives(bao).await;

    // Wrong, missing, and readable by others.
    let approle = "[vault.auth.approle]\nrole_id_file = \"role-id\"\nsecret_id_file = ";
    world.write("wrong", "00000000-canary-0000").unwrap();
    log_in_with(&world, &format!("{approle}\"wrong\""));
    let text = refused(&world, 3);
    assert!(
        text.contains("secret-id is wrong") && !text.contains("canary"),
        "{text}"
    );
    log_in_with(&world, &format!("{approle}\"missing\""));
    let text = refused(&world, 2);
    assert!(
        text.contains("missing") && text.contains("cannot be read"),
        "{text}"
    );
    log_in_with(&world, &format!("{approle}\"secret-id\""));
    std::fs::set_permissions(world.path("secret-id"), PermissionsExt::from_mode(0o640)).unwrap();
    let text = refused(&world, 2);
    assert!(
        text.contains("0640") && text.contains("chmod 600"),
        "{text}"
    );
    nobody_lives(bao).await;
}

/// The same program in a folder that every user can reach.
fn reachable(world: &World) -> std::path::PathBuf {
    let copy = world.path("cofferdam-copy");
    std::fs::copy(binary(), &copy).unwrap();
    std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).unwrap();
    copy
}

/// Runs as another user, without groups.
fn as_other(program: &Path, arguments: &[&str], folder: &Path) -> Finished {
    Finished::of(other(program, arguments, folder).output().unwrap()).unwrap()
}

fn other(program: &Path, arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new("setpriv");
    let user = OTHER.to_string();
    command
        .args([
            "--reuid",
            &user,
            "--regid",
            &user,
            "--clear-groups",
            "--no-new-privs",
        ])
        .arg(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

#[tokio::test]
async fn a_secret_id_that_the_host_may_not_read_is_told() {
    let world = world().await;
    let bao = world.bao().unwrap();
    install(&world, "caller", "probe-http", &api("http://127.0.0.1:1"));
    let logged_in = bao.tokens_made("auth/approle/login").unwrap();
    // Everything is the other user's to read, its own to write, but not the secret-id.
    let mode = |name: &str, mode| {
        std::fs::set_permissions(world.path(name), PermissionsExt::from_mode(mode)).unwrap();
    };
    mode("", 0o755);
    mode("grants", 0o755);
    for file in ["cofferdam.toml", "role-id", "grants/caller.toml"] {
        mode(file, 0o644);
    }
    for folder in ["state", "audit", "cache"] {
        let _ = std::fs::remove_dir_all(world.path(folder));
        std::fs::create_dir(world.path(folder)).unwrap();
        mode(folder, 0o700);
        chown(world.path(folder), Some(OTHER), Some(OTHER)).unwrap();
    }
    let component = world.path("probe.wasm");
    std::fs::copy(crate::common::guest("probe-http"), &component).unwrap();
    mode("probe.wasm", 0o644);
    world
        .task("caller", &component, &api("http://127.0.0.1:1"))
        .unwrap();
    mode("grants/caller.toml", 0o644);
    mode("secret-id", 0o600);

    let copy = reachable(&world);
    let run = [
        "--format",
        "json",
        "run",
        "caller",
        "--dag-id",
        "tests",
        "--input",
        "{\"do\":\"spin\"}",
    ];
    let finished = as_other(&copy, &run, world.folder());
    assert_eq!(finished.code, 2, "{finished:?}");
    let outcome = &finished.report().unwrap()["outcome"];
    let text = format!("{} | {}", outcome["message"], outcome["hint"]);
    assert!(
        text.contains("secret-id") && text.contains("ermission denied"),
        "{text}"
    );
    assert!(text.contains("may read it"), "{text}");
    assert_eq!(bao.tokens_made("auth/approle/login").unwrap(), logged_in);

    // Positive control: with its own copy the same user gets past it.
    chown(world.path("secret-id"), Some(OTHER), Some(OTHER)).unwrap();
    let echo = [
        "--format",
        "json",
        "run",
        "caller",
        "--dag-id",
        "tests",
        "--input",
        "{\"do\":\"echo\",\"value\":1}",
    ];
    let finished = as_other(&copy, &echo, world.folder());
    assert_eq!(finished.code, 0, "{finished:?}");

    // While it runs, its own user cannot look into it either.
    let minted = bao.minted().unwrap();
    let mut host = other(&copy, &run, world.folder()).spawn().unwrap();
    until("the mint", || bao.minted().unwrap() > minted);
    let mut usual = other(Path::new("sleep"), &["60"], Path::new("/"))
        .spawn()
        .unwrap();
    let look = |pid: u32| {
        let file = format!("/proc/{pid}/environ");
        as_other(Path::new("head"), &["-c", "1", &file], Path::new("/"))
    };
    until("the usual process", || look(usual.id()).code == 0);
    let seen = look(host.id());
    assert!(seen.stderr.contains("ermission denied"), "{seen:?}");
    usual.kill().unwrap();
    usual.wait().unwrap();
    signal(&host, Signal::TERM);
    assert_eq!(host.wait().unwrap().code(), Some(130));
    nobody_lives(bao).await;
}

#[tokio::test]
async fn another_user_reads_neither_files_nor_memory_of_the_host() {
    let world = world().await;
    let upstream = Upstream::start().unwrap();
    let proxy = Proxy::start(upstream.socket()).unwrap();
    install(&world, "caller", "probe-http", &api(&proxy.address()));
    std::fs::set_permissions(world.folder(), PermissionsExt::from_mode(0o755)).unwrap();
    let held = proxy.inject(Rule::on("GET", "status", Fault::HoldRequest).times(1));
    let child = world
        .run("caller")
        .input(get("status/200"))
        .command()
        .spawn()
        .unwrap();
    held.wait_hit(SOON).unwrap();
    let process = format!("/proc/{}", child.id());
    let journal = crate::common::journal(&world);
    assert_eq!(journal.len(), 2);
    let mut files = vec![
        world.path("secret-id"),
        format!("{process}/mem").into(),
        format!("{process}/environ").into(),
    ];
    files.extend(journal.into_iter().map(|record| record.file));
    files.push(
        std::fs::read_dir(world.path("audit"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path(),
    );
    let folder = Path::new("/");
    for file in files {
        let name = file.to_str().unwrap();
        let read = as_other(Path::new("head"), &["-c", "1", name], folder);
        assert_ne!(read.code, 0, "another user reads {name}");
        assert!(read.stderr.contains("ermission denied"), "{name}: {read:?}");
        // Positive control: we can open it.
        std::fs::File::open(&file).unwrap();
    }
    held.release();
    assert_eq!(ended(child).code, 0);
    nobody_lives(world.bao().unwrap()).await;
}
