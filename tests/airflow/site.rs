//! What the tests share: OpenBao, an API, the service under one user, Airflow and the
//! local binary under another.

use std::fs::{File, set_permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cofferdam::client::Client;
use cofferdam_devkit::airflow::{Airflow, Options};
use cofferdam_devkit::openbao::Provision;
use cofferdam_devkit::process::{Guarded, dying_with_us_as};
use cofferdam_devkit::tools::workspace;
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::World;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::common::{SOON, TOKEN, api, billing_api, binary, guest};

/// The service's user; nobody's on any ordinary machine.
const SERVICE: u32 = 54_321;
/// Airflow's.
pub(crate) const AIRFLOW: u32 = 54_322;

/// The longest that a run of a DAG may take, restarts included.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// The DAGs that may run the tasks of the tests; `tests_denied` is not one.
const DAGS: [&str; 13] = [
    "tests",
    "tests_laptop",
    "tests_retry",
    "tests_retry_laptop",
    "tests_timeout",
    "tests_timeout_laptop",
    "tests_mapped",
    "tests_mapped_laptop",
    "tests_deferred",
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
    pub(crate) world: World,
}

impl Site {
    pub(crate) async fn start() -> Self {
        // What failed once takes minutes to fail again.
        static STARTED: AtomicBool = AtomicBool::new(false);
        assert!(
            !STARTED.swap(true, Ordering::SeqCst),
            "Airflow did not start for an earlier test"
        );
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
        let grants = [
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
        for task in ["caller", "invoice-sync"] {
            world.policy(task).unwrap();
        }
        opened(&world);
        let airflow = Options {
            home: world.path("airflow"),
            user: Some(AIRFLOW),
            environment: environment(&world, &upstream, plain_login(&world).await),
            parallelism: 8,
        };
        let mut site = Self {
            airflow: Airflow::start(airflow).await.unwrap(),
            service: None,
            _billing: billing,
            upstream,
            world,
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

/// A component where every user of the tests can read it.
fn copied(world: &World, component: &str) -> PathBuf {
    let file = world.path(&format!("components/{component}.wasm"));
    std::fs::create_dir_all(world.path("components")).unwrap();
    std::fs::copy(guest(component), &file).unwrap();
    file
}

/// An example's own grants, for the component that was built here and the API here.
fn install_example(world: &World, name: &str, api: &str) {
    let file = workspace().join(format!("examples/{name}/grants/{name}.toml"));
    let grants = std::fs::read_to_string(file).unwrap();
    let component = std::fs::read(copied(world, name)).unwrap();
    let digest = hex::encode(Sha256::digest(&component));
    let grants = grants
        .replace(&"0".repeat(64), &digest)
        .replace("http://127.0.0.1:8090", api);
    assert!(grants.contains(&digest), "{grants}");
    world
        .write(&format!("grants/{name}.toml"), &grants)
        .unwrap();
}

/// Gives each user what is his: the service its log-in and its state, Airflow a folder
/// `laptop` with a log-in of its own. Neither can read the other's.
fn opened(world: &World) {
    let mode = |name: &str, mode| {
        set_permissions(world.path(name), PermissionsExt::from_mode(mode)).unwrap();
    };
    let own = |name: &str, user| chown(world.path(name), Some(user), Some(user)).unwrap();
    // A benchmark is made with an optimised one.
    let program = std::env::var_os("COFFERDAM_BENCH_BINARY");
    let program = program.map_or_else(|| binary().to_owned(), PathBuf::from);
    std::fs::copy(program, world.path("cofferdam")).unwrap();
    let config = std::fs::read_to_string(world.path("cofferdam.toml")).unwrap();
    std::fs::create_dir(world.path("laptop")).unwrap();
    for name in ["role-id", "secret-id"] {
        std::fs::copy(world.path(name), world.path(&format!("laptop/{name}"))).unwrap();
    }
    let laptop = format!("[paths]\ngrants = \"../grants\"\n\n{config}");
    world.write("laptop/cofferdam.toml", &laptop).unwrap();
    let server = format!(
        "{config}\n[server]\nsocket = \"run/cofferdam.sock\"\n\n\
         [[server.allow]]\nusers = [{AIRFLOW}]\ntasks = [\"*\"]\n\n\
         [[server.allow]]\nusers = [0]\nmetrics = true\n"
    );
    world.write("cofferdam.toml", &server).unwrap();
    for folder in ["state", "audit", "cache", "run"] {
        let _ = std::fs::remove_dir_all(world.path(folder));
        std::fs::create_dir(world.path(folder)).unwrap();
        mode(folder, if folder == "run" { 0o755 } else { 0o700 });
        own(folder, SERVICE);
    }
    own("secret-id", SERVICE);
    for name in ["", "grants", "components", "cofferdam"] {
        mode(name, 0o755);
    }
    for name in ["cofferdam.toml", "role-id"] {
        mode(name, 0o644);
    }
    for folder in ["grants", "components"] {
        for file in std::fs::read_dir(world.path(folder)).unwrap() {
            set_permissions(file.unwrap().path(), PermissionsExt::from_mode(0o644)).unwrap();
        }
    }
    for name in ["", "/cofferdam.toml", "/role-id", "/secret-id"] {
        own(&format!("laptop{name}"), AIRFLOW);
    }
}

/// What people have today, for the benchmark: a log-in of Airflow's own that reads the
/// secret, as a connection for VaultHook.
async fn plain_login(world: &World) -> Value {
    let bao = world.bao().unwrap();
    let ask = async |path: &str, body: Value| {
        let (status, answer) = bao.root("POST", path, Some(body)).await.unwrap();
        assert!(status < 300, "{path}: {answer}");
        answer
    };
    let policy = json!({ "policy": "path \"secret/data/api\" { capabilities = [\"read\"] }" });
    ask("sys/policies/acl/plain", policy).await;
    let role = json!({ "token_policies": "plain", "token_ttl": "1m" });
    ask("auth/approle/role/plain", role).await;
    let secret = ask("auth/approle/role/plain/secret-id", json!({})).await;
    let (_, role) = bao
        .root("GET", "auth/approle/role/plain/role-id", None)
        .await
        .unwrap();
    json!({
        "conn_type": "vault",
        "host": "127.0.0.1",
        "port": bao.socket().port(),
        "login": role["data"]["role_id"],
        "password": secret["data"]["secret_id"],
        "schema": "secret",
        "extra": { "auth_type": "approle", "use_tls": false, "kv_engine_version": 2 },
    })
}

/// What Airflow's processes have in their environment.
fn environment(world: &World, upstream: &Upstream, plain: Value) -> Vec<(String, String)> {
    let path = |name: &str| world.path(name).to_string_lossy().into_owned();
    let service = json!({ "conn_type": "cofferdam", "host": path("run/cofferdam.sock") });
    let laptop = json!({
        "conn_type": "cofferdam",
        "extra": { "binary": path("cofferdam"), "config": path("laptop/cofferdam.toml") },
    });
    let secrets = ["secret-id", "state/cache.key", "state", "audit", "cache"].map(path);
    [
        ("AIRFLOW_CONN_COFFERDAM_DEFAULT", service.to_string()),
        ("AIRFLOW_CONN_LAPTOP", laptop.to_string()),
        ("AIRFLOW_CONN_VAULT", plain.to_string()),
        ("BENCH_API", format!("{}/status/200", upstream.address())),
        ("THIEF_WANTS", secrets.join(":")),
        // A run that is lost with the service is asked after for this long, in seconds.
        ("AIRFLOW__COFFERDAM__PATIENCE", "30".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
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
