//! One connection that is kept.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// A client of the service.
pub(crate) struct Client {
    stream: UnixStream,
    /// What was read and not yet used.
    buffer: Vec<u8>,
}

/// What an answer has to tell us; the rest is passed over where it stands.
#[derive(Deserialize)]
struct View {
    report: Option<Report>,
}

#[derive(Deserialize)]
struct Report {
    exit: u8,
}

impl Client {
    pub(crate) async fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .await
            .context("cannot connect to the service")?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(8 << 10),
        })
    }

    /// Submits a run and waits for its report, or only for its number; whether it
    /// is done, or taken.
    pub(crate) async fn submit(
        &mut self,
        key: &str,
        body: &str,
        is_detached: bool,
    ) -> Result<bool> {
        let length = body.len();
        let wait = if is_detached { 0 } else { 60 };
        let request = format!(
            "POST /v1/runs?wait={wait} HTTP/1.1\r\nhost: load\r\ncontent-type: application/json\r\n\
             idempotency-key: {key}\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(request.as_bytes()).await?;
        let (status, head, length) = loop {
            if let Some(found) = head(&self.buffer)? {
                break found;
            }
            self.read().await?;
        };
        while self.buffer.len() < head + length {
            self.read().await?;
        }
        let answer = self.buffer.get(head..head + length).unwrap_or_default();
        if status != 201 {
            bail!("{status}: {}", String::from_utf8_lossy(answer));
        }
        let is_done = is_detached || is_done(answer)?;
        self.buffer.drain(..head + length);
        Ok(is_done)
    }

    async fn read(&mut self) -> Result<()> {
        let read = self.stream.read_buf(&mut self.buffer).await?;
        ensure!(read > 0, "the service closed the connection");
        Ok(())
    }
}

/// Whether a run has ended with exit 0.
fn is_done(answer: &[u8]) -> Result<bool> {
    let view: View = serde_json::from_slice(answer).context("the answer is no run")?;
    Ok(view.report.is_some_and(|report| report.exit == 0))
}

/// Status, length of the head and of the body; none until the head is there.
fn head(bytes: &[u8]) -> Result<Option<(u16, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes)? else {
        return Ok(None);
    };
    let status = response.code.context("no status")?;
    let length = response.headers.iter().find_map(|header| {
        let is_length = header.name.eq_ignore_ascii_case("content-length");
        is_length.then(|| std::str::from_utf8(header.value).ok()?.parse().ok())?
    });
    let length = length.context("the answer does not tell its length")?;
    Ok(Some((status, head, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_done_when_its_report_says_exit_0_wherever_that_stands() -> Result<()> {
        for (answer, expected) in [
            (r#"{"run":"r","report":{"exit":0}}"#, true),
            (
                r#"{"report":{"exit":0,"later":[{"exit":1}]},"run":"r"}"#,
                true,
            ),
            (r#"{"report":{"result":{"exit":0},"exit":1}}"#, false),
            (r#"{"state":"running"}"#, false),
        ] {
            assert_eq!(is_done(answer.as_bytes())?, expected, "{answer}");
        }
        assert!(is_done(b"{\"report\":{}}").is_err());
        Ok(())
    }
}
