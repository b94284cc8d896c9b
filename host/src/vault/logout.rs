//! Ending the process's log-ins, and knowing that they ended.
//!
//! A log-in that Vault refuses everything is either dead or met by somebody who
//! refuses everything: a proxy, a policy that was changed. Only another log-in
//! can tell, by its accessor. Until then the journal keeps it.

use std::sync::Arc;
use std::time::Duration;

use super::VaultError;
use super::client::Call;
use super::error::Operation;
use super::logins::HostLogin;
use super::revoke::{Patience, Target};
use super::shared::Shared;

impl Shared {
    /// Ends log-ins at the end of the process, and with them whatever children
    /// they have; what became of each that was ours.
    pub(super) async fn end_logins(
        self: &Arc<Self>,
        logins: Vec<Arc<HostLogin>>,
    ) -> Vec<Result<Option<String>, VaultError>> {
        let mut results = Vec::new();
        let mut unsure = Vec::new();
        // The current one is the last.
        let current = logins.last().cloned();
        for login in logins.into_iter().filter(|login| login.is_ours()) {
            let mut result = self.end_login(&login).await;
            if let (Err(VaultError::Ended), Some(current)) = (&result, &current)
                && !current.has_ended()
            {
                result = self.end_by(&login, &mut Arc::clone(current)).await;
            }
            match result {
                Err(VaultError::Ended) => unsure.push(login),
                result => results.push(result),
            }
        }
        if unsure.is_empty() {
            return results;
        }
        match self.log_in_beside().await {
            Ok(witness) => {
                let mut witness = Arc::new(witness);
                for login in unsure {
                    results.push(self.end_by(&login, &mut witness).await);
                }
                results.push(self.end_login(&witness).await);
            }
            Err(error) => {
                tracing::warn!(
                    reason = error.reason(),
                    "the log-in seems dead, and nobody can make sure; the next sweep does"
                );
                results.extend(unsure.iter().map(|_| Err(VaultError::Ended)));
            }
        }
        results
    }

    /// Ends log-ins that were replaced and have no children any more.
    pub(super) async fn end_retired(self: &Arc<Self>) {
        // While somebody logs in, waiting would hold up the end of an attempt;
        // the next end, or the process's, comes back to it.
        let (idle, current) = match self.logins.try_lock() {
            Ok(mut logins) => logins.take_idle(),
            Err(_) => return,
        };
        for login in idle {
            let mut result = self.end_login(&login).await;
            if let (Err(VaultError::Ended), Some(current)) = (&result, &current) {
                result = self.end_by(&login, &mut Arc::clone(current)).await;
            }
            if let Err(error) = result {
                tracing::warn!(
                    reason = error.reason(),
                    "an old log-in could not be revoked; the end of the process tries again"
                );
                // Dropped, it is left to the next sweep, and in no report.
                if let Ok(mut logins) = self.logins.try_lock() {
                    logins.keep(login);
                }
            }
        }
    }

    /// Ends a log-in with its own token, and with it whatever children it has.
    ///
    /// # Errors
    /// [`VaultError::Ended`] when it seems dead already.
    pub(super) async fn end_login(&self, login: &HostLogin) -> Result<Option<String>, VaultError> {
        if !login.is_ours() || login.is_buried() {
            return Ok(None);
        }
        let mut patience = Patience::new();
        // One that seems dead is asked all the same: perhaps it only seemed so.
        loop {
            match self.try_end_login(login, patience.limit()).await {
                Ok(request_id) => {
                    login.bury();
                    return Ok(request_id);
                }
                Err(error) => patience.after(error).await?,
            }
        }
    }

    async fn try_end_login(
        &self,
        login: &HostLogin,
        limit: Duration,
    ) -> Result<Option<String>, VaultError> {
        // vaultrs writes this path with a tab before it.
        let call = Call::with_body(
            Operation::Revoke,
            http::Method::POST,
            "auth/token/revoke-self",
            &serde_json::Map::new(),
        )?;
        let reply = self.client.send_within(&call, login.token(), limit).await?;
        if reply.status() == 403 && (login.has_ended() || !self.lives(login, None, limit).await?) {
            login.set_ended();
            return Err(VaultError::Ended);
        }
        reply.confirmed()
    }

    /// Ends a log-in that seems dead with another one that lives.
    async fn end_by(
        self: &Arc<Self>,
        login: &HostLogin,
        witness: &mut Arc<HostLogin>,
    ) -> Result<Option<String>, VaultError> {
        let Some(accessor) = login.accessor() else {
            return Ok(None);
        };
        match self.revoke(witness, Target::Token(accessor), None).await {
            Ok(request_id) => {
                login.bury();
                Ok(request_id)
            }
            // The witness seems dead too.
            Err(VaultError::Closed) => Err(VaultError::Ended),
            Err(error) => Err(error),
        }
    }
}
