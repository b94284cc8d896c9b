//! An installation whose tasks work on a database.

use cofferdam_devkit::openbao::{OpenBao, Provision};
use cofferdam_devkit::postgres::{Options, Postgres};
use cofferdam_devkit::world::{Finished, World};
use serde_json::{Value, json};

use crate::common::{TOKEN, binary, install, nobody_lives};

/// Where the leases of these tests lie.
pub(crate) const LEASES: &str = "database/creds/writer";

/// A user who exists, with [`TOKEN`] as password; its name and password lie at
/// `secret/reporter`.
pub(crate) const REPORTER: &str = "reporter";

/// All that a task may do here.
pub(crate) const EVERYTHING: &str = "allow = [\"select\", \"insert\", \"update\", \"delete\", \
     \"merge\", \"copy_in\", \"copy_out\"]\ntables = [\"public.orders\", \"public.notes\"]\n";

/// A user of its own for each attempt.
pub(crate) const DYNAMIC: &str =
    "credential = { dynamic = { mount = \"database\", path = \"creds/writer\" } }\n";

/// The user that exists.
pub(crate) const FIXED: &str =
    "credential = { kv2 = { mount = \"secret\", path = \"reporter\" } }\n";

/// A world with a database, in which the task `load` may do [`EVERYTHING`] as a
/// user of its own.
pub(crate) struct Warehouse {
    pub(crate) world: World,
    pub(crate) postgres: Postgres,
}

