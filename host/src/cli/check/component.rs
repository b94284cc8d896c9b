//! A component against its grants.

use std::collections::BTreeMap;
use std::path::Path;

use super::finding::{Code, Finding};
use crate::digest::Digest;
use crate::grants::{self, Grants};
use crate::manifest::{self, Manifest, NeedKind, Shape};
use crate::name::GrantName;

/// What is wrong with a component, seen from its grants file.
pub(super) fn check(file: &Path, grants: &Grants, path: &Path, bytes: &[u8]) -> Vec<Finding> {
    let shape = match manifest::shape(bytes) {
        Ok(shape) => shape,
        Err(error) => return vec![Finding::malformed(path, &error)],
    };
    let mut findings = Vec::new();
    let digest = Digest::of(bytes);
    if digest != grants.digest {
        findings.push(Finding::digest(file, grants, digest));
    }
    if !shape.exports.iter().any(|name| name == "run") {
        findings.push(Finding::not_a_task(path));
    }
    let uncovered = grants::uncovered(&shape.imports, grants);
    findings.extend(
        uncovered
            .iter()
            .map(|error| Finding::uncovered(file, error)),
    );
    match Manifest::read(bytes) {
        Ok(Some(manifest)) => findings.extend(needs(file, grants, &shape, &manifest)),
        Ok(None) => findings.extend(unimported(file, grants, &shape)),
        Err(error) => findings.push(Finding::manifest(path, &error)),
    }
    findings
}

/// What the author declared against what is granted, name by name.
fn needs(file: &Path, grants: &Grants, shape: &Shape, manifest: &Manifest) -> Vec<Finding> {
    let mut findings = Vec::new();
    if manifest.name != grants.task {
        let problem = format!(
            "the component was built as the task `{}`, not `{}`",
            manifest.name, grants.task
        );
        findings.push(
            Finding::new(Code::TaskName, file, problem)
                .field("component")
                .hint("correct the path, or the name in the component's `task.toml`"),
        );
    }
    let granted: BTreeMap<&GrantName, NeedKind> =
        grants.entries().map(|(kind, name)| (name, kind)).collect();
    for (name, needed) in &manifest.needs {
        match granted.get(name) {
            None => findings.push(Finding::need_missing(file, name, *needed)),
            Some(kind) if kind != needed => {
                findings.push(Finding::need_kind(file, name, *needed, *kind));
            }
            Some(_) => {}
        }
    }
    let undeclared = grants
        .entries()
        .filter(|(_, name)| !manifest.needs.contains_key(*name))
        .map(|(kind, name)| {
            let why = "the task's manifest does not need it";
            Finding::unused(file, &format!("{kind}.{name}"), why)
        });
    findings.extend(undeclared);
    // Declared, but compiled without the interface: the names found so far
    // need no second finding.
    let declared = unimported(file, grants, shape).into_iter().filter(|found| {
        !findings
            .iter()
            .any(|earlier| earlier.code == Code::GrantUnused && earlier.field == found.field)
    });
    let declared: Vec<_> = declared.collect();
    findings.extend(declared);
    findings
}

fn unimported(file: &Path, grants: &Grants, shape: &Shape) -> Vec<Finding> {
    grants::unused(&shape.imports, grants)
        .iter()
        .map(|grant| {
            let why = "the component does not import its interface";
            Finding::unused(file, grant, why)
        })
        .collect()
}
