//! A server on a thread and a runtime of its own.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// A future that runs until it ends or until this value is dropped. With its
/// own thread it goes on while a test blocks, whatever runtime the test uses.
#[derive(Debug)]
pub struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Serves a free port of 127.0.0.1 with this future; the port's address.
    pub fn listen<F, S>(serve: S) -> Result<(SocketAddr, Self)>
    where
        F: Future<Output = ()>,
        S: FnOnce(TcpListener) -> F + Send + 'static,
    {
        Self::start(move || {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .context("no free port of 127.0.0.1")?;
            listener.set_nonblocking(true)?;
            let listener = TcpListener::from_std(listener)?;
            Ok((listener.local_addr()?, serve(listener)))
        })
    }

    /// Calls `setup` on the new thread, inside its runtime, hands its first
    /// value back and runs the future that it gives until we are dropped.
    pub fn start<T, F, S>(setup: S) -> Result<(T, Self)>
    where
        T: Send + 'static,
        F: Future<Output = ()>,
        S: FnOnce() -> Result<(T, F)> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let (ready, when_ready) = channel();
        let thread = thread::spawn(move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = ready.send(Err(error.into()));
                    return;
                }
            };
            runtime.block_on(async {
                match setup() {
                    Ok((value, future)) => {
                        let _ = ready.send(Ok(value));
                        tokio::select! {
                            () = future => {}
                            _ = stopped => {}
                        }
                    }
                    Err(error) => {
                        let _ = ready.send(Err(error));
                    }
                }
            });
            // Dropping the runtime ends every task and closes every socket.
        });
        let value = when_ready
            .recv()
            .context("a server's thread ended before it was ready")??;
        let background = Self {
            stop: Some(stop),
            thread: Some(thread),
        };
        Ok((value, background))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
