//! What the service listens on beside its socket, and for whom.

use std::error::Error;

use jiff::{SignedDuration, Timestamp};

use super::{Check, CheckId};
use crate::config::{JwtConfig, KeySetPlace, ServerConfig, TcpConfig};
use crate::diagnostic::Diagnostic;
use crate::server::{try_key_set, validity};

/// Under this a certificate ends before the next one is surely there.
const FEW_DAYS: i64 = 14;

/// Names that are shown.
const SHOWN: usize = 6;

/// Nothing, for a service that listens on its socket alone. Fetches a key set
/// that is published.
pub(super) async fn check(config: &ServerConfig) -> Vec<Check> {
    let Some(tcp) = &config.tcp else {
        return Vec::new();
    };
    let mut checks = vec![callers(config, tcp), certificate(tcp, Timestamp::now())];
    if let Some(jwt) = &tcp.jwt {
        checks.push(tokens(jwt).await);
    }
    checks
}

fn callers(config: &ServerConfig, tcp: &TcpConfig) -> Check {
    let (id, place) = (CheckId::ServerTcp, tcp.listen.to_string());
    let reach = match tcp.listen.ip().is_loopback() {
        true => "listens for this machine alone",
        false => "listens for other machines",
    };
    let names = config.allow.iter().flat_map(|rule| {
        let kinds = [
            ("certificate", &rule.certificates),
            ("subject", &rule.subjects),
        ];
        kinds
            .into_iter()
            .flat_map(|(kind, names)| names.iter().map(move |name| format!("{kind} `{name}`")))
    });
    let names: Vec<String> = names.collect();
    if names.is_empty() {
        return Check::warning(
            id,
            place,
            format!("{reach}, and no rule names anybody who could call there"),
            "name `certificates` or `subjects` in `[[server.allow]]`, or leave [server.tcp] out",
        );
    }
    if let Some(all) = names.iter().find(|name| name.ends_with("`*`")) {
        return Check::warning(
            id,
            place,
            format!("{reach}, and may be called by everybody of whom somebody vouches ({all})"),
            "name those who need it, or the beginning of their names",
        );
    }
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown: Vec<String> = names.into_iter().take(SHOWN).collect();
    Check::ok(id, place, format!("{reach}: {}{more}", shown.join(", ")))
}

fn certificate(tcp: &TcpConfig, now: Timestamp) -> Check {
    let (id, place) = (
        CheckId::ServerCertificate,
        tcp.certificate.display().to_string(),
    );
    let (begin, end) = match validity(tcp) {
        Ok(validity) => validity,
        Err(error) => return fault(id, place, &error),
    };
    let renew = "renew it, with its chain, and reload the service";
    let left = end.duration_since(now);
    if left < SignedDuration::ZERO {
        let what = "it, or one that stands with it, has expired";
        Check::fault(id, place, what, renew)
    } else if begin > now {
        let cure = "look at the clocks of this host and of whoever issued it";
        Check::fault(id, place, "it is not valid yet", cure)
    } else if left < SignedDuration::from_hours(24 * FEW_DAYS) {
        let days = left.as_hours() / 24;
        let what = format!("it, or one that stands with it, ends in {days} days");
        Check::warning(id, place, what, renew)
    } else {
        let days = left.as_hours() / 24;
        Check::ok(
            id,
            place,
            format!("fits its key and is good for {days} days"),
        )
    }
}

async fn tokens(jwt: &JwtConfig) -> Check {
    let id = CheckId::ServerTokens;
    let place = match &jwt.jwks {
        KeySetPlace::File(file) => file.display().to_string(),
        KeySetPlace::Url { url, .. } => url.to_string(),
    };
    match try_key_set(jwt).await {
        Ok(()) => Check::ok(id, place, "there are keys that tokens can be held against"),
        Err(error) => fault(id, place, &error),
    }
}

