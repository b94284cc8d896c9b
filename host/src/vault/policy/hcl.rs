//! Policies as text.

use std::fmt::Write;

use hcl::{Body, Expression, Structure};

use super::{PolicyCapability, PolicyRules};
use crate::config::value::bounded;
use crate::vault::path::{InvalidVaultPath, VaultPath};

/// A policy that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A path that has a meaning of its own in a policy, or none.
    #[error(transparent)]
    Path(#[from] InvalidVaultPath),
    /// A rule without capabilities would say less than it seems to.
    #[error("the rule for `{0}` allows nothing")]
    Empty(String),
    /// A rule says more than this host ever writes.
    #[error("the rule for `{path}` {fault}")]
    Rule {
        /// The rule's path, escaped and cut.
        path: String,
        /// A fixed text.
        fault: &'static str,
    },
    /// The text is not a policy of the form that this host writes.
    #[error("the policy text is not of the form that cofferdam writes: {0}")]
    Form(&'static str),
    /// What was written does not read back as what was meant.
    #[error("the policy text does not read back as what was meant; this is a fault of cofferdam")]
    Differs,
}

impl PolicyRules {
    /// The policy as HCL, after it was parsed back and compared.
    pub fn to_hcl(&self) -> Result<String, PolicyError> {
        let mut text = String::new();
        for (path, capabilities) in &self.0 {
            let path: VaultPath = path.parse()?;
            if capabilities.is_empty() {
                return Err(PolicyError::Empty(path.to_string()));
            }
            let list = capabilities
                .iter()
                .map(|capability| format!("\"{capability}\""))
                .collect::<Vec<_>>()
                .join(", ");
            let gap = if text.is_empty() { "" } else { "\n" };
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "{gap}path \"{path}\" {{\n  capabilities = [{list}]\n}}\n"
            );
        }
        if Self::parse_hcl(&text)? == *self {
            Ok(text)
        } else {
            Err(PolicyError::Differs)
        }
    }

    /// Reads a policy of the form that [`PolicyRules::to_hcl`] writes; refuses
    /// everything else that HCL can say.
    pub fn parse_hcl(text: &str) -> Result<Self, PolicyError> {
        let body: Body = hcl::from_str(text).map_err(|_| PolicyError::Form("it is not HCL"))?;
        let mut rules = Self::default();
        for structure in &body {
            let Structure::Block(block) = structure else {
                return Err(PolicyError::Form("an attribute outside of a rule"));
            };
            let [label] = block.labels.as_slice() else {
                return Err(PolicyError::Form("a rule without exactly one path"));
            };
            if block.identifier.as_str() != "path" {
                return Err(PolicyError::Form("a block that is not `path`"));
            }
            let faulty = |fault| PolicyError::Rule {
                path: bounded(label.as_str()),
                fault,
            };
            let path: VaultPath = label.as_str().parse()?;
            if rules.0.contains_key(path.as_str()) {
                return Err(faulty("stands there twice"));
            }
            for capability in capabilities(&block.body).map_err(faulty)? {
                rules.allow(path.as_str(), capability);
            }
        }
        Ok(rules)
    }
}

fn capabilities(body: &Body) -> Result<Vec<PolicyCapability>, &'static str> {
    let mut structures = body.iter();
    let (Some(Structure::Attribute(attribute)), None) = (structures.next(), structures.next())
    else {
        return Err("says more than `capabilities`");
    };
    let ("capabilities", Expression::Array(items)) = (attribute.key.as_str(), &attribute.expr)
    else {
        return Err("has no list of `capabilities`");
    };
    if items.is_empty() {
        return Err("allows nothing");
    }
    items
        .iter()
        .map(|item| match item {
            Expression::String(text) if text == "sudo" => Err("allows `sudo`"),
            Expression::String(text) => text
                .parse()
                .map_err(|_| "allows something that cofferdam never grants"),
            _ => Err("has a capability that is not a text"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn writes_what_reads_well() {
        let mut rules = PolicyRules::default();
        rules.allow("secret/data/billing", PolicyCapability::Read);
        rules.allow("transit/sign/invoices", PolicyCapability::Update);
        insta::assert_snapshot!(rules.to_hcl().expect("fine"), @r#"
        path "secret/data/billing" {
          capabilities = ["read"]
        }

        path "transit/sign/invoices" {
          capabilities = ["update"]
        }
        "#);
        assert_eq!(PolicyRules::default().to_hcl().expect("empty"), "");
    }

    #[test]
    fn refuses_paths_with_a_meaning() {
        for bad in [
            "secret/*", "a/+/b", "a\"b", "a\nb", "../x", "a//b", "{{x}}", "", "/a", "a/",
        ] {
            let mut rules = PolicyRules::default();
            rules.allow(bad, PolicyCapability::Read);
            assert!(rules.to_hcl().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn reads_nothing_wider_than_it_writes() {
        for bad in [
            "path \"a\" { capabilities = [\"sudo\"] }",
            "path \"a\" { capabilities = [\"read\"] \n max_wrapping_ttl = \"1s\" }",
            "path \"a\" { policy = \"write\" }",
            "path \"a\" { capabilities = [] }",
            "path \"a\" \"b\" { capabilities = [\"read\"] }",
            "name = \"x\"",
            "path \"a*\" { capabilities = [\"read\"] }",
            "path \"a\" { capabilities = [\"read\"] }\npath \"a\" { capabilities = [\"update\"] }",
            "path \"a\" {",
        ] {
            assert!(PolicyRules::parse_hcl(bad).is_err(), "{bad}");
        }
        let good = "path \"a\" { capabilities = [\"read\", \"update\"] }";
        assert_eq!(PolicyRules::parse_hcl(good).expect("fine").0.len(), 1);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(paths in prop::collection::btree_set("[ -~]{1,12}", 0..4)) {
            let mut rules = PolicyRules::default();
            for path in &paths {
                rules.allow(path.as_str(), PolicyCapability::Update);
            }
            if let Ok(text) = rules.to_hcl() {
                prop_assert_eq!(PolicyRules::parse_hcl(&text).expect("reads back"), rules);
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = PolicyRules::parse_hcl(&text);
        }
    }
}
