//! The log-in of an attempt as itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use serde::Serialize;
use serde::de::IgnoredAny;
use vaultrs::api::token::requests::LookupTokenAccessorRequest;

use super::answer::{Looked, Wanted};
use super::claims::{About, Subject};
use crate::digest::Digest;
use crate::identity::Identity;
use crate::scrub::SecretSet;
use crate::secret::{MIN_SECRET_LEN, Secret};
use crate::vault::accessor::Accessor;
use crate::vault::client::{AuthAnswer, Call, RunTag};
use crate::vault::error::Operation;
use crate::vault::journal::{AuthorityKind, Keep};
use crate::vault::logins::HostLogin;
use crate::vault::mint::{Minted, attempt_life};
use crate::vault::path::{VaultName, VaultPath};
use crate::vault::policy::PolicyName;
use crate::vault::revoke::Tie;
use crate::vault::session::{SessionKind, VaultIdentity};
use crate::vault::shared::Shared;
use crate::vault::{AttemptAuthority, VaultError};

/// What the role's life may exceed the attempt's by. One role can serve tasks
/// of several time limits; what a killed host leaves of it ends within the
/// hour, as what it leaves of its own log-ins does.
const SLACK: Duration = Duration::from_secs(60 * 60);

/// How long the question may take what Vault made.
const LOOKUP: Duration = Duration::from_secs(2);

/// How an attempt logs in as itself.
#[derive(Debug, Clone)]
pub struct JwtLogin {
    /// Where the JWT method is mounted, below `auth/`.
    pub mount: VaultPath,
    /// The role.
    pub role: VaultName,
    /// All policies that the token must carry.
    pub policies: BTreeSet<PolicyName>,
    /// Whose attempt it is.
    pub identity: Identity,
    /// The bytes that run.
    pub component: Digest,
}

/// The body of the log-in.
#[derive(Serialize)]
struct Body<'a> {
    role: &'a str,
    jwt: &'a str,
}

/// The answer to a log-in.
struct Answered {
    auth: AuthAnswer,
    asked: Instant,
    request_id: Option<String>,
}

impl Shared {
    /// Logs one attempt in as itself. Never repeated, as [`Shared::mint`]; the
    /// JWT goes into `secrets` before it is sent.
    pub(in crate::vault) async fn log_in_as(
        self: &Arc<Self>,
        attempt: &AttemptAuthority,
        jwt: &JwtLogin,
        secrets: &SecretSet,
    ) -> Result<Minted, VaultError> {
        let signer = self.signer.as_ref().ok_or_else(|| VaultError::Settings {
            fault: "the task logs in as itself, and there is no `[vault.identity]`".to_owned(),
        })?;
        if self.config.require_healthy {
            self.client.require_healthy().await?;
        }
        // It ends what the attempt leaves, now or after another log-in: the
        // token is no child of it, so it need not outlive it.
        let mut login = self.login(Duration::ZERO).await?;
        self.sweep_once_in_background(&login);
        let wanted = Wanted {
            policies: &jwt.policies,
            deadline: attempt.deadline,
            longest: attempt_life(attempt.deadline) + SLACK,
        };
        let subject = Subject::new(&jwt.identity, &attempt.task);
        let signed = signer.sign(&About {
            run: &attempt.run,
            task: &attempt.task,
            component: &jwt.component,
            identity: &jwt.identity,
            subject: &subject,
        })?;
        // A JWT has hundreds of bytes.
        let _ = secrets.add_own(&signed);
        let run = RunTag::new(&attempt.run);
        let mut entry = self.journal.begin(self.intent(
            AuthorityKind::Attempt,
            attempt.run.clone(),
            Some(attempt.task.to_string()),
            wanted.longest,
        ))?;

        let Answered {
            auth,
            asked,
            request_id,
        } = match self.show(jwt, &signed, run.as_ref()).await {
            Ok(answered) => answered,
            Err(error) => {
                if !error.may_have_made_a_token() {
                    entry.done();
                }
                return Err(error);
            }
        };
        let mismatch = |difference, revoked| VaultError::LoginMismatch {
            role: jwt.place(),
            difference,
            revoked,
        };
        let difference = wanted.difference(&auth);
        let Ok(accessor) = Accessor::try_from(auth.accessor.clone()) else {
            let difference = "a token without accessor, which cannot be revoked".to_owned();
            return Err(mismatch(difference, false));
        };
        let written = entry.made(accessor.clone(), Keep::OnDisk).synced().await;
        let mut refusal = match (written, difference) {
            (Err(error), _) => Some(error.into()),
            (Ok(()), Some(difference)) => Some(mismatch(difference, true)),
            (Ok(()), None) if auth.client_token.len() < MIN_SECRET_LEN => {
                Some(protocol("the token is too short to be kept out of output"))
            }
            (Ok(()), None) => None,
        };
        let mut life = Duration::ZERO;
        if refusal.is_none() {
            match self.look(&mut login, &accessor, run.as_ref()).await {
                Ok(token) => {
                    life = token.end();
                    refusal = wanted
                        .difference_seen(&token)
                        .map(|difference| mismatch(difference, true));
                }
                Err(error) => refusal = Some(error),
            }
        }
        match refusal {
            None => Ok(Minted {
                identity: VaultIdentity {
                    session: SessionKind::JwtLogin,
                    policies: jwt.policies.iter().map(ToString::to_string).collect(),
                    role: Some(jwt.place()),
                    subject: Some(subject.to_string()),
                    entity: auth.entity(),
                },
                token: auth.client_token,
                accessor,
                tie: Tie::Outlives,
                entry,
                run,
                login,
                life,
                // Vault does not say, and a policy that does not exist allows nothing.
                policy_exists: true,
                ends: asked + Duration::from_secs(auth.lease_duration),
                request_id,
            }),
            Some(refusal) => Err(self
                .refuse(login, Tie::Outlives.of(&accessor), run, entry, refusal)
                .await),
        }
    }

