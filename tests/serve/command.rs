//! `cofferdam run --server`: the same as a run of its own.

use std::process::Stdio;

use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::Finished;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::stage::{Stage, vaulted};
use crate::common::{alive, becomes, ended, get, signal, sweep, until};

pub(super) fn run(stage: &Stage, task: &str, input: &Value, more: &[&str]) -> Finished {
    let input = input.to_string();
    let run = ["run", task, "--dag-id", "tests", "--input", &input];
    let arguments: Vec<&str> = run.iter().chain(more).copied().collect();
    Finished::of(stage.world.command(&arguments).output().unwrap()).unwrap()
}

/// What differs from run to run.
pub(super) fn plain(finished: &Finished) -> (i32, String, String) {
    let stderr = finished
        .stderr
        .lines()
        .map(|line| match line.split_once("; audit ") {
            Some((before, _)) => before.split(' ').next_back().unwrap().to_owned(),
            None => line.to_owned(),
        });
    (
        finished.code,
        finished.stdout.clone(),
        stderr.collect::<Vec<_>>().join("\n"),
    )
}

/// A run for each way to end, with its exit code.
pub(super) fn ends() -> [(&'static str, Value, i32); 8] {
    [
        ("hello", json!({ "name": "Ada" }), 0),
        ("probe", json!({ "do": "log_flood", "lines": 300 }), 0),
        ("probe", json!({ "do": "forge_log" }), 0),
        ("probe", json!({ "do": "fail", "message": "no" }), 1),
        ("probe", json!({ "do": "retry", "message": "later" }), 75),
        ("probe", json!({ "do": "skip", "message": "nothing" }), 99),
        ("probe", json!({ "do": "trap" }), 6),
        ("probe", json!({ "do": "memory" }), 5),
    ]
}

#[tokio::test]
async fn every_end_looks_the_same_with_and_without_a_service() {
    let stage = Stage::bare("").await;
    let socket = stage.socket();
    let server = ["--server", socket.to_str().unwrap()];
    let nonsense = ("probe", json!({ "do": "nonsense" }), 1);
    for (task, input, code) in ends().into_iter().chain([nonsense]) {
        let local = plain(&run(&stage, task, &input, &[]));
        let remote = plain(&run(&stage, task, &input, &server));
        assert_eq!(local.0, code, "{input}: {}", local.2);
        let (ours, theirs) = (local.2.lines(), remote.2.lines());
        for (one, other) in ours.zip(theirs) {
            assert_eq!(one, other, "{input}");
        }
        assert!(
            remote == local,
            "{input}: {} lines or so",
            remote.2.lines().count()
        );
    }
    let denied = denied(&stage, &[]);
    assert_eq!(denied.code, 3, "{denied:?}");
    assert_eq!(plain(&denied), plain(&self::denied(&stage, &server)));
    // A bundle is of no account to grants that name none.
    let (task, input, other) = ("hello", json!({ "name": "Ada" }), ["--bundle", "x"]);
    let local = run(&stage, task, &input, &other);
    assert_eq!(local.code, 0, "{local:?}");
    let remote = run(&stage, task, &input, &[&server[..], &other].concat());
    assert_eq!(plain(&local), plain(&remote));
    let json = |more: &[&str]| {
        let arguments = ["--format", "json"]
            .iter()
            .chain(more)
            .copied()
            .collect::<Vec<_>>();
        run(&stage, "hello", &json!({ "name": "Ada" }), &arguments)
            .report()
            .unwrap()
    };
    let (local, remote) = (json(&[]), json(&server));
    let keys = |report: &Value| {
        report
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&local), keys(&remote));
    assert_eq!(local["result"], remote["result"]);
}

/// A run of a DAG that the grants do not name.
fn denied(stage: &Stage, more: &[&str]) -> Finished {
    let input = json!({ "name": "Ada" }).to_string();
    let run = ["run", "hello", "--dag-id", "others", "--input", &input];
    let arguments = [&run[..], more].concat();
    Finished::of(stage.world.command(&arguments).output().unwrap()).unwrap()
}

/// The report and the records for machines, without what is of this one run.
pub(super) fn documents(finished: &Finished) -> (i32, Value, Vec<Value>) {
    let without = |mut document: Value, own: &[&str]| {
        let fields = document.as_object_mut().unwrap();
        for name in own {
            assert!(fields.remove(*name).is_some(), "no `{name}`: {fields:?}");
        }
        document
    };
    let report = finished.report().unwrap();
    let report = without(report, &["run", "audit", "milliseconds"]);
    let records = finished.stderr.lines().map(|line| {
        let record: Value = serde_json::from_str(line).unwrap();
        let own = match record["event"].as_str().unwrap() {
            "started" => ["run"],
            _ => ["time"],
        };
        without(record, &own)
    });
    (finished.code, report, records.collect())
}

