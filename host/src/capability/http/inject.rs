//! Puts a credential on a request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use zeroize::Zeroizing;

use super::grant::Injection;
use super::template::Template;
use crate::scrub::SecretSet;
use crate::secret::{MIN_SECRET_LEN, Secret};
use crate::vault::SecretFields;

/// Everything but RFC 3986's unreserved characters is escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A credential as it stands on the wire.
pub(super) enum Rendered {
    Header(HeaderName, HeaderValue),
    /// `name=value`, escaped.
    Query(Secret),
}

/// Why a credential cannot be applied; a fixed word for the audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unusable(pub(super) &'static str);

impl Rendered {
    /// Renders the injection over a secret. Every field that is used and every
    /// form that is sent is in `secrets` before this returns.
    pub(super) fn new(
        injection: &Injection,
        fields: &SecretFields,
        secrets: &SecretSet,
    ) -> Result<Self, Unusable> {
        let render = |template: &Template| {
            let text = template.render(|name| fields.get(name));
            text.ok_or(Unusable("secret_field_missing"))
        };
        match injection {
            Injection::Header { name, value } => {
                register_fields(value, fields, secrets)?;
                let text = Secret::new(std::mem::take(&mut *render(value)?));
                register(&text, secrets)?;
                Ok(Self::Header(name.clone(), header_value(&text)?))
            }
            Injection::Basic { username, password } => {
                register_user(username, password, fields, secrets)?;
                register_fields(password, fields, secrets)?;
                let name = render(username)?;
                if name.contains(&b':') {
                    return Err(Unusable("username_has_colon"));
                }
                let mut pair = Zeroizing::new(Vec::with_capacity(1_024));
                pair.extend_from_slice(&name);
                pair.push(b':');
                pair.extend_from_slice(&render(password)?);
                let encoded = Zeroizing::new(STANDARD.encode(&*pair));
                register(&Secret::new(std::mem::take(&mut *pair)), secrets)?;
                register(&Secret::new(encoded.as_bytes()), secrets)?;
                let text = Secret::new(format!("Basic {}", *encoded));
                Ok(Self::Header(AUTHORIZATION, header_value(&text)?))
            }
            Injection::Query { name, value } => {
                register_fields(value, fields, secrets)?;
                let text = Secret::new(std::mem::take(&mut *render(value)?));
                register(&text, secrets)?;
                let encoded = percent_encode(text.expose(), ESCAPED);
                let pair = Secret::new(format!("{name}={encoded}"));
                register(&pair, secrets)?;
                Ok(Self::Query(pair))
            }
        }
    }

    /// Puts the credential into the headers; one for the query goes into the URL.
    pub(super) fn put_header(&self, headers: &mut HeaderMap) {
        if let Self::Header(name, value) = self {
            headers.insert(name.clone(), value.clone());
        }
    }

    /// The pair for the query.
    pub(super) fn query(&self) -> Option<&str> {
        match self {
            Self::Query(pair) => pair.expose_str(),
            Self::Header(..) => None,
        }
    }
}

fn register(secret: &Secret, secrets: &SecretSet) -> Result<(), Unusable> {
    secrets
        .add(secret)
        .map_err(|_| Unusable("secret_too_short"))
}

fn register_fields(
    template: &Template,
    fields: &SecretFields,
    secrets: &SecretSet,
) -> Result<(), Unusable> {
    template.fields().try_for_each(|name| {
        let field = fields.get(name);
        register(field.ok_or(Unusable("secret_field_missing"))?, secrets)
    })
}

/// A user name beside a password is not a secret in itself: a short one is
/// used and not hunted in answers. Without a password field it is the secret.
fn register_user(
    username: &Template,
    password: &Template,
    fields: &SecretFields,
    secrets: &SecretSet,
) -> Result<(), Unusable> {
    let guarded = password.fields().next().is_some();
    username.fields().try_for_each(|name| {
        let field = fields.get(name);
        let field = field.ok_or(Unusable("secret_field_missing"))?;
        if guarded && field.len() < MIN_SECRET_LEN {
            return Ok(());
        }
        register(field, secrets)
    })
}

fn header_value(text: &Secret) -> Result<HeaderValue, Unusable> {
    let mut value = HeaderValue::from_bytes(text.expose())
        .map_err(|_| Unusable("secret_not_fit_for_header"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(fields: &[(&str, &str)]) -> SecretFields {
        fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Secret::new(value.as_bytes())))
            .collect()
    }

    fn template(text: &str) -> Template {
        Template::parse("inject.value", text).unwrap()
    }

    fn header(text: &str) -> Injection {
        Injection::Header {
            name: AUTHORIZATION,
            value: template(text),
        }
    }

    fn basic(username: &str, password: &str) -> Injection {
        Injection::Basic {
            username: template(username),
            password: template(password),
        }
    }

    fn sent(injection: &Injection, data: &SecretFields) -> (Result<String, Unusable>, SecretSet) {
        let secrets = SecretSet::default();
        let sent = Rendered::new(injection, data, &secrets).map(|rendered| match &rendered {
            Rendered::Header(_, value) => value.to_str().unwrap().to_owned(),
            Rendered::Query(_) => rendered.query().unwrap().to_owned(),
        });
        (sent, secrets)
    }

    #[test]
    fn every_form_that_is_sent_is_known_to_the_scrubber() {
        let secret = data(&[
            ("token", "s3cr3t-t0ken"),
            ("user", "bob"),
            ("pass", "p\u{e4}ssw\u{f6}rd/+"),
        ]);
        let (bearer, known) = sent(&header("Bearer {token}"), &secret);
        assert_eq!(bearer.unwrap(), "Bearer s3cr3t-t0ken");
        assert!(known.contains_secret(b"x s3cr3t-t0ken y"));
        assert!(!known.contains_secret(b"nothing of the kind"));

        let (pair, known) = sent(&basic("{user}", "{pass}"), &secret);
        let pair = pair.unwrap();
        assert!(known.contains_secret(pair.strip_prefix("Basic ").unwrap().as_bytes()));
        assert!(known.contains_secret("p\u{e4}ssw\u{f6}rd/+".as_bytes()));
        assert!(!known.contains_secret(b"bob"));

        let query = Injection::Query {
            name: "key".to_owned(),
            value: template("{pass}"),
        };
        let (pair, known) = sent(&query, &secret);
        let pair = pair.unwrap();
        assert_eq!(pair, "key=p%C3%A4ssw%C3%B6rd%2F%2B");
        assert!(known.contains_secret(pair.as_bytes()));
    }

    #[test]
    fn a_secret_that_cannot_be_guarded_or_sent_is_refused() {
        let secret = data(&[
            ("short", "1234567"),
            ("lines", "abcdefgh\r\nx: y"),
            ("colon", "user:name"),
        ]);
        let refused = |injection: &Injection| sent(injection, &secret).0.unwrap_err().0;
        assert_eq!(refused(&header("{short}")), "secret_too_short");
        assert_eq!(refused(&header("{absent}")), "secret_field_missing");
        assert_eq!(refused(&header("{lines}")), "secret_not_fit_for_header");
        assert_eq!(refused(&basic("{short}", "")), "secret_too_short");
        assert_eq!(refused(&basic("x", "{short}")), "secret_too_short");
        assert_eq!(refused(&basic("{colon}", "{colon}")), "username_has_colon");
    }
}
