//! What stands on the ground before Airflow comes: files, users, proofs of identity.

use std::fs::set_permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::time::Duration;

use cofferdam_devkit::identity::{Authority, Issuer};
use cofferdam_devkit::openbao::HOST_ROLE;
use cofferdam_devkit::postgres::{DatabaseRole, Postgres};
use cofferdam_devkit::process::free_port;
use cofferdam_devkit::tools::{self, workspace};
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::World;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::site::{AIRFLOW, SERVICE};
use crate::common::{binary, guest};

/// The optimised program, when a benchmark is made and no test.
pub(super) fn measured() -> Option<PathBuf> {
    std::env::var_os("COFFERDAM_BENCH_BINARY").map(PathBuf::from)
}

/// Whom the service knows over TCP: a certificate's common name and a token's subject.
pub(super) const WORKER: &str = "airflow-worker";

/// Whoever calls over TCP, and what he shows.
pub(super) struct Remote {
    /// Where the service listens.
    pub(super) address: String,
    /// A token of an issuer that the service trusts.
    pub(super) token: String,
    /// One of another, with the same words in it.
    false_token: String,
}

/// Certificates for the service and for Airflow, and two issuers of tokens.
pub(super) fn remote(world: &World) -> Remote {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let (servers, clients) = (servers.unwrap(), clients.unwrap());
    let server = servers.server(&["127.0.0.1"]).unwrap();
    let worker = clients.client(WORKER).unwrap();
    let issuers = [(); 2].map(|()| Issuer::new("https://login.example.com").unwrap());
    let token = |issuer: &Issuer| {
        let hour = Duration::from_secs(3_600);
        issuer.token("cofferdam-tests", WORKER, hour).unwrap()
    };
    for (name, text) in [
        ("server.pem", server.certificate),
        ("server.key", server.key),
        ("clients.pem", clients.pem()),
        ("keys.json", issuers[0].key_set().unwrap().to_string()),
        ("laptop/servers.pem", servers.pem()),
        ("laptop/worker.pem", worker.certificate),
        ("laptop/worker.key", worker.key),
    ] {
        world.write(name, &text).unwrap();
    }
    Remote {
        address: format!("127.0.0.1:{}", free_port().unwrap()),
        token: token(&issuers[0]),
        false_token: token(&issuers[1]),
    }
}

/// A component where every user of the tests can read it.
pub(super) fn copied(world: &World, component: &str) -> PathBuf {
    let file = world.path(&format!("components/{component}.wasm"));
    std::fs::create_dir_all(world.path("components")).unwrap();
    std::fs::copy(guest(component), &file).unwrap();
    file
}

