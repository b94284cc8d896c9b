//! A service in a world of its own.

use std::cell::Cell;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cofferdam::api::{Attempt, RunState, RunView, Submission};
use cofferdam::client::{Client, ClientError};
use cofferdam::grants::RunLimits;
use cofferdam::run::RunReport;
use cofferdam_devkit::process::{Guarded, dying_with_us};
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::{DAG, World};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use uuid::Uuid;

use crate::common::{
    SOON, TOKEN, alive, api, becomes, binary, get, guest, install, journal, nobody_lives, world,
};

/// A service and the world that it serves in.
pub(super) struct Stage {
    pub(super) world: World,
    service: Option<Guarded>,
    socket: PathBuf,
    /// Numbers the idempotency keys.
    next: Cell<u32>,
}

impl Stage {
    /// A service without Vault that has the tasks `probe` and `hello`.
    pub(super) async fn bare(server: &str) -> Self {
        let world = World::bare(binary()).unwrap();
        world.task("probe", &guest("probe"), "").unwrap();
        world.task("hello", &guest("hello"), "").unwrap();
        Self::of(world, server).await
    }

    /// A service with Vault in a world of [`vaulted`].
    pub(super) async fn busy(upstream: &Upstream, server: &str) -> Self {
        Self::of(vaulted(upstream).await, server).await
    }

    /// A service in this world, with this after what stands in its configuration.
    pub(super) async fn of(world: World, server: &str) -> Self {
        let mut stage = Self::prepared(world, server, "cofferdam.sock");
        stage.start().await;
        stage
    }

    /// The same with a command and a socket of one's own.
    pub(super) async fn of_command(
        world: World,
        server: &str,
        socket: &str,
        command: Command,
    ) -> Self {
        let mut stage = Self::prepared(world, server, socket);
        stage.start_command(command).await;
        stage
    }

    fn prepared(world: World, server: &str, socket: &str) -> Self {
        let file = world.path("cofferdam.toml");
        let before = std::fs::read_to_string(file).unwrap();
        let before = before.replace("[paths]\n", "");
        let text = format!("{before}\n{server}\n");
        // Its mode stays as it was.
        std::fs::write(world.path("cofferdam.toml"), text).unwrap();
        Self {
            socket: world.path(socket),
            world,
            service: None,
            next: Cell::new(0),
        }
    }

    /// Starts the service and waits until it answers.
    pub(super) async fn start(&mut self) {
        let mut command = dying_with_us(binary());
        command.args(["--log-level", "info", "serve"]);
        self.start_command(command).await;
    }

