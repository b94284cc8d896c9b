//! Ending a run before its time.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// The way to end a run before its time, and who took it first. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Cancellation {
    token: CancellationToken,
    by: Arc<OnceLock<Canceller>>,
}

/// Who ended a run before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Canceller {
    /// Whoever asked for it, or has the same right to it.
    Caller,
    /// A reload of the service, which took the caller's right to the task away.
    Access,
    /// The service, whose time to drain was over.
    Service,
    /// A signal to `cofferdam run`.
    Signal,
    /// The end of whoever held the lifeline of `cofferdam run`.
    Lifeline,
}

impl Cancellation {
    /// Asks the run to end; returns at once. Whoever is first is the cause.
    pub fn ask(&self, by: Canceller) {
        // Before the token: who hears of the end finds its cause.
        let _ = self.by.set(by);
        self.token.cancel();
    }

    /// Who asked first; none while nobody did. A run may end in another way before it is
    /// heard.
    pub fn by(&self) -> Option<Canceller> {
        self.by.get().copied()
    }

    /// What ends with the run.
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }
}

impl Canceller {
    /// The word that the audit uses.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_first_is_the_cause() {
        let cancellation = Cancellation::default();
        assert_eq!(cancellation.by(), None);
        assert!(!cancellation.token().is_cancelled());
        let other = cancellation.clone();
        other.ask(Canceller::Service);
        cancellation.ask(Canceller::Caller);
        assert_eq!(cancellation.by(), Some(Canceller::Service));
        assert!(cancellation.token().is_cancelled());
    }
}
