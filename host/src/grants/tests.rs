use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::diagnostic::Diagnostic;
use crate::digest::Digest;
use crate::identity::Assurance;
use crate::name::TaskName;
use crate::vault::path::VaultPath;

const WHOLE: &str = r#"task = "sync"
component = "components/sync.wasm"
digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

[caller]
dags = ["billing"]

[http.billing]
base = "https://billing.example.com/v1/"
allow = ["GET invoices/**", "POST invoices"]
credential = { kv2 = { mount = "secret", path = "billing" } }
inject = { header = "Authorization", value = "Bearer {token}" }

[keys.signer]
transit = { mount = "transit", key = "invoices" }
allow = ["sign", "verify"]

[reveal.legacy]
credential = { kv2 = { mount = "secret", path = "old", field = "key" } }
reason = "the old ledger has a protocol of its own"
"#;

fn parse(text: &str) -> Result<Grants, GrantsError> {
    Grants::parse(
        text,
        Path::new("grants/sync.toml"),
        Digest::of(text.as_bytes()),
    )
}

/// The error's text and cure after one change to a file that is right.
fn refusal(from: &str, to: &str) -> String {
    assert!(WHOLE.contains(from), "{from:?} is not in the file");
    shown(parse(&WHOLE.replacen(from, to, 1)))
}

fn shown(result: Result<Grants, GrantsError>) -> String {
    match result {
        Ok(_) => "accepted".to_owned(),
        Err(error) => match error.hint() {
            Some(hint) => format!("{error}\nhint: {hint}"),
            None => error.to_string(),
        },
    }
}

#[test]
fn a_whole_file_is_understood() {
    let grants = parse(WHOLE).unwrap();
    assert_eq!(grants.task.as_str(), "sync");
    assert_eq!(grants.caller.dags, ["billing"]);
    assert_eq!(grants.caller.identity, Assurance::Attested);
    assert_eq!(grants.limits, Limits::default());
    assert_eq!(grants.source, Digest::of(WHOLE.as_bytes()));
    assert_eq!(
        grants.names(),
        ["http.billing", "keys.signer", "reveal.legacy"]
    );
    let paths: Vec<_> = grants.policy().0.into_keys().collect();
    assert_eq!(
        paths,
        [
            "secret/data/billing",
            "secret/data/old",
            "transit/sign/invoices",
            "transit/verify/invoices"
        ]
    );
    assert!(grants.needs_vault());
}

