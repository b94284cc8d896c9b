//! An attempt's token: asked for exactly, and compared with what was asked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::IgnoredAny;
use vaultrs::api::token::requests::CreateRoleTokenRequest;

use super::VaultError;
use super::accessor::Accessor;
use super::client::{AuthAnswer, Call, Envelope, RunTag};
use super::error::Operation;
use super::journal::{AuthorityKind, Entry, Keep};
use super::logins::HostLogin;
use super::policy::task_policy_name;
use super::revoke::{self, Target, Tie};
use super::session::{AttemptAuthority, SessionKind, VaultIdentity};
use super::shared::Shared;
use super::turns;
use crate::secret::{MIN_SECRET_LEN, Secret};

/// How long a credential that is asked for when the end comes may hold it up,
/// with room for a slow machine.
const UNDER_WAY: Duration = Duration::from_secs(5);

/// What the token's life exceeds the attempt's time limit by, which counts the
/// grace of a task that was asked to stop: what the end may take at worst.
const MARGIN: Duration = UNDER_WAY
    .saturating_add(turns::PATIENCE)
    .saturating_add(revoke::LEASES_TOTAL)
    .saturating_add(revoke::TOTAL);

/// How many policy names of a wrong answer are shown.
const SHOWN_POLICIES: usize = 8;

/// How long the token of an attempt with this time limit is asked to live.
/// Vault counts whole seconds.
pub fn attempt_life(deadline: Duration) -> Duration {
    Duration::from_secs((deadline + MARGIN).as_secs() + 1)
}

/// An attempt's token, as it was confirmed and journalled.
pub(super) struct Minted {
    pub(super) token: Secret,
    pub(super) accessor: Accessor,
    pub(super) tie: Tie,
    pub(super) identity: VaultIdentity,
    pub(super) entry: Entry,
    /// What its requests are marked with.
    pub(super) run: Option<RunTag>,
    pub(super) login: Arc<HostLogin>,
    /// The life that Vault confirmed.
    pub(super) life: Duration,
    /// No later than its end in Vault.
    pub(super) ends: Instant,
    pub(super) request_id: Option<String>,
    /// False when Vault says that it knows no such policy: the token can do
    /// nothing.
    pub(super) policy_exists: bool,
}

