//! Texts with places for the fields of a secret, such as `Bearer {token}`.

use std::fmt;

use zeroize::Zeroizing;

use crate::capability::credential::field_name;
use crate::capability::field::FieldError;
use crate::secret::Secret;

/// A text in which `{name}` stands for a field of the secret; `{{` and `}}`
/// stand for the braces themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(String),
}

impl Template {
    /// Parses the text of one field of the grants file.
    pub(super) fn parse(place: &'static str, text: &str) -> Result<Self, FieldError> {
        if text.len() > 1_024 || !text.bytes().all(|b| matches!(b, b' '..=b'~')) {
            return Err(FieldError::new(
                place,
                "holds a character outside printable ASCII or is longer than 1,024 bytes",
            ));
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '{' | '}' if rest.peek() == Some(&c) => {
                    rest.next();
                    literal.push(c);
                }
                '{' => {
                    let mut name = String::new();
                    let closed = loop {
                        match rest.next() {
                            Some('}') => break true,
                            Some(c) => name.push(c),
                            None => break false,
                        }
                    };
                    if !closed {
                        return Err(FieldError::new(
                            place,
                            "has a `{` without `}`; write `{{` for the brace itself",
                        ));
                    }
                    field_name(place, &name)?;
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Field(name));
                }
                '}' => {
                    return Err(FieldError::new(
                        place,
                        "has a `}` without `{`; write `}}` for the brace itself",
                    ));
                }
                c => literal.push(c),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// The fields that it names, in order.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The text with each field put in; `None` when the secret lacks one.
    pub(super) fn render<'a>(
        &self,
        field: impl Fn(&str) -> Option<&'a Secret>,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let mut rendered = Zeroizing::new(Vec::with_capacity(512));
        for part in &self.parts {
            match part {
                Part::Text(text) => rendered.extend_from_slice(text.as_bytes()),
                Part::Field(name) => rendered.extend_from_slice(field(name)?.expose()),
            }
        }
        Some(rendered)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str) -> Option<String> {
        let template = Template::parse("inject.value", text).unwrap();
        let token = Secret::new("t0ken");
        let bytes = template.render(|name| (name == "token").then_some(&token))?;
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn fields_are_put_in_and_doubled_braces_stand_for_themselves() {
        assert_eq!(rendered("Bearer {token}").unwrap(), "Bearer t0ken");
        assert_eq!(rendered("{token}{token}").unwrap(), "t0kent0ken");
        assert_eq!(rendered("{{{token}}}").unwrap(), "{t0ken}");
        assert_eq!(rendered("{{token}}").unwrap(), "{token}");
        assert_eq!(rendered("{other}"), None);
    }

    #[test]
    fn what_is_not_a_template_is_refused() {
        for bad in [
            "{", "}", "{token", "token}", "{}", "{a b}", "{a{b}", "x\ny", "é", "{a\"}",
        ] {
            assert!(Template::parse("inject.value", bad).is_err(), "{bad:?}");
        }
    }
}
