//! A world for one bad day, and what must hold when it is over.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cofferdam_devkit::openbao::{DevOptions, OpenBao, Provision};
use cofferdam_devkit::postgres::{DatabaseRole, Options, Postgres};
use cofferdam_devkit::proxy::{Fault, Injected, Proxy, Rule};
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::World;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::{SOON, TOKEN, api, binary, install, journal, nobody_lives, signal, signer};
use crate::leaks::traces::{Traces, minted_in};

/// The task of every bad day: `probe-all` with an API, a key, a plaintext and a
/// database.
pub(super) const TASK: &str = "caller";

/// Where Vault makes database users.
const LEASES: &str = "database/creds/reader";

/// A world whose Vault and API are behind proxies, and what its runs printed.
pub(super) struct Day {
    pub(super) world: World,
    pub(super) postgres: Postgres,
    /// Between the host and Vault.
    pub(super) vault: Proxy,
    /// Between the host and the API.
    pub(super) wire: Proxy,
    _upstream: Upstream,
    printed: RefCell<Vec<(String, Vec<u8>)>>,
    /// What Vault answered through other proxies than `vault`.
    answers: RefCell<Vec<Vec<u8>>>,
}

/// A run under way. Its log is at trace level and goes to files, so that
/// nobody has to read while it is held up.
pub(super) struct Running {
    child: Child,
    begun: Instant,
    stdout: File,
    stderr: File,
}

/// A run that is over.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: i32,
    /// The JSON on stdout; null when there is none.
    pub(super) report: Value,
    pub(super) stderr: String,
    pub(super) took: Duration,
    /// The most memory that it had, in bytes.
    pub(super) peak: u64,
}

impl Day {
    /// A development server, and these lines in `[vault]`.
    pub(super) async fn dawn(lines: &str) -> Self {
        let bao = OpenBao::start_dev(DevOptions::default()).unwrap();
        Self::with(bao, lines).await
    }

    pub(super) async fn with(bao: OpenBao, lines: &str) -> Self {
        let what = Provision {
            kv2: vec![("api", json!({ "token": TOKEN }))],
            transit: vec![("signer", "ed25519")],
            ..Provision::default()
        };
        let world = World::with_bao(binary(), &what, bao).await.unwrap();
        let upstream = Upstream::start().unwrap();
        let wire = Proxy::start(upstream.socket()).unwrap();
        let vault = Proxy::start(world.bao().unwrap().socket()).unwrap();
        let postgres = Postgres::start(Options::default()).unwrap();
        let day = Self {
            world,
            postgres,
            vault,
            wire,
            _upstream: upstream,
            printed: RefCell::default(),
            answers: RefCell::default(),
        };
        let bao = day.bao();
        bao.connect_database(&day.postgres, day.postgres.socket())
            .await
            .unwrap();
        bao.database_role(&DatabaseRole::new("reader"))
            .await
            .unwrap();
        day.vault_at(&[day.vault.address()], lines);
        day.limit("30s");
        // The first run compiles; the days are about the others.
        assert_eq!(day.run(&[]).code, 0);
        day
    }

    /// Installs the task with this time limit.
    pub(super) fn limit(&self, timeout: &str) {
        let limits = format!("[limits]\ntimeout = {timeout:?}\n");
        let reveal = "[reveal.legacy]\nreason = \"test\"\n\
            credential = { kv2 = { mount = \"secret\", path = \"api\", field = \"token\" } }\n";
        let database = format!(
            "[sql.db]\nserver = \"127.0.0.1:{}/{}\"\nnetwork = \"loopback\"\nplain = true\n\
             credential = {{ dynamic = {{ mount = \"database\", path = \"creds/reader\" }} }}\n\
             allow = [\"select\"]\ntables = [\"public.days\"]\n",
            self.postgres.port(),
            self.postgres.database()
        );
        let grants = [
            limits,
            api(&self.wire.address()),
            signer("signer", &["sign"]),
            reveal.to_owned(),
            database,
        ];
        install(&self.world, TASK, "probe-all", &grants.join("\n"));
    }

    pub(super) fn bao(&self) -> &OpenBao {
        self.world.bao().unwrap()
    }

    /// `cofferdam.toml` with these nodes and further lines of `[vault]`.
    pub(super) fn vault_at(&self, addresses: &[String], lines: &str) {
        let text = format!(
            "[vault]\naddresses = {addresses:?}\n{lines}\n\n[vault.auth.approle]\n\
             role_id_file = \"role-id\"\nsecret_id_file = \"secret-id\"\n"
        );
        self.world.write("cofferdam.toml", &text).unwrap();
    }

    /// The command of a run of these steps.
    pub(super) fn command(&self, steps: &[Value]) -> Command {
        let input = json!({ "steps": steps }).to_string();
        let arguments = ["--format", "json", "--log-level", "trace", "run", TASK];
        let mut command = self.world.command(&arguments);
        command.args(["--dag-id", "tests", "--input", &input]);
        command
    }

