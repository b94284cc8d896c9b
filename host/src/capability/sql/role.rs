//! The database user that a grant needs, as the statements that make and
//! unmake it. The first fence: what it may not do, no statement of a task does.

use std::collections::BTreeSet;

use serde::Serialize;

use super::SqlGrant;
use super::gate::Verb;

/// What Vault's database engine runs for a role; `{{name}}`, `{{password}}` and
/// `{{expiration}}` are its own to fill in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoleStatements {
    /// When a user is made.
    pub creation_statements: Vec<String>,
    /// When its lease is renewed: the user's own end moves along. PostgreSQL's
    /// engine does the same without it; said here, a reviewer sees it.
    pub renew_statements: Vec<String>,
    /// When its lease ends.
    pub revocation_statements: Vec<String>,
}

impl SqlGrant {
    /// The statements for a user that may do what the grant allows, and no more.
    pub fn role_statements(&self) -> RoleStatements {
        // One more than the grant: a session that was closed is a moment in going.
        let connections = self.max_connections + 1;
        let mut creation = vec![format!(
            "CREATE ROLE \"{{{{name}}}}\" WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE \
             NOREPLICATION NOBYPASSRLS CONNECTION LIMIT {connections} \
             PASSWORD '{{{{password}}}}' VALID UNTIL '{{{{expiration}}}}';"
        )];
        creation.extend(self.rights("\"{{name}}\""));
        RoleStatements {
            creation_statements: creation,
            renew_statements: vec![
                "ALTER ROLE \"{{name}}\" VALID UNTIL '{{expiration}}';".to_owned(),
            ],
            revocation_statements: vec![REVOCATION.to_owned()],
        }
    }

    /// The statements that give a user what the grant allows.
    pub fn rights(&self, user: &str) -> Vec<String> {
        let rules = &self.rules;
        let mut rights = vec![format!(
            "GRANT CONNECT ON DATABASE \"{}\" TO {user};",
            self.server.database
        )];
        let functions = rules.functions.iter();
        let functions = functions.filter(|function| function.schema() != "pg_catalog");
        let mut schemas: BTreeSet<&str> = rules.tables.iter().map(|it| it.schema()).collect();
        schemas.extend(functions.clone().map(|function| function.schema()));
        // Everybody may use a type unless its owner took that away.
        schemas.extend(rules.types.iter().map(|it| it.schema()));
        for schema in schemas {
            rights.push(format!("GRANT USAGE ON SCHEMA \"{schema}\" TO {user};"));
        }
        let privileges: BTreeSet<&str> =
            rules.allow.iter().filter_map(|it| privilege(*it)).collect();
        if !privileges.is_empty() {
            let privileges = privileges.into_iter().collect::<Vec<_>>().join(", ");
            for table in &rules.tables {
                rights.push(format!(
                    "GRANT {privileges} ON TABLE \"{}\".\"{}\" TO {user};",
                    table.schema(),
                    table.table()
                ));
            }
        }
        if rules
            .allow
            .iter()
            .any(|verb| privilege(*verb) == Some("INSERT"))
        {
            rights.push(self.sequences(user));
        }
        for function in functions {
            rights.push(format!(
                "GRANT EXECUTE ON FUNCTION \"{}\".\"{}\" TO {user};",
                function.schema(),
                function.function()
            ));
        }
        rights
    }

    /// A `serial` column's default asks a sequence, on which its user needs a
    /// right. Vault runs a text with `DO` as one statement.
    fn sequences(&self, user: &str) -> String {
        let tables = self.rules.tables.iter();
        let tables: Vec<_> = tables
            .map(|it| format!("'\"{}\".\"{}\"'::regclass", it.schema(), it.table()))
            .collect();
        format!(
            "DO $$ DECLARE s regclass; BEGIN \
             FOR s IN SELECT d.objid FROM pg_depend d JOIN pg_class c ON c.oid = d.objid \
             WHERE c.relkind = 'S' AND d.deptype = 'a' AND d.refobjid IN ({}) \
             LOOP EXECUTE format('GRANT USAGE ON SEQUENCE %s TO {user}', s); END LOOP; END $$;",
            tables.join(", ")
        )
    }
}

