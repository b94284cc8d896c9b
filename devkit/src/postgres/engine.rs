//! Vault's database engine, set up as an administrator would.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Postgres;
use crate::openbao::OpenBao;

/// A role whose every `creds` is a new database user with a lease.
#[derive(Debug, Clone)]
pub struct DatabaseRole<'a> {
    /// Its name in Vault.
    pub name: &'a str,
    /// What a user may do, such as `GRANT SELECT ON orders TO "{{name}}";`.
    pub grants: &'a str,
    /// How long a lease lives until it is renewed, such as `1h`.
    pub ttl: &'a str,
    /// How long it can be renewed.
    pub max_ttl: &'a str,
}

/// A role for a database user who exists and whose password Vault rotates.
#[derive(Debug, Clone)]
pub struct StaticRole<'a> {
    /// Its name in Vault.
    pub name: &'a str,
    /// The user; made here when it is missing.
    pub user: &'a str,
    /// How often the password is rotated: `5s` at least.
    pub period: &'a str,
}

impl<'a> DatabaseRole<'a> {
    /// A role that may log in and nothing more, with an hour.
    pub fn new(name: &'a str) -> Self {
        Self {
            name,
            grants: "",
            ttl: "1h",
            max_ttl: "4h",
        }
    }
}

impl OpenBao {
    /// Mounts the database engine at `database/` and connects it, under the name
    /// of the database, as the superuser, at this address: the server's own or
    /// that of something before it.
    pub async fn connect_database(&self, postgres: &Postgres, at: SocketAddr) -> Result<()> {
        let superuser = (Postgres::SUPERUSER, postgres.password());
        self.connect_database_as(postgres, at, superuser).await
    }

    /// The same as this user with this password, who needs the right to make
    /// roles and to hand on what they get.
    pub async fn connect_database_as(
        &self,
        postgres: &Postgres,
        at: SocketAddr,
        (user, password): (&str, &str),
    ) -> Result<()> {
        self.change("sys/mounts/database", json!({"type": "database"}))
            .await?;
        let url = format!(
            "postgresql://{{{{username}}}}:{{{{password}}}}@{at}/{}?sslmode=disable&connect_timeout=2",
            postgres.database()
        );
        self.change(
            &format!("database/config/{}", postgres.database()),
            json!({
                "plugin_name": "postgresql-database-plugin",
                "allowed_roles": "*",
                "connection_url": url,
                "username": user,
                "password": password,
                "password_authentication": "scram-sha-256",
            }),
        )
        .await?;
        Ok(())
    }

