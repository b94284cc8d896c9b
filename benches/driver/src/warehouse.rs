//! A real PostgreSQL, whose users a real OpenBao makes.

use std::sync::Arc;

use anyhow::{Context, Result};
use cofferdam_devkit::guests;
use cofferdam_devkit::openbao::Provision;
use cofferdam_devkit::postgres::{Options, Postgres};
use cofferdam_devkit::world::World;
use serde_json::{Value, json};

use crate::host::Host;
use crate::stage::{baseline_token, beside, plan};

/// Rows of the table `notes`: an `int` and a text of 90 bytes.
pub(crate) const ROWS: u32 = 1_000_000;

/// One row by its key.
pub(crate) const POINT: &str = "SELECT id, body FROM notes WHERE id = $1";

/// The key.
pub(crate) const KEY: i32 = 4_711;

/// A database of a million rows, and the task `reader` that works on it.
pub(crate) struct Warehouse {
    world: World,
    postgres: Postgres,
}

impl Warehouse {
    pub(crate) async fn set() -> Result<Self> {
        let world = World::with_vault(&beside("cofferdam")?, &Provision::default()).await?;
        let postgres = Postgres::start(Options::default())?;
        postgres
            .ask(&format!(
                "CREATE TABLE notes (id int PRIMARY KEY, body text NOT NULL); \
                 INSERT INTO notes SELECT n, repeat('x', 90) FROM generate_series(1, {ROWS}) n; \
                 CREATE UNLOGGED TABLE loaded (body text NOT NULL)"
            ))
            .await?;
        postgres.ask("VACUUM ANALYZE notes").await?;
        let bao = world.bao()?;
        bao.connect_database(&postgres, postgres.socket()).await?;
        let grants = format!(
            "[limits]\ntimeout = \"10m\"\n\n[sql.db]\nserver = \"127.0.0.1:{}/{}\"\n\
             network = \"loopback\"\nplain = true\n\
             credential = {{ dynamic = {{ mount = \"database\", path = \"creds/reader\" }} }}\n\
             allow = [\"select\", \"insert\", \"copy_in\"]\n\
             tables = [\"public.notes\", \"public.loaded\"]\n\
             max_connections = 2\nmax_bytes = \"1GiB\"\nmax_rows = 2000000\nstatement_timeout = \"5m\"\n",
            postgres.port(),
            postgres.database()
        );
        world.task("reader", &guests::component("probe-sql")?, &grants)?;
        world.policy("reader")?;
        world.database_roles("reader", postgres.database()).await?;
        world.write("postgres-password", postgres.password())?;
        baseline_token(&world).await?;
        Ok(Self { world, postgres })
    }

    /// The host with the task loaded.
    pub(crate) async fn host(&self, sync: bool) -> Result<Arc<Host>> {
        Host::load(self.world.folder(), "reader", sync).await
    }

    /// The database for the bare side.
    pub(crate) fn database(&self) -> Value {
        json!({
            "port": self.postgres.port(),
            "database": self.postgres.database(),
            "user": Postgres::SUPERUSER,
            "password_file": self.world.path("postgres-password"),
        })
    }

    /// The calls to Vault for the bare side.
    pub(crate) fn plan(&self) -> Result<Value> {
        let user = ("database/creds/reader", "password");
        plan(&self.world, "reader", user)
    }

    /// Empties the table that is loaded into.
    pub(crate) async fn empty(&self) -> Result<()> {
        self.postgres.ask("TRUNCATE loaded").await?;
        Ok(())
    }
}

/// What the task does: these steps, one after the other.
pub(crate) fn input(steps: &[Value]) -> String {
    json!({"do": "sql", "grant": "db", "steps": steps}).to_string()
}

/// The step that reads one row by its key.
pub(crate) fn point() -> Value {
    json!({"query": {"sql": POINT, "params": [{"int32": KEY}], "count": true}})
}

/// The most memory that this process had since [`forget_peak`], in MB (10^6 bytes).
pub(crate) fn peak() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: f64 = kib.context("no VmHWM in status")?.trim().parse()?;
    Ok(kib * 1_024.0 / 1e6)
}

/// Lets the kernel count the peak from now on (`clear_refs` in proc(5)).
pub(crate) fn forget_peak() -> Result<()> {
    std::fs::write("/proc/self/clear_refs", "5").context("cannot reset the peak")
}
