//! What a guest prints becomes lines of its log. It is scrubbed before it is cut into
//! lines: a key of many lines is a secret as a whole.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::capability::{LogLevel, TaskLog};
use crate::lock::Mutex;
use crate::scrub::{GuestStream, SecretSet};

/// A line longer than this is cut into several.
const MAX_LINE: usize = 8 << 10;

/// How much a guest may write in one call.
const WRITE_PERMIT: usize = 64 << 10;

/// Collects bytes until a line is whole. Clones share what was collected.
#[derive(Clone)]
pub(super) struct LogPipe {
    target: &'static str,
    log: Arc<TaskLog>,
    written: Arc<Mutex<Written>>,
}

struct Written {
    stream: GuestStream,
    /// The line that is not whole yet, scrubbed.
    line: Vec<u8>,
}

impl LogPipe {
    pub(super) fn new(target: &'static str, log: Arc<TaskLog>, secrets: SecretSet) -> Self {
        Self {
            target,
            log,
            written: Arc::new(Mutex::new(Written {
                stream: GuestStream::new(secrets),
                line: Vec::new(),
            })),
        }
    }

    /// Writes out what was held back, and an unfinished line.
    pub(super) fn flush(&self) {
        let mut written = self.written.lock();
        let mut clean = Vec::new();
        written.stream.finish(&mut clean);
        self.collect(&clean, &mut written.line);
        let rest = std::mem::take(&mut written.line);
        if !rest.is_empty() {
            self.emit(&rest);
        }
    }

    fn write_bytes(&self, bytes: &[u8]) {
        if self.log.truncated() {
            // What nobody will see is not worth looking through.
            return;
        }
        let mut written = self.written.lock();
        let mut clean = Vec::with_capacity(bytes.len());
        written.stream.push(bytes, &mut clean);
        self.collect(&clean, &mut written.line);
    }

    /// Cuts scrubbed text into lines.
    fn collect(&self, mut bytes: &[u8], collected: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let room = MAX_LINE.saturating_sub(collected.len()).min(bytes.len());
            let (window, _) = bytes.split_at(room);
            let newline = memchr::memchr(b'\n', window);
            let (line, rest) = bytes.split_at(newline.unwrap_or(room));
            collected.extend_from_slice(line);
            if newline.is_some() || collected.len() >= MAX_LINE {
                self.emit(collected);
                collected.clear();
            }
            bytes = if newline.is_some() {
                rest.get(1..).unwrap_or_default()
            } else {
                rest
            };
        }
    }

    fn emit(&self, line: &[u8]) {
        self.log
            .write(LogLevel::Info, self.target, &String::from_utf8_lossy(line));
    }
}

impl IsTerminal for LogPipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogPipe {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LogPipe {
    async fn ready(&mut self) {}
}

impl OutputStream for LogPipe {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.write_bytes(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_PERMIT)
    }
}

impl AsyncWrite for LogPipe {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write_bytes(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
