//! Where a log-in method keeps the settings of the host's log-in.

use super::LoginFacts;
use crate::vault::config::{AuthConfig, JwtConfig, PasswordConfig, PasswordMethod};
use crate::vault::path::VaultPath;

/// Where the settings of the log-in stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginRole {
    /// At this path.
    At(VaultPath),
    /// In no one place that this version knows how to read.
    Scattered,
    /// The log-in's answer does not say which role it was.
    Unnamed,
    /// Nowhere: the token was lent.
    None,
}

impl LoginRole {
    /// The place for this method, when this is what the log-in said.
    pub fn of(auth: &AuthConfig, login: &LoginFacts) -> Self {
        match auth {
            AuthConfig::AppRole(config) => {
                Self::at(&config.mount, "role", login.meta.get("role_name"))
            }
            AuthConfig::Cert(config) => {
                Self::at(&config.mount, "certs", login.meta.get("cert_name"))
            }
            AuthConfig::TokenFile(_) | AuthConfig::Token(_) | AuthConfig::Oidc(_) => Self::None,
            AuthConfig::Jwt(_) | AuthConfig::Password(_) | AuthConfig::Aws(_) => {
                match login_role_pattern(auth) {
                    Some(path) => path.parse().map_or(Self::Unnamed, Self::At),
                    None => Self::Scattered,
                }
            }
        }
    }

    fn at(mount: &VaultPath, kind: &str, name: Option<&String>) -> Self {
        let path = name.map(|name| format!("auth/{mount}/{kind}/{name}"));
        // A name with a `/` would lead elsewhere.
        let path = path.filter(|_| name.is_some_and(|name| !name.contains('/')));
        path.and_then(|path| path.parse().ok())
            .map_or(Self::Unnamed, Self::At)
    }
}

/// The path of a policy rule that lets a reviewer read these settings, before
/// anybody logged in; `None` when they stand in no one place.
pub fn login_role_pattern(auth: &AuthConfig) -> Option<String> {
    match auth {
        // Only a log-in tells which role it is.
        AuthConfig::AppRole(config) => Some(format!("auth/{}/role/+", config.mount)),
        AuthConfig::Cert(config) => Some(format!("auth/{}/certs/+", config.mount)),
        AuthConfig::Jwt(JwtConfig { mount, role, .. }) => Some(format!("auth/{mount}/role/{role}")),
        AuthConfig::Aws(config) => Some(format!("auth/{}/role/{}", config.mount, config.role)),
        AuthConfig::Password(PasswordConfig {
            method: PasswordMethod::Userpass,
            mount,
            username,
            ..
        }) => Some(format!("auth/{mount}/users/{username}")),
        // The settings are the method's, the policies the user's and the groups'.
        AuthConfig::Password(_)
        | AuthConfig::TokenFile(_)
        | AuthConfig::Token(_)
        | AuthConfig::Oidc(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::vault::VaultConfig;

    fn auth(table: &str) -> AuthConfig {
        let head = "address = \"https://v\"\nclient_cert_file = \"c\"\nclient_key_file = \"k\"\n";
        let config: VaultConfig = toml::from_str(&format!("{head}{table}")).expect("fine");
        config.auth
    }

    fn of(table: &str, meta: &[(&str, &str)]) -> LoginRole {
        let login = LoginFacts {
            meta: meta
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>(),
            ..LoginFacts::default()
        };
        LoginRole::of(&auth(table), &login)
    }

    fn at(path: &str) -> LoginRole {
        LoginRole::At(path.parse().expect("path"))
    }

    const APPROLE: &str = "[auth.approle]\nrole_id = \"r\"\nsecret_id_file = \"s\"\n";

    #[test]
    fn each_method_has_its_place() {
        let named = [("role_name", "host")];
        assert_eq!(of(APPROLE, &named), at("auth/approle/role/host"));
        assert_eq!(of(APPROLE, &[]), LoginRole::Unnamed);
        assert_eq!(of(APPROLE, &[("role_name", "a/b")]), LoginRole::Unnamed);
        assert_eq!(of(APPROLE, &[("role_name", "..")]), LoginRole::Unnamed);
        let jwt = "[auth.kubernetes]\nmount = \"k8s\"\nrole = \"host\"\n";
        assert_eq!(of(jwt, &[]), at("auth/k8s/role/host"));
        let cert = "[auth.cert]\n";
        assert_eq!(of(cert, &[("cert_name", "c")]), at("auth/cert/certs/c"));
        let user = "username = \"etl\"\npassword_file = \"p\"\n";
        assert_eq!(
            of(&format!("[auth.userpass]\n{user}"), &[]),
            at("auth/userpass/users/etl")
        );
        assert_eq!(
            of(&format!("[auth.ldap]\n{user}"), &[]),
            LoginRole::Scattered
        );
        assert_eq!(
            of("[auth.token_file]\npath = \"t\"\n", &[]),
            LoginRole::None
        );
    }
}
