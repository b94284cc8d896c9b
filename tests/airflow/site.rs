//! What the tests share: OpenBao, an API, the service under one user, Airflow and the
//! local binary under another.

use std::collections::BTreeSet;
use std::fs::{File, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cofferdam::client::Client;
use cofferdam_devkit::airflow::{Airflow, Options};
use cofferdam_devkit::openbao::Provision;
use cofferdam_devkit::postgres::{self, Postgres};
use cofferdam_devkit::process::{Guarded, dying_with_us_as, open_to_others};
use cofferdam_devkit::tools::workspace;
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::World;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::ground::{
    LEASES, Remote, borrowed, copied, environment, install_example, lend, measured, opened,
    plain_login, remote, second_log_in,
};
use crate::common::{SOON, TOKEN, api, billing_api, binary, nobody_lives};

/// The service's user; nobody's on any ordinary machine.
pub(crate) const SERVICE: u32 = 54_321;
/// Airflow's.
pub(crate) const AIRFLOW: u32 = 54_322;

/// Task instances that run at once. With 20 SQLite's one lock is held so long that the
/// scheduler gives up.
pub(crate) const PARALLELISM: u32 = 8;

/// What the service's log says when it drains.
const DRAINS: &str = "takes no more runs";

/// The longest that a run of a DAG may take, restarts included.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// The DAGs that may run the tasks of the tests; `tests_denied` is not one.
const DAGS: [&str; 17] = [
    "tests",
    "tests_laptop",
    "tests_retry",
    "tests_retry_laptop",
    "tests_timeout",
    "tests_timeout_laptop",
    "tests_mapped",
    "tests_mapped_laptop",
    "tests_deferred",
    "tests_deferred_timeout",
    "tests_certificate",
    "tests_certificate_deferred",
    "tests_bearer",
    "bench_service",
    "bench_laptop",
    "bench_call_service",
    "bench_call_laptop",
];

/// How the provider reaches the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runner {
    /// Over the socket of the service.
    Service,
    /// By the binary, in the process of the task.
    Laptop,
}

impl Runner {
    pub(crate) const BOTH: [Self; 2] = [Self::Service, Self::Laptop];

    /// The DAG of this name for it.
    pub(crate) fn dag(self, name: &str) -> String {
        match self {
            Self::Service => name.to_owned(),
            Self::Laptop => format!("{name}_laptop"),
        }
    }

    /// What a test of it is called.
    pub(crate) fn test(self, name: &str) -> String {
        match self {
            Self::Service => format!("{name}::on_the_service"),
            Self::Laptop => format!("{name}::on_the_binary"),
        }
    }
}

/// All of it.
pub(crate) struct Site {
    // First, so that it ends before what it uses.
    pub(crate) airflow: Airflow,
    service: Option<Guarded>,
    _billing: Guarded,
    pub(crate) upstream: Upstream,
    pub(crate) postgres: Postgres,
    pub(crate) world: World,
    pub(crate) remote: Remote,
    /// What listened to the world before we came.
    pub(crate) open_before: BTreeSet<String>,
}

impl Site {
    pub(crate) async fn start() -> Self {
        // What failed once takes minutes to fail again.
        static STARTED: AtomicBool = AtomicBool::new(false);
        assert!(
            !STARTED.swap(true, Ordering::SeqCst),
            "Airflow did not start for an earlier test"
        );
        let open_before = open_to_others();
        let what = Provision {
            kv2: vec![
                ("api", json!({ "token": TOKEN })),
                ("billing", json!({ "token": TOKEN })),
            ],
            transit: vec![("invoices", "ed25519")],
            ..Provision::default()
        };
        let world = World::with_vault(binary(), &what).await.unwrap();
        let upstream = Upstream::start().unwrap();
        world.write("api-token", TOKEN).unwrap();
        let (billing, address) = billing_api(&world.path("api-token"));
        let postgres = Postgres::start(postgres::Options::default()).unwrap();
        lend(&world, &postgres).await;
        let grants = [
            ("lender", "probe-http", borrowed(&upstream.address())),
            ("probe", "probe", "[limits]\ntimeout = \"30s\"\n".to_owned()),
            (
                "caller",
                "probe-http",
                format!(
                    "[limits]\ntimeout = \"60s\"\n\n{}",
                    api(&upstream.address())
                ),
            ),
        ];
        for (task, component, grants) in &grants {
            let file = copied(&world, component);
            world.task(task, &file, grants).unwrap();
            let file = world.path(&format!("grants/{task}.toml"));
            let text = std::fs::read_to_string(&file).unwrap();
            let dags = text.replace("dags = [\"tests\"]", &format!("dags = {DAGS:?}"));
            assert_ne!(dags, text);
            std::fs::write(file, dags).unwrap();
        }
        for example in ["hello", "invoice-sync", "second-try"] {
            install_example(&world, example, &address);
        }
        for task in ["caller", "invoice-sync", "lender"] {
            world.policy(task).unwrap();
        }
        second_log_in(&world).await;
        let remote = remote(&world);
        opened(&world, &remote);
        let airflow = Options {
            home: world.path("airflow"),
            user: Some(AIRFLOW),
            environment: environment(&world, &upstream, &remote, plain_login(&world).await),
            parallelism: PARALLELISM,
        };
        let mut site = Self {
            airflow: Airflow::start(airflow).await.unwrap(),
            service: None,
            _billing: billing,
            upstream,
            postgres,
            world,
            remote,
            open_before,
        };
        site.serve().await;
        site.give_dags();
        let examples = ["billing", "examples", "examples_mapped", "examples_retry"];
        let dags: Vec<&str> = examples
            .into_iter()
            .chain(["tests", "tests_thief"])
            .collect();
        site.airflow.api().knows(&dags, LONG).await.unwrap();
        site
    }

