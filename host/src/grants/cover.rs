//! Whether a component's imports and a grants file fit each other. Pure, and
//! the one answer for `check` and for the engine.

use std::collections::BTreeSet;

use super::Grants;
use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::manifest::NeedKind;

/// The WIT package of the capabilities.
const CAPABILITIES: &str = "cofferdam:capabilities";
/// The WIT package of what every task has.
const TASK: &str = "cofferdam:task";
/// The versions of both that this host offers, as the leading part.
const VERSION: &str = "0.1.";
/// The interfaces of [`TASK`]; no grant is needed for them.
const TASK_INTERFACES: [&str; 4] = ["context", "control", "log", "outcome"];
/// The packages of WASI 0.2 that are linked, with nothing in them.
const WASI: [&str; 6] = [
    "wasi:cli",
    "wasi:clocks",
    "wasi:filesystem",
    "wasi:io",
    "wasi:random",
    "wasi:sockets",
];
/// The versions of WASI that this host offers, as the leading part.
const WASI_VERSION: &str = "0.2.";

/// An import that keeps a component from starting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Uncovered {
    /// A capability without any grant of its kind.
    #[error("the component imports `{import}`, but no `[{kind}.…]` is granted")]
    NotGranted {
        /// The import as the component names it.
        import: String,
        /// The kind of the grant that is missing.
        kind: NeedKind,
    },
    /// Ours, in a version that this host does not have.
    #[error("the component imports `{import}`, but this host offers version {offered}")]
    Version {
        /// The import as the component names it.
        import: String,
        /// What the host has.
        offered: &'static str,
    },
    /// Nothing that this host has.
    #[error("the component imports `{import}`, which this host does not offer")]
    Unknown {
        /// The import as the component names it.
        import: String,
    },
}

/// The imports that the grants do not cover, in the order of the component.
pub fn uncovered(imports: &[String], grants: &Grants) -> Vec<Uncovered> {
    let granted: BTreeSet<NeedKind> = grants.entries().map(|(kind, _)| kind).collect();
    imports
        .iter()
        .filter_map(|import| match Import::parse(import) {
            Import::Free => None,
            Import::Capability(kind) if granted.contains(&kind) => None,
            Import::Capability(kind) => Some(Uncovered::NotGranted {
                import: shown(import),
                kind,
            }),
            Import::OtherVersion(offered) => Some(Uncovered::Version {
                import: shown(import),
                offered,
            }),
            Import::Unknown => Some(Uncovered::Unknown {
                import: shown(import),
            }),
        })
        .collect()
}

/// The grants, `kind.name`, whose kind the component does not import: it
/// cannot use them, so they should not be there.
pub fn unused(imports: &[String], grants: &Grants) -> Vec<String> {
    let used: BTreeSet<NeedKind> = imports
        .iter()
        .filter_map(|import| match Import::parse(import) {
            Import::Capability(kind) => Some(kind),
            _ => None,
        })
        .collect();
    grants
        .entries()
        .filter(|(kind, _)| !used.contains(kind))
        .map(|(kind, name)| format!("{kind}.{name}"))
        .collect()
}

/// What an import's name means to the host.
enum Import {
    /// Every task has it.
    Free,
    Capability(NeedKind),
    OtherVersion(&'static str),
    Unknown,
}

impl Import {
    fn parse(name: &str) -> Self {
        let (path, version) = name.split_once('@').unwrap_or((name, ""));
        let Some((package, interface)) = path.split_once('/') else {
            return Self::Unknown;
        };
        let (known, prefix, offered) = match package {
            CAPABILITIES if interface == "types" => (Self::Free, VERSION, "0.1"),
            CAPABILITIES => match interface.parse() {
                Ok(kind) => (Self::Capability(kind), VERSION, "0.1"),
                Err(_) => return Self::Unknown,
            },
            TASK if TASK_INTERFACES.contains(&interface) => (Self::Free, VERSION, "0.1"),
            package if WASI.contains(&package) => (Self::Free, WASI_VERSION, "0.2"),
            _ => return Self::Unknown,
        };
        if version.starts_with(prefix) {
            known
        } else {
            Self::OtherVersion(offered)
        }
    }
}

/// An import's name is the component's text.
fn shown(import: &str) -> String {
    crate::config::value::bounded(import)
}

impl Diagnostic for Uncovered {
    fn exit(&self) -> Exit {
        Exit::Denied
    }

