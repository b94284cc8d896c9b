//! A clock that wakes to the microsecond: tokio's own goes by milliseconds, so that
//! runs would begin in bunches and up to a millisecond late, and the service be blamed
//! for it.

use std::os::fd::OwnedFd;
use std::time::Instant;

use anyhow::{Context as _, Result};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// A timer of the kernel, timerfd_create(2).
pub(crate) struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    /// It must be called within a runtime.
    pub(crate) fn new() -> Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).context("no timer")?;
        #[expect(
            deprecated,
            reason = "sound for a descriptor that it owns; its heir is not safe"
        )]
        let timer = AsyncFd::new(timer)?;
        Ok(Self(timer))
    }

    /// Waits until then; not at all when it is past.
    pub(crate) async fn until(&mut self, due: Instant) -> Result<()> {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: left.try_into()?,
        };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        loop {
            let mut ready = self.0.readable().await?;
            let rung = ready.try_io(|timer| {
                let mut count = [0; 8];
                rustix::io::read(timer.get_ref(), &mut count).map_err(Into::into)
            });
            if let Ok(rung) = rung {
                rung.map(drop)?;
                return Ok(());
            }
        }
    }
}
