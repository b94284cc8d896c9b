//! Cures that several checks name.

/// How the host's policy and the token role get right again.
pub(super) const WRITE_HOST: &str = "review why it is so, then write it again: `cofferdam policy --host --write --admin-token-file FILE`";

/// How the identity of the log-in loses its policies.
pub(super) const NO_IDENTITY_POLICIES: &str = "take the log-in's identity out of the group, or the policies away from both: attempts inherit them, and the host refuses such tokens";

/// How to see how wide the rights are.
pub(super) const ASK_A_REVIEWER: &str = "run it with `--token-file FILE` and a reviewer's token; `cofferdam policy --reviewer` prints the policy of one";

/// What a look has to wait for.
pub(super) const RUN_AGAIN: &str = "mend what stands above, then run it again";

/// How a task's policy gets right.
pub(super) fn write_task(task: &impl std::fmt::Display) -> String {
    format!(
        "review why it is so, then write it again: `cofferdam policy {task} --write --admin-token-file FILE`"
    )
}

/// Names from Vault in backticks, escaped, and not too many of them.
pub(super) fn names<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    const SHOWN: usize = 8;
    let mut all = names.into_iter();
    let shown: Vec<_> = all
        .by_ref()
        .take(SHOWN)
        .map(|name| format!("`{}`", crate::config::value::bounded(name)))
        .collect();
    match all.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// How a log-in is tried that uses up its credential.
pub(super) const USE_WRAPPED: &str =
    "run it with `--use-wrapped`, and deliver a fresh wrapped secret-id before the host starts";