    /// Shows the JWT to its mount, once.
    async fn show(
        &self,
        jwt: &JwtLogin,
        signed: &Secret,
        run: Option<&RunTag>,
    ) -> Result<Answered, VaultError> {
        let body = Body {
            role: jwt.role.as_str(),
            jwt: signed.expose_str().unwrap_or_default(),
        };
        let path = format!("auth/{}/login", jwt.mount);
        let call = Call::with_body(Operation::LogIn, Method::POST, &path, &body)?.on_behalf_of(run);
        // Before the request, so that the end is not thought later than it is.
        let asked = Instant::now();
        let reply = self.client.send(&call, None).await?;
        if matches!(reply.status(), 400 | 403) {
            return Err(VaultError::LoginRefused {
                mount: jwt.mount.to_string(),
                cure: "write the role with `cofferdam policy TASK --write`; compare `issuer` and `audience` of `[vault.identity]` with the mount, the mount's keys with `cofferdam identity jwks`, and this host's clock with Vault's",
            });
        }
        let envelope = reply.success()?.envelope::<IgnoredAny>()?;
        Ok(Answered {
            request_id: envelope.request_id(),
            auth: envelope.auth.ok_or(protocol("it holds no token"))?,
            asked,
        })
    }

    /// Asks with the host's log-in what a token is. When that log-in is found
    /// dead, once more with a fresh one.
    async fn look(
        self: &Arc<Self>,
        login: &mut Arc<HostLogin>,
        accessor: &Accessor,
        run: Option<&RunTag>,
    ) -> Result<Looked, VaultError> {
        let request = LookupTokenAccessorRequest {
            accessor: accessor.expose().to_owned(),
        };
        let call = Call::endpoint(Operation::Lookup, &request)?.on_behalf_of(run);
        let mut reply = self
            .client
            .send_within(&call, login.token(), LOOKUP)
            .await?;
        if reply.status() == 403 && !self.lives(login, run, LOOKUP).await? {
            *login = self.login_after(login, Duration::ZERO).await?;
            reply = self
                .client
                .send_within(&call, login.token(), LOOKUP)
                .await?;
        }
        Ok(reply.success()?.data::<Looked>()?.0)
    }
}

impl JwtLogin {
    /// The role's path, for people.
    fn place(&self) -> String {
        format!("auth/{}/role/{}", self.mount, self.role)
    }
}

fn protocol(fault: &'static str) -> VaultError {
    VaultError::Protocol {
        operation: Operation::LogIn,
        fault,
    }
}