/// Nobody logs in any more, who is there is sent away, what it owns goes, and
/// then the user itself. Only a superuser, or a member of the role, may end its
/// sessions and drop what it owns: so Vault's own user becomes one, and need not
/// be a superuser. A user that is gone already is no error, so that a
/// revocation which was cut short can be repeated.
///
/// Vault and OpenBao run all statements of a revocation in one transaction, so
/// `NOLOGIN` is seen by others only when the user goes as well, also if it were
/// a statement of its own. Who logs in between `pg_terminate_backend` and the
/// end of the transaction keeps a session with the rights of `PUBLIC`; of those
/// who could, only the host knows the password.
///
/// `DROP OWNED` takes back every right there is on a relation, column by column,
/// and wants the right to hand on one of those from who runs it: of a sequence
/// with `USAGE` alone, or a table with `DELETE` alone, Vault's user has none. So
/// what the user has is taken back by name before.
const REVOCATION: &str = "DO $$ DECLARE u oid; r record; BEGIN \
    SELECT oid INTO u FROM pg_roles WHERE rolname = '{{name}}'; \
    IF FOUND THEN \
    ALTER ROLE \"{{name}}\" NOLOGIN; GRANT \"{{name}}\" TO CURRENT_USER; \
    PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = '{{name}}'; \
    FOR r IN SELECT c.oid::regclass AS it, c.relkind, a.privilege_type AS may \
    FROM pg_shdepend d JOIN pg_class c ON c.oid = d.objid, aclexplode(c.relacl) a \
    WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = u \
    AND d.classid = 'pg_class'::regclass AND a.grantee = u \
    AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) \
    LOOP EXECUTE format('REVOKE %s ON %s %s FROM \"{{name}}\"', r.may, \
    CASE r.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, r.it); END LOOP; \
    DROP OWNED BY \"{{name}}\"; \
    DROP ROLE \"{{name}}\"; \
    END IF; END $$;";

/// What PostgreSQL asks for; `MERGE` asks for what its branches do.
fn privilege(verb: Verb) -> Option<&'static str> {
    match verb {
        Verb::Select | Verb::CopyOut => Some("SELECT"),
        Verb::Insert | Verb::CopyIn => Some("INSERT"),
        Verb::Update => Some("UPDATE"),
        Verb::Delete => Some("DELETE"),
        Verb::Merge => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(rest: &str) -> RoleStatements {
        let grant: SqlGrant = toml::from_str(&format!(
            "server = \"db.example.com:5432/warehouse\"\n\
             credential = {{ dynamic = {{ mount = \"database\", path = \"creds/w\" }} }}\n{rest}"
        ))
        .unwrap();
        grant.role_statements()
    }

    #[test]
    fn a_user_gets_what_the_grant_allows() {
        let made = statements(
            "allow = [\"select\", \"copy_out\"]\n\
             tables = [\"public.orders\", \"sales.Customers\"]\nmax_connections = 2",
        );
        insta::assert_snapshot!(made.creation_statements.join("\n"), @r#"
        CREATE ROLE "{{name}}" WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 3 PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';
        GRANT CONNECT ON DATABASE "warehouse" TO "{{name}}";
        GRANT USAGE ON SCHEMA "public" TO "{{name}}";
        GRANT USAGE ON SCHEMA "sales" TO "{{name}}";
        GRANT SELECT ON TABLE "public"."orders" TO "{{name}}";
        GRANT SELECT ON TABLE "sales"."Customers" TO "{{name}}";
        "#);
        let made = statements(
            "allow = [\"select\", \"insert\", \"update\", \"merge\", \"copy_in\"]\n\
             tables = [\"public.orders\"]\nfunctions = [\"tools.next_number\", \"nextval\"]\n\
             types = [\"kinds.state\"]",
        );
        insta::assert_snapshot!(made.creation_statements[1..].join("\n"), @r#"
        GRANT CONNECT ON DATABASE "warehouse" TO "{{name}}";
        GRANT USAGE ON SCHEMA "kinds" TO "{{name}}";
        GRANT USAGE ON SCHEMA "public" TO "{{name}}";
        GRANT USAGE ON SCHEMA "tools" TO "{{name}}";
        GRANT INSERT, SELECT, UPDATE ON TABLE "public"."orders" TO "{{name}}";
        DO $$ DECLARE s regclass; BEGIN FOR s IN SELECT d.objid FROM pg_depend d JOIN pg_class c ON c.oid = d.objid WHERE c.relkind = 'S' AND d.deptype = 'a' AND d.refobjid IN ('"public"."orders"'::regclass) LOOP EXECUTE format('GRANT USAGE ON SEQUENCE %s TO "{{name}}"', s); END LOOP; END $$;
        GRANT EXECUTE ON FUNCTION "tools"."next_number" TO "{{name}}";
        "#);
    }
}