    /// The same with a command that was put together elsewhere.
    pub(super) async fn start_command(&mut self, mut command: Command) {
        assert!(self.service.is_none(), "it is up");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.world.path("serve.log"))
            .unwrap();
        command
            .current_dir(self.world.folder())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.service = Some(Guarded::spawn(command).unwrap());
        let begun = Instant::now();
        while let Err(error) = self.client().ready().await {
            let ended = self.service.as_mut().unwrap().ended().unwrap();
            assert!(ended.is_none(), "it ended: {}", self.log());
            assert!(begun.elapsed() < SOON, "{error}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    pub(super) fn client(&self) -> Client {
        Client::unix(self.socket())
    }

    /// Where it listens for TLS, as it was told last.
    pub(super) async fn address(&self) -> String {
        let before = "serving on https://";
        self.logs(before).await;
        let log = self.log();
        let (_, after) = log.rsplit_once(before).unwrap();
        after.lines().next().unwrap().to_owned()
    }

    /// Sends this text as it is, and gives the whole answer, its head too.
    pub(super) fn ask(&self, request: &str) -> Vec<u8> {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 "), "{request}");
        answer
    }

    /// The same for a GET of this path.
    pub(super) fn get(&self, path: &str) -> Vec<u8> {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        ))
    }

    /// Submits this under this key; the whole answer, its head too.
    pub(super) fn post(&self, key: &str, submission: &Submission) -> String {
        let body = serde_json::to_string(submission).unwrap();
        let answer = self.ask(&format!(
            "POST /v1/runs HTTP/1.1\r\nhost: x\r\nidempotency-key: {key}\r\n\
             connection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ));
        String::from_utf8(answer).unwrap()
    }

    /// A value of `/metrics`, by its name and labels; none when it is not there.
    pub(super) fn number(&self, series: &str) -> Option<f64> {
        let answer = String::from_utf8(self.get("/metrics")).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let mut values = answer.lines().filter_map(|line| {
            let value = line.strip_prefix(series)?.strip_prefix(' ')?;
            Some(value.parse().unwrap())
        });
        values.next()
    }

    /// The process id of the service.
    pub(super) fn pid(&self) -> u32 {
        self.service.as_ref().unwrap().id()
    }

    /// What the service has printed so far.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.world.path("serve.log")).unwrap_or_default()
    }

    /// Waits until the service has printed this.
    pub(super) async fn logs(&self, text: &str) {
        let begun = Instant::now();
        while !self.log().contains(text) {
            assert!(begun.elapsed() < SOON, "no `{text}`: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Puts this in place of that in `cofferdam.toml`, has the service read it, and gives
    /// the text of before.
    pub(super) fn reload_with(&self, this: &str, that: &str) -> String {
        let file = "cofferdam.toml";
        let before = std::fs::read_to_string(self.world.path(file)).unwrap();
        let after = before.replace(that, this);
        assert_ne!(after, before);
        self.world.write(file, &after).unwrap();
        self.signal(Signal::HUP);
        before
    }

    /// SIGKILL, and the end of the process.
    pub(super) fn kill(&mut self) {
        self.service.take().unwrap().stop();
    }

    /// Waits for the end of the process; its exit code.
    pub(super) async fn ended(&mut self, within: Duration) -> i32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.service.as_mut().unwrap().ended().unwrap() {
                self.service = None;
                return status.code().unwrap_or(-1);
            }
            assert!(begun.elapsed() < within, "it does not end: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits for the end of the process, which must be a good one.
    pub(super) async fn ends_well(&mut self, within: Duration) {
        assert_eq!(self.ended(within).await, 0, "{}", self.log());
    }

    /// SIGTERM, and its good end.
    pub(super) async fn stop(&mut self) {
        self.signal(Signal::TERM);
        self.ends_well(SOON).await;
    }

    /// A key that was not used before.
    pub(super) fn key(&self) -> String {
        self.next.set(self.next.get() + 1);
        format!("key-{}", self.next.get())
    }

    /// Submits a run with a new key.
    pub(super) async fn submit(&self, task: &str, input: Value) -> Result<Uuid, ClientError> {
        let submission = submission(task, input);
        let submitted = self.client().submit(&self.key(), &submission).await?;
        assert!(!submitted.replayed);
        Ok(submitted.view.run)
    }

    /// Submits a run that uses its secret and is then under way until the API is told to
    /// answer: its token lives, by the word of the server.
    pub(super) async fn held(&self, upstream: &Upstream) -> Uuid {
        let before = held(upstream);
        let run = self.submit("caller", get("held")).await.unwrap();
        becomes("the API is asked", async || held(upstream) > before).await;
        assert!(alive(self.world.bao().unwrap(), "caller").await > 0);
        run
    }

    /// Waits for the good end of such a run, whose secret the API really got.
    pub(super) async fn held_ended(&self, upstream: &Upstream, run: Uuid) {
        let told = report(&self.end_of(run).await);
        assert_eq!(told.exit, 0, "{told:?}");
        assert!(told.revocation.unwrap().complete);
        let bearer = format!("Bearer {TOKEN}");
        let asked = upstream.requests();
        let asked = asked.iter().find(|one| one.target == "/held").unwrap();
        assert_eq!(asked.header("authorization"), Some(bearer.as_bytes()));
    }

    /// Ends the service; nothing of its own or of its runs lives.
    pub(super) async fn ends_clean(&mut self) {
        self.stop().await;
        nobody_lives(self.world.bao().unwrap()).await;
        assert!(journal(&self.world).is_empty());
    }

    /// Waits for the end of a run.
    pub(super) async fn end_of(&self, run: Uuid) -> RunView {
        let view = self.client().run(run, 60).await.unwrap();
        assert!(view.state.is_over(), "{view:?}");
        view
    }

    /// Submits a run and waits for its report.
    pub(super) async fn run(&self, task: &str, input: Value) -> RunReport {
        let run = self.submit(task, input).await.unwrap();
        report(&self.end_of(run).await)
    }

    /// Waits until a run is under way.
    pub(super) async fn running(&self, run: Uuid) {
        let begun = Instant::now();
        loop {
            let view = self.client().run(run, 0).await.unwrap();
            match view.state {
                RunState::Running => return,
                RunState::Queued => assert!(begun.elapsed() < SOON, "it stays in the queue"),
                _ => panic!("it is over: {view:?}"),
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// An installation with an OpenBao and the task `caller` of this API, beside `probe` and
/// `hello`, which need nothing.
pub(super) async fn vaulted(upstream: &Upstream) -> World {
    let world = world().await;
    for name in ["probe", "hello"] {
        world.task(name, &guest(name), "").unwrap();
    }
    install(&world, "caller", "probe-http", &api(&upstream.address()));
    world
}

/// How often the API was asked for what it holds back.
pub(super) fn held(upstream: &Upstream) -> usize {
    let asked = upstream.requests();
    asked.iter().filter(|one| one.target == "/held").count()
}

/// A run of the tests' DAG.
pub(super) fn submission(task: &str, input: Value) -> Submission {
    Submission {
        task: task.to_owned(),
        attempt: Attempt {
            bundle: String::new(),
            dag_id: DAG.to_owned(),
            task_id: None,
            run_id: "manual".to_owned(),
            try_number: 1,
            map_index: -1,
            logical_date: None,
        },
        input: serde_json::value::to_raw_value(&input).unwrap(),
        limits: RunLimits::default(),
    }
}

/// The report of a run that is over.
pub(super) fn report(view: &RunView) -> RunReport {
    let report = view.report.as_ref().unwrap_or_else(|| panic!("{view:?}"));
    serde_json::from_str(report.get()).unwrap()
}

/// The result of a run that is done.
pub(super) fn result(report: &RunReport) -> Value {
    assert_eq!(report.exit, 0, "{report:?}");
    serde_json::from_str(report.result.as_ref().unwrap().get()).unwrap()
}

/// The status of a refusal, with its problem's kind and detail.
pub(super) fn refusal<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> (u16, String, String) {
    match answer.unwrap_err() {
        ClientError::Refused(problem) => {
            let kind = problem.type_uri.rsplit(':').next().unwrap().to_owned();
            (problem.status, kind, problem.detail)
        }
        other => panic!("{other:?}"),
    }
}
