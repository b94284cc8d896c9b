//! One thing that is wrong, with its place and cure.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::guarded::FileError;
use crate::config::strict::one_line;
use crate::diagnostic::{Diagnostic, with_causes};
use crate::grants::{Grants, GrantsError, Uncovered};
use crate::manifest::{ManifestError, NeedKind, NotAComponent};
use crate::name::GrantName;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// A fixed word for machines.
    pub(super) code: Code,
    /// The file to change or to look at.
    pub(super) file: PathBuf,
    /// Counted from 1; absent when the finding is about the file as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<usize>,
    /// Counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) column: Option<usize>,
    /// Such as `http.billing.base`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) field: Option<String>,
    /// What is wrong, on one line.
    pub(super) problem: String,
    /// The line that stands in the grants file, for a changed component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) old: Option<String>,
    /// The line to paste, for a changed component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) new: Option<String>,
    /// The cure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Code {
    /// The grants file cannot be read, trusted or understood.
    Grants,
    /// The component's file cannot be read.
    ComponentMissing,
    /// The component is no component.
    ComponentMalformed,
    /// The component is not the one that was reviewed.
    DigestDiffers,
    /// The component does not export what a task exports.
    NotATask,
    /// An import that the grants do not cover.
    ImportUncovered,
    /// A grant that the component has no use for.
    GrantUnused,
    /// A need that no grant serves.
    NeedMissing,
    /// A need and a grant of one name, but not of one kind.
    NeedKind,
    /// The manifest cannot be read.
    Manifest,
    /// The manifest belongs to another task.
    TaskName,
    /// A limit over what the engine has.
    LimitOverEngine,
    /// A grant needs Vault, and there is no `[vault]`.
    VaultMissing,
    /// A task logs in as itself, and there is no `[vault.identity]`.
    IdentityMissing,
}

impl Finding {
    /// A finding about a file as a whole.
    pub(super) fn new(code: Code, file: &Path, problem: impl Into<String>) -> Self {
        Self {
            code,
            file: file.to_owned(),
            line: None,
            column: None,
            field: None,
            problem: problem.into(),
            old: None,
            new: None,
            hint: None,
        }
    }

    /// With its cure.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the field that it is about.
    pub(super) fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The grants file is wrong.
    pub(super) fn grants(file: &Path, error: &GrantsError) -> Self {
        let mut finding = Self::from_error(Code::Grants, file, error);
        match error {
            GrantsError::Document(error) => {
                finding.line = Some(error.line);
                finding.column = Some(error.column);
                finding.field.clone_from(&error.field);
                finding.problem.clone_from(&error.problem);
            }
            // The folder may be what is wrong.
            GrantsError::File(FileError::Writable { path, .. } | FileError::Owner { path, .. }) => {
                finding.file.clone_from(path)
            }
            GrantsError::File(_) | GrantsError::Missing { .. } => {}
        }
        finding
    }

    /// The component's file cannot be read.
    pub(super) fn unreadable(grants: &Path, component: &Path, error: &std::io::Error) -> Self {
        Self::new(
            Code::ComponentMissing,
            grants,
            format!("the component `{}` cannot be read: {error}", component.display()),
        )
        .field("component")
        .hint("build it with `cofferdam build`, or correct the path; it is relative to the folder of `cofferdam.toml`")
    }

    /// The component is none.
    pub(super) fn malformed(component: &Path, error: &NotAComponent) -> Self {
        Self::from_error(Code::ComponentMalformed, component, error)
    }

    /// The bytes are not the reviewed ones.
    pub(super) fn digest(file: &Path, grants: &Grants, found: crate::digest::Digest) -> Self {
        let mut finding = Self::new(
            Code::DigestDiffers,
            file,
            "the component is not the one that was reviewed",
        )
        .field("digest")
        .hint("review what changed in the component, then replace the line");
        finding.old = Some(format!("digest = \"{}\"", grants.digest));
        finding.new = Some(format!("digest = \"{found}\""));
        finding
    }

    /// No export `run`.
    pub(super) fn not_a_task(component: &Path) -> Self {
        Self::new(
            Code::NotATask,
            component,
            "the component exports no function `run`: it is not a task",
        )
        .hint("build it for the world `cofferdam:task/task`; the guest SDK's macro does")
    }

    /// An import without a grant.
    pub(super) fn uncovered(file: &Path, error: &Uncovered) -> Self {
        Self::from_error(Code::ImportUncovered, file, error)
    }

    /// A grant without a use.
    pub(super) fn unused(file: &Path, grant: &str, why: &str) -> Self {
        Self::new(
            Code::GrantUnused,
            file,
            format!("nothing uses this grant: {why}"),
        )
        .field(grant)
        .hint("remove it: what is not granted cannot be misused")
    }

    /// A need without a grant.
    pub(super) fn need_missing(file: &Path, name: &GrantName, kind: NeedKind) -> Self {
        Self::new(
            Code::NeedMissing,
            file,
            format!("the task needs `{kind}.{name}`, which is not granted"),
        )
        .hint(format!("grant it in a table `[{kind}.{name}]`"))
    }

    /// A need and a grant of different kinds.
    pub(super) fn need_kind(
        file: &Path,
        name: &GrantName,
        needed: NeedKind,
        granted: NeedKind,
    ) -> Self {
        Self::new(
            Code::NeedKind,
            file,
            format!("the task needs `{name}` as `{needed}`, but it is granted as `{granted}`"),
        )
        .field(format!("{granted}.{name}"))
        .hint(format!(
            "grant it in a table `[{needed}.{name}]`, or correct the task's `task.toml`"
        ))
    }

    /// The manifest cannot be read.
    pub(super) fn manifest(component: &Path, error: &ManifestError) -> Self {
        Self::from_error(Code::Manifest, component, error)
    }

    fn from_error(code: Code, file: &Path, error: &dyn Diagnostic) -> Self {
        let problem = with_causes(error);
        // A parser's message may quote the bytes that it refuses.
        let mut finding = Self::new(code, file, one_line(problem));
        finding.hint = error.hint();
        finding
    }
}