    /// The process that asked the service for this run of a DAG, by the audit's word.
    pub(crate) fn asked_by(&self, run: &str) -> Option<u32> {
        let audit = self.world.audit().unwrap();
        let line = (audit.iter().rev()).find(|it| it["identity"]["run_id"] == run)?;
        line["caller"]["pid"].as_u64()?.try_into().ok()
    }

    /// Starts the service under its user.
    pub(crate) async fn serve(&mut self) {
        assert!(self.service.is_none(), "it is up");
        let mut command = dying_with_us_as(SERVICE, self.world.path("cofferdam"));
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.world.path("serve.log"))
            .unwrap();
        command
            .args(["--log-level", "trace", "serve"])
            .current_dir(self.world.folder())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.service = Some(Guarded::spawn(command).unwrap());
        let client = Client::unix(self.world.path("run/cofferdam.sock"));
        let begun = Instant::now();
        while let Err(error) = client.ready().await {
            assert!(begun.elapsed() < SOON, "{error}: {}", self.service_log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// SIGTERM for the service, as `systemctl stop` sends it, and its end.
    pub(crate) fn stop_service(&mut self) {
        self.service.take().unwrap().end(LONG);
    }

    /// The same twice, which leaves what is under way no time.
    pub(crate) async fn stop_service_at_once(&mut self) {
        let before = self.service_log().matches(DRAINS).count();
        let service = self.service.as_ref().unwrap().id();
        let service = Pid::from_raw(service.try_into().unwrap()).unwrap();
        kill_process(service, Signal::TERM).unwrap();
        let begun = Instant::now();
        while self.service_log().matches(DRAINS).count() == before {
            assert!(begun.elapsed() < SOON, "{}", self.service_log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.stop_service();
    }

    /// Has service and binary reach Vault at this address; the service starts anew.
    pub(crate) async fn vault_at(&mut self, address: &str) {
        self.stop_service();
        for file in ["cofferdam.toml", "laptop/cofferdam.toml"] {
            let file = self.world.path(file);
            let text = std::fs::read_to_string(&file).unwrap();
            let (before, rest) = text.split_once("address = \"").unwrap();
            let (_, after) = rest.split_once('"').unwrap();
            let text = format!("{before}address = \"{address}\"{after}");
            std::fs::write(file, text).unwrap();
        }
        self.serve().await;
    }

    /// SIGKILL for the service.
    pub(crate) fn kill_service(&mut self) {
        self.service.take().unwrap().stop();
    }

    pub(crate) fn service_log(&self) -> String {
        std::fs::read_to_string(self.world.path("serve.log")).unwrap_or_default()
    }

    /// Lets the user of Airflow do this, as a shell would.
    pub(crate) fn as_airflow(&self, program: &str, arguments: &[&str]) -> std::process::Output {
        let mut command = dying_with_us_as(AIRFLOW, program);
        let command = command.args(arguments).current_dir(self.world.folder());
        command.stdin(Stdio::null()).output().unwrap()
    }

    fn give_dags(&self) {
        let dags = self.airflow.dags();
        let examples = workspace().join("airflow-provider/airflow_provider_cofferdam/example_dags");
        for file in std::fs::read_dir(examples).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_some_and(|it| it == "py") {
                given(&file, &dags);
            }
        }
        self.give_dag("tests.py");
    }

    /// Gives Airflow one of our own DAG files.
    pub(crate) fn give_dag(&self, name: &str) {
        let file = workspace().join("tests/airflow/dags").join(name);
        given(&file, &self.airflow.dags());
    }

    /// Triggers a DAG whose task is `step`; the run_id.
    pub(crate) async fn trigger(&self, dag: &str, task: &str, input: Value) -> String {
        let conf = json!({ "task": task, "input": input });
        self.airflow.api().trigger(dag, conf).await.unwrap()
    }

    /// The same to the end of the run; the run_id and its state.
    pub(crate) async fn run(&self, dag: &str, task: &str, input: Value) -> (String, String) {
        let run = self.trigger(dag, task, input).await;
        let state = self.airflow.api().ended(dag, &run, LONG).await.unwrap();
        (run, state)
    }

    /// The tokens that live for a run of a DAG.
    pub(crate) async fn living(&self, run: &str) -> usize {
        let living = self.world.bao().unwrap().living().await.unwrap();
        let of_run = |meta: &std::collections::BTreeMap<String, String>| {
            meta.get("run_id").is_some_and(|it| it == run)
        };
        living.iter().filter(|token| of_run(&token.meta)).count()
    }

    /// The leases and the database users that live.
    pub(crate) async fn lent(&self) -> (usize, usize) {
        let leases = self.world.bao().unwrap().leases(LEASES).await.unwrap();
        (
            leases.len(),
            self.postgres.made_users().await.unwrap().len(),
        )
    }

    /// Stops everything; by the server's own word nothing that was made here lives.
    pub(crate) async fn close(mut self) {
        self.stop_service();
        self.airflow.stop();
        assert_eq!(self.lent().await, (0, 0), "leases and users");
        // The log-in of VaultHook, which nobody ends, is the benchmark's.
        if measured().is_none() {
            nobody_lives(self.world.bao().unwrap()).await;
        }
    }

    /// Waits until a token lives for a run.
    pub(crate) async fn lives(&self, run: &str) {
        let begun = Instant::now();
        while self.living(run).await == 0 {
            assert!(begun.elapsed() < LONG, "no token of {run} ever lived");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for this long until no token of a run lives.
    pub(crate) async fn dies(&self, run: &str, within: Duration) {
        let begun = Instant::now();
        while self.living(run).await > 0 {
            assert!(begun.elapsed() < within, "a token of {run} lives");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The log of a step's try, as the page shows it: each line's event and, of an
    /// exception, what it says.
    pub(crate) async fn log(&self, dag: &str, run: &str, try_number: u64) -> Vec<String> {
        let log = self.airflow.api().log(dag, run, "step", -1, try_number);
        let lines = log.await.unwrap();
        let event = |line: &Value| match (line["event"].as_str(), &line["error_detail"]) {
            (Some(event), Value::Null) => event.to_owned(),
            (Some(event), detail) => format!("{event}: {detail}"),
            (None, _) => line.to_string(),
        };
        lines.iter().map(event).collect()
    }

    /// Waits until a step's try has logged this.
    pub(crate) async fn logs(
        &self,
        dag: &str,
        run: &str,
        try_number: u64,
        text: &str,
        within: Duration,
    ) {
        let begun = Instant::now();
        loop {
            let log = self.log(dag, run, try_number).await.join("\n");
            if log.contains(text) {
                return;
            }
            assert!(begun.elapsed() < within, "no `{text}`: {log}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The XCom of a step.
    pub(crate) async fn xcom(&self, dag: &str, run: &str, key: &str) -> Value {
        let xcom = self.airflow.api().xcom(dag, run, "step", -1, key);
        xcom.await.unwrap()
    }
}

fn given(file: &Path, dags: &Path) {
    let copy = dags.join(file.file_name().unwrap());
    std::fs::copy(file, &copy).unwrap();
    set_permissions(copy, PermissionsExt::from_mode(0o644)).unwrap();
}

/// Processes whose command line contains this text.
pub(crate) fn processes(text: &str) -> Vec<u32> {
    let output = Command::new("pgrep").args(["-f", text]).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let own = std::process::id();
    let found = output.lines().filter_map(|line| line.parse().ok());
    found.filter(|pid| *pid != own).collect()
}

/// The parent of a process.
pub(crate) fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok()
}