impl Shared {
    /// Makes the token of one attempt. The request is never repeated: an
    /// answer that was lost may have made a token, which then was never used
    /// and dies by its `explicit_max_ttl`.
    pub(super) async fn mint(
        self: &Arc<Self>,
        attempt: &AttemptAuthority,
    ) -> Result<Minted, VaultError> {
        if self.config.require_healthy {
            self.client.require_healthy().await?;
        }
        let life = attempt_life(attempt.deadline);
        let mut login = self.login(life).await?;
        self.sweep_once_in_background(&login);
        let mut entry = self.journal.begin(self.intent(
            AuthorityKind::Attempt,
            attempt.run.clone(),
            Some(attempt.task.to_string()),
            life,
        ))?;
        let policy = task_policy_name(&attempt.task);
        let call = Call::endpoint(
            Operation::Mint,
            &request(
                self.config.token_role.as_str(),
                &policy,
                attempt,
                life.as_secs(),
            ),
        )?;
        let run = RunTag::new(&attempt.run);
        let call = call.on_behalf_of(run.as_ref());

        let answer = self.ask(&call, &mut login, life).await;
        let (answer, asked) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                if !error.may_have_made_a_token() {
                    entry.done();
                }
                return Err(error);
            }
        };
        let request_id = answer.request_id();
        // OpenBao mints with an unknown policy and only warns; every use will
        // be refused.
        let policy_exists =
            !(answer.warnings.iter().flatten()).any(|text| text.contains("does not exist"));
        if !policy_exists {
            tracing::warn!(policy, "the task's policy does not exist in vault");
        }
        let protocol = |fault| VaultError::Protocol {
            operation: Operation::Mint,
            fault,
        };
        let auth = answer.auth.ok_or(protocol("it holds no token"))?;
        let difference = difference(&auth, &policy, life, attempt.deadline);
        let Ok(accessor) = Accessor::try_from(auth.accessor.clone()) else {
            return Err(VaultError::MintMismatch {
                difference: "a token without accessor, which cannot be revoked".to_owned(),
                revoked: false,
            });
        };

        // A lent log-in is in no file of ours, and is not ours to revoke.
        let keep = if login.is_ours() {
            Keep::WithLogin
        } else {
            Keep::OnDisk
        };
        let written = entry.made(accessor.clone(), keep).synced().await;
        let refusal = match (written, difference) {
            (Err(error), _) => Some(VaultError::from(error)),
            (Ok(()), Some(difference)) => Some(VaultError::MintMismatch {
                difference,
                revoked: true,
            }),
            (Ok(()), None) if auth.client_token.len() < MIN_SECRET_LEN => {
                Some(protocol("the token is too short to be kept out of output"))
            }
            (Ok(()), None) => None,
        };
        match refusal {
            None => Ok(Minted {
                identity: VaultIdentity {
                    session: SessionKind::ChildToken,
                    policies: vec![policy],
                    role: None,
                    subject: None,
                    entity: auth.entity(),
                },
                token: auth.client_token,
                accessor,
                tie: Tie::DiesWithLogin,
                entry,
                run,
                login,
                life: Duration::from_secs(auth.lease_duration),
                ends: asked + Duration::from_secs(auth.lease_duration),
                request_id,
                policy_exists,
            }),
            Some(refusal) => {
                let target = Tie::DiesWithLogin.of(&accessor);
                Err(self.refuse(login, target, run, entry, refusal).await)
            }
        }
    }

    /// Asks for the token, and says when. A 403 from a dead log-in made
    /// nothing, so asking once more with a fresh one is no repetition.
    async fn ask(
        self: &Arc<Self>,
        call: &Call,
        login: &mut Arc<HostLogin>,
        life: Duration,
    ) -> Result<(Envelope<IgnoredAny>, Instant), VaultError> {
        let mut asked = Instant::now();
        let mut reply = self.client.send(call, Some(login.token())).await?;
        if reply.status() == 403 && !self.lives(login, call.run(), self.config.timeout).await? {
            *login = self.login_after(login, life).await?;
            asked = Instant::now();
            reply = self.client.send(call, Some(login.token())).await?;
        }
        Ok((reply.success()?.envelope()?, asked))
    }

    /// Ends a token that must not be used.
    pub(super) async fn refuse(
        self: &Arc<Self>,
        mut login: Arc<HostLogin>,
        target: Target<'_>,
        run: Option<RunTag>,
        entry: Entry,
        refusal: VaultError,
    ) -> VaultError {
        match self.revoke(&mut login, target, run.as_ref()).await {
            Ok(_) => {
                entry.done();
                refusal
            }
            Err(error) => {
                tracing::error!(
                    reason = error.reason(),
                    "a refused token could not be revoked; the next sweep tries again"
                );
                refusal.unrevoked()
            }
        }
    }
}

fn request(
    role: &str,
    policy: &str,
    attempt: &AttemptAuthority,
    life: u64,
) -> CreateRoleTokenRequest {
    CreateRoleTokenRequest {
        role_name: role.to_owned(),
        policies: Some(vec![policy.to_owned()]),
        no_default_policy: Some(true),
        ttl: Some(format!("{life}s")),
        explicit_max_ttl: Some(format!("{life}s")),
        // Not renewable: then the duration in the answer is all the life that
        // the token has, which the answer shows in no other way.
        renewable: Some(false),
        meta: (!attempt.meta.is_empty()).then(|| attempt.meta.clone().into_iter().collect()),
        token_type: Some("service".to_owned()),
        // Vault replaces all but letters, digits and `-`: both have no other.
        display_name: Some(format!("{}-{}", attempt.task, attempt.run)),
        ..CreateRoleTokenRequest::default()
    }
}

