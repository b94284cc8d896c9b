//! The database users of `[sql.…]` grants, as roles of Vault's database engine.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::capability::CredentialSource;
use crate::capability::sql::{RoleStatements, SqlGrant};
use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::grants::Grants;
use crate::name::{GrantName, TaskName};

/// How long a user lives until its lease is renewed. A host that was killed
/// leaves it for this long.
const TTL: Duration = Duration::from_secs(300);

/// Stands for a user whose name the grant does not know.
const USER: &str = "\"USER\"";

/// The database users of some tasks.
#[derive(Debug, Serialize)]
pub(super) struct Databases {
    grants: Vec<DatabaseDocument>,
}

/// The database user of one grant.
#[derive(Debug, Serialize)]
struct DatabaseDocument {
    task: TaskName,
    grant: GrantName,
    database: String,
    #[serde(flatten)]
    user: User,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "credential")]
enum User {
    /// Vault makes one for each attempt.
    Dynamic {
        /// Where the role is written.
        path: String,
        role: Role,
    },
    /// One that exists.
    Existing {
        /// Where Vault has it.
        path: String,
        statements: Vec<String>,
    },
}

/// The body of `MOUNT/roles/NAME`.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Role {
    db_name: String,
    default_ttl: String,
    max_ttl: String,
    #[serde(flatten)]
    statements: RoleStatements,
}

impl Databases {
    /// Of every `[sql.…]` grant; `connection` is what Vault calls the database,
    /// or nothing when it goes by its own name.
    pub(super) fn of(granted: &[Grants], connection: Option<&str>) -> Self {
        let of_task = |grants: &Grants| {
            let grants_of = grants.sql.iter();
            let documents = grants_of.map(|(name, grant)| DatabaseDocument {
                task: grants.task.clone(),
                grant: name.clone(),
                database: grant.server.database.clone(),
                user: user(grants, grant, connection),
            });
            documents.collect::<Vec<_>>()
        };
        Self {
            grants: granted.iter().flat_map(of_task).collect(),
        }
    }
}

fn user(grants: &Grants, grant: &SqlGrant, connection: Option<&str>) -> User {
    let CredentialSource::Dynamic { path, .. } = &grant.credential else {
        return User::Existing {
            path: grant.credential.api_path(),
            statements: grant.rights(USER),
        };
    };
    let role = path.path.as_str();
    let role = role.strip_prefix("creds/").unwrap_or(role);
    // Longer than the longest attempt, or its lease could not be renewed to the end.
    let longest = grants.limits.timeout + grants.limits.grace + TTL;
    User::Dynamic {
        path: format!("{}/roles/{role}", path.mount),
        role: Role {
            db_name: connection.unwrap_or(&grant.server.database).to_owned(),
            default_ttl: format!("{}s", TTL.as_secs()),
            max_ttl: format!("{}s", longest.as_secs()),
            statements: grant.role_statements(),
        },
    }
}

impl Databases {
    /// Two grants whose users are made by one role of Vault's, and differ: the
    /// second one written would undo the first.
    pub(super) fn conflict(&self) -> Option<RoleConflict> {
        let mut roles: BTreeMap<&str, (&DatabaseDocument, &Role)> = BTreeMap::new();
        self.grants.iter().find_map(|grant| {
            let User::Dynamic { path, role } = &grant.user else {
                return None;
            };
            let (first, other) = roles.insert(path, (grant, role))?;
            let named =
                |it: &DatabaseDocument| format!("`sql.{}` of the task `{}`", it.grant, it.task);
            (other != role).then(|| RoleConflict {
                path: path.clone(),
                grants: [named(first), named(grant)],
            })
        })
    }
}

/// One role of Vault's engine that two grants want to be different.
#[derive(Debug, thiserror::Error)]
#[error("{} and {} take their users from one role, `{path}`, but need different rights", .grants[0], .grants[1])]
pub(super) struct RoleConflict {
    path: String,
    grants: [String; 2],
}

impl Diagnostic for RoleConflict {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        Blame::Operator
    }

    fn hint(&self) -> Option<String> {
        Some("give each its own `path` in `credential.dynamic` of its grants file".to_owned())
    }
}

impl fmt::Display for Databases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.grants.is_empty() {
            return f.write_str("# No task here has an `[sql.…]` grant.");
        }
        let parts = self.grants.iter().map(ToString::to_string);
        f.write_str(parts.collect::<Vec<_>>().join("\n\n").trim_end())
    }
}

