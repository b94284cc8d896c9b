//! One grants file against the configuration and its component.

use std::path::Path;

use super::component;
use super::finding::{Code, Finding};
use crate::config::HostConfig;
use crate::config::value::show_size;
use crate::grants::{Grants, GrantsFile};
use crate::vault::VaultConfig;

/// Everything that is wrong with one grants file and its component.
pub(super) fn check(config: &HostConfig, file: &GrantsFile) -> Vec<Finding> {
    let grants = match &file.grants {
        Ok(grants) => grants,
        Err(error) => return vec![Finding::grants(&file.path, error)],
    };
    let mut findings = against_host(config, &file.path, grants);
    let path = config.root.join(&grants.component);
    match std::fs::read(&path) {
        Ok(bytes) => findings.extend(component::check(&file.path, grants, &path, &bytes)),
        Err(error) => findings.push(Finding::unreadable(&file.path, &path, &error)),
    }
    findings
}

/// What the host cannot give.
fn against_host(config: &HostConfig, file: &Path, grants: &Grants) -> Vec<Finding> {
    let mut findings = Vec::new();
    if grants.needs_vault() && config.vault.is_none() {
        findings.push(
            Finding::new(
                Code::VaultMissing,
                file,
                "the grants need Vault, but the configuration has no `[vault]`",
            )
            .hint("add the table `[vault]` to `cofferdam.toml`; docs/GRANTS.md describes it"),
        );
    }
    let vouches = |vault: &VaultConfig| vault.identity.is_some();
    if grants.authority.is_some() && !config.vault.as_ref().is_some_and(vouches) {
        findings.push(
            Finding::new(
                Code::IdentityMissing,
                file,
                "the task logs in as itself, and the configuration has no `[vault.identity]`",
            )
            .field("authority.jwt")
            .hint(
                "add the table `[vault.identity]` to `cofferdam.toml`; docs/GRANTS.md describes it",
            ),
        );
    }
    let over = |field: &str, asked: String, has: String| {
        let problem = format!("{asked} is more than the engine has: {has}");
        Finding::new(Code::LimitOverEngine, file, problem)
            .field(format!("limits.{field}"))
            .hint(format!(
                "lower the limit, or raise the one of `[engine]` in `cofferdam.toml` that bounds `{field}`"
            ))
    };
    let (limits, engine) = (&grants.limits, &config.engine);
    if limits.memory > engine.max_memory {
        let (asked, has) = (show_size(limits.memory), show_size(engine.max_memory));
        findings.push(over("memory", asked, has));
    }
    if limits.table_elements > engine.max_table_elements {
        let (asked, has) = (limits.table_elements, engine.max_table_elements);
        findings.push(over("table_elements", asked.to_string(), has.to_string()));
    }
    if u32::try_from(limits.instances).map_or(true, |asked| asked > engine.max_core_instances) {
        let (asked, has) = (limits.instances, engine.max_core_instances);
        findings.push(over("instances", asked.to_string(), has.to_string()));
    }
    findings
}
