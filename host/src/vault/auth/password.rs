//! A user name in the path and a password in the body: `userpass`, `ldap`,
//! `okta` and `radius`.

use serde::Serialize;

use super::Login;
use super::answer::{Asked, text};
use crate::secret::{Privacy, read_file};
use crate::vault::VaultError;
use crate::vault::client::{Call, Client};
use crate::vault::config::{PasswordConfig, PasswordMethod};

/// The body of `auth/:mount/login/:username`.
#[derive(Serialize)]
struct Body<'a> {
    password: &'a str,
}

/// Reads the password anew and shows it.
pub(super) async fn log_in(config: &PasswordConfig, client: &Client) -> Result<Login, VaultError> {
    let password = read_file(&config.password_file, Privacy::Secret)?;
    let call = Call::log_in_as(
        &config.mount,
        &config.username,
        &Body {
            password: text(&password)?,
        },
    )?;
    let asked = Asked {
        mount: &config.mount,
        cure: match config.method {
            PasswordMethod::Userpass => "the user name or the password is wrong",
            PasswordMethod::Ldap => {
                "the directory does not know the user name or the password, or the user is in no group that has a policy"
            }
            PasswordMethod::Okta => {
                "the user name or the password is wrong, or nobody confirmed the log-in in Okta"
            }
            PasswordMethod::Radius => "the RADIUS server turns the user name or the password down",
        },
        obtained_by: vec![password],
    };
    asked.send(client, &call).await
}
