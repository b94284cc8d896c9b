//! Vault policies: what a task and the host need, rendered as HCL and parsed
//! back before anybody sees the text.

mod hcl;
mod host;
mod jwt_role;
mod name;
mod reviewer;
mod rules;

pub use hcl::PolicyError;
pub use host::{HOST_POLICY, TokenRole, host_policy};
pub use jwt_role::JwtRole;
pub use name::{InvalidPolicyName, PolicyName};
pub use reviewer::{REVIEWER_POLICY, reviewer_policy};
pub use rules::{PolicyCapability, PolicyRules};

use crate::name::TaskName;

/// The name of a task's policy. Nothing else may begin with `cofferdam-task-`:
/// the token role allows all of it.
pub fn task_policy_name(task: &TaskName) -> String {
    format!("cofferdam-task-{task}")
}
