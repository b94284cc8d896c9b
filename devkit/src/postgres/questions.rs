//! Questions asked as the superuser.

use anyhow::{Context, Result};
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};

use super::Postgres;

impl Postgres {
    /// One or several statements in the database; the rows as texts, of
    /// all statements together.
    pub async fn ask(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let (client, connection) = self
            .config(Self::SUPERUSER, self.password())
            .connect(NoTls)
            .await
            .context("PostgreSQL takes no connection")?;
        let served = async {
            let answer = client.simple_query(sql).await;
            drop(client);
            answer
        };
        let (answer, _) = tokio::join!(served, connection);
        let messages = answer.with_context(|| format!("PostgreSQL refuses `{sql}`"))?;
        Ok(messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(
                    (0..row.len())
                        .map(|column| row.get(column).map(str::to_owned))
                        .collect(),
                ),
                _ => None,
            })
            .collect())
    }

    /// How a user would connect to the database, without TLS.
    pub fn config(&self, user: &str, password: &str) -> Config {
        let mut config = Config::new();
        config
            .host("127.0.0.1")
            .port(self.port())
            .dbname(self.database())
            .user(user)
            .password(password);
        config
    }

    /// The users that Vault made and that are still there: their names begin
    /// with `v-`.
    pub async fn made_users(&self) -> Result<Vec<String>> {
        self.names("SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%' ORDER BY 1")
            .await
    }

    /// The process ids of a user's sessions.
    pub async fn sessions_of(&self, user: &str) -> Result<Vec<String>> {
        let user = user.replace('\'', "''");
        self.names(&format!(
            "SELECT pid FROM pg_stat_activity WHERE usename = '{user}'"
        ))
        .await
    }

    /// The users of all sessions but the superuser's.
    pub async fn foreign_sessions(&self) -> Result<Vec<String>> {
        self.names(
            "SELECT coalesce(usename, usesysid::text) FROM pg_stat_activity \
             WHERE backend_type = 'client backend' AND usename IS DISTINCT FROM current_user",
        )
        .await
    }

    async fn names(&self, sql: &str) -> Result<Vec<String>> {
        let rows = self.ask(sql).await?;
        Ok(rows.into_iter().flatten().flatten().collect())
    }
}
