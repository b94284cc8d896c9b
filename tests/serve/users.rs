//! The service under a user of its own, its callers under others.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use cofferdam::api::RunState;
use cofferdam_devkit::process::{dying_with_us_as, dying_with_us_in};
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::Finished;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::stage::{Stage, report, submission};
use crate::common::{TOKEN, api, binary, get, guest, install, nobody_lives, world};

/// The service's user; nobody's on any ordinary machine.
const SERVICE: u32 = 54_321;
/// A user whom a rule names.
const CALLER: u32 = 54_322;
/// One whom no rule names.
const STRANGER: u32 = 54_323;

/// A service under [`SERVICE`] with the task `caller` of this API, for these users, and with
/// `hello`, which their rule does not name.
async fn stage(upstream: &Upstream, allow: &[u32]) -> Stage {
    stage_with(upstream, &format!("users = {allow:?}"), "").await
}

/// The same for whom this part of a rule names, with this after it.
async fn stage_with(upstream: &Upstream, whom: &str, more: &str) -> Stage {
    let world = world().await;
    let grants = api(&upstream.address());
    install(&world, "caller", "probe-http", &grants);
    let mode = |name: &str, mode| {
        std::fs::set_permissions(world.path(name), PermissionsExt::from_mode(mode)).unwrap();
    };
    // The users are nobody's: they can go no further into this machine than here.
    let copy = world.path("cofferdam");
    std::fs::copy(binary(), &copy).unwrap();
    std::fs::copy(guest("probe-http"), world.path("probe.wasm")).unwrap();
    world
        .task("caller", &world.path("probe.wasm"), &grants)
        .unwrap();
    std::fs::copy(guest("hello"), world.path("hello.wasm")).unwrap();
    world.task("hello", &world.path("hello.wasm"), "").unwrap();
    for name in ["", "grants", "cofferdam"] {
        mode(name, 0o755);
    }
    for name in [
        "cofferdam.toml",
        "role-id",
        "grants/caller.toml",
        "grants/hello.toml",
        "probe.wasm",
        "hello.wasm",
    ] {
        mode(name, 0o644);
    }
    for folder in ["state", "audit", "cache", "run"] {
        let _ = std::fs::remove_dir_all(world.path(folder));
        std::fs::create_dir(world.path(folder)).unwrap();
        mode(folder, if folder == "run" { 0o755 } else { 0o700 });
        chown(world.path(folder), Some(SERVICE), Some(SERVICE)).unwrap();
    }
    chown(world.path("secret-id"), Some(SERVICE), Some(SERVICE)).unwrap();
    let server = format!(
        "[server]\nsocket = \"run/cofferdam.sock\"\n\
         [[server.allow]]\n{whom}\ntasks = [\"caller\"]\n{more}"
    );
    let mut command = dying_with_us_as(SERVICE, &copy);
    command.args(["--log-level", "info", "serve"]);
    Stage::of_command(world, &server, "run/cofferdam.sock", command).await
}

/// Runs a program as this user.
fn as_user(user: u32, folder: &Path, program: &Path, arguments: &[&str]) -> Finished {
    let mut command = dying_with_us_as(user, program);
    let command = command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null());
    Finished::of(command.output().unwrap()).unwrap()
}

fn shell(user: u32, stage: &Stage, script: &str) -> Finished {
    as_user(user, stage.world.folder(), Path::new("sh"), &["-c", script])
}

fn run(user: u32, stage: &Stage, input: &Value) -> Finished {
    run_in(user, user, stage, input)
}

/// The same in a group of another number.
fn run_in(user: u32, group: u32, stage: &Stage, input: &Value) -> Finished {
    let mut command = dying_with_us_in(user, group, stage.world.path("cofferdam"));
    command
        .args(["--format", "json", "run", "caller", "--dag-id", "tests"])
        .args(["--input", &input.to_string(), "--server"])
        .arg(stage.socket())
        .current_dir(stage.world.folder())
        .stdin(Stdio::null());
    Finished::of(command.output().unwrap()).unwrap()
}