pub(super) const FOR_MACHINES: [&str; 4] = ["--format", "json", "--log-format", "json"];

#[tokio::test]
async fn every_end_looks_the_same_to_machines_too() {
    let stage = Stage::bare("").await;
    let socket = stage.socket();
    let server = [&FOR_MACHINES[..], &["--server", socket.to_str().unwrap()]].concat();
    for (task, input, code) in ends() {
        let local = documents(&run(&stage, task, &input, &FOR_MACHINES));
        assert_eq!(local.0, code, "{input}");
        assert_eq!(local.2[0]["event"], "started", "{input}: the control");
        let remote = documents(&run(&stage, task, &input, &server));
        assert!(remote == local, "{input}: {local:?} {remote:?}");
    }
    let [local, remote] = [&FOR_MACHINES[..], &server].map(|more| documents(&denied(&stage, more)));
    assert_eq!(local.0, 3);
    assert_eq!(local, remote);
}

/// Both ways to run the task `caller` look the same to people, and end so.
fn same_for_people(stage: &Stage, input: &Value, code: i32) {
    let socket = stage.socket();
    let server = ["--server", socket.to_str().unwrap()];
    let [local, remote] = [&[][..], &server].map(|more| run(stage, "caller", input, more));
    assert_eq!(local.code, code, "{input}: {local:?}");
    assert_eq!(plain(&local), plain(&remote), "{input}");
}

/// The same for machines; what both reported.
fn same_for_machines(stage: &Stage, input: &Value, code: i32) -> Value {
    let socket = stage.socket();
    let server = ["--server", socket.to_str().unwrap()];
    let [local, remote] = [&[][..], &server].map(|more| {
        let arguments = [&FOR_MACHINES[..], more].concat();
        documents(&run(stage, "caller", input, &arguments))
    });
    assert_eq!(local.0, code, "{input}");
    assert_eq!(local, remote, "{input}");
    local.1
}

#[tokio::test]
async fn ends_that_depend_on_vault_look_the_same_too() {
    let upstream = Upstream::start().unwrap();
    let world = vaulted(&upstream).await;
    let vault = Proxy::start(world.bao().unwrap().socket()).unwrap();
    world.vault_at(&vault.address()).unwrap();
    let text = std::fs::read_to_string(world.path("cofferdam.toml")).unwrap();
    let text = text.replacen("[vault]\n", "[vault]\ntimeout = \"1s\"\n", 1);
    world.write("cofferdam.toml", &text).unwrap();
    let mut stage = Stage::of(world, "").await;
    let minted = || stage.world.bao().unwrap().minted().unwrap();

    same_for_people(&stage, &get("status/200"), 0);
    same_for_machines(&stage, &get("status/200"), 0);
    assert_eq!((minted(), upstream.requests().len()), (4, 4));
    // What the task is told of it names the run, and is not returned.
    let denied = json!({
        "do": "http", "grant": "api", "method": "PUT", "path": "x",
        "then": { "do": "echo", "value": 1 },
    });
    same_for_people(&stage, &denied, 0);
    let report = same_for_machines(&stage, &denied, 0);
    assert_eq!(report["denials"][0]["grant"], "http.api", "{report}");
    let failed = json!({ "do": "fail", "message": "no" });
    same_for_people(&stage, &failed, 1);
    same_for_machines(&stage, &failed, 1);
    assert_eq!(upstream.requests().len(), 4);
    assert_eq!(alive(stage.world.bao().unwrap(), "caller").await, 0);

    // Done, and the token lives.
    for is_for_people in [true, false] {
        let fault = Fault::Status(503, None);
        let broken = vault.inject(Rule::on("POST", "auth/token/revoke", fault));
        if is_for_people {
            same_for_people(&stage, &get("status/200"), 7);
        } else {
            let report = same_for_machines(&stage, &get("status/200"), 7);
            assert_eq!(report["revocation"]["complete"], false, "{report}");
        }
        assert!(broken.hits() >= 2, "{}", broken.hits());
        let bao = stage.world.bao().unwrap();
        assert_eq!(alive(bao, "caller").await, 2);
        drop(broken);
        // The service makes good what is its own, and a sweep the rest: a run of its own that
        // begins later would have a word to say of it.
        assert_eq!(sweep(&stage.world).0, 0);
        becomes("all is revoked", async || alive(bao, "caller").await == 0).await;
    }
    stage.ends_clean().await;
}

