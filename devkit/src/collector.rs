//! A collector of traces that speaks OTLP over HTTP and remembers what it got.
//!
//! It stands in for a real one, which cannot run here. What it reads is the real
//! protocol, decoded with OpenTelemetry's own types: a body that is not one of its
//! messages is answered with 400, as the specification wants.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::process::Background;
use crate::wire::read_request;

/// How a collector behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It takes what it gets.
    Fine,
    /// It answers with 503.
    Refuses,
    /// It takes the request and never answers.
    Hangs,
}

/// A running collector; dropping it closes every connection.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    received: Arc<Mutex<Received>>,
    _background: Background,
}

#[derive(Debug, Default)]
struct Received {
    bodies: Vec<Vec<u8>>,
    spans: Vec<Arrived>,
    malformed: usize,
}

/// One span as it arrived.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// Its name.
    pub name: String,
    /// Its trace.
    pub trace: Vec<u8>,
    /// Its id.
    pub id: Vec<u8>,
    /// The id of the span around it; none for the outermost.
    pub parent: Option<Vec<u8>>,
    /// Nanoseconds since 1970: from and to.
    pub time: (u64, u64),
    /// Whether it says that it is a client's request.
    pub is_client: bool,
    /// Whether it says that it failed.
    pub is_error: bool,
    /// How many events it has.
    pub events: usize,
    /// Its attributes, in text.
    pub attributes: BTreeMap<String, String>,
    /// Those of the process that sent it.
    pub resource: BTreeMap<String, String>,
}

impl Collector {
    /// Listens on a free port of 127.0.0.1.
    pub fn start(mood: Mood) -> Result<Self> {
        let received = Arc::<Mutex<Received>>::default();
        let for_thread = Arc::clone(&received);
        let (address, background) =
            Background::listen(move |listener| accept(listener, for_thread, mood))?;
        Ok(Self {
            address,
            received,
            _background: background,
        })
    }

    /// The address, `http://127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every span so far, in the order of arrival.
    pub fn spans(&self) -> Vec<Arrived> {
        lock(&self.received).spans.clone()
    }

    /// Every body so far, byte for byte.
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        lock(&self.received).bodies.clone()
    }

    /// How many requests were not OTLP.
    pub fn malformed(&self) -> usize {
        lock(&self.received).malformed
    }
}

fn lock(received: &Mutex<Received>) -> MutexGuard<'_, Received> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, received: Arc<Mutex<Received>>, mood: Mood) {
    while let Ok((client, _)) = listener.accept().await {
        let received = Arc::clone(&received);
        // A client that leaves early is its own affair.
        tokio::spawn(async move { serve(client, &received, mood).await });
    }
}

async fn serve(mut client: TcpStream, received: &Mutex<Received>, mood: Mood) -> io::Result<()> {
    let Some(request) = read_request(&mut client).await? else {
        return Ok(());
    };
    let is_otlp = request.method == "POST"
        && request.path() == "/v1/traces"
        && request.header("content-type") == Some(b"application/x-protobuf");
    let message = is_otlp.then(|| ExportTraceServiceRequest::decode(request.body.as_slice()));
    let status = {
        let mut received = lock(received);
        received.bodies.push(request.body.clone());
        match message {
            Some(Ok(message)) => {
                received.spans.extend(arrived(message));
                match mood {
                    Mood::Refuses => "503 Service Unavailable",
                    Mood::Fine | Mood::Hangs => "200 OK",
                }
            }
            _ => {
                received.malformed += 1;
                "400 Bad Request"
            }
        }
    };
    if mood == Mood::Hangs {
        let mut byte = [0];
        while client.read(&mut byte).await? > 0 {}
        return Ok(());
    }
    // An empty message, which says that nothing was left out.
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/x-protobuf\r\n\
         content-length: 0\r\nconnection: close\r\n\r\n"
    );
    client.write_all(answer.as_bytes()).await?;
    client.shutdown().await
}

fn arrived(message: ExportTraceServiceRequest) -> Vec<Arrived> {
    let mut all = Vec::new();
    for group in message.resource_spans {
        let resource = group.resource.map(|resource| texts(resource.attributes));
        let resource = resource.unwrap_or_default();
        let spans = group.scope_spans.into_iter().flat_map(|scope| scope.spans);
        all.extend(spans.map(|span| one(span, resource.clone())));
    }
    all
}

fn one(span: Span, resource: BTreeMap<String, String>) -> Arrived {
    let status = span.status.map(|status| status.code);
    Arrived {
        name: span.name,
        trace: span.trace_id,
        id: span.span_id,
        parent: Some(span.parent_span_id).filter(|id| !id.is_empty()),
        time: (span.start_time_unix_nano, span.end_time_unix_nano),
        is_client: span.kind == SpanKind::Client as i32,
        is_error: status == Some(StatusCode::Error as i32),
        events: span.events.len(),
        attributes: texts(span.attributes),
        resource,
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |one: KeyValue| {
        let value = one.value.and_then(|value| value.value);
        let value = match value {
            Some(Value::StringValue(text)) => text,
            Some(Value::IntValue(number)) => number.to_string(),
            other => format!("{other:?}"),
        };
        (one.key, value)
    };
    attributes.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_otlp_is_refused() {
        let collector = Collector::start(Mood::Fine).unwrap();
        for (kind, body, status) in [
            ("application/x-protobuf", &b"\x0a\xff\xff"[..], "400"),
            ("application/json", b"{}", "400"),
            ("application/x-protobuf", b"", "200"),
        ] {
            let mut stream = TcpStream::connect(collector.address).await.unwrap();
            let head = format!(
                "POST /v1/traces HTTP/1.1\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(body).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{kind}: {answer}"
            );
        }
        assert_eq!(collector.malformed(), 2);
        assert_eq!(collector.bodies().len(), 3);
        assert!(collector.spans().is_empty());
    }
}