/// What a user can do who has a compiler.
fn other(user: u32, stage: &Stage, arguments: &[&str]) -> String {
    let program = stage.world.path("other");
    if !program.exists() {
        std::fs::write(stage.world.path("other.c"), include_str!("other.c")).unwrap();
        let mut compile = Command::new("cc");
        compile.args(["-O1", "-o", "other", "other.c"]);
        let done = compile.current_dir(stage.world.folder()).status();
        assert!(done.unwrap().success());
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let done = as_user(user, stage.world.folder(), &program, arguments);
    assert_eq!(done.code, 0, "{done:?}");
    done.stdout
}

/// Attaches as a debugger does; what the kernel says.
fn attach(user: u32, stage: &Stage, pid: u32) -> String {
    let said = other(user, stage, &["attach", &pid.to_string()]);
    said.trim().to_owned()
}

/// A command of the service's user, where cores may be of any size and lie in a
/// folder of his.
fn in_bash(command: &str, stage: &Stage) -> Child {
    let script = format!("cd run && ulimit -c unlimited && {command}");
    let mut bash = dying_with_us_as(SERVICE, "bash");
    let log = std::fs::File::create(stage.world.path("core.log")).unwrap();
    bash.args(["-c", &script]).stdin(Stdio::null()).stderr(log);
    bash.current_dir(stage.world.folder()).spawn().unwrap()
}

/// The answer of the service to this user, from its status on.
fn answer(user: u32, stage: &Stage, method: &str, path: &str) -> String {
    let said = other(user, stage, &["ask", "run/cofferdam.sock", method, path]);
    said.strip_prefix("HTTP/1.1 ").unwrap().to_owned()
}

#[tokio::test]
async fn a_caller_uses_what_it_cannot_reach() {
    let upstream = Upstream::start().unwrap();
    let mut stage = stage(&upstream, &[CALLER, 0]).await;
    let done = run(CALLER, &stage, &get("status/200"));
    assert_eq!(done.code, 0, "{done:?}");
    assert!(
        done.result().unwrap().to_string().contains("200"),
        "{done:?}"
    );
    let seen = upstream.requests();
    let seen = seen.last().unwrap().header("authorization").unwrap();
    assert_eq!(seen, format!("Bearer {TOKEN}").as_bytes());
    let audit = stage.world.audit().unwrap();
    let begun = audit
        .iter()
        .find(|line| line["event"] == "run_started")
        .unwrap();
    assert_eq!(begun["caller"]["uid"], json!(CALLER));
    assert_eq!(begun["caller"]["gid"], json!(CALLER));

    let pid = stage.pid();
    for script in [
        "cat secret-id",
        "ls state",
        "ls state/journal",
        "cat state/journal/*",
        "cat state/cache.key",
        "cat state/results.db",
        "cat state/results.db-wal",
        "cat state/results-large.db",
        "ls audit",
        "ls cache",
        "touch run/x",
        "rm run/cofferdam.sock",
        "echo >> cofferdam.toml",
        "echo >> grants/caller.toml",
        "touch grants/x.toml",
    ] {
        let tried = shell(CALLER, &stage, script);
        assert_ne!(tried.code, 0, "{script}: {tried:?}");
        let told = tried.stderr.to_lowercase();
        assert!(
            told.contains("denied") || told.contains("not permitted"),
            "{script}: {tried:?}"
        );
    }
    // The same scripts work for the service's user, so they could have.
    for script in [
        "cat secret-id",
        "cat state/journal/*",
        "cat state/results.db state/results-large.db > /dev/null",
        "ls cache",
    ] {
        let tried = shell(SERVICE, &stage, script);
        assert_eq!(tried.code, 0, "{script}: {tried:?}");
    }
    // The process itself is closed to its own user too: what /proc says of it is
    // root's.
    let facts = std::fs::metadata(format!("/proc/{pid}/environ")).unwrap();
    assert_eq!(facts.uid(), 0);
    for user in [CALLER, SERVICE] {
        for name in ["mem", "maps", "environ", "auxv", "fd/0"] {
            let tried = shell(user, &stage, &format!("cat /proc/{pid}/{name} > /dev/null"));
            assert_ne!(tried.code, 0, "{name}: {tried:?}");
            // `mem` fails at its first byte for everybody, in other words.
            assert!(tried.stderr.contains("Permission denied"), "{tried:?}");
        }
        assert_eq!(attach(user, &stage, pid), "Operation not permitted");
    }
    // An ordinary process of his can be attached to and read.
    let mut other = dying_with_us_as(CALLER, "sleep");
    let mut other = other.arg("60").spawn().unwrap();
    crate::common::until("it sleeps", || {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", other.id()));
        name.is_ok_and(|name| name.trim() == "sleep")
    });
    let readable = format!("head -c 1 /proc/{}/maps", other.id());
    assert_eq!(shell(CALLER, &stage, &readable).code, 0);
    assert_eq!(attach(CALLER, &stage, other.id()), "attached");
    other.kill().unwrap();
    other.wait().unwrap();

    let refused = run(STRANGER, &stage, &get("status/200"));
    assert_eq!(refused.code, 3, "{refused:?}");
    stage.stop().await;
    // What is left of it when it dies of a fault is no core. An ordinary process of
    // its user leaves one.
    let mut service = in_bash("exec ../cofferdam --config ../cofferdam.toml serve", &stage);
    crate::common::until("it serves", || stage.socket().exists());
    let mut other = in_bash("exec sleep 60", &stage);
    crate::common::until("it sleeps", || {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", other.id()));
        name.is_ok_and(|name| name.trim() == "sleep")
    });
    let mut dumped = [&mut service, &mut other].map(|process| {
        crate::common::signal(process, Signal::ABORT);
        process.wait().unwrap().core_dumped()
    });
    assert!(dumped[1], "this machine keeps no cores at all");
    dumped[1] = false;
    assert_eq!(dumped, [false, false]);
    let swept = as_user(
        SERVICE,
        stage.world.folder(),
        &stage.world.path("cofferdam"),
        &["sweep"],
    );
    assert_eq!(swept.code, 0, "{swept:?}");
    nobody_lives(stage.world.bao().unwrap()).await;
}

#[tokio::test]
async fn one_caller_does_not_see_the_runs_of_another() {
    let upstream = Upstream::start().unwrap();
    let stage = stage(&upstream, &[CALLER, STRANGER, 0]).await;
    let mine = run(CALLER, &stage, &get("status/200")).report().unwrap();
    let mine = mine["run"].as_str().unwrap();
    let program = stage.world.path("cofferdam");
    for (method, path) in [
        ("GET", format!("/v1/runs/{mine}")),
        ("GET", format!("/v1/runs/{mine}/log")),
        ("POST", format!("/v1/runs/{mine}/cancel")),
    ] {
        assert!(
            answer(STRANGER, &stage, method, &path).starts_with("404 "),
            "{method} {path}"
        );
        assert!(
            answer(CALLER, &stage, method, &path).starts_with("200 "),
            "{method} {path}"
        );
    }
    assert!(!answer(STRANGER, &stage, "GET", "/v1/runs").contains(mine));
    assert!(answer(CALLER, &stage, "GET", "/v1/runs").contains(mine));
    for path in ["/", "/metrics"] {
        assert!(!answer(STRANGER, &stage, "GET", path).contains(mine));
    }
    assert!(answer(STRANGER, &stage, "GET", "/metrics").starts_with("403 "));
    // The same key is another run for another caller.
    let key = [
        "run",
        "caller",
        "--dag-id",
        "tests",
        "--idempotency-key",
        "k",
        "--server",
        "run/cofferdam.sock",
    ];
    let input = get("status/200").to_string();
    let runs = [CALLER, STRANGER].map(|user| {
        let arguments: Vec<&str> = key
            .into_iter()
            .chain(["--format", "json", "--input", &input])
            .collect();
        let done = as_user(user, stage.world.folder(), &program, &arguments);
        done.report().unwrap()["run"].as_str().unwrap().to_owned()
    });
    assert_ne!(runs[0], runs[1]);
}

#[tokio::test]
async fn a_caller_runs_the_tasks_of_its_rule_and_no_others() {
    let upstream = Upstream::start().unwrap();
    let root = "[[server.allow]]\nusers = [0]\ntasks = [\"*\"]\n";
    let stage = stage_with(&upstream, &format!("users = [{CALLER}]"), root).await;
    let program = stage.world.path("cofferdam");
    let hello = |user: u32, task: &str| {
        let arguments = [
            "--format",
            "json",
            "run",
            task,
            "--dag-id",
            "tests",
            "--input",
            r#"{"name": "Ada"}"#,
            "--server",
            "run/cofferdam.sock",
        ];
        as_user(user, stage.world.folder(), &program, &arguments)
    };
    let refused = hello(CALLER, "hello");
    assert_eq!(refused.code, 2, "{refused:?}");
    let told = "there is no task `hello`, or you may not run it";
    assert!(refused.stderr.contains(told), "{refused:?}");
    // What it may not run looks to it as what is not there.
    let absent = hello(CALLER, "absent");
    assert_eq!(absent.code, refused.code);
    assert_eq!(absent.stderr, refused.stderr.replace("hello", "absent"));
    assert_eq!(stage.world.begun().unwrap(), 0);

    // The names in what a user gets from here.
    let shown = |user: u32, path: &str| {
        let answer = answer(user, &stage, "GET", path);
        assert!(answer.starts_with("200 "), "{answer}");
        ["caller", "hello"].map(|task| answer.contains(task))
    };
    for path in ["/v1/tasks", "/"] {
        assert_eq!(shown(CALLER, path), [true, false], "{path}");
        assert_eq!(shown(0, path), [true, true], "{path}");
    }
    for (user, task, status) in [
        (CALLER, "caller", "200 "),
        (CALLER, "hello", "404 "),
        (0, "hello", "200 "),
    ] {
        let answer = answer(user, &stage, "GET", &format!("/v1/tasks/{task}"));
        assert!(answer.starts_with(status), "{user}, {task}: {answer}");
    }

    // Its own task is open to it, and the other is a good one.
    let done = run(CALLER, &stage, &get("status/200"));
    assert_eq!(done.code, 0, "{done:?}");
    let done = hello(0, "hello");
    assert_eq!(done.code, 0, "{done:?}");
    let audit = stage.world.audit().unwrap();
    let begun = audit.iter().filter(|line| line["event"] == "run_started");
    let begun: Vec<_> = begun
        .map(|line| (line["task"].clone(), line["caller"]["uid"].clone()))
        .collect();
    let admitted = [("caller", CALLER), ("hello", 0)];
    assert_eq!(begun, admitted.map(|(task, uid)| (json!(task), json!(uid))));
}

/// A user and a group of every machine, from its own files.
const NOBODY: (u32, &str) = (65_534, "nogroup");

#[tokio::test]
async fn a_rule_names_a_group() {
    let upstream = Upstream::start().unwrap();
    // One by the kernel's word, one by the machine's files.
    let whom = format!("groups = [{CALLER}, \"{}\"]", NOBODY.1);
    let root = "[[server.allow]]\nusers = [0]\ntasks = [\"*\"]\n";
    let stage = stage_with(&upstream, &whom, root).await;
    for (user, group, code) in [
        (STRANGER, CALLER, 0),
        (CALLER, STRANGER, 3),
        (NOBODY.0, STRANGER, 0),
        (STRANGER, STRANGER, 3),
    ] {
        let done = run_in(user, group, &stage, &get("status/200"));
        assert_eq!(done.code, code, "{user} in {group}: {done:?}");
    }
    let audit = stage.world.audit().unwrap();
    let begun = audit.iter().filter(|line| line["event"] == "run_started");
    let callers: Vec<_> = begun
        .map(|line| (line["caller"]["uid"].clone(), line["caller"]["gid"].clone()))
        .collect();
    let admitted = [(STRANGER, CALLER), (NOBODY.0, STRANGER)];
    assert_eq!(callers, admitted.map(|(uid, gid)| (json!(uid), json!(gid))));
}

#[tokio::test]
async fn a_caller_at_its_limits_waits_or_is_refused_and_another_is_not() {
    let upstream = Upstream::start().unwrap();
    let limits = "[server.limits]\nruns = 4\nruns_per_caller = 1\nqueue_per_caller = 1\n\
                  [[server.allow]]\nusers = [0]\ntasks = [\"*\"]\nmetrics = true\n";
    let stage = stage_with(&upstream, &format!("users = [{CALLER}]"), limits).await;
    // Three places are free, and one in the queue is not.
    let first = stage.held(&upstream).await;
    let second = stage.submit("caller", get("status/200")).await.unwrap();
    let third = submission("caller", get("status/200"));
    let refused = stage.post("third", &third);
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(refused.contains("\r\nretry-after: 1\r\n"), "{refused}");
    assert!(refused.contains("too many of your runs"), "{refused}");
    let hit = "cofferdam_limits_hit_total{limit=\"server.limits.queue_per_caller\"}";
    assert_eq!(stage.number(hit), Some(1.0));
    let other = run(CALLER, &stage, &get("status/200"));
    assert_eq!(other.code, 0, "{other:?}");
    let state = stage.client().run(second, 0).await.unwrap().state;
    assert_eq!(state, RunState::Queued, "`runs_per_caller` is 1");
    upstream.release();
    stage.held_ended(&upstream, first).await;
    assert_eq!(report(&stage.end_of(second).await).exit, 0);
}

#[tokio::test]
async fn under_one_user_doctor_warns() {
    let upstream = Upstream::start().unwrap();
    let stage = stage(&upstream, &[SERVICE, CALLER, 0]).await;
    // Who runs under the service's user needs no service.
    let read = shell(SERVICE, &stage, "cat secret-id");
    assert_eq!(read.code, 0, "{read:?}");
    let doctor = |user: u32| {
        let program = stage.world.path("cofferdam");
        let done = as_user(
            user,
            stage.world.folder(),
            &program,
            &["--format", "json", "doctor"],
        );
        let report = done.report().unwrap();
        let checks = report["checks"].as_array().unwrap().clone();
        let found = checks
            .into_iter()
            .find(|check| check["id"] == "server.callers");
        found.unwrap_or_else(|| panic!("{done:?}"))
    };
    let warned = doctor(SERVICE);
    assert_eq!(warned["state"], "warning", "{warned}");
    assert!(
        warned["what"].as_str().unwrap().contains("54321"),
        "{warned}"
    );
    let file = std::fs::read_to_string(stage.world.path("cofferdam.toml")).unwrap();
    let apart = file.replace("[54321, ", "[");
    assert_ne!(apart, file);
    std::fs::write(stage.world.path("cofferdam.toml"), apart).unwrap();
    assert_eq!(doctor(SERVICE)["state"], "ok");
}

/// Rules out that the tests above pass because nothing is refused here at all.
#[test]
fn these_users_are_no_root() {
    let id = Command::new("id").arg("-u").output().unwrap();
    assert_eq!(
        id.stdout.trim_ascii(),
        b"0",
        "these tests act as other users, which takes root"
    );
}
