//! An installation with a task that uses everything Vault has for it: a KV
//! secret, a signing key, and a credential with a lease.

use cofferdam_devkit::openbao::OpenBao;
use cofferdam_devkit::postgres::{DatabaseRole, Options, Postgres};
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::World;
use serde_json::{Value, json};

use crate::common::{api, install, signer, world};
use crate::guide::{section, type_in};

/// The header, as it stands in Vault's audit.
pub(crate) const HEADER: &str = "x-cofferdam-run";

/// Requests of the process itself.
pub(crate) const OWN: [&str; 3] = [
    "auth/approle/login",
    "auth/token/renew-self",
    "auth/token/revoke-self",
];

/// What a test needs.
pub(crate) struct Watched {
    pub(crate) world: World,
    pub(crate) upstream: Upstream,
    /// Alive as long as this is.
    pub(crate) postgres: Postgres,
}

impl Watched {
    /// With leases that are renewed after a second or two.
    pub(crate) async fn start() -> Self {
        let world = world().await;
        let postgres = Postgres::start(Options::default()).unwrap();
        let bao = world.bao().unwrap();
        bao.connect_database(&postgres, postgres.socket())
            .await
            .unwrap();
        let role = DatabaseRole {
            ttl: "3s",
            max_ttl: "60s",
            ..DatabaseRole::new("reader")
        };
        bao.database_role(&role).await.unwrap();
        let upstream = Upstream::start().unwrap();
        let http = api(&upstream.address())
            .replace(
                "kv2 = { mount = \"secret\", path = \"api\" }",
                "dynamic = { mount = \"database\", path = \"creds/reader\" }",
            )
            .replace("{token}", "{password}");
        let reveal = "[reveal.legacy]\nreason = \"test\"\n\
            credential = { kv2 = { mount = \"secret\", path = \"api\", field = \"token\" } }\n";
        // The guest imports it; it is not opened.
        let database = format!(
            "[sql.db]\nserver = \"127.0.0.1:{}/{}\"\nnetwork = \"loopback\"\nplain = true\n\
             credential = {{ dynamic = {{ mount = \"database\", path = \"creds/reader\" }} }}\n\
             allow = [\"select\"]\ntables = [\"public.none\"]\n",
            postgres.port(),
            postgres.database()
        );
        let signer = signer("signer", &["sign"]);
        let grants = format!("{http}\n{signer}\n{reveal}\n{database}");
        install(&world, "everything", "probe-all", &grants);
        declare(world.folder(), bao);
        Self {
            world,
            upstream,
            postgres,
        }
    }

    /// Sends traces to this address, and asks Vault at that one.
    pub(crate) fn traced(&self, collector: &str, vault: &str) {
        self.world.vault_at(vault).unwrap();
        trace(&self.world, collector);
    }

    pub(crate) fn bao(&self) -> &OpenBao {
        self.world.bao().unwrap()
    }

    /// One of each, and time for a renewal.
    pub(super) fn input() -> Value {
        json!({"steps": [
            {"do": "reveal", "grant": "legacy"},
            {"do": "keys", "grant": "signer", "op": "sign", "message": "m"},
            {"do": "http", "grant": "api", "path": "status/200"},
            {"do": "sleep", "ms": 2_500},
        ]})
    }

    /// One of each, the last of which lasts until the API is told to answer.
    pub(crate) fn held() -> Value {
        json!({"steps": [
            {"do": "reveal", "grant": "legacy"},
            {"do": "keys", "grant": "signer", "op": "sign", "message": "m"},
            {"do": "http", "grant": "api", "path": "held"},
        ]})
    }

    /// What the server was asked by anybody but root, from this line of its audit
    /// on: path, and the header.
    pub(super) fn asked(&self, from: usize) -> Vec<(String, Option<String>)> {
        asked(self.bao(), from)
    }

    /// The lines of the server's audit so far.
    pub(crate) fn lines(&self) -> usize {
        lines(self.bao())
    }
}

/// Sends the traces of this installation to this address.
pub(crate) fn trace(world: &World, collector: &str) {
    let file = "cofferdam.toml";
    let text = std::fs::read_to_string(world.path(file)).unwrap();
    let table = format!("{text}\n[telemetry]\notlp = \"{collector}\"\n");
    world.write(file, &table).unwrap();
}

/// Makes the server's audit show the header, as docs/VAULT.md tells it.
pub(crate) fn declare(folder: &std::path::Path, bao: &OpenBao) {
    for block in section("Which run asked").shell {
        type_in(folder, bao, &block, &[]);
    }
}

/// The lines of a server's audit so far.
pub(crate) fn lines(bao: &OpenBao) -> usize {
    std::fs::read_to_string(bao.audit_file())
        .unwrap()
        .lines()
        .count()
}

/// What a server was asked by anybody but root, from this line of its audit on.
pub(crate) fn asked(bao: &OpenBao, from: usize) -> Vec<(String, Option<String>)> {
    let text = std::fs::read_to_string(bao.audit_file()).unwrap();
    let lines = text.lines().skip(from).map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line
    });
    lines
        .filter(|line| line["type"] == "request")
        .filter(|line| line["auth"]["policies"] != json!(["root"]))
        .map(|line| {
            let request = &line["request"];
            let path = request["path"].as_str().unwrap().to_owned();
            let header = request["headers"][HEADER][0].as_str();
            (path, header.map(str::to_owned))
        })
        .collect()
}