/// What is wrong with an answer, in words; `None` when nothing is.
fn difference(
    auth: &AuthAnswer,
    policy: &str,
    asked: Duration,
    deadline: Duration,
) -> Option<String> {
    let carried: BTreeSet<&str> = [
        &auth.policies,
        &auth.token_policies,
        &auth.identity_policies,
    ]
    .into_iter()
    .flatten()
    .flatten()
    .map(String::as_str)
    .collect();
    let extra: Vec<_> = carried
        .iter()
        .copied()
        .filter(|name| *name != policy)
        .collect();
    let life = Duration::from_secs(auth.lease_duration);
    if !extra.is_empty() {
        Some(format!("it also carries the policy {}", listed(&extra)))
    } else if auth.policies.as_deref() != Some(&[policy.to_owned()][..]) {
        Some(format!("it does not carry exactly the policy `{policy}`"))
    } else if auth.token_type != "service" {
        Some("it is not a service token".to_owned())
    } else if auth.orphan {
        Some("it is an orphan and would outlive the host's log-in".to_owned())
    } else if auth.renewable {
        Some("it is renewable and could outlive the attempt".to_owned())
    } else if auth.num_uses != 0 {
        Some("its number of uses is limited".to_owned())
    } else if auth.lease_duration == 0 || life > asked {
        Some(format!(
            "it lives for {} s instead of {} s",
            auth.lease_duration,
            asked.as_secs()
        ))
    } else if life < deadline {
        Some(format!(
            "it lives for {} s only, less than the task's `timeout`",
            auth.lease_duration
        ))
    } else {
        None
    }
}

/// Policy names from an answer, some of them.
pub(super) fn listed(names: &[&str]) -> String {
    let names = names.iter().take(SHOWN_POLICIES);
    let names: Vec<_> = names.map(|name| format!("`{}`", shown(name))).collect();
    names.join(", ")
}

/// A policy name from an answer, fit for a terminal.
fn shown(name: &str) -> String {
    name.chars().take(80).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "cofferdam-task-a";

    fn answer() -> AuthAnswer {
        AuthAnswer {
            client_token: Secret::new("s.0123456789"),
            accessor: "abcdefgh".to_owned(),
            policies: Some(vec![POLICY.to_owned()]),
            token_policies: Some(vec![POLICY.to_owned()]),
            identity_policies: None,
            entity_id: String::new(),
            lease_duration: 90,
            renewable: false,
            token_type: "service".to_owned(),
            orphan: false,
            num_uses: 0,
        }
    }

    fn check(change: impl FnOnce(&mut AuthAnswer)) -> Option<String> {
        let mut auth = answer();
        change(&mut auth);
        difference(
            &auth,
            POLICY,
            Duration::from_secs(90),
            Duration::from_secs(60),
        )
    }

    #[test]
    fn the_answer_must_be_what_was_asked() {
        assert_eq!(check(|_| {}), None);
        assert_eq!(check(|auth| auth.lease_duration = 60), None);
        let names = |names: &[&str]| Some(names.iter().map(|n| (*n).to_owned()).collect());
        type Change = Box<dyn FnOnce(&mut AuthAnswer)>;
        let cases: [(Change, &str); 11] = [
            (
                Box::new(move |a| a.policies = names(&[POLICY, "default"])),
                "`default`",
            ),
            (
                Box::new(move |a| a.identity_policies = names(&["team-x"])),
                "`team-x`",
            ),
            (
                Box::new(move |a| a.token_policies = names(&["a\u{1b}b"])),
                "`a\\u{1b}b`",
            ),
            (Box::new(move |a| a.policies = names(&[])), "exactly"),
            (Box::new(|a| a.policies = None), "exactly"),
            (Box::new(|a| a.token_type = "batch".to_owned()), "service"),
            (Box::new(|a| a.orphan = true), "orphan"),
            (Box::new(|a| a.renewable = true), "renewable"),
            (Box::new(|a| a.num_uses = 1), "uses"),
            (Box::new(|a| a.lease_duration = 0), "0 s instead"),
            (Box::new(|a| a.lease_duration = 59), "59 s only"),
        ];
        for (change, word) in cases {
            let found = check(change).expect(word);
            assert!(found.contains(word), "{found:?} names {word:?}");
        }
        assert!(check(|a| a.lease_duration = 91).is_some());
    }
}