#[tokio::test]
async fn a_vault_that_is_dead_looks_the_same_too() {
    let upstream = Upstream::start().unwrap();
    let mut stage = Stage::busy(&upstream, "").await;
    // The control; and the service has its log-in.
    same_for_people(&stage, &get("status/200"), 0);
    let address = stage.world.bao().unwrap().socket();
    stage.world.take_bao().unwrap().stop();
    let nobody = std::net::TcpStream::connect(address);
    assert!(nobody.is_err(), "it is dead");
    same_for_people(&stage, &get("status/200"), 4);
    let report = same_for_machines(&stage, &get("status/200"), 4);
    assert_eq!(report["outcome"]["kind"], "refused", "{report}");
    assert_eq!(report["outcome"]["phase"], "authority", "{report}");
    assert_eq!(upstream.requests().len(), 2, "no task was begun");
}

#[tokio::test]
async fn a_signal_looks_the_same_too() {
    let upstream = Upstream::start().unwrap();
    let mut stage = Stage::busy(&upstream, "").await;
    let socket = stage.socket();
    let input = get("held").to_string();
    let mut asked = 0;
    let mut interrupted = async |more: &[&str]| {
        let run = ["run", "caller", "--dag-id", "tests", "--input", &input];
        let mut command = stage.world.command(&[&run[..], more].concat());
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let client = command.spawn().unwrap();
        asked += 1;
        until("the API is asked", || upstream.requests().len() == asked);
        assert_eq!(alive(stage.world.bao().unwrap(), "caller").await, 1);
        signal(&client, Signal::INT);
        let client = ended(client);
        assert_eq!(client.code, 130, "{client:?}");
        assert_eq!(alive(stage.world.bao().unwrap(), "caller").await, 0);
        client
    };
    let server = ["--server", socket.to_str().unwrap()];
    let local = plain(&interrupted(&[]).await);
    assert_eq!(local, plain(&interrupted(&server).await));
    let local = documents(&interrupted(&FOR_MACHINES).await);
    let remote = [&FOR_MACHINES[..], &server].concat();
    assert_eq!(local, documents(&interrupted(&remote).await));
    stage.ends_clean().await;
}

#[tokio::test]
async fn what_cannot_be_run_ends_with_a_documented_code() {
    let stage = Stage::bare("").await;
    let socket = stage.socket();
    let server = ["--server", socket.to_str().unwrap()];
    let hello = json!({ "name": "Ada" });
    let unknown = run(&stage, "nobody", &hello, &server);
    assert_eq!(unknown.code, 2, "{unknown:?}");
    assert!(unknown.stderr.contains("GET /v1/tasks"), "{unknown:?}");
    let nowhere = stage.world.path("nowhere.sock");
    let nowhere = run(
        &stage,
        "hello",
        &hello,
        &["--server", nowhere.to_str().unwrap()],
    );
    assert_eq!(nowhere.code, 4, "{nowhere:?}");
    assert!(nowhere.stderr.contains("cofferdam serve"), "{nowhere:?}");
    let bad = run(
        &stage,
        "hello",
        &hello,
        &[server[0], server[1], "--try-number", "0"],
    );
    assert_eq!(bad.code, 2, "{bad:?}");
    let key = ["--server", server[1], "--idempotency-key", "k"];
    assert_eq!(run(&stage, "hello", &hello, &key).code, 0);
    let reused = run(&stage, "hello", &json!({ "name": "Eve" }), &key);
    assert_eq!(reused.code, 2, "{reused:?}");
    assert!(reused.stderr.contains("new key"), "{reused:?}");
}

#[tokio::test]
async fn the_tasks_of_a_service_are_those_of_its_grants_folder() {
    let stage = Stage::bare("").await;
    let socket = stage.socket();
    let tasks = |more: &[&str]| {
        let arguments = [&["tasks", "--format", "json"], more].concat();
        let output = stage.world.command(&arguments).output().unwrap();
        Finished::of(output).unwrap()
    };
    let remote = tasks(&["--server", socket.to_str().unwrap()]);
    assert_eq!(remote.code, 0, "{remote:?}");
    let list: cofferdam::api::TaskList = serde_json::from_str(&remote.stdout).unwrap();
    let names: Vec<_> = list.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(names, ["hello", "probe"]);
    assert_eq!(tasks(&[]).stdout, remote.stdout);
    let nobody = tasks(&["--server", "no-such-socket"]);
    assert_eq!(nobody.code, 4, "{nobody:?}");
}