    pub(super) fn start(&self, steps: &[Value]) -> Running {
        self.start_command(self.command(steps))
    }

    pub(super) fn start_command(&self, command: Command) -> Running {
        Running::of(command)
    }

    /// Runs these steps to their end.
    pub(super) fn run(&self, steps: &[Value]) -> Ended {
        self.end(self.start(steps))
    }

    pub(super) fn end_command(&self, command: Command) -> Ended {
        self.end(self.start_command(command))
    }

    /// Kills a run by SIGKILL.
    pub(super) fn kill(&self, mut running: Running) -> Ended {
        running.child.kill().unwrap();
        self.end(running)
    }

    /// Waits for the end of a run, within half a minute.
    pub(super) fn end(&self, running: Running) -> Ended {
        let (ended, outputs) = running.end();
        self.printed.borrow_mut().extend(outputs);
        ended
    }

    /// Holds the next call of the API, so that the middle of a run lasts.
    pub(super) fn hold(&self) -> Injected {
        self.wire
            .inject(Rule::on("GET", "status", Fault::HoldRequest).times(1))
    }

    /// `cofferdam sweep`; its exit code and report.
    pub(super) fn sweep(&self) -> (i32, Value) {
        self.sweep_with(|_| ())
    }

    /// A sweep whose command is changed before it starts.
    pub(super) fn sweep_with(&self, change: impl FnOnce(&mut Command)) -> (i32, Value) {
        let arguments = ["--format", "json", "--log-level", "trace", "sweep"];
        let mut command = self.world.command(&arguments);
        change(&mut command);
        let ended = self.end_command(command);
        (ended.code, ended.report)
    }

    /// Ends what only an administrator can name: log-ins whose answer was
    /// lost. A sweep tells that they were asked for.
    pub(super) async fn end_the_unnamed(&self) {
        let (_, report) = self.sweep();
        let found = report["found"].as_array().unwrap();
        assert!(
            found.iter().all(|it| it["outcome"] == "in_flight"),
            "{report}"
        );
        for token in self.bao().living().await.unwrap() {
            assert_eq!(token.policies, ["cofferdam-host"], "a child lives");
            assert!(token.ttl <= 3_600, "it would live for {} s", token.ttl);
            let body = json!({"accessor": token.accessor});
            let path = "auth/token/revoke-accessor";
            self.bao().root("POST", path, Some(body)).await.unwrap();
        }
        for record in journal(&self.world) {
            record.remove().unwrap();
        }
    }

    /// A sweep finds so much, ends all of it, and nothing is left in the journal.
    pub(super) fn is_swept(&self, found: usize) {
        let (code, report) = self.sweep();
        assert_eq!(code, 0, "{report}");
        assert_eq!(report["found"].as_array().unwrap().len(), found, "{report}");
        assert!(journal(&self.world).is_empty());
    }

    /// How many log-ins Vault was asked for since it was started.
    pub(super) fn log_ins(&self) -> usize {
        let passed = self.vault.passed();
        let log_ins = passed
            .iter()
            .filter(|it| it.target.ends_with("approle/login"));
        log_ins.count()
    }

