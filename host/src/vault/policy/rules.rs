//! What a policy allows, apart from how it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How many rules are shown to people.
const SHOWN: usize = 6;

/// A capability in a policy rule.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, strum::EnumString,
)]
#[strum(serialize_all = "snake_case")]
pub enum PolicyCapability {
    /// GET.
    Read,
    /// POST or PUT on what exists.
    Update,
}

/// What a policy allows, by API path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyRules(pub BTreeMap<String, BTreeSet<PolicyCapability>>);

impl PolicyRules {
    /// Allows one capability on one path.
    pub fn allow(&mut self, api_path: impl Into<String>, capability: PolicyCapability) {
        self.0
            .entry(api_path.into())
            .or_default()
            .insert(capability);
    }

    /// Allows what the other allows, too.
    pub fn merge(&mut self, other: &Self) {
        for (path, capabilities) in &other.0 {
            self.0.entry(path.clone()).or_default().extend(capabilities);
        }
    }

    /// What this allows and the other does not. Exact for policies of the form
    /// that this host writes: they have no patterns.
    #[must_use]
    pub fn beyond(&self, other: &Self) -> Self {
        let mut rules = Self::default();
        for (path, capabilities) in &self.0 {
            let known = other.0.get(path);
            for capability in capabilities {
                if !known.is_some_and(|known| known.contains(capability)) {
                    rules.allow(path.as_str(), *capability);
                }
            }
        }
        rules
    }

    /// True when nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(BTreeSet::is_empty)
    }
}

/// Such as `` `read` on `secret/data/a`, `update` on `transit/sign/k` ``; long
/// lists are cut.
impl fmt::Display for PolicyRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = self
            .0
            .iter()
            .flat_map(|(path, capabilities)| capabilities.iter().map(move |one| (path, one)));
        for (number, (path, capability)) in all.by_ref().take(SHOWN).enumerate() {
            let gap = if number == 0 { "" } else { ", " };
            write!(f, "{gap}`{capability}` on `{path}`")?;
        }
        match all.count() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(pairs: &[(&str, PolicyCapability)]) -> PolicyRules {
        let mut rules = PolicyRules::default();
        for (path, capability) in pairs {
            rules.allow(*path, *capability);
        }
        rules
    }

    #[test]
    fn what_one_allows_beyond_another() {
        use PolicyCapability::{Read, Update};
        let small = rules(&[("a", Read)]);
        let large = rules(&[("a", Read), ("a", Update), ("b", Read)]);
        assert!(small.beyond(&large).is_empty());
        assert_eq!(large.beyond(&small), rules(&[("a", Update), ("b", Read)]));
        assert!(large.beyond(&large).is_empty());
    }

    #[test]
    fn is_shown_in_one_line_of_bounded_length() {
        use PolicyCapability::Read;
        assert_eq!(PolicyRules::default().to_string(), "");
        assert_eq!(rules(&[("a", Read)]).to_string(), "`read` on `a`");
        let names: Vec<String> = (0..9).map(|number| format!("p{number}")).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), Read)).collect();
        let shown = rules(&many).to_string();
        assert!(shown.ends_with("`read` on `p5` and 3 more"), "{shown}");
    }
}