impl Warehouse {
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let what = Provision {
            kv2: vec![("reporter", json!({"username": REPORTER, "password": TOKEN}))],
            ..Provision::default()
        };
        let world = World::with_vault(binary(), &what).await.unwrap();
        let postgres = Postgres::start(options).unwrap();
        postgres
            .ask(&format!(
                "CREATE TABLE orders (id serial PRIMARY KEY, customer text NOT NULL, \
                 amount numeric(12, 2) CHECK (amount >= 0), placed timestamptz DEFAULT now()); \
                 CREATE TABLE notes (id int PRIMARY KEY, body text); \
                 CREATE TABLE salaries (name text, amount int); \
                 INSERT INTO salaries VALUES ('somebody', 1); \
                 CREATE ROLE {REPORTER} LOGIN PASSWORD '{TOKEN}'; \
                 GRANT SELECT, INSERT, UPDATE, DELETE ON orders, notes TO {REPORTER}; \
                 GRANT USAGE ON SEQUENCE orders_id_seq TO {REPORTER}"
            ))
            .await
            .unwrap();
        let warehouse = Self { world, postgres };
        // As docs/SQL.md says: Vault's own user is no superuser.
        let vaults = format!(
            "CREATE ROLE vault LOGIN CREATEROLE PASSWORD 'vaults-own'; \
             GRANT CONNECT ON DATABASE {} TO vault WITH GRANT OPTION; \
             GRANT USAGE ON SCHEMA public TO vault WITH GRANT OPTION; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON orders, notes TO vault WITH GRANT OPTION; \
             GRANT USAGE ON SEQUENCE orders_id_seq TO vault WITH GRANT OPTION",
            warehouse.postgres.database()
        );
        warehouse.postgres.ask(&vaults).await.unwrap();
        let at = warehouse.postgres.socket();
        let bao = warehouse.bao();
        bao.connect_database_as(&warehouse.postgres, at, ("vault", "vaults-own"))
            .await
            .unwrap();
        warehouse.grant("load", DYNAMIC, EVERYTHING, "");
        warehouse.role("load").await;
        warehouse
    }

    /// The start of a grant: the server as it is reached here.
    pub(crate) fn server(&self) -> String {
        format!(
            "[sql.db]\nserver = \"127.0.0.1:{}/{}\"\nnetwork = \"loopback\"\nplain = true\n",
            self.postgres.port(),
            self.postgres.database()
        )
    }

    /// Installs a task; `rest` is what else stands in its table.
    pub(crate) fn grant(&self, task: &str, credential: &str, scope: &str, rest: &str) {
        let server = self.server();
        let grants = format!("[limits]\ntimeout = \"20s\"\n\n{server}{credential}{scope}{rest}");
        install(&self.world, task, "probe-sql", &grants);
    }

    /// Gives Vault the role that our own command writes for a task.
    pub(crate) async fn role(&self, task: &str) {
        self.world
            .database_roles(task, self.postgres.database())
            .await
            .unwrap();
    }

    pub(crate) fn bao(&self) -> &OpenBao {
        self.world.bao().unwrap()
    }

    /// Runs a task through these steps.
    pub(crate) fn run(&self, task: &str, steps: Value) -> Finished {
        let input = json!({"do": "sql", "grant": "db", "steps": steps});
        self.world.run(task).input(input).finish().unwrap()
    }

    /// What came of each step.
    pub(crate) fn steps(&self, task: &str, steps: Value) -> Value {
        let finished = self.run(task, steps);
        assert_eq!(finished.code, 0, "{finished:?}");
        finished.result().unwrap()
    }

    /// One value of the database, as text.
    pub(crate) async fn one(&self, sql: &str) -> String {
        let mut rows = self.postgres.ask(sql).await.unwrap();
        rows.remove(0).remove(0).unwrap()
    }

    /// The database users that Vault made and that exist.
    pub(crate) async fn users(&self) -> Vec<String> {
        self.postgres.made_users().await.unwrap()
    }

    /// The statements that run in sessions other than the superuser's and Vault's.
    pub(crate) async fn running(&self) -> Vec<String> {
        let rows = self
            .postgres
            .ask(
                "SELECT query FROM pg_stat_activity WHERE usename NOT IN ('postgres', 'vault') \
                 AND backend_type = 'client backend' AND state <> 'idle'",
            )
            .await
            .unwrap();
        rows.into_iter().flatten().flatten().collect()
    }

    /// The sessions of everybody but the superuser and Vault.
    pub(crate) async fn sessions(&self) -> usize {
        let count = "SELECT count(*) FROM pg_stat_activity \
                     WHERE usename NOT IN ('postgres', 'vault') \
                     AND backend_type = 'client backend'";
        self.one(count).await.parse().unwrap()
    }

    /// No user, no session, no lease and no token is left. The search itself
    /// is shown to find each.
    pub(crate) async fn nothing_is_left(&self) {
        assert_eq!(self.users().await, Vec::<String>::new());
        assert_eq!(self.sessions().await, 0);
        assert_eq!(
            self.bao().leases(LEASES).await.unwrap(),
            Vec::<String>::new()
        );
        nobody_lives(self.bao()).await;

        let (_, made) = self.bao().root("GET", LEASES, None).await.unwrap();
        let user = made["data"]["username"].as_str().unwrap();
        let password = made["data"]["password"].as_str().unwrap();
        let config = self.postgres.config(user, password);
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        assert_eq!(self.users().await, [user]);
        assert_eq!(self.sessions().await, 1);
        let lease = made["lease_id"].as_str().unwrap();
        assert_eq!(self.bao().leases(LEASES).await.unwrap(), [lease]);
        let body = json!({"lease_id": lease, "sync": true});
        let (status, answer) = self
            .bao()
            .root("POST", "sys/leases/revoke", Some(body))
            .await
            .unwrap();
        assert_eq!(status, 204, "{answer}");
        // The role's own statements ended the session with the user.
        assert!(connection.await.unwrap().is_err());
        assert!(client.is_closed());
        assert_eq!(self.users().await, Vec::<String>::new());
        assert_eq!(self.sessions().await, 0);
    }

    /// The lines of the audit of all runs in their order, of these events.
    pub(crate) fn audit(&self, events: &[&str]) -> Vec<Value> {
        let mut lines = self.world.audit().unwrap();
        lines.retain(|line| events.contains(&line["event"].as_str().unwrap()));
        lines
    }
}
