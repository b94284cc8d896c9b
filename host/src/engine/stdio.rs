//! What a guest prints becomes lines of its log.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::capability::{LogLevel, TaskLog};

/// A line longer than this is cut into several.
const MAX_LINE: usize = 8 << 10;

/// How much a guest may write in one call.
const WRITE_PERMIT: usize = 64 << 10;

/// Collects bytes until a line is whole. Clones share the buffer.
#[derive(Clone)]
pub(super) struct LogPipe {
    target: &'static str,
    log: Arc<TaskLog>,
    buffer: Arc<Mutex<Vec<u8>>>,
}

impl LogPipe {
    pub(super) fn new(target: &'static str, log: Arc<TaskLog>) -> Self {
        Self {
            target,
            log,
            buffer: Arc::default(),
        }
    }

    /// Writes out an unfinished line.
    pub(super) fn flush(&self) {
        let rest = std::mem::take(&mut *self.buffer.lock());
        if !rest.is_empty() {
            self.emit(&rest);
        }
    }

    fn write_bytes(&self, mut bytes: &[u8]) {
        let mut buffer = self.buffer.lock();
        while !bytes.is_empty() {
            let room = MAX_LINE.saturating_sub(buffer.len()).min(bytes.len());
            let (window, _) = bytes.split_at(room);
            let newline = memchr::memchr(b'\n', window);
            let (line, rest) = bytes.split_at(newline.unwrap_or(room));
            buffer.extend_from_slice(line);
            if newline.is_some() || buffer.len() >= MAX_LINE {
                self.emit(&buffer);
                buffer.clear();
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
