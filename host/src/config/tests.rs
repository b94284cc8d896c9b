use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use insta::assert_snapshot;

use super::*;
use crate::diagnostic::Diagnostic;

fn parse(text: &str) -> Result<HostConfig, ConfigError> {
    HostConfig::parse(
        text,
        Path::new("cofferdam.toml"),
        Path::new("/srv/cofferdam"),
    )
}

fn refusal(text: &str) -> String {
    match parse(text) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => match error.hint() {
            Some(hint) => format!("{error}\nhint: {hint}"),
            None => error.to_string(),
        },
    }
}

#[test]
fn an_empty_file_takes_every_default() {
    let config = parse("").unwrap();
    assert_eq!(config.grants, Path::new("/srv/cofferdam/grants"));
    assert_eq!(config.state, Path::new("/srv/cofferdam/state"));
    assert_eq!(config.audit, Path::new("/srv/cofferdam/audit"));
    assert_eq!(config.cache, Path::new("/srv/cofferdam/cache"));
    assert_eq!(config.engine, EngineConfig::default());
    assert!(config.vault.is_none());
    assert!(config.telemetry.is_none());
}

#[test]
fn paths_are_relative_to_the_file_or_absolute() {
    let config = parse("[paths]\ngrants = \"../reviewed\"\nstate = \"/var/lib/x\"\n").unwrap();
    assert_eq!(config.grants, Path::new("/srv/cofferdam/../reviewed"));
    assert_eq!(config.state, Path::new("/var/lib/x"));
}