impl fmt::Display for DatabaseDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            task,
            grant,
            database,
            user,
        } = self;
        match user {
            User::Dynamic { path, role } => {
                let json = serde_json::to_string_pretty(role).map_err(|_| fmt::Error)?;
                write!(
                    f,
                    "# `sql.{grant}` of the task `{task}`: a user of the database `{database}` for each attempt.\n\
                     # `db_name` is what the engine calls the connection to that database.\n\
                     bao write {path} - <<'JSON'\n{json}\nJSON"
                )
            }
            User::Existing { path, statements } => {
                // The others are piped into a shell.
                write!(
                    f,
                    "# `sql.{grant}` of the task `{task}`: rights in the database `{database}` for the user\n\
                     # of `{path}`. Its owner types them, with the name in the place of {USER}:\n# {}",
                    statements.join("\n# ")
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use insta::assert_snapshot;

    use super::*;
    use crate::digest::Digest;

    fn grants(credential: &str) -> Grants {
        let digest = Digest::of(b"");
        let text = format!(
            "task = \"t\"\ncomponent = \"t.wasm\"\ndigest = \"{digest}\"\n\
             [caller]\ndags = [\"d\"]\n[sql.warehouse]\n\
             server = \"db.example.com:5432/warehouse\"\ncredential = {{ {credential} }}\n\
             allow = [\"select\"]\ntables = [\"public.orders\"]\n"
        );
        Grants::parse(&text, Path::new("t.toml"), digest).unwrap()
    }

    #[test]
    fn a_user_for_each_attempt_is_a_role_in_vault() {
        let grants = grants("dynamic = { mount = \"database\", path = \"creds/reader\" }");
        let text = Databases::of(&[grants], Some("main")).to_string();
        assert_snapshot!(text, @r#"
        # `sql.warehouse` of the task `t`: a user of the database `warehouse` for each attempt.
        # `db_name` is what the engine calls the connection to that database.
        bao write database/roles/reader - <<'JSON'
        {
          "db_name": "main",
          "default_ttl": "300s",
          "max_ttl": "360s",
          "creation_statements": [
            "CREATE ROLE \"{{name}}\" WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 2 PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';",
            "GRANT CONNECT ON DATABASE \"warehouse\" TO \"{{name}}\";",
            "GRANT USAGE ON SCHEMA \"public\" TO \"{{name}}\";",
            "GRANT SELECT ON TABLE \"public\".\"orders\" TO \"{{name}}\";"
          ],
          "renew_statements": [
            "ALTER ROLE \"{{name}}\" VALID UNTIL '{{expiration}}';"
          ],
          "revocation_statements": [
            "DO $$ DECLARE u oid; r record; BEGIN SELECT oid INTO u FROM pg_roles WHERE rolname = '{{name}}'; IF FOUND THEN ALTER ROLE \"{{name}}\" NOLOGIN; GRANT \"{{name}}\" TO CURRENT_USER; PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = '{{name}}'; FOR r IN SELECT c.oid::regclass AS it, c.relkind, a.privilege_type AS may FROM pg_shdepend d JOIN pg_class c ON c.oid = d.objid, aclexplode(c.relacl) a WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = u AND d.classid = 'pg_class'::regclass AND a.grantee = u AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) LOOP EXECUTE format('REVOKE %s ON %s %s FROM \"{{name}}\"', r.may, CASE r.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, r.it); END LOOP; DROP OWNED BY \"{{name}}\"; DROP ROLE \"{{name}}\"; END IF; END $$;"
          ]
        }
        JSON
        "#);
    }

    #[test]
    fn a_user_that_exists_gets_rights() {
        let grants = grants("static = { mount = \"database\", role = \"reporter\" }");
        let text = Databases::of(&[grants], None).to_string();
        assert_snapshot!(text, @r#"
        # `sql.warehouse` of the task `t`: rights in the database `warehouse` for the user
        # of `database/static-creds/reporter`. Its owner types them, with the name in the place of "USER":
        # GRANT CONNECT ON DATABASE "warehouse" TO "USER";
        # GRANT USAGE ON SCHEMA "public" TO "USER";
        # GRANT SELECT ON TABLE "public"."orders" TO "USER";
        "#);
    }

    #[test]
    fn one_role_cannot_be_two() {
        let of = |task: &str, rest: &str| {
            let mut grants = grants("dynamic = { mount = \"database\", path = \"creds/reader\" }");
            grants.task = task.parse().unwrap();
            let warehouse = grants.sql.values_mut().next().unwrap();
            Arc::make_mut(warehouse).max_connections = rest.len();
            grants
        };
        let databases = Databases::of(&[of("a", "1"), of("b", "1")], None);
        assert!(databases.conflict().is_none(), "the same rights");
        let databases = Databases::of(&[of("a", "1"), of("b", "22")], None);
        let conflict = databases.conflict().unwrap().to_string();
        assert_snapshot!(conflict, @"`sql.warehouse` of the task `a` and `sql.warehouse` of the task `b` take their users from one role, `database/roles/reader`, but need different rights");
    }

    #[test]
    fn a_task_without_databases_needs_no_user() {
        assert_snapshot!(Databases::of(&[], None), @"# No task here has an `[sql.…]` grant.");
    }
}