    fn blame(&self) -> Blame {
        match self {
            Self::NotGranted { .. } => Blame::Operator,
            Self::Version { .. } | Self::Unknown { .. } => Blame::Task,
        }
    }

    fn hint(&self) -> Option<String> {
        let cure = match self {
            Self::NotGranted { kind, .. } => {
                return Some(format!(
                    "grant what the task needs in a table `[{kind}.NAME]`, or build the task \
                     without the import"
                ));
            }
            Self::Version { .. } => "build the task against the `wit/` of this host",
            Self::Unknown { .. } => {
                "a task has the interfaces of `wit/` and WASI 0.2 without HTTP; build it for the \
                 world `cofferdam:task/task`"
            }
        };
        Some(cure.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::digest::Digest;

    fn grants(tables: &str) -> Grants {
        let digest = Digest::of(b"");
        let text = format!(
            "task = \"t\"\ncomponent = \"t.wasm\"\ndigest = \"{digest}\"\n\
             [caller]\ndags = [\"d\"]\n{tables}"
        );
        Grants::parse(&text, Path::new("t.toml"), digest).unwrap()
    }

    const KEYS: &str =
        "[keys.signer]\ntransit = { mount = \"transit\", key = \"k\" }\nallow = [\"sign\"]\n";

    fn names(imports: &[&str]) -> Vec<String> {
        imports.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_every_task_has_needs_no_grant() {
        let imports = names(&[
            "cofferdam:capabilities/types@0.1.0",
            "cofferdam:task/outcome@0.1.0",
            "cofferdam:task/context@0.1.0",
            "cofferdam:task/log@0.1.7",
            "cofferdam:task/control@0.1.0",
            "wasi:cli/stdout@0.2.6",
            "wasi:io/streams@0.2.0",
        ]);
        assert_eq!(uncovered(&imports, &grants("")), []);
    }

    #[test]
    fn a_capability_needs_a_grant_of_its_kind() {
        let imports = names(&["cofferdam:capabilities/keys@0.1.0"]);
        assert_eq!(uncovered(&imports, &grants(KEYS)), []);
        let found = uncovered(&imports, &grants(""));
        assert_eq!(
            found[0].to_string(),
            "the component imports `cofferdam:capabilities/keys@0.1.0`, but no `[keys.…]` is granted"
        );
        assert_eq!(found[0].exit(), Exit::Denied);
        let imports = names(&["cofferdam:capabilities/reveal@0.1.0"]);
        assert_eq!(uncovered(&imports, &grants(KEYS)).len(), 1);
    }

    #[test]
    fn what_the_host_does_not_have_is_named() {
        for name in [
            "wasi:http/outgoing-handler@0.2.6",
            "wasi:cli",
            "cofferdam:capabilities/ssh@0.1.0",
            "cofferdam:task/secrets@0.1.0",
            "cofferdam:capabilities/http/x@0.1.0",
            "env",
            "",
            "a\u{1b}[2J",
        ] {
            let found = uncovered(&names(&[name]), &grants(KEYS));
            assert!(matches!(found[..], [Uncovered::Unknown { .. }]), "{name}");
            assert!(!found[0].to_string().contains('\u{1b}'));
        }
        for name in [
            "cofferdam:capabilities/keys@0.2.0",
            "cofferdam:capabilities/keys@0.10.0",
            "cofferdam:capabilities/keys",
            "wasi:cli/stdout@0.3.0",
        ] {
            let found = uncovered(&names(&[name]), &grants(KEYS));
            assert!(matches!(found[..], [Uncovered::Version { .. }]), "{name}");
        }
    }

    #[test]
    fn a_grant_that_no_import_can_use_is_named() {
        let imports = names(&["cofferdam:capabilities/keys@0.1.0"]);
        assert!(unused(&imports, &grants(KEYS)).is_empty());
        assert_eq!(unused(&[], &grants(KEYS)), ["keys.signer"]);
    }
}