    /// Makes or changes a role of the engine. Its users' sessions and
    /// everything that they own end with them.
    pub async fn database_role(&self, role: &DatabaseRole<'_>) -> Result<()> {
        let create = "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' \
                      VALID UNTIL '{{expiration}}';";
        self.change(
            &format!("database/roles/{}", role.name),
            json!({
                "db_name": Postgres::DATABASE,
                "default_ttl": role.ttl,
                "max_ttl": role.max_ttl,
                "creation_statements": [create, role.grants],
                "renew_statements": ["ALTER ROLE \"{{name}}\" VALID UNTIL '{{expiration}}';"],
                "revocation_statements": [
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}';",
                    "DROP OWNED BY \"{{name}}\";",
                    "DROP ROLE IF EXISTS \"{{name}}\";",
                ],
            }),
        )
        .await?;
        Ok(())
    }

    /// Takes the roles that `cofferdam policy TASK --database --format json`
    /// writes, as an administrator would.
    pub async fn take_database_roles(&self, written: &Value) -> Result<()> {
        let grants = written.get("grants").and_then(Value::as_array);
        for grant in grants.context("no grant has a database")? {
            let path = grant.get("path").and_then(Value::as_str);
            let role = grant.get("role").context("there is no role")?;
            self.change(path.context("the role has no path")?, role.clone())
                .await?;
        }
        Ok(())
    }

    /// Makes a static role, and its user when there is none.
    pub async fn static_role(&self, postgres: &Postgres, role: &StaticRole<'_>) -> Result<()> {
        let user = role.user;
        postgres
            .ask(&format!(
                "DO $$ BEGIN CREATE ROLE \"{user}\" LOGIN; \
                 EXCEPTION WHEN duplicate_object THEN NULL; END $$"
            ))
            .await?;
        self.change(
            &format!("database/static-roles/{}", role.name),
            json!({
                "db_name": Postgres::DATABASE,
                "username": user,
                "rotation_period": role.period,
            }),
        )
        .await?;
        Ok(())
    }

    /// The ids of the leases that live below a prefix, such as
    /// `database/creds/reader`.
    pub async fn leases(&self, prefix: &str) -> Result<Vec<String>> {
        let path = format!("sys/leases/lookup/{prefix}/");
        let (status, answer) = self.root("LIST", &path, None).await?;
        if status == 404 {
            return Ok(Vec::new());
        }
        let keys = answer.pointer("/data/keys").and_then(Value::as_array);
        let keys = keys.context("the server lists no leases")?;
        Ok(keys
            .iter()
            .filter_map(Value::as_str)
            .map(|key| format!("{prefix}/{key}"))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::NoTls;

    use super::super::Options;
    use super::*;
    use crate::openbao::DevOptions;

    #[tokio::test]
    async fn a_user_comes_with_a_lease_and_goes_with_it() {
        let postgres = Postgres::start(Options::default()).unwrap();
        let bao = OpenBao::start_dev(DevOptions::default()).unwrap();
        bao.connect_database(&postgres, postgres.socket())
            .await
            .unwrap();
        postgres.ask("CREATE TABLE orders (n int)").await.unwrap();
        let role = DatabaseRole {
            grants: "GRANT SELECT ON orders TO \"{{name}}\";",
            ..DatabaseRole::new("reader")
        };
        bao.database_role(&role).await.unwrap();
        assert!(
            bao.leases("database/creds/reader")
                .await
                .unwrap()
                .is_empty()
        );

        let (status, made) = bao
            .root("GET", "database/creds/reader", None)
            .await
            .unwrap();
        assert_eq!(status, 200);
        let field = |name: &str| made["data"][name].as_str().unwrap().to_owned();
        let lease = made["lease_id"].as_str().unwrap().to_owned();
        assert_eq!(
            bao.leases("database/creds/reader").await.unwrap(),
            [lease.as_str()]
        );
        assert_eq!(postgres.made_users().await.unwrap(), [field("username")]);
        let (client, connection) = postgres
            .config(&field("username"), &field("password"))
            .connect(NoTls)
            .await
            .unwrap();
        let connection = tokio::spawn(connection);
        client
            .simple_query("SELECT count(*) FROM orders")
            .await
            .unwrap();
        assert!(client.simple_query("DROP TABLE orders").await.is_err());
        assert_eq!(
            postgres
                .sessions_of(&field("username"))
                .await
                .unwrap()
                .len(),
            1
        );

        let body = json!({"lease_id": lease, "sync": true});
        let (status, _) = bao
            .root("POST", "sys/leases/revoke", Some(body))
            .await
            .unwrap();
        assert_eq!(status, 204);
        assert!(postgres.made_users().await.unwrap().is_empty());
        assert!(connection.await.unwrap().is_err(), "the session was ended");
    }

    #[tokio::test]
    async fn a_static_user_keeps_its_name_and_gets_passwords() {
        let postgres = Postgres::start(Options::default()).unwrap();
        let bao = OpenBao::start_dev(DevOptions::default()).unwrap();
        bao.connect_database(&postgres, postgres.socket())
            .await
            .unwrap();
        let role = StaticRole {
            name: "batch",
            user: "batch",
            period: "1h",
        };
        bao.static_role(&postgres, &role).await.unwrap();
        let path = "database/static-creds/batch";
        let (_, first) = bao.root("GET", path, None).await.unwrap();
        assert_eq!(first["data"]["username"], json!("batch"));
        assert_eq!(first["lease_id"], json!(""));
        bao.root("POST", "database/rotate-role/batch", Some(json!({})))
            .await
            .unwrap();
        let (_, second) = bao.root("GET", path, None).await.unwrap();
        assert_ne!(first["data"]["password"], second["data"]["password"]);
    }
}