fn fault(id: CheckId, place: String, error: &impl Diagnostic) -> Check {
    let cause = error
        .source()
        .map(|cause: &(dyn Error + 'static)| format!(": {cause}"));
    let what = format!("{error}{}", cause.unwrap_or_default());
    let cure = error
        .hint()
        .unwrap_or_else(|| "docs/GRANTS.md describes the fields".to_owned());
    Check::fault(id, place, what, cure)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use rcgen::{CertificateParams, KeyPair};

    use super::super::State;
    use super::*;
    use crate::config::HostConfig;

    const TCP: &str = "[server.tcp]\nlisten = \"127.0.0.1:1\"\ncertificate = \"c\"\nkey = \"k\"\n\
         client_ca = \"ca\"\n[server.tcp.jwt]\njwks = \"keys\"\nissuer = \"i\"\naudience = \"a\"\n";

    fn config(text: &str, root: &Path) -> ServerConfig {
        HostConfig::parse(text, Path::new("c.toml"), root)
            .unwrap()
            .server
    }

    #[test]
    fn who_may_call_is_told() {
        let said = |listen: &str, rules: &str| {
            let text = format!("{}{rules}", TCP.replace("127.0.0.1:1", listen));
            let config = config(&text, Path::new("/"));
            let check = callers(&config, config.tcp.as_ref().unwrap());
            (check.state, check.what)
        };
        let (state, what) = said("127.0.0.1:1", "");
        assert_eq!(state, State::Warning);
        assert!(what.contains("this machine alone, and no rule"), "{what}");
        let rule = |names: &str| format!("[[server.allow]]\n{names}\ntasks = [\"*\"]\n");
        let (state, what) = said(
            "0.0.0.0:1",
            &rule("certificates = [\"cn:x\"]\nsubjects = [\"y*\"]"),
        );
        assert_eq!(state, State::Ok);
        assert_eq!(
            what,
            "listens for other machines: certificate `cn:x`, subject `y*`"
        );
        let (state, what) = said("[::]:1", &rule("subjects = [\"*\"]"));
        assert_eq!(state, State::Warning);
        assert!(what.contains("everybody"), "{what}");
        assert_eq!(said("[::1]:1", &rule("users = [1]")).0, State::Warning);
    }

    #[test]
    fn a_certificate_is_looked_at_before_it_ends() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        };
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["x".to_owned()]).unwrap();
        let now = std::time::SystemTime::now();
        let day = std::time::Duration::from_secs(24 * 3_600);
        params.not_before = (now - day).into();
        params.not_after = (now + 20 * day).into();
        let pem = params.self_signed(&key).unwrap().pem();
        write("c", &pem);
        write("k", &key.serialize_pem());
        write("ca", &pem);
        let server = config(TCP, root.path());
        let tcp = server.tcp.unwrap();
        let in_days = |days: i64| {
            let at = Timestamp::now() + SignedDuration::from_hours(24 * days);
            let check = certificate(&tcp, at);
            (check.state, check.what)
        };
        assert_eq!(in_days(0).0, State::Ok);
        assert_eq!(in_days(7).0, State::Warning);
        assert!(in_days(7).1.contains("12 days"), "{:?}", in_days(7));
        assert_eq!(in_days(21).0, State::Fault);
        assert_eq!(in_days(-2).0, State::Fault);

        write("k", &KeyPair::generate().unwrap().serialize_pem());
        let (state, what) = in_days(0);
        assert_eq!(state, State::Fault);
        assert!(what.contains("does not belong"), "{what}");
        write("k", &key.serialize_pem());
        let open = PermissionsExt::from_mode(0o640);
        std::fs::set_permissions(root.path().join("k"), open).unwrap();
        let (_, what) = in_days(0);
        assert!(
            what.contains("server.tcp.key") && what.contains("0640"),
            "{what}"
        );
        std::fs::remove_file(root.path().join("ca")).unwrap();
        write("k", &key.serialize_pem());
        let private = PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(root.path().join("k"), private).unwrap();
        assert!(
            in_days(0).1.contains("server.tcp.client_ca"),
            "{:?}",
            in_days(0)
        );
    }
}
