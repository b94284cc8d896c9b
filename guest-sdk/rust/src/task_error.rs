//! How a task says that it did not succeed.

use std::error::Error;
use std::fmt;
use std::io;

use crate::bindings::cofferdam::task::outcome::{Disposition, Failed};
use crate::{Refusal, http, sql};

/// A failure that the task itself declares, and what should follow.
///
/// `?` turns any error into one: into [`retry`](Self::retry) when somewhere in
/// its chain stands an SDK error that may pass (a timeout, status 503, a store
/// that cannot be reached), into [`fail`](Self::fail) otherwise. Like
/// `anyhow::Error`, and for the same reason, it is not itself a
/// [`std::error::Error`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskError {
    next: Next,
    message: String,
}

/// What should follow a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Next {
    /// Try again later; Airflow's retries apply.
    Retry,
    /// Do not try again.
    Fail,
    /// There was nothing to do; Airflow marks the task as skipped.
    Skip,
}

impl TaskError {
    /// The task failed, and trying again would not help.
    pub fn fail(message: impl fmt::Display) -> Self {
        Self::new(Next::Fail, message)
    }

    /// The task failed, and may succeed when tried again.
    pub fn retry(message: impl fmt::Display) -> Self {
        Self::new(Next::Retry, message)
    }

    /// There was nothing to do.
    pub fn skip(message: impl fmt::Display) -> Self {
        Self::new(Next::Skip, message)
    }

    /// What should follow.
    pub fn next(&self) -> Next {
        self.next
    }

    fn new(next: Next, message: impl fmt::Display) -> Self {
        Self {
            next,
            message: message.to_string(),
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: Error + 'static> From<E> for TaskError {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut next = Next::Fail;
        let mut link: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(error) = link {
            if may_pass(error) {
                next = Next::Retry;
            }
            link = cause(error);
            if let Some(cause) = link {
                let text = cause.to_string();
                // Some errors print their cause themselves.
                if !message.ends_with(&text) {
                    message = format!("{message}: {text}");
                }
            }
        }
        Self { next, message }
    }
}

/// The next error of a chain. An [`io::Error`] passes over what it wraps in
/// its `source`, and that is where [`http::Response`] puts the host's answer
/// when it is read through [`io::Read`].
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn may_pass(error: &(dyn Error + 'static)) -> bool {
    let refused = error.downcast_ref().is_some_and(Refusal::is_retryable);
    refused
        || error.downcast_ref().is_some_and(http::Error::is_retryable)
        || error.downcast_ref().is_some_and(sql::Error::is_retryable)
}

impl From<TaskError> for Failed {
    fn from(error: TaskError) -> Self {
        Self {
            disposition: match error.next {
                Next::Retry => Disposition::Retry,
                Next::Fail => Disposition::Fail,
                Next::Skip => Disposition::Skip,
            },
            message: error.message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Transport;

    fn through_question_mark(error: impl Error + 'static) -> TaskError {
        let attempt = || -> Result<(), TaskError> { Err(error)? };
        attempt().unwrap_err()
    }

    #[test]
    fn what_may_pass_asks_for_a_retry() {
        let timeout = || http::Error::Transport(Transport::Timeout);
        assert_eq!(through_question_mark(timeout()).next(), Next::Retry);
        assert_eq!(
            through_question_mark(io::Error::other(timeout())).next(),
            Next::Retry
        );
        assert_eq!(
            through_question_mark(http::Error::Status(503)).next(),
            Next::Retry
        );
    }

    #[test]
    fn what_will_not_pass_fails() {
        let tls = http::Error::Transport(Transport::Tls);
        assert_eq!(through_question_mark(tls).next(), Next::Fail);
        assert_eq!(
            through_question_mark(http::Error::Status(404)).next(),
            Next::Fail
        );
        let number = "x".parse::<u8>().unwrap_err();
        let error = through_question_mark(number);
        assert_eq!(error.next(), Next::Fail);
        assert_eq!(error.to_string(), "invalid digit found in string");
    }
}
