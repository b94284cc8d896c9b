//! Errors as problem details (RFC 9457).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::diagnostic::Blame;

/// What a request can be refused for. The words are the end of the problem's
/// `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, strum::Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum ProblemKind {
    /// The request is malformed.
    BadRequest,
    /// Nobody knows who asks.
    Unauthenticated,
    /// The caller may not do this.
    Forbidden,
    /// There is no such thing, or it is not the caller's.
    NotFound,
    /// The path is there, the method is not.
    MethodNotAllowed,
    /// The body is larger than the service takes.
    BodyTooLarge,
    /// The body is not JSON by its own word.
    UnsupportedMediaType,
    /// The body is JSON and says nothing that can be run.
    Invalid,
    /// The key was used for another submission.
    KeyReused,
    /// The caller is over one of its limits.
    TooManyRequests,
    /// The service does not take runs now.
    Unavailable,
    /// The run is under way, and that cannot be written down now.
    Unwritten,
    /// The request did not come in time.
    RequestTimeout,
    /// A fault of the service's own.
    Internal,
}

impl ProblemKind {
    /// The status code.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::BodyTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid | Self::KeyReused => 422,
            Self::TooManyRequests => 429,
            Self::Internal => 500,
            Self::Unavailable | Self::Unwritten => 503,
        }
    }

    /// The same for every problem of this kind.
    fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "the request is malformed",
            Self::Unauthenticated => "the caller is not known",
            Self::Forbidden => "the caller may not do this",
            Self::NotFound => "there is no such thing",
            Self::MethodNotAllowed => "this cannot be done there",
            Self::BodyTooLarge => "the body is too large",
            Self::UnsupportedMediaType => "the body is not JSON",
            Self::Invalid => "this cannot be run",
            Self::KeyReused => "the key was used for something else",
            Self::TooManyRequests => "too much at once",
            Self::Unavailable => "the service takes no runs now",
            Self::Unwritten => "the run is under way and not written down",
            Self::RequestTimeout => "the request did not come in time",
            Self::Internal => "a fault of the service",
        }
    }
}

/// Why a request was refused (RFC 9457). A run that was accepted and then
/// refused has a report with the same words instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:cofferdam:problem:` and the kind.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// The kind in words.
    pub title: String,
    /// The status code.
    pub status: u16,
    /// What is wrong with this request.
    pub detail: String,
    /// Where it stopped: `connection`, `request`, `admission`.
    pub phase: String,
    /// Who has to act.
    pub blame: Blame,
    /// The cure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The exit code of `cofferdam run --server` for it.
    pub exit: u8,
    /// Seconds after which it is worth asking again; the header `Retry-After` too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl Problem {
    /// What begins every `type`.
    pub const TYPE: &'static str = "urn:cofferdam:problem:";

    /// A problem of this kind, with what is wrong.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        use crate::diagnostic::Exit;
        let (blame, phase, exit) = match kind {
            ProblemKind::Unauthenticated | ProblemKind::Forbidden => {
                (Blame::Operator, "admission", Exit::Denied)
            }
            ProblemKind::TooManyRequests => (Blame::Task, "admission", Exit::Unavailable),
            ProblemKind::Unavailable => (Blame::Operator, "admission", Exit::Unavailable),
            // It was begun: the codes that say otherwise would be a lie.
            ProblemKind::Unwritten => (Blame::Operator, "admission", Exit::Retry),
            ProblemKind::Internal => (Blame::Host, "request", Exit::Unavailable),
            ProblemKind::RequestTimeout => (Blame::Task, "connection", Exit::Unavailable),
            ProblemKind::BadRequest
            | ProblemKind::NotFound
            | ProblemKind::MethodNotAllowed
            | ProblemKind::BodyTooLarge
            | ProblemKind::UnsupportedMediaType
            | ProblemKind::Invalid
            | ProblemKind::KeyReused => (Blame::Task, "request", Exit::Usage),
        };
        Self {
            type_uri: format!("{}{kind}", Self::TYPE),
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: detail.into(),
            phase: phase.to_owned(),
            blame,
            hint: None,
            exit: exit.code(),
            retry_after: None,
        }
    }
}
