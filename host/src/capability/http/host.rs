//! The WIT side of `http`.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::OnceCell;
use wasmtime::component::Resource;

use super::body::Body;
use super::client::{Destination, HttpClients, NoClient};
use super::exchange;
use super::grant::HttpGrant;
use super::inject::Rendered;
use crate::capability::bindings::cofferdam::capabilities::{http, types};
use crate::capability::call::{Refusal, grant_label};
use crate::capability::{Attempt, View};
use crate::lock::Mutex;
use crate::name::GrantName;

/// An open `[http.NAME]` grant.
pub struct ClientHandle {
    name: GrantName,
    grant: Arc<HttpGrant>,
    label: Arc<str>,
    destination: OnceCell<Arc<Destination>>,
}

/// The same, shared with what is sent through it.
pub type Client = Arc<ClientHandle>;

/// A response whose body is being read.
pub struct ResponseHandle {
    status: u16,
    headers: http::Headers,
    body: Body,
}

/// The credentials of one attempt as they go on the wire, by grant, with the
/// generation that they were made from.
#[derive(Default)]
pub(crate) struct RenderedCredentials(Mutex<HashMap<GrantName, (u64, Arc<Rendered>)>>);

impl ClientHandle {
    /// Opens a grant of this name.
    pub(super) fn open(attempt: &Attempt, name: &str) -> Result<Self, types::Failure> {
        let found = name.parse().ok().and_then(|name: GrantName| {
            let grant = attempt.parts().grants.http.get(&name)?;
            Some((name, Arc::clone(grant)))
        });
        let label = grant_label("http", name);
        let Some((name, grant)) = found else {
            return Err(attempt.refuse(&label, "open", "", Refusal::NotGranted));
        };
        Ok(Self {
            name,
            grant,
            label: label.into(),
            destination: OnceCell::new(),
        })
    }

    pub(super) fn name(&self) -> &GrantName {
        &self.name
    }

    pub(super) fn grant(&self) -> &HttpGrant {
        &self.grant
    }

    /// `http.NAME`.
    pub(super) fn label(&self) -> &Arc<str> {
        &self.label
    }

    pub(super) async fn destination(
        &self,
        clients: &HttpClients,
    ) -> Result<&Destination, NoClient> {
        let made = self
            .destination
            .get_or_try_init(|| clients.destination(&self.grant));
        Ok(made.await?)
    }
}

impl ResponseHandle {
    pub(super) fn new(status: u16, headers: http::Headers, body: Body) -> Self {
        Self {
            status,
            headers,
            body,
        }
    }

    /// The task lets go of it, read to the end or not.
    pub(super) fn abandon(self) {
        self.body.abandon();
    }

    #[cfg(test)]
    pub(super) fn parts(&mut self) -> (u16, &http::Headers, &mut Body) {
        (self.status, &self.headers, &mut self.body)
    }
}

impl RenderedCredentials {
    /// The one that was made from this generation.
    pub(super) fn get(&self, grant: &GrantName, generation: u64) -> Option<Arc<Rendered>> {
        let known = self.0.lock();
        let (of, rendered) = known.get(grant)?;
        (*of == generation).then(|| Arc::clone(rendered))
    }

    pub(super) fn put(&self, grant: &GrantName, generation: u64, rendered: Arc<Rendered>) {
        self.0.lock().insert(grant.clone(), (generation, rendered));
    }

    /// Drops everything.
    pub(crate) fn forget(&self) {
        self.0.lock().clear();
    }
}

impl http::Host for View<'_> {
    async fn open(
        &mut self,
        grant: String,
    ) -> wasmtime::Result<Result<Resource<Client>, types::Failure>> {
        let handle = match ClientHandle::open(self.attempt, &grant) {
            Ok(handle) => handle,
            Err(failure) => return Ok(Err(failure)),
        };
        let label = handle.label.clone();
        Ok(self.table.push(Arc::new(handle)).map_err(|_| {
            self.attempt
                .refuse(&label, "open", "", Refusal::LimitReached("handles"))
        }))
    }
}

impl http::HostClient for View<'_> {
    async fn send(
        &mut self,
        client: Resource<Client>,
        request: http::Request,
    ) -> wasmtime::Result<Result<Resource<ResponseHandle>, http::Error>> {
        let client = Arc::clone(self.table.get(&client)?);
        let label = client.label.clone();
        let attempt = Arc::clone(self.attempt);
        let sent = move || async move { exchange::send(&attempt, &client, request).await };
        let response = match self.attempt.errand(sent).await {
            Ok(response) => response,
            Err(error) => return Ok(Err(error)),
        };
        Ok(self.table.push(response).map_err(|_| {
            let refusal = Refusal::LimitReached("handles");
            http::Error::Denied(self.attempt.refuse(&label, "send", "", refusal))
        }))
    }

    async fn drop(&mut self, client: Resource<Client>) -> wasmtime::Result<()> {
        self.table.delete(client)?;
        Ok(())
    }
}

impl http::HostResponse for View<'_> {
    async fn status(&mut self, response: Resource<ResponseHandle>) -> wasmtime::Result<u16> {
        Ok(self.table.get(&response)?.status)
    }

    async fn headers(
        &mut self,
        response: Resource<ResponseHandle>,
    ) -> wasmtime::Result<http::Headers> {
        Ok(self.table.get(&response)?.headers.clone())
    }

    async fn read(
        &mut self,
        response: Resource<ResponseHandle>,
        max: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, http::Error>> {
        Ok(self.table.get_mut(&response)?.body.read(max).await)
    }

    async fn drop(&mut self, response: Resource<ResponseHandle>) -> wasmtime::Result<()> {
        self.table.delete(response)?.abandon();
        Ok(())
    }
}