#[test]
fn unknown_fields_are_refused_in_every_table() {
    assert_snapshot!(refusal("component =", "compnent = 1\ncomponent ="), @r"
    grants/sync.toml:2:1: `compnent`: unknown field `compnent`, expected one of `task`, `component`, `digest`, `caller`, `limits`, `authority`, `http`, `keys`, `reveal`, `sql`
    hint: correct the spelling or remove the field; docs/GRANTS.md describes every one
    ");
    assert_snapshot!(refusal("dags =", "dag = 1\ndags ="), @r"
    grants/sync.toml:6:1: `caller.dag`: unknown field `dag`, expected `dags` or `identity`
    hint: correct the spelling or remove the field; docs/GRANTS.md describes every one
    ");
    assert_snapshot!(refusal("allow = [\"GET", "alow = 1\nallow = [\"GET"), @r"
    grants/sync.toml:10:1: `http.billing.alow`: unknown field `alow`, expected one of `base`, `allow`, `credential`, `inject`, `network`, `plain`, `timeout`, `max_request`, `max_response`, `pass_headers`
    hint: correct the spelling or remove the field; docs/GRANTS.md describes every one
    ");
    assert_snapshot!(refusal("[keys.signer]", "[key.signer]"), @r"
    grants/sync.toml:14:2: `key`: unknown field `key`, expected one of `task`, `component`, `digest`, `caller`, `limits`, `authority`, `http`, `keys`, `reveal`, `sql`
    hint: correct the spelling or remove the field; docs/GRANTS.md describes every one
    ");
    assert_snapshot!(refusal("[http.billing]", "[limits]\ncpu = 2\n[http.billing]"), @r"
    grants/sync.toml:9:1: `limits.cpu`: unknown field `cpu`, expected one of `timeout`, `grace`, `heartbeat`, `memory`, `table_elements`, `instances`, `handles`, `output`, `input`, `log`, `host_calls`
    hint: correct the spelling or remove the field; docs/GRANTS.md describes every one
    ");
    assert_snapshot!(refusal("path = \"old\",", "path = \"old\", role = \"x\","), @r"
    grants/sync.toml:19:56: `reveal.legacy.credential.kv2.role`: unknown field `role`, expected one of `mount`, `path`, `version`, `field`, `cache_ttl`
    hint: correct the spelling or remove the field; docs/GRANTS.md describes every one
    ");
}

#[test]
fn an_authority_of_its_own_is_understood() {
    let with = |table: &str| parse(&format!("{WHOLE}\n{table}\n"));
    assert!(parse(WHOLE).unwrap().authority.is_none());
    let usual = with("[authority.jwt]").unwrap().authority.unwrap();
    let task = "sync".parse::<TaskName>().unwrap();
    assert_eq!(usual.mount.as_str(), "cofferdam-jwt");
    assert!(usual.owns_role(&task) && usual.carries_task_policy(&task));
    assert_eq!(usual.policies.len(), 1);

    let table = "[authority]\njwt = { mount = \"dags/jwt\", role = \"dag-billing\", policies = [\"cofferdam-dag\"] }";
    let other = with(table).unwrap().authority.unwrap();
    assert_eq!(other.mount.as_str(), "dags/jwt");
    assert!(!other.owns_role(&task) && !other.carries_task_policy(&task));
}

#[test]
fn an_authority_that_nobody_should_have_is_refused() {
    let refusal = |table: &str| shown(parse(&format!("{WHOLE}\n{table}\n")));
    assert_snapshot!(refusal("[authority]"), @r"
    grants/sync.toml:22:1: `authority.jwt`: this field is missing
    hint: docs/GRANTS.md describes every field
    ");
    assert_snapshot!(refusal("[authority.token]"), @r"
    grants/sync.toml:22:12: `authority.token`: unknown field `token`, expected `jwt`
    hint: correct the spelling or remove the field; docs/GRANTS.md describes every one
    ");
    assert_snapshot!(refusal("[authority.jwt]\nmounts = \"x\""), @r"
    grants/sync.toml:23:1: `authority.jwt.mounts`: unknown field `mounts`, expected one of `mount`, `role`, `policies`
    hint: correct the spelling or remove the field; docs/GRANTS.md describes every one
    ");
    assert_snapshot!(refusal("[authority.jwt]\nrole = \"a/b\""), @r"
    grants/sync.toml:23:8: `authority.jwt.role`: `a/b` is not acceptable as a Vault path: a name has one segment, without `/`
    hint: name exactly one secret, key or mount; there are no patterns and no relative parts
    ");
    assert_snapshot!(refusal("[authority.jwt]\npolicies = []"), @r"
    grants/sync.toml:23:1: `authority.jwt.policies`: names no policy or too many
    hint: name 1 to 8, or leave the field out for the task's own
    ");
    assert_snapshot!(refusal("[authority.jwt]\npolicies = [\"default\"]"), @r"
    grants/sync.toml:23:12: `authority.jwt.policies[0]`: `default` cannot be an attempt's policy: Vault itself gives this one a meaning
    ");
    assert_snapshot!(refusal("[authority.jwt]\npolicies = [\"cofferdam-host\"]"), @r"
    grants/sync.toml:23:12: `authority.jwt.policies[0]`: `cofferdam-host` cannot be an attempt's policy: it is the host's own
    ");
    assert_snapshot!(refusal("[authority.jwt]\npolicies = [\"Team\"]"), @r"
    grants/sync.toml:23:12: `authority.jwt.policies[0]`: `Team` cannot be an attempt's policy: a name is 1 to 128 of `a-z 0-9 . _ -`
    ");
    assert_snapshot!(refusal("[authority.jwt]\npolicies = [\"a\", \"a\"]"), @r"
    grants/sync.toml:23:1: `authority.jwt.policies`: `a` stands here twice
    hint: keep one of the two
    ");
    assert_snapshot!(
        refusal("[authority.jwt]\npolicies = [\"cofferdam-task-other\"]"),
        @r"
        grants/sync.toml:23:1: `authority.jwt.policies`: `cofferdam-task-other` belongs to another task
        hint: name policies of your own, or `cofferdam-task-sync`
        "
    );
    let many: Vec<_> = (0..9).map(|n| format!("\"p{n}\"")).collect();
    let many = format!("[authority.jwt]\npolicies = [{}]", many.join(", "));
    assert!(refusal(&many).contains("1 to 8"));
    let (head, _) = WHOLE.split_once("[http.billing]").unwrap();
    let useless = format!("{head}[authority.jwt]\n");
    assert_snapshot!(shown(parse(&useless)), @r"
    grants/sync.toml:8:2: `authority`: no grant of this file needs Vault
    hint: remove the table: the task gets no authority
    ");
}

#[test]
fn two_grants_of_one_name_are_refused() {
    assert_snapshot!(refusal("[keys.signer]", "[keys.billing]"), @r"
    grants/sync.toml:14:7: `keys.billing`: the name is taken by `http.billing`
    hint: give each grant a name of its own: a task and a reviewer must mean the same thing by it
    ");
    let twice = format!("{WHOLE}\n[keys.signer]\nallow = []\n");
    assert_snapshot!(shown(parse(&twice)), @r"
    grants/sync.toml:22:7: `signer` stands here twice
    hint: keep one of the two
    ");
    assert_snapshot!(refusal("dags =", "dags = []\ndags ="), @r"
    grants/sync.toml:7:1: `dags` stands here twice
    hint: keep one of the two
    ");
}

#[test]
fn paths_that_a_policy_could_misread_are_refused() {
    for path in [
        "a/../b", "a/*", "a/+/b", "a\\\"b", "a\\nb", "a{b", "/a", "a/", "a//b", "a/./b", "%2e%2e",
        "",
    ] {
        let refused = refusal("path = \"billing\"", &format!("path = \"{path}\""));
        assert!(
            refused.contains("not acceptable as a Vault path"),
            "{path}: {refused}"
        );
        let refused = refusal("key = \"invoices\"", &format!("key = \"{path}\""));
        assert!(
            refused.contains("not acceptable as a Vault path"),
            "{path}: {refused}"
        );
    }
    assert_snapshot!(refusal("path = \"billing\"", "path = \"a/../b\""), @r"
    grants/sync.toml:11:49: `http.billing.credential.kv2.path`: `a/../b` is not acceptable as a Vault path: empty, `.` and `..` segments are not allowed
    hint: name exactly one secret, key or mount; there are no patterns and no relative parts
    ");
    assert_snapshot!(refusal("mount = \"transit\"", "mount = \"transit/*\""), @r"
    grants/sync.toml:15:21: `keys.signer.transit.mount`: `transit/*` is not acceptable as a Vault path: only letters, digits and `. _ - /` are allowed
    hint: name exactly one secret, key or mount; there are no patterns and no relative parts
    ");
    assert_snapshot!(refusal("path = \"old\"", "path = \"o\\nld\""), @r"
    grants/sync.toml:19:49: `reveal.legacy.credential.kv2.path`: `o\nld` is not acceptable as a Vault path: only letters, digits and `. _ - /` are allowed
    hint: name exactly one secret, key or mount; there are no patterns and no relative parts
    ");
    assert_snapshot!(refusal("path = \"old\"", "path = \"o\\\"ld\""), @r#"
    grants/sync.toml:19:49: `reveal.legacy.credential.kv2.path`: `o\"ld` is not acceptable as a Vault path: only letters, digits and `. _ - /` are allowed
    hint: name exactly one secret, key or mount; there are no patterns and no relative parts
    "#);
}

#[test]
fn names_have_a_form() {
    assert_snapshot!(refusal("task = \"sync\"", "task = \"Sync*\""), @"grants/sync.toml:1:8: `task`: `Sync*` is not a valid task name: 1 to 64 of a-z, 0-9 and -");
    assert_snapshot!(refusal("[keys.signer]", "[keys.\"a*\\u001b[2J\"]"), @r"grants/sync.toml:14:7: `keys.a*\u{1b}[2J`: `a*\u{1b}[2J` is not a valid grant name: 1 to 64 of a-z, 0-9, - and _");
    assert_snapshot!(refusal("task = \"sync\"", "task = \"other\""), @r"
    grants/sync.toml:1:1: `task`: the task `other` in a file of another name
    hint: name the file `other.toml`, or correct the task
    ");
}

#[test]
fn the_digest_is_required_and_well_formed() {
    assert_snapshot!(refusal("digest = \"sha256:ba", "digest = \"md5:ba"), @r"
    grants/sync.toml:3:10: `digest`: not a digest: expected `sha256:` and 64 lower-case hex digits
    hint: `cofferdam build` prints the line to paste, and so does `cofferdam check` when the component has changed
    ");
    assert_snapshot!(refusal("digest =", "[x]\ndigest ="), @r"
    grants/sync.toml:3:2: `x`: unknown field `x`, expected one of `task`, `component`, `digest`, `caller`, `limits`, `authority`, `http`, `keys`, `reveal`, `sql`
    hint: correct the spelling or remove the field; docs/GRANTS.md describes every one
    ");
    let line = WHOLE.lines().nth(2).unwrap();
    assert_snapshot!(refusal(line, ""), @r"
    grants/sync.toml:1:1: `digest`: this field is missing
    hint: `cofferdam build` prints the line to paste, and so does `cofferdam check` when the component has changed
    ");
}

#[test]
fn the_component_is_a_path_below_its_folder_or_absolute() {
    assert_snapshot!(refusal("components/sync.wasm", "../sync.wasm"), @r"
    grants/sync.toml:2:13: `component`: the path leaves its folder through `..`
    hint: write it below the folder of `cofferdam.toml`, or absolute
    ");
    assert_snapshot!(refusal("components/sync.wasm", ""), @r"
    grants/sync.toml:2:13: `component`: not the name of a file
    hint: write the path of the component, relative to the folder of `cofferdam.toml`
    ");
    assert_eq!(
        refusal("components/sync.wasm", "/srv/sync.wasm"),
        "accepted"
    );
}

#[test]
fn callers_are_exact_names() {
    assert_snapshot!(refusal("[\"billing\"]", "[\"billing\", \"bill*\"]"), @r"
    grants/sync.toml:6:8: `caller.dags[1]`: `bill*` is a pattern
    hint: name each dag_id that may run the task; patterns would admit dags that nobody reviewed
    ");
    assert_snapshot!(refusal("[\"billing\"]", "[]"), @r"
    grants/sync.toml:6:8: `caller.dags`: no dag may run the task
    hint: name each dag_id that may
    ");
    assert_snapshot!(refusal("[\"billing\"]", "[\"a/b\"]"), @r#"
    grants/sync.toml:6:8: `caller.dags[0]`: `a/b` cannot be a dag_id here: `dag_id` is not acceptable: `* + / { } , " \` and control characters have a meaning in Vault's policies and paths
    hint: rename the dag, or correct the name
    "#);
    assert_snapshot!(refusal("dags = [\"billing\"]", "identity = \"claimed\""), @r#"
    grants/sync.toml:5:1: `caller.dags`: this field is missing
    hint: name who may run the task: `dags = ["billing"]`
    "#);
    assert_snapshot!(refusal("dags =", "identity = \"trusted\"\ndags ="), @r"
    grants/sync.toml:6:12: `caller.identity`: unknown variant `trusted`, expected `claimed` or `attested`
    hint: `attested`, the default, asks that a party other than the task's own code vouches for the caller; `claimed` takes the caller's word
    ");
    let claimed = WHOLE.replace("dags =", "identity = \"claimed\"\ndags =");
    assert_eq!(parse(&claimed).unwrap().caller.identity, Assurance::Claimed);
}

#[test]
fn limits_have_ranges() {
    let limit = |line: &str| {
        refusal(
            "[http.billing]",
            &format!("[limits]\n{line}\n[http.billing]"),
        )
    };
    assert_snapshot!(limit("timeout = \"25h\""), @r"
    grants/sync.toml:9:11: `limits.timeout`: `25h` is out of range
    hint: choose a value from 10ms to 24h
    ");
    assert_snapshot!(limit("grace = \"5s\""), @r"
    grants/sync.toml:9:9: `limits.grace`: `5s` is out of range
    hint: choose a value from 0s to 4s
    ");
    assert_snapshot!(limit("memory = \"8GiB\""), @r"
    grants/sync.toml:9:10: `limits.memory`: `8GiB` is out of range
    hint: choose a value from 64KiB to 4GiB
    ");
    assert_snapshot!(limit("memory = 1024"), @"grants/sync.toml:9:10: `limits.memory`: invalid type: integer `1024`, expected a size in quotes, such as `128MiB`");
    assert_snapshot!(limit("memory = \"lots\""), @r"
    grants/sync.toml:9:10: `limits.memory`: `lots` is not a size
    hint: write a number and a unit, such as `64KiB`, `128MiB`, `1GiB`
    ");
    assert_snapshot!(limit("timeout = \"soon\""), @r"
    grants/sync.toml:9:11: `limits.timeout`: `soon` is not a duration
    hint: write a number and a unit, such as `500ms`, `90s`, `5m`
    ");
    assert_snapshot!(limit("handles = -1"), @r"
    grants/sync.toml:9:11: `limits.handles`: `-1` is out of range
    hint: choose a value from 1 to 100000
    ");
    assert_snapshot!(limit("handles = 0"), @r"
    grants/sync.toml:9:11: `limits.handles`: `0` is out of range
    hint: choose a value from 1 to 100000
    ");
    assert_snapshot!(limit("host_calls = 1.5"), @"grants/sync.toml:9:14: `limits.host_calls`: invalid type: floating point `1.5`, expected a whole number");
    let text =
        format!("{WHOLE}\n[limits]\ntimeout = \"90s\"\nmemory = \"1GiB\"\nheartbeat = \"5s\"\n");
    let limits = parse(&text).unwrap().limits;
    assert_eq!(limits.timeout, Duration::from_secs(90));
    assert_eq!(limits.memory, 1 << 30);
    assert_eq!(limits.heartbeat, Some(Duration::from_secs(5)));
    assert_eq!(limits.handles, Limits::HANDLES.default);
}

#[test]
fn what_is_no_toml_is_located() {
    assert_snapshot!(refusal("dags = [\"billing\"]", "dags = [\"billing\""), @"grants/sync.toml:8:1: missing comma between array elements, expected `,`");
    assert_snapshot!(refusal("task = \"sync\"", "task = sync"), @"grants/sync.toml:1:8: string values must be quoted, expected literal string");
    assert_snapshot!(shown(parse("")), @r"
    grants/sync.toml:1:1: `task`: this field is missing
    hint: docs/GRANTS.md describes every field
    ");
}

#[test]
fn a_text_in_the_wrong_place_is_not_repeated() {
    let refused = refusal("transit = {", "transit = \"hvs.not-for-you\" #");
    assert!(!refused.contains("hvs."), "{refused}");
    assert_snapshot!(refused, @"grants/sync.toml:15:11: `keys.signer.transit`: invalid type: text, expected struct TransitKey");
}

#[test]
fn a_table_that_is_refused_as_a_whole_names_the_field() {
    assert_snapshot!(refusal("https://billing", "http://billing"), @r"
    grants/sync.toml:9:1: `http.billing.base`: is plain http
    hint: use https, or set `plain = true` to send the credential unencrypted
    ");
    assert_snapshot!(refusal("base = \"https://billing.example.com/v1/\"", "base = \"\""), @r"
    grants/sync.toml:9:1: `http.billing.base`: is ``, which is not an address
    hint: write it like `https://api.example.com/v1/`
    ");
    assert_snapshot!(refusal("inject = {", "# {"), @r#"
    grants/sync.toml:8:7: `http.billing.inject`: is missing
    hint: say where the credential goes, such as `inject = { header = "Authorization", value = "Bearer {token}" }`
    "#);
    assert_snapshot!(refusal(", field = \"key\"", ""), @r"
    grants/sync.toml:19:1: `reveal.legacy.credential.field`: is missing
    hint: name the one field that the task may read
    ");
    assert_snapshot!(refusal("\"sign\", \"verify\"", ""), @r"
    grants/sync.toml:16:1: `keys.signer.allow`: is empty
    hint: name at least one of `sign`, `verify`, `hmac`, `encrypt`, `decrypt`
    ");
    assert_snapshot!(refusal("\"sign\", \"verify\"", "\"export\""), @"grants/sync.toml:16:10: `keys.signer.allow[0]`: unknown variant `export`, expected one of `sign`, `verify`, `hmac`, `encrypt`, `decrypt`");
    assert_snapshot!(refusal("\"GET invoices/**\"", "\"GET ../admin\""), @"grants/sync.toml:10:1: `http.billing.allow`: holds `GET ../admin`: the pattern must be a path below `base`: no leading `/`, no query, no empty, `.` or `..` segment");
    assert_snapshot!(refusal("\"Bearer {token}\"", "\"Bearer\""), @r"
    grants/sync.toml:12:1: `http.billing.inject`: uses no field of the secret
    hint: name one in braces, such as `{token}`
    ");
    assert_snapshot!(refusal("\"the old ledger has a protocol of its own\"", "\"\""), @"grants/sync.toml:20:1: `reveal.legacy.reason`: must say in up to 500 characters, on one line, why no other capability serves");
}

fn folder_with(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sync.toml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    folder
}

fn task(name: &str) -> TaskName {
    name.parse().unwrap()
}

#[test]
fn loads_from_a_folder() {
    let folder = folder_with(WHOLE);
    fs::write(folder.path().join("README.md"), "not grants").unwrap();
    let grants = load(folder.path(), &task("sync")).unwrap();
    assert_eq!(grants.source, Digest::of(WHOLE.as_bytes()));
    let all = load_all(folder.path()).unwrap();
    assert_eq!(all.len(), 1);
    assert!(all[0].grants.is_ok());
}

#[test]
fn a_missing_file_and_a_missing_folder_are_told_apart() {
    let folder = folder_with(WHOLE);
    let error = load(folder.path(), &task("other")).unwrap_err();
    assert!(matches!(error, GrantsError::Missing { .. }), "{error:?}");
    let error = load(&folder.path().join("nowhere"), &task("sync")).unwrap_err();
    assert!(matches!(error, GrantsError::File(_)), "{error:?}");
}

#[test]
fn a_file_that_others_can_write_is_refused() {
    let folder = folder_with(WHOLE);
    let path = folder.path().join("sync.toml");
    fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
    let shown = shown(load(folder.path(), &task("sync")))
        .replace(&folder.path().display().to_string(), "grants");
    assert_snapshot!(shown, @r"
    `grants/sync.toml` can be written by others (mode 0664)
    hint: whoever can write it decides about credentials; review it, then run `chmod go-w grants/sync.toml`
    ");
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn arbitrary_values_never_panic_and_policies_hold_legal_paths(
        mount in "[a-z./*+\"\\\\ -]{0,12}",
        path in "\\PC{0,12}",
        key in "[a-zA-Z0-9._/-]{0,12}",
        field in "[a-z]{1,12}",
        value in "\\PC{0,12}",
    ) {
        let text = WHOLE
            .replace("path = \"billing\"", &format!("path = {path:?}"))
            .replace("mount = \"transit\"", &format!("mount = {mount:?}"))
            .replace("key = \"invoices\"", &format!("key = {key:?}"))
            + &format!("\n[limits]\n{field} = {value:?}\n");
        check(&text)?;
    }

    #[test]
    fn accepted_paths_are_legal(
        mount in "[a-z]{1,4}(/[a-z]{1,4})?",
        path in "[a-zA-Z0-9._/-]{1,12}",
        key in "[a-zA-Z0-9._-]{1,12}",
    ) {
        let text = WHOLE
            .replace("path = \"billing\"", &format!("path = {path:?}"))
            .replace("mount = \"transit\"", &format!("mount = {mount:?}"))
            .replace("key = \"invoices\"", &format!("key = {key:?}"));
        check(&text)?;
    }

    #[test]
    fn broken_files_never_panic(cut in 0..WHOLE.len(), insert in "\\PC{0,3}") {
        let text = format!("{}{insert}{}", &WHOLE[..cut], &WHOLE[cut..]);
        check(&text)?;
        check(&WHOLE[..cut])?;
    }
}

/// Whatever a file says: no panic, and only legal paths in its policy.
fn check(text: &str) -> Result<(), TestCaseError> {
    match parse(text) {
        Ok(grants) => {
            for path in grants.policy().0.keys() {
                prop_assert!(path.parse::<VaultPath>().is_ok(), "{path:?}");
            }
        }
        Err(error) => {
            let message = format!("{error}{:?}", error.hint());
            prop_assert!(!message.contains(char::is_control), "{message:?}");
        }
    }
    Ok(())
}