/// An example's own grants, for the component that was built here and the API here.
pub(super) fn install_example(world: &World, name: &str, api: &str) {
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

/// Where the leases of the tests lie.
pub(super) const LEASES: &str = "database/creds/reader";

/// Has Vault make users of this database.
pub(super) async fn lend(world: &World, postgres: &Postgres) {
    let bao = world.bao().unwrap();
    bao.connect_database(postgres, postgres.socket())
        .await
        .unwrap();
    let role = DatabaseRole {
        ttl: "10m",
        max_ttl: "20m",
        ..DatabaseRole::new("reader")
    };
    bao.database_role(&role).await.unwrap();
}

/// Grants of a task that calls an API as a database user of its own.
pub(super) fn borrowed(api: &str) -> String {
    format!(
        r#"[limits]
timeout = "60s"

[http.api]
base = "{api}/"
allow = ["GET **"]
network = "loopback"
plain = true
credential = {{ dynamic = {{ mount = "database", path = "creds/reader" }} }}
inject = {{ basic = {{ username = "{{username}}", password = "{{password}}" }} }}
"#
    )
}

/// A folder `laptop` with a secret-id of its own: the service's is not in it.
pub(super) async fn second_log_in(world: &World) {
    let path = format!("auth/approle/role/{HOST_ROLE}/secret-id");
    let made = world.bao().unwrap().root("POST", &path, Some(json!({})));
    let (_, made) = made.await.unwrap();
    let secret = made["data"]["secret_id"].as_str().unwrap();
    let services = std::fs::read_to_string(world.path("secret-id")).unwrap();
    assert_ne!(secret, services.trim());
    std::fs::create_dir(world.path("laptop")).unwrap();
    world.write("laptop/secret-id", secret).unwrap();
    std::fs::copy(world.path("role-id"), world.path("laptop/role-id")).unwrap();
}

/// Gives each user what is his: the service its log-in and its state, Airflow a folder
/// `laptop` with a log-in of its own. Neither can read the other's.
pub(super) fn opened(world: &World, remote: &Remote) {
    let mode = |name: &str, mode| {
        set_permissions(world.path(name), PermissionsExt::from_mode(mode)).unwrap();
    };
    let own = |name: &str, user| chown(world.path(name), Some(user), Some(user)).unwrap();
    let program = measured().unwrap_or_else(|| binary().to_owned());
    std::fs::copy(program, world.path("cofferdam")).unwrap();
    let config = std::fs::read_to_string(world.path("cofferdam.toml")).unwrap();
    let laptop = format!("[paths]\ngrants = \"../grants\"\n\n{config}");
    world.write("laptop/cofferdam.toml", &laptop).unwrap();
    let server = format!(
        r#"{config}
[server]
socket = "run/cofferdam.sock"

[server.tcp]
listen = "{address}"
certificate = "server.pem"
key = "server.key"
client_ca = "clients.pem"

[server.tcp.jwt]
jwks = "keys.json"
issuer = "https://login.example.com"
audience = "cofferdam-tests"

[[server.allow]]
users = [{AIRFLOW}]
tasks = ["*"]

[[server.allow]]
certificates = ["cn:{WORKER}"]
subjects = ["{WORKER}"]
tasks = ["*"]

[[server.allow]]
users = [0]
metrics = true
"#,
        address = remote.address
    );
    world.write("cofferdam.toml", &server).unwrap();
    for folder in ["state", "audit", "cache", "run"] {
        let _ = std::fs::remove_dir_all(world.path(folder));
        std::fs::create_dir(world.path(folder)).unwrap();
        mode(folder, if folder == "run" { 0o755 } else { 0o700 });
        own(folder, SERVICE);
    }
    own("secret-id", SERVICE);
    own("server.key", SERVICE);
    for name in ["", "grants", "components", "cofferdam"] {
        mode(name, 0o755);
    }
    for name in [
        "cofferdam.toml",
        "role-id",
        "server.pem",
        "clients.pem",
        "keys.json",
    ] {
        mode(name, 0o644);
    }
    for folder in ["grants", "components"] {
        for file in std::fs::read_dir(world.path(folder)).unwrap() {
            set_permissions(file.unwrap().path(), PermissionsExt::from_mode(0o644)).unwrap();
        }
    }
    for file in std::fs::read_dir(world.path("laptop")).unwrap() {
        chown(file.unwrap().path(), Some(AIRFLOW), Some(AIRFLOW)).unwrap();
    }
    own("laptop", AIRFLOW);
}

/// What people have today, for the benchmark: a log-in of Airflow's own that reads the
/// secret, as a connection for VaultHook.
pub(super) async fn plain_login(world: &World) -> Value {
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
pub(super) fn environment(
    world: &World,
    upstream: &Upstream,
    remote: &Remote,
    plain: Value,
) -> Vec<(String, String)> {
    let path = |name: &str| world.path(name).to_string_lossy().into_owned();
    let service = json!({ "conn_type": "cofferdam", "host": path("run/cofferdam.sock") });
    let laptop = json!({
        "conn_type": "cofferdam",
        "extra": { "binary": path("cofferdam"), "config": path("laptop/cofferdam.toml") },
    });
    let over_tcp = |proof: Value| {
        let mut extra = json!({ "ca": path("laptop/servers.pem") });
        let mut connection = json!({
            "conn_type": "cofferdam", "host": format!("https://{}", remote.address),
        });
        for (name, value) in proof.as_object().unwrap() {
            match name.as_str() {
                "password" => connection[name] = value.clone(),
                _ => extra[name] = value.clone(),
            }
        }
        connection["extra"] = extra;
        connection
    };
    let certificate = over_tcp(json!({
        "client_certificate": path("laptop/worker.pem"),
        "client_key": path("laptop/worker.key"),
    }));
    let bearer = over_tcp(json!({ "password": remote.token }));
    let nobody = over_tcp(json!({}));
    let forger = over_tcp(json!({ "password": remote.false_token }));
    let secrets = [
        "secret-id",
        "server.key",
        "state/cache.key",
        "state",
        "audit",
        "cache",
    ]
    .map(path);
    let mut environment = [
        ("AIRFLOW_CONN_COFFERDAM_DEFAULT", service.to_string()),
        ("AIRFLOW_CONN_LAPTOP", laptop.to_string()),
        ("AIRFLOW_CONN_CERTIFICATE", certificate.to_string()),
        ("AIRFLOW_CONN_BEARER", bearer.to_string()),
        ("AIRFLOW_CONN_NOBODY", nobody.to_string()),
        ("AIRFLOW_CONN_FORGER", forger.to_string()),
        ("AIRFLOW_CONN_VAULT", plain.to_string()),
        ("BENCH_API", format!("{}/status/200", upstream.address())),
        ("THIEF_WANTS", secrets.join(":")),
        (
            "AIRFLOW__COFFERDAM__AUDIT_URL",
            "https://audit.example/{run}".to_owned(),
        ),
        ("AIRFLOW__CORE__TEST_CONNECTION", "Enabled".to_owned()),
        ("AIRFLOW__STANDARD__VENV_INSTALL_METHOD", "pip".to_owned()),
        (
            "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL",
            // Airflow's own while durations are measured: each look takes SQLite's only lock.
            if measured().is_some() { "15" } else { "2" }.to_owned(),
        ),
        // A run that is lost with the service is asked after for this long, in seconds.
        ("AIRFLOW__COFFERDAM__PATIENCE", "30".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec();
    if measured().is_some() {
        let uv = tools::uv().unwrap();
        let folder = uv.parent().unwrap().to_string_lossy().into_owned();
        environment.push(("BENCH_UV".to_owned(), folder));
    }
    environment
}