#[test]
fn the_engine_has_ranges() {
    let config = parse("[engine]\ninstances = 8\nmemory = \"256MiB\"\n").unwrap();
    assert_eq!(config.engine.instances, 8);
    assert_eq!(config.engine.max_memory, 256 << 20);
    assert_snapshot!(refusal("[engine]\ninstances = 0\n"), @r"
    cofferdam.toml:2:13: `engine.instances`: `0` is out of range
    hint: choose a value from 1 to 4096
    ");
    assert_snapshot!(refusal("[engine]\nmemory = \"8GiB\"\n"), @r"
    cofferdam.toml:2:10: `engine.memory`: `8GiB` is out of range
    hint: choose a value from 1MiB to 4GiB
    ");
}

#[test]
fn traces_go_to_one_collector() {
    let telemetry = |lines: &str| {
        let config = parse(&format!("[telemetry]\n{lines}\n"));
        config.unwrap().telemetry.unwrap()
    };
    let config = telemetry("otlp = \"http://127.0.0.1:4318/\"");
    assert_eq!(config.otlp.to_string(), "http://127.0.0.1:4318");
    assert_eq!((config.service.as_str(), config.sample), ("cofferdam", 1.0));
    let config =
        telemetry("otlp = \"https://c.example.com/otlp\"\nservice = \"worker 7\"\nsample = 0.25");
    assert_eq!(config.otlp.to_string(), "https://c.example.com/otlp");
    assert_eq!((config.service.as_str(), config.sample), ("worker 7", 0.25));
    for sample in ["0", "1", "0.0", "1.0"] {
        telemetry(&format!("otlp = \"http://[::1]:1\"\nsample = {sample}"));
    }
    telemetry("otlp = \"http://c.example.com\"\nplain = true");

    let refused = |lines: &str| refusal(&format!("[telemetry]\n{lines}\n"));
    assert_snapshot!(refused("service = \"x\""), @r"
    cofferdam.toml:1:1: `telemetry.otlp`: this field is missing
    hint: docs/GRANTS.md describes every field
    ");
    assert_snapshot!(refused("otlp = \"http://c.example.com:4318\""), @r"
    cofferdam.toml:2:1: `telemetry.otlp`: is plain http to another machine, where anybody on the way reads what ran
    hint: use `https://`, or say `plain = true`
    ");
    assert_snapshot!(refused("otlp = \"collector\""), @r"
    cofferdam.toml:2:8: `telemetry.otlp`: not the address of a collector
    hint: write a URL such as `http://127.0.0.1:4318`
    ");
    assert_snapshot!(refused("otlp = \"grpc://127.0.0.1:4317\""), @r"
    cofferdam.toml:2:8: `telemetry.otlp`: only `https://` and `http://` are known
    hint: OTLP over gRPC is not; most collectors speak HTTP on port 4318
    ");
    assert_snapshot!(refused("otlp = \"https://u:hunter2@c.example.com\""), @r"
    cofferdam.toml:2:8: `telemetry.otlp`: it holds a user name or a password
    hint: send to a collector of your own, which knows the other one's password
    ");
    assert_snapshot!(refused("otlp = \"https://c.example.com/?a=b\""), @r"
    cofferdam.toml:2:8: `telemetry.otlp`: it holds `?` or `#`
    hint: leave them out
    ");
    assert_snapshot!(refused("otlp = \"https://c.example.com/v1/traces\""), @r"
    cofferdam.toml:2:8: `telemetry.otlp`: it ends in `/v1/traces`
    hint: leave that out: it is added to each request
    ");
    let fine = "otlp = \"http://127.0.0.1:4318\"";
    assert_snapshot!(refused(&format!("{fine}\nservice = \"\"")), @r"
    cofferdam.toml:3:11: `telemetry.service`: `` is not the name of a service
    hint: write 1 to 64 characters
    ");
    assert_snapshot!(refused(&format!("{fine}\nsample = 2")), @r"
    cofferdam.toml:3:10: `telemetry.sample`: `2` is out of range
    hint: choose a value from 0 to 1, such as 0.1 for a tenth of all runs
    ");
    assert_snapshot!(refused(&format!("{fine}\nsample = \"all\"")), @"cofferdam.toml:3:10: `telemetry.sample`: invalid type: text, expected a number from 0 to 1");
    assert_snapshot!(refused(&format!("{fine}\nheaders = {{}}")), @r"
    cofferdam.toml:3:1: `telemetry.headers`: unknown field `headers`, expected one of `otlp`, `plain`, `service`, `sample`
    hint: correct the spelling or remove the field; docs/GRANTS.md describes every one
    ");
}

#[test]
fn what_is_not_known_is_refused() {
    assert_snapshot!(refusal("[path]\n"), @r"
    cofferdam.toml:1:2: `path`: unknown field `path`, expected one of `paths`, `vault`, `engine`, `server`, `telemetry`
    hint: correct the spelling or remove the field; docs/GRANTS.md describes every one
    ");
    assert_snapshot!(refusal("[paths]\nlogs = \"x\"\n"), @r"
    cofferdam.toml:2:1: `paths.logs`: unknown field `logs`, expected one of `grants`, `state`, `audit`, `cache`
    hint: correct the spelling or remove the field; docs/GRANTS.md describes every one
    ");
    assert_snapshot!(refusal("[paths]\ngrants = \"\"\n"), @r"
    cofferdam.toml:2:10: `paths.grants`: not the name of a folder
    hint: write a path, absolute or relative to this file
    ");
    assert_snapshot!(refusal("[vault]\naddres = \"x\"\n"), @r"
    cofferdam.toml:2:1: `vault.addres`: unknown field `addres`, expected one of `address`, `addresses`, `require_healthy`, `namespace`, `ca_file`, `tls_server_name`, `client_cert_file`, `client_key_file`, `plain`, `token_role`, `timeout`, `auth`, `identity`
    hint: correct the spelling or remove the field; docs/GRANTS.md describes every one
    ");
}

#[test]
fn reads_a_file_that_only_we_can_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cofferdam.toml");
    let shown = |error: ConfigError| {
        let folder = folder.path().display().to_string();
        format!("{error}\nhint: {}", error.hint().unwrap()).replace(&folder, "…")
    };
    assert_snapshot!(shown(HostConfig::load(&path).unwrap_err()), @r"
    there is no configuration `…/cofferdam.toml`
    hint: name it with `--config FILE`, or create one: an empty file takes every default; docs/GRANTS.md describes the fields
    ");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert_eq!(HostConfig::load(&path).unwrap().root, folder.path());
    fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
    assert_snapshot!(shown(HostConfig::load(&path).unwrap_err()), @r"
    `…/cofferdam.toml` can be written by others (mode 0664)
    hint: whoever can write it decides about credentials; review it, then run `chmod go-w …/cofferdam.toml`
    ");
}

#[test]
fn whose_end_waits_for_the_disk_is_one_of_two() {
    let of = |text: &str| parse(text).map(|config| config.server.results.sync);
    let with = |value: &str| format!("[server.results]\nsync = {value}\n");
    assert_eq!(of("").unwrap(), SyncedEnds::Grants);
    assert_eq!(of(&with("\"grants\"")).unwrap(), SyncedEnds::Grants);
    assert_eq!(of(&with("\"all\"")).unwrap(), SyncedEnds::All);
    for value in ["\"none\"", "true", "[]"] {
        let error = of(&with(value)).unwrap_err().to_string();
        assert!(error.contains("cofferdam.toml:2:8"), "{error}");
        assert!(error.contains("sync"), "{error}");
    }
}

/// A `[server.tcp]` with these lines after what it must have.
fn tcp(lines: &str) -> String {
    format!(
        "[server.tcp]\nlisten = \"127.0.0.1:8443\"\ncertificate = \"tls/c.pem\"\nkey = \"/k.pem\"\n{lines}\n"
    )
}

const JWT: &str =
    "[server.tcp.jwt]\njwks = \"keys.json\"\nissuer = \"https://i\"\naudience = \"a\"\n";

#[test]
fn tcp_is_for_callers_who_can_be_told_apart() {
    assert_eq!(parse("").unwrap().server.tcp, None);
    let read = |text: &str| parse(text).unwrap().server.tcp.unwrap();
    let config = read(&tcp("client_ca = \"ca.pem\""));
    assert_eq!(config.listen, "127.0.0.1:8443".parse().unwrap());
    assert_eq!(config.certificate, Path::new("/srv/cofferdam/tls/c.pem"));
    assert_eq!(config.key, Path::new("/k.pem"));
    assert_eq!(
        config.client_ca.as_deref(),
        Some(Path::new("/srv/cofferdam/ca.pem"))
    );
    assert_eq!(config.jwt, None);
    let jwt = read(&tcp(JWT)).jwt.unwrap();
    let file = KeySetPlace::File("/srv/cofferdam/keys.json".into());
    assert_eq!((jwt.jwks, jwt.leeway.as_secs()), (file, 10));
    let url = JWT.replace("keys.json", "https://i/keys");
    let jwt = read(&tcp(&format!("{url}jwks_ca = \"ca.pem\"\nleeway = \"0s\"")));
    let KeySetPlace::Url { url, ca } = jwt.jwt.unwrap().jwks else {
        panic!("a URL");
    };
    assert_eq!(url.as_str(), "https://i/keys");
    assert_eq!(ca.as_deref(), Some(Path::new("/srv/cofferdam/ca.pem")));

    let change = |from: &str, to: &str| tcp(JWT).replace(from, to);
    let rule = |lines: &str| format!("[[server.allow]]\n{lines}\ntasks = [\"*\"]\n");
    let only_ca = tcp("client_ca = \"ca.pem\"");
    let all: Vec<String> = [
        tcp(""),
        "[server.tcp]\n".to_owned(),
        change("127.0.0.1:8443", "localhost:8443"),
        change("127.0.0.1:8443", "127.0.0.1"),
        change("keys.json", "http://i/keys"),
        change("keys.json", "https://u:hunter2@i/keys"),
        change("keys.json", ""),
        format!("{}jwks_ca = \"ca.pem\"\n", tcp(JWT)),
        change("https://i", "https://i#1"),
        change("audience = \"a\"\n", ""),
        change("audience = \"a\"", "audience = \"\""),
        format!("{}leeway = \"6m\"\n", tcp(JWT)),
        rule("certificates = [\"cn:x\"]"),
        format!("{only_ca}{}", rule("subjects = [\"x\"]")),
        format!("{}{}", tcp(JWT), rule("certificates = [\"cn:x\"]")),
        format!("{only_ca}{}", rule("certificates = [\"x\"]")),
        format!("{only_ca}{}", rule("certificates = [\"cn:*x\"]")),
        format!("{}{}", tcp(JWT), rule("subjects = [\"\"]")),
        format!("{}{}", tcp(JWT), rule("subjects = [\"a*b*\"]")),
        format!("{}plain = true\n", only_ca),
    ]
    .iter()
    .map(|text| refusal(text))
    .collect();
    assert_snapshot!(all.join("\n"), @r##"
    cofferdam.toml:1:9: `server.tcp.client_ca`: is missing, and [server.tcp.jwt] too: anybody could call
    hint: set one of the two, or both
    cofferdam.toml:1:1: `server.tcp.listen`: this field is missing
    hint: docs/GRANTS.md describes every field
    cofferdam.toml:2:10: `server.tcp.listen`: `localhost:8443` is not an address with a port
    hint: write one such as `127.0.0.1:8443`, `0.0.0.0:8443` or `[::]:8443`; names are not looked up
    cofferdam.toml:2:10: `server.tcp.listen`: `127.0.0.1` is not an address with a port
    hint: write one such as `127.0.0.1:8443`, `0.0.0.0:8443` or `[::]:8443`; names are not looked up
    cofferdam.toml:6:8: `server.tcp.jwt.jwks`: not a file and not an `https://` address
    hint: whoever answers in its place could make tokens, so only TLS will do
    cofferdam.toml:6:8: `server.tcp.jwt.jwks`: it holds a user, a password or `#`
    hint: keys are public; leave it out
    cofferdam.toml:6:8: `server.tcp.jwt.jwks`: not the name of a key set
    hint: write a file, or a URL such as `https://login.example.com/keys`
    cofferdam.toml:10:1: `server.tcp.jwt.jwks_ca`: has no use for a file
    hint: leave it out, or name a URL in `jwks`
    cofferdam.toml:7:10: `server.tcp.jwt.issuer`: it holds `#`
    hint: an issuer is a URL without a fragment (RFC 8414)
    cofferdam.toml:5:1: `server.tcp.jwt.audience`: this field is missing
    hint: docs/GRANTS.md describes every field
    cofferdam.toml:8:12: `server.tcp.jwt.audience`: not 1 to 255 characters
    hint: write it as it stands in the tokens, to the letter
    cofferdam.toml:10:10: `server.tcp.jwt.leeway`: `6m` is out of range
    hint: choose a value from 0s to 5m
    cofferdam.toml:1:10: `server.allow[0].certificates`: it names callers whom nobody can tell
    hint: set `client_ca` under [server.tcp], or leave `certificates` out
    cofferdam.toml:6:10: `server.allow[0].subjects`: it names callers whom nobody can tell
    hint: set [server.tcp.jwt], or leave `subjects` out
    cofferdam.toml:10:10: `server.allow[0].certificates`: it names callers whom nobody can tell
    hint: set `client_ca` under [server.tcp], or leave `certificates` out
    cofferdam.toml:7:16: `server.allow[0].certificates`: `x` does not say which name of a certificate it is
    hint: write `spiffe://…`, `dns:…` or `cn:…`
    cofferdam.toml:7:16: `server.allow[0].certificates[0]`: `cn:*x` is not the name of a caller
    hint: write the whole name, or its beginning and one `*` at the end, such as `spiffe://example.org/airflow/*`
    cofferdam.toml:11:12: `server.allow[0].subjects[0]`: `` is not the name of a caller
    hint: write the whole name, or its beginning and one `*` at the end, such as `spiffe://example.org/airflow/*`
    cofferdam.toml:11:12: `server.allow[0].subjects[0]`: `a*b*` is not the name of a caller
    hint: write the whole name, or its beginning and one `*` at the end, such as `spiffe://example.org/airflow/*`
    cofferdam.toml:6:1: `server.tcp.plain`: unknown field `plain`, expected one of `listen`, `certificate`, `key`, `client_ca`, `jwt`
    hint: correct the spelling or remove the field; docs/GRANTS.md describes every one
    "##);
    for taken in [
        "certificates = [\"*\"]",
        "certificates = [\"dns:a\", \"urn:x:*\"]",
    ] {
        parse(&format!("{only_ca}{}", rule(taken))).unwrap();
    }
}
