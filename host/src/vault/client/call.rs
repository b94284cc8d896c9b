//! One request, before it has a server and a token.

use http::Method;
use rustify::endpoint::Endpoint;
use rustify::enums::RequestMethod;
use serde::Serialize;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::RunTag;
use crate::vault::VaultError;
use crate::vault::config::UserName;
use crate::vault::error::Operation;
use crate::vault::path::VaultPath;

/// One request. Its path is the very text that is sent.
pub(in crate::vault) struct Call {
    pub(super) operation: Operation,
    pub(super) method: Method,
    /// Made of checked parts only.
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) body: Option<Zeroizing<Vec<u8>>>,
    /// Whose attempt it is made for; none for the process's own.
    pub(super) run: Option<RunTag>,
}

impl Call {
    /// A request as vaultrs describes it.
    pub(in crate::vault) fn endpoint(
        operation: Operation,
        endpoint: &impl Endpoint,
    ) -> Result<Self, VaultError> {
        let faulty = |fault| VaultError::Protocol { operation, fault };
        // vaultrs writes some paths with a leading slash.
        let path = endpoint.path();
        let path = path.strip_prefix('/').unwrap_or(&path).parse::<VaultPath>();
        Ok(Self {
            operation,
            method: match endpoint.method() {
                RequestMethod::GET => Method::GET,
                RequestMethod::POST => Method::POST,
                RequestMethod::PUT => Method::PUT,
                RequestMethod::DELETE => Method::DELETE,
                _ => return Err(faulty("an unexpected method")),
            },
            path: path
                .map_err(|_| faulty("the path of the request is malformed"))?
                .to_string(),
            query: endpoint
                .query()
                .map_err(|_| faulty("the query cannot be written"))?
                .filter(|query| !query.is_empty()),
            body: endpoint
                .body()
                .map_err(|_| faulty("the body cannot be written"))?
                .filter(|body| !body.is_empty())
                .map(Zeroizing::new),
            run: None,
        })
    }

    /// A request with a JSON body, for what vaultrs lacks.
    pub(in crate::vault) fn with_body(
        operation: Operation,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Self, VaultError> {
        let faulty = |fault| VaultError::Protocol { operation, fault };
        Ok(Self {
            operation,
            method,
            path: path
                .parse::<VaultPath>()
                .map_err(|_| faulty("the path of the request is malformed"))?
                .to_string(),
            query: None,
            body: Some(Zeroizing::new(
                serde_json::to_vec(body).map_err(|_| faulty("the body cannot be written"))?,
            )),
            run: None,
        })
    }

    /// A request that only asks, with parameters, for what vaultrs lacks.
    pub(in crate::vault) fn with_query(
        operation: Operation,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Self, VaultError> {
        let path = path.parse::<VaultPath>();
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        Ok(Self {
            operation,
            method: Method::GET,
            path: path
                .map_err(|_| VaultError::Protocol {
                    operation,
                    fault: "the path of the request is malformed",
                })?
                .to_string(),
            query: Some(query).filter(|query| !query.is_empty()),
            body: None,
            run: None,
        })
    }

    /// The run on whose behalf it is made.
    pub(in crate::vault) fn run(&self) -> Option<&RunTag> {
        self.run.as_ref()
    }

    /// The same on behalf of a run.
    pub(in crate::vault) fn on_behalf_of(mut self, run: Option<&RunTag>) -> Self {
        self.run = run.cloned();
        self
    }

    /// A request that reads, for what vaultrs lacks.
    pub(in crate::vault) fn read(operation: Operation, path: &str) -> Result<Self, VaultError> {
        Self::with_query(operation, path, &[])
    }

    /// A request for the names below a path.
    pub(in crate::vault) fn list(operation: Operation, path: &str) -> Result<Self, VaultError> {
        Self::with_query(operation, path, &[("list", "true")])
    }

    /// A log-in whose path ends in a user name, which may hold an `@`.
    pub(in crate::vault) fn log_in_as(
        mount: &VaultPath,
        user: &UserName,
        body: &impl Serialize,
    ) -> Result<Self, VaultError> {
        let path = format!("auth/{mount}/login");
        let mut call = Self::with_body(Operation::LogIn, Method::POST, &path, body)?;
        call.path = format!("{path}/{user}");
        Ok(call)
    }
}