    /// No database user, session or lease is left. One whose answer never came
    /// has no name; Vault ends it with the token, in its own time.
    pub(super) async fn no_user_lives(&self) {
        let begun = Instant::now();
        loop {
            let leases = self.bao().leases(LEASES).await.unwrap();
            let users = self.postgres.made_users().await.unwrap();
            let sessions = self.postgres.foreign_sessions().await.unwrap();
            if leases.is_empty() && users.is_empty() && sessions.is_empty() {
                return;
            }
            assert!(begun.elapsed() < SOON, "{users:?} and {sessions:?} live");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Takes in what went through another proxy, whose secrets count as well.
    pub(super) fn also(&self, proxy: &Proxy) {
        self.answers.borrow_mut().extend(proxy.answers());
    }

    /// That the question finds a user, a session and a lease.
    async fn users_would_be_seen(&self) {
        let (_, made) = self.bao().root("GET", LEASES, None).await.unwrap();
        let text = |pointer: &str| made.pointer(pointer).unwrap().as_str().unwrap();
        let (user, lease) = (text("/data/username"), text("/lease_id"));
        let config = self.postgres.config(user, text("/data/password"));
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        assert_eq!(self.bao().leases(LEASES).await.unwrap(), [lease]);
        assert_eq!(self.postgres.made_users().await.unwrap(), [user]);
        let sessions = self.postgres.foreign_sessions().await.unwrap();
        assert_eq!(sessions, [user]);
        drop(client);
        let body = json!({"lease_id": lease, "sync": true});
        let (status, _) = self
            .bao()
            .root("POST", "sys/leases/revoke", Some(body))
            .await
            .unwrap();
        assert_eq!(status, 204);
    }

    /// The end of the day: nobody lives, by the server's own word and by the
    /// database's, and no secret stands in anything that was printed or written.
    pub(super) async fn over(self) {
        nobody_lives(self.bao()).await;
        self.no_user_lives().await;
        self.users_would_be_seen().await;
        // One place for all that went to stdout, and one for stderr.
        let mut printed: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (name, bytes) in self.printed.take() {
            printed.entry(name).or_default().extend(bytes);
        }
        let mut traces = Traces::of(&self.world, printed.into_iter().collect());
        // `leaks::hunt` looks into compiled code; it is large, and not of today.
        traces
            .files
            .retain(|file| !file.components().any(|part| part.as_os_str() == "cache"));
        let mut answers = self.answers.take();
        answers.extend(self.vault.answers());
        let (tokens, accessors) = minted_in(&answers);
        assert!(
            tokens.len() >= 2 && accessors.len() >= 2,
            "nothing to look for"
        );
        let secret_id = std::fs::read_to_string(self.world.path("secret-id")).unwrap();
        let known = [TOKEN, secret_id.trim()].into_iter();
        for secret in known.chain(tokens.iter().map(String::as_str)) {
            assert_eq!(traces.search(secret, false), Vec::<String>::new());
        }
        for accessor in &accessors {
            assert_eq!(traces.search(accessor, true), Vec::<String>::new());
        }
        traces.control();
    }
}

impl Running {
    fn of(mut command: Command) -> Self {
        let [stdout, stderr] = [(); 2].map(|()| tempfile::tempfile().unwrap());
        let child = command
            .stdin(Stdio::null())
            .stdout(stdout.try_clone().unwrap())
            .stderr(stderr.try_clone().unwrap())
            .spawn()
            .unwrap();
        Self {
            child,
            begun: Instant::now(),
            stdout,
            stderr,
        }
    }

    /// Sends a signal; when that was.
    pub(super) fn signal(&self, how: Signal) -> Instant {
        signal(&self.child, how);
        Instant::now()
    }

    fn end(mut self) -> (Ended, [(String, Vec<u8>); 2]) {
        let mut peak = 0;
        let status = loop {
            peak = peak.max(peak_of(self.child.id()));
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                self.begun.elapsed() < Duration::from_secs(30),
                "it does not end"
            );
            std::thread::sleep(Duration::from_millis(2));
        };
        let took = self.begun.elapsed();
        let [stdout, stderr] = [&mut self.stdout, &mut self.stderr].map(|file| {
            let mut bytes = Vec::new();
            file.rewind().unwrap();
            file.read_to_end(&mut bytes).unwrap();
            bytes
        });
        let ended = Ended {
            code: status.code().unwrap_or(-1),
            report: serde_json::from_slice(&stdout).unwrap_or_default(),
            stderr: String::from_utf8(stderr.clone()).unwrap(),
            took,
            peak,
        };
        (
            ended,
            [("stdout".to_owned(), stdout), ("stderr".to_owned(), stderr)],
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// What the steps returned.
    pub(super) fn result(&self) -> &Value {
        let result = &self.report["result"];
        assert!(result.is_array(), "{self:?}");
        result
    }

    /// What became of the authority; the reason when it was not ended.
    pub(super) fn unrevoked(&self) -> Option<&str> {
        let revocation = &self.report["revocation"];
        match revocation["complete"].as_bool() {
            Some(true) => None,
            Some(false) => revocation["reason"].as_str(),
            None => panic!("{self:?}"),
        }
    }

    /// Why the task did not start.
    pub(super) fn refusal(&self) -> String {
        let outcome = &self.report["outcome"];
        assert_eq!(outcome["kind"], "refused", "{self:?}");
        format!("{} | {}", outcome["message"], outcome["hint"])
    }
}

/// The most memory that a living process has had, in bytes.
fn peak_of(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.map_or(0, |kib| kib.parse::<u64>().unwrap() * 1024)
}

/// A step: one call of the API, with the credential from Vault.
pub(super) fn call() -> Value {
    json!({"do": "http", "grant": "api", "path": "status/200"})
}

/// A step: one query, as a database user from Vault.
pub(super) fn lease() -> Value {
    json!({"do": "sql", "grant": "db", "steps": [{"query": {"sql": "select 1"}}]})
}

/// A step: so many signatures, each of which Vault makes.
pub(super) fn sign(times: u32) -> Value {
    json!({"do": "keys", "grant": "signer", "op": "sign", "times": times})
}

/// Whether an answer of a step is a success.
pub(super) fn works(answer: &Value) -> bool {
    answer["status"] == 200 || answer["value"].is_string() || answer["rows"].is_array()
}

/// The kind of a denial, and whether the task may try again.
pub(super) fn denial(answer: &Value) -> (&str, bool) {
    assert_eq!(answer["error"], "denied", "{answer}");
    (
        answer["kind"].as_str().unwrap(),
        answer["retryable"].as_bool().unwrap(),
    )
}
